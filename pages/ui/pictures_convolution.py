"""The pictures of the convolution lesson: pure functions of settings, pictures and weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from core.convolution import (
    ConvolutionConfig,
    Trace,
    Window,
    dropped,
    hidden_kernel,
    input_picture,
    output_size,
    parameters,
    trace,
    transpose,
)
from core.training import Snapshot
from pages.ui.scene import Figure, Link, Scene
from pages.ui.text import t

LARGE, MIDDLE, SMALL = 276, 176, 152  # sides of the maps
TOP = 48  # above a map: its title, and room for the value of a cell in the first row
PADDING, DROPPED, WINDOW = (
    "#0a9371",
    "#c4608f",
    "#c4347f",
)  # the colours of padding, of what is left out, of what is read
NUMBERS = 8  # a large map of up to so many rows prints its values
WEIGHTS = 5  # a small one
WRITTEN = 3  # up to this kernel size every product is written out
GRAY = {"scale": "gray", "high": 1.0}


# ---- the window slides ---------------------------------------------------------------------------------------------


def sliding_window(config: ConvolutionConfig, shown: Trace, row: int, column: int) -> Scene:
    """The padded input and the output: pointing at an output cell lights its window in the input."""
    side, size = shown.output.shape[0], shown.padded.shape[0]
    reach = config.dilation * (config.kernel - 1) + 1
    window = Link("input", 0, 0, config.stride, config.stride, reach, reach)
    output = figure(LARGE).map(
        "output", shown.output, 2, TOP, LARGE, numbers=side <= NUMBERS, pick=True, links=(window,),
        label=t("输出：点一个格子，或用方向键", "Output: click a cell, or use the arrow keys"),
    )  # fmt: skip
    output.text(t(f"输出 {side}×{side}", f"Output {side}×{side}"), 2, 17, size=16, bold=True)
    output.text(t("点一格看它怎么来", "Click a cell to see how it comes about"), 2, TOP + LARGE + 23, ink="muted")
    words = t(
        f"左边是填充后 {size}×{size} 的输入，右边是 {side}×{side} 的输出；选中第 {row + 1} 行第 {column + 1} 列。",
        f"Left the padded input of {size}×{size}, right the output of {side}×{side}; the chosen cell is in row {row + 1}, column {column + 1}.",
    )
    return Scene((padded_input(config, shown.padded, row, column), output), words)


def padded_input(config: ConvolutionConfig, padded: Tensor, row: int, column: int) -> Figure:
    """The input with its padding tinted, the rows and columns that no window reaches hatched, and the pixels read."""
    size, padding = padded.shape[0], config.padding
    left_out = dropped(config.size, config.kernel, config.stride, padding, config.dilation)
    cell = LARGE / size
    drawn = figure(LARGE).map(
        "input", padded, 2, TOP, LARGE, scale="gray", high=1.0, numbers=size <= NUMBERS
    )  # fmt: skip
    drawn.text(t(f"输入 {config.size}×{config.size}", f"Input {config.size}×{config.size}"), 2, 17, size=16, bold=True)
    if padding:
        band, inner = padding * cell, config.size * cell
        for x, y, width, height in (
            (0, 0, LARGE, band), (0, LARGE - band, LARGE, band), (0, band, band, inner), (LARGE - band, band, band, inner)
        ):  # fmt: skip
            drawn.rect(2 + x, TOP + y, width, height, ink="none", fill=PADDING, opacity=0.5)
        drawn.text(t(f"→ 填充后 {size}×{size}", f"→ padded {size}×{size}"), 2 + LARGE, 17, anchor="end", ink="muted")
    if left_out:
        edge = LARGE - left_out * cell
        drawn.rect(2 + edge, TOP, left_out * cell, LARGE, ink=DROPPED, stroke=1, hatch=True)
        drawn.rect(2, TOP + edge, edge, left_out * cell, ink=DROPPED, stroke=1, hatch=True)
    if config.dilation > 1 and config.kernel > 1:  # the window has gaps: mark the pixels that it reads
        for i in range(config.kernel):
            for j in range(config.kernel):
                x = 2 + (column * config.stride + j * config.dilation) * cell
                y = TOP + (row * config.stride + i * config.dilation) * cell
                drawn.rect(x + 1, y + 1, cell - 2, cell - 2, ink=WINDOW, stroke=2)
    legend(drawn, padding, left_out)
    return drawn


def legend(drawn: Figure, padding: int, left_out: int) -> None:
    """Under the input: what the tint and the hatching mean, where there is any."""
    x, y = 2, TOP + LARGE + 10
    if padding:
        drawn.rect(x, y, 18, 16, ink="none", fill="#000000")  # a zero, under the tint
        drawn.rect(x, y, 18, 16, ink="none", fill=PADDING, opacity=0.5)
        drawn.text(t(f"填充 {padding}", f"padding {padding}"), x + 25, y + 13, ink="muted")
        x += t(90, 105)
    if left_out:
        drawn.rect(x, y, 18, 16, ink=DROPPED, stroke=1, hatch=True)
        drawn.text(t(f"丢掉 {left_out} 行 {left_out} 列", f"dropped: {left_out} each way"), x + 25, y + 13, ink="muted")


def fitted(picture: Tensor, side: int) -> Tensor:
    """An upload (H, W), kept larger, as the input (side, side)."""
    return F.interpolate(picture[None, None], size=(side, side), mode="bilinear", antialias=True)[0, 0]


def figure(side: float) -> Figure:
    """A surface for one map of this side, with room for its title above and a line below; always of the same size."""
    return Figure(side + 4, TOP + side + 32)


def in_a_row(
    parts: Iterable[tuple[str, Tensor, str, str, dict[str, Any]]], side: float, top: float = 30
) -> tuple[Figure, ...]:
    """A map each for (name, values, title, sign, options); the sign stands between it and the next."""
    figures = []
    for name, values, title, sign, options in parts:
        drawn = Figure(side + 26, top + side + 4).map(name, values, 2, top, side, **options)
        drawn.text(title, 2, 17)
        drawn.text(sign, side + 15, top + side / 2 + 8, size=24, anchor="middle", ink="muted")
        figures.append(drawn)
    return tuple(figures)


# ---- one output cell -----------------------------------------------------------------------------------------------


def products(config: ConvolutionConfig, found: Window) -> Scene:
    """The window's pixels times the weights laid on them, and the products."""
    numbers = {"numbers": config.kernel <= WEIGHTS}
    turned = t("（转了 180°）", ", turned 180°") if config.flip else ""
    by_rows = t("（下面是各行的和）", " (row sums below)") if config.kernel > WRITTEN else ""
    edit = {"pick": True, "label": t("卷积核：点一个权重来改", "Kernel: click a weight to edit it")}
    parts = (
        ("values", found.values, t("窗口里的像素", "Pixels in the window"), "×", GRAY | numbers),
        ("weights", found.weights, t("卷积核", "Kernel") + turned, "=", edit | numbers),
        ("products", found.products, t("乘积", "Products") + by_rows, "", numbers),
    )
    words = t(
        "选中的窗口里的像素、卷积核、逐个相乘的积。", "The pixels of the chosen window, the kernel, and their products."
    )
    return Scene(in_a_row(parts, SMALL, TOP), words)


def laid_on(config: ConvolutionConfig, weight: int) -> tuple[int, int]:
    """Where a weight of the kernel is drawn; the other way round it is the same."""
    place = config.kernel**2 - 1 - weight if config.flip else weight
    return divmod(place, config.kernel)


def sum_formula(found: Window, row: int, column: int) -> str:
    """KaTeX: the sum of the products with its numbers; of a larger kernel, the sums of its rows."""
    name = rf"y_{{{row + 1},{column + 1}}}"
    if len(found.rows) <= WRITTEN:
        lines = [
            " + ".join(rf"{plain(value)}\cdot {weight(factor)}" for value, factor in zip(*pair, strict=True))
            for pair in zip(found.values.tolist(), found.weights.tolist(), strict=True)
        ]
    else:
        sums = [weight(value) for value in found.products.sum(1).tolist()]
        lines = [" + ".join(sums[:4]), " + ".join(sums[4:])] if len(sums) > 4 else [" + ".join(sums)]
    rows = r" \\ &\;{}+ ".join(lines)
    return rf"\begin{{aligned}} {name} ={{}}& {rows} \\ ={{}}& \mathbf{{{plain(found.sum.item())}}} \end{{aligned}}"


def plain(value: float) -> str:
    """A number with at most three decimals."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def weight(value: float) -> str:
    """A number that stands after a sign: in brackets if it is negative."""
    text = plain(value)
    return f"({text})" if text.startswith("-") else text


# ---- few weights, and the way back ---------------------------------------------------------------------------------


def sharing(config: ConvolutionConfig) -> tuple[int, int, int]:
    """Parameters of a fully connected layer, of one that is only local, and of this convolution, biases included.

    The padding is no pixel: neither of the first two has weights for it.
    """
    side = output_size(config.size, config.kernel, config.stride, config.padding, config.dilation)
    places = [
        cell * config.stride + step * config.dilation - config.padding
        for cell in range(side) for step in range(config.kernel)
    ]  # fmt: skip
    read = sum(0 <= place < config.size for place in places)  # rows; as many columns
    return side**2 * (config.size**2 + 1), read**2 + side**2, parameters(1, 1, config.kernel)


def there_and_back(config: ConvolutionConfig, picture: Tensor, output: Tensor) -> Scene:
    """The input, its convolution, and the transposed convolution of that with the same kernel."""
    back = transpose(
        output, hidden_kernel(config), config.stride, config.padding, config.dilation, config.flip,
        output_padding=dropped(config.size, config.kernel, config.stride, config.padding, config.dilation),
    )  # fmt: skip
    parts = (
        ("before", picture, t("输入", "Input"), "→", GRAY),
        ("convolved", output, t("卷积", "Convolved"), "→", {}),
        ("back", back, t("转置卷积", "Transposed"), "", {}),
    )
    sized = [
        (name, values, f"{title} {values.shape[0]}×{values.shape[1]}", *rest) for name, values, title, *rest in parts
    ]
    words = t(
        "输入、卷积的结果、转置卷积的结果：尺寸回来了，数值没有。",
        "The input, its convolution, and the transposed convolution: the size is back, the values are not.",
    )
    return Scene(in_a_row(sized, MIDDLE), words)


# ---- learning ------------------------------------------------------------------------------------------------------


def learned_kernel(config: ConvolutionConfig, snapshot: Snapshot) -> Scene:
    """The hidden kernel, the learned one, their difference, and the feature map that the learned one makes."""
    hidden, learned = hidden_kernel(config), snapshot.state["kernel"].round(decimals=3)  # to be read, not 3.6e-8
    high = max(float(hidden.abs().max()), 0.1)
    picture = input_picture(config)
    target = float(trace(config, hidden, picture).output.abs().max())
    kernels = {"high": high, "numbers": config.kernel <= WEIGHTS}
    parts = (
        ("learned", learned, t("学到的卷积核", "Learned kernel"), "−", kernels),
        ("hidden", hidden, t("隐藏的卷积核", "Hidden kernel"), "=", kernels),
        ("difference", learned - hidden, t("差", "Difference"), "", kernels),
        ("map", trace(config, learned, picture).output, t("学到的特征图", "Its feature map"), "", {"high": max(target, 0.1)}),
    )  # fmt: skip
    words = t(
        "学到的卷积核、隐藏的卷积核、两者之差，以及学到的卷积核得到的特征图。",
        "The learned kernel, the hidden kernel, their difference, and the feature map that the learned kernel makes.",
    )
    return Scene(in_a_row(parts, MIDDLE), words)
