"""The questions and challenges of the lesson on vanishing and exploding gradients."""

from __future__ import annotations

import math
from dataclasses import replace

from core.config import Span
from core.gradient_flow import (
    PRESETS,
    REACH,
    GradientFlowConfig,
    flow_of,
    initial_state,
    powers,
    sheared,
    sizes,
)
from core.training import ACCURACY, LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.pictures_gradient_flow import scientific
from pages.ui.predict import Line, Number, Question, score, steps_to
from pages.ui.text import t

LEARNED = 0.99  # of the held-out sequences right
BIASES = (-2, 0, 1, 2, 4)
DEEP = PRESETS["gates"]
VANISHED = {
    "unclipped": PRESETS["in_vain"],
    "clipped": replace(PRESETS["in_vain"], clip_by="norm", learning_rate=1.0),
}
EXPLODING = {
    "unclipped": PRESETS["clipped"],
    "clipped": replace(PRESETS["clipped"], clip_by="norm"),
}
TWO_WAYS = {
    "sgd": replace(PRESETS["amplified"], optimizer="sgd", learning_rate=0.1),
    "adam": PRESETS["amplified"],
}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "arrives",
            t(
                "tanh 的 RNN，60 步，U 是旋转矩阵的 0.7 倍。传到第 1 步的梯度是最后一步的几分之一？",
                "An RNN with tanh, 60 steps, U is 0.7 times a rotation. How much of the last step's gradient is left at step 1?",
            ),
            lambda runs: magnitude(reach(DEEP)),
            lambda runs: t(f"测得 {scientific(reach(DEEP))}；0.7⁵⁹ = {scientific(0.7**59)}。", f"Measured {scientific(reach(DEEP))}; 0.7⁵⁹ = {scientific(0.7**59)}."),
            t(
                "59 个因子，每个最多 0.7。没有一个是 0，也不必是 0：指数衰减就够了。tanh 的导数小于 1，所以比界还小一点。",
                "59 factors of at most 0.7 each. None is 0, and none has to be: exponential decay is enough. Slopes of tanh below 1 take it somewhat under the bound.",
            ),
            options={"-2": t("约百分之一", "about a hundredth"), "-5": t("约十万分之一", "about 10⁻⁵"), "-9": t("约十亿分之一", "about 10⁻⁹"), "0": t("恰好是 0：乘到了一个 0", "exactly 0: one of the factors is 0")},
        ),
        Question(
            "biases",
            t(
                "LSTM，60 步。把遗忘门的偏置从 −2 调到 4：传到第 1 步的单元状态的梯度（相对最后一步），以 10 为底的对数各是多少？",
                "An LSTM, 60 steps, its forget bias moved from −2 to 4. How much gradient reaches the cell state at step 1, relative to the last step, as a power of ten?",
            ),
            lambda runs: {bias: math.log10(reach(replace(DEEP, unit="lstm", forget_bias=float(bias)))) for bias in BIASES},
            lambda runs: t("；", "; ").join(
                t(f"偏置 {bias:g}：{scientific(reach(replace(DEEP, unit='lstm', forget_bias=float(bias))))}", f"bias {bias:g}: {scientific(reach(replace(DEEP, unit='lstm', forget_bias=float(bias))))}")
                for bias in BIASES
            ),
            t(
                "沿着 c 的每个因子大致是遗忘门 σ(b)：σ(−2) = 0.12，σ(2) = 0.88，σ(4) = 0.98；59 个乘起来差三十多个数量级。",
                "Along c each factor is about the forget gate σ(b): σ(−2) = 0.12, σ(2) = 0.88, σ(4) = 0.98. Multiplied 59 times they end more than thirty magnitudes apart.",
            ),
            line=Line(BIASES, t("偏置", "bias"), t("10 的几次方", "Power of ten"), Span(-40.0, 4.0, 1.0), near=4.0),
        ),
        Question(
            "powers",
            t(
                "W = [[0.9, 5], [0, 0.9]]，谱半径 0.9。它的各次方里，最大的那个能把向量拉长几倍？",
                "W = [[0.9, 5], [0, 0.9]] has spectral radius 0.9. How much does the largest of its powers stretch a vector?",
            ),
            lambda runs: peak()[1],
            lambda runs: t(f"第 {peak()[0]} 次方：{peak()[1]:.3g} 倍。", f"The power {peak()[0]}: {peak()[1]:.3g} times."),
            t(
                "谱半径小于 1 只保证最后趋于 0；路上可以先长大。保证每一步都不长的是最大奇异值小于 1，这里它是 5.2。",
                "A spectral radius below 1 only promises that the powers vanish in the end; they may grow on the way. What keeps every step from growing is a largest singular value below 1: here it is 5.2.",
            ),
            number=Number(Span(0.0, 40.0, 0.5), near=2.5),
        ),
        Question(
            "explosion",
            t(
                "线性 RNN，谱半径 1.05，SGD。同一起点、同样的批次，只差截断：400 步内会怎样？",
                "A linear RNN, spectral radius 1.05, SGD. Same start, same batches, with and without clipping by norm: what happens within 400 steps?",
            ),
            lambda runs: fate(runs["unclipped"]) + "-" + fate(runs["clipped"]),
            lambda runs: t("；", "; ").join([
                t(f"不截断：{story(runs['unclipped'])}", f"Not clipped: {story(runs['unclipped'])}"),
                t(f"截断：{story(runs['clipped'])}", f"clipped: {story(runs['clipped'])}"),
            ]),
            t(
                "爆炸的梯度方向还对，只是太长：一步就把权重抛出去。截断按长度缩短它，方向不变。",
                "An exploding gradient still points the right way, it is only too long: one step throws the weights out. Clipping shortens it and keeps its direction.",
            ),
            options={
                "diverged-learned": t("不截断的发散，截断的学会", "It diverges without, and learns with clipping"),
                "learned-learned": t("两个都学会", "Both learn"),
                "learned-stuck": t("不截断的学会，截断的太慢", "It learns without; clipping makes it too slow"),
                "diverged-diverged": t("两个都发散", "Both diverge"),
            },
            runs=EXPLODING,
            steps=400,
        ),
        Question(
            "vanishing",
            t(
                "梯度消失的 RNN（谱半径 0.7，60 步），SGD。加上截断，并把学习率加大到 10 倍：它能学会回忆第一个符号吗？",
                "An RNN with a vanishing gradient (spectral radius 0.7, 60 steps), SGD. With clipping, and ten times the learning rate: does it learn to recall the first symbol?",
            ),
            lambda runs: "learned" if fate(runs["clipped"]) == "learned" else "stuck",
            lambda runs: t(
                f"准确率：不截断 {score(runs['unclipped'], ACCURACY):.0%}，截断 {score(runs['clipped'], ACCURACY):.0%}；传到第 1 步的仍只有 {scientific(score(runs['clipped'], REACH, 'train'))}。",
                f"Accuracy: {score(runs['unclipped'], ACCURACY):.0%} without, {score(runs['clipped'], ACCURACY):.0%} with clipping; what reaches step 1 is still {scientific(score(runs['clipped'], REACH, 'train'))}.",
            ),
            t(
                "截断只缩短太长的梯度，不放大太小的。它治爆炸，不治消失。",
                "Clipping shortens gradients that are too long and enlarges none. It cures explosion, not vanishing.",
            ),
            options={"learned": t("能", "Yes"), "stuck": t("不能，还是猜", "No, it keeps guessing")},
            runs=VANISHED,
            steps=300,
        ),
        Question(
            "adam",
            t(
                "40 步的 RNN，传到第 1 步的梯度只有约 10⁻⁶。SGD 教不会它；换成 Adam（学习率 0.005）训练 300 步呢？",
                "An RNN over 40 steps: about 10⁻⁶ of the gradient reaches step 1, and SGD teaches it nothing. What about Adam (rate 0.005) for 300 updates?",
            ),
            lambda runs: fate(runs["adam"]),
            lambda runs: t(
                f"SGD：{story(runs['sgd'])}；Adam：{story(runs['adam'])}，到第 1 步的梯度回到 {scientific(score(runs['adam'], REACH, 'train'))}。",
                f"SGD: {story(runs['sgd'])}. Adam: {story(runs['adam'])}, and {scientific(score(runs['adam'], REACH, 'train'))} of the gradient reaches step 1.",
            ),
            t(
                "消失的是 ∂L/∂h_t（t 远），不是 ∂L/∂U：U 的梯度来自近处的步。Adam 除以梯度自己的大小，U 照样走大步，把因子推大，远处的梯度就回来了。",
                "What vanishes is ∂L/∂hₜ for distant t, not ∂L/∂U, which nearby steps still feed. Adam divides by the gradient's own size: U keeps moving, the factors grow, and the distant gradient returns.",
            ),
            options={"learned": t("学会了", "It learns"), "stuck": t("还是猜", "It keeps guessing"), "diverged": t("发散", "It diverges")},
            runs=TWO_WAYS,
            steps=300,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("forget", t("T ≥ 50：让传到 LSTM 第 1 步的 c 的梯度小于最后一步的 10⁻⁶", "T ≥ 50: make less than 10⁻⁶ of the gradient reach the LSTM's cell state at step 1"), forgotten),
        Challenge("steady", t("T ≥ 100：让 RNN 第 1 步的梯度是最后一步的 0.5–2 倍", "T ≥ 100: keep the RNN's gradient at step 1 within 0.5–2 times the last step's"), steady),
        Challenge("recall", t("T ≥ 100：训练一个 RNN，延迟回忆对 99%", "T ≥ 100: train an RNN to 99% on delayed recall"), recalled),
    )  # fmt: skip


# ---- measuring -------------------------------------------------------------------------------------------------------


def reach(config: GradientFlowConfig) -> float:
    """What reaches the first step of an untrained network, along the path that carries the memory."""
    return flow_of(config, initial_state(config)).reach()


def magnitude(share: float) -> str:
    """Which of the offered powers of ten a share is nearest to; "0" for exactly nothing."""
    return min(("-2", "-5", "-9"), key=lambda code: abs(int(code) - math.log10(share))) if share else "0"


def peak() -> tuple[int, float]:
    """The power of the counter-example that is largest, and how large it is."""
    norms = sizes(powers(sheared(0.9, 5.0), 60))
    return int(norms.argmax()), float(norms.max())


def fate(run: Run) -> str:
    """What became of it: "learned", "stuck" or "diverged"."""
    if run.diverged:
        return "diverged"
    return "learned" if steps_to(run, ACCURACY, LEARNED) is not None else "stuck"


def story(run: Run) -> str:
    if run.diverged:
        return t(f"第 {run.steps} 步发散", f"diverged at step {run.steps}")
    step = steps_to(run, ACCURACY, LEARNED)
    if step is not None:
        return t(f"第 {step} 步学会", f"learned at step {step}")
    return t(f"损失停在 {score(run, LOSS):.3g}", f"loss stays at {score(run, LOSS):.3g}")


def run_of(live: Live, unit: str) -> Run | None:
    """The first run of this cell in the race."""
    return next((run for run in live.race.runs.values() if run.config.unit == unit), None)  # type: ignore[attr-defined]


def reach_now(run: Run) -> float:
    return flow_of(run.config, run.snapshot().state).reach()  # type: ignore[arg-type]


def forgotten(live: Live) -> tuple[bool, str]:
    run = run_of(live, "lstm")
    if run is None or run.config.length < 50:  # type: ignore[attr-defined]
        return False, t("要有 LSTM，且 T ≥ 50", "needs an LSTM and T ≥ 50")
    found = reach_now(run)
    return found < 1e-6, t(f"{scientific(found)}；要 < 10⁻⁶", f"{scientific(found)}; wanted < 10⁻⁶")


def steady(live: Live) -> tuple[bool, str]:
    run = run_of(live, "rnn")
    if run is None or run.config.length < 100:  # type: ignore[attr-defined]
        return False, t("要有 RNN，且 T ≥ 100", "needs an RNN and T ≥ 100")
    found = reach_now(run)
    return 0.5 <= found <= 2, t(f"{scientific(found)} 倍；要 0.5–2", f"{scientific(found)} times; wanted 0.5–2")


def recalled(live: Live) -> tuple[bool, str]:
    run = run_of(live, "rnn")
    if run is None or run.config.length < 100 or run.config.task != "recall":  # type: ignore[attr-defined]
        return False, t("要有 RNN，延迟回忆，T ≥ 100", "needs an RNN, delayed recall and T ≥ 100")
    best = max(
        score(each, ACCURACY)
        for each in live.race.runs.values()
        if each.config.unit == "rnn"  # type: ignore[attr-defined]
    )
    words = t(f"{best:.0%}；要 ≥ 99%", f"{best:.0%}; wanted ≥ 99%")
    return best >= LEARNED, words
