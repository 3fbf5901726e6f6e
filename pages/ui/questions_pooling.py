"""The questions and challenges of the pooling lesson."""

from __future__ import annotations

from core.config import Span
from core.data.digits import load
from core.pooling import (
    CANVAS,
    POOLINGS,
    PRESETS,
    PoolingConfig,
    PoolingNetwork,
    accuracy_by_shift,
    centred,
    gradient_route,
    race,
    shift_response,
)
from core.training import ACCURACY, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.pictures_pooling import picture_of
from pages.ui.predict import Line, Number, Question, score
from pages.ui.text import t, term

CENTRED = PoolingConfig(train_on="centred")
MINDERS = race(PoolingConfig(train_on="centred", channels=8, learning_rate=0.01))
PLACES = range(-4, 5)  # pixels to the right at which a network is asked
BESIDE = (-2, -1, 1, 2)
PARAMETERS, READ = 5_000, 0.93  # of a small network that still reads
UNSEEN = 0.7  # read of places that were never seen in training


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "least",
            t(
                "所有测试数字右移 1 像素。窗口 3×3、步长 2：哪种池化图变化最小？",
                "All held-out digits move 1 pixel right. With 3×3 windows and stride 2, which pooled map changes least?",
            ),
            lambda runs: min(POOLINGS, key=changes(3).__getitem__),
            lambda runs: t(f"3×3：{listed(changes(3))}。2×2：{listed(changes(2))}。", f"3×3: {listed(changes(3))}. 2×2: {listed(changes(2))}."),
            t(
                "窗口越大，平均里换掉的格子所占的份额越小；2×2 时却是最大池化变化最小。谁更能容忍平移，要看窗口。",
                "The larger the window, the smaller the share of its cells that a step replaces in the mean; with 2×2 windows it is max that changes least. Which kind tolerates more depends on the window.",
            ),
            options=kinds(),
        ),
        Question(
            "route",
            t(
                "数字 3，最大池化，窗口 3×3、步长 2：49 个窗口各送回一个梯度。256 格里有几格收到？",
                "The digit 3, max pooling, 3×3 windows, stride 2: 49 windows each send a gradient back. How many of the 256 cells receive any?",
            ),
            lambda runs: arrived("max"),
            lambda runs: t(f"最大池化 {arrived('max')} 格，平均池化 {arrived('average')} 格。", f"Max pooling: {arrived('max')} cells; average pooling: {arrived('average')}."),
            t(
                "每个窗口只有最大的一格得到梯度；窗口重叠，有的格子赢了不止一次。平均池化则人人有份。",
                "Only the largest cell of a window gets its gradient, and where windows overlap a cell can win more than once. Average pooling pays everyone.",
            ),
            number=Number(range(CANVAS**2 + 1), near=6),
        ),
        Question(
            "parameters",
            t(
                "去掉两次 2×2 池化，别的都不变。整个网络的参数变成原来的几倍？",
                "Both 2×2 poolings are taken away, all else stays. The network has how many times as many parameters?",
            ),
            lambda runs: parameters(PRESETS["no_reduction"]) / parameters(PRESETS["max"]),
            lambda runs: f"{parameters(PRESETS['no_reduction']):,} / {parameters(PRESETS['max']):,}",
            t(
                "池化层自己没有参数，却让全连接层的输入少到 1/16；卷积层的参数与图的大小无关。",
                "Pooling has no parameters of its own, but leaves the fully connected layer 1/16 of the inputs; those of a convolution do not depend on the map's size.",
            ),
            number=Number((1, 2, 4, 8, 16, 32, 64), share=0.3, unit="×"),
        ),
        Question(
            "places",
            t(
                "最大池化的网络只用居中的数字训练 80 步。数字左右移动后，它还认得多少？画出来。",
                "A network with max pooling trains for 80 steps on centred digits only. How many does it read once they move left or right? Draw it.",
            ),
            lambda runs: read(runs["max"], PLACES),
            lambda runs: t(
                f"居中 {share_at(runs['max'], 0):.0%}，右移 1 像素 {share_at(runs['max'], 1):.0%}。瞎猜是 10%。",
                f"Centred {share_at(runs['max'], 0):.0%}, 1 pixel to the right {share_at(runs['max'], 1):.0%}. Guessing gives 10%.",
            ),
            t(
                "两次池化容不下几个像素的移动：全连接层按位置认数字。没见过的位置要靠训练数据。",
                "Two poolings do not absorb even a few pixels: the fully connected layer knows digits by their place. Other places must be in the training data.",
            ),
            line=Line((-4, -2, 0, 2, 4), t("右移像素", "Pixels right"), t("准确率", "Accuracy"), Span(0.0, 1.0, 0.05), near=0.12, unit="%"),
            runs={"max": CENTRED},
            steps=80,
        ),
        Question(
            "beside",
            t(
                "三个 8 通道的网络只用居中的数字训练 80 步。数字左右移动 1–2 像素，谁认得最多？",
                "Three networks of 8 channels train for 80 steps on centred digits only. Which reads most digits that are 1–2 pixels to the left or right?",
            ),
            lambda runs: max(runs, key=lambda kind: beside(runs[kind])),
            lambda runs: t("；", "; ").join(
                t(
                    f"{term(kind)}：移动后 {beside(run):.0%}，居中 {share_at(run, 0):.0%}",
                    f"{term(kind)}: moved {beside(run):.0%}, centred {share_at(run, 0):.0%}",
                )
                for kind, run in runs.items()
            ),
            t(
                "居中时步长卷积不输给别人；可它的权重只见过一个位置。取最大不在乎最大值在窗口里的哪一格。",
                "On centred digits the strided convolution is no worse, but its weights have seen one place only. A maximum does not mind where in the window it sits.",
            ),
            options=kinds(),
            runs=MINDERS,
            steps=80,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("calm", t("数字 3 右移 1 像素，最大池化图变化不到 10%", "The 3 moves 1 pixel right, its max-pooled map changes by under 10%"), calm),
        Challenge("small", t("挪动 ≤ 2 像素的测试数字认出 93%，参数不到 5,000", "Read 93% of held-out digits shifted by up to 2, with under 5,000 parameters"), small),
        Challenge("unseen", t("只用居中的数字训练，挪动 ≤ 1 像素的认出 70%", "Train on centred digits only, read 70% of those shifted by up to 1"), unseen),
    )  # fmt: skip


def kinds() -> dict[str, str]:
    return {kind: term(kind) for kind in POOLINGS}


def listed(shares: dict[str, float]) -> str:
    return t("，", ", ").join(f"{term(kind)} {share:.0%}" for kind, share in shares.items())


def changes(kernel: int) -> dict[str, float]:
    """How much each kind's map of all held-out digits changes for a pixel to the right, at stride 2."""
    images = centred(load().test_images)
    return {kind: float(shift_response(images, kind, kernel, 2, (1,))) for kind in POOLINGS}


def arrived(kind: str) -> int:
    """The cells of the digit 3 that a gradient reaches."""
    return int((gradient_route(picture_of(3, "digit"), kind, 3, 2) != 0).sum())


def parameters(config: PoolingConfig) -> int:
    return sum(weights.numel() for weights in PoolingNetwork(config).parameters())


def read(run: Run, places: tuple[int, ...] | range) -> dict[int, float]:
    """Pixels to the right → share of the held-out digits that the trained network reads there."""
    shares = accuracy_by_shift(run.config, run.snapshots[-1].state, places)
    return dict(zip(places, shares.tolist(), strict=True))


def share_at(run: Run, place: int) -> float:
    return read(run, (place,))[place]


def beside(run: Run) -> float:
    return sum(read(run, BESIDE).values()) / len(BESIDE)


def calm(live: Live) -> tuple[bool, str]:
    config = next(iter(live.race.configs.values()))
    change = float(shift_response(picture_of(3, "digit"), "max", config.kernel, config.stride, (1,)))
    return change < 0.1, t(f"变化 {change:.0%}；要 < 10%", f"changes by {change:.0%}; wanted < 10%")


def small(live: Live) -> tuple[bool, str]:
    runs = list(live.race.runs.values())
    light = [run for run in runs if parameters(run.config) < PARAMETERS]
    best = max(light, key=accuracy) if light else min(runs, key=lambda run: parameters(run.config))
    count, share, shift = parameters(best.config), accuracy(best), best.config.shift
    return count < PARAMETERS and share >= READ and shift >= 2, t(
        f"{term(best.config.pooling)}：{count:,} 个参数，挪动 ≤ {shift}，认出 {share:.1%}",
        f"{term(best.config.pooling)}: {count:,} parameters, shifted by up to {shift}, {share:.1%} read",
    )


def unseen(live: Live) -> tuple[bool, str]:
    best = max(live.race.runs.values(), key=accuracy)
    share, shift, blind = accuracy(best), best.config.shift, best.config.train_on == "centred"
    trained = t("都居中", "centred") if blind else t("随机挪动", "shifted")
    return blind and shift >= 1 and share >= UNSEEN, t(
        f"{term(best.config.pooling)}：训练数字{trained}，挪动 ≤ {shift}，认出 {share:.1%}",
        f"{term(best.config.pooling)}: trained on {trained} digits, shifted by up to {shift}, {share:.1%} read",
    )


def accuracy(run: Run) -> float:
    return score(run, ACCURACY)
