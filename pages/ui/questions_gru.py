"""The questions and challenges of the GRU lesson."""

from __future__ import annotations

import torch
from torch import nn

from core.data.sequences import held_out
from core.gru import GRU, PRESETS, GRUConfig, clamped_scores, race
from core.lstm import LSTM
from core.sequence_learner import model_of
from core.training import ACCURACY, LOSS, Run
from pages.ui import pictures_gru as pictures
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Number, Question, score, steps_to
from pages.ui.text import t, term

SOLVED, GUESSING = 0.01, 0.15  # held-out errors of the adding problem: learned; hardly better than always saying 1
TWIN = 1e-4  # two curves that are one
UNITS, INPUTS = 32, 8  # of the cells whose parameters are counted
ONE_GATE = {"without_reset": PRESETS["no_reset"], "without_update": PRESETS["always_new"]}
TRAINED = {"gru": PRESETS["adding"]}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "one_gate",
            t(
                "加法问题，50 步。只留一道门来训练：r 固定为 1，或 z 固定为 0。哪一个还学得会？",
                "The adding problem over 50 steps, trained with one gate only: r held at 1, or z held at 0. Which of them still learns it?",
            ),
            lambda runs: {
                (True, True): "both", (True, False): "update_only", (False, True): "reset_only", (False, False): "neither",
            }[solved(runs["without_reset"]), solved(runs["without_update"])],
            lambda runs: t(
                f"只有更新门（r = 1）：误差 {error(runs['without_reset']):.3f}；只有重置门（z = 0）：{error(runs['without_update']):.3f}。",
                f"Update gate only (r = 1): error {error(runs['without_reset']):.3f}; reset gate only (z = 0): {error(runs['without_update']):.3f}.",
            ),
            t(
                "z 接近 1 时旧状态原样留下，误差也原样传回去。重置门只管候选听见什么，它留不住任何东西。",
                "With z near 1 the old state stays as it is, and errors travel back unharmed. The reset gate only decides what the candidate hears; it keeps nothing.",
            ),
            options={
                "update_only": t("只留更新门的", "The one with the update gate"),
                "reset_only": t("只留重置门的", "The one with the reset gate"),
                "both": t("都学得会", "Both"),
                "neither": t("都学不会", "Neither"),
            },
            runs=ONE_GATE,
            steps=576,
        ),
        Question(
            "afterwards",
            t(
                "没有重置门也学得会。那么把两道门都学过的 GRU 训练好，再把它的重置门固定为 1，误差会怎样？",
                "A GRU learns it without a reset gate. Now train one with both gates, and only then hold its reset gate at 1. What becomes of its error?",
            ),
            lambda runs: span(held_afterwards(runs["gru"])),
            lambda runs: t(
                f"训练后 {error(runs['gru']):.4f}；固定 r = 1 之后 {held_afterwards(runs['gru']):.3f}（总说 1 是 0.167）。",
                f"After training {error(runs['gru']):.4f}; with r held at 1 {held_afterwards(runs['gru']):.3f} (always saying 1: 0.167).",
            ),
            t(
                "权重是和那道门一起学的，别的权重都指望着它。“没有它也能学会”和“学会以后可以拿掉”是两回事。",
                "The weights were learned together with the gate and count on it. That one can learn without a part does not mean that it can be taken out afterwards.",
            ),
            options={
                "fine": t("仍在 0.01 以下", "It stays below 0.01"),
                "worse": t("变差，但还比瞎猜好（0.01–0.15）", "Worse, but better than guessing (0.01–0.15)"),
                "guessing": t("和瞎猜差不多，或更差（超过 0.15）", "As bad as guessing, or worse (above 0.15)"),
            },
            runs=TRAINED,
            steps=448,
        ),
        Question(
            "twins",
            t(
                "z 固定为 0，r 固定为 1 的 GRU，和初始权重相同的简单 RNN，各训练 150 步。两条损失曲线相差最多多少？",
                "A GRU with z held at 0 and r at 1, and a simple RNN with the same initial weights, train for 150 updates. How far apart do their loss curves get?",
            ),
            lambda runs: "one" if (gap := curves_apart(runs)) < TWIN else "close" if gap < 0.01 else "apart",
            lambda runs: t(
                f"最多相差 {curves_apart(runs):.1g}。",
                f"At most {curves_apart(runs):.1g}.",
            ),
            t(
                "h = 0·h₋ + 1·tanh(W x + U h₋ + b)：同一个函数，梯度也相同。剩下的只是两段程序的舍入误差。",
                "h = 0·h₋ + 1·tanh(W x + U h₋ + b): one function, so one gradient. All that is left are the rounding errors of two programs.",
            ),
            options={
                "one": t("不到 0.0001：就是一条", "Less than 0.0001: they are one"),
                "close": t("相近，但不到 0.01", "Close, less than 0.01"),
                "apart": t("差得远", "Far apart"),
            },
            runs={name: config for name, config in race(PRESETS["ungated"]).items() if name != "lstm"},
            steps=150,
        ),
        Question(
            "marks",
            t(
                "训练好的 GRU 解加法问题。更新门 z（保留旧状态的比例）在哪里更大：有记号的步，还是没有记号的步？",
                "A trained GRU on the adding problem. Where is its update gate z, the share of the old that is kept, larger on average: at marked steps or at the others?",
            ),
            lambda runs: "others" if (kept := kept_at_marks(runs["gru"]))[1] > kept[0] + 0.05 else "marked" if kept[0] > kept[1] + 0.05 else "same",
            lambda runs: t(
                "有记号的步平均 z = {:.2f}，其余 {:.2f}。".format(*kept_at_marks(runs["gru"])),
                "On average z = {:.2f} at marked steps and {:.2f} at the others.".format(*kept_at_marks(runs["gru"])),
            ),
            t(
                "没有记号的数不该记：z 大，旧状态照抄过去。有记号时 z 变小，让新内容进来。没有人告诉它这样做。",
                "Numbers without a mark are not to be remembered: z is large and the old state is copied. At a mark z falls and lets the new in. Nobody told it to.",
            ),
            options={
                "marked": t("有记号的步", "At marked steps"),
                "others": t("没有记号的步", "At the other steps"),
                "same": t("差不多（相差不到 0.05）", "About the same (within 0.05)"),
            },
            runs=TRAINED,
            steps=448,
        ),
        Question(
            "recall",
            t(
                "延迟回忆：20 步以前的第一个符号是什么？各 16 个单元。谁最先在测试数据上全对？",
                "Delayed recall: what was the first symbol, 20 steps ago? 16 units each. Which is the first to get all held-out sequences right?",
            ),
            lambda runs: min(runs, key=lambda name: steps_to(runs[name], ACCURACY, 1.0) or 10_000),
            lambda runs: t("；", "; ").join(f"{term(name)}: {arrival(run)}" for name, run in runs.items()),
            t(
                "序列里别的全是空的，不需要门来挡。简单 RNN 只要让状态不衰减，它要学的也最少。门的好处要看任务。",
                "All other steps are empty, so nothing needs to be kept out. The simple RNN has the least to learn. Whether gates help depends on the task.",
            ),
            options={name: term(name) for name in ("gru", "lstm", "rnn")},
            runs=race(PRESETS["recall"]),
            steps=200,
        ),
        Question(
            "parameters",
            t(
                "同样 32 个单元、8 个输入，GRU 的参数是 LSTM 的百分之多少？",
                "With 32 units and 8 inputs each, how many parameters has a GRU, as a share of an LSTM's?",
            ),
            lambda runs: counts()["gru"] / counts()["lstm"],
            lambda runs: ", ".join(f"{term(name)}: {count:,}" for name, count in counts().items()),
            t(
                "每一块有 W、U 和偏置：RNN 一块，GRU 三块（r、z、候选），LSTM 四块（i、f、o、候选）。",
                "Each block has its W, U and biases: an RNN has one, a GRU three (r, z, candidate), an LSTM four (i, f, o, candidate).",
            ),
            number=Number(tuple(i / 20 for i in range(5, 31)), near=0.01, unit="%"),
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("one_gate", t("固定一道门，仍把加法问题（50 步以上）学到 0.01 以下", "Hold a gate and still learn the adding problem (50 steps or more) to below 0.01"), learned_with_a_gate_held),
        Challenge("twins", t("让 GRU 和简单 RNN 训练 100 步，曲线相差不到 0.0001", "Train a GRU and a simple RNN for 100 updates with curves less than 0.0001 apart"), trained_as_twins),
        Challenge("fast", t("加法问题，100 步长：150 次更新以内到 0.01", "The adding problem over 100 steps: below 0.01 within 150 updates"), learned_fast),
    )  # fmt: skip


def error(run: Run) -> float:
    return score(run, LOSS)


def solved(run: Run) -> bool:
    return error(run) < SOLVED


def held_afterwards(run: Run) -> float:
    """The held-out error of a trained network once its reset gate is held at 1."""
    return clamped_scores(run.config, run.snapshot().state)["open", "learned"][LOSS.name]  # type: ignore[arg-type]


def span(value: float) -> str:
    return "fine" if value < SOLVED else "worse" if value <= GUESSING else "guessing"


def curves_apart(runs: dict[str, Run]) -> float:
    """The largest distance between the held-out losses of a GRU and a simple RNN."""
    pairs = zip(runs["gru"].history, runs["rnn"].history, strict=True)
    return max(abs(one.scores["test"][LOSS.name] - other.scores["test"][LOSS.name]) for one, other in pairs)


@torch.no_grad()
def kept_at_marks(run: Run) -> tuple[float, float]:
    """The mean update gate over all units and held-out sequences: at marked steps, and at the others."""
    config = run.config
    sequences = held_out(config.task, config.length)  # type: ignore[attr-defined]
    model = model_of(config, run.snapshot().state)  # type: ignore[arg-type]
    update = model.cell.trace(sequences.inputs).update  # type: ignore[operator]
    marked = sequences.inputs[..., 1] > 0
    return update[marked].mean().item(), update[~marked].mean().item()


def arrival(run: Run) -> str:
    step = steps_to(run, ACCURACY, 1.0)
    return t(f"{run.steps} 步内没有", f"not within {run.steps}") if step is None else t(f"第 {step} 步", f"step {step}")


def counts() -> dict[str, int]:
    """The parameters of one layer of each."""
    generator = torch.Generator()
    cells: dict[str, nn.Module] = {
        "gru": GRU(INPUTS, UNITS, generator=generator),
        "lstm": LSTM(INPUTS, UNITS, generator=generator),
    }
    return {name: sum(parameter.numel() for parameter in cell.parameters()) for name, cell in cells.items()}


def learned_with_a_gate_held(live: Live) -> tuple[bool, str]:
    run = live.race.runs["gru"]
    config: GRUConfig = run.config  # type: ignore[assignment]
    if config.task != "adding" or config.length < 50 or (config.reset_gate, config.update_gate) == ("learned",) * 2:
        return False, t(
            "先选加法问题、50 步以上，并固定一道门", "choose the adding problem, 50 steps or more, and hold a gate"
        )
    return solved(run), t(f"误差 {error(run):.3f}；要 < 0.01", f"error {error(run):.3f}; wanted < 0.01")


def trained_as_twins(live: Live) -> tuple[bool, str]:
    race = live.race
    if not {"gru", "rnn"} <= race.runs.keys() or race.steps == 0:
        return False, t("先和 LSTM、简单 RNN 一起训练", "train it beside LSTM and RNN first")
    gap = pictures.apart(race)
    words = t(
        f"{race.steps} 步，相差 {gap:.1g}；要 100 步、< 0.0001",
        f"{race.steps} updates, {gap:.1g} apart; wanted 100 and < 0.0001",
    )
    return race.steps >= 100 and gap < TWIN, words


def learned_fast(live: Live) -> tuple[bool, str]:
    run = live.race.runs["gru"]
    config: GRUConfig = run.config  # type: ignore[assignment]
    if config.task != "adding" or config.length < 100:
        return False, t("先选加法问题，长度 100", "choose the adding problem with length 100")
    step = steps_to(run, LOSS, SOLVED)
    if step is None:
        return False, t(f"第 {run.steps} 步，误差 {error(run):.3f}", f"error {error(run):.3f} at step {run.steps}")
    return step <= 150, t(f"第 {step} 步到；要 ≤ 150", f"there at step {step}; wanted ≤ 150")
