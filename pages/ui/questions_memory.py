"""The questions and challenges of the memory race."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core.config import Span
from core.data.sequences import held_out
from core.memory import CELLS, CellConfig, Outcome, Trial, first_solved, reach
from core.training import ACCURACY, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, score
from pages.ui.text import t, term

AT_40 = {kind: CellConfig(kind=kind) for kind in CELLS}
BIASES = {f"b{bias:g}": CellConfig(kind="lstm", length=20, gate_bias=bias) for bias in (0.0, 1.0, 3.0)}
QUIET = {f"d{share:g}": CellConfig(kind="lstm", distractors=share) for share in (0.0, 1.0)}
LOST = {"simple_rnn": CellConfig(kind="simple_rnn", length=60)}
LENGTHS = (5, 10, 20, 40)
GROWING = {f"t{length}": CellConfig(kind="gru", length=length) for length in LENGTHS}
ADDED = 50  # the length of the adding problem that is guessed at


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "who",
            t(
                "回忆，每一步都有干扰，T = 40，320 步。哪些单元学会（99%）？",
                "Recall with a distractor at every step, T = 40, 320 updates. Which cells learn it (99%)?",
            ),
            lambda runs: "_".join(kind for kind in CELLS if first_solved(runs[kind]) is not None) or "none",
            lambda runs: t("；", "; ").join(f"{term(kind)} {score(run, ACCURACY):.0%}" for kind, run in runs.items()),
            t(
                "门从 σ(3) = 0.95 开始，40 步后还剩 14%，梯度传得到；简单循环网络起初大约只剩 3×10⁻¹⁰，传不到。",
                "The gates begin at σ(3) = 0.95: 14% is left after 40 steps, and gradients arrive. Of a simple RNN about 3×10⁻¹⁰ is left at first.",
            ),
            options={
                "none": t("一个也没有", "none"),
                "gru": t("只有 GRU", "GRU alone"),
                "lstm_gru": t("LSTM 和 GRU", "LSTM and GRU"),
                "simple_rnn_lstm_gru": t("三个都学会", "all three"),
            },
            runs=AT_40,
            steps=320,
        ),
        Question(
            "bias",
            t(
                "LSTM，T = 20，200 步。遗忘门的初始偏置取 0（PyTorch 的默认）、1 或 3，最小要多大才学会？",
                "An LSTM, T = 20, 200 updates. The forget gate's initial bias is 0 (PyTorch's own), 1 or 3: which is the smallest that learns it?",
            ),
            lambda runs: next((name for name, run in runs.items() if first_solved(run) is not None), "none"),
            lambda runs: t("；", "; ").join(f"b = {run.config.gate_bias:g}: {score(run, ACCURACY):.0%}" for run in runs.values()),
            t(
                "20 步之后，σ(0)²⁰ 剩百万分之一，σ(1)²⁰ 剩 0.2%，σ(3)²⁰ 剩 38%。",
                "After 20 steps σ(0)²⁰ leaves a millionth, σ(1)²⁰ 0.2% and σ(3)²⁰ 38%.",
            ),
            options={"b0": "b = 0", "b1": "b = 1", "b3": "b = 3", "none": t("都不行", "none of them")},
            runs=BIASES,
            steps=200,
        ),
        Question(
            "quiet",
            t(
                "LSTM，T = 40。没有干扰时，学会要的步数是有干扰时的几分之一？",
                "An LSTM, T = 40. How many times fewer updates does it need when nothing distracts it?",
            ),
            lambda runs: needed(runs["d1"]) / needed(runs["d0"]),
            lambda runs: t(
                f"没有干扰 {needed(runs['d0'])} 步，有干扰 {needed(runs['d1'])} 步",
                f"{needed(runs['d0'])} updates in silence, {needed(runs['d1'])} among distractors",
            ),
            t(
                "没有干扰只需保留；有干扰还要学会关上输入门，不让无关的符号进来。",
                "In silence it only has to keep; among distractors it must also learn to shut its input gate.",
            ),
            number=Number(range(1, 11), near=1.0),
            runs=QUIET,
            steps=400,
        ),
        Question(
            "lost",
            t(
                "四个符号。简单循环网络在 T = 60 训练 200 步，什么也没学会：测试准确率是多少？",
                "Four symbols. A simple RNN learns nothing at T = 60 in 200 updates: what is its held-out accuracy?",
            ),
            lambda runs: score(runs["simple_rnn"], ACCURACY),
            lambda runs: f"{score(runs['simple_rnn'], ACCURACY):.1%}",
            t("四选一，瞎猜约 25%：图上的灰虚线。", "One of four: guessing gives about 25%, the dashed grey line of the chart."),
            number=Number(Span(0.0, 1.0, 0.05), near=0.06, unit="%"),
            runs=LOST,
            steps=200,
        ),
        Question(
            "growing",
            t(
                "GRU，初始偏置 3。序列变长，学会要的步数怎样变？",
                "A GRU with initial bias 3. How do the updates that it needs grow with the length?",
            ),
            lambda runs: {float(run.config.length): float(needed(run)) for run in runs.values()},
            lambda runs: t("；", "; ").join(f"T = {run.config.length}: {needed(run)}" for run in runs.values()),
            t(
                "比长度涨得慢得多：门已经开着，梯度在每个长度上都传得到。",
                "Much more slowly than the length: the gates are open already, and gradients arrive at every length.",
            ),
            line=Line(LENGTHS, t("长度 T", "length T"), t("步数", "updates"), Span(0.0, 400.0, 10.0), near=50.0),
            runs=GROWING,
            steps=320,
        ),
        Question(
            "adding",
            t(
                "加法任务，T = 50：什么都不记，总是回答 1，测试集的均方误差是多少？",
                "The adding problem, T = 50: who remembers nothing and always answers 1 has which mean squared error?",
            ),
            lambda runs: always_one(),
            lambda runs: f"{always_one():.3f}",
            t(
                "两个 U(0, 1) 之和的方差：1/12 + 1/12 = 1/6。低于它才算记住了什么。",
                "The variance of the sum of two U(0, 1): 1/12 + 1/12 = 1/6. Only below it something is remembered.",
            ),
            number=Number(Span(0.0, 0.5, 0.01), near=0.02),
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("gru", t("有干扰，GRU 在 T ≥ 150 学会，至少三个种子都行", "Among distractors a GRU learns T ≥ 150, in each of at least three seeds"), far_gru),
        Challenge("lstm", t("LSTM 在 T ≥ 80 学会，至少两个种子都行", "An LSTM learns T ≥ 80, in each of at least two seeds"), far_lstm),
        Challenge("simple_rnn", t("RNN 在 T ≥ 50 学会，至少两个种子都行", "An RNN learns T ≥ 50, in each of at least two seeds"), far_rnn),
    )  # fmt: skip


def needed(run: Run) -> int:
    """The updates until it had learned the task.

    Raises:
        ValueError: it has not.
    """
    step = first_solved(run)
    if step is None:
        raise ValueError("not learned")
    return step


def always_one() -> float:
    """The mean squared error of answering 1 to every held-out sequence."""
    return (held_out("adding", ADDED).targets - 1).square().mean().item()


def found(seeds: int) -> dict[Trial, Outcome]:
    """The results of the sweep at hand, where it has so many seeds."""
    sweep = st.session_state.get("memory_sweep")
    results: Mapping[Trial, Outcome] = sweep.results if sweep else {}
    kept: dict[tuple[str, int], int] = {}
    for trial in results:
        kept[trial.config.kind, trial.config.length] = kept.get((trial.config.kind, trial.config.length), 0) + 1
    return {
        trial: outcome
        for trial, outcome in results.items()
        if kept[trial.config.kind, trial.config.length] >= seeds and trial.config.task == "recall"
    }


def far(kind: str, seeds: int, wanted: int, distracted: bool = False) -> tuple[bool, str]:
    results = found(seeds)
    if distracted:
        results = {trial: outcome for trial, outcome in results.items() if trial.config.distractors == 1}
    farthest = reach(results, kind)
    goal = t(f"要 T ≥ {wanted}，{seeds} 个种子", f"wanted: T ≥ {wanted}, {seeds} seeds")
    if farthest is None:
        return False, t(f"扫描里还没有学会的长度；{goal}", f"no length of the sweep is learned yet; {goal}")
    return farthest >= wanted, t(f"学会到 T = {farthest}；{goal}", f"learned up to T = {farthest}; {goal}")


def far_gru(live: Live) -> tuple[bool, str]:
    return far("gru", 3, 150, distracted=True)


def far_lstm(live: Live) -> tuple[bool, str]:
    return far("lstm", 2, 80)


def far_rnn(live: Live) -> tuple[bool, str]:
    return far("simple_rnn", 2, 50)
