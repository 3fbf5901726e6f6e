"""The pictures of the CNN lesson: (config, snapshot) → Scene, and the layer table as words."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, sqrt

from torch import Tensor

from core.architectures import ARCHITECTURES, LayerRow
from core.cnn import (
    CNNConfig,
    Trace,
    confusion,
    exciting,
    fold_head,
    layers,
    mistakes,
    prepare_drawing,
    trace,
    windows,
)
from core.data.digits import CLASSES, load
from core.pooling import POOLINGS
from core.training import Snapshot
from pages.ui.scene import Figure, Link, Scene
from pages.ui.text import language, t

WIDTH, HEIGHT = 276, 292  # of every figure of the flow: they stand in a grid
SHOWN = 8  # maps of a layer that are drawn at a time: a group
SLOT, MAP = WIDTH / SHOWN, 30  # eight small maps in a row …
LARGE_SLOT, LARGE_MAP = WIDTH / 4, 63  # … or four large ones
TILE, TILE_GAP = 34, 12  # a small digit of each class, and the room between two
DIMMED = 0.6  # what lies over those that cannot be chosen
MOSAIC = 12  # cells across the mosaic of one filter's kernels, about
BAR_LEFT, BAR_WIDTH = 104, 108
WINDOW_INK = "#c4347f"  # as scene.css frames a window
STRONGEST = 6  # digits shown for each channel
WRONG = 12  # wrong digits shown


# ---- words -----------------------------------------------------------------------------------------------------------


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def layer_words(row: LayerRow) -> str:
    """What a layer of the table does."""
    window = f"{row.kernel}×{row.kernel}"
    if row.kind == "convolution":
        steps = t(f"，步长 {row.stride}", f", stride {row.stride}") if row.stride > 1 else ""
        rim = t(f"，填充 {row.padding}", f", padding {row.padding}") if row.padding else ""
        return t(f"卷积 {window}", f"convolution {window}") + steps + rim
    return {
        "input": t("输入", "input"),
        "max": t(f"最大池化 {window}", f"max pooling {window}"),
        "average": t(f"平均池化 {window}", f"average pooling {window}"),
        "trainable": t(f"可训练池化 {window}", f"trainable pooling {window}"),
        "flatten": t("展平", "flatten"),
        "linear": t("全连接", "fully connected"),
        "fixed": t("到固定模板的距离", "distance to fixed patterns"),
    }[row.kind]


def size_words(row: LayerRow) -> str:
    """The size of what a layer gives: 8×4×4 maps, or 32 numbers."""
    return f"{row.channels:,}" if row.height == row.width == 1 else f"{row.channels}×{row.height}×{row.width}"


def field_words(row: LayerRow, side: int) -> str:
    """What one cell or unit of a layer sees of an image of this side; units that read all maps usually see it all."""
    if row.kind in ("linear", "fixed") and row.start <= 0 and row.start + row.receptive_field >= side:
        return t("全图", "all")
    return f"{row.receptive_field}×{row.receptive_field}"


def layer_markdown(rows: list[LayerRow], named: bool = False) -> str:
    """The layer table, its totals in the last line. `named` puts the layers' published names first."""
    heads = (
        t("层", "Layer"),
        t("输出", "Output"),
        t("参数", "Parameters"),
        t("感受野", "Receptive field"),
        t("间隔", "Jump"),
        t("乘加次数", "Multiply-adds"),
    )
    lines = [f"| {' | '.join(heads)} |", "|:--|--:|--:|--:|--:|--:|"]
    for row in rows:
        name = f"**{row.name}** {layer_words(row)}" if named and row.kind != "input" else layer_words(row)
        maps = row.kind in ("convolution", "trainable", *POOLINGS)
        jump = f"{row.jump}" if maps else ""
        field, learned, products = (
            ("", "", "")
            if row.kind == "input"
            else (field_words(row, rows[0].height), f"{row.parameters:,}", f"{row.multiply_adds:,}")
        )
        lines.append(f"| {name} | {size_words(row)} | {learned} | {field} | {jump} | {products} |")
    parameters, products = (sum(getattr(row, what) for row in rows) for what in ("parameters", "multiply_adds"))
    return "\n".join([*lines, f"| **{t('合计', 'Total')}** | | **{parameters:,}** | | | **{products:,}** |"])


def network_names() -> dict[str, str]:
    """The published networks, as they are called."""
    return {name: t("AlexNet（不分组）", name) if name == "AlexNet, ungrouped" else name for name in ARCHITECTURES}


def about(network: str) -> str:
    """Where a published network comes from, and what of its table is not as one would expect."""
    side = t("图像边长 227（原文写 224）", "images of 227 pixels (the paper says 224)")
    note = {
        "LeNet-5": t("C3 的每张图只连 S2 的一部分；RBF 的模板不学习", "each map of C3 reads only some of S2; the patterns of RBF are not learned"),
        "AlexNet": t("三个卷积层一分为二，两张显卡各算一半；", "three convolutions are cut in two, one half for each graphics card; ") + side,
        "AlexNet, ungrouped": t("不分组，一张显卡；", "no groups, one graphics card; ") + side,
        "VGG-16": t("配置 D", "configuration D"),
    }[network]  # fmt: skip
    return f"{ARCHITECTURES[network].source}{t('：', ': ')}{note}{t('。', '.')}"


def chain_formula(config: CNNConfig) -> str:
    """The sizes of all stages, from the digit to the scores, as a formula."""
    image, *rows = layers(config)
    text = rf"{image.height}{{\times}}{image.width}"
    names = {"max": r"\max", "average": r"\text{avg}"}
    for row in rows:
        if row.kind == "convolution":
            text += rf"\;\xrightarrow{{\,{row.kernel}\times{row.kernel}\,}}\;{row.channels}@{row.height}{{\times}}{row.width}"
        elif row.kind in names:
            text += rf"\;\xrightarrow{{\,{names[row.kind]}\,}}\;{row.channels}@{row.height}{{\times}}{row.width}"
        else:
            text += rf"\;\to\;{row.channels}"
    return text + r"\;\xrightarrow{\text{softmax}}\;p"


def groups(config: CNNConfig) -> dict[int, str]:
    """In which groups the widest block's channels are looked at: 1–8, 9–16, …"""
    most = max(row.channels for row in layers(config) if row.kind == "convolution")
    return {group: span_words(shown(most, group)) for group in range(1, ceil(most / SHOWN) + 1)}


def shown(channels: int, group: int) -> range:
    """Which of a layer's channels belong to a group, counted from 1; of a layer that has fewer groups, its last."""
    first = SHOWN * (min(group, ceil(channels / SHOWN)) - 1)
    return range(first, min(first + SHOWN, channels))


def span_words(part: range) -> str:
    """Channels as one counts them: 9–16."""
    return f"{part[0] + 1}–{part[-1] + 1}" if len(part) > 1 else f"{part[0] + 1}"


def numbered(label: str, part: range) -> str:
    """What a screen reader says before the number of a map in its group; the first group's are the channels' own."""
    return f"{label} {span_words(part)}:" if part[0] else label


# ---- the network as a flow -------------------------------------------------------------------------------------------


def flow(config: CNNConfig, snapshot: Snapshot, digit: int, group: int = 1) -> Scene:
    """A held-out digit on its way: filters, maps and pooled maps of each block, flattening, scores, probabilities.

    Of layers with more channels than fit a group of them is drawn.
    """
    digits, stages = load(config.data), stages_of(config, snapshot.state, digit)
    rows = {row.name: row for row in layers(config)}
    label = int(digits.test_labels[digit])
    blocks = [block_figure(config, snapshot, stages, rows, block, group) for block in range(1, config.blocks + 1)]
    return Scene(
        (digit_figure(stages, label), *blocks, head_figure(stages, label, rows, group)),
        t(
            "网络逐层处理一个手写数字：滤波器、特征图、池化、展平、得分、概率",
            "A digit on its way through the network: filters, maps, pooling, flattening, scores, probabilities",
        ),
    )


def held_out_classes(data: str, digit: int, locked: bool = False) -> Scene:
    """A small picture for each class, to click: the next held-out digit of it. The one that is looked at is framed."""
    return _held_out_classes(data, digit, locked, language())


@lru_cache(maxsize=512)
def _held_out_classes(data: str, digit: int, locked: bool, spoken: str) -> Scene:
    digits = load(data)
    labels = digits.test_labels.tolist()
    order = [*range(digit, len(labels)), *range(digit)]  # round and round, from the one that is looked at
    figure = Figure(CLASSES * (TILE + TILE_GAP), TILE + 8)
    for label in range(CLASSES):
        chosen = labels[digit] == label
        following = next(place for place in order[1:] if labels[place] == label)
        x = TILE_GAP / 2 + label * (TILE + TILE_GAP)
        figure.map(f"class{label}", digits.test_images[digit if chosen else following, 0], x, 4, TILE, scale="gray", high=1.0, hover=False)  # fmt: skip
        if chosen:
            figure.rect(x - 2, 2, TILE + 4, TILE + 4, ink="primary", stroke=3, round=3)
        if not locked:
            words = t(f"下一个 {label}", f"The next {label}") + (
                t("（正在看一个）", " (one is looked at)") if chosen else ""
            )
            figure.rect(x - 3, 1, TILE + 6, TILE + 6, ink="none", fill="panel", opacity=0.0, round=3, go=str(following), label=words, stay=f"class{label}")  # fmt: skip
        elif not chosen:
            figure.rect(x - 1, 3, TILE + 2, TILE + 2, ink="none", fill="background", opacity=DIMMED)
    said = t(f"每类一个测试数字，可以点选；正在看的是 {labels[digit]}。", f"A held-out digit of each class, to choose from; looked at is a {labels[digit]}.")  # fmt: skip
    return Scene((figure,), said, saved=False)


newest: tuple[CNNConfig | None, dict, int, Trace | None] = (None, {}, 0, None)  # what `stages_of` gave last


def stages_of(config: CNNConfig, state: dict[str, Tensor], digit: int) -> Trace:
    """The stages of a held-out digit; two pictures of one moment, which have the very same `state`, share them."""
    global newest
    of, weights, of_digit, stages = newest
    if stages is None or weights is not state or (of, of_digit) != (config, digit):
        stages = trace(config, state, load(config.data).test_images[digit : digit + 1])
        newest = config, state, digit, stages
    return stages


def title(figure: Figure, text: str, onward: bool = True) -> None:
    figure.text(text, 0, 14, size=15, bold=True)
    if onward:
        figure.line(WIDTH - 26, 9, WIDTH - 2, 9, arrow=True)


def digit_figure(stages: Trace, label: int) -> Figure:
    figure = Figure(WIDTH, HEIGHT)
    title(figure, t("数字", "Digit"))
    figure.map("digit", stages.images[0, 0], 0, 24, 222, scale="gray", high=1.0)
    probabilities = stages.scores[0].softmax(0)
    guess = int(probabilities.argmax())
    share = f"{probabilities[guess]:.1%}"
    figure.text(t(f"这是 {label}", f"This is {'an' if label == 8 else 'a'} {label}"), 0, 268)
    figure.text(
        t(f"{'✓' if guess == label else '✗'} 读作 {guess}（{share}）", f"{'✓' if guess == label else '✗'} read as {guess} ({share})"),
        0, 288, bold=True, ink="text" if guess == label else "orange",
    )  # fmt: skip
    return figure


def block_figure(
    config: CNNConfig, snapshot: Snapshot, stages: Trace, rows: dict[str, LayerRow], block: int, group: int
) -> Figure:
    """One block: each channel's filter, its feature map, and the map pooled."""
    figure = Figure(WIDTH, HEIGHT)
    title(figure, t(f"第 {block} 块", f"Block {block}"))
    convolution, pooling = rows[f"convolution_{block}"], rows.get(f"pooling_{block}")
    part = shown(convolution.channels, group)
    draw_filters(figure, snapshot.state[f"convolutions.{block - 1}.weight"], part, convolution, block)
    maps = stages.feature_maps[block - 1][0]
    side = convolution.height
    figure.text(t(f"{len(maps)} 张特征图 {side}×{side}（ReLU 后）", f"{len(maps)} maps {side}×{side}, after ReLU"), 0, 90, size=13, ink="muted")  # fmt: skip
    if len(maps) > SHOWN:
        figure.text(
            t(f"画出 {span_words(part)}", f"{span_words(part)} shown"), WIDTH, 90, size=13, ink="muted", anchor="end"
        )
    source = "" if block == 1 else f"p{block - 1}.*" if f"pooling_{block - 1}" in rows else f"f{block - 1}.*"
    links = seen(config, convolution, source)
    high = strongest(maps)
    figure.maps(
        f"f{block}.", maps[list(part)], 0, 97, LARGE_MAP, step=LARGE_SLOT, across=4, scale="sequential", high=high,
        links=links, label=numbered(t(f"第 {block} 块，特征图", f"Block {block}, map"), part),
    )  # fmt: skip
    if pooling is None:
        figure.text(t("不池化", "no pooling"), 0, 252, size=13, ink="muted")
        return figure
    side = pooling.height
    name = t("最大池化后", "max-pooled") if pooling.kind == "max" else t("平均池化后", "average-pooled")
    figure.text(f"{name} {side}×{side}", 0, 252, size=13, ink="muted")
    pooled = stages.pooled[block - 1][0]
    figure.maps(
        f"p{block}.", pooled[list(part)], 0, 259, MAP, step=SLOT, across=SHOWN, scale="sequential", high=high,
        links=seen(config, pooling, f"f{block}.#"), label=numbered(t(f"第 {block} 块，池化图", f"Block {block}, pooled map"), part),
    )  # fmt: skip
    return figure


def draw_filters(figure: Figure, weights: Tensor, part: range, row: LayerRow, block: int) -> None:
    """The kernels of each filter of a part as one small mosaic."""
    inputs = weights.shape[1]
    across = max(1, min(ceil(sqrt(inputs)), MOSAIC // row.kernel))
    kept = min(inputs, across**2)
    size = f"{inputs}×{row.kernel}×{row.kernel}" if inputs > 1 else f"{row.kernel}×{row.kernel}"
    figure.text(t(f"{row.channels} 个滤波器 {size}", f"{row.channels} filters {size}"), 0, 36, size=13, ink="muted")
    if kept < inputs:
        figure.text(t(f"各画 {kept} 层", f"{kept} of {inputs} layers"), WIDTH, 36, size=13, ink="muted", anchor="end")
    tiles = mosaic(weights[list(part), :kept], across)
    figure.maps(
        f"k{block}.", tiles, 0, 43, MAP, MAP, step=SLOT, across=SHOWN, high=float(weights[:, :kept].abs().max())
    )


def mosaic(weights: Tensor, across: int) -> Tensor:
    """Filters (C, I, k, k) with their I kernels side by side, `across` in a row: (C, across·k, across·k)."""
    filters, inputs, kernel, _ = weights.shape
    tiles = weights.new_zeros(filters, across**2, kernel, kernel)
    tiles[:, :inputs] = weights
    tiles = tiles.reshape(filters, across, across, kernel, kernel).transpose(2, 3)
    return tiles.reshape(filters, across * kernel, across * kernel)


def seen(config: CNNConfig, row: LayerRow, source: str) -> tuple[Link, ...]:
    """What a cell of a layer sees: in the digit, and in the maps that the layer reads, whose names begin so."""
    digit = Link("digit", row.start, row.start, row.jump, row.jump, row.receptive_field, row.receptive_field, spans=windows(config, row.name))  # fmt: skip
    if not source:
        return (digit,)
    return (digit, Link(source, -row.padding, -row.padding, row.stride, row.stride, row.kernel, row.kernel))


def strongest(maps: Tensor) -> float:
    return max(float(maps.max()), 1e-6)


def head_figure(stages: Trace, label: int, rows: dict[str, LayerRow], group: int) -> Figure:
    """The last maps strung together to one row of numbers, then the scores and their softmax."""
    figure = Figure(WIDTH, HEIGHT)
    maps = stages.pooled[-1][0]
    channels, height, width = maps.shape
    part = shown(channels, group)
    title(figure, t(f"展平：{channels}×{height}×{width} = {stages.flat.shape[1]:,} 个数", f"Flatten: {channels}×{height}×{width} = {stages.flat.shape[1]:,}"), onward=False)  # fmt: skip
    if channels > SHOWN:
        figure.text(
            t(f"画出 {span_words(part)}", f"{span_words(part)} shown"), WIDTH, 14, size=13, ink="muted", anchor="end"
        )
    high = strongest(maps)
    sequence = maps[list(part)].reshape(-1, 1, height * width)
    links = (Link("v#", 0, 0, 0, 1, 1, 1, wrap=width),)
    figure.maps("h", maps[list(part)], 2, 24, MAP, step=SLOT, across=SHOWN, scale="sequential", high=high, links=links, label=numbered(t("展平，图", "Flatten, map"), part))  # fmt: skip
    figure.maps("v", sequence, 0, 68, SLOT, 12, step=SLOT, across=SHOWN, scale="sequential", high=high)
    funnels = (
        f"M{x + 2:.1f} 55 h{MAP} L{x + SLOT:.1f} 68 H{x:.1f} Z" for x in (i * SLOT for i in range(len(sequence)))
    )
    figure.path(" ".join(funnels), ink="none", fill="muted", opacity=0.35)
    y = 97
    if stages.hidden is not None:
        units = stages.hidden.shape[1]
        figure.text(t(f"隐藏 {units}", f"hidden {units}"), 0, y, size=13, ink="muted")
        figure.map("hidden", stages.hidden, BAR_LEFT - 20, y - 11, WIDTH - BAR_LEFT + 20, 12, scale="sequential")
    bars(figure, stages.scores[0], 118, label)
    return figure


def bars(figure: Figure, scores: Tensor, y: float, label: int | None) -> None:
    """A line for each class: score, a bar for its probability, and the number. `label` is the true one, if known."""
    probabilities = scores.softmax(0)
    guess = int(probabilities.argmax())
    figure.text(t("得分", "score"), 84, y, size=13, ink="muted", anchor="end")
    figure.text(t("softmax：概率", "softmax: probability"), WIDTH, y, size=13, ink="muted", anchor="end")
    for digit, (score, share) in enumerate(zip(scores.tolist(), probabilities.tolist(), strict=True)):
        line, bold = y + 17.2 * (digit + 1), digit == guess
        if digit == label:
            figure.rect(0, line - 13, 22, 16.5, ink="none", fill="primary", opacity=0.22, round=4)
        figure.text(str(digit), 11, line, size=14, anchor="middle", bold=bold)
        figure.text(signed(score), 84, line, size=14, anchor="end", bold=bold)
        figure.rect(BAR_LEFT, line - 11, max(0.5, BAR_WIDTH * share), 11, ink="none", fill="primary" if bold else "muted")  # fmt: skip
        figure.text(f"{share:.1%}", WIDTH, line, size=14, anchor="end", bold=bold)


# ---- a closer look ---------------------------------------------------------------------------------------------------


def evidence(config: CNNConfig, snapshot: Snapshot, digit: int, label: int, group: int = 1) -> Scene:
    """The head's weights for a class on the maps that they belong to, and weight times map, which adds up to the score."""
    image = load(config.data).test_images[digit]
    stages = stages_of(config, snapshot.state, digit)
    found = fold_head(snapshot.state, label, stages)
    products = found.weights * stages.pooled[-1][0]
    part = shown(len(products), group)
    row = [row for row in layers(config) if row.kind in ("convolution", *POOLINGS)][-1]
    links = seen(config, row, "")
    picture = Figure(WIDTH, 206)
    title(picture, t("数字", "Digit"), onward=False)
    picture.map("digit", image[0], 0, 24, 156, scale="gray", high=1.0)
    named = (
        ("w", found.weights, t(f"类别 {label} 的权重", f"Weights of class {label}")),
        ("e", products, t("权重 × 特征图", "Weight × map")),
    )
    figures = [picture]
    for prefix, values, heading in named:
        figure = Figure(WIDTH, 206)
        title(figure, heading, onward=False)
        figure.maps(
            prefix, values[list(part)], 0, 24, LARGE_MAP, step=LARGE_SLOT, across=4, high=float(values.abs().max()),
            links=links, label=numbered(heading, part),
        )  # fmt: skip
        figures.append(figure)
    if len(products) > SHOWN:
        for figure in figures[1:]:
            figure.text(t(f"画出 {span_words(part)} / {len(products)}", f"{span_words(part)} of {len(products)}"), WIDTH, 14, size=13, ink="muted", anchor="end")  # fmt: skip
    plus, minus = float(products.clamp(min=0).sum()), float(products.clamp(max=0).sum())
    total = signed(plus + minus + found.constant)
    figures[1].text(t("橙：支持  蓝：反对", "orange: for, blue: against"), 0, 184, size=14, ink="muted")
    figures[2].text(f"{signed(plus)}  {signed(minus)}  {signed(found.constant)}", 0, 184, size=14)
    figures[2].text(t(f"支持 + 反对 + 常数 = 得分 {total}", f"for + against + constant = score {total}"), 0, 202, size=14, bold=True)  # fmt: skip
    return Scene(tuple(figures), t(f"类别 {label} 的权重叠回特征图", f"The weights of class {label} folded back onto the maps"))  # fmt: skip


def excitement(config: CNNConfig, snapshot: Snapshot, block: int, group: int = 1) -> Scene:
    """For each channel of a block the held-out digits that excite it most, each with the window that does."""
    images = load(config.data).test_images
    channels = exciting(config, snapshot.state, f"convolution_{block}", images, STRONGEST)
    side, size = images.shape[-1], WIDTH / STRONGEST - 4
    figures = []
    for number in shown(len(channels), group):
        places = channels[number]
        figure = Figure(WIDTH, 66)
        peak = places[0].activation
        figure.text(t(f"通道 {number + 1}", f"Channel {number + 1}"), 0, 14, size=14, bold=True)
        figure.text(t(f"最强 {peak:.2f}", f"peak {peak:.2f}") if peak > 0 else t("从不激活", "never active"), WIDTH, 14, size=14, anchor="end", ink="muted")  # fmt: skip
        for i, place in enumerate(places if peak > 0 else ()):
            x, cell = i * WIDTH / STRONGEST, size / side
            figure.map(f"x{number}.{i}", images[place.image, 0], x, 22, size, scale="gray", high=1.0, hover=False)
            top, left, bottom, right = place.window
            figure.rect(x + left * cell, 22 + top * cell, (right - left) * cell, (bottom - top) * cell, ink=WINDOW_INK, stroke=2)  # fmt: skip
        figures.append(figure)
    return Scene(tuple(figures), t("每个通道最强的激活", "What excites each channel most"))


def errors(config: CNNConfig, snapshot: Snapshot) -> Scene:
    """The confusion matrix of the held-out digits, and the digits that are read wrongly."""
    counts = confusion(config, snapshot.state)
    return Scene((confusion_figure(counts), mistakes_figure(config, snapshot)), t("混淆矩阵与认错的数字", "Confusion matrix and wrong digits"))  # fmt: skip


def confusion_figure(counts: Tensor) -> Figure:
    figure = Figure(330, 360)
    cell, left, top = 29, 34, 52
    figure.text(t("真实（行）被读作（列）", "True (row) read as (column)"), 0, 14, bold=True)
    figure.map("confusion", counts.float(), left, top, cell * CLASSES, high=float(counts.sum(1).max()))
    for place in range(CLASSES):
        figure.text(str(place), left + (place + 0.5) * cell, top - 8, size=14, anchor="middle", ink="muted")
        figure.text(str(place), left - 12, top + (place + 0.5) * cell + 5, size=14, anchor="middle", ink="muted")
    for row, column in counts.nonzero().tolist():
        x, y = left + (column + 0.5) * cell, top + (row + 0.5) * cell + 5
        figure.text(str(int(counts[row, column])), x, y, size=14, anchor="middle", ink="#17212b", bold=row != column)
    return figure


def mistakes_figure(config: CNNConfig, snapshot: Snapshot) -> Figure:
    figure = Figure(330, 360)
    wrong = mistakes(config, snapshot.state)
    images = load(config.data).test_images
    figure.text(t(f"认错 {len(wrong)} / {len(images)}", f"Wrong: {len(wrong)} of {len(images)}"), 0, 14, bold=True)
    if len(wrong) > WRONG:
        figure.text(t(f"最有把握的 {WRONG} 个", f"the {WRONG} surest"), 330, 14, size=13, ink="muted", anchor="end")
    for i, mistake in enumerate(wrong[:WRONG]):
        x, y = i % 4 * 83, 26 + i // 4 * 113
        words = f"{mistake.label} → {mistake.predicted}"
        figure.map(f"m{mistake.image}", images[mistake.image, 0], x, y, 76, scale="gray", high=1.0, pick=True, label=words)  # fmt: skip
        figure.text(words, x, y + 91, size=14, bold=True)
        figure.text(f"{mistake.probability:.0%}", x + 76, y + 91, size=14, anchor="end", ink="muted")
    return figure


def reading(config: CNNConfig, snapshot: Snapshot, drawing: Tensor) -> Scene:
    """What the network sees of a drawing (H, W), and what it reads; nothing where nothing is drawn."""
    image = prepare_drawing(drawing, config)
    sight, answer = Figure(WIDTH, 216), Figure(WIDTH, 216)
    side = image.shape[-1]
    title(sight, t(f"网络看到的 {side}×{side}", f"What the network sees: {side}×{side}"))
    sight.map("seen", image[0, 0], 0, 24, 186, scale="gray", high=1.0)
    if drawing.any():
        scores = trace(config, snapshot.state, image).scores[0]
        guess = int(scores.argmax())
        title(answer, t(f"读作 {guess}", f"Read as {guess}"), onward=False)
        bars(answer, scores, 36, None)
        words = t(f"网络把你画的数字读作 {guess}", f"The network reads your digit as {guess}")
    else:
        words = t("先画一个数字。", "Draw a digit first.")
        title(answer, words, onward=False)
    return Scene((sight, answer), words)
