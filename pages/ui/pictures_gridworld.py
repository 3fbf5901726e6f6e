"""The pictures of the grid world: pure functions of settings and a snapshot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache

import altair as alt
import pandas as pd
import torch
from torch import Tensor

from core.gridworld import (
    CLIFF,
    DEFAULT_REWARDS,
    GOAL,
    HOLE,
    PLANNING,
    SMOOTHED,
    SOURCES,
    START,
    TARGETS,
    TIE,
    WALL,
    Contrast,
    GridworldConfig,
    Move,
    action_values,
    aims,
    contrast,
    grid_of,
    look_ahead,
    read_map,
    smooth,
    state_values,
)
from core.training import Run, Snapshot
from pages.ui.palette import NEGATIVE, POSITIVE, SERIES
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term
from pages.ui.turns import TURNS

WIDTH, TALLEST, LARGEST = 546, 440, 92  # of the world, its height, and the side of a cell, at most
PHONE = 340  # units that a phone shows at their size
SUM = 440  # width of an update written out: a phone shows it in letters that can be read
MARGIN = 2
INK, FAINT, PAPER = "#000000", "#6b7680", "#ffffff"  # on cells, which are light in both themes
STONE, ICE, GREEN, PINK, WAY = "#56626e", "#17212b", "#0a9371", "#d98bb3", "#b01e6d"
SYMBOLS, KEYS = ("↑", "→", "↓", "←"), ("Up", "Right", "Down", "Left")
POINTING = ((0, -1), (1, 0), (0, 1), (-1, 0))  # x and y of the actions
SHADES = 24  # of a triangle, to either side of white
LINE, SUMS = 27, 25  # from one line of words to the next
TARGET_OF = {  # what an update moves towards, beside the reward
    "q_learning": r"max Q(s′, ·)", "sarsa": r"Q(s′, a′)", "expected_sarsa": r"E Q(s′, ·)", "dqn": r"max Q⁻(s′, ·)",
}  # fmt: skip


def actions() -> tuple[str, ...]:
    return (t("上", "up"), t("右", "right"), t("下", "down"), t("左", "left"))


def short(value: float) -> str:
    """A number in a picture: three digits."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    size = abs(value)
    if size >= 99.95 or size == int(size):
        text = f"{value:.0f}"
    else:
        text = f"{value:.1f}".removesuffix(".0") if size >= 9.995 else f"{value:.2f}"
    return text.replace("-", "−") if float(text) else "0"


def brief(value: float, tight: bool = False) -> str:
    """A number in a cell: two digits after the point below 1, else one; if the cell is small, in four characters."""
    size = abs(value)
    if tight and math.isfinite(value) and not 1 <= size < 9.995:
        return short(round(value)) if size > 1 else short(value).replace("−0", "−")
    if not math.isfinite(value) or size < 1 or size >= 9.995:
        return short(value)
    return f"{value:.1f}".removesuffix(".0").replace("-", "−")


def many(count: int) -> str:
    """A count in four characters."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"  # fmt: skip


def bracketed(value: float) -> str:
    return f"({short(value)})" if short(value).startswith("−") else short(value)


class Board:
    """Where the cells of a map stand on a figure."""

    def __init__(self, text: str, width: float = WIDTH, letters: float = 0.4):
        self.layout = read_map(text)
        self.rows, self.columns = self.layout.rows, self.layout.columns
        self.side = math.floor(min(LARGEST, (width - 2 * MARGIN) / self.columns, TALLEST / self.rows))
        self.width, self.height = self.side * self.columns, self.side * self.rows
        self.size = min(
            18.0, letters * self.side
        )  # of letters: a cell has room for four, a phone shows them at 11 pixels

    def figure(self) -> Figure:
        return Figure(self.width + 2 * MARGIN, self.height + 2 * MARGIN)

    def corner(self, state: int) -> tuple[float, float]:
        return MARGIN + state % self.columns * self.side, MARGIN + state // self.columns * self.side

    def centre(self, state: int) -> tuple[float, float]:
        x, y = self.corner(state)
        return x + self.side / 2, y + self.side / 2


# ---- the world -------------------------------------------------------------------------------------------------------


def world(
    config: GridworldConfig, snapshot: Snapshot, view: str, cell: int, way: bool, back: int, live: bool = False
) -> Scene:
    """The grid as one of VIEWS shows it, the chosen cell framed, and the way of the latest episode, but for its last
    `back` steps; while it is `live` an agent walks to the end before the next one does."""
    board, state = Board(config.map), snapshot.state
    drawn, values, q = board.figure(), state_values(config, state), action_values(config, state)
    if view == "actions" and config.method in PLANNING and snapshot.step:  # those that the values were made of
        q = look_ahead(grid_of(config), state["before"], config.discount)
    if view == "visits" and "visits" not in state:
        view = "values"
    high = scale_of(config)
    if view == "visits":
        shown = torch.log1p(state["visits"].double())
        drawn.map("grid", grid_map(board, shown), MARGIN, MARGIN, board.width, board.height, scale="sequential", high=max(1.0, shown.max().item()), hover=False, pick=True, label=t("网格", "the grid"))  # fmt: skip
    else:
        drawn.map("grid", grid_map(board, values if view != "actions" else 0 * values), MARGIN, MARGIN, board.width, board.height, high=high, hover=False, pick=True, label=t("网格", "the grid"))  # fmt: skip
    if view == "actions":
        triangles(drawn, board, q, high, deciding(config))
    furniture(drawn, board, config)
    if way and len(state.get("moves", ())):
        with drawn.held(f"{config.map} {config.method}") if live else nullcontext():
            walked(drawn, board, state["moves"], back)
    if view == "values":
        drawn.path(pointers(board, q, deciding(config)), ink="none", fill=ICE)
        numbers(drawn, board, values, deciding(config))
    elif view == "policy":
        drawn.path(arrows(board, q, deciding(config)), ink=ICE, width=max(2.0, board.side / 18))
    elif view == "visits":
        counted(drawn, board, state["visits"], deciding(config))
    elif board.side >= 76:
        action_numbers(drawn, board, q, deciding(config))
    start = board.layout.starts[0]
    what = {"values": t("状态值", "state values"), "actions": t("动作值", "action values"), "policy": t("贪心策略", "the greedy policy"), "visits": t("访问次数", "visits")}[view]  # fmt: skip
    words = t(
        f"{board.rows}×{board.columns} 的网格：{what}；起点的值是 {short(values[start].item())}。",
        f"A grid of {board.rows}×{board.columns} cells: {what}; the value of the start is {short(values[start].item())}.",
    )
    return Scene((drawn,), words, ("grid", cell // board.columns, cell % board.columns))


def scale_of(config: GridworldConfig) -> float:
    """The value that has the full colour: the same while the values grow."""
    known = aims(config)[list(deciding(config))]
    return max(1e-6, known.abs().max().item()) if len(known) and known.abs().max() > 0 else 1.0


@lru_cache(maxsize=64)
def deciding_on(text: str, slip: float) -> tuple[int, ...]:
    grid = grid_of(GridworldConfig(map=text, slip=slip))
    return tuple(state for state in grid.reached() if not grid.is_over(state))


def deciding(config: GridworldConfig) -> tuple[int, ...]:
    """The states where the agent can stand and has something to decide."""
    return deciding_on(config.map, config.slip)


def grid_map(board: Board, values: Tensor) -> Tensor:
    return values.reshape(board.rows, board.columns)


def furniture(drawn: Figure, board: Board, config: GridworldConfig) -> None:
    """Walls, goals, holes, cliffs, teleports, the start, and the rewards of cells that have their own."""
    side, layout = board.side, board.layout
    for state, (letter, own) in enumerate(layout.cells):
        (x, y), (cx, cy) = board.corner(state), board.centre(state)
        reward = DEFAULT_REWARDS.get(letter) if own is None else own
        if letter == WALL:
            drawn.rect(x, y, side, side, ink="none", fill=STONE)
        elif letter == GOAL:
            drawn.rect(x, y, side, side, ink="none", fill=GREEN)
            drawn.path(star(cx, cy - side * 0.1, side * 0.25), ink="none", fill=PAPER)
            drawn.text(signed(reward), cx, y + side * 0.9, size=board.size, anchor="middle", ink=PAPER, bold=True)
        elif letter == HOLE:
            drawn.rect(x, y, side, side, ink="none", fill="#cfd8df")
            drawn.circle(cx, cy, side * 0.34, ink="none", fill=ICE)
            if reward:
                drawn.text(signed(reward), cx, cy + board.size * 0.36, size=board.size, anchor="middle", ink=PAPER, bold=True)  # fmt: skip
        elif letter == CLIFF:
            drawn.rect(x, y, side, side, ink="none", fill=PINK)
            drawn.path(jags(x, y, side), ink="none", fill="#8e2f62")
            drawn.text(signed(reward), cx, y + side * 0.78, size=board.size, anchor="middle", ink=INK, bold=side > 60)
        elif letter in SOURCES:
            badge(drawn, board, state, letter + ("" if own is None else f" {signed(own)}"))
        elif letter in TARGETS:
            badge(drawn, board, state, f"{letter.upper()}′" + ("" if own is None else f" {signed(own)}"))
        elif letter == START:
            badge(drawn, board, state, "S")
        elif own is not None:
            badge(drawn, board, state, signed(own))
    for source, target in zip(SOURCES, TARGETS, strict=True):
        for begin, end in zip(layout.at(source), layout.at(target), strict=True):
            (x1, y1), (x2, y2) = (
                (x + 0.36 * side, y) for x, y in map(board.centre, (begin, end))
            )  # beside the numbers
            length = math.hypot(x2 - x1, y2 - y1)
            bend = 0.16 * length
            mx, my = (x1 + x2) / 2 + bend * (y2 - y1) / length, (y1 + y2) / 2 - bend * (x2 - x1) / length
            drawn.path(f"M{x1:.1f} {y1:.1f}Q{mx:.1f} {my:.1f} {x2:.1f} {y2:.1f}", ink=SERIES[2], width=2.4, dash="6 5", opacity=0.8)  # fmt: skip
            angle = math.atan2(y2 - my, x2 - mx)
            drawn.line(x2 - 9 * math.cos(angle), y2 - 9 * math.sin(angle), x2, y2, ink=SERIES[2], width=2.4, arrow=True)


def signed(value: float | None) -> str:
    return "" if value is None else f"{value:+g}".replace("-", "−")


def badge(drawn: Figure, board: Board, state: int, text: str) -> None:
    """A word in the upper left corner of a cell."""
    x, y = board.corner(state)
    size = board.size
    drawn.text(text, x + 3, y + 0.88 * size, size=size, ink=INK, bold=True)


def star(x: float, y: float, radius: float) -> str:
    turns = [(-math.pi / 2 + i * math.pi / 5, radius if i % 2 == 0 else 0.42 * radius) for i in range(10)]
    return "M" + "L".join(f"{x + r * math.cos(turn):.1f} {y + r * math.sin(turn):.1f}" for turn, r in turns) + "Z"


def jags(x: float, y: float, side: float) -> str:
    """The broken edge of a cliff, at the top of its cell."""
    depth = side * 0.2
    points = [(x + i * side / 6, y + (depth if i % 2 else depth * 0.3)) for i in range(7)]
    return f"M{x:.1f} {y:.1f}" + "".join(f"L{px:.1f} {py:.1f}" for px, py in points) + f"L{x + side:.1f} {y:.1f}Z"


def best_of(row: list[float]) -> list[int]:
    """The best actions; none where all are equally good."""
    top = max(row)
    best = [action for action, value in enumerate(row) if value >= top - TIE]
    return best if len(best) < len(row) else []


def pointers(board: Board, q: Tensor, states: Sequence[int]) -> str:
    """Small triangles at the edges of cells, towards the best action."""
    parts, reach, half = [], board.side * 0.49, board.side * 0.11
    rows = q.tolist()
    for state in states:
        x, y = board.centre(state)
        for action in best_of(rows[state]):
            dx, dy = POINTING[action]
            tip, base = (x + dx * reach, y + dy * reach), (x + dx * (reach - half), y + dy * (reach - half))
            parts.append(
                f"M{tip[0]:.1f} {tip[1]:.1f}L{base[0] - dy * half:.1f} {base[1] + dx * half:.1f}L{base[0] + dy * half:.1f} {base[1] - dx * half:.1f}Z"
            )
    return "".join(parts)


def arrows(board: Board, q: Tensor, states: Sequence[int]) -> str:
    """Arrows from the middle of cells, towards the best action."""
    parts, reach, head = [], board.side * 0.34, board.side * 0.14
    rows = q.tolist()
    for state in states:
        x, y = board.centre(state)
        best = best_of(rows[state])
        for action in best:
            dx, dy = POINTING[action]
            tail = 0.0 if len(best) > 1 else -reach
            tx, ty = x + dx * reach, y + dy * reach
            parts.append(
                f"M{x + dx * tail:.1f} {y + dy * tail:.1f}L{tx:.1f} {ty:.1f}"
                f"M{tx - (dx + dy) * head:.1f} {ty - (dy - dx) * head:.1f}L{tx:.1f} {ty:.1f}L{tx - (dx - dy) * head:.1f} {ty - (dy + dx) * head:.1f}"
            )
    return "".join(parts)


def numbers(drawn: Figure, board: Board, values: Tensor, states: Sequence[int]) -> None:
    size = board.size
    shown = values.tolist()
    for state in states:
        x, y = board.centre(state)
        drawn.text(
            brief(shown[state], board.side < 60),
            x,
            y + 0.36 * size,
            size=size,
            anchor="middle",
            ink=INK if shown[state] else FAINT,
        )


def counted(drawn: Figure, board: Board, visits: Tensor, states: Sequence[int]) -> None:
    size, top = board.size, max(1.0, math.log1p(visits.max().item()))
    for state in states:
        x, y = board.centre(state)
        count = int(visits[state])
        ink = INK if math.log1p(count) / top > 0.55 else PAPER
        drawn.text(many(count), x, y + 0.36 * size, size=size, anchor="middle", ink=ink)


def triangles(drawn: Figure, board: Board, q: Tensor, high: float, states: Sequence[int]) -> None:
    """Four triangles per cell, coloured by the value of the action; those of one shade are one path."""
    shades: dict[int, list[str]] = {}
    half = board.side / 2
    rows = q.tolist()
    for state in states:
        x, y = board.centre(state)
        for (dx, dy), value in zip(POINTING, rows[state], strict=True):
            shade = round(max(-1.0, min(1.0, value / high)) * SHADES) if math.isfinite(value) else 0
            ax, ay, bx, by = x + (dx - dy) * half, y + (dy + dx) * half, x + (dx + dy) * half, y + (dy - dx) * half
            shades.setdefault(shade, []).append(f"M{x:.1f} {y:.1f}L{ax:.1f} {ay:.1f}L{bx:.1f} {by:.1f}Z")
    for shade, parts in sorted(shades.items()):
        drawn.path("".join(parts), ink="#8b959e", width=0.8, fill=mixed(shade / SHADES))


def mixed(share: float) -> str:
    """White towards blue (−1) or orange (1)."""
    end = NEGATIVE if share < 0 else POSITIVE
    parts = (255 + (int(end[i : i + 2], 16) - 255) * abs(share) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part):02x}" for part in parts)


def action_numbers(drawn: Figure, board: Board, q: Tensor, states: Sequence[int]) -> None:
    size = max(14.0, board.width * 11.1 / PHONE)
    for state in states:
        x, y = board.centre(state)
        row = q[state].tolist()
        best = best_of(row)
        if board.layout.cells[state].letter in SOURCES:  # whatever one does there
            drawn.text(brief(row[0], True), x, y + 0.36 * size, size=size, anchor="middle", ink=INK)
            continue
        for action, ((dx, dy), value) in enumerate(zip(POINTING, row, strict=True)):
            drawn.text(brief(value, True), x + dx * board.side * 0.27, y + dy * board.side * 0.34 + 0.36 * size, size=size, anchor="middle", ink=INK, bold=action in best)  # fmt: skip


def walked(drawn: Figure, board: Board, moves: Tensor, back: int) -> None:
    """The way of an episode, and the agent at its end, which comes along it."""
    kept = moves[: max(1, len(moves) - back)]
    states = [int(kept[0, 0]), *map(int, kept[:, 3].tolist())]
    places = [board.centre(state) for state in states]
    d = f"M{places[0][0]:.1f} {places[0][1]:.1f}" + "".join(f"L{x:.1f} {y:.1f}" for x, y in places[1:])
    drawn.path(d, ink=WAY, width=board.side * 0.15, opacity=0.32)  # broad and pale: the numbers stand on it
    x, y = places[-1]
    seconds = 0.0 if back else min(2.0, 0.06 * len(places))
    drawn.circle(
        x, y, board.side * 0.2, ink=PAPER, fill=WAY, stroke=2.5, way=places if seconds else (), seconds=seconds
    )


# ---- formulas --------------------------------------------------------------------------------------------------------


def formula(config: GridworldConfig, rate: float) -> str:
    """KaTeX: what an update does, with the settings in it."""
    discount = f"{config.discount:g}"
    if config.method == "policy_evaluation":
        return rf"V(s) \leftarrow \sum_a \tfrac14 \sum_{{s'}} p\,\big[\,r + {discount}\,V(s')\,\big]"
    if config.method == "value_iteration":
        return rf"V(s) \leftarrow \max_a \sum_{{s'}} p\,\big[\,r + {discount}\,V(s')\,\big]"
    if config.method == "dqn":
        return rf"L = \tfrac12\big(r + {discount}\max_{{a'}} Q^-(s',a') - Q(s,a)\big)^2"
    if config.method == "monte_carlo":
        return rf"Q(s,a) \leftarrow Q(s,a) + {rate:g}\,\big[\,\textstyle\sum_k {discount}^k r_k - Q(s,a)\,\big]"
    worth = {
        "q_learning": r"\max_{a'} Q(s',a')", "sarsa": "Q(s',a')", "expected_sarsa": r"\textstyle\sum_{a'} \pi(a'|s')\,Q(s',a')",
    }[config.method]  # fmt: skip
    return rf"Q(s,a) \leftarrow Q(s,a) + {rate:g}\,\big[\,r + {discount}\,{worth} - Q(s,a)\,\big]"


# ---- one update, written out -----------------------------------------------------------------------------------------


def update(config: GridworldConfig, snapshot: Snapshot, cell: int, back: int, rate: float) -> Scene:
    """One backup of a sweep, or the update of one step of the latest episode, with its numbers."""
    if config.method in PLANNING:
        return backup(config, snapshot, cell)
    return Scene((learned(config, snapshot, cell, back, rate), returns(snapshot)), t("一步更新的算式，和最近各回合的回报。", "One update written out, and the returns of the latest episodes."))  # fmt: skip


def place(config: GridworldConfig, state: int) -> str:
    columns = read_map(config.map).columns
    return f"({state // columns + 1}, {state % columns + 1})"


def learned(config: GridworldConfig, snapshot: Snapshot, cell: int, back: int, rate: float) -> Figure:
    drawn = Figure(SUM, 5 * LINE + 14)
    moves, here = snapshot.state["moves"], snapshot.state["action_values"][cell].tolist()
    framed = [t(f"框住的 {place(config, cell)}：", f"Framed {place(config, cell)}: ")]
    framed += [f"{symbol} {short(value)}" for symbol, value in zip(SYMBOLS, here, strict=True)]
    drawn.text("\u2002".join(framed), 4, 22 + 4 * LINE, size=15)
    if not len(moves):
        drawn.text(t("走一个回合（“单步”），这里写出它的更新。", "Make an episode (Step): its updates are written out here."), 4, 24, size=15, ink="muted")  # fmt: skip
        return drawn
    at = max(0, len(moves) - 1 - back)
    state, action, reward, following, before, target = moves[at].tolist()
    move = Move(int(state), int(action), reward, int(following), before, target)
    error, length = move.target - move.before, int(snapshot.state["length"])
    number = length - len(moves) + at + 1  # of a long episode only the last moves are kept
    lines = [
        t(
            f"第 {number}/{length} 步：s = {place(config, move.state)}，a = {actions()[move.action]} {SYMBOLS[move.action]}，r = {short(move.reward)}，s′ = {place(config, move.following)}",
            f"Step {number} of {length}: s = {place(config, move.state)}, a = {actions()[move.action]} {SYMBOLS[move.action]}, r = {short(move.reward)}, s′ = {place(config, move.following)}",
        )
    ]
    if config.method == "monte_carlo":
        lines += [
            f"δ = G − Q(s, a) = {short(move.target)} − {bracketed(move.before)} = {short(error)}",
            t("G：从这一步到回合结束的折扣回报", "G: the discounted return from here to the end of the episode"),
        ]
    else:
        worth = (move.target - move.reward) / config.discount if config.discount else 0.0
        lines += [
            f"δ = r + γ · {TARGET_OF[config.method]} − Q(s, a)",
            f"   = {short(move.reward)} + {config.discount:g} · {bracketed(worth)} − {bracketed(move.before)} = {short(error)}",
        ]
    if config.method == "dqn":
        lines.append(t("Q⁻：冻结的目标网络；每步用记忆里的 32 步更新", "Q⁻: the frozen target network; each step replays 32 remembered ones"))  # fmt: skip
    else:
        after = move.before + rate * error
        lines.append(f"Q(s, a) ← {short(move.before)} + {rate:g} · {bracketed(error)} = {short(after)}")
    for i, line in enumerate(lines):
        strong = line.startswith(("δ", "   ="))
        drawn.text(line.replace("   =", "\u2003="), 4, 22 + i * LINE, size=15, bold=strong, ink="text" if strong or i == 0 else "muted")  # fmt: skip
    return drawn


def returns(snapshot: Snapshot) -> Figure:
    """The returns of the latest episodes, raw and smoothed."""
    drawn, values = Figure(SUM, 4 * LINE + 24), snapshot.state["returns"]
    left, top, right, bottom = 52, 26, SUM - 8, 4 * LINE
    drawn.text(t(f"最近各回合的回报；粗线是 {SMOOTHED} 回合的平均", f"Return of the latest episodes; bold: the mean of {SMOOTHED}"), 4, 14, size=15, ink="muted")  # fmt: skip
    if not len(values):
        drawn.text(t("走完第一个回合，这里就有曲线。", "The curve begins with the first episode."), 4, 14 + LINE, size=15, ink="muted")  # fmt: skip
        return drawn
    low, high = values.min().item(), values.max().item()
    if high - low < 1e-6:
        low, high = low - 1, high + 1
    xs = torch.linspace(left, right, max(2, len(values))).tolist()

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    for value in (low, high):
        drawn.line(left, y(value), right, y(value), ink="line", width=1)
        drawn.text(short(value), left - 6, y(value) + 5, size=15, anchor="end", ink="muted")
    drawn.text(f"{snapshot.step - len(values) + 1}", left, bottom + 18, size=15, ink="muted")
    drawn.text(t(f"第 {snapshot.step} 回合", f"episode {snapshot.step}"), right, bottom + 18, size=15, anchor="end", ink="muted")  # fmt: skip
    raw = "".join(f"{'L' if i else 'M'}{x:.1f} {y(v):.1f}" for i, (x, v) in enumerate(zip(xs, values.tolist(), strict=False)))  # fmt: skip
    mean = "".join(f"{'L' if i else 'M'}{x:.1f} {y(v):.1f}" for i, (x, v) in enumerate(zip(xs, smooth(values).tolist(), strict=False)))  # fmt: skip
    drawn.path(raw, ink="muted", width=1, opacity=0.7)
    drawn.path(mean, ink="blue", width=3.2)
    return drawn


def backup(config: GridworldConfig, snapshot: Snapshot, cell: int) -> Scene:
    """How the latest sweep came to the value of one cell: the four sums."""
    grid, state, step = grid_of(config), snapshot.state, snapshot.step
    rows = 2 if grid.slips else 1  # of each sum
    drawn = Figure(SUM, (4 * rows + 2) * SUMS + 18)
    old = state["before"] if step else state["values"]
    sweep = max(1, step)
    evaluating = config.method == "policy_evaluation"
    words = t(f"第 {sweep} 遍，{place(config, cell)}：用上一遍的值 V 算", f"Sweep {sweep}, cell {place(config, cell)}: from the values V of the sweep before")  # fmt: skip
    drawn.text(words, 4, 22, size=15, ink="muted")
    if grid.is_over(cell):
        drawn.text(t("这里没有动作可选：值是 0。点一个空格子。", "Nothing to choose here: its value is 0. Click a free cell."), 4, 22 + SUMS, size=15)  # fmt: skip
        return Scene((drawn,), words)
    q = []
    for action, symbol in enumerate(SYMBOLS):
        merged: dict[tuple[int, float, bool], float] = {}
        for probability, to, reward, ends in grid.table[cell][action]:
            merged[to, reward, ends] = merged.get((to, reward, ends), 0.0) + probability
        terms = []
        value = 0.0
        for (to, reward, ends), probability in merged.items():
            ahead = 0.0 if ends else old[to].item()
            inner = f"{short(reward)} + {config.discount:g}·{bracketed(ahead)}"
            terms.append(inner if probability > 1 - TIE else f"{probability:.2g}·({inner})")
            value += probability * (reward + config.discount * ahead)
        q.append(value)
        y = 22 + (action * rows + 1) * SUMS
        drawn.text(symbol, 4, y, size=15)
        for row in range(rows):
            part = terms[2 * row : 2 * row + 2]
            if part:
                drawn.text(" + " * (row > 0) + " + ".join(part), 26, y + row * SUMS, size=15)
        drawn.text(f"= {short(value)}", SUM - 6, y + (rows - 1) * SUMS, size=15, anchor="end", bold=True)
    total = sum(q) / 4 if evaluating else max(q)
    best = t("四个的平均", "the mean of the four") if evaluating else t("最大的一个", "the largest")
    drawn.text(
        t(f"V ← {best} = {short(total)}", f"V ← {best} = {short(total)}"),
        4,
        22 + (4 * rows + 1.1) * SUMS,
        size=16,
        bold=True,
    )
    return Scene((drawn,), f"{words}: {short(total)}")


def rate_at(run: Run, step: int | None) -> float:
    """The learning rate of a run at the step that is shown; None is now."""
    if step is None:
        return run.learning_rate
    made = [change.value for change in run.interventions if change.name == "learning_rate" and change.step < step]
    return made[-1] if made else run.config.learning_rate


# ---- playing by hand -------------------------------------------------------------------------------------------------


def played(config: GridworldConfig, way: Sequence[int]) -> Scene:
    """The world without its values, and the way of one who plays."""
    board = Board(config.map, SUM, letters=0.45)  # a phone has less room for it, in an expander
    drawn = board.figure()
    drawn.map("play", torch.zeros(board.rows, board.columns), MARGIN, MARGIN, board.width, board.height, high=1.0, hover=False)  # fmt: skip
    furniture(drawn, board, config)
    places = [board.centre(state) for state in way]
    if len(places) > 1:
        drawn.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places), ink=WAY, width=2.6, opacity=0.5)
    drawn.circle(*places[-1], board.side * 0.26, ink=PAPER, fill=WAY, stroke=2.5, way=places[-2:], seconds=0.15)
    here = place(config, way[-1])
    return Scene(
        (drawn,), t(f"你在 {here}，走了 {len(way) - 1} 步。", f"You are at {here} after {len(way) - 1} steps.")
    )


# ---- many runs -------------------------------------------------------------------------------------------------------

RUNS, EPISODES = 20, 400


def comparable(config: GridworldConfig) -> GridworldConfig:
    """The same world with the settings of a table."""
    rate = config.learning_rate if config.method not in ("dqn", *PLANNING) else GridworldConfig.learning_rate
    return replace(config, method="q_learning", learning_rate=rate, seed=0)


def contrasted(config: GridworldConfig) -> dict[str, Contrast]:
    """What Q-learning and SARSA earn in this world, run after run in turn with all who train; takes some seconds."""
    return contrast(config, RUNS, EPISODES, lambda: TURNS.slice(alive=lambda: None))


def contrast_chart(found: dict[str, Contrast]) -> alt.LayerChart:
    """The mean over the runs, and the band of most of them."""
    names = [term(name) for name in found]
    rows = pd.concat(
        pd.DataFrame(
            {"episode": range(1, len(each.mean) + 1), "mean": each.mean, "low": each.low, "high": each.high, "method": term(name)}
        )[9::4]
        for name, each in found.items()
    )  # fmt: skip
    top, usual = float(rows["high"].max()), float(rows["mean"].quantile(0.15))
    floor = usual - max(0.4 * (top - usual), 0.1)  # the first episodes are far worse, and would hide the rest
    scale = alt.Scale(domain=names, range=list(SERIES[: len(names)]))
    legend = alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolSize=500, symbolStrokeWidth=3, symbolOpacity=1
    )
    x = alt.X("episode:Q", title=t("回合", "Episode"), axis=alt.Axis(grid=False, tickCount=6), scale=alt.Scale(nice=False))  # fmt: skip
    y = alt.Y("mean:Q", title=None, scale=alt.Scale(domain=[floor, top]), axis=alt.Axis(tickCount=5))  # fmt: skip
    base = alt.Chart(rows)
    band = base.mark_area(opacity=0.16, clip=True).encode(x=x, y=alt.Y("low:Q").title(None), y2="high:Q", color=alt.Color("method:N", scale=scale, legend=legend, title=None))  # fmt: skip
    line = base.mark_line(strokeWidth=3, clip=True).encode(
        x=x, y=y, color=alt.Color("method:N", scale=scale, legend=legend, title=None),
        strokeDash=alt.StrokeDash("method:N", legend=legend, title=None, scale=alt.Scale(domain=names, range=[[1, 0], [7, 4]])),
    )  # fmt: skip
    heading = t("每回合的回报", "Return per episode")
    return alt.layer(band, line).properties(height=300, title=alt.TitleParams(heading, anchor="start", fontSize=16, fontWeight=600))  # fmt: skip
