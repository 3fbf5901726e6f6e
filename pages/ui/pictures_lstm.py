"""The pictures of the LSTM lesson: pure functions of settings, weights and what is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from core.data.sequences import SERIES_TASKS, Sequences, held_out, memoryless_loss, task_of
from core.lstm import (
    CLAMPS,
    LSTM,
    LSTM_GATES,
    LSTM_ROWS,
    LSTMConfig,
    LSTMTrace,
    NetInputs,
    clamped,
    clamped_scores,
    net_inputs,
)
from core.sequence_learner import model_of
from core.training import ACCURACY, LOSS, Snapshot
from pages.ui.palette import NEGATIVE, POSITIVE
from pages.ui.pictures_sequences import answers, as_written, channels, equals
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

WIDTH = 548  # of the large figures: it still fits a phone
CHOSEN = "#c4347f"  # of what is looked at
VALVE = "#0a9371"  # how far a gate is open
HUGE = 1e9  # a diverged number is drawn as this
LARGEST = 6e4  # that 16 bits hold
COLUMNS = {"forget": 122, "input": 226, "candidate": 330, "output": 432}  # in the diagram, as the highway meets them
LETTERS = {"forget": "f", "input": "i", "candidate": "c̃", "output": "o", "cell": "c", "hidden": "h"}
MAPS = ("forget", "input", "candidate", "output", "cell", "hidden")
EXAMPLES = 40  # held-out sequences to choose from


class Look(NamedTuple):
    """What is looked at; all count from 0."""

    example: int  # of the held-out sequences
    at: int  # step
    unit: int
    clamp: str = "as_trained"  # one of CLAMPS: a gate that is held while one looks
    part: str = "cell"  # one of MAPS: the one that was clicked


class Seen(NamedTuple):
    """One held-out sequence as the network hears it."""

    cell: LSTM
    x: Tensor  # (T, 1, D)
    steps: LSTMTrace  # (T, 1, hidden) each
    answer: Tensor  # (output_size,) after the last step
    target: Tensor  # () class, or (1,) value


def names() -> dict[str, str]:
    return {
        "input": term("input_gate"), "forget": term("forget_gate"), "output": term("output_gate"),
        "candidate": t("候选状态", "candidate"), "cell": t("单元状态", "cell state"), "hidden": t("隐状态", "hidden state"),
    }  # fmt: skip


def clamp_names() -> dict[str, str]:
    """CLAMPS in words."""
    ends = {"open": t("开", "open"), "shut": t("关", "shut")}
    words = {"input": t("输入门", "input"), "forget": t("遗忘门", "forget"), "output": t("输出门", "output")}
    found = {"as_trained": t("原样", "as trained")}
    return found | {name: t(f"{words[gate]}{ends[way]}", f"{words[gate]} {ends[way]}") for name, (gate, way) in CLAMPS.items() if gate}  # fmt: skip


def sequences_of(config: LSTMConfig) -> Sequences:
    """What is held out of the config's task."""
    return held_out(config.task, config.length, config.distractors, config.series)


def examples(config: LSTMConfig) -> int:
    """How many sequences there are to choose from."""
    return min(EXAMPLES, sequences_of(config).inputs.shape[1])


Weights = tuple[bytes, tuple[tuple[str, tuple[int, ...]], ...]]  # a state dict that a cache can find again


def packed(state: dict[str, Tensor]) -> Weights:
    values = b"".join(value.contiguous().numpy().tobytes() for value in state.values())
    return values, tuple((name, tuple(value.shape)) for name, value in state.items())


def unpacked(weights: Weights) -> dict[str, Tensor]:
    flat, state, begin = torch.frombuffer(bytearray(weights[0]), dtype=torch.float32), {}, 0
    for name, shape in weights[1]:
        size = math.prod(shape)
        state[name] = flat[begin : begin + size].view(shape)
        begin += size
    return state


def seen(config: LSTMConfig, state: dict[str, Tensor], look: Look) -> Seen:
    """The sequence that is looked at; to be read and never written."""
    return seen_by(config, look.example, look.clamp, packed(state))


@lru_cache(maxsize=32)
def seen_by(config: LSTMConfig, example: int, clamp: str, weights: Weights) -> Seen:
    model = model_of(clamped(config, clamp), unpacked(weights))
    sequences = sequences_of(config)
    x = sequences.inputs[:, example : example + 1]
    cell: LSTM = model.cell  # type: ignore[assignment]
    steps = cell.trace(x)
    with torch.no_grad():
        answer = model.readout(steps.hidden[-1, 0])
    target = sequences.targets[-1, example] if task_of(config.task).every_step else sequences.targets[example]
    return Seen(cell, x, steps, answer, target)


def finite(value: float) -> float:
    return min(HUGE, max(-HUGE, value)) if value == value else 0.0


def short(value: float) -> str:
    """A number in a picture."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    if abs(value) >= 1000:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e").replace("-", "−")
    text = f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return ("0.00" if text == "-0.00" else text).replace("-", "−")


def ink_of(value: float) -> str:
    return NEGATIVE if value < 0 else POSITIVE if value > 0 else "muted"


def word_ink(value: float) -> str:
    return "blue" if value < 0 else "orange" if value > 0 else "muted"


def flow(value: float) -> float:
    """How thick the line is that carries a number."""
    return 2.0 + 6.0 * min(1.0, abs(finite(value)))


# ---- the formula -----------------------------------------------------------------------------------------------------


def general(config: LSTMConfig) -> tuple[str, str]:
    """KaTeX: the new cell state and the new hidden state, without numbers."""
    keep = r"(1-\mathbf i)" if config.coupled else r"\mathbf f"
    shown = r"\tanh \mathbf c_t" if config.output_activation else r"\mathbf c_t"
    return rf"{keep}\odot\mathbf c_{{t-1}} + \mathbf i\odot\tilde{{\mathbf c}}_t", rf"\mathbf o\odot {shown}"


def formulas(config: LSTMConfig, state: dict[str, Tensor] | None, look: Look) -> tuple[str, str]:
    """KaTeX: both, with the chosen unit's numbers below; without a state, as while it trains, only dots."""
    cell, hidden = general(config)
    sums, signs, results = (r"\cdots", r"\cdots"), ("=", "="), ("", "")
    if state is not None:
        f, i, candidate, o, before, after, shown = numbers(seen(config, state, look), look)
        squashed = rf"\tanh({tex(after)})" if config.output_activation else tex(after, True)
        sums = (
            rf"{tex(f)}\cdot {tex(before, True)} + {tex(i)}\cdot {tex(candidate, True)}",
            rf"{tex(o)}\cdot {squashed}",
        )
        f, i, candidate, o, before, reached = (as_written(each, short) for each in (f, i, candidate, o, before, after))
        signs = (
            equals(f * before + i * candidate, after, short),
            equals(o * (math.tanh(reached) if config.output_activation else reached), shown, short),
        )
        results = (tex(after), tex(shown))
    signs = tuple(sign.replace("≈", r"\approx") for sign in signs)
    lines = zip("ch", (cell, hidden), sums, signs, results, strict=True)
    c, h = (
        rf"\begin{{aligned}} \mathbf {letter}_t &= {words} \\ {letter}_{{{look.at + 1}}} &= {total} \\ &{sign} \mathbf{{{result}}} \end{{aligned}}"
        for letter, words, total, sign, result in lines
    )
    return c, h


def tex(value: float, brackets: bool = False) -> str:
    text = short(value).replace("−", "-").replace("∞", r"\infty").replace("NaN", r"\text{NaN}")
    return f"({text})" if brackets and value < 0 else text


def numbers(shown: Seen, look: Look) -> tuple[float, ...]:
    """f, i, c̃, o, the cell state before and after, and h of the chosen unit at the chosen step."""
    now = LSTMTrace(*(part[look.at, 0, look.unit].item() for part in shown.steps))  # type: ignore[arg-type]
    before = shown.steps.cell[look.at - 1, 0, look.unit].item() if look.at else 0.0
    return now.forget, now.input, now.candidate, now.output, before, now.cell, now.hidden  # type: ignore[return-value]


# ---- one step of one unit --------------------------------------------------------------------------------------------

HIGHWAY, WRITING, GATES_TOP, GATE = 56, 118, 176, (72, 56)  # heights; size of a gate's box


def step(config: LSTMConfig, snapshot: Snapshot, look: Look) -> Scene:
    """One unit at one step: the cell state's way along the top, the gates below it, and where they come from."""
    shown = seen(config, snapshot.state, look)
    f, i, candidate, o, before, after, hidden = numbers(shown, look)
    drawn = Figure(WIDTH, 424 if shown.cell.peephole else 400)
    highway(drawn, shown.cell, f, i, candidate, o, before, after, hidden)
    sums = net_inputs(shown.cell, shown.x, shown.steps, look.at)
    for name, value in {"forget": f, "input": i, "candidate": candidate, "output": o}.items():
        gate_box(drawn, shown.cell, name, value)
        column(drawn, shown.cell, sums, name, look.unit)
    rows = ["W x", "U h₋", "b", *(["p c"] if shown.cell.peephole else []), "z"]
    for place, word in enumerate(rows):
        drawn.text(word, 66, row_height(place), anchor="end", size=14, ink="text" if word == "z" else "muted", bold=word == "z")  # fmt: skip
    bottom = drawn.height - 10
    drawn.text(input_words(config, shown, look), 22, bottom, size=14)
    words = t(
        f"第 {look.at + 1} 步、第 {look.unit + 1} 个单元：单元状态从 {short(before)} 变为 {short(after)}，遗忘门 {short(f)}，输入门 {short(i)}，候选 {short(candidate)}，输出门 {short(o)}，隐状态 {short(hidden)}。",
        f"Step {look.at + 1}, unit {look.unit + 1}: the cell state goes from {short(before)} to {short(after)}; forget gate {short(f)}, input gate {short(i)}, candidate {short(candidate)}, output gate {short(o)}, hidden state {short(hidden)}.",
    )
    return Scene((drawn,), words)


def highway(drawn: Figure, cell: LSTM, f: float, i: float, candidate: float, o: float, before: float, after: float, hidden: float) -> None:  # fmt: skip
    """The lines between the gates, each as thick as the number that it carries and in the colour of its sign."""
    left, add, right = COLUMNS["forget"], (COLUMNS["input"] + COLUMNS["candidate"]) / 2, 516.0
    kept, written = f * before, i * candidate
    shown = math.tanh(finite(after)) if cell.output_activation else after
    drawn.line(60, HIGHWAY, left - 15, HIGHWAY, ink=ink_of(before), width=flow(before))
    drawn.line(left + 15, HIGHWAY, add - 15, HIGHWAY, ink=ink_of(kept), width=flow(kept))
    drawn.line(add + 15, HIGHWAY, 380, HIGHWAY, ink=ink_of(after), width=flow(after))
    drawn.line(430, HIGHWAY, 546, HIGHWAY, ink=ink_of(after), width=flow(after), arrow=True)
    drawn.line(add, WRITING - 15, add, HIGHWAY + 15, ink=ink_of(written), width=flow(written))
    drawn.line(right, HIGHWAY, right, WRITING - 30 if cell.output_activation else WRITING + 25, ink=ink_of(after), width=flow(after))  # fmt: skip
    for name, x, y, value in (("forget", left, HIGHWAY + 15, f), ("input", add - 15, WRITING, i), ("candidate", add + 15, WRITING, candidate), ("output", right - 15, WRITING + 40, o)):  # fmt: skip
        from_x, width, ink = COLUMNS[name], flow(value), ink_of(value) if name == "candidate" else VALVE
        corner = f"V{y}H{x}" if name != "forget" else f"V{y}"
        drawn.path(f"M{from_x} {GATES_TOP}{corner}", ink=ink, width=width)
    if cell.coupled:
        x = COLUMNS["input"] - GATE[0] / 2
        drawn.line(x, GATES_TOP + 28, COLUMNS["forget"] + GATE[0] / 2, GATES_TOP + 28, ink=VALVE, width=2.5, arrow=True)
    if cell.output_activation:
        drawn.line(right, WRITING - 4, right, WRITING + 25, ink=ink_of(shown), width=flow(shown))
        drawn.rect(right - 27, WRITING - 31, 54, 27, ink="text", fill="panel", round=6)
        drawn.text("tanh", right, WRITING - 12, anchor="middle", size=14)
    drawn.line(right, WRITING + 55, right, 206, ink=ink_of(hidden), width=flow(hidden))
    for x, y, sign in ((left, HIGHWAY, "×"), (add, WRITING, "×"), (add, HIGHWAY, "+"), (right, WRITING + 40, "×")):
        drawn.circle(x, y, 15, ink="text", fill="background", stroke=2)
        drawn.text(sign, x, y + 6.5, anchor="middle", size=20, bold=True)
    for x, y, value, name in ((34, HIGHWAY, before, "c₋"), (405, HIGHWAY, after, "c"), (right, 232, hidden, "h")):
        drawn.circle(x, y, 26, ink=ink_of(value), fill="panel", stroke=3)
        drawn.text(short(value), x, y + 5, anchor="middle", size=15, bold=True)
        drawn.text(name, x, y - 33 if y == HIGHWAY else y + 44, anchor="middle", size=16, ink="muted")
    drawn.text(short(kept), (left + add) / 2, HIGHWAY - 12, anchor="middle", size=15, ink=word_ink(kept), bold=True)
    drawn.text(short(written), add + 10, (HIGHWAY + WRITING) / 2 + 6, size=15, ink=word_ink(written), bold=True)
    if cell.output_activation:
        drawn.text(short(shown), right - 10, WRITING + 17, anchor="end", size=15, ink=word_ink(shown), bold=True)


def gate_box(drawn: Figure, cell: LSTM, name: str, value: float) -> None:
    """A gate with how far it is open as a level in its box; the candidate has its sign's colour."""
    x, (width, height) = COLUMNS[name] - GATE[0] / 2, GATE
    held = cell.gates.get(name, "learned") != "learned"
    drawn.rect(x, GATES_TOP, width, height, ink="none", fill="background", round=8)
    level = min(1.0, abs(finite(value)))
    colour = ink_of(value) if name == "candidate" else VALVE
    if level > 0.004:
        drawn.rect(x, GATES_TOP + height * (1 - level), width, height * level, ink="none", fill=colour, opacity=0.32, round=min(8, height * level / 2))  # fmt: skip
    drawn.rect(x, GATES_TOP, width, height, ink=CHOSEN if held else "text", stroke=3 if held else 2, round=8, dash="7 4" if held else None)  # fmt: skip
    squash = "tanh" if name == "candidate" else "σ"
    if name == "candidate" and not cell.candidate_activation:
        squash = ""
    if held:
        squash = t("保持", "held")
    if name == "forget" and cell.coupled and not held:
        squash = "1 − i"
    drawn.text(f"{short(value)}", COLUMNS[name], GATES_TOP + 25, anchor="middle", size=18, bold=True)
    drawn.text(squash, COLUMNS[name], GATES_TOP + 46, anchor="middle", size=14, ink="muted")
    drawn.text(f"{LETTERS[name]} {names()[name]}", COLUMNS[name], GATES_TOP + height + 20, anchor="middle", size=14)


def row_height(place: int) -> float:
    return GATES_TOP + GATE[1] + 48 + 24 * place


def column(drawn: Figure, cell: LSTM, sums: NetInputs, name: str, unit: int) -> None:
    """The sum that a gate's net input is, under its box; none where nothing is learned."""
    block, x = LSTM_ROWS[name], COLUMNS[name] + 24
    parts = [sums.from_input, sums.from_past, sums.bias, *([sums.from_cell] if cell.peephole else []), sums.total]
    none = cell.gates.get(name, "learned") != "learned" or (name == "forget" and cell.coupled)
    for place, part in enumerate(parts):
        last, value = place == len(parts) - 1, part[block, unit].item()
        silent = none or (cell.peephole and name == "candidate" and place == 3)
        text, ink = ("–", "muted") if silent else (short(value), word_ink(value))
        if last and not silent:
            written = sum(as_written(each[block, unit].item(), short) for each in parts[:-1])
            text = f"{equals(written, value, short)} {text}"
        drawn.text(text, x, row_height(place), anchor="end", size=15, ink=ink, bold=last)
    y = row_height(len(parts) - 1) - 18
    drawn.line(COLUMNS[name] - 30, y, x + 2, y, ink="line", width=1.5)


def input_words(config: LSTMConfig, shown: Seen, look: Look) -> str:
    """What comes in at this step, in words."""
    x = shown.x[look.at, 0]
    where = t(f"第 {look.at + 1} 步，单元 {look.unit + 1}。", f"Step {look.at + 1}, unit {look.unit + 1}. ")
    if config.task == "adding":
        marked = t("，有标记：要加上", ", marked: to be added") if x[1] else t("，没有标记", ", not marked")
        return where + f"x = {short(x[0].item())}{marked}"
    if config.task == "digits":
        return where + t(f"x：图的第 {look.at + 1} 行", f"x: row {look.at + 1} of the digit")
    if len(x) > 1:
        on = [name for name, value in zip(channels(config.task), x.tolist(), strict=True) if value]
        return where + t("x：", "x: ") + (t("，", ", ").join(on) or t("空", "empty"))
    return where + f"x = {short(x[0].item())}"


# ---- all units over time ---------------------------------------------------------------------------------------------

LEFT, RIGHT = 92, 12  # of the maps
STRIP, GAP = 54, 11  # height of a map, and between two
FULL_COLOUR = 8.0  # a state that grows past it is drawn no darker


def over_time(config: LSTMConfig, snapshot: Snapshot, look: Look) -> Scene:
    """The sequence, and under it every gate and state of every unit at every step; time runs to the right."""
    shown = seen(config, snapshot.state, look)
    steps = shown.x.shape[0]
    drawn = Figure(WIDTH, 34 + (STRIP + GAP) * 7 + 24)
    width, top = WIDTH - LEFT - RIGHT, 30
    drawn.text(answer_words(config, shown), LEFT, 18, size=15)
    strip_name(drawn, "x", t("输入", "input"), top)
    draw_inputs(drawn, config, shown.x[:, 0], LEFT, top, width, STRIP)
    for name in MAPS:
        top += STRIP + GAP
        values = getattr(shown.steps, name)[:, 0].T
        strip_name(drawn, LETTERS[name], names()[name], top)
        gate = name in LSTM_GATES
        high = 1.0 if gate else min(FULL_COLOUR, max(1.0, finite(values.abs().nan_to_num(0.0, HUGE).max().item())))
        drawn.map(
            name, values.clamp(-LARGEST, LARGEST), LEFT, top, width, STRIP, half=True, scale="sequential" if gate else "diverging", high=high, pick=True,
            label=t(f"{names()[name]}：点一格来看", f"{names()[name]}: click a cell to look at it"),
        )  # fmt: skip
        if gate and shown.cell.gates[name] != "learned":
            drawn.rect(LEFT - 3, top - 3, width + 6, STRIP + 6, ink=CHOSEN, stroke=2, dash="7 4", round=4)
    bottom = top + STRIP
    x = LEFT + look.at / steps * width
    drawn.rect(x - 1, 26, width / steps + 2, bottom - 22, ink=CHOSEN, stroke=2, round=2)
    for place in range(len(MAPS)):
        y = 30 + (STRIP + GAP) * (place + 1) + (look.unit + 0.5) / config.hidden * STRIP
        drawn.path(f"M{LEFT - 2} {y:.1f}l-8 -5v10Z", ink="none", fill=CHOSEN)
    for number in ticks(steps):
        drawn.text(str(number), LEFT + (number - 0.5) / steps * width, bottom + 19, anchor="middle", size=14, ink="muted")  # fmt: skip
    drawn.text(t("步", "step"), LEFT - 12, bottom + 19, anchor="end", size=14, ink="muted")
    words = t(
        f"{steps} 步里 {config.hidden} 个单元的三个门、候选、单元状态和隐状态；{answer_words(config, shown)}。",
        f"Three gates, candidate, cell state and hidden state of {config.hidden} units over {steps} steps; {answer_words(config, shown)}.",
    )
    return Scene((drawn,), words, (look.part, look.unit, look.at))


def strip_name(drawn: Figure, letter: str, name: str, top: float) -> None:
    drawn.text(letter, LEFT - 16, top + 24, anchor="end", size=18, bold=True)
    drawn.text(name, LEFT - 16, top + 43, anchor="end", size=13, ink="muted")


def ticks(steps: int) -> list[int]:
    """Which steps have their number below the maps."""
    apart = next(each for each in (1, 2, 5, 10, 20, 50) if steps / each <= 12)
    return [1, *(number for number in range(apart, steps + 1, apart) if number > 1)]


def draw_inputs(drawn: Figure, config: LSTMConfig, x: Tensor, left: float, top: float, width: float, height: float) -> None:  # fmt: skip
    """The sequence x (T, D): bars for numbers to be added, a line for one channel, otherwise a map."""
    steps, channels = x.shape
    if config.task == "adding":
        wide = width / steps
        bars = {False: "", True: ""}
        for at, (value, mark) in enumerate(x.tolist()):
            bars[bool(mark)] += f"M{left + (at + 0.15) * wide:.1f} {top + height:.1f}v{-value * height:.1f}h{0.7 * wide:.1f}V{top + height:.1f}Z"  # fmt: skip
        drawn.path(bars[False], ink="none", fill="muted", opacity=0.45)
        drawn.path(bars[True], ink="none", fill=POSITIVE)
    elif channels == 1:
        low, high = min(0.0, x.min().item()), max(0.0, x.max().item())
        points = [
            f"{left + (at + 0.5) / steps * width:.1f} {top + height * (high - value) / ((high - low) or 1):.1f}"
            for at, value in enumerate(x[:, 0].tolist())
        ]
        zero = top + height * high / ((high - low) or 1)
        drawn.line(left, zero, left + width, zero, ink="line")
        drawn.path("M" + "L".join(points), ink="text", width=2)
    else:
        drawn.map("x", x.T, left, top, width, height, scale="gray", high=1.0)
        return
    drawn.line(left, top + height, left + width, top + height, ink="line", width=1.5)


def answer_words(config: LSTMConfig, shown: Seen) -> str:
    """What the network says after the last step, and what is right."""
    if not task_of(config.task).classes:
        what = t("要的和", "wanted sum") if config.task == "adding" else t("下一个值", "next value")
        if config.task in SERIES_TASKS:
            what += t("（标准化）", " (standardised)")
        return t(f"{what} {short(shown.target.item())}，网络说 {short(shown.answer.item())}", f"{what} {short(shown.target.item())}, the network says {short(shown.answer.item())}")  # fmt: skip
    share, best = torch.softmax(shown.answer, 0).max(0)
    target, said = (answers(config.task)[int(value)] for value in (shown.target, best))
    return t(f"正确答案 {target}，网络说 {said}（{share.item():.0%}）", f"right answer {target}, the network says {said} ({share.item():.0%})")  # fmt: skip


# ---- gates held in the trained network -------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def scores_by(config: LSTMConfig, weights: Weights) -> dict[str, dict[str, float]]:
    return clamped_scores(config, unpacked(weights))


def measured(config: LSTMConfig, state: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """`clamped_scores`, measured once for equal weights."""
    return scores_by(config, packed(state))


BAR_LEFT, BAR_WIDTH, ROW = 98, 138, 36  # of the bars
DWARFING = 10  # times the median: so long a bar is cut


def clamps(config: LSTMConfig, snapshot: Snapshot, chosen: str) -> Scene:
    """The score of these weights as they are, and with each gate held: bars, longer is more."""
    scores = measured(config, snapshot.state)
    metric = ACCURACY if task_of(config.task).classes else LOSS
    values = {clamp: score[metric.name] for clamp, score in scores.items()}
    guess = 1 / task_of(config.task).output_size if metric == ACCURACY else memoryless_loss(config.task, config.length)
    longest = 1.0 if metric == ACCURACY else longest_bar(values.values())
    drawn = Figure(300, 64 + ROW * len(values))
    title = t(f"留出数据上的{term(metric.name)}", f"{term(metric.name)} on held-out data")
    drawn.text(title, 12, 20, size=15, bold=True)
    bottom = 34 + ROW * len(values)
    if guess is not None and guess <= longest:
        x = BAR_LEFT + BAR_WIDTH * guess / longest
        drawn.line(x, 34, x, bottom + 4, ink="text", width=1.5, dash="3 4")
        word = t("乱猜", "guessing") if metric == ACCURACY else t("不记忆", "no memory")
        drawn.text(f"{word} {scored(guess, metric == ACCURACY)}", min(x, 240), bottom + 20, anchor="middle", size=14, ink="muted")  # fmt: skip
    for place, (clamp, value) in enumerate(values.items()):
        y = 34 + ROW * place
        selected = clamp == chosen
        drawn.text(clamp_names()[clamp], BAR_LEFT - 10, y + 23, anchor="end", size=15, bold=selected)
        length = BAR_WIDTH * (min(1.0, value / longest) if math.isfinite(value) else 1.0)
        cut = not value <= longest
        drawn.rect(BAR_LEFT, y + 6, max(1.5, length), ROW - 12, ink="none", fill=VALVE if clamp == "as_trained" else "#8497ab", round=3)  # fmt: skip
        if cut:
            drawn.path(
                f"M{BAR_LEFT + length - 22} {y + ROW - 4}l8 {8 - ROW}m6 0l-8 {ROW - 8}", ink="background", width=3
            )
        number, x = scored(value, metric == ACCURACY), BAR_LEFT + max(1.5, length) + 7
        drawn.rect(x - 3, y + 8, 8.6 * len(number) + 4, ROW - 16, ink="none", fill="background", round=4)
        drawn.text(number, x, y + 23, size=15, bold=selected)
        drawn.rect(
            2, y + 1, 296, ROW - 2, ink=CHOSEN if selected else "none", stroke=2.5, fill="background", opacity=0.0, round=8,
            go=clamp, label=t(f"看图：{clamp_names()[clamp]}", f"Look at it: {clamp_names()[clamp]}"),
        )  # fmt: skip
    words = title + t("：", ": ") + "; ".join(f"{clamp_names()[clamp]} {scored(value, metric == ACCURACY)}" for clamp, value in values.items())  # fmt: skip
    return Scene((drawn,), words)


def longest_bar(values: Iterable[float]) -> float:
    """What fills the width: the largest, unless it dwarfs the others, whose bars could then not be told apart."""
    known = sorted(value for value in values if math.isfinite(value))
    if not known:
        return 1.0
    return max(value for value in known if value <= DWARFING * known[len(known) // 2]) or 1.0


def scored(value: float, percent: bool) -> str:
    """A score with sensible digits."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    if percent:
        return f"{value:.0%}"
    if value >= 1e4 or value < 1e-3:
        digits, power = f"{value:.0e}".split("e")
        return f"{digits}e{int(power)}".replace("-", "−") if value else "0"
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}" if value < 100 else f"{value:,.0f}"
