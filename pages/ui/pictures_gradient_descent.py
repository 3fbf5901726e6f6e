"""Pictures of the gradient-descent lesson: a landscape from above, and the ways down. Pure functions of config and snapshot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from core.gradient_descent import (
    EDGE,
    METHODS,
    GradientDescentConfig,
    height,
    levels,
    minima,
    path_steps,
    shade,
    surface_grid,
)
from core.training import Snapshot
from pages.ui.palette import SERIES
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

CELLS = 51  # of the relief, per side: a cell is 0.2 wide, and a click on it chooses the start
FINE = 121  # places per side at which the contour lines are computed
CONTOURS = 11
RELIEF = 5.5  # how much the light brings out slopes
SIDE, LEFT, TOP = 440.0, 34.0, 56.0  # of the large map, in units
TICK = 16  # of the smallest words: so large that the map fits a phone
CORNERS = 80  # of a path, at most
INK = "#17212b"  # of lines on the map, which is light in both themes
COLOURS = dict(zip(METHODS, ("#1f6cab", "#c65300", "#087a5d", "#a8367a", "#6b5900"), strict=True))  # SERIES, darker
DASHES = dict(zip(METHODS, (None, "10 3", "7 3 2 3", "2 3", "14 4 2 4 2 4"), strict=True))
TINT = 0.13  # of the map, towards blue


# ---- the landscape ---------------------------------------------------------------------------------------------------


def relief(config: GradientDescentConfig) -> Tensor:
    """How light the map is at each cell (CELLS, CELLS): high ground is light, slopes are lit from the upper left."""
    heights = surface_grid(config, CELLS)
    order = heights.flatten().argsort().argsort().reshape(CELLS, CELLS) / CELLS**2  # each tone has the same room
    lit = shade(heights, relief=RELIEF) - 0.5
    return (0.56 + 0.38 * order + 0.5 * lit).clamp(0.25, 1.0).flip(0)


@lru_cache(maxsize=32)
def landscape(surface: str, condition: int, angle: int) -> tuple[Tensor, str]:
    """The relief, and the contour lines as an SVG path."""
    config = GradientDescentConfig(surface=surface, condition=condition, angle=angle)
    level = levels(surface_grid(config, FINE))
    count = CONTOURS + 1
    d = "".join(contour(level, level.max().item() * k / count, SIDE) for k in range(1, count))
    return relief(config), moved(d, LEFT, TOP)


def contour(level: Tensor, at: float, side: float) -> str:
    """Where a grid (N, N) of heights passes `at`, as an SVG path: marching squares, pieces joined to long lines."""
    rows, unit = level.tolist(), side / (len(level) - 1)
    above = level >= at
    mixed = above[1:, 1:] ^ above[:-1, :-1] | above[1:, :-1] ^ above[:-1, 1:] | above[1:, 1:] ^ above[1:, :-1]
    ends: dict[tuple, list[tuple]] = {}
    for row, column in mixed.nonzero().tolist():
        square = ((row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column))
        cut = [
            (a, b) if a < b else (b, a)
            for a, b in pairwise((*square, square[0]))
            if (rows[a[0]][a[1]] >= at) != (rows[b[0]][b[1]] >= at)
        ]
        for first, second in zip(cut[::2], cut[1::2], strict=True):
            ends.setdefault(first, []).append(second)
            ends.setdefault(second, []).append(first)

    def place(edge: tuple) -> str:
        (r0, c0), (r1, c1) = edge
        share = (at - rows[r0][c0]) / (rows[r1][c1] - rows[r0][c0])
        return f"{(c0 + share * (c1 - c0)) * unit:.1f} {side - (r0 + share * (r1 - r0)) * unit:.1f}"

    lines = []
    for start in sorted(ends, key=lambda edge: len(ends[edge])):  # open lines first, from their ends
        line = [start]
        while ends[line[-1]]:
            following = ends[line[-1]].pop()
            ends[following].remove(line[-1])
            line.append(following)
        if len(line) > 1:
            kept = [*line[:-1:2], line[-1]]
            lines.append("M" + "L".join(map(place, kept)))
    return "".join(lines)


def on_map(points: Tensor, side: float) -> Tensor:
    """Places (N, 2) of the surface as units of a map of this side: right, and down from its upper edge."""
    return torch.stack([points[:, 0] + EDGE, EDGE - points[:, 1]], 1) * side / (2 * EDGE)


# ---- paths -----------------------------------------------------------------------------------------------------------


def corners(points: Tensor, most: int = CORNERS) -> list[list[float]]:
    """The places (N, 2) without those that hardly leave the one before: at most `most`; it ends where they end."""
    kept, gap = points.tolist(), 0.01
    while len(kept) > most:
        gap *= 1.6
        last = None
        kept = [last := p for p in kept if last is None or math.dist(p, last) >= gap]
    return kept if kept[-1] == points[-1].tolist() else [*kept, points[-1].tolist()]


def clipped(points: list[list[float]], side: float) -> str:
    """A line through these places as an SVG path, without what lies outside of the map."""
    d, end = "", None
    for a, b in pairwise(points):
        part = inside(a, b, side)
        if part is None:
            end = None
            continue
        first, last = part
        if first != end:
            d += f"M{first[0]:.1f} {first[1]:.1f}"
        d += f"L{last[0]:.1f} {last[1]:.1f}"
        end = last
    return d


def inside(a: list[float], b: list[float], side: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The part of the line from a to b within the square 0…side (Liang–Barsky); None where there is none."""
    if not all(map(math.isfinite, (*a, *b))):
        return None
    low, high = 0.0, 1.0
    for start, way in ((a[0], b[0] - a[0]), (a[1], b[1] - a[1])):
        if way == 0:
            if not 0 <= start <= side:
                return None
            continue
        enter, leave = sorted((-start / way, (side - start) / way))
        low, high = max(low, enter), min(high, leave)
    if low > high:
        return None
    first, last = ((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])) for share in (low, high))
    return first, last


def way(snapshot: Snapshot) -> Tensor:
    """The positions (N, 2) so far, each once, without those that are no numbers."""
    count = len(dict.fromkeys(path_steps(snapshot.step)))
    path = snapshot.state["path"][:count]
    return path[path.isfinite().all(1)]


# ---- the large map ---------------------------------------------------------------------------------------------------


def descent(configs: Mapping[str, GradientDescentConfig], snapshots: Mapping[str, Snapshot], focus: str = "") -> Scene:
    """The surface from above with the way of each method down; the one in focus has the thicker line."""
    config = next(iter(configs.values()))
    figure = Figure(LEFT + SIDE + 12, TOP + SIDE + 46)
    ground(figure, config)
    axes(figure, config)
    for number, name in enumerate(configs):
        legend(figure, name, LEFT + 152 * (number % 3), 18 + 24 * (number // 3))
    drawn = sorted(snapshots, key=lambda name: name == focus)  # the one in focus lies on top
    for name in drawn:
        points = on_map(way(snapshots[name]), SIDE)
        d = moved(clipped(corners(points), SIDE), LEFT, TOP)
        thick = 3.4 if name == focus or len(configs) == 1 else 2.4
        if not ((points[-1] >= 0) & (points[-1] <= SIDE)).all():
            thick = 1.4  # it flies off, to and fro across the whole map
        if d:
            figure.path(d, ink="#ffffff", width=1.65 * thick, opacity=0.65)
            figure.path(d, ink=COLOURS[name], width=thick, dash=DASHES[name])
    ring(figure, config)
    for name in drawn:
        (x, y), inside = within_map(on_map(way(snapshots[name]), SIDE))
        ink, fill = ("#ffffff", COLOURS[name]) if inside else (COLOURS[name], "#ffffff")
        figure.path(sign(name, LEFT + x, TOP + y, 8), ink=ink, fill=fill, width=1.8 if inside else 3)
    return Scene((figure,), in_words(config, snapshots), cell_of(config))


def within_map(points: Tensor) -> tuple[tuple[float, float], bool]:
    """Where a way has come to, and whether that is on the map; if not, the place on its border in the same direction."""
    offset = points[points.isfinite().all(1)][-1] - SIDE / 2
    far = offset.abs().max().item() / (SIDE / 2)
    x, y = (SIDE / 2 + offset / max(1.0, far)).tolist()
    return (x, y), far <= 1 and bool(points[-1].isfinite().all())


def ground(figure: Figure, config: GradientDescentConfig) -> None:
    """Relief, contour lines and minima."""
    light, lines = landscape(config.surface, config.condition, config.angle)
    margin = SIDE / (CELLS - 1) / 2  # the middle of an outer cell lies on the edge of the square
    x, y, side = LEFT - margin, TOP - margin, SIDE + 2 * margin
    figure.map(
        "ground", light, x, y, side, scale="gray", high=1.0, hover=False, pick=True, smooth=True,
        label=t("选起点：方向键移动", "Choose the start: arrow keys move it"),
    )  # fmt: skip
    figure.rect(x, y, side, side, ink="none", fill=SERIES[0], opacity=TINT)
    figure.path(lines, ink=INK, width=0.9, opacity=0.42)
    for place in on_map(minima(config), SIDE).tolist():
        cross(figure, LEFT + place[0], TOP + place[1], 6)


def moved(d: str, x: float, y: float) -> str:
    """An SVG path of M and L commands, moved."""
    parts = d.replace("M", "|M").replace("L", "|L").split("|")[1:]
    pairs = ((part[0], *map(float, part[1:].split(" "))) for part in parts)
    return "".join(f"{command}{right + x:.1f} {down + y:.1f}" for command, right, down in pairs)


def cross(figure: Figure, x: float, y: float, size: float) -> None:
    """A minimum."""
    d = f"M{x - size:.1f} {y - size:.1f}L{x + size:.1f} {y + size:.1f}M{x - size:.1f} {y + size:.1f}L{x + size:.1f} {y - size:.1f}"
    figure.path(d, ink="#ffffff", width=5)
    figure.path(d, ink=INK, width=2.2)


def ring(figure: Figure, config: GradientDescentConfig) -> None:
    """Where the descent starts."""
    x, y = on_map(torch.tensor([[config.start_x, config.start_y]]), SIDE)[0].tolist()
    figure.circle(LEFT + x, TOP + y, 9, ink="#ffffff", stroke=4.5)
    figure.circle(LEFT + x, TOP + y, 9, ink=INK, stroke=2)


def axes(figure: Figure, config: GradientDescentConfig) -> None:
    for value in (-4, -2, 0, 2, 4):
        along = (value + EDGE) * SIDE / (2 * EDGE)
        text = str(value).replace("-", "−")
        figure.line(LEFT + along, TOP + SIDE + 4, LEFT + along, TOP + SIDE + 9, width=1)
        figure.text(text, LEFT + along, TOP + SIDE + 25, size=TICK, anchor="middle", ink="muted")
        figure.line(LEFT - 9, TOP + SIDE - along, LEFT - 4, TOP + SIDE - along, width=1)
        figure.text(text, LEFT - 12, TOP + SIDE - along + 5, size=TICK, anchor="end", ink="muted")
    first, second = ("w₁", "w₂") if config.surface == "digits" else ("x", "y")
    figure.text(first, LEFT + SIDE, TOP + SIDE + 42, size=16, anchor="end", ink="muted")
    figure.text(second, LEFT - 12, TOP + 8, size=16, anchor="end", ink="muted")


def legend(figure: Figure, name: str, x: float, y: float) -> None:
    figure.line(x, y - 5, x + 32, y - 5, ink=SERIES[METHODS.index(name)], width=2.6, dash=DASHES[name])
    figure.path(sign(name, x + 16, y - 5, 6.5), ink="none", fill=SERIES[METHODS.index(name)])
    figure.text(term(name), x + 40, y, size=TICK)


def sign(name: str, x: float, y: float, size: float) -> str:
    """The mark of a method as an SVG path around (x, y): the same as in the curves."""
    r = size
    if name == "sgd":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    around = {
        "momentum": ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
        "nesterov": ((0, -1.1), (1.05, 0.8), (-1.05, 0.8)),
        "rmsprop": ((0, -1.2), (1.0, 0), (0, 1.2), (-1.0, 0)),
        "adam": (
            (-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4),
            (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4),
        ),
    }[name]  # fmt: skip
    return "M" + "L".join(f"{x + r * right:.1f} {y + r * down:.1f}" for right, down in around) + "Z"


def in_words(config: GradientDescentConfig, snapshots: Mapping[str, Snapshot]) -> str:
    start = f"({config.start_x:g}, {config.start_y:g})"
    ends = []
    for name, snapshot in snapshots.items():
        x, y = snapshot.state["position"].tolist()
        loss = height(config, snapshot.state["position"]).item()
        ends.append(f"{term(name)} ({x:.2f}, {y:.2f}), {loss:.3g}")
    return t(
        f"从上方看的损失曲面，带等高线。起点 {start}。各方法现在的位置和损失：{'；'.join(ends)}。",
        f"The loss surface from above with contour lines. Start {start}. Where each method is, and its loss: {'; '.join(ends)}.",
    )


# ---- where a click falls ----------------------------------------------------------------------------------------------


def cell_of(config: GradientDescentConfig) -> tuple[str, int, int]:
    """The cell of the map in which the start lies."""
    unit = 2 * EDGE / (CELLS - 1)
    return "ground", round((EDGE - config.start_y) / unit), round((config.start_x + EDGE) / unit)


def place_of(row: int, column: int) -> tuple[float, float]:
    """The place (x, y) in the middle of a cell of the map."""
    unit = 2 * EDGE / (CELLS - 1)
    return round(column * unit - EDGE, 1), round(EDGE - row * unit, 1)
