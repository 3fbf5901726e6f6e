"""The pictures and formulas of the backpropagation lesson: pure functions of settings and weights."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from core.backpropagation import (
    BackpropagationConfig,
    Edge,
    Network,
    Pass,
    Path,
    forward_backward,
    forward_order,
    network_of,
    outputs_of,
    paths,
    samples,
    shown_sample,
    units,
)
from core.training import Snapshot
from pages.ui.scene import Figure, Scene
from pages.ui.text import t

WIDE, TALL, STEP, TOP = 74, 48, 66, 34  # a node's box, the distance of two rows, the middle of the first
COLUMNS = (
    39,
    166,
    266,
    394,
    494,
    602,
    708,
)  # middles: inputs, weights, hidden neurons, weights, outputs, errors, total
ROWS = 6
END = 60  # past the last move in either network
CURRENT = "#c4347f"  # what this move computes


# ---- the walk ------------------------------------------------------------------------------------------------------


class Walk(NamedTuple):
    """How far the viewer has walked: nodes computed on the way forward, edges walked on the way back."""

    forward: int
    backward: int
    nodes: int  # in all
    edges: int

    @property
    def moves(self) -> int:
        return self.forward + self.backward

    @property
    def over(self) -> bool:
        """Whether everything is there, and nothing is current."""
        return self.backward > self.edges


def walk(config: BackpropagationConfig, found: Pass, visit: int) -> Walk:
    """The walk after so many moves: forward node by node, back edge by edge, and one more that shows all."""
    nodes = len(forward_order(outputs_of(config)))
    visit = min(visit, nodes + len(found.edges) + 1)
    return Walk(min(visit, nodes), max(0, visit - nodes), nodes, len(found.edges))


def sample(config: BackpropagationConfig, line: int) -> tuple[Tensor, Tensor]:
    """The one sample that is looked at, x (2,) and its targets: of XOR a line of its truth table."""
    if config.data == "sample":
        return shown_sample(config)
    inputs, targets = samples(config)
    return inputs[line], targets[line]


def apart(gap: float) -> str:
    """How far a gradient is from the one by hand."""
    return t(f"与手写相差 {gap:.1e}", f"differs by {gap:.1e}") if gap else t("与手写的分毫不差", "the very same number")


def walked(config: BackpropagationConfig, snapshot: Snapshot, line: int) -> Pass:
    return forward_backward(network_of(config, snapshot.state), *sample(config, line))


def gradients(found: Pass, gone: Walk) -> dict[str, float]:
    """Node → its gradient as far as it has come; a node that no edge has reached yet is missing."""
    so_far = {"total": 1.0} if gone.backward else {}
    for edge in found.edges[: gone.backward]:
        so_far[edge.source] = so_far.get(edge.source, 0.0) + edge.passed.item()
    return so_far


# ---- the graph -----------------------------------------------------------------------------------------------------


def places(outputs: int) -> dict[str, tuple[float, float]]:
    """Node → the middle of its box. A neuron is two boxes, net input and output; biases stand between the neurons."""
    x, row = COLUMNS, [TOP + STEP * i for i in range(ROWS)]
    middle = TOP + STEP * 2.5
    found = {"x1": (x[0], row[1]), "x2": (x[0], row[4]), "total": (x[6], middle)}
    found |= {f"w{i + 1}": (x[1], row[i + 1]) for i in range(4)}
    found |= {"out_h1": (x[2], row[0]), "net_h1": (x[2], row[1]), "net_h2": (x[2], row[4]), "out_h2": (x[2], row[5])}
    if outputs == 1:
        found |= {"b1": (x[2], row[2]), "b2": (x[2], row[3]), "b3": (x[4], row[4])}
        found |= {"w5": (x[3], row[1] + STEP / 2), "w6": (x[3], row[3] + STEP / 2)}
        found |= {"out_o1": (x[4], row[2]), "net_o1": (x[4], row[3])}
        found |= {"error_o1": (x[5], row[2]), "target_o1": (x[5], row[3]), "total": (x[6], row[2])}
        return found
    found |= {f"w{i + 5}": (x[3], row[1] + STEP * i) for i in range(4)}
    found |= {"b1": (x[2], middle), "b2": (x[4], middle)}
    found |= {"out_o1": (x[4], row[0]), "net_o1": (x[4], row[1]), "net_o2": (x[4], row[4]), "out_o2": (x[4], row[5])}
    found |= {"error_o1": (x[5], row[0]), "target_o1": (x[5], row[1]), "target_o2": (x[5], row[4]), "error_o2": (x[5], row[5])}  # fmt: skip
    return found


def graph(config: BackpropagationConfig, snapshot: Snapshot, visit: int, line: int, weight: str) -> Scene:
    """The network as a computational graph, as far as it has been walked; `weight` is framed."""
    found = walked(config, snapshot, line)
    gone, place = walk(config, found, visit), places(outputs_of(config))
    drawn = Figure(COLUMNS[-1] + WIDE / 2 + 3, TOP + STEP * (ROWS - 1) + TALL / 2 + 4)
    signals = passing(outputs_of(config))
    strongest = max((abs(edge.passed.item()) for edge in found.edges), default=1.0) or 1.0
    current = found.edges[gone.backward - 1] if 0 < gone.backward <= gone.edges else None
    here = now(config, gone, current)
    for order, edge in sorted(enumerate(found.edges), key=lambda pair: pair[1] is current):
        done = order < gone.backward
        strength = abs(edge.passed.item()) / strongest
        ink = "muted" if not done else sign(edge.passed.item())
        thick = 1.0 if not done else 1.4 + 3.6 * (strength if math.isfinite(strength) else 1.0)
        if edge is current or (not gone.backward and edge.target in here):
            ink, thick = CURRENT, 4.0
        route = [place[edge.source], place[edge.target]]
        if (edge.source, edge.target) in signals:
            route.insert(1, place[signals[edge.source, edge.target]])
        draw_edge(drawn, route, ink, thick, back=edge is current)
    so_far, computed = gradients(found, gone), forward_order(outputs_of(config))
    for name, (x, y) in place.items():
        known = name not in computed or computed.index(name) < gone.forward
        value = found.nodes[name].value.item() if known else None
        draw_node(drawn, name, x, y, value, so_far.get(name), name in here, name == weight)
    return Scene((drawn,), in_words(config, found, gone))


def now(config: BackpropagationConfig, gone: Walk, current: Edge | None) -> tuple[str, ...]:
    """The nodes that this move is about."""
    if current is not None:
        return current.source, current.target
    return (forward_order(outputs_of(config))[gone.forward - 1],) if gone.forward and not gone.backward else ()


def passing(outputs: int) -> dict[tuple[str, str], str]:
    """Edge of a signal → the weight that it is multiplied by: the line is drawn through that weight's box."""
    found = {}
    for unit, (weight_1, signal_1, weight_2, signal_2, _) in units(outputs).items():
        found |= {(signal_1, f"net_{unit}"): weight_1, (signal_2, f"net_{unit}"): weight_2}
    return found


def draw_edge(drawn: Figure, route: list[tuple[float, float]], ink: str, width: float, back: bool) -> None:
    """From box to box; the arrow stands at the end, on the way back at the beginning."""
    for number, (start, end) in enumerate(pairwise(route)):
        (x1, y1), (x2, y2) = rim(start, end), rim(end, start)
        if back:
            drawn.line(x2, y2, x1, y1, ink=ink, width=width, arrow=number == 0)
        else:
            drawn.line(x1, y1, x2, y2, ink=ink, width=width, arrow=number == len(route) - 2 and ink == CURRENT)


def rim(box: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Where an edge leaves a box: at its side, or at its top or bottom towards one right above or below."""
    (x, y), (to_x, to_y) = box, other
    if x == to_x:
        return x, y + math.copysign(TALL / 2, to_y - y)
    return x + math.copysign(WIDE / 2, to_x - x), y


def draw_node(
    drawn: Figure, name: str, x: float, y: float, value: float | None, gradient: float | None, now: bool, chosen: bool
) -> None:
    """A box with name, value and, in its own colour, the gradient."""
    given = name[0] in "wbx" or name.startswith("target")
    ink, stroke = ("text", 2.4) if chosen else ("muted", 1.2)
    drawn.rect(
        x - WIDE / 2, y - TALL / 2, WIDE, TALL, round=10 if name[0] in "wb" else 4 if given else 18,
        fill="panel" if given else "background", ink=CURRENT if now else ink, stroke=3 if now else stroke,
        go=name if name[0] in "wb" else "", label=t(f"看 {name} 的梯度", f"Look at the gradient of {name}"),
    )  # fmt: skip
    drawn.text(label(name), x, y - 10.5, size=13, anchor="middle", ink="muted")
    drawn.text("·" if value is None else short(value), x, y + 4.5, size=14, anchor="middle", bold=True)
    if gradient is not None:
        drawn.text(short(gradient, signed=True), x, y + 19, size=13, anchor="middle", ink=sign(gradient))


def in_words(config: BackpropagationConfig, found: Pass, gone: Walk) -> str:
    total = found.nodes["total"].value.item()
    known = short(total) if gone.forward == gone.nodes else t("还没算到", "not yet computed")
    return t(
        f"{config.network} 网络的计算图：前向算了 {gone.forward}/{gone.nodes} 个节点，反向走了 {min(gone.backward, gone.edges)}/{gone.edges} 条边；总误差：{known}。",
        f"The {config.network} network as a graph: {gone.forward} of {gone.nodes} nodes computed, {min(gone.backward, gone.edges)} of {gone.edges} edges walked back; total error: {known}.",
    )


def label(name: str) -> str:
    """A node's name as it stands in its box: net_h1 → net h₁."""
    stage, _, unit = name.partition("_")
    low = str.maketrans("12345678", "₁₂₃₄₅₆₇₈")
    if name == "total":
        return t("总误差 E", "total E")
    words = {"error": "E", "target": t("目标", "target")}
    return f"{words.get(stage, stage)} {unit}".strip().translate(low)


def sign(value: float) -> str:
    """The colour of a gradient: blue negative, orange positive."""
    return "orange" if value > 0 else "blue" if value < 0 else "muted"


def short(value: float, signed: bool = False) -> str:
    """A number that fits a box."""
    size = abs(value)
    if not math.isfinite(value) or size >= 1e4:
        text = f"{value:.1e}"
    elif size >= 100:
        text = f"{value:.1f}"
    elif size >= 1e-3 or value == 0:
        text = "0" if value == 0 else f"{value:.4f}"
    else:
        text = f"{value:.5f}" if size >= 1e-4 else f"{value:.0e}"
    return ("+" if signed and value > 0 else "") + text.replace("-", "−")


# ---- formulas ------------------------------------------------------------------------------------------------------


def move_formula(config: BackpropagationConfig, network: Network, found: Pass, gone: Walk) -> tuple[str, ...]:
    """KaTeX, line by line: what this move computes, in symbols and in numbers; at either end, what the walk is about."""
    if gone.over:
        return (
            r"\frac{\partial E}{\partial a}=\sum_{a\to b}\frac{\partial E}{\partial b}\cdot\frac{\partial b}{\partial a}",
        )
    if gone.backward:
        return backward_formula(config, found, gone)
    if gone.forward:
        return forward_formula(config, network, found, forward_order(outputs_of(config))[gone.forward - 1])
    return (
        r"\mathrm{net}=\sum_i w_i x_i+b\qquad \mathrm{out}=f(\mathrm{net})\qquad E=\sum_k\tfrac12(t_k-\mathrm{out}_k)^2"
    )


def forward_formula(config: BackpropagationConfig, network: Network, found: Pass, name: str) -> tuple[str, ...]:
    value = {node: tex(each.value.item()) for node, each in found.nodes.items()}
    stage, _, unit = name.partition("_")
    result = rf"\mathbf{{{tex(found.nodes[name].value.item(), bare=True)}}}"
    if stage == "net":
        weight_1, signal_1, weight_2, signal_2, bias = units(network.outputs)[unit]
        symbols = rf"{symbol(weight_1)}\,{symbol(signal_1)}+{symbol(weight_2)}\,{symbol(signal_2)}+{symbol(bias)}"
        numbers = rf"{value[weight_1]}\cdot {value[signal_1]}+{value[weight_2]}\cdot {value[signal_2]}+{value[bias]}"
    elif stage == "out":
        symbols, numbers = (rf"{function(config)}({number})" for number in (symbol(f"net_{unit}"), tex(found.nodes[f"net_{unit}"].value.item(), bare=True)))  # fmt: skip
    elif stage == "error":
        symbols = rf"\tfrac12({symbol(f'target_{unit}')}-{symbol(f'out_{unit}')})^2"
        numbers = rf"\tfrac12({value[f'target_{unit}']}-{value[f'out_{unit}']})^2"
    else:
        errors = [f"error_o{number + 1}" for number in range(network.outputs)]
        symbols, numbers = "+".join(map(symbol, errors)), "+".join(value[error] for error in errors)
    return rf"{symbol(name)}={symbols}", rf"\phantom{{{symbol(name)}}}={numbers}={result}"


def backward_formula(config: BackpropagationConfig, found: Pass, gone: Walk) -> tuple[str, ...]:
    edge = found.edges[gone.backward - 1]
    source, target = symbol(edge.source), symbol(edge.target)
    so_far = gradients(found, gone)
    number, passed = tex(edge.derivative.item(), bare=True), tex(edge.passed.item(), bare=True)
    factor = rf"\frac{{\partial {target}}}{{\partial {source}}}"
    lines = [
        rf"{factor}={factor_in_symbols(config, edge)}={number}",
        rf"\frac{{\partial E}}{{\partial {target}}}\cdot {factor}="
        rf"{tex(so_far[edge.target], bare=True)}\cdot {tex(edge.derivative.item())}=\mathbf{{{passed}}}",
    ]
    if any(other.source == edge.source for other in found.edges[: gone.backward - 1]):
        before = so_far[edge.source] - edge.passed.item()
        after = tex(so_far[edge.source], bare=True)
        lines[-1] += rf"\qquad\textstyle\sum={tex(before, bare=True)}+{tex(edge.passed.item())}={after}"
    return tuple(lines)


def factor_in_symbols(config: BackpropagationConfig, edge: Edge) -> str:
    """The local derivative of an edge, as a formula."""
    stage, _, unit = edge.target.partition("_")
    if stage == "net":
        weight_1, signal_1, weight_2, signal_2, _ = units(outputs_of(config))[unit]
        other = {weight_1: signal_1, signal_1: weight_1, weight_2: signal_2, signal_2: weight_2}.get(edge.source)
        return symbol(other) if other else "1"
    if stage == "out":
        out = symbol(edge.target)
        slopes = {"sigmoid": rf"{out}(1-{out})", "tanh": rf"1-{out}^2", "identity": "1"}
        return slopes.get(config.activation, rf"{function(config)}'({symbol(edge.source)})")
    if stage == "error":
        difference = rf"{symbol(f'out_{unit}')}-{symbol(f'target_{unit}')}"
        return difference if edge.source.startswith("out") else rf"-({difference})"
    return "1"


def path_formula(found: Path) -> tuple[str, str]:
    """KaTeX: a way to the total error, and the product of its factors."""
    factors = r"\cdot ".join(tex(factor.item()) for factor in found.factors)
    product = tex(found.product.item(), bare=True, digits=3)
    return r"\to ".join(map(symbol, found.names)), rf"{factors}=\mathbf{{{product}}}"


def path_sum(found: list[Path], weight: str) -> str:
    """KaTeX: all paths' products and their sum, the weight's gradient."""
    total = torch.stack([path.product for path in found]).sum().item()
    parts = "+".join(tex(path.product.item(), digits=3) for path in found)
    return rf"\frac{{\partial E}}{{\partial {symbol(weight)}}}={parts}=\mathbf{{{tex(total, bare=True, digits=3)}}}"


def ways(config: BackpropagationConfig, snapshot: Snapshot, line: int, weight: str) -> list[Path]:
    return paths(walked(config, snapshot, line), weight)


def symbol(name: str) -> str:
    """KaTeX: a node's name."""
    stage, _, unit = name.partition("_")
    if name == "total":
        return "E"
    if not unit:
        return f"{name[0]}_{{{name[1:]}}}"
    return {"error": f"E_{{{unit}}}", "target": f"t_{{{unit}}}"}.get(stage, rf"\mathrm{{{stage}}}_{{{unit}}}")


def function(config: BackpropagationConfig) -> str:
    """KaTeX: the activation function's name."""
    names = {"sigmoid": r"\sigma", "tanh": r"\tanh", "relu": r"\mathrm{ReLU}", "identity": r"\mathrm{id}"}
    return names.get(config.activation, "f")


def tex(value: float, bare: bool = False, digits: int = 4) -> str:
    """KaTeX: a number with `digits` significant digits; in brackets if negative, unless it stands `bare`."""
    if not math.isfinite(value):
        return r"\infty" if value > 0 else r"-\infty" if value < 0 else r"\text{NaN}"
    text = f"{value:.{digits}g}" if value else "0"
    if "e" in text:
        mantissa, _, exponent = text.partition("e")
        small = 1e-6 <= abs(value) < 1
        text = f"{value:.{digits + 4}f}" if small else rf"{mantissa}\cdot 10^{{{int(exponent)}}}"
    return f"({text})" if text.startswith("-") and not bare else text
