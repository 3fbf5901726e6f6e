"""The questions and challenges of the convolution lesson."""

from __future__ import annotations

from core.config import Span
from core.convolution import KERNEL_ERROR, ConvolutionConfig, hidden_kernel, output_size, trace
from core.training import LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Number, Question, curve, score, steps_to
from pages.ui.text import t

RATES = {f"rate{rate:g}": ConvolutionConfig(optimizer="sgd", learning_rate=rate) for rate in (0.03, 0.1, 0.2, 0.3)}
HIDDEN = {name: ConvolutionConfig(hidden=name) for name in ("box_blur", "sobel_x", "sharpen")}
PHOTO = {"digit": ConvolutionConfig(), "photo": ConvolutionConfig(picture="flower")}
WATCHED = (0, 10, 20, 30, 40, 60)  # steps at which the curve is guessed
STRIDED = ConvolutionConfig(size=32, kernel=7, stride=3, padding=1, dilation=2, picture="flower")


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "side",
            t(
                "输入 32×32，核 7×7，步长 3，填充 1，膨胀率 2。输出的边长是多少？",
                "Input 32×32, kernel 7×7, stride 3, padding 1, dilation 2. How long is a side of the output?",
            ),
            lambda runs: trace(STRIDED, hidden_kernel(STRIDED)).output.shape[-1],
            lambda runs: t("真的卷了一次，再数输出的格子。", "Convolved for real, and the cells of the output counted."),
            t(
                "膨胀率 2 把 7 个权重撑开到 13 个像素：⌊(32 + 2 − 13) / 3⌋ + 1。",
                "Dilation 2 spreads the 7 weights over 13 pixels: ⌊(32 + 2 − 13) / 3⌋ + 1.",
            ),
            number=Number(range(1, 33)),
        ),
        Question(
            "rate",
            t(
                "随机梯度下降，四个学习率。哪一个最先把卷积核误差降到 0.05 以下？",
                "Plain SGD, four learning rates. Which one is first to bring the kernel error below 0.05?",
            ),
            lambda runs: min(runs, key=lambda name: first(runs[name])) if any(map(reached, runs.values())) else None,
            lambda runs: t("；", "; ").join(f"{run.config.learning_rate:g}: {steps(run)}" for run in runs.values()),
            t(
                "学习率越大，每一步走得越远；过了某个界限，每一步都越过谷底，误差反而越来越大。",
                "A larger learning rate goes farther with every step, until a step overshoots the valley by more than it came down.",
            ),
            options={name: f"{config.learning_rate:g}" for name, config in RATES.items()},
            runs=RATES,
            steps=120,
        ),
        Question(
            "last",
            t("三个隐藏的卷积核，哪一个最后才被找到（误差小于 0.05）？", "Three hidden kernels. Which is found last (error below 0.05)?"),
            lambda runs: max(runs, key=lambda name: first(runs[name])) if sum(map(reached, runs.values())) >= 2 else None,
            lambda runs: t("；", "; ").join(f"{kernels()[name]}: {steps(run)}" for name, run in runs.items()),
            t(
                "训练从接近零的核开始。均值模糊的权重只有 1/9，离得最近；锐化的权重大且正负相间，要靠输入里稀少的细节才能分辨。",
                "Training starts near zero. The box blur's weights of 1/9 are close by; sharpening has large weights of changing sign, which only the fine detail of the pictures can tell.",
            ),
            options=kernels(),
            runs=HIDDEN,
            steps=200,
        ),
        Question(
            "photo",
            t(
                "同样训练 52 步，把数字换成花的照片。卷积核误差变成原来的几倍？",
                "The same 52 steps, but with the photo of a flower instead of digits. The kernel error is how many times as large?",
            ),
            lambda runs: score(runs["photo"], KERNEL_ERROR) / score(runs["digit"], KERNEL_ERROR),
            lambda runs: t("；", "; ").join(
                t(
                    f"{name}：误差 {score(run, KERNEL_ERROR):.3f}，损失 {score(run, LOSS):.4f}",
                    f"{name}: error {score(run, KERNEL_ERROR):.3f}, loss {score(run, LOSS):.4f}",
                )
                for name, run in zip((t("数字", "digits"), t("照片", "photo")), runs.values(), strict=True)
            ),
            t(
                "照片里相邻像素几乎一样，很多不同的核给出同样的输出：损失很小，并不说明核找对了。",
                "Neighbouring pixels of a photo are nearly alike, so many kernels give the same output: a small loss does not mean that the kernel was found.",
            ),
            number=Number((0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0), share=0.5, unit="×"),
            runs=PHOTO,
            steps=52,
        ),
        Question(
            "curve",
            t("画出卷积核误差在前 60 步里怎样变化。", "Draw how the kernel error changes over the first 60 steps."),
            lambda runs: curve(runs["digit"], KERNEL_ERROR),
            lambda runs: t(
                f"从 {curve(runs['digit'], KERNEL_ERROR)[0]:.2f} 到 {score(runs['digit'], KERNEL_ERROR):.3f}。",
                f"From {curve(runs['digit'], KERNEL_ERROR)[0]:.2f} to {score(runs['digit'], KERNEL_ERROR):.3f}.",
            ),
            t(
                "先快后慢：粗略的形状很快就对了。动量会冲过头，所以曲线有起伏。",
                "Fast, then slow: the rough shape is soon right. Momentum overshoots, hence the waves.",
            ),
            line=Line(WATCHED, t("步数", "Step"), t("卷积核误差", "Kernel error"), Span(0.0, 2.0, 0.05), near=0.15),
            runs={"digit": ConvolutionConfig()},
            steps=60,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("window", t("输出 7×7，感受野 9", "Output 7×7, receptive field 9"), window_of_nine),
        Challenge("fast", t("20 步以内把卷积核误差降到 0.01", "Kernel error below 0.01 within 20 steps"), fast),
        Challenge("blind", t("损失小于 0.001，卷积核误差却大于 0.1", "Loss below 0.001, yet kernel error above 0.1"), blind),
    )  # fmt: skip


def kernels() -> dict[str, str]:
    return {"box_blur": t("均值模糊", "Box blur"), "sobel_x": t("Sobel x", "Sobel x"), "sharpen": t("锐化", "Sharpen")}


def reached(run: Run) -> bool:
    return steps_to(run, KERNEL_ERROR, 0.05) is not None


def first(run: Run) -> float:
    """The step at which the kernel is found; infinite where it never is."""
    return steps_to(run, KERNEL_ERROR, 0.05) if reached(run) else float("inf")


def steps(run: Run) -> str:
    if run.diverged:
        return t(f"第 {run.steps} 步发散", f"diverged at step {run.steps}")
    return t(f"到第 {first(run)} 步", f"by step {first(run)}") if reached(run) else t("没有达到", "never")


def window_of_nine(live: Live) -> tuple[bool, str]:
    config = next(iter(live.race.configs.values()))
    side = output_size(config.size, config.kernel, config.stride, config.padding, config.dilation)
    reach = config.dilation * (config.kernel - 1) + 1
    return side == 7 and reach == 9, t(
        f"输出 {side}×{side}，感受野 {reach}；要 7×7 和 9", f"output {side}×{side}, receptive field {reach}; wanted 7×7 and 9"
    )  # fmt: skip


def fast(live: Live) -> tuple[bool, str]:
    run = next(iter(live.race.runs.values()))
    step = steps_to(run, KERNEL_ERROR, 0.01)
    if step is None:
        now = score(run, KERNEL_ERROR)
        return False, t(
            f"第 {run.steps} 步误差 {now:.3g}；要 ≤ 0.01", f"error {now:.3g} at step {run.steps}; wanted ≤ 0.01"
        )
    return step <= 20, t(f"用了 {step} 步；要 ≤ 20", f"took {step} steps; wanted ≤ 20")


def blind(live: Live) -> tuple[bool, str]:
    run = next(iter(live.race.runs.values()))
    loss, error = score(run, LOSS), score(run, KERNEL_ERROR)
    return loss < 0.001 and error > 0.1, t(
        f"损失 {loss:.2g}，误差 {error:.2g}；要 < 0.001 和 > 0.1", f"loss {loss:.2g}, error {error:.2g}; wanted < 0.001 and > 0.1"
    )  # fmt: skip
