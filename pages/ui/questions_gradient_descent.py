"""The questions and challenges of the gradient-descent lesson."""

from __future__ import annotations

import math
from dataclasses import replace

from core.config import Span
from core.gradient_descent import DISTANCE, PRESETS, GradientDescentConfig, minima, path_steps, race
from core.training import Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, score
from pages.ui.text import t, term

NEAR = 0.1  # of a minimum: arrived
RATES = (0.06, 0.08, 0.105, 0.2)
RISING = {
    f"{method}{rate:g}": GradientDescentConfig(method=method, learning_rate=rate)
    for rate in RATES
    for method in ("sgd", "momentum", "nesterov")
}
BETAS = {
    f"beta{beta:g}": replace(PRESETS["narrow"], method="momentum", momentum=beta) for beta in (0, 0.5, 0.9, 0.95, 0.99)
}
CONDITIONS = (10, 20, 50, 100)
VALLEYS = {f"k{k}": GradientDescentConfig(condition=k, learning_rate=round(1.8 / k, 4)) for k in CONDITIONS}
TREMBLING = {"trembling": PRESETS["trembling"]}
BANANA = race(PRESETS["rosenbrock"])


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "first",
            t(
                "碗，κ = 20，β = 0.9。学习率慢慢调大，哪一种方法最先发散？",
                "A bowl with κ = 20, and β = 0.9. As the learning rate rises, which method diverges first?",
            ),
            lambda runs: min(bursting(runs), key=bursting(runs).__getitem__),
            lambda runs: t("；", "; ").join(
                t(f"{term(name)}：学习率 {rate:g} 时发散", f"{term(name)} diverges at {rate:g}")
                for name, rate in bursting(runs).items()
            )
            + t(f"（试了 {', '.join(map(str, RATES))}）", f" (tried: {', '.join(map(str, RATES))})"),
            t(
                "界限：Nesterov 2(1+β)/((1+2β)λ)，随机梯度下降 2/λ，动量 2(1+β)/λ。Nesterov 把眼前的梯度多算了一份。",
                "The limits are 2(1+β)/((1+2β)λ) for Nesterov, 2/λ for SGD and 2(1+β)/λ for momentum: Nesterov counts the gradient at hand almost twice.",
            ),
            options={name: term(name) for name in ("sgd", "momentum", "nesterov")},
            runs=RISING,
            steps=120,
        ),
        Question(
            "beta",
            t(
                "窄谷，κ = 100，学习率 0.013。动量法用哪个 β 最先到谷底（0.1 以内）？",
                "The narrow valley, κ = 100, learning rate 0.013. With which β does momentum arrive first (within 0.1)?",
            ),
            lambda runs: min(runs, key=lambda name: arrival(runs[name])),
            lambda runs: t("；", "; ").join(f"β = {run.config.momentum:g}: {steps(run)}" for run in runs.values()),
            t(
                "β 太小，顺着谷走得慢；太大，停不下来，在谷底两边来回荡。",
                "Too small a β is slow along the valley; too large a one cannot stop and swings to and fro past the bottom.",
            ),
            options={name: f"β = {config.momentum:g}" for name, config in BETAS.items()},
            runs=BETAS,
            steps=250,
        ),
        Question(
            "condition",
            t(
                "随机梯度下降，学习率总是 1.8/κ（界限的九成）。κ 不同，各要多少步到谷底 0.1 以内？",
                "Plain descent, always with the rate 1.8/κ, nine tenths of its limit. How many steps to within 0.1 of the bottom, for each κ?",
            ),
            lambda runs: {float(run.config.condition): float(arrival(run)) for run in runs.values()},
            lambda runs: t("；", "; ").join(f"κ = {run.config.condition}: {steps(run)}" for run in runs.values()),
            t(
                "步数大致与 κ 成正比：陡的方向把学习率压到 1/κ，平的方向就慢 κ 倍。",
                "The steps grow about in proportion to κ: the steep direction holds the rate down to 1/κ, and the flat one is slower by as much.",
            ),
            line=Line(CONDITIONS, "κ", t("步数", "Steps"), Span(0.0, 300.0, 5.0), near=25.0),
            runs=VALLEYS,
            steps=250,
        ),
        Question(
            "stays",
            t(
                "RMSProp，学习率 1：64 步后它离谷底不到 0.01。再走 400 多步，它一直留在 0.1 以内吗？",
                "RMSProp with learning rate 1 is within 0.01 of the bottom after 64 steps. Does it stay within 0.1 for the next 400?",
            ),
            lambda runs: "stays" if farthest(runs["trembling"], 64) < NEAR else "leaves",
            lambda runs: t(
                f"第 64 步以后最远到 {farthest(runs['trembling'], 64):.2g}。",
                f"After step 64 it was up to {farthest(runs['trembling'], 64):.2g} away.",
            ),
            t(
                "它用最近梯度的大小来除。谷底的梯度很小，除以很小的数，步子又变大，直到冲出去。",
                "It divides by the size of recent gradients. At the bottom these are tiny, so its steps grow again until one of them jumps out.",
            ),
            options={"stays": t("一直留在那里", "It stays"), "leaves": t("又离开了", "It leaves again")},
            runs=TREMBLING,
            steps=500,
        ),
        Question(
            "banana",
            t(
                "Rosenbrock 的香蕉谷，学习率 0.005，1,000 步。五种方法里有几种走到谷底（0.1 以内）？",
                "Rosenbrock's banana valley, learning rate 0.005, 1,000 steps. How many of the five methods come within 0.1 of the minimum?",
            ),
            lambda runs: sum(math.isfinite(arrival(run)) for run in runs.values()),
            lambda runs: t("；", "; ").join(
                t(f"{term(name)}：还差 {score(run, DISTANCE, 'train'):.2g}", f"{term(name)}: {score(run, DISTANCE, 'train'):.2g} away")
                for name, run in runs.items()
            ),
            t(
                "谷底几乎是平的：只有动量和 Nesterov 把许多同方向的小步累积成大步。",
                "The floor of the valley is nearly flat: only momentum and Nesterov add up many small steps that agree.",
            ),
            number=Number(range(6)),
            runs=BANANA,
            steps=1000,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("ridge", t("从山脊（鞍点，y = 0）出发，走到一个极小点", "Start on the ridge (saddle, y = 0) and reach a minimum"), off_the_ridge),
        Challenge("narrow", t("κ = 100，从 4 以外出发，不到 30 步走到谷底", "κ = 100, from at least 4 away: reach the bottom in under 30 steps"), fast_in_the_valley),
        Challenge("limit", t("碗上：Nesterov 发散，别的四种都走到谷底", "On a bowl: Nesterov diverges, the other four arrive"), only_nesterov),
    )  # fmt: skip


def way(run: Run) -> dict[int, float]:
    """Step → distance to the nearest minimum, at every step of the path that the run remembers."""
    path = run.snapshot().state["path"]
    distances = (path[:, None] - minima(run.config)).norm(dim=-1).min(dim=1).values.tolist()  # type: ignore[arg-type]
    return dict(zip(path_steps(run.steps), distances, strict=True))


def arrival(run: Run) -> float:
    """The first step within NEAR of a minimum; infinite where there is none."""
    return next((step for step, distance in way(run).items() if distance < NEAR), math.inf)


def farthest(run: Run, after: int) -> float:
    return max(distance for step, distance in way(run).items() if step > after)


def steps(run: Run) -> str:
    if run.diverged:
        return t(f"第 {run.steps} 步发散", f"diverged at step {run.steps}")
    if math.isinf(arrival(run)):
        return t(f"{run.steps} 步内没到", f"not within {run.steps} steps")
    return t(f"{arrival(run)} 步", f"{arrival(run)} steps")


def bursting(runs: dict[str, Run]) -> dict[str, float]:
    """Method → the smallest of the tried rates at which it diverged."""
    found: dict[str, float] = {}
    for run in sorted(runs.values(), key=lambda run: run.learning_rate):
        if run.diverged:
            found.setdefault(run.config.method, run.learning_rate)  # type: ignore[attr-defined]
    return found


def best(live: Live) -> tuple[str, float]:
    """The method that arrived first, and when."""
    arrivals = {name: arrival(run) for name, run in live.race.runs.items()}
    name = min(arrivals, key=arrivals.__getitem__)
    return name, arrivals[name]


def off_the_ridge(live: Live) -> tuple[bool, str]:
    config = next(iter(live.race.configs.values()))
    nearest = min(score(run, DISTANCE, "train") for run in live.race.runs.values())
    here = config.surface == "saddle" and config.start_y == 0
    words = t(f"最近的离极小点 {nearest:.2g}；要 ≤ 0.5", f"the nearest is {nearest:.2g} from a minimum; wanted ≤ 0.5")
    return here and nearest <= 0.5, words if here else t("先选“山脊”预设", "choose the preset Ridge first")


def fast_in_the_valley(live: Live) -> tuple[bool, str]:
    config = next(iter(live.race.configs.values()))
    far = config.surface == "bowl" and config.condition == 100 and math.hypot(config.start_x, config.start_y) >= 4
    if not far:
        return False, t("先选“窄谷”预设", "choose the preset Narrow valley first")
    name, step = best(live)
    if math.isinf(step):
        return False, t("还没有到；要 < 30 步", "not there yet; wanted < 30 steps")
    return step < 30, t(f"{term(name)}：{step} 步；要 < 30", f"{term(name)}: {step} steps; wanted < 30")


def only_nesterov(live: Live) -> tuple[bool, str]:
    runs = live.race.runs
    if len(runs) < 5 or next(iter(live.race.configs.values())).surface != "bowl":
        return False, t("先在碗上让五种方法一起跑", "race all five on a bowl first")
    arrived = [name for name, run in runs.items() if name != "nesterov" and math.isfinite(arrival(run))]
    words = t(
        f"Nesterov {'已' if runs['nesterov'].diverged else '没有'}发散，别的到了 {len(arrived)} 种",
        f"Nesterov {'diverged' if runs['nesterov'].diverged else 'did not diverge'}, {len(arrived)} of the others arrived",
    )
    return runs["nesterov"].diverged and len(arrived) == 4, words
