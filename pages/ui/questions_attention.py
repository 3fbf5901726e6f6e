"""The questions and challenges of the attention lesson, and its measured table of gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import torch

from core.attention import (
    ATTENDED,
    BANDWIDTHS,
    CHOICES,
    MEMORIES,
    AttentionConfig,
    dot_product_spread,
    estimated_slopes,
    leave_one_out,
    race,
    slope_of,
    table_memory,
)
from core.config import Span
from core.training import LOSS, Run, Snapshot
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, score
from pages.ui.text import t, term

DRAWS = 1000  # of the score function estimator
MUCH_NOISE = 1.2  # deviations of the series
STEPS = 600
DIMENSIONS = (4, 16, 64, 256)
SCORINGS_RACED = race(AttentionConfig())
CHOICES_RACED = {choice: AttentionConfig(choice=choice) for choice in CHOICES}
MEMORIES_RACED = {memory: AttentionConfig(memory=memory) for memory in MEMORIES}


def choices() -> dict[str, str]:
    return {"soft": t("软：期望", "Soft: mean"), "hard": t("硬：最大", "Hard: best"), "sampled": t("硬：抽一个", "Hard: drawn")}  # fmt: skip


# ---- the table of gradients ------------------------------------------------------------------------------------------


def gradient_table(config: AttentionConfig, snapshot: Snapshot, query: tuple[float, float], seed: int) -> str:
    """Markdown: forecast and gradient of the page's example by each way to take, with K ≠ V and with K = V."""
    lines = [
        t(f"| | 预报 | autograd 的梯度 | 差分 | REINFORCE，{DRAWS:,} 次的平均 |", f"| | Forecast | Gradient by autograd | By differences | REINFORCE, mean of {DRAWS:,} |"),
        "|:--|--:|:--|:--|:--|",
    ]  # fmt: skip
    at, memory = torch.tensor(query), table_memory(config.task, config.series)[0]
    for kind in MEMORIES:
        for choice in CHOICES:
            each = replace(config, memory=kind, choice=choice)
            slope = slope_of(each, snapshot.state, at, memory, seed)
            exact = pair(slope.autograd) if slope.autograd is not None else t("没有", "none")
            estimate = "–"
            if choice == "sampled":
                found = estimated_slopes(each, snapshot.state, at, memory, DRAWS)
                error = found.std(0) / math.sqrt(DRAWS)
                estimate = f"{pair(found.mean(0))} ± {float(error.max()):.2f}"
            name = f"{choices()[choice]}，{'K ≠ V' if kind == 'key_value' else 'K = V'}".replace("，", t("，", ", "))
            if (kind, choice) == (config.memory, config.choice):
                name = f"**{name}**"
            lines.append(f"| {name} | {number(slope.forecast)} | {exact} | {pair(slope.difference)} | {estimate} |")
    return "\n".join(lines)


def number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def pair(values: torch.Tensor) -> str:
    return "(" + ", ".join(number(round(value, 2) + 0.0) for value in values.tolist()) + ")"


# ---- questions -------------------------------------------------------------------------------------------------------


@lru_cache
def largest_weights() -> dict[float, float]:
    return {float(d): dot_product_spread(d).largest for d in DIMENSIONS}


@lru_cache
def best_bandwidths() -> dict[float, float]:
    return {noise: BANDWIDTHS[int(leave_one_out("sunspots", (), noise).argmin())] for noise in (0.0, MUCH_NOISE)}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "dimension",
            t(
                "32 个键，分量来自 N(0, 1)，点积不缩放。不同的维数，最大的权重平均多大？",
                "32 keys, components of N(0, 1), dot products not scaled. How large is the largest weight in the mean, for each dimension?",
            ),
            lambda runs: largest_weights(),
            lambda runs: t("；", "; ").join(f"d = {d:g}: {value:.2f}" for d, value in largest_weights().items()),
            t(
                "点积的方差是 d：维数越大，打分差得越远，softmax 越接近只取一个。除以 √d 以后一直是 0.17 左右。",
                "The variance of a dot product is d: scores lie ever further apart, and softmax comes close to taking one key. Divided by √d it stays at about 0.17.",
            ),
            line=Line(DIMENSIONS, "d", t("最大权重", "Largest weight"), Span(0.0, 1.0, 0.01), near=0.1),
        ),
        Question(
            "scoring",
            t(
                f"预报太阳黑子，训练 {STEPS} 步。哪种打分函数在没见过的年份上最好？",
                f"Forecasting sunspots, {STEPS} steps. Which scoring function is best on the held-out years?",
            ),
            lambda runs: min(runs, key=lambda name: score(runs[name], LOSS)),
            lambda runs: t("；", "; ").join(f"{term(name)}: {score(run, LOSS):.2f}" for name, run in runs.items()),
            t(
                "没见过的年份里有更高的峰。双线性和距离都还合用；加性在训练年份上最好，在这里却最差：它学到了这些年份的细节。",
                "The held-out years have higher peaks. Distance and bilinear scores hold up; the additive one is best on the training years and worst here: it has learned their details.",
            ),
            options={name: term(name) for name in SCORINGS_RACED},
            runs=SCORINGS_RACED,
            steps=STEPS,
        ),
        Question(
            "still",
            t(
                "软、取最大、抽一个，各训练 200 步。哪一个的参数一点没动？",
                "Soft, best key, drawn key: 200 steps each. Whose parameters do not move at all?",
            ),
            lambda runs: min(runs, key=lambda name: moved(runs[name])),
            lambda runs: t("参数移动了：", "the parameters moved by: ") + t("；", "; ").join(f"{choices()[name]} {moved(run):.2f}" for name, run in runs.items()),
            t(
                "argmax 是一级一级的台阶，梯度处处为 0。抽样也没有直接的梯度，但它的概率有：REINFORCE 用的就是这个。",
                "argmax is a staircase and flat everywhere. A draw has no gradient either, but its probability has: that is what REINFORCE uses.",
            ),
            options=choices(),
            runs=CHOICES_RACED,
            steps=200,
        ),
        Question(
            "keys",
            t(
                f"学 {STEPS} 步（软，距离）。开始时一个查询平均看约 165 个键，最后看多少个？",
                f"{STEPS} steps (soft, distance). A query attends to about 165 keys at the start; to how many in the end?",
            ),
            lambda runs: score(runs["key_value"], ATTENDED, "train"),
            lambda runs: t(
                f"有效键数 {score(runs['key_value'], ATTENDED, 'train'):.0f}；K = V 时 {score(runs['plain'], ATTENDED, 'train'):.0f}",
                f"{score(runs['key_value'], ATTENDED, 'train'):.0f} attended keys; with K = V {score(runs['plain'], ATTENDED, 'train'):.0f}",
            ),
            t(
                "只有很像的年份才说得出下一年；但只看一年又太吵。训练在两者之间找到了带宽。K = V 时拿走的是键本身，看得准也没有用。",
                "Only years much alike tell what comes next, but a single one is noisy: training finds a bandwidth in between. With K = V the key itself is taken, and a closer look does not help.",
            ),
            number=Number(range(1, 246), share=0.4),
            runs=MEMORIES_RACED,
            steps=STEPS,
        ),
        Question(
            "noise",
            t(
                f"核回归：太阳黑子加上噪声，是它标准差的 {MUCH_NOISE:g} 倍。留一误差最小的带宽怎么变？",
                f"Kernel regression: noise of {MUCH_NOISE:g} times their own deviation is added to the sunspots. What becomes of the bandwidth that errs least?",
            ),
            lambda runs: "wider" if best_bandwidths()[MUCH_NOISE] > 1.3 * best_bandwidths()[0.0] else "narrower" if best_bandwidths()[MUCH_NOISE] < best_bandwidths()[0.0] / 1.3 else "same",
            lambda runs: t(f"从 {best_bandwidths()[0.0]:g} 到 {best_bandwidths()[MUCH_NOISE]:g} 年", f"from {best_bandwidths()[0.0]:g} to {best_bandwidths()[MUCH_NOISE]:g} years"),
            t(
                "宽的核平均掉噪声，也抹掉细节。噪声越大，平均更多的点越划算。",
                "A wide kernel averages out noise, and detail with it. The more noise, the more it pays to average.",
            ),
            options={"narrower": t("变窄", "Narrower"), "same": t("差不多", "About the same"), "wider": t("变宽", "Wider")},
        ),
    )  # fmt: skip


def moved(run: Run) -> float:
    """How far the parameters are from where they began."""
    start, end = run.snapshots[0].state, run.learner.state()
    return math.sqrt(sum(float((end[name] - start[name]).square().sum()) for name in end))


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("held_out", t("没见过的年份（太阳黑子）：损失 ≤ 0.58", "Held-out sunspots: a loss of at most 0.58"), low_enough),
        Challenge("draw", t("只抽一个键，训练的期望损失 ≤ 0.30", "With one drawn key: an expected training loss of at most 0.30"), by_drawing),
        Challenge("plain", t("K = V，训练损失也 ≤ 0.21", "K = V, and yet a training loss of at most 0.21"), around),
    )  # fmt: skip


def best(live: Live, part: str, **wanted: str) -> float:
    """The lowest loss of the runs with these settings, once they have been trained."""
    runs = [run for run in live.race.runs.values() if run.steps and all(getattr(run.config, name) == value for name, value in wanted.items())]  # fmt: skip
    return min((score(run, LOSS, part) for run in runs), default=math.inf)


def judged(found: float, wanted: float, first: str) -> tuple[bool, str]:
    if math.isinf(found):
        return False, first
    return found <= wanted, t(f"{found:.3f}；要 ≤ {wanted:g}", f"{found:.3f}; wanted ≤ {wanted:g}")


def low_enough(live: Live) -> tuple[bool, str]:
    return judged(best(live, "test", task="sunspots"), 0.58, t("训练太阳黑子", "train on the sunspots"))


def by_drawing(live: Live) -> tuple[bool, str]:
    return judged(best(live, "train", task="sunspots", choice="sampled"), 0.30, t("选“硬：抽一个”，训练", "choose Hard: drawn, and train"))  # fmt: skip


def around(live: Live) -> tuple[bool, str]:
    return judged(best(live, "train", task="sunspots", choice="soft", memory="plain"), 0.21, t("选 K = V 和软，训练", "choose Plain and Soft, and train"))  # fmt: skip
