"""The questions and challenges of the CNN lesson."""

from __future__ import annotations

from core.cnn import CNNConfig, parameter_count, race
from core.config import Span
from core.training import ACCURACY, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, score, steps_to
from pages.ui.text import t

POINTWISE = {f"kernel{size}": CNNConfig(kernel=size) for size in (1, 3, 5)}
SHIFTED = race(CNNConfig(data="shifted"))
CENTRED = race(CNNConfig())
CHANNELS = (1, 2, 4, 8, 16)
WIDTHS = {f"channels{count}": CNNConfig(channels=count) for count in CHANNELS}
RATES = {f"rate{rate:g}": CNNConfig(learning_rate=rate) for rate in (0.0001, 0.001, 0.02, 0.1, 1.0)}
DEPTHS = {f"blocks{count}": CNNConfig(data="shifted", blocks=count) for count in (1, 2, 3)}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "pointwise",
            t(
                "卷积核改为 1×1，其余不变。训练 300 步后，测试准确率是多少？",
                "Make the kernels 1×1 and change nothing else. What accuracy on held-out digits after 300 steps?",
            ),
            lambda runs: accuracy(runs["kernel1"]),
            lambda runs: listed((f"{run.config.kernel}×{run.config.kernel}", run) for run in runs.values()),
            t(
                "1×1 的核看不到邻居，只能看亮度；形状要靠比一个像素更大的窗口。",
                "A 1×1 kernel sees no neighbours, only how bright a pixel is. A shape needs a window wider than one pixel.",
            ),
            number=Number(Span(0.0, 1.0, 0.01), near=0.1, unit="%"),
            runs=POINTWISE,
            steps=300,
        ),
        Question(
            "shifted",
            t(
                "数字随机移动，两个网络参数一样多，各训练 400 步。谁的准确率更高？",
                "The digits are shifted at random; both networks have equally many parameters and 400 steps. Which one is more accurate?",
            ),
            winner,
            lambda runs: listed((names()[name], run) for name, run in runs.items()),
            t(
                "卷积处处用同一组权重，在一处学会的，换个位置也认得；全连接网络要在每个位置重新学。",
                "A convolution uses the same weights everywhere: what it has learned in one place it knows in all. The fully connected network has to learn every place anew.",
            ),
            options={**names(), "equal": t("差不多", "about equal")},
            runs=SHIFTED,
            steps=400,
        ),
        Question(
            "centred",
            t(
                "数字不移动时，同样两个网络训练 300 步，准确率相差多少？",
                "And with digits that stay in place, 300 steps: how far apart are the two?",
            ),
            lambda runs: abs(accuracy(runs["cnn"]) - accuracy(runs["fully_connected"])),
            lambda runs: listed((names()[name], run) for name, run in runs.items()),
            t(
                "位置固定时，权重共享的好处小得多：每个像素总是同一件事。",
                "Where nothing moves, sharing weights helps far less: a pixel always means the same.",
            ),
            number=Number(Span(0.0, 0.8, 0.01), near=0.03, unit="%"),
            runs=CENTRED,
            steps=300,
        ),
        Question(
            "channels",
            t("通道数从 1 增到 16，200 步后的准确率怎样变化？", "From 1 to 16 channels: how does the accuracy after 200 steps change?"),
            lambda runs: {count: accuracy(runs[f"channels{count}"]) for count in CHANNELS},
            lambda runs: listed((str(run.config.channels), run) for run in runs.values()),
            t(
                "通道太少，剩下的数不够区分十个类别；够用以后，再多也几乎没有好处。",
                "With too few channels too few numbers are left to tell ten classes apart; once there are enough, more hardly help.",
            ),
            line=Line(CHANNELS, t("通道", "channels"), t("准确率", "accuracy"), Span(0.0, 1.0, 0.01), near=0.08, unit="%"),
            runs=WIDTHS,
            steps=200,
        ),
        Question(
            "rate",
            t("五个学习率，哪一个 200 步后准确率最高？", "Five learning rates: which one is most accurate after 200 steps?"),
            lambda runs: max(runs, key=lambda name: accuracy(runs[name])),
            lambda runs: listed((f"{run.config.learning_rate:g}", run) for run in runs.values()),
            t(
                "太小，走不远；太大，一开始就把 ReLU 推到零以下，再没有梯度回来。",
                "Too small and it does not get far; too large and the first steps push the ReLUs below zero, where no gradient comes back.",
            ),
            options={name: f"{config.learning_rate:g}" for name, config in RATES.items()},
            runs=RATES,
            steps=200,
        ),
        Question(
            "depth",
            t(
                "移动的数字，1、2、3 块，各训练 250 步。哪一个准确率最高？",
                "Shifted digits and 1, 2 or 3 blocks, 250 steps each. Which is most accurate?",
            ),
            lambda runs: max(runs, key=lambda name: accuracy(runs[name])),
            lambda runs: t("；", "; ").join(
                t(f"{run.config.blocks} 块：{accuracy(run):.1%}，{parameter_count(run.config):,} 个参数", f"{run.config.blocks}: {accuracy(run):.1%} with {parameter_count(run.config):,} parameters")
                for run in runs.values()
            ),
            t(
                "每多一块，最后的图就小一半，全连接层的权重随之变少；同时每一格看到的范围更大。",
                "Each block halves the last maps, so that the fully connected layer needs fewer weights, and each cell sees more of the digit.",
            ),
            options={name: t(f"{config.blocks} 块", f"{config.blocks} block{'s' * (config.blocks > 1)}") for name, config in DEPTHS.items()},
            runs=DEPTHS,
            steps=250,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("small", t("参数少于 500，600 步内到 97%", "97% within 600 steps, with under 500 parameters"), small),
        Challenge("quick", t("50 步内到 97%", "97% within 50 steps"), quick),
        Challenge("lean", t("移动的数字：参数少于 2,000，800 步内到 90%", "Shifted digits: 90% within 800 steps, under 2,000 parameters"), lean),
    )  # fmt: skip


def names() -> dict[str, str]:
    return {"cnn": t("卷积网络", "the CNN"), "fully_connected": t("全连接网络", "the fully connected one")}


def winner(runs: dict[str, Run]) -> str:
    first, second = sorted(runs, key=lambda name: -accuracy(runs[name]))
    return first if accuracy(runs[first]) - accuracy(runs[second]) > 0.02 else "equal"


def accuracy(run: Run) -> float:
    return score(run, ACCURACY)


def listed(runs) -> str:
    """name: accuracy, one after the other."""
    return t("；", "; ").join(t(f"{name}：{accuracy(run):.1%}", f"{name}: {accuracy(run):.1%}") for name, run in runs)


def reached(live: Live, target: float, within: int, most: int, data: str | None = None) -> tuple[bool, str]:
    """Whether the network reached an accuracy in time with few enough parameters, and the measured numbers."""
    run = live.race.runs["cnn"]
    parameters, step = parameter_count(run.config), steps_to(run, ACCURACY, target)
    on_data = data is None or run.config.data == data
    state = t(
        f"第 {run.steps} 步 {accuracy(run):.1%}，{parameters:,} 个参数", f"{accuracy(run):.1%} at step {run.steps}, {parameters:,} parameters"
    )  # fmt: skip
    if step is not None:
        state = t(
            f"第 {step} 步达到 {target:.0%}，{parameters:,} 个参数",
            f"{target:.0%} at step {step}, {parameters:,} parameters",
        )
    if not on_data:
        state += t("；数据要选“移动”", "; choose the shifted digits")
    return on_data and step is not None and step <= within and parameters < most, state


def small(live: Live) -> tuple[bool, str]:
    return reached(live, 0.97, 600, 500)


def quick(live: Live) -> tuple[bool, str]:
    return reached(live, 0.97, 50, 10**9)


def lean(live: Live) -> tuple[bool, str]:
    return reached(live, 0.90, 800, 2000, "shifted")
