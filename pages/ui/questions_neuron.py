"""The questions and challenges of the neuron lesson."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch

from core.config import Span
from core.neuron import PRESETS, NeuronConfig, initial_state, points_of, saturation
from core.training import ACCURACY, Run
from pages.ui import pictures_neuron as pictures
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, curve, score, steps_to
from pages.ui.text import t

LOSSES = {name: PRESETS[preset] for name, preset in (("squared", "saturated"), ("cross_entropy", "rescued"))}
RATES = {f"rate{rate:g}": replace(PRESETS["perceptron"], learning_rate=rate) for rate in (0.01, 0.1, 0.5, 5.0)}
WATCHED = (0, 10, 20, 40, 80, 120)  # steps at which the curve is guessed
TURNS, SHIFTS = 72, 81  # directions and places of the lines that are tried


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "xor",
            t("异或，一条直线：最多能让多少训练点站对边？", "XOR and one straight line: how many of the training points can it get right at most?"),
            lambda runs: best_line(),
            lambda runs: t(
                f"试了 {TURNS * SHIFTS:,} 条直线；最好的一条对 {best_line():.0%}。",
                f"Tried {TURNS * SHIFTS:,} lines; the best gets {best_line():.0%}.",
            ),
            t(
                "一条线能把一个角单独切出去，另外三个角里总有一个站错。梯度下降停在 50%：那里交叉熵最小。",
                "A line can cut off one corner; of the other three one is always wrong. Gradient descent stops at 50%, where the cross-entropy is lowest.",
            ),
            number=Number((0.5, 0.75, 0.85, 0.9, 1.0), unit="%"),
        ),
        Question(
            "loss",
            t("sigmoid 从饱和处出发，错得离谱。哪个损失先让训练点全对？", "A sigmoid starts saturated and utterly wrong. With which loss does it get all training points right first?"),
            lambda runs: min(runs, key=lambda name: first(runs[name])) if any(map(reached, runs.values())) else None,
            lambda runs: t("；", "; ").join(f"{losses()[name]}{t('：', ': ')}{steps(run)}" for name, run in runs.items()),
            t(
                "平方误差的梯度带着 f′(z)，那里约是百万分之三；交叉熵把它约掉，只剩 a − y。",
                "The gradient of the squared error carries f′(z), about three millionths there; cross-entropy cancels it and leaves a − y.",
            ),
            options=losses(),
            runs=LOSSES,
            steps=300,
        ),
        Question(
            "step",
            t("阶跃激活，用梯度下降走 300 步，学习率 0.5。权重一共移动多远？", "Step activation, 300 steps of gradient descent at rate 0.5. How far do the weights move?"),
            lambda runs: moved(runs["step"]),
            lambda runs: t(f"移动了 {moved(runs['step']):g}，走了 {runs['step'].steps} 步。", f"Moved by {moved(runs['step']):g} in {runs['step'].steps} steps."),
            t(
                "阶跃的导数处处是 0，链式法则一乘，梯度也恰好是 0。",
                "The derivative of a step is 0 everywhere, and by the chain rule so is the gradient, exactly.",
            ),
            number=Number((0.0, 0.1, 0.5, 1.0, 5.0, 10.0)),
            runs={"step": PRESETS["step"]},
            steps=300,
        ),
        Question(
            "rate",
            t("感知器规则学“与”，四个学习率。哪一个最先全对？", "The perceptron rule on AND at four learning rates. Which is first to get all right?"),
            lambda runs: min(runs, key=lambda name: first(runs[name])) if any(map(reached, runs.values())) else None,
            lambda runs: t("；", "; ").join(f"{run.config.learning_rate:g}{t('：', ': ')}{steps(run)}" for run in runs.values()),
            t(
                "起点的权重不是 0，步子太小就要很久才能离开它。从 0 出发时，学习率只放大权重，不改变谁对谁错。",
                "The weights do not start at zero, and small steps take long to get away from there. From zero the rate would only scale the weights, and change no answer.",
            ),
            options={name: f"{config.learning_rate:g}" for name, config in RATES.items()},
            runs=RATES,
            steps=1200,
        ),
        Question(
            "curve",
            t("sigmoid 学“与”。画出测试准确率在前 120 步里怎样变化。", "A sigmoid learns AND. Draw its accuracy on held-out data over the first 120 steps."),
            lambda runs: curve(runs["and"], ACCURACY),
            lambda runs: t(
                f"从 {curve(runs['and'], ACCURACY)[0]:.0%} 到 {score(runs['and'], ACCURACY):.0%}。",
                f"From {curve(runs['and'], ACCURACY)[0]:.0%} to {score(runs['and'], ACCURACY):.0%}.",
            ),
            t(
                "决策线扫过一个角，那个角的点几乎一起变对，所以准确率一级一级地升，损失却平滑地降。",
                "As the line sweeps over a corner, its points turn right almost together: accuracy climbs in stairs while the loss falls smoothly.",
            ),
            line=Line(WATCHED, t("步数", "Step"), t("准确率", "Accuracy"), Span(0.0, 1.0, 0.05), near=0.1, unit="%"),
            runs={"and": PRESETS["and"]},
            steps=120,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("xor", t("一个神经元学会异或：训练点 100%", "XOR with one neuron: 100% of the training points"), learn_xor),
        Challenge("revive", t("只动手改一个数，救活死亡 ReLU，学到 100%", "Revive the dead ReLU with one edit by hand, and train it to 100%"), revive),
        Challenge("flat", t("九成以上的点饱和，却 100% 正确", "Over 90% of the points saturated, and yet 100% right"), flat_and_right),
    )  # fmt: skip


def losses() -> dict[str, str]:
    return {"squared": t("平方误差", "Squared error"), "cross_entropy": t("交叉熵", "Cross-entropy")}


def best_line() -> float:
    """The largest share of XOR's training points on their side of any line tried, either side for either class."""
    points = points_of(PRESETS["xor"])
    angle = torch.arange(TURNS) / TURNS * 2 * torch.pi  # all the way round: each line has both its sides
    directions = torch.stack([angle.cos(), angle.sin()])
    shifts = torch.linspace(-2, 2, SHIFTS)
    sides = (points.train_inputs @ directions)[:, :, None] >= shifts  # (N, directions, shifts)
    return (sides == points.train_targets.bool()[:, None, None]).float().mean(0).max().item()


def reached(run: Run) -> bool:
    return steps_to(run, ACCURACY, 1.0, "train") is not None


def first(run: Run) -> float:
    """The first step at which all training points are right; infinite where they never are."""
    measured = steps_to(run, ACCURACY, 1.0, "train")
    return float("inf") if measured is None else exactly(run.config, measured)  # type: ignore[arg-type]


@lru_cache(maxsize=32)
def exactly(config: NeuronConfig, latest: int) -> int:
    """The same up to the step at which it was measured: a run measures ever fewer of its steps, so it is made again."""
    run = Run(config)
    while run.steps < latest and score(run, ACCURACY, "train") < 1:
        run.step(measure=True)
    return run.steps


def steps(run: Run) -> str:
    return t(f"第 {first(run)} 步全对", f"at step {first(run)}") if reached(run) else t("没有达到", "never")


def moved(run: Run) -> float:
    """How far weights and bias are from their start."""
    start, end = initial_state(run.config), run.snapshot().state
    return float(torch.cat([(end[name] - start[name]).flatten() for name in start]).norm())


def first_run(live: Live) -> tuple[Run, NeuronConfig, float]:
    run = next(iter(live.race.runs.values()))
    return run, run.config, score(run, ACCURACY, "train")


def learn_xor(live: Live) -> tuple[bool, str]:
    _, config, right = first_run(live)
    data = (
        t("数据是异或", "the data are XOR") if config.data == "xor_gate" else t("数据不是异或", "the data are not XOR")
    )
    return config.data == "xor_gate" and right == 1, t(f"{data}，准确率 {right:.0%}；要 100%", f"{data}, accuracy {right:.0%}; wanted 100%")  # fmt: skip


def revive(live: Live) -> tuple[bool, str]:
    run, config, right = first_run(live)
    dead = saturation(config, initial_state(config)).dead
    edits = sum(change.name != "learning_rate" for change in run.interventions)
    born_dead = config.activation == "relu" and dead == 1
    return born_dead and edits == 1 and right == 1, t(
        f"激活函数 {pictures.activations()[config.activation]}（要 ReLU）；起点时导数为 0 的点 {dead:.0%}（要 100%）；手动改过 {edits} 次（要 1 次）；准确率 {right:.0%}（要 100%）",
        f"activation {pictures.activations()[config.activation]} (wanted: ReLU); points of slope 0 at the start {dead:.0%} (100%); edits by hand {edits} (1); accuracy {right:.0%} (100%)",
    )


def flat_and_right(live: Live) -> tuple[bool, str]:
    run, config, right = first_run(live)
    flat = saturation(config, run.snapshot().state).saturated
    smooth = config.activation in ("sigmoid", "tanh")
    return smooth and flat > 0.9 and right == 1, t(
        f"饱和 {flat:.0%}，准确率 {right:.0%}；要 sigmoid 或 tanh，> 90% 和 100%",
        f"saturated {flat:.0%}, accuracy {right:.0%}; wanted a sigmoid or tanh, > 90% and 100%",
    )
