"""Pictures: heat maps, arrows, boxes and words on figures that sit side by side and wrap on a narrow screen.

A scene is plain data, so a picture is a pure function (config, snapshot) → Scene; `show` puts it on the page. A cell
that is pointed at lights up its window in the linked maps, in the browser, without a rerun.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState
from torch import Tensor

from pages.ui.text import t

FOLDER = Path(__file__).parent
SIGNS = ("circle", "triangle", "square", "diamond", "plus")  # of `Figure.points`; of classes in their order


class Link(NamedTuple):
    """Which window of the map `to` belongs to cell (row, column): it begins at top + row·down, left + column·right.

    The map may stand in another figure of the scene; "p1*" means all maps whose names begin with "p1".
    """

    to: str
    top: int
    left: int
    down: int
    right: int
    height: int
    width: int
    wrap: int = 0  # added to the left edge for every row: 4 where rows of 4 cells are strung together in one
    spans: tuple[tuple[int, int], ...] = ()  # where no such rule holds: for each row, and column, from where to where


class Plane(NamedTuple):
    """What the cells of a map are places of: ends to the right and upwards. A value is told times `times` plus `plus`, or
    by the name of its class."""

    across: tuple[float, float]
    up: tuple[float, float]
    times: float = 1.0
    plus: float = 0.0
    names: tuple[str, ...] | None = None


class Figure:
    """A drawing surface of `width`×`height` units; a unit is a pixel at natural size."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.items: list[dict[str, Any]] = []

    def map(
        self,
        name: str,
        values: Tensor,
        x: float,
        y: float,
        width: float,
        height: float | None = None,
        *,
        scale: str = "diverging",
        low: float = 0.0,
        high: float | None = None,
        title: str = "",
        numbers: bool = False,
        hover: bool = True,
        pick: bool = False,
        links: tuple[Link, ...] = (),
        label: str = "",
        half: bool = False,
        smooth: bool = False,
        plane: Plane | None = None,
    ) -> Figure:
        """A heat map of `values` (rows, columns).

        Args:
            scale: "diverging" (blue negative, white zero, orange positive), "sequential" (activations), "gray" (pictures),
                "classes" (k + p is class k, as strong as its share p, 0 ≤ p < 1).
            low, high: the ends of the scale; high defaults to the largest absolute value, diverging runs −high…high.
            numbers: print every value in its cell.
            hover: a cell that is pointed at says its value.
            pick: a click reports the cell to `show`'s `on_cell`.
            label: what a screen reader says of a map that can be touched.
            half: send 16-bit numbers (three digits, up to 65,504): half as much for a large map.
            smooth: the values are those of a function in the middles of the cells: run one cell into the next.
            plane: what a cell that is pointed at says of itself, instead of its row and column.
        """
        rows, columns = values.shape
        if high is None:
            finite = values[values.isfinite()]
            high = float(finite.abs().max()) if finite.numel() else 1.0
        item = {
            "t": "map", "n": name, "r": rows, "c": columns, "d": packed(values.half() if half else values.float()), "half": half, "s": scale, "lo": low, "hi": high or 1.0,
            "x": x, "y": y, "w": width, "h": height if height is not None else width * rows / columns, "title": title,
            "show": numbers, "hover": hover, "pick": pick, "links": links or None, "label": label, "smooth": smooth, "plane": plane and trimmed(plane._asdict()),
        }  # fmt: skip
        self.items.append(trimmed(item))
        return self

    def maps(
        self,
        name: str,
        values: Tensor,
        x: float,
        y: float,
        width: float,
        height: float | None = None,
        *,
        step: float,
        across: int,
        scale: str = "diverging",
        high: float | None = None,
        hover: bool = True,
        pick: bool = False,
        links: tuple[Link, ...] = (),
        label: str = "",
    ) -> Figure:
        """Many heat maps of one size and scale: `values` (N, rows, columns).

        They travel as one item of 16-bit numbers, a fifth of what as many `map`s take; the eye and three digits need no
        more.

        Args:
            name: map i is called name + i; "#" in the name of a linked map stands for i as well.
            step, across: units from one map to the next, and how many stand in a row.
            label: for a screen reader; each map's number is added.
        """
        count, rows, columns = values.shape
        if high is None:
            finite = values[values.isfinite()]
            high = float(finite.abs().max()) if finite.numel() else 1.0
        item = {
            "t": "maps", "n": name, "k": count, "across": across, "step": step, "r": rows, "c": columns,
            "d": packed(values.half()), "half": True, "s": scale, "lo": 0.0, "hi": high or 1.0, "x": x, "y": y, "w": width,
            "h": height if height is not None else width * rows / columns, "hover": hover, "pick": pick,
            "links": links or None, "label": label,
        }  # fmt: skip
        self.items.append(trimmed(item))
        return self

    def text(
        self, text: str, x: float, y: float, *, size: float = 15, anchor: str = "start", ink: str = "text",
        bold: bool = False, mono: bool = False, turn: float = 0,
    ) -> Figure:  # fmt: skip
        """Words at their baseline; `ink` is "text", "muted", "blue", "orange", "primary" or any colour."""
        item = {"t": "text", "s": text, "x": x, "y": y, "size": size, "anchor": anchor, "ink": ink,
                "bold": bold or None, "mono": mono or None, "turn": turn or None}  # fmt: skip
        self.items.append(trimmed(item))
        return self

    def line(
        self, x1: float, y1: float, x2: float, y2: float, *, ink: str = "muted", width: float = 1.5,
        arrow: bool = False, dash: str | None = None, flow: bool = False, opacity: float = 1.0,
    ) -> Figure:  # fmt: skip
        """A line; `flow` lets dashes run along it from its beginning to its end, for viewers who want motion."""
        item = {"t": "line", "x1": x1, "y1": y1, "x2": x2, "y2": y2, "ink": ink, "width": width, "arrow": arrow}
        extra = {"dash": dash, "flow": flow, "opacity": opacity if opacity < 1 else None}
        self.items.append(item | {key: value for key, value in extra.items() if value})
        return self

    def rect(
        self, x: float, y: float, width: float, height: float, *, ink: str = "muted", fill: str = "none",
        stroke: float = 1.5, round: float = 0, dash: str | None = None, hatch: bool = False, opacity: float = 1.0,
        go: str = "", label: str = "", stay: str = "", peek: tuple[str, str, str, float] | None = None,
    ) -> Figure:  # fmt: skip
        """A box; `hatch` shades it as left out, `go` makes it a link that `show`'s `on_go` gets. A link whose `go` changes
        keeps the focus by its name `stay`.

        `peek` (map, over, words, times): while a link is pointed at, the first map is shown large in the place of the second,
        named by the words, with a scale so many times as long. In the browser, without a rerun.
        """
        item = {"t": "rect", "x": x, "y": y, "w": width, "h": height, "ink": ink, "fill": fill, "width": stroke,
                "round": round, "opacity": opacity}  # fmt: skip
        extra = {"dash": dash, "hatch": hatch, "go": go, "label": label, "stay": stay, "peek": peek and list(peek)}
        self.items.append(item | {key: value for key, value in extra.items() if value})
        return self

    def circle(
        self, x: float, y: float, radius: float, *, ink: str = "muted", fill: str = "none", stroke: float = 1.5,
        way: Sequence[tuple[float, float]] = (), seconds: float = 1.0,
    ) -> Figure:  # fmt: skip
        """A circle; for viewers who want motion it comes along `way`, once, in so many seconds, a place at a time."""
        item = {"t": "circle", "x": x, "y": y, "r": radius, "ink": ink, "fill": fill, "width": stroke}
        self.items.append(item | ({"way": [list(place) for place in way], "seconds": seconds} if len(way) > 1 else {}))
        return self

    def points(
        self, places: Tensor, sign: str, size: float, *, ink: str = "muted", fill: str = "none", stroke: float = 1.0
    ) -> Figure:  # fmt: skip
        """Many signs of one look at `places` (N, 2), right and down, each about twice `size` wide.

        They travel as 16-bit numbers, a quarter of a unit exact on a figure of 500.

        Args:
            sign: one of SIGNS.
        """
        assert sign in SIGNS
        self.items.append({"t": "points", "d": packed(places.half()), "half": True, "sign": sign, "size": size,
                           "ink": ink, "fill": fill, "width": stroke})  # fmt: skip
        return self

    def area(
        self, name: str, x: float, y: float, width: float, height: float, rows: int, columns: int, curves: Tensor | None = None
    ) -> Figure:  # fmt: skip
        """A place without a picture: a click reports its cell (name, row, column). What is drawn later lies above it.

        For what has another way by the keyboard.

        Args:
            curves: (N, 3) heights on the left and on the right edge, and values of S-shaped lines that are drawn across it:
                the one that is pointed at is brought out and says its value.
        """
        item = {"t": "area", "n": name, "x": x, "y": y, "w": width, "h": height, "r": rows, "c": columns, "pick": True}
        self.items.append(item | ({} if curves is None else {"curves": packed(curves.half())}))
        return self

    def path(
        self,
        d: str,
        *,
        ink: str = "muted",
        fill: str = "none",
        width: float = 1.5,
        dash: str | None = None,
        opacity: float = 1.0,
        way: Sequence[tuple[float, float, float]] = (),
        seconds: float = 0.0,
    ) -> Figure:
        """An SVG path; with a `way` it is a thing drawn around 0 0 that stands at the last of these (right, down, turned by
        so many degrees), and, for viewers who want motion, comes there along the others in so many seconds."""
        item = {"t": "path", "d": d, "ink": ink, "fill": fill, "width": width, "opacity": opacity}
        moving = {"way": [list(place) for place in way], "seconds": seconds} if way else {}
        self.items.append(item | ({"dash": dash} if dash else {}) | moving)
        return self

    @contextmanager
    def held(self, of: str) -> Iterator[None]:
        """What is drawn in here comes to the end of its way before a newer frame takes its place, so that something can be
        seen to move while frames come many times a second. `of` says of what: anything else takes its place at once."""
        first = len(self.items)
        yield
        for item in self.items[first:]:
            item["hold"] = of


def packed(values: Tensor) -> str:
    """The bytes of the numbers in base64."""
    return base64.b64encode(values.detach().contiguous().numpy().tobytes()).decode()


def trimmed(item: dict[str, Any]) -> dict[str, Any]:
    """Without what the browser takes for granted: half of what goes over the wire for every frame."""
    return {key: value for key, value in item.items() if value is not None and value is not False and value != ""}


class Scene(NamedTuple):
    """Figures and the words that say what they show."""

    figures: tuple[Figure, ...]
    alt: str
    pinned: tuple[str, int, int] | None = None  # the cell (map, row, column) from which arrow keys move
    saved: bool = True  # whether it offers itself as a file


component = st.components.v2.component(
    "scene",
    html="""<div class="wrap"><div class="scene" role="figure"></div>
<div class="tools" hidden><button type="button">PNG</button><button type="button">SVG</button></div></div>""",
    js=(FOLDER / "scene_frame.js").read_text(),
)
CODE, CSS = ((FOLDER / name).read_text() for name in ("scene.js", "scene.css"))
VERSION = sha256((CODE + CSS).encode()).hexdigest()
code = st.components.v2.component("scene_code", js=CODE)


def load() -> None:
    """The code that draws scenes, once a run: the frames come without, as they would be several times as large with it."""
    code(key="scene_code", data={"version": VERSION, "style": CSS})


def payload(scene: Scene, pinned: tuple[str, int, int] | None = None) -> dict[str, Any]:
    """What the browser gets of a scene: in one piece, as Streamlit looks into each to see whether it is a table."""
    return {
        "scene": {
            "alt": scene.alt,
            "figures": [{"w": f.width, "h": f.height, "items": f.items} for f in scene.figures],
            "cell": [t("行", "row"), t("列", "column")],
            "save": t("下载这幅图", "Download this picture") if scene.saved else "",
            "pan": t("左右滑动看全图", "Scroll sideways to see all of the picture"),
            "pinned": pinned or scene.pinned,
        }
    }


def show(
    scene: Scene,
    key: str,
    pinned: tuple[str, int, int] | None = None,
    on_cell: Callable[[], None] | None = None,
    on_go: Callable[[], None] | None = None,
) -> Any:
    """Put a scene here. It reports what is clicked, once per run, in `.cell` (map, row, column) or `.go`."""
    return component(
        data=payload(scene, pinned), key=key, on_cell_change=on_cell or nothing, on_go_change=on_go or nothing
    )


@contextmanager
def of_the_page() -> Iterator[None]:
    """What is drawn in here belongs to the page, not to the fragment that draws it.

    So a click on it is a run of the whole page, which pre-empts a fragment that trains without end; and it may replace
    what the page has drawn outside of the fragment.
    """
    if get_script_run_ctx() is None:
        yield
        return
    with ThreadState.scoped(fragment_id=None, delta_path=None):
        yield


def stream(
    sent: dict[str, Any],
    key: str,
    on_cell: Callable[[], None] | None = None,
    on_go: Callable[[], None] | None = None,
) -> None:
    """Like `show` of the `payload`, any number of times in one run: the figure in the browser stays and is painted anew.

    Streamlit takes a key that comes twice in one run for a mistake, and gives a component without a key a new identity
    with every change of its data, so that the browser would build it anew for every frame. So the key is freed first.
    """
    context = get_script_run_ctx()
    if context is not None:
        for taken in (context.shared.widget_user_keys_this_run, context.shared.widget_ids_this_run):
            for name in taken.snapshot():
                if name == key or name.endswith(f"-{key}"):
                    taken._data.discard(name)
    with of_the_page():
        component(
            data=sent, key=key, on_cell_change=on_cell or nothing, on_go_change=on_go or nothing
        )  # fmt: skip


def nothing() -> None:
    """A callback that leaves it to the result."""
