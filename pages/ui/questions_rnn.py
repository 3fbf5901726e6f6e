"""The questions and challenges of the recurrent lesson."""

from __future__ import annotations

from core.config import Span
from core.rnn import PRESETS, RNNConfig, parameter_counts, race
from core.training import ACCURACY, LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, curve, score
from pages.ui.text import t, term

LENGTH = 12  # of the questions' sequences: short, so that they are answered in seconds
REACHES = (4, 8, 10, 11)
LEARNED = 0.95
WINDOWS = {f"p{p}": RNNConfig(network="tdnn", length=LENGTH, delay=p, learning_rate=0.01) for p in REACHES}
STARTS = {name: RNNConfig(length=40, recurrent=name) for name in ("orthogonal", "uniform")}
DIGITS = race(PRESETS["digits"])
SPOTS = race(PRESETS["sunspots"])


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "reach",
            t(f"延迟回忆，{LENGTH} 步，问第一个字母。延时网络的窗口 p 至少多大才学得会？", f"Delayed recall over {LENGTH} steps. What is the smallest window p with which the time-delay network learns it?"),
            lambda runs: next((name for name, run in runs.items() if score(run, ACCURACY) >= LEARNED), None),
            lambda runs: t("；", "; ").join(f"p = {run.config.delay}: {score(run, ACCURACY):.0%}" for run in runs.values()),
            t("第 12 步时，第 1 步在 11 步以前。p = 10 的窗口看不见它：再怎么训练也只是猜。", "At step 12 step 1 is 11 steps old. A window of p = 10 does not see it, and no amount of training helps."),
            options={name: f"p = {config.delay}" for name, config in WINDOWS.items()},
            runs=WINDOWS,
            steps=150,
        ),
        Question(
            "parameters",
            t("序列从 20 步变成 100 步。循环网络的参数变成几倍？", "Sequences of 100 steps instead of 20. By what factor does the number of the recurrent network's parameters grow?"),
            lambda runs: sizes(100) / sizes(20),
            lambda runs: t(f"20 步：{sizes(20):,} 个；100 步：{sizes(100):,} 个。", f"20 steps: {sizes(20):,}; 100 steps: {sizes(100):,}."),
            t("每一步用的是同一组 U、W、b。", "Every step uses the same U, W and b."),
            number=Number(Span(0.5, 5.0, 0.5), near=0.1),
        ),
        Question(
            "start",
            t("延迟回忆，40 步，300 次更新。U 从正交矩阵还是从小随机数开始，循环网络学得会？", "Delayed recall over 40 steps, 300 updates. With which start of U does the recurrent network learn it?"),
            lambda runs: both({name for name, run in runs.items() if score(run, ACCURACY) >= LEARNED}),
            lambda runs: t(f"正交：{score(runs['orthogonal'], ACCURACY):.0%}；小随机数：{score(runs['uniform'], ACCURACY):.0%}。", f"orthogonal: {score(runs['orthogonal'], ACCURACY):.0%}; random: {score(runs['uniform'], ACCURACY):.0%}."),
            t("小随机数组成的 U 每乘一次就把状态和梯度缩小一些，39 次以后所剩无几；正交的 U 只转动它们。", "A U of small random numbers shrinks state and gradient at every step, and after 39 little is left; an orthogonal U only turns them."),
            options={"orthogonal": t("只有正交", "orthogonal only"), "uniform": t("只有小随机数", "random only"), "both": t("都学得会", "both"), "neither": t("都学不会", "neither")},
            runs=STARTS,
            steps=300,
        ),
        Question(
            "rows",
            t("一行一行地看数字，300 次更新。窗口只看得见最后四行的延时网络，能认对多少？", "Digits row by row, 300 updates. What share does a time-delay network get right that sees the last four rows only?"),
            lambda runs: score(runs["tdnn"], ACCURACY),
            lambda runs: t(f"窗口：{score(runs['tdnn'], ACCURACY):.1%}；循环网络：{score(runs['rnn'], ACCURACY):.1%}。", f"window: {score(runs['tdnn'], ACCURACY):.1%}; recurrent: {score(runs['rnn'], ACCURACY):.1%}."),
            t("数字的下半截已经说明很多；上半截只有记得住的网络用得上。", "The lower half of a digit tells a lot. The upper half is of use only to a network that remembers it."),
            number=Number(Span(0.0, 1.0, 0.01), near=0.05, unit="%"),
            runs=DIGITS,
            steps=300,
        ),
        Question(
            "sunspots",
            t("太阳黑子，300 次更新：预测下一年，测试误差差多少？", "Sunspots, 300 updates: how do the held-out errors of the next year's forecast compare?"),
            lambda runs: ahead(score(runs["tdnn"], LOSS), score(runs["rnn"], LOSS)),
            lambda runs: t(f"均方误差：循环网络 {score(runs['rnn'], LOSS):.3f}，窗口 {score(runs['tdnn'], LOSS):.3f}。", f"squared error: recurrent {score(runs['rnn'], LOSS):.3f}, window {score(runs['tdnn'], LOSS):.3f}."),
            t("周期约 11 年，九年的窗口里已有大部分要知道的。长记忆不是处处有用。", "The cycle takes some 11 years: a window of nine holds most of what matters. A long memory does not help everywhere."),
            options={"rnn": t("循环网络小一半以上", "recurrent: less than half"), "alike": t("差不多（差不到一倍）", "much alike (within a factor of 2)"), "tdnn": t("窗口小一半以上", "window: less than half")},
            runs=SPOTS,
            steps=300,
        ),
        Question(
            "curve",
            t("默认任务（20 步，后 19 步全是干扰），循环网络的准确率怎样随更新次数上升？", "The default task (20 steps, a distractor at each of the last 19). How does the recurrent network's accuracy rise with the updates?"),
            lambda runs: curve(runs["rnn"], ACCURACY),
            lambda runs: t(f"最后 {score(runs['rnn'], ACCURACY):.0%}。", f"in the end {score(runs['rnn'], ACCURACY):.0%}."),
            t("它先学会保住状态，再学会不理干扰；正交的 U 一开始就保住了状态，所以很快。", "The state must be kept and the distractors ignored. An orthogonal U keeps the state from the start, so it is quick."),
            line=Line((0, 20, 40, 80, 120), t("更新次数", "Updates"), term("accuracy"), Span(0.0, 1.0, 0.05), near=0.12, unit="%"),
            runs={"rnn": PRESETS["recall"]},
            steps=128,
        ),
    )  # fmt: skip


def sizes(length: int) -> int:
    """The parameters of the recurrent network for sequences of this length."""
    return parameter_counts(RNNConfig(length=length))["rnn"]


def both(learned: set[str]) -> str:
    return "both" if len(learned) == 2 else "neither" if not learned else learned.pop()


def ahead(window: float, recurrent: float) -> str:
    """Which error is less than half of the other."""
    return "rnn" if recurrent < window / 2 else "tdnn" if window < recurrent / 2 else "alike"


# ---- challenges ------------------------------------------------------------------------------------------------------


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("window", t("让延时网络也记住第一个字母：20 步以上，准确率 95% 以上。", "Let the time-delay network recall the first letter too: 20 steps or more, 95% right or better."), window_reaches),
        Challenge("far", t("循环网络隔 60 步以上、干扰 20% 以上，仍对 95% 以上。", "Let the recurrent network be right on 95% over 60 steps or more with 20% distractors or more."), remembers_far),
        Challenge("lean", t("用不到 8 个单元学会默认的延迟回忆（20 步，干扰 100%，95% 以上）。", "Learn the default recall (20 steps, all distractors, 95%) with fewer than 8 units."), is_lean),
    )  # fmt: skip


def found(live: Live, network: str) -> tuple[Run, RNNConfig, float | None]:
    """The run of a network, its config and its held-out accuracy in delayed recall."""
    run = live.race.runs[network]
    config = run.config
    return run, config, score(run, ACCURACY) if config.task == "recall" else None


def told(config: RNNConfig, accuracy: float | None) -> str:
    if accuracy is None:
        return t("先选延迟回忆", "choose delayed recall first")
    return t(f"T = {config.length}，p = {config.delay}，{config.hidden} 个单元，干扰 {config.distractors:.0%}：{accuracy:.0%}", f"T = {config.length}, p = {config.delay}, {config.hidden} units, distractors {config.distractors:.0%}: {accuracy:.0%}")  # fmt: skip


def window_reaches(live: Live) -> tuple[bool, str]:
    _, config, accuracy = found(live, "tdnn")
    return accuracy is not None and accuracy >= LEARNED and config.length >= 20, told(config, accuracy)


def remembers_far(live: Live) -> tuple[bool, str]:
    _, config, accuracy = found(live, "rnn")
    far = config.length >= 60 and config.distractors >= 0.2
    return accuracy is not None and accuracy >= LEARNED and far, told(config, accuracy)


def is_lean(live: Live) -> tuple[bool, str]:
    _, config, accuracy = found(live, "rnn")
    default = config.length >= 20 and config.distractors >= 1.0 and config.hidden < 8
    return accuracy is not None and accuracy >= LEARNED and default, told(config, accuracy)
