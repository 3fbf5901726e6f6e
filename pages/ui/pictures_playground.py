"""Pictures of the playground: the network with what each neuron sees, its answer over the plane, and what goes on inside.

Pure functions of config and snapshot.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from core.data.points import EDGE, REGRESSION, make_points
from core.playground import (
    INPUTS,
    PlaygroundConfig,
    activation_names,
    answer_map,
    class_count,
    confusion,
    diagnose,
    grid_features,
    hidden_space,
    is_regression,
    layer_shapes,
    neuron_maps,
    points_of,
    predictions,
    uses_squared_error,
)
from core.training import Snapshot
from pages.ui.palette import NEGATIVE, POSITIVE, SERIES
from pages.ui.scene import SIGNS, Figure, Plane, Scene
from pages.ui.text import language, t

WIDTH, ANSWER_WIDTH, HEIGHT = 650.0, 356.0, 474.0  # of the network, of its answer, of both
THUMB, PITCH, TOP = 38.0, 44.0, 64.0  # a neuron's map, from one to the next, where they begin
INPUT_LEFT, OUTPUT_LEFT = 66.0, 584.0  # left edges of the first and the last column
CELLS, FINE = 16, 40  # of a neuron's map, and of the answer's, along one side
LEFT, ABOVE, SIDE = 32.0, 30.0, 320.0  # of the answer's map
SPOTS = 120  # cells of the answer's map that a click tells apart, along one side: 0.1 each
ENDS = (-EDGE, EDGE)
GAP_ROWS, GAP_COLUMNS = 112, 16  # cells between two columns of neurons
PALE = 1.7  # the answer's map is so much paler than its points
DARK, LIGHT, CHOSEN = "#17212b", "#ffffff", "#c4347f"
THINNEST, THICKER, THICKEST = 0.8, 1.5, 12.0  # edges: of weight 0, more for each 1, at most
LINES, BETWEEN = 13, 5  # of the grid in hidden space, and pieces from one to the next
LOWEST, HIGHEST = 1e-8, 1e1  # gradient norms drawn
NARROW, NAMES, LETTERS = 330.0, 70.0, 40  # width of a diagnosis, of its names, and of its lines in letters
VALUE_BINS = 9  # shades of points that have a value
SMALL = (36.0, 35.0)  # a data set as a small picture, shown 1.6 times as large …
TILE, TILE_LEFT, TILE_TOP = 23.4, 1.0, 1.0  # … its square, and where that begins
SAMPLE, DENSE = 100, 300  # its points, and those of values, which leave no gaps
DIMMED = 0.65  # how much of it is covered where it cannot be chosen
INSET = 0.5  # of the plane: so near the edge a point would reach over it

VANISHED, FLAT, MANY_DEAD, TOO_FAR, LEARNED_BY_HEART = 1e-2, 0.05, 0.25, 0.03, 5.0  # from where it is a diagnosis


# ---- words -----------------------------------------------------------------------------------------------------------


def input_words() -> dict[str, str]:
    return {
        "x1": "x₁", "x2": "x₂", "x1_squared": "x₁²", "x2_squared": "x₂²", "x1_x2": "x₁x₂", "sin_x1": "sin x₁",
        "sin_x2": "sin x₂",
    }  # fmt: skip


def activations() -> dict[str, str]:
    return {
        "tanh": "tanh", "relu": "ReLU", "sigmoid": "sigmoid", "identity": t("恒等", "identity"),
        "leaky_relu": "leaky ReLU", "gelu": "GELU", "swish": "swish", "softmax": "softmax",
    }  # fmt: skip


def short(value: float) -> str:
    """A number in a picture."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    if value and (abs(value) < 5e-3 or abs(value) >= 1000):
        digits, power = f"{value:.1e}".split("e")
        return f"{digits}e{int(power)}".replace("-", "−")
    return f"{value:.2f}".replace("-", "−")


class Place(NamedTuple):
    """A weight or bias, counted from 1; of a bias no source. The output is the last layer."""

    layer: int
    neuron: int
    source: int | None = None

    @property
    def name(self) -> str:
        """As `core.playground.weight_names` has it."""
        return f"bias_{self.layer}_{self.neuron}" if self.source is None else "weight_" + "_".join(map(str, self))


def place_of(name: str) -> Place:
    """The inverse of `Place.name`."""
    kind, *numbers = name.split("_")
    layer, neuron, source = (*map(int, numbers), None)[:3]
    return Place(layer, neuron, source if kind == "weight" else None)  # type: ignore[arg-type]


def value_of(state: dict[str, Tensor], name: str) -> float:
    """A weight or bias of a snapshot."""
    layer, neuron, source = place_of(name)
    row = state[f"bias_{layer}" if source is None else f"weight_{layer}"][neuron - 1]
    return row.item() if source is None else row[source - 1].item()


def neuron_words(config: PlaygroundConfig, layer: int, neuron: int) -> str:
    """A neuron's, or with layer 0 an input's, name in a sentence."""
    if layer == 0:
        return input_words()[config.inputs[neuron - 1]]
    if layer > len(config.layers):
        return t("输出", "output") + (f" {neuron - 1}" if class_count(config) > 2 else "")
    return t(f"第 {layer} 层的 {neuron} 号", f"neuron {neuron} of layer {layer}")


def place_words(config: PlaygroundConfig, name: str) -> str:
    place = place_of(name)
    target = neuron_words(config, place.layer, place.neuron)
    if place.source is None:
        return t(f"偏置：{target}", f"bias of {target}")
    return f"{neuron_words(config, place.layer - 1, place.source)} → {target}"


def formula(config: PlaygroundConfig, state: dict[str, Tensor], name: str) -> str:
    """KaTeX: what the neuron of a weight or bias computes, with its numbers."""
    layer, neuron, _ = place_of(name)
    names = [*activation_names(config)]
    letters = [_letter(config, layer - 1, source) for source in range(1, layer_shapes(config)[layer - 1][1] + 1)]
    weights = state[f"weight_{layer}"][neuron - 1].tolist()
    terms = [rf"{number(weight)}\,{letter}" for weight, letter in zip(weights, letters, strict=True)]
    terms.append(number(state[f"bias_{layer}"][neuron - 1].item()))
    words = "".join((r" \\ &\;" if i and i % 4 == 0 else "") + term for i, term in enumerate(terms))
    words = words.removeprefix("+")
    function = {"tanh": r"\tanh", "sigmoid": r"\sigma", "relu": r"\operatorname{ReLU}", "identity": "",
                "leaky_relu": r"\operatorname{LeakyReLU}", "gelu": r"\operatorname{GELU}",
                "swish": r"\operatorname{swish}", "softmax": r"\operatorname{softmax}"}[names[layer - 1]]  # fmt: skip
    return rf"\begin{{aligned}}{_letter(config, layer, neuron)} = {function}(&{words})\end{{aligned}}"


def _letter(config: PlaygroundConfig, layer: int, neuron: int) -> str:
    if layer > 0:
        return rf"a^{{({layer})}}_{{{neuron}}}"
    return {"x1": "x_1", "x2": "x_2", "x1_squared": "x_1^2", "x2_squared": "x_2^2", "x1_x2": "x_1x_2",
            "sin_x1": r"\sin x_1", "sin_x2": r"\sin x_2"}[config.inputs[neuron - 1]]  # fmt: skip


def number(value: float) -> str:
    """A signed number in KaTeX."""
    return f"{value:+.2f}" if math.isfinite(value) else r"+\infty" if value > 0 else r"-\infty"


# ---- the data sets to choose from ------------------------------------------------------------------------------------


def data_words() -> dict[str, str]:
    """The data sets that are built in, in a word."""
    return {
        "circle": t("圆", "Circle"), "xor": t("异或", "XOR"), "gaussians": t("两团", "Gaussians"),
        "spiral": t("螺旋", "Spiral"), "moons": t("月牙", "Moons"), "blobs": t("多团", "Blobs"),
        "spirals": t("多臂螺旋", "Spirals"), "plane": t("斜面", "Slope"), "multi_gaussian": t("起伏", "Bumps"),
    }  # fmt: skip


def data_sets(chosen: str, noise: float, classes: int, locked: bool = False) -> Scene:
    """Some points of every data set, as they are with this noise and so many classes; a click `go`es to its name.

    Args:
        chosen: the one that is framed, if it is one of these.
        locked: nothing can be clicked, and all but the chosen one are pale.
    """
    return _data_sets(chosen, noise, classes, locked, language())


@lru_cache(maxsize=128)
def _data_sets(chosen: str, noise: float, classes: int, locked: bool, spoken: str) -> Scene:
    words = data_words()
    said = (
        t(f"选中：{words[chosen]}", f"Chosen: {words[chosen]}")
        if chosen in words
        else t("都没有选中", "None is chosen")
    )
    figures = tuple(data_set(name, word, name == chosen, noise, classes, locked) for name, word in words.items())
    listed = t("、", ", ").join(words.values())
    return Scene(figures, t(f"数据集的小图，各是一些点：{listed}。{said}。", f"Small pictures of the data sets, some points of each: {listed}. {said}."), saved=False)  # fmt: skip


def data_set(name: str, word: str, chosen: bool, noise: float, classes: int, locked: bool) -> Figure:
    figure = Figure(*SMALL)
    figure.rect(TILE_LEFT, TILE_TOP, TILE, TILE, ink="line", fill=LIGHT, stroke=0.6, round=2)
    places, targets = sample(name, noise, classes)
    if targets.is_floating_point():
        shaded_points(figure, places, targets, "square", 1.0, 0.0)
    else:
        for label in targets.unique().tolist():
            figure.points(places[targets == label], SIGNS[label], 0.9, ink="none", fill=SERIES[label])
    if chosen:
        figure.rect(TILE_LEFT, TILE_TOP, TILE, TILE, ink=CHOSEN, stroke=1.9, round=2)
    figure.text(word, TILE_LEFT - 0.5, 33.3, size=7.5, ink="text" if chosen else "muted", bold=chosen)
    if locked and not chosen:
        figure.rect(TILE_LEFT - 0.5, TILE_TOP - 0.5, TILE + 1, TILE + 1, ink="none", fill="background", opacity=DIMMED)
    elif not locked:
        label = t(f"数据：{word}", f"Data: {word}") + (t("（选中）", " (chosen)") if chosen else "")
        figure.rect(TILE_LEFT, TILE_TOP, TILE, TILE, ink="none", fill="panel", opacity=0.0, round=2, go=name, label=label)  # fmt: skip
    return figure


@lru_cache(maxsize=128)
def sample(name: str, noise: float, classes: int) -> tuple[Tensor, Tensor]:
    """Places (N, 2) on the small picture of a data set and their targets (N,): those of its points that lie in the square."""
    count = DENSE if name in REGRESSION else SAMPLE
    inputs, targets, *_ = make_points(name, torch.Generator().manual_seed(0), 2 * count, noise, classes=classes)
    inside = inputs.abs().amax(1) < EDGE - INSET
    right_down = inputs[inside] * torch.tensor([1.0, -1.0])
    return torch.tensor([TILE_LEFT, TILE_TOP]) + (right_down + EDGE) * TILE / (2 * EDGE), targets[inside]


# ---- the network and its answer --------------------------------------------------------------------------------------


def playground(
    config: PlaygroundConfig, snapshot: Snapshot, chosen: str = "", held_out: bool = False, discrete: bool = False
) -> Scene:
    """The network with every neuron's map and its weights as edges; its answer over the plane, with the points.

    Args:
        chosen: the weight or bias that is marked; of a bias of a hidden neuron the answer is what that neuron says.
        held_out: whether the test points are drawn, too.
        discrete: show decisions, and not how sure they are.
    """
    state = snapshot.state
    place = place_of(chosen) if chosen else None
    sizes = "-".join(map(str, (len(config.inputs), *(units for units, _ in layer_shapes(config)))))
    said = verdicts(config, snapshot)
    words = t(
        f"多层感知机 {sizes}：每个神经元的小图是它在平面上的活性值，边是权重。右边是网络的回答和数据点。{said[0]}",
        f"A multilayer perceptron {sizes}: each neuron's map is its activation over the plane, the edges are weights. On the right the network's answer, and the points. {said[0]}",
    )
    return Scene((network(config, state, place, said[0]), answer(config, state, place, held_out, discrete)), words)


def column(config: PlaygroundConfig, layer: int) -> float:
    """The left edge of a layer's neurons; 0 are the inputs."""
    return INPUT_LEFT + (OUTPUT_LEFT - INPUT_LEFT) * layer / (len(config.layers) + 1)


def middle(neuron: int) -> float:
    """The height of a neuron's middle; they count from 1."""
    return TOP + (neuron - 1) * PITCH + THUMB / 2


def network(config: PlaygroundConfig, state: dict[str, Tensor], chosen: Place | None, verdict: str) -> Figure:
    figure = Figure(WIDTH, HEIGHT)
    depth = len(config.layers)
    figure.text(t("输入", "Inputs"), 0, 17, bold=True)
    figure.text(t("点一下选", "click to use"), 0, 49, size=14, ink="muted")
    buttons(figure, t(f"{depth} 个隐藏层", f"{depth} hidden layer{'' if depth == 1 else 's'}"), (INPUT_LEFT + OUTPUT_LEFT + THUMB) / 2, 12, t("去掉一层", "Remove a layer"), t("加一层", "Add a layer"), "layers", depth > 0, depth < 6)  # fmt: skip
    figure.text(t("输出", "Output"), OUTPUT_LEFT + THUMB / 2, 17, bold=True, anchor="middle")
    for layer in range(1, depth + 2):
        between = column(config, layer - 1) + THUMB
        figure.area(f"edges{layer}", between, TOP - 4, column(config, layer) - between, 8 * PITCH, GAP_ROWS, GAP_COLUMNS, curves(config, state, layer))  # fmt: skip
    edges(figure, config, state, chosen)
    inputs(figure, config)
    names = activation_names(config)
    shown = chosen[:2] if chosen is not None and chosen.source is None else None  # large already
    for layer, maps in enumerate(neuron_maps(config, state, CELLS), start=1):
        x, center = column(config, layer), column(config, layer) + THUMB / 2
        if layer > depth and len(maps) == 1 and names[-1] == "sigmoid":
            maps = 2 * maps - 1  # as in the large map: blue is class 0, white undecided
        high = 1.0 if names[layer - 1] in ("tanh", "sigmoid", "softmax") else strongest(maps)
        label = t(f"第 {layer} 层，神经元", f"Layer {layer}, neuron") if layer <= depth else t("输出", "Output")
        figure.maps(f"n{layer}.", maps, x, TOP, THUMB, step=PITCH, across=1, high=high, hover=False)
        for neuron, bias in enumerate(state[f"bias_{layer}"].tolist(), start=1):
            y = TOP + (neuron - 1) * PITCH + THUMB
            figure.rect(x - 2, y - THUMB - 2, THUMB + 4, THUMB + 4, ink="none", fill="panel", opacity=0.0, round=4, go=f"neuron:{layer}.{neuron}", label=f"{label} {neuron}", peek=None if shown == (layer, neuron) else (f"n{layer}.{neuron - 1}", "answer", neuron_words(config, layer, neuron).capitalize(), PALE))  # fmt: skip
            figure.rect(x - 4, y - 6, 10, 10, ink=LIGHT, fill=NEGATIVE if bias < 0 else POSITIVE, stroke=1, round=2, opacity=visible(bias))  # fmt: skip
            if chosen is not None and (chosen.layer, chosen.neuron, chosen.source) == (layer, neuron, None):
                figure.rect(x - 3, y - THUMB - 3, THUMB + 6, THUMB + 6, ink=CHOSEN, stroke=3, round=4)
        figure.text(
            activations()[names[layer - 1]], center, TOP + len(maps) * PITCH + 11, size=14, anchor="middle", ink="muted"
        )
        if layer <= depth:
            units = config.layers[layer - 1]
            less, more = t(f"第 {layer} 层减一个神经元", f"One neuron less in layer {layer}"), t(f"第 {layer} 层加一个神经元", f"One neuron more in layer {layer}")  # fmt: skip
            buttons(figure, str(units), center, 44, less, more, f"units{layer}", units > 1, units < 8)
        elif class_count(config) > 2:
            for neuron in range(1, len(maps) + 1):
                sign_at(figure, SIGNS[neuron - 1], x + THUMB + 14, middle(neuron), 6, fill=SERIES[neuron - 1])
    figure.text(verdict, 0, HEIGHT - 27, size=15, bold=True)
    figure.text(t("指着神经元：放大它的图；点神经元或边：改它的数", "Point at a neuron: its map large. Click a neuron or an edge: edit its number"), 0, HEIGHT - 6, size=14, ink="muted")  # fmt: skip
    return figure


def strongest(maps: Tensor) -> float:
    """The end of a colour scale that holds all finite values."""
    finite = maps[maps.isfinite()]
    return max(float(finite.abs().max()), 1e-6) if finite.numel() else 1.0


def visible(bias: float) -> float:
    """How much of its colour a bias shows."""
    return min(1.0, 0.15 + abs(bias)) if math.isfinite(bias) else 1.0


def buttons(
    figure: Figure, text: str, x: float, y: float, less: str, more: str, go: str, can_less: bool, can_more: bool
) -> None:
    """− text +, around the place (x, y); a click goes to `go`- or `go`+."""
    wide = 9 + 4.4 * sum(2 if ord(letter) > 0x2E80 else 1 for letter in text)
    figure.text(text, x, y + 5, anchor="middle")
    for sign, label, side, can in (("-", less, -1, can_less), ("+", more, 1, can_more)):
        left = x + side * (wide + 9) - 9
        ink = "text" if can else "line"
        figure.rect(left, y - 9, 18, 18, ink="line", fill="panel", stroke=1, round=4)
        figure.line(left + 5, y, left + 13, y, ink=ink, width=2)
        if side > 0:
            figure.line(left + 9, y - 4, left + 9, y + 4, ink=ink, width=2)
        if can:
            figure.rect(left - 2, y - 11, 22, 22, ink="none", fill="panel", opacity=0.0, round=4, go=go + sign, label=label)  # fmt: skip


def inputs(figure: Figure, config: PlaygroundConfig) -> None:
    """Every input that there could be; those that are not used are pale."""
    maps = grid_features(INPUTS, CELLS).unflatten(1, (CELLS, CELLS))
    maps = maps / maps.abs().amax((1, 2), keepdim=True)
    figure.maps("inputs", maps, INPUT_LEFT, TOP, THUMB, step=PITCH, across=1, high=1.0, hover=False)
    for row, (name, word) in enumerate(input_words().items()):
        y, used = TOP + row * PITCH, name in config.inputs
        if not used:
            figure.rect(INPUT_LEFT - 1, y - 1, THUMB + 2, THUMB + 2, ink="none", fill="background", opacity=0.72)
        figure.text(word, INPUT_LEFT - 8, y + THUMB / 2 + 5, size=16, anchor="end", ink="text" if used else "muted", bold=used)  # fmt: skip
        label = t(f"输入 {word}：{'在用' if used else '不用'}", f"Input {word}: {'used' if used else 'not used'}")
        figure.rect(0, y - 2, INPUT_LEFT + THUMB + 2, THUMB + 4, ink="none", fill="panel", opacity=0.0, round=6, go=f"input:{name}", label=label, peek=(f"inputs{row}", "answer", word, PALE))  # fmt: skip


def height(config: PlaygroundConfig, layer: int, neuron: int) -> float:
    """Where the edges of a neuron, or with layer 0 of an input, meet it."""
    return middle(1 + INPUTS.index(config.inputs[neuron - 1]) if layer == 0 else neuron)


def thickness(weight: float) -> float:
    """Of an edge, in a dozen grades."""
    level = min(abs(weight), (THICKEST - THINNEST) / THICKER) if math.isfinite(weight) else math.inf
    return THINNEST + THICKER * round(2 * level) / 2 if math.isfinite(level) else THICKEST


def edges(figure: Figure, config: PlaygroundConfig, state: dict[str, Tensor], chosen: Place | None) -> None:
    """All weights: those of one colour and thickness as one path, so that hundreds travel lightly."""
    drawn: dict[tuple[str, float], list[str]] = {}
    marked = ""
    for layer, (units, sources) in enumerate(layer_shapes(config), start=1):
        start, end = column(config, layer - 1) + THUMB, column(config, layer)
        bend, across = (end - start) / 2, end - start
        weights = state[f"weight_{layer}"].tolist()
        for neuron in range(1, units + 1):
            to = height(config, layer, neuron)
            for source in range(1, sources + 1):
                y, weight = height(config, layer - 1, source), weights[neuron - 1][source - 1]
                d = f"M{start:.0f} {y:.0f}c{bend:.0f} 0 {bend:.0f} {to - y:.0f} {across:.0f} {to - y:.0f}"
                ink = NEGATIVE if weight < 0 else POSITIVE if weight > 0 else "muted"
                drawn.setdefault((ink, thickness(weight)), []).append(d)
                if chosen == (layer, neuron, source):
                    marked = d
    for (ink, width), paths in sorted(drawn.items(), key=lambda item: item[0][1]):
        dash = {NEGATIVE: "7 3", POSITIVE: None}.get(ink, "2 5")
        figure.path("".join(paths), ink=ink, width=width, dash=dash, opacity=0.85)
    if marked and chosen is not None and chosen.source is not None:
        weight = state[f"weight_{chosen.layer}"][chosen.neuron - 1, chosen.source - 1].item()
        figure.path(marked, ink=CHOSEN, width=thickness(weight) + 5, opacity=0.85)
        figure.path(marked, ink=NEGATIVE if weight < 0 else POSITIVE, width=thickness(weight))


def curves(config: PlaygroundConfig, state: dict[str, Tensor], layer: int) -> Tensor:
    """The edges into a layer (N, 3): where they begin and end, and their weights as far as 16 bits hold them."""
    units, sources = layer_shapes(config)[layer - 1]
    begin = torch.tensor([height(config, layer - 1, source) for source in range(1, sources + 1)])
    end = torch.tensor([height(config, layer, neuron) for neuron in range(1, units + 1)])
    weights = state[f"weight_{layer}"].clamp(-6e4, 6e4)
    return torch.stack([begin.expand(units, sources), end[:, None].expand(units, sources), weights], 2).flatten(0, 1)


def edge_at(config: PlaygroundConfig, layer: int, row: int, column: int) -> Place:
    """The weight whose edge runs closest to a cell of the area left of a layer."""
    units, sources = layer_shapes(config)[layer - 1]
    share, y = (column + 0.5) / GAP_COLUMNS, TOP - 4 + (row + 0.5) * 8 * PITCH / GAP_ROWS
    low, high = 0.0, 1.0
    for _ in range(20):  # where along the curve
        at = (low + high) / 2
        low, high = (at, high) if 1.5 * at * (1 - at) + at**3 < share else (low, at)
    bent = 3 * low**2 - 2 * low**3

    def distance(place: Place) -> float:
        start, end = height(config, layer - 1, place.source), height(config, layer, place.neuron)  # type: ignore[arg-type]
        return abs(start + (end - start) * bent - y)

    return min((Place(layer, n, s) for n in range(1, units + 1) for s in range(1, sources + 1)), key=distance)


def answer(
    config: PlaygroundConfig, state: dict[str, Tensor], chosen: Place | None, held_out: bool, discrete: bool
) -> Figure:
    """What the network, or one of its neurons, says to every place, and the points."""
    figure, own = Figure(ANSWER_WIDTH, HEIGHT), config.data.startswith("own")  # own points are put there by a click
    hidden = chosen is not None and chosen.source is None and chosen.layer <= len(config.layers)
    if hidden:
        assert chosen is not None
        maps = neuron_maps(config, state, FINE)[chosen.layer - 1]
        name = activation_names(config)[chosen.layer - 1]
        high = 1.0 if name in ("tanh", "sigmoid") else strongest(maps)
        figure.text(neuron_words(config, chosen.layer, chosen.neuron).capitalize(), LEFT, 17, bold=True)
        figure.map("answer", maps[chosen.neuron - 1], LEFT, ABOVE, SIDE, high=PALE * high, hover=not own, smooth=True, plane=Plane(ENDS, ENDS))  # fmt: skip
    else:
        figure.text(t("网络的回答", "The network's answer"), LEFT, 17, bold=True)
        values, high, scale = shaded(config, state, discrete)
        figure.map("answer", values, LEFT, ABOVE, SIDE, high=high, scale=scale, hover=not own, smooth=not discrete, plane=says(config, discrete))  # fmt: skip
    axes(figure)
    scatter(figure, config, state, held_out)
    if own:
        figure.area("add", LEFT, ABOVE, SIDE, SIDE, SPOTS, SPOTS)
    legend(figure, config, held_out)
    return figure


def shaded(config: PlaygroundConfig, state: dict[str, Tensor], discrete: bool) -> tuple[Tensor, float, str]:
    """The answer's map, the end of its scale, and the scale."""
    values, winner = answer_map(config, state, FINE)
    if winner is not None and len(values) > 1:
        sure = torch.full_like(values[0], 0.55) if discrete else 0.62 * values.amax(0).clamp(0, 1)
        return winner + sure, 1.0, "classes"
    if not discrete:
        return values[0], PALE, "diverging"
    return values[0].sign() if winner is not None else (4 * values[0]).round() / 4, PALE, "diverging"


def says(config: PlaygroundConfig, discrete: bool) -> Plane:
    """What a place of the answer's map says: the class, the probability of class 1, or a value."""
    count = class_count(config)
    if count > 2 or (discrete and not is_regression(config)):
        names = tuple(t(f"类 {k}", f"class {k}") for k in range(count))
        return Plane(ENDS, ENDS, names=names if count > 2 else (*names, names[0]))  # its values are 0, 1 and −1
    if is_regression(config) or uses_squared_error(config):
        return Plane(ENDS, ENDS)
    return Plane(ENDS, ENDS, times=0.5, plus=0.5)


def on_map(points: Tensor) -> Tensor:
    """Places (N, 2) of the plane as units of the figure: right, down."""
    return torch.stack([LEFT + (points[:, 0] + EDGE) * SIDE / (2 * EDGE), ABOVE + (EDGE - points[:, 1]) * SIDE / (2 * EDGE)], 1)  # fmt: skip


def spot(row: int, column: int) -> tuple[float, float]:
    """The place (x₁, x₂) of a cell that was clicked."""
    cell = 2 * EDGE / SPOTS
    return round((column + 0.5) * cell - EDGE, 1), round(EDGE - (row + 0.5) * cell, 1)


def axes(figure: Figure) -> None:
    for value in (-5, 0, 5):
        along = (value + EDGE) * SIDE / (2 * EDGE)
        text = str(value).replace("-", "−")
        figure.text(text, LEFT + along, ABOVE + SIDE + 19, size=14, anchor="middle", ink="muted")
        figure.text(text, LEFT - 7, ABOVE + SIDE - along + 5, size=14, anchor="end", ink="muted")
    figure.text("x₁", LEFT + SIDE, ABOVE + SIDE + 19, size=16, anchor="end", ink="muted")
    figure.text("x₂", LEFT - 7, ABOVE + 10, size=16, anchor="end", ink="muted")


def scatter(figure: Figure, config: PlaygroundConfig, state: dict[str, Tensor], held_out: bool) -> None:
    """Training points filled, test points hollow; with a dark rim where the network is wrong."""
    points = points_of(config)
    parts = [(points.train_inputs, points.train_targets, False)]
    if held_out:
        parts.insert(0, (points.test_inputs, points.test_targets, True))
    for inputs, targets, hollow in parts:
        if is_regression(config):
            fitted_points(figure, inputs, targets, hollow)
            continue
        size = 4.4 if len(inputs) <= 300 else 3.2
        right = predictions(config, state, inputs) == targets
        for label in range(class_count(config)):
            colour = SERIES[label]
            for correct in (True, False):
                these = on_map(inputs[(targets == label) & (right == correct)])
                if len(these):
                    rim = DARK if not correct else colour if hollow else LIGHT
                    figure.points(these, SIGNS[label], size - 0.6 * hollow, ink=rim, fill=LIGHT if hollow else colour, stroke=1.6 if hollow or not correct else 0.8)  # fmt: skip


def fitted_points(figure: Figure, inputs: Tensor, targets: Tensor, hollow: bool) -> None:
    """Points with a value, in a few shades."""
    shaded_points(figure, on_map(inputs), targets, "square" if hollow else "circle", 3.6, 1.2 if hollow else 0.6)


def shaded_points(figure: Figure, places: Tensor, targets: Tensor, sign: str, size: float, stroke: float) -> None:
    bins = ((targets.clamp(-1, 1) + 1) / 2 * (VALUE_BINS - 1)).round().long()
    for i in bins.unique().tolist():
        figure.points(places[bins == i], sign, size, ink=DARK, fill=shade(2 * i / (VALUE_BINS - 1) - 1), stroke=stroke)


def shade(value: float) -> str:
    """The colour of a value −1…1, as on the map."""
    end = NEGATIVE if value < 0 else POSITIVE
    parts = [round(255 + (int(end[i : i + 2], 16) - 255) * abs(value)) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in parts)


def sign_at(figure: Figure, sign: str, x: float, y: float, size: float, *, fill: str, ink: str = LIGHT) -> None:
    figure.points(torch.tensor([[x, y]]), sign, size, ink=ink, fill=fill, stroke=1.2)


def legend(figure: Figure, config: PlaygroundConfig, held_out: bool) -> None:
    y = ABOVE + SIDE + 50
    if is_regression(config):
        figure.map("scale", torch.linspace(-1, 1, 40)[None], LEFT + 40, y - 14, SIDE - 80, 14, high=1.0, hover=False)
        figure.text("−1", LEFT + 32, y - 1, anchor="end")
        figure.text("1", LEFT + SIDE - 32, y - 1)
    else:
        count = class_count(config)
        words = [t(f"类 {k}", f"class {k}") if count < 4 else str(k) for k in range(count)]
        step = min(96.0, SIDE / count)
        for k, word in enumerate(words):
            sign_at(figure, SIGNS[k], LEFT + 8 + k * step, y - 5, 6.5, fill=SERIES[k])
            figure.text(word, LEFT + 21 + k * step, y)
    y += 26
    if is_regression(config):
        notes = t("圆：训练点；方：测试点", "circles: training, squares: held-out") if held_out else t("圆：训练点", "circles: training points")  # fmt: skip
    else:
        notes = t("实心：训练，空心：测试，黑边：判错", "filled: training, hollow: held-out, dark rim: wrong") if held_out else t("黑边：判错", "dark rim: wrong")  # fmt: skip
    figure.text(notes, LEFT, y, size=14, ink="muted")


# ---- a closer look ---------------------------------------------------------------------------------------------------


def hidden(config: PlaygroundConfig, snapshot: Snapshot, layer: int, first: int = 1, second: int = 2) -> Scene:
    """The plane with a grid, and both as a layer sees them: each place by the activations of two of its neurons."""
    units = layer_shapes(config)[layer - 1][0]
    first, second = min(first, units), min(second, units)
    space = hidden_space(config, snapshot.state, (LINES - 1) * BETWEEN + 1, layer)
    plain = replace(config, inputs=("x1", "x2"), layers=(), activations=())  # the same points, seen as they are
    plane = hidden_space(plain, {}, (LINES - 1) * BETWEEN + 1, 0)
    targets = points_of(config).train_targets
    wide = 330.0
    figures = []
    before = Figure(wide, 366)
    before.text(t("平面", "The plane"), 30, 17, bold=True)
    box = Box(-EDGE, EDGE, -EDGE, EDGE)
    warped(before, config, plane.grid, plane.train, targets, box)
    frame(before, box, "x₁", "x₂")
    figures.append(before)
    after = Figure(wide, 366)
    after.text(t(f"第 {layer} 层看到的", f"As layer {layer} sees it"), 30, 17, bold=True)
    pick = torch.tensor([first - 1, second - 1])
    grid, train = space.grid[..., pick], space.train[:, pick]
    if units == 1:  # a line: spread over the height
        grid, train = grid.clone(), train.clone()
        grid[..., 1] = 0.0
        train[:, 1] = 0.0
    box = bounds_of(activation_names(config)[layer - 1], grid)
    warped(after, config, grid, train, targets, box)
    weights, bias = snapshot.state.get(f"weight_{layer + 1}"), snapshot.state.get(f"bias_{layer + 1}")
    if layer == len(config.layers) and units == 2 and first != second and weights is not None and len(weights) == 1 and not is_regression(config):  # fmt: skip
        straight(after, box, weights[0, pick].tolist(), bias.item())  # type: ignore[union-attr]
    letters = (f"a{'₁₂₃₄₅₆₇₈'[first - 1]}", f"a{'₁₂₃₄₅₆₇₈'[second - 1]}" if units > 1 else "")
    frame(after, box, *letters)
    figures.append(after)
    return Scene(tuple(figures), t(f"左：平面和训练点；右：第 {layer} 层的神经元把它弯成的样子", f"Left: the plane and the training points; right: how the neurons of layer {layer} bend it"))  # fmt: skip


class Box(NamedTuple):
    """What a figure shows: from left to right, and from below to above."""

    left: float
    right: float
    low: float
    high: float


def bounds_of(activation: str, grid: Tensor) -> Box:
    """A box that holds a warped grid, with round ends that seldom change."""
    if activation == "tanh":
        return Box(-1.05, 1.05, -1.05, 1.05)
    if activation == "sigmoid":
        return Box(-0.03, 1.03, -0.03, 1.03)
    ends = []
    for axis in (0, 1):
        values = grid[..., axis]
        values = values[values.isfinite()]
        low, high = (float(values.min()), float(values.max())) if values.numel() else (-1.0, 1.0)
        reach = next((r for r in (0.5, 1, 2, 5, 10, 20, 50, 100, 1e3, 1e4, 1e6) if max(-low, high) <= r), 1e8)
        ends += [-0.03 * reach if low >= -0.2 * reach else -reach, float(reach)]
    return Box(*ends)


PLOT, PLOT_LEFT, PLOT_TOP = 286.0, 32.0, 30.0


def in_box(points: Tensor, box: Box) -> Tensor:
    """Points (…, 2) as units of a figure, those far outside at its edge."""
    x = (points[..., 0] - box.left) / (box.right - box.left)
    y = (box.high - points[..., 1]) / (box.high - box.low)
    both = torch.stack([x, y], -1).nan_to_num(0.5, 1.0, 0.0).clamp(0, 1)
    return both * PLOT + torch.tensor([PLOT_LEFT, PLOT_TOP])


def warped(figure: Figure, config: PlaygroundConfig, grid: Tensor, train: Tensor, targets: Tensor, box: Box) -> None:
    """The grid's lines, and the training points."""
    places = in_box(grid, box)
    for lines, ink in ((places[::BETWEEN], "#8a7200"), (places.transpose(0, 1)[::BETWEEN], "#5a7fa8")):
        d = "".join("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in line) for line in lines.tolist())
        figure.path(d, ink=ink, width=1.1, opacity=0.7)
    if is_regression(config):
        return shaded_points(figure, in_box(train, box), targets, "circle", 3.6, 0.6)
    for label in range(class_count(config)):
        if (targets == label).any():
            figure.points(in_box(train[targets == label], box), SIGNS[label], 3.8, ink=LIGHT, fill=SERIES[label], stroke=0.7)  # fmt: skip


def straight(figure: Figure, box: Box, weights: list[float], bias: float) -> None:
    """The line w₁a₁ + w₂a₂ + b = 0, where it crosses the box."""
    w1, w2 = weights
    ends = []
    for x in (box.left, box.right):
        if w2 and box.low <= (y := -(w1 * x + bias) / w2) <= box.high:
            ends.append([x, y])
    for y in (box.low, box.high):
        if w1 and box.left <= (x := -(w2 * y + bias) / w1) <= box.right:
            ends.append([x, y])
    if len(ends) >= 2 and all(math.isfinite(value) for end in ends for value in end):
        (x1, y1), (x2, y2) = in_box(torch.tensor([ends[0], ends[-1]]), box).tolist()
        figure.line(x1, y1, x2, y2, ink=LIGHT, width=7)
        figure.line(x1, y1, x2, y2, ink=DARK, width=3)


def frame(figure: Figure, box: Box, first: str, second: str) -> None:
    figure.rect(PLOT_LEFT, PLOT_TOP, PLOT, PLOT, ink="line", stroke=1)
    left, right, low, high = (f"{round(end):d}" if abs(end) >= 0.9 else f"{end + 0:.1f}" if abs(end) > 0.1 else "0" for end in box)  # fmt: skip
    y = PLOT_TOP + PLOT + 18
    for text, x, anchor in ((left, PLOT_LEFT, "start"), (right, PLOT_LEFT + PLOT, "end")):
        figure.text(text.replace("-", "−"), x, y, size=14, anchor=anchor, ink="muted")
    for text, at in ((low, PLOT_TOP + PLOT), (high, PLOT_TOP + 12)):
        figure.text(text.replace("-", "−"), PLOT_LEFT - 6, at, size=14, anchor="end", ink="muted")
    figure.text(first, PLOT_LEFT + PLOT / 2, y, size=16, anchor="middle", ink="muted")
    figure.text(second, PLOT_LEFT - 8, PLOT_TOP + PLOT / 2, size=16, anchor="end", ink="muted")


def mixed_up(config: PlaygroundConfig, snapshot: Snapshot) -> Scene:
    """How many points of each class are told to be of which, of the training and the test points."""
    parts = (("train", t("训练点", "Training points")), ("test", t("测试点", "Held-out points")))
    figures = tuple(matrix(config, confusion(config, snapshot.state, part), title) for part, title in parts)
    return Scene(figures, t("混淆矩阵：行是真实的类，列是网络说的类", "Confusion matrices: rows are true classes, columns what the network says"))  # fmt: skip


def matrix(config: PlaygroundConfig, counts: Tensor, title: str) -> Figure:
    classes = len(counts)
    cell, left, top = min(72.0, 260 / classes), 60.0, 58.0
    figure = Figure(330, top + cell * classes + 30)
    right = int(counts.diag().sum())
    figure.text(t(f"{title}：{right} / {int(counts.sum())} 对", f"{title}: {right} of {int(counts.sum())} right"), 0, 17, bold=True)  # fmt: skip
    figure.map(f"confusion{title}", counts.float(), left, top, cell * classes, high=1.6 * float(counts.sum(1).max() or 1), hover=False)  # fmt: skip
    for k in range(classes):
        sign_at(figure, SIGNS[k], left + (k + 0.5) * cell, top - 14, 6.5, fill=SERIES[k])
        sign_at(figure, SIGNS[k], left - 16, top + (k + 0.5) * cell, 6.5, fill=SERIES[k])
        for told in range(classes):
            figure.text(str(int(counts[k, told])), left + (told + 0.5) * cell, top + (k + 0.5) * cell + 6, size=17, anchor="middle", ink=DARK, bold=k != told)  # fmt: skip
    figure.text(t("真实", "true"), left - 32, top + cell * classes / 2, size=14, anchor="middle", ink="muted", turn=-90)
    figure.text(t("网络说的", "as told"), left + cell * classes / 2, top + cell * classes + 22, size=14, anchor="middle", ink="muted")  # fmt: skip
    return figure


# ---- diagnosis -------------------------------------------------------------------------------------------------------


def verdicts(config: PlaygroundConfig, snapshot: Snapshot, rate: float | None = None) -> list[str]:
    """What can be measured to be wrong, worst first; or that nothing is."""
    state = snapshot.state
    if not all(bool(value.isfinite().all()) for value in state.values()):
        return [t("⚠ 发散了：有的权重已不是有限的数。", "⚠ Diverged: some weights are no finite numbers.")]
    found, said = diagnose(config, state), []
    twins = [layer for layer, units in enumerate(config.layers, 1) if units > 1 and bool((state[f"weight_{layer}"] == state[f"weight_{layer}"][0]).all())]  # fmt: skip
    if twins:
        said.append(t(f"⚠ 第 {twins[0]} 层的神经元完全相同：梯度也相同，永远分不开。", f"⚠ The neurons of layer {twins[0]} are all the same, and so are their gradients: they never part."))  # fmt: skip
    if found.dead >= MANY_DEAD:
        said.append(t(f"⚠ {found.dead:.0%} 的隐藏神经元死了：没有训练点能推动它们。", f"⚠ {found.dead:.0%} of the hidden neurons are dead: no training point moves them."))  # fmt: skip
    norms = found.gradient_norms
    if len(norms) > 1 and 0 < norms[0] < VANISHED * norms[-1]:
        said.append(t(f"⚠ 第 1 层的梯度只有输出层的 1/{norms[-1] / norms[0]:,.0f}：梯度消失。", f"⚠ Layer 1 gets 1/{norms[-1] / norms[0]:,.0f} of the output's gradient: it vanishes."))  # fmt: skip
    flat = min(range(len(found.slopes)), key=found.slopes.__getitem__, default=None)
    if flat is not None and found.slopes[flat] < FLAT and found.dead < MANY_DEAD:
        said.append(t(f"⚠ 第 {flat + 1} 层饱和：平均 |f′| 只有 {short(found.slopes[flat])}。", f"⚠ Layer {flat + 1} is saturated: the mean |f′| is {short(found.slopes[flat])}."))  # fmt: skip
    length = math.sqrt(sum(float(value.square().sum()) for value in state.values()))
    if config.optimizer == "sgd" and length and snapshot.step:
        moved = (config.learning_rate if rate is None else rate) * math.hypot(*norms) / length
        if moved > TOO_FAR:
            said.append(t(f"⚠ 一步就把权重挪动 {moved:.0%}：学习率太大。", f"⚠ One step moves the weights by {moved:.0%}: the learning rate is too high."))  # fmt: skip
    if found.test_loss > LEARNED_BY_HEART * found.train_loss and found.test_loss > 0.1:
        said.append(t(f"⚠ 测试损失是训练损失的 {found.test_loss / max(found.train_loss, 1e-12):,.0f} 倍：过拟合。", f"⚠ The held-out loss is {found.test_loss / max(found.train_loss, 1e-12):,.0f} times the training loss: overfitting."))  # fmt: skip
    return said or [t("诊断：没有发现毛病。", "Diagnosis: nothing wrong found.")]


def inside(config: PlaygroundConfig, snapshot: Snapshot, rate: float | None = None) -> Scene:
    """For every layer the length of its gradient and the mean slope of its neurons; and the verdicts."""
    said = verdicts(config, snapshot, rate)
    found = diagnose(config, snapshot.state)
    layers, wide = len(found.gradient_norms), 150.0
    below = 60 + 30 * layers
    lines = [line for text in said for line in broken(text)]
    left, right = Figure(NARROW, below + 24 * len(lines)), Figure(NARROW, below)
    left.text(t("梯度的长度（每格 10 倍）", "gradient length (a notch: ×10)"), 0, 17, size=15, bold=True)
    right.text(t("平均 |f′|", "mean |f′|"), 0, 17, size=15, bold=True)
    for decade in range(10):
        x = NAMES + wide * decade / 9
        left.line(x, 30, x, 34 + 30 * layers, ink="line", width=1)
    for layer, norm in enumerate(found.gradient_norms, start=1):
        y = 52 + 30 * (layer - 1)
        name = t(f"第 {layer} 层", f"layer {layer}") if layer < layers else t("输出层", "output")
        left.text(name, 0, y)
        share = (math.log10(max(norm, LOWEST)) - math.log10(LOWEST)) / (math.log10(HIGHEST) - math.log10(LOWEST)) if math.isfinite(norm) else 1.0  # fmt: skip
        left.rect(NAMES, y - 13, max(1.0, wide * min(1.0, share)), 17, ink="none", fill=SERIES[0])
        left.text(short(norm), NAMES + wide + 10, y)
        if layer < layers:
            slope = found.slopes[layer - 1]
            right.text(name, 0, y)
            right.rect(NAMES, y - 13, max(1.0, wide * min(1.0, slope if math.isfinite(slope) else 0.0)), 17, ink="none", fill=SERIES[2])  # fmt: skip
            right.text(short(slope), NAMES + wide + 10, y)
    for i, line in enumerate(lines):
        left.text(line, 0, below + 4 + 24 * i, size=15, bold=True)
    return Scene((left, right) if layers > 1 else (left,), " ".join(said))


def broken(text: str) -> list[str]:
    """A sentence in lines of LETTERS at most, a Chinese character for two."""
    lines, words = [""], list(text) if any(ord(letter) > 0x2E80 for letter in text) else text.split(" ")
    gap = "" if len(words) == len(text) else " "
    for word in words:
        longer = f"{lines[-1]}{gap}{word}" if lines[-1] else word
        if sum(2 if ord(letter) > 0x2E80 else 1 for letter in longer) <= LETTERS or word in "，。：；":
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
