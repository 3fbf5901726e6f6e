"""The pictures of the GRU lesson: pure functions of settings, weights, and the sequence, step and unit looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from core.data.sequences import SERIES_TASKS, UNASKED, held_out, task_of
from core.gru import GATE_STATES, GRU, GRUConfig, GRUTrace, gru_step, held_at
from core.sequence_learner import SequenceConfig, model_of
from core.training import ACCURACY, LOSS, Metric, Race, Run, Snapshot
from pages.ui import charts
from pages.ui.palette import NEGATIVE, POSITIVE, SERIES
from pages.ui.pictures_sequences import as_written, equals, tasks
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

MAPS = ("update", "reset", "state")  # over time, from above
EXAMPLES = range(1, 17)  # of the held-out sequences, that can be looked at
UNITS_SHOWN = 32  # rows of a map over time, at most
OPENED, HELD = "#0a9371", "#c4608f"  # of what a gate lets through, of a gate that is held


def task_names() -> dict[str, str]:
    """What the tasks are called, in short."""
    return {name: words.partition("：")[0].partition(":")[0] for name, words in tasks().items()}


class Seen(NamedTuple):
    """One sequence as the network goes through it; hidden values are (T, hidden)."""

    inputs: Tensor  # (T, D)
    from_input: Tensor  # (T, 3·hidden): W x + b of reset gate, update gate, candidate
    earlier: Tensor  # h₋
    trace: GRUTrace
    other: GRUTrace  # the same weights and states with the reset gate at the other place
    answers: Tensor  # (T, output_size): what the readout says if it is asked at each step
    targets: Tensor  # of this sequence: (T,), or () where only the last step is asked


@torch.no_grad()
def seen(config: GRUConfig, state: dict[str, Tensor], example: int) -> Seen:
    """What happens in held-out sequence number `example` (from 1; of fewer sequences the last)."""
    model, sequences = model_of(config, state), held_out(config.task, config.length, config.distractors, config.series)
    chosen = min(example, sequences.inputs.shape[1]) - 1
    cell: GRU = model.cell  # type: ignore[assignment]
    x = sequences.inputs[:, chosen : chosen + 1]
    trace = cell.trace(x)
    earlier = torch.cat([torch.zeros_like(trace.state[:1]), trace.state[:-1]])
    from_input = x @ cell.weight_ih_l0.T + cell.bias_ih_l0
    other = gru_step(
        from_input, earlier, cell.weight_hh_l0, cell.bias_hh_l0, held_at(cell.gates), cell.reset != "before"
    )
    targets = sequences.targets
    target = targets[chosen] if not task_of(config.task).every_step else targets[:, chosen]
    return Seen(
        x[:, 0], from_input[:, 0], earlier[:, 0], GRUTrace(*(each[:, 0] for each in trace)),
        GRUTrace(*(each[:, 0] for each in other)), model.readout(trace.state)[:, 0], target.squeeze(-1) if target.dim() and target.is_floating_point() else target,
    )  # fmt: skip


class Numbers(NamedTuple):
    """Every number of one unit in one step."""

    x_r: float  # W x + b of the reset gate …
    h_r: float  # … and U h₋ + b
    r: float
    x_z: float
    h_z: float
    z: float
    x: float  # of the candidate
    heard: float  # "after": U h₋ + b' of it; "before": r h₋
    past: float  # what it hears of the past in the end
    candidate: float
    earlier: float
    state: float


@torch.no_grad()
def numbers(config: GRUConfig, state: dict[str, Tensor], shown: Seen, at: int, unit: int) -> Numbers:
    """Of step `at` and hidden unit `unit`, both from 1."""
    step, j, hidden = at - 1, unit - 1, config.hidden
    x_r, x_z, x = shown.from_input[step].view(3, hidden)[:, j].tolist()
    rows = state["cell.weight_hh_l0"] @ shown.earlier[step] + state["cell.bias_hh_l0"]
    h_r, h_z, heard = rows.view(3, hidden)[:, j].tolist()
    r, z, past, candidate, h = (each[step, j].item() for each in shown.trace)
    earlier = shown.earlier[step, j].item()
    if config.reset_place == "before":
        heard = r * earlier
    return Numbers(x_r, h_r, r, x_z, h_z, z, x, heard, past, candidate, earlier, h)


# ---- the formula -----------------------------------------------------------------------------------------------------


def general(config: GRUConfig) -> str:
    """KaTeX: the four equations."""
    past = (
        r"\mathbf U(\mathbf r\odot\mathbf h_{-})+\mathbf b'"
        if config.reset_place == "before"
        else r"\mathbf r\odot(\mathbf U\mathbf h_{-}+\mathbf b')"
    )
    gates = {
        "learned": r"\sigma(\mathbf W_{0}\mathbf x_t+\mathbf U_{0}\mathbf h_{{-}}+\mathbf b_{0})",
        "open": r"\mathbf 1",
        "shut": r"\mathbf 0",
    }
    return (
        rf"\small\begin{{aligned}} \mathbf r &= {gates[config.reset_gate].format('r')} \\ \mathbf z &= {gates[config.update_gate].format('z')} \\"
        rf" \tilde{{\mathbf h}} &= \tanh(\mathbf W\mathbf x_t+\mathbf b+{past}) \\"
        r" \mathbf h_t &= \mathbf z\odot\mathbf h_{-}+(1-\mathbf z)\odot\tilde{\mathbf h} \end{aligned}"
    )


def formula(config: GRUConfig, state: dict[str, Tensor], example: int, at: int, unit: int) -> str:
    """KaTeX: the same for one unit in one step, with its numbers."""
    n = numbers(config, state, seen(config, state, example), at, unit)

    def gate(x: float, h: float, value: float, setting: str) -> str:
        result = told(torch.tensor(written(x) + written(h)).sigmoid().item(), value)
        return rf"\sigma({plain(x)}{signed(h)}) {result}" if setting == "learned" else rf"\mathbf{{{plain(value)}}}"  # fmt: skip

    past = signed(n.past) if config.reset_place == "before" else rf"+{plain(n.r)}{factor(n.heard)}"
    heard = written(n.past) if config.reset_place == "before" else written(n.r) * written(n.heard)
    candidate = told(math.tanh(written(n.x) + heard), n.candidate)
    blended = written(n.z) * written(n.earlier) + written(1 - n.z) * written(n.candidate)
    return (
        rf"\small\begin{{aligned}} r &= {gate(n.x_r, n.h_r, n.r, config.reset_gate)} \\ z &= {gate(n.x_z, n.h_z, n.z, config.update_gate)} \\"
        rf" \tilde h &= \tanh({plain(n.x)}{past}) {candidate} \\"
        rf" h_t &= {plain(n.z)}{factor(n.earlier)}+{plain(1 - n.z)}{factor(n.candidate)} {told(blended, n.state)} \end{{aligned}}"
    )


def told(terms: float, result: float) -> str:
    """A result after what it is the result of."""
    return rf"{equals(terms, result, plain)} \mathbf{{{plain(result)}}}".replace("≈", r"\approx")


def written(value: float) -> float:
    return as_written(value, plain)


def plain(value: float) -> str:
    """A number with two decimals, as in the picture."""
    if not math.isfinite(value):
        return r"\infty" if value == value else r"\text{NaN}"
    text = f"{value:.2f}".removesuffix(".00")
    return "0" if text in ("-0", "-0.00") else text


def factor(value: float) -> str:
    """What follows a number that it is multiplied by."""
    return f"({plain(value)})" if value < 0 else rf"\cdot {plain(value)}"


def signed(value: float) -> str:
    return plain(value) if value < 0 else f"+{plain(value)}"


def short(value: float) -> str:
    """A number in a picture."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


# ---- the cell --------------------------------------------------------------------------------------------------------

X_OLD, X_UPDATE, X_RESET, X_TIMES, X_NEW, X_STATE = 42.0, 140.0, 250.0, 328.0, 428.0, 510.0  # columns, from left
Y_STATE, Y_BLEND, Y_GATES, Y_PAST, Y_INPUT = 70.0, 166.0, 268.0, 354.0, 402.0  # rows, from the top
CELL = (552.0, 446.0)


def cell(config: GRUConfig, snapshot: Snapshot, example: int, at: int, unit: int) -> Scene:
    """The cell in one step, with all numbers of one unit."""
    shown = seen(config, snapshot.state, example)
    n = numbers(config, snapshot.state, shown, at, unit)
    drawn = Figure(*CELL)
    drawn.text(t(f"第 {at} 步，第 {unit} 个单元", f"Step {at}, unit {unit}"), 10, 22, bold=True, size=17)
    wires(drawn, config, n)
    old_and_new(drawn, n)
    gate_box(drawn, X_UPDATE, "z", n.z, n.x_z + n.h_z, config.update_gate)
    gate_box(drawn, X_RESET, "r", n.r, n.x_r + n.h_r, config.reset_gate)
    box(drawn, X_NEW, f"tanh({short(n.x + n.past)})", f"h̃ = {short(n.candidate)}", sign_ink(n.candidate))
    names(drawn)
    kept = t("保留", "keeps")
    words = t(
        f"GRU 单元：更新门 z = {short(n.z)} {kept}旧状态 {short(n.earlier)}，其余取候选 {short(n.candidate)}，得到 {short(n.state)}。重置门 r = {short(n.r)}。",
        f"A GRU cell: the update gate z = {short(n.z)} keeps that much of the old state {short(n.earlier)}, the rest is the candidate {short(n.candidate)}: the new state is {short(n.state)}. The reset gate is {short(n.r)}.",
    )
    return Scene((drawn,), words)


def flow(value: float) -> float:
    """How thick a line is that a gate lets this share through."""
    return 1.2 + 7 * min(1.0, max(0.0, value)) if math.isfinite(value) else 1.2


def wires(drawn: Figure, config: GRUConfig, n: Numbers) -> None:
    """All lines and the small numbers beside them; what a gate lets through is as thick as the gate is open."""
    half = 28  # of a gate's box
    # the state, from left to right along the top, and what is blended into it
    drawn.line(X_OLD + 36, Y_STATE, X_UPDATE - 15, Y_STATE, ink="text", width=2.5)
    drawn.line(X_UPDATE + 15, Y_STATE, X_NEW - 16, Y_STATE, ink=OPENED, width=flow(n.z))
    drawn.line(X_NEW + 16, Y_STATE, X_STATE - 40, Y_STATE, ink="text", width=2.5, arrow=True)
    drawn.line(X_NEW, Y_BLEND - 15, X_NEW, Y_STATE + 16, ink=OPENED, width=flow(1 - n.z))
    drawn.line(X_NEW, Y_GATES - half, X_NEW, Y_BLEND + 15, ink="text", width=2.5)
    drawn.line(X_UPDATE, Y_GATES - half, X_UPDATE, Y_STATE + 15, ink=SERIES[2], width=2, arrow=True)
    drawn.line(X_UPDATE, Y_BLEND, X_NEW - 15, Y_BLEND, ink=SERIES[2], width=2, arrow=True)
    drawn.circle(X_UPDATE, Y_BLEND, 4, ink=SERIES[2], fill=SERIES[2])
    drawn.text(f"1 − z = {short(1 - n.z)}", (X_UPDATE + X_NEW) / 2, Y_BLEND - 10, anchor="middle", size=16)
    drawn.text(f"z · h₋ = {short(n.z * n.earlier)}", (X_UPDATE + X_NEW) / 2, Y_STATE - 13, anchor="middle", size=16)
    drawn.text(f"{short((1 - n.z) * n.candidate)}", X_NEW + 12, (Y_STATE + Y_BLEND) / 2 + 5, size=16)
    # the past below, and the input under it
    drawn.path(f"M{X_OLD} {Y_STATE + 24}V{Y_PAST}H{X_TIMES}", ink="text", width=2)
    drawn.line(X_OLD + 36, Y_INPUT, X_NEW, Y_INPUT, ink="muted", width=2)
    for x, past, new, setting in (
        (X_UPDATE, n.h_z, n.x_z, config.update_gate),
        (X_RESET, n.h_r, n.x_r, config.reset_gate),
    ):
        if setting == "learned":
            rise(drawn, x - 14, Y_PAST, Y_GATES + half, "text")
            rise(drawn, x + 14, Y_INPUT, Y_GATES + half, "muted")
            drawn.text(short(past), x - 20, Y_GATES + 52, anchor="end", size=14)
            drawn.text(short(new), x + 20, Y_GATES + 52, size=14)
    rise(drawn, X_NEW, Y_INPUT, Y_GATES + half, "muted")
    drawn.text(short(n.x), X_NEW + 7, Y_GATES + 52, size=14)
    rise(drawn, X_TIMES, Y_PAST, Y_GATES + 15, "text", arrow=False)
    drawn.line(X_RESET + 49, Y_GATES, X_TIMES - 15, Y_GATES, ink=SERIES[2], width=2, arrow=True)
    drawn.line(X_TIMES + 15, Y_GATES, X_NEW - 50, Y_GATES, ink=OPENED, width=flow(n.r))
    before = config.reset_place == "before"
    matrix = ((X_TIMES + X_NEW) / 2 - 16, Y_GATES) if before else (X_TIMES, Y_GATES + 56)
    drawn.rect(matrix[0] - 12, matrix[1] - 12, 24, 24, ink="text", fill="background", round=4)
    drawn.text("U", matrix[0], matrix[1] + 6, anchor="middle", size=16, bold=True)
    drawn.text(short(n.heard), X_TIMES + 8, Y_GATES + 36, size=14)
    drawn.text(short(n.past), (X_TIMES + X_NEW) / 2 - 16, Y_GATES - 18, anchor="middle", size=14)
    for x, y, sign in ((X_UPDATE, Y_STATE, "×"), (X_NEW, Y_BLEND, "×"), (X_NEW, Y_STATE, "+"), (X_TIMES, Y_GATES, "×")):
        drawn.circle(x, y, 15, ink="text", fill="background", stroke=2)
        drawn.text(sign, x, y + 7, anchor="middle", size=21, bold=True)


def rise(drawn: Figure, x: float, bottom: float, top: float, ink: str, arrow: bool = True) -> None:
    """A line up from one of the two lines below, with a dot where it begins."""
    drawn.line(x, bottom, x, top, ink=ink, width=2, arrow=arrow)
    drawn.circle(x, bottom, 4, ink=ink, fill=ink)


def old_and_new(drawn: Figure, n: Numbers) -> None:
    """The states at both ends, and the input."""
    for x, name, value in ((X_OLD, "h₋", n.earlier), (X_STATE, "h", n.state)):
        drawn.rect(x - 38, Y_STATE - 26, 76, 52, ink=sign_ink(value), fill="panel", stroke=2.5, round=10)
        drawn.text(name, x, Y_STATE - 6, anchor="middle", size=15, ink="muted")
        drawn.text(short(value), x, Y_STATE + 16, anchor="middle", size=18, bold=True, ink=word_ink(value))
    drawn.rect(X_OLD - 38, Y_INPUT - 20, 76, 40, ink="muted", fill="panel", stroke=2, round=10)
    drawn.text("xₜ", X_OLD, Y_INPUT + 7, anchor="middle", size=19, bold=True)


def gate_box(drawn: Figure, x: float, name: str, value: float, net_input: float, setting: str) -> None:
    """A gate with what it says; how far it is filled shows how open it is."""
    held = {"open": t("开着", "held open"), "shut": t("关着", "held shut")}.get(setting)
    if math.isfinite(value):
        drawn.rect(x - 48, Y_GATES + 28 - 56 * value, 96, 56 * value, ink="none", fill=OPENED, opacity=0.22)
    box(drawn, x, held or f"σ({short(net_input)})", f"{name} = {short(value)}", HELD if held else SERIES[2], dash="7 5" if held else None, fill="none")  # fmt: skip


def box(
    drawn: Figure, x: float, above: str, below: str, ink: str, dash: str | None = None, fill: str = "panel"
) -> None:
    drawn.rect(x - 48, Y_GATES - 28, 96, 56, ink=ink, fill=fill, stroke=2.5, round=6, dash=dash)
    drawn.text(above, x, Y_GATES - 7, anchor="middle", size=15, ink="muted")
    drawn.text(below, x, Y_GATES + 17, anchor="middle", size=18, bold=True)


def names(drawn: Figure) -> None:
    """What the parts are called."""
    for name, x, anchor in ((term("update_gate"), X_UPDATE - 8, "end"), (term("reset_gate"), X_RESET, "middle"), (term("candidate_state"), X_NEW + 10, "start")):  # fmt: skip
        drawn.text(name, x, Y_GATES - 38, anchor=anchor, size=15, ink="muted")
    drawn.text(t("↑ 旁：左边来自 h₋，右边来自 xₜ（都含偏置）", "Beside ↑: what h₋ (left) and xₜ (right) add, biases included"), X_OLD + 42, Y_INPUT + 32, size=14, ink="muted")  # fmt: skip


def sign_ink(value: float) -> str:
    return NEGATIVE if value < 0 else POSITIVE if value > 0 else "muted"


def word_ink(value: float) -> str:
    return "blue" if value < 0 else "orange" if value > 0 else "text"


# ---- over time, and all units of one step ----------------------------------------------------------------------------

LEFT, MAP_WIDTH, MAP_HEIGHT = 34.0, 486.0, 100.0
BLEND_TOP, BLEND_HEIGHT = 64.0, 176.0
OVER_TIME, ONE_STEP = (LEFT + MAP_WIDTH + 12, 566.0), (376.0, 566.0)


def whole(config: GRUConfig, snapshot: Snapshot, example: int, at: int, unit: int) -> Scene:
    """Gates and states over the whole sequence, and beside them the chosen step with all of its units."""
    shown = seen(config, snapshot.state, example)
    z = shown.trace.update[at - 1]
    words = t(
        f"热图：一条真实序列上每一步的更新门、重置门和隐状态；第 {at} 步平均保留旧状态的 {short(z.mean().item())}。右边是这一步每个单元的新旧比例。",
        f"Heat maps of update gate, reset gate and hidden state at every step of one sequence; at step {at} a share of {short(z.mean().item())} of the old state is kept on average. Beside them how each unit blends old and new in this step.",
    )
    return Scene((over_time(config, shown, at, unit), one_step(config, shown, at, unit)), words)


def over_time(config: GRUConfig, shown: Seen, at: int, unit: int) -> Figure:
    """What it would answer at each step, the input, and below each other both gates and the state."""
    drawn = Figure(*OVER_TIME)
    steps, units = len(shown.inputs), min(UNITS_SHOWN, config.hidden)
    answers(drawn, config, shown, 30.0, 62.0)
    high = max(1.0, shown.inputs.abs().max().item())
    drawn.map("x", shown.inputs.T, LEFT, 122, MAP_WIDTH, 40, high=high, title=t("输入 xₜ", "Input xₜ"), hover=True)
    limited = "" if units == config.hidden else t(f"（前 {units} 个单元）", f" (first {units} units)")
    titles = {
        "update": t("更新门 z：亮 = 保留旧状态", "Update gate z: bright keeps the old state"),
        "reset": t("重置门 r：亮 = 听见过去", "Reset gate r: bright hears the past"),
        "state": t("隐状态 h", "Hidden state h"),
    }
    for number, (name, title) in enumerate(titles.items()):
        gate, y = name != "state", 194 + 125 * number
        drawn.map(
            name, getattr(shown.trace, name)[:, :units].T, LEFT, y, MAP_WIDTH, MAP_HEIGHT, pick=True, high=1.0,
            scale="sequential" if gate else "diverging", title=title + limited, label=title,
        )  # fmt: skip
        if unit <= units:
            drawn.text(f"{unit}", LEFT - 5, y + (unit - 0.5) / units * MAP_HEIGHT + 5, anchor="end", size=14)
    width = MAP_WIDTH / steps
    drawn.rect(LEFT + (at - 1) * width, 30, width, 194 + 250 + MAP_HEIGHT - 30, ink=HELD, stroke=2, round=2)
    for step in sorted({1, steps, at}):
        far = step == at or abs(step - at) * width > 24
        if far:
            drawn.text(str(step), LEFT + (step - 0.5) * width, 194 + 250 + MAP_HEIGHT + 17, anchor="middle", size=14, bold=step == at)  # fmt: skip
    return drawn


def answers(drawn: Figure, config: GRUConfig, shown: Seen, top: float, height: float) -> None:
    """A line: what the readout says if asked at each step; dashed what is right. Of classes the right one's probability."""
    task, steps = task_of(config.task), len(shown.inputs)
    if task.classes:
        wanted = shown.targets.expand(steps) if shown.targets.dim() == 0 else shown.targets
        chosen = wanted.clamp(min=0)[:, None]
        line = shown.answers.softmax(1).gather(1, chosen)[:, 0]
        line = torch.where(wanted == UNASKED, math.nan, line)
        right, low, high = torch.ones(steps), 0.0, 1.0
        title = t("现在就问：正确类的概率", "If asked now: probability of the right class")
    else:
        line, right = shown.answers[:, 0], shown.targets.expand(steps)
        if config.task in SERIES_TASKS:
            right = torch.cat([shown.inputs[1:, 0], shown.targets[-1:]])  # each value's successor
        both = torch.cat([line, right])
        both = both[both.isfinite()]
        low, high = (both.min().item(), both.max().item()) if len(both) else (0.0, 1.0)
        title = t("现在就问：它的回答（虚线：正确答案）", "If asked now: its answer (dashed: the right one)")
    low, high = min(low, 0.0), max(high, low + 1e-3)
    drawn.text(title, LEFT, top - 8, size=15, bold=True)
    drawn.line(LEFT, top + height, LEFT + MAP_WIDTH, top + height, ink="line")
    for values, ink, width, dash in ((right, "muted", 2.0, "6 4"), (line, NEGATIVE, 2.5, None)):
        d, pen = "", "M"
        for step, value in enumerate(values.tolist()):
            if math.isfinite(value):
                y = top + height * (1 - min(1.05, max(-0.05, (value - low) / (high - low))))
                d += f"{pen}{LEFT + (step + 0.5) / steps * MAP_WIDTH:.1f} {y:.1f}"
                pen = "L"
            else:
                pen = "M"
        if "L" in d:
            drawn.path(d, ink=ink, width=width, dash=dash)
    drawn.text(charts_number(high), LEFT - 4, top + 8, anchor="end", size=14, ink="muted")
    drawn.text(charts_number(low), LEFT - 4, top + height + 4, anchor="end", size=14, ink="muted")


def charts_number(value: float) -> str:
    return f"{value:.1f}".replace("-", "−") if math.isfinite(value) else ""


def one_step(config: GRUConfig, shown: Seen, at: int, unit: int) -> Figure:
    """All units of one step: candidate above, old state below, between them how much of each; then the reset gate."""
    drawn, step, left, width = Figure(*ONE_STEP), at - 1, 68.0, 300.0
    units = min(UNITS_SHOWN, config.hidden)
    new, old, z, h = (
        each[step, :units] for each in (shown.trace.candidate, shown.earlier, shown.trace.update, shown.trace.state)
    )
    drawn.text(t(f"第 {at} 步：每个单元怎样混合新旧", f"Step {at}: how each unit blends new and old"), 8, 20, bold=True, size=16)  # fmt: skip
    rows = (
        (t("候选", "new"), "h̃", new, 34.0, "new"), (t("旧", "old"), "h₋", old, 244.0, "old"),
        (t("结果", "result"), "h", h, 284.0, "result"),
    )  # fmt: skip
    for word, letter, values, y, name in rows:
        drawn.map(
            name,
            values[None],
            left,
            y,
            width,
            26,
            high=1.0,
            pick=True,
            label=t(f"每个单元的{word} {letter}", f"{word} {letter} of every unit"),
        )
        drawn.text(f"{word} {letter}", left - 6, y + 18, anchor="end", size=15)
    drawn.text("1 − z ↑", left - 6, 96, anchor="end", size=15, ink="muted")
    drawn.text("z ↓", left - 6, 228, anchor="end", size=15, ink="muted")
    column, edge = width / units, ""
    shares = (1 - z).nan_to_num(0.5).tolist()
    for j, (share, above, below) in enumerate(zip(shares, new.tolist(), old.tolist(), strict=True)):
        x, y = left + j * column, BLEND_TOP + BLEND_HEIGHT * share
        drawn.rect(x, BLEND_TOP, column, y - BLEND_TOP, ink="none", fill=diverging(above))
        drawn.rect(x, y, column, BLEND_TOP + BLEND_HEIGHT - y, ink="none", fill=diverging(below))
        edge += f"{'L' if j else 'M'}{x:.1f} {y:.1f}h{column:.2f}"
    drawn.rect(left, BLEND_TOP, width, BLEND_HEIGHT, ink="muted", stroke=1)
    drawn.path(edge, ink="#17212b", width=2.2)
    if unit <= units:
        x = left + (unit - 1) * column
        drawn.rect(x, 32, column, 280, ink=HELD, stroke=2, round=2)
    reset_places(drawn, config, shown, step, units, left, width)
    return drawn


def diverging(value: float) -> str:
    """The colour of a value of −1…1, as heat maps have it."""
    if not math.isfinite(value):
        return HELD
    strong = [int((NEGATIVE if value < 0 else POSITIVE)[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + (part - 255) * min(1.0, abs(value))):02x}" for part in strong)


def reset_places(
    drawn: Figure, config: GRUConfig, shown: Seen, step: int, units: int, left: float, width: float
) -> None:
    """The candidates of the same weights and the same past with the reset gate at either place."""
    after = config.reset_place == "after"
    places = {"after": shown.trace if after else shown.other, "before": shown.other if after else shown.trace}
    drawn.text(t("重置门的两个位置：同样的权重", "Reset at two places, same weights"), 8, 352, bold=True, size=16)  # fmt: skip
    drawn.map("r", shown.trace.reset[step : step + 1, :units], left, 366, width, 24, scale="sequential", high=1.0)
    drawn.text("r", left - 6, 383, anchor="end", size=15)
    words = {"after": (t("之后", "after"), "r ⊙ (U h₋ + b′)"), "before": (t("之前", "before"), "U (r ⊙ h₋) + b′")}
    for number, (place, trace) in enumerate(places.items()):
        y = 420 + 52 * number
        used = place == config.reset_place
        drawn.map(f"place_{place}", trace.candidate[step : step + 1, :units], left, y, width, 24, high=1.0)
        drawn.text(words[place][0], left - 6, y + 17, anchor="end", size=15, bold=used)
        drawn.text(words[place][1] + (t("　现在用的", " · in use") if used else ""), left, y - 7, size=14, ink="muted", bold=used)  # fmt: skip
    gap = (places["after"].candidate - places["before"].candidate)[step].abs()
    drawn.text(t(f"差：平均 {short(gap.mean().item())}，最大 {short(gap.max().item())}", f"difference: mean {short(gap.mean().item())}, largest {short(gap.max().item())}"), left, 520, size=15)  # fmt: skip


# ---- the table -------------------------------------------------------------------------------------------------------


def are_twins(race: Race) -> bool:
    """Whether the GRU and the simple RNN of the race are one function, and have been trained."""
    configs = race.configs
    gru = configs["gru"]
    held = isinstance(gru, GRUConfig) and (gru.reset_gate, gru.update_gate) == ("open", "shut")
    return held and "rnn" in configs and race.steps > 0


def apart(race: Race) -> float:
    """The largest distance between their curves so far, training and held-out loss."""
    others = {record.step: record.scores for record in race.runs["rnn"].history}
    return max(
        abs(scores[part][LOSS.name] - others[step][part][LOSS.name])
        for step, scores in race.runs["gru"].history
        if step in others
        for part in scores
    )


def learned_count(config: SequenceConfig, state: Mapping[str, Tensor]) -> int:
    """The parameters that a run learns; rows of held gates do not count."""
    total = sum(value.numel() for value in state.values())
    if not isinstance(config, GRUConfig):
        return total
    inside = sum(value.numel() for name, value in state.items() if name.startswith("cell."))
    return total - inside + model_of(config, dict(state)).cell.learned_count()  # type: ignore[operator]


def score_at(run: Run, step: int, metric: Metric) -> float | None:
    """The last held-out measure at or before a step."""
    known = [record for record in run.history if record.step <= step]
    return known[-1].scores.get("test", {}).get(metric.name) if known else None


def table(configs: Mapping[str, SequenceConfig], snapshots: Mapping[str, Snapshot], race: Race) -> Scene:
    """One row for each run: parameters, updates per second of processor time, and what it has come to."""
    metrics = tuple(race.metrics)
    heads = [
        t("参数", "Parameters"),
        t("更新/秒", "Updates/s"),
        *(t(f"测试{term(metric.name)}", f"Held-out {term(metric.name).lower()}") for metric in metrics),
    ]
    first, each = 190.0, 122.0  # widths of the columns
    drawn, said = Figure(first + each * len(heads), 44 + 36 * len(configs)), []
    for number, head in enumerate(heads):
        drawn.text(head, first + each * (number + 1) - 10, 24, anchor="end", size=15, ink="muted")
    values = {
        name: {metric: score_at(race.runs[name], snapshots[name].step, metric) for metric in metrics}
        for name in configs
    }
    for row, (name, config) in enumerate(configs.items()):
        run, y = race.runs[name], 62 + 36 * row
        drawn.line(4, y - 25, drawn.width - 4, y - 25, ink="line")
        rate = f"{run.steps / run.seconds:,.0f}" if run.seconds else "–"
        cells = [f"{learned_count(config, snapshots[name].state):,}", rate]
        cells += [charts.number(values[name][metric], metric) for metric in metrics]
        drawn.circle(14, y - 6, 7, ink="none", fill=SERIES[row % len(SERIES)])
        drawn.text(term(name), 30, y, size=17, bold=True)
        for number, cell_text in enumerate(cells):
            best = number >= 2 and is_best(values, name, metrics[number - 2])
            drawn.text(cell_text, first + each * (number + 1) - 10, y, anchor="end", size=17, bold=best)
        said.append(f"{term(name)}: " + ", ".join(f"{head} {cell}" for head, cell in zip(heads, cells, strict=True)))
    return Scene((drawn,), "; ".join(said))


def is_best(values: Mapping[str, Mapping[Metric, float | None]], name: str, metric: Metric) -> bool:
    known = {each: value[metric] for each, value in values.items() if value[metric] is not None}
    if len(known) < 2 or name not in known or metric.better == "neither":
        return False
    return known[name] == (max if metric.better == "higher" else min)(known.values())


# ---- gates held on a trained network ---------------------------------------------------------------------------------


def clamps(scores: Mapping[tuple[str, str], Mapping[str, float]]) -> Scene:
    """A score for each way to hold the two gates of one trained network."""
    metric = ACCURACY if ACCURACY.name in next(iter(scores.values())) else LOSS
    values = torch.tensor([[scores[reset, update][metric.name] for update in GATE_STATES] for reset in GATE_STATES])
    drawn, left, top, side = Figure(520, 300), 150.0, 92.0, 116.0
    settings = {
        "learned": t("学到的", "as learned"),
        "open": t("开着 1", "held at 1"),
        "shut": t("关着 0", "held at 0"),
    }
    drawn.text(term(metric.name), 8, 24, bold=True, size=17)
    drawn.text(t("更新门 z", "Update gate z"), left + 1.5 * side, 52, anchor="middle", size=16)
    drawn.text(t("重置门 r", "Reset gate r"), 8, top - 14, size=16)
    for number, state in enumerate(GATE_STATES):
        drawn.text(settings[state], left + (number + 0.5) * side, 80, anchor="middle", size=15, ink="muted")
        drawn.text(settings[state], left - 12, top + 64 * number + 38, anchor="end", size=15, ink="muted")
    drawn.map("clamps", values, left, top, 3 * side, 192, scale="sequential", low=0.0, high=max(values.nan_to_num().max().item(), 1e-6), numbers=True, hover=False)  # fmt: skip
    drawn.rect(left, top, side, 64, ink=HELD, stroke=4)
    said = "; ".join(f"r {settings[reset]}, z {settings[update]}: {charts.number(found[metric.name], metric)}" for (reset, update), found in scores.items())  # fmt: skip
    return Scene((drawn,), t(f"同一个训练好的网络，门固定后的{term(metric.name)}：", f"{term(metric.name)} of one trained network with its gates held: ") + said)  # fmt: skip
