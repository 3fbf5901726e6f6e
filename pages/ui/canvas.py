"""A square to draw a digit on, with a finger, a pen or a mouse."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import streamlit as st
import torch
from torch import Tensor

from pages.ui.text import t

FOLDER = Path(__file__).parent
EXTENT = 256  # the strokes' coordinates run from 0 to this
PEN = 22  # width of the pen in these units
SIDE = 64  # pixels of the drawing that the network gets
MOST_POINTS = 4000

component = st.components.v2.component(
    "canvas",
    html='<div class="pad"><canvas></canvas><div class="bar"><button></button><button></button></div></div>',
    css=(FOLDER / "canvas.css").read_text(),
    js=(FOLDER / "canvas.js").read_text(),
)


def canvas(key: str) -> Tensor:
    """Put a canvas here; returns what is drawn on it, (64, 64) with ink 1. The drawing lasts for the visit."""
    kept = f"{key}_strokes"
    drawn = component(
        data={
            "strokes": st.session_state.get(kept, []),
            "extent": EXTENT,
            "pen": PEN,
            "undo": t("撤销一笔", "Undo"),
            "clear": t("全部擦掉", "Clear"),
            "label": t("在这里画一个数字", "Draw a digit here"),
        },
        default={"strokes": st.session_state.get(kept, [])},
        on_strokes_change=nothing,
        key=key,
    ).strokes
    st.session_state[kept] = drawn
    return ink(drawn)


def ink(strokes: Any, side: int = SIDE) -> Tensor:
    """Strokes, each [x, y, x, y, …], as pixels (side, side) of 0 and 1; what is no stroke is left out."""
    drawing = torch.zeros(side, side)
    starts, ends = segments(strokes)
    if not starts:
        return drawing
    unit = EXTENT / side
    grid = torch.cartesian_prod(torch.arange(side), torch.arange(side)).flip(1) * unit + unit / 2  # (side², 2): x, y
    a, b = torch.tensor(starts), torch.tensor(ends)
    along = b - a
    for first in range(0, len(a), 256):  # the distances of 256 segments at a time: little memory
        part = slice(first, first + 256)
        way = grid[:, None] - a[part]
        share = (way * along[part]).sum(2) / (along[part] ** 2).sum(1).clamp(min=1e-6)
        distance = (way - share.clamp(0, 1)[..., None] * along[part]).norm(dim=2).amin(1)
        drawing.view(-1)[distance <= PEN / 2] = 1.0
    return drawing


def segments(strokes: Any) -> tuple[list[list[float]], list[list[float]]]:
    """Where the straight pieces of all strokes start and end; a dot is a piece of no length."""
    starts: list[list[float]] = []
    ends: list[list[float]] = []
    for stroke in strokes if isinstance(strokes, Iterable) else ():
        if not isinstance(stroke, list) or not all(isinstance(value, (int, float)) for value in stroke):
            continue
        points = [[float(x), float(y)] for x, y in zip(stroke[::2], stroke[1::2], strict=False)]
        starts += points[:-1] or points
        ends += points[1:] or points
    return starts[:MOST_POINTS], ends[:MOST_POINTS]


def nothing() -> None:
    """A finished stroke makes the page run anew; that is all that it needs to do."""
