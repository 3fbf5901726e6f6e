"""The pictures and charts of the pooling lesson: pure functions of settings, digits and weights."""

from __future__ import annotations

import altair as alt
import pandas as pd
import torch
from torch import Tensor

from core.convolution import convolve, kernel_preset
from core.data.digits import SIDE, shift
from core.data.pictures import digit
from core.pooling import (
    CANVAS,
    POOLINGS,
    PoolingConfig,
    centred,
    coverage,
    gradient_route,
    identity_kernel,
    network_responses,
    pool,
    reduction,
    relative_change,
    shift_response,
    trace,
)
from core.training import Snapshot
from pages.ui.palette import MUTED, SERIES
from pages.ui.scene import Figure, Link, Scene
from pages.ui.text import t, term

COLOURS = dict(zip(POOLINGS, SERIES, strict=False))  # the same as the runs' in the training curves
WIDTH = 160  # of a column; two stand side by side on a phone
WINDOW = 124  # side of a window shown with its numbers
TOP = 48  # above the first map of a column: the kind and a line on its numbers
COLUMN = TOP + 2 * WIDTH + 34  # height of every look's columns, so that nothing below jumps
SENT = COLUMN - TOP - WIDTH - 60  # side of the map that sends gradients back
SHIFTED = 122  # of a column of the shift test, which has four
CHANNELS = 8  # feature maps shown of each stage, four to a figure
MAP, STEP = 65, 70  # side of a feature map, and from one to the next
STAGES = ("maps1", "pooled1", "maps2", "pooled2", "hidden", "scores")


# ---- the digit -----------------------------------------------------------------------------------------------------


def picture_of(label: int, source: str, right: int = 0, down: int = 0) -> Tensor:
    """A real digit (16, 16) so many pixels off the centre, or its edges; values in 0…1."""
    image = shift(centred(digit(label, SIDE)[None, None])[0, 0], right, down)
    if source == "digit":
        return image
    x, y = (convolve(image, kernel_preset(name, 3), padding=1).output for name in ("sobel_x", "sobel_y"))
    steepness = torch.hypot(x, y)
    return steepness / steepness.max().clamp_min(1e-12)


# ---- forth ---------------------------------------------------------------------------------------------------------


def pooled_maps(image: Tensor, config: PoolingConfig) -> Scene:
    """The digit and its pooled map by each kind; what each kind takes of the digit is marked in it."""
    side = reduction(*image.shape, config.kernel, config.stride).height
    links = (
        Link("input*", 0, 0, config.stride, config.stride, config.kernel, config.kernel),
        Link("pooled*", 0, 0, 1, 1, 1, 1),
    )
    figures = []
    for kind in POOLINGS:
        pooled = pool(image, kind, config.kernel, config.stride)
        drawn = column(kind, f"{CANVAS}×{CANVAS} → {side}×{side}", COLUMN)
        drawn.map(f"input_{kind}", image, 1, TOP, WIDTH - 2, scale="gray", high=1.0)
        unread(drawn, config, 1, TOP, WIDTH - 2)
        if kind == "max":
            argmax_marks(drawn, image, pooled.argmax, config)
        elif kind == "none":
            kept_marks(drawn, config, side)
        arrow_down(drawn, TOP + WIDTH + 3)
        drawn.map(
            f"pooled_{kind}", pooled.output, 1, TOP + WIDTH + 32, WIDTH - 2, scale="gray", high=1.0, pick=True, links=links,
            label=t(f"{term(kind)}的结果：点一格，看它的窗口", f"Result of {term(kind)}: click a cell to see its window"),
        )  # fmt: skip
        figures.append(drawn)
    words = t(
        f"上面是数字，下面是三种办法缩成的 {side}×{side}。橙点是每个窗口里最大的一格。",
        f"The digit above, below it the {side}×{side} maps that the three kinds make. Orange dots mark each window's largest cell.",
    )
    return Scene(tuple(figures), words)


def column(kind: str, line: str, height: float, width: float = WIDTH) -> Figure:
    """A column of one kind: its name and a line under it."""
    drawn = Figure(width, height)
    drawn.rect(1, 5, 12, 12, ink="none", fill=COLOURS[kind], round=3)
    drawn.text(term(kind), 19, 16, size=15, bold=True)
    return drawn.text(line, 1, 37, size=14, ink="muted") if line else drawn


def arrow_down(drawn: Figure, y: float, length: float = 24, ink: str = "muted") -> None:
    drawn.line(drawn.width / 2, y, drawn.width / 2, y + length, ink=ink, width=2, arrow=True)


def dot(drawn: Figure, cell: float, row: int, col: int, *, filled: bool = True) -> None:
    """A mark in the middle of a cell of the digit."""
    x, y = 1 + (col + 0.5) * cell, TOP + (row + 0.5) * cell
    if filled:
        drawn.circle(x, y, 0.3 * cell, ink="#ffffff", fill="#d9660a", stroke=0.8)
    else:
        drawn.circle(x, y, 0.1 * cell, ink="none", fill="#9aa4ae", stroke=0)


def argmax_marks(drawn: Figure, image: Tensor, argmax: Tensor, config: PoolingConfig) -> None:
    """A dot on the largest cell of each window; a faint one where all are equal and the first is taken."""
    cell = (WIDTH - 2) / CANVAS
    flat = image.unfold(0, config.kernel, config.stride).unfold(1, config.kernel, config.stride).flatten(2)
    decided = (flat.amax(2) > flat.amin(2)) | (config.kernel == 1)
    won = dict.fromkeys(argmax.flatten().tolist(), False)
    for index, clear in zip(argmax.flatten().tolist(), decided.flatten().tolist(), strict=True):
        won[index] = won[index] or clear
    for index, clear in won.items():
        dot(drawn, cell, index // CANVAS, index % CANVAS, filled=clear)


def kept_marks(drawn: Figure, config: PoolingConfig, side: int) -> None:
    """A dot on the one cell of each window that the fixed kernel hands on."""
    inside = int(identity_kernel(config.kernel).argmax()) // config.kernel
    for row in range(side):
        for col in range(side):
            dot(drawn, (WIDTH - 2) / CANVAS, row * config.stride + inside, col * config.stride + inside)


def unread(drawn: Figure, config: PoolingConfig, x: float, y: float, width: float) -> None:
    """Hatch the cells of the digit that no window reads: whole rows, and whole columns between them."""
    read = coverage(CANVAS, CANVAS, config.kernel, config.stride).amax(0) > 0
    cell = width / CANVAS
    strips = bands(~read)
    for start, stop in strips:
        drawn.rect(x, y + start * cell, width, (stop - start) * cell, ink="none", stroke=0, hatch=True)
    for start, stop in strips:
        for top, bottom in bands(read):
            drawn.rect(
                x + start * cell, y + top * cell, (stop - start) * cell, (bottom - top) * cell,
                ink="none", stroke=0, hatch=True,
            )  # fmt: skip


def bands(chosen: Tensor) -> list[tuple[int, int]]:
    """The stretches (start, stop) of a row of yes and no in which all say yes."""
    flags = [False, *chosen.tolist(), False]
    edges = [i for i in range(len(flags) - 1) if flags[i] != flags[i + 1]]
    return list(zip(edges[::2], edges[1::2], strict=True))


# ---- one window, there and back ------------------------------------------------------------------------------------


def one_window(image: Tensor, config: PoolingConfig, row: int, col: int) -> Scene:
    """A window in numbers: what comes out of it, and how a gradient of 1 comes back into it."""
    k, top, left = config.kernel, row * config.stride, col * config.stride
    values = image[top : top + k, left : left + k]
    x = (WIDTH - WINDOW) / 2
    figures = []
    for kind, rule in zip(POOLINGS, rules(config), strict=True):
        drawn = column(kind, rule, COLUMN)
        drawn.map(f"window_{kind}", values, x, TOP, WINDOW, scale="gray", high=1.0, numbers=True)
        arrow_down(drawn, TOP + WINDOW + 4, 20)
        middle, y = WIDTH / 2, TOP + WINDOW + 28
        output = pool(values, kind, k, config.stride).output
        drawn.map(f"output_{kind}", output, middle - 32, y, 64, 34, scale="gray", high=1.0, numbers=True)
        arrow_down(drawn, y + 38, 36, "#d9660a")
        drawn.text("∂L/∂y = 1", middle + 12, y + 61, size=14, ink="orange")
        back = gradient_route(values, kind, k, config.stride)
        drawn.map(f"back_{kind}", back, x, y + 78, WINDOW, high=1.0, numbers=True)
        figures.append(drawn)
    words = t(
        f"第 {row + 1} 行第 {col + 1} 列的窗口：三种办法各得到什么，梯度又回到哪些格子。",
        f"The window in row {row + 1}, column {col + 1}: what each kind makes of it, and which cells the gradient returns to.",
    )
    return Scene(tuple(figures), words)


def rules(config: PoolingConfig) -> tuple[str, str, str]:
    """What each kind does with a window, in a line."""
    cells = config.kernel**2
    return (
        t("取最大的一格", "keeps the largest"),
        t(f"{cells} 格的平均", f"mean of {cells} cell{'s' * (cells > 1)}"),
        t("固定取同一格", "keeps a fixed cell"),
    )


# ---- back ----------------------------------------------------------------------------------------------------------


def gradient_maps(image: Tensor, config: PoolingConfig) -> Scene:
    """Every output cell sends back a gradient of 1: what arrives at each cell of the digit."""
    side = reduction(*image.shape, config.kernel, config.stride).height
    figures = []
    for kind in POOLINGS:
        arrived = gradient_route(image, kind, config.kernel, config.stride)
        reached, largest = int((arrived != 0).sum()), float(arrived.max())
        drawn = column(kind, t(f"到达 {reached} / {CANVAS**2} 格", f"reaches {reached} of {CANVAS**2}"), COLUMN)
        window = Link("gradient*", 0, 0, config.stride, config.stride, config.kernel, config.kernel)
        drawn.map(f"sent_{kind}", torch.ones(side, side), (WIDTH - SENT) / 2, TOP, SENT, high=1.0, links=(window,), label=t("送回的梯度", "The gradients sent back"))  # fmt: skip
        arrow_down(drawn, TOP + SENT + 3, 24, "#d9660a")
        drawn.text(t("每格 1", "1 each"), WIDTH / 2 + 12, TOP + SENT + 21, size=14, ink="orange")
        y = TOP + SENT + 32
        drawn.map(f"gradient_{kind}", arrived, 1, y, WIDTH - 2, high=max(1.0, largest))
        unread(drawn, config, 1, y, WIDTH - 2)
        drawn.text(t(f"最大 {largest:.3g}", f"largest {largest:.3g}"), 1, y + WIDTH + 16, size=14, ink="muted")
        figures.append(drawn)
    words = t(
        "每个输出格都送回梯度 1；下面的网格是每个输入格收到的总和，橙色越深越大。",
        "Every output cell sends back a gradient of 1; the grid shows the sum that reaches each input cell, deeper orange is more.",
    )
    return Scene(tuple(figures), words)


# ---- the shift test ------------------------------------------------------------------------------------------------


def shift_maps(still: Tensor, moved: Tensor, config: PoolingConfig) -> Scene:
    """The moved digit and its pooled maps, and what has changed since it stood in the centre."""
    figures = []
    for kind in (None, *POOLINGS):
        before, after = (
            x if kind is None else pool(x, kind, config.kernel, config.stride).output for x in (still, moved)
        )
        if kind is None:
            drawn = Figure(SHIFTED, COLUMN).text(t("数字本身", "the digit"), 1, 16, size=15, bold=True)
        else:
            drawn = column(kind, "", COLUMN, SHIFTED)
        drawn.map(f"moved_{kind}", after, 1, TOP, SHIFTED - 2, scale="gray", high=1.0, title=t("移动后", "moved"))
        drawn.map(
            f"change_{kind}", after - before, 1, TOP + SHIFTED + 34, SHIFTED - 2, high=1.0, title=t("变化", "change")
        )
        share = float(relative_change(before, after))
        drawn.text(f"{share:.0%}", SHIFTED / 2, TOP + 2 * SHIFTED + 76, size=28, bold=True, anchor="middle")
        figures.append(drawn)
    words = t(
        "移动后的数字与三种池化的结果；下面是变化：橙色多了，蓝色少了，百分数是变化的大小。",
        "The moved digit and its three pooled maps; below, the change: orange more, blue less, and its size in percent.",
    )
    return Scene(tuple(figures), words)


def layer_changes(still: Tensor, config: PoolingConfig, down: int) -> pd.DataFrame:
    """How much the digit and each pooled map change for 0–3 pixels to the right: pixels, kind, change."""
    changes = {t("数字本身", "the digit"): shift_response(still, "none", 1, 1, down=down)}
    changes |= {term(kind): shift_response(still, kind, config.kernel, config.stride, down=down) for kind in POOLINGS}
    return pd.DataFrame(
        [
            {"pixels": pixels, "kind": kind, "change": change}
            for kind, values in changes.items()
            for pixels, change in enumerate(values.tolist())
        ]
    )


def layer_chart(changes: pd.DataFrame, right: int) -> alt.Chart:
    """Change against pixels, a line per kind and one for the digit itself; a rule where the digit stands now."""
    kinds = list(changes["kind"].unique())
    lines = (
        alt.Chart(changes, title=heading(t("一层池化，未经训练", "One layer, nothing learned")))
        .mark_line(point=alt.OverlayMarkDef(size=70), strokeWidth=2.4)
        .encode(
            x=alt.X("pixels:O", title=t("向右移动（像素）", "moved right (pixels)"), axis=alt.Axis(labelAngle=0)),
            y=alt.Y("change:Q", title=t("相对变化", "relative change"), axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[MUTED, *SERIES[:3]]), legend=KEY),
            strokeDash=alt.StrokeDash("kind:N", scale=alt.Scale(domain=kinds, range=DASHES), legend=KEY),
            tooltip=[alt.Tooltip("kind:N", title=" "), "pixels:O", alt.Tooltip("change:Q", format=".0%")],
        )
    )
    here = alt.Chart(pd.DataFrame({"pixels": [right]})).mark_rule(color=MUTED, strokeWidth=1.5).encode(x="pixels:O")
    return alt.layer(here, lines).properties(height=HEIGHT)


def network_changes(
    configs: dict[str, PoolingConfig], snapshots: dict[str, Snapshot], still: Tensor, right: int, down: int
) -> pd.DataFrame:
    """How much each stage of each network changes when the digit moves: stage, place, kind, change."""
    image = float(relative_change(still, shift(still, right, down)))
    rows = []
    for kind, config in configs.items():
        responses = network_responses(config, snapshots[kind].state, still[None], (right,), down)
        changes = [image, *(float(responses[stage]) for stage in STAGES)]
        for place, (stage, change) in enumerate(zip(stage_names(), changes, strict=True)):
            rows.append({"stage": stage, "place": place, "kind": term(kind), "change": change})
    return pd.DataFrame(rows)


def stage_names() -> list[str]:
    return [
        t("数字", "digit"), t("卷积 1", "conv 1"), t("池化 1", "pool 1"), t("卷积 2", "conv 2"), t("池化 2", "pool 2"),
        t("全连接", "fully con."), t("得分", "scores"),
    ]  # fmt: skip


def network_chart(changes: pd.DataFrame, step: int) -> alt.Chart:
    """Change from stage to stage, a line per kind."""
    kinds = list(changes["kind"].unique())
    return (
        alt.Chart(changes, title=heading(t(f"三个网络，训练 {step} 步后", f"The three networks after {step} steps")))
        .mark_line(point=alt.OverlayMarkDef(size=70), strokeWidth=2.4)
        .encode(
            x=alt.X("stage:N", title=t("从输入到得分", "from input to scores"), sort=stage_names(), axis=alt.Axis(labelAngle=-35, labelOverlap=False)),
            y=alt.Y("change:Q", title=t("相对变化", "relative change"), axis=alt.Axis(format="%", tickCount=5)),
            color=alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=SERIES[:3]), legend=KEY),
            strokeDash=alt.StrokeDash("kind:N", scale=alt.Scale(domain=kinds, range=DASHES[1:]), legend=KEY),
            tooltip=[alt.Tooltip("kind:N", title=" "), alt.Tooltip("stage:N", title=" "), alt.Tooltip("change:Q", format=".0%")],
        )
        .properties(height=HEIGHT)
    )  # fmt: skip


HEIGHT = 320
DASHES = [[2, 3], [1, 0], [7, 3], [4, 2, 1, 2]]  # colour is never the only carrier
KEY = alt.Legend(title=None, orient="top", columns=2, symbolType="stroke", symbolSize=500, symbolStrokeWidth=2.5)


def heading(words: str) -> alt.TitleParams:
    return alt.TitleParams(words, anchor="start", fontSize=16, fontWeight=600, offset=4)


# ---- inside the network --------------------------------------------------------------------------------------------


def feature_maps(config: PoolingConfig, snapshot: Snapshot, image: Tensor) -> Scene:
    """The maps of both stages before and after pooling, for a digit (16, 16): four channels to a figure."""
    stages = trace(config, snapshot.state, image[None, None])
    channels = min(CHANNELS, config.channels)
    window = (0, 0, config.stride, config.stride, config.kernel, config.kernel)
    figures = []
    for number, maps, pooled in ((1, stages.maps1[0], stages.pooled1[0]), (2, stages.maps2[0], stages.pooled2[0])):
        high, high_pooled = (max(float(x.max()), 1e-6) for x in (maps, pooled))
        if config.pooling != "none":
            high_pooled = high  # pooling stays on the scale of what it pools
        for first in range(0, channels, 4):
            shown = range(first, min(first + 4, channels))
            drawn = Figure(4 * STEP, 2 * MAP + 62)
            sizes = f"{maps.shape[-1]}×{maps.shape[-1]} → {pooled.shape[-1]}×{pooled.shape[-1]}"
            those = f"{shown[0] + 1}–{shown[-1] + 1}" if len(shown) > 1 else f"{shown[0] + 1}"
            title = t(f"第 {number} 层，通道 {those}", f"Layer {number}, channel{'s' * (len(shown) > 1)} {those}")
            drawn.text(title, 1, 16, size=15, bold=True)
            drawn.text(sizes, 4 * STEP - 4, 16, size=14, anchor="end", ink="muted")
            before, after = f"before{number}_{first}_", f"after{number}_{first}_"
            row = {"width": MAP, "step": STEP, "across": 4, "scale": "sequential"}
            drawn.maps(before, maps[list(shown)], 1, 28, high=high, **row)
            for place in range(len(shown)):
                middle = 1 + place * STEP + MAP / 2
                drawn.line(middle, MAP + 32, middle, MAP + 50, arrow=True)
            drawn.maps(
                after, pooled[list(shown)], 1, MAP + 56, high=high_pooled, links=(Link(f"{before}#", *window),),
                label=t(f"第 {number} 层池化后", f"Layer {number}, pooled"), **row,
            )  # fmt: skip
            figures.append(drawn)
    words = t(
        f"{term(config.pooling)}网络里两层特征图，上为池化前，下为池化后。",
        f"The feature maps of both layers in the network with {term(config.pooling)}: before pooling above, after it below.",
    )
    return Scene(tuple(figures), words)
