"""Backpropagation in a network small enough to write every number down: 2 inputs, 2 hidden neurons, 1 or 2 outputs.

The network is a graph. Forward, each node's value follows from the nodes before it; backward, each edge passes on the
gradient of the node it leads to, times its own local derivative. Nothing here differentiates by itself, except `proof`,
which compares. Source: Matt Mazur 2015, "A step by step backpropagation example"; nndl, section on back propagation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from core.config import Config, Limits, Span, check
from core.neuron import activate, derivative
from core.training import ACCURACY, LOSS, Metric, Scores

NETWORKS = ("2-2-1", "2-2-2")
ACTIVATIONS_WITH_SLOPE = ("sigmoid", "tanh", "relu", "leaky_relu", "gelu", "swish", "identity")
MAZUR = {
    "w1": 0.15, "w2": 0.20, "w3": 0.25, "w4": 0.30, "w5": 0.40, "w6": 0.45, "w7": 0.50, "w8": 0.55,
    "b1": 0.35, "b2": 0.60,
}  # fmt: skip
MAZUR_SHORT = {name: MAZUR[name] for name in ("w1", "w2", "w3", "w4", "w5", "w6")} | {
    "b1": 0.35,
    "b2": 0.35,
    "b3": 0.60,
}
XOR_INPUTS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
XOR_TARGETS = ((0.0, 1.0), (1.0, 0.0), (1.0, 0.0), (0.0, 1.0))  # x₁ xor x₂, and for a second output its opposite
WEIGHT = Span(-10.0, 10.0, 0.01)  # what a weight or bias may be set to by hand


# ---- the graph -------------------------------------------------------------------------------------------------------


class Network(NamedTuple):
    """A network by its numbers.

    In the 2-2-1 every neuron has its own bias. In the 2-2-2, as Mazur has it, both hidden neurons add b1 and both
    outputs b2: the gradient of a shared number is the sum over its places.
    """

    activation: str  # of hidden neurons and outputs
    parameters: dict[str, Tensor]  # w1 … w6, b1, b2, b3 (2-2-1) or w1 … w8, b1, b2 (2-2-2); each ()

    @property
    def outputs(self) -> int:
        return 2 if "w7" in self.parameters else 1


class Node(NamedTuple):
    """A number of the graph, for every sample (…)."""

    value: Tensor
    gradient: Tensor  # ∂total/∂this


class Edge(NamedTuple):
    """A step of the chain rule, for every sample (…)."""

    source: str
    target: str
    derivative: Tensor  # ∂target/∂source: the local factor
    passed: Tensor  # derivative · ∂total/∂target: what this edge adds to the source's gradient


class Pass(NamedTuple):
    """Forward and back once."""

    nodes: dict[str, Node]  # in the order of their values: inputs and parameters, then as of `forward_order`
    edges: list[Edge]  # in the order of the way back


class Path(NamedTuple):
    """One way from a weight to the total error, for every sample (…)."""

    names: tuple[str, ...]  # of the nodes, the weight first
    factors: tuple[Tensor, ...]  # the local derivatives on the way
    product: Tensor  # of the factors; all paths' products add up to the weight's gradient


def units(outputs: int) -> dict[str, tuple[str, str, str, str, str]]:
    """Neuron → weight and signal, weight and signal, and the bias: what its net input adds up."""
    biases = ("b1", "b2", "b3") if outputs == 1 else ("b1", "b1", "b2", "b2")
    wiring = {
        "h1": ("w1", "x1", "w2", "x2"),
        "h2": ("w3", "x1", "w4", "x2"),
        "o1": ("w5", "out_h1", "w6", "out_h2"),
        "o2": ("w7", "out_h1", "w8", "out_h2"),
    }
    return {unit: (*wiring[unit], bias) for unit, bias in zip(wiring, biases, strict=False)}


def forward_order(outputs: int) -> tuple[str, ...]:
    """The nodes that are computed, each after those that it needs: net input and activation of each neuron, errors."""
    errors = [f"error_o{number}" for number in range(1, outputs + 1)]
    return (*(f"{stage}_{unit}" for unit in units(outputs) for stage in ("net", "out")), *errors, "total")


def parameter_names(outputs: int) -> tuple[str, ...]:
    """The weights, then the biases."""
    return tuple(MAZUR_SHORT if outputs == 1 else MAZUR)


def forward(network: Network, x: Tensor, target: Tensor) -> dict[str, Tensor]:
    """The value of every node for samples x (…, 2) with targets (…, outputs), or more targets than are needed."""
    values = {"x1": x[..., 0], "x2": x[..., 1]} | network.parameters
    values |= {f"target_o{number + 1}": target[..., number] for number in range(network.outputs)}
    for unit, (weight_1, signal_1, weight_2, signal_2, bias) in units(network.outputs).items():
        net = values[weight_1] * values[signal_1] + values[weight_2] * values[signal_2] + values[bias]
        values |= {f"net_{unit}": net, f"out_{unit}": activate(net, network.activation)}
    outputs = [f"o{number}" for number in range(1, network.outputs + 1)]
    values |= {f"error_{unit}": (values[f"target_{unit}"] - values[f"out_{unit}"]) ** 2 / 2 for unit in outputs}
    return values | {"total": torch.stack([values[f"error_{unit}"] for unit in outputs]).sum(0)}


def local_derivatives(network: Network, values: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """∂node/∂source for every node that leads into the node `name`; nothing where none does.

    Of a product of weight and signal each is the other's derivative; of a sum all have derivative 1.
    """
    stage, _, unit = name.partition("_")
    one = torch.ones_like(values["total"])
    if stage == "net":
        weight_1, signal_1, weight_2, signal_2, bias = units(network.outputs)[unit]
        sources = {weight_1: signal_1, signal_1: weight_1, weight_2: signal_2, signal_2: weight_2}
        return {source: one * values[other] for source, other in sources.items()} | {bias: one}
    if stage == "out":
        return {f"net_{unit}": derivative(values[f"net_{unit}"], network.activation)}
    if stage == "error":
        difference = values[f"out_{unit}"] - values[f"target_{unit}"]
        return {f"out_{unit}": difference, f"target_{unit}": -difference}
    return {f"error_o{number}": one for number in range(1, network.outputs + 1)} if stage == "total" else {}


def forward_backward(network: Network, x: Tensor, target: Tensor) -> Pass:
    """Every node's value and gradient, for samples x (…, 2) with targets (…, outputs), by the chain rule.

    The way back begins with ∂total/∂total = 1. A node's gradient is complete, and passed on, when all edges that leave
    the node have been walked: the sum of what they bring.
    """
    values = forward(network, x, target)
    zero = torch.zeros_like(values["total"])
    found = dict.fromkeys(values, zero) | {"total": zero + 1}
    edges = []
    for name in reversed(forward_order(network.outputs)):
        for source, factor in local_derivatives(network, values, name).items():
            edges.append(Edge(source, name, factor, factor * found[name]))
            found[source] = found[source] + edges[-1].passed
    return Pass({name: Node(value, found[name]) for name, value in values.items()}, edges)


def paths(walked: Pass, source: str) -> list[Path]:
    """Every way from a node to the total error: w1 has one for each output, w5 only one.

    Raises:
        ValueError: there is no such node.
    """
    if source not in walked.nodes:
        raise ValueError(f"the graph has no node {source!r}")
    if source == "total":
        return [Path(("total",), (), walked.nodes["total"].gradient)]
    found = []
    for edge in walked.edges:
        if edge.source == source:
            for rest in paths(walked, edge.target):
                product = edge.derivative * rest.product
                found.append(Path((source, *rest.names), (edge.derivative, *rest.factors), product))
    return found


# ---- proof -----------------------------------------------------------------------------------------------------------


class Proof(NamedTuple):
    """The gradient of one parameter, found in three ways."""

    hand: float  # the chain rule, by `forward_backward`
    autograd: float  # torch's automatic differentiation of `total_error`
    finite: float  # (E(w + h) − E(w − h)) / 2h
    autograd_gap: float  # |hand − autograd|
    finite_gap: float  # |hand − finite|


def total_error(network: Network, x: Tensor, target: Tensor) -> Tensor:
    """The total error (…) in matrices, as one writes it with torch: an independent second way to the same number."""
    w, outputs = network.parameters, network.outputs
    biases = [w[bias] for *_, bias in units(outputs).values()]
    hidden = torch.stack([w["w1"], w["w2"], w["w3"], w["w4"]]).reshape(2, 2)
    output = torch.stack([w[f"w{number}"] for number in range(5, 5 + 2 * outputs)]).reshape(outputs, 2)
    h = activate(x @ hidden.T + torch.stack(biases[:2]), network.activation)
    out = activate(h @ output.T + torch.stack(biases[2:]), network.activation)
    return ((target[..., :outputs] - out) ** 2).sum(-1) / 2


def proof(network: Network, x: Tensor, target: Tensor, name: str, step: float = 1e-5) -> Proof:
    """The gradient of the parameter `name` at one sample x (2,) with its targets, found in three ways.

    A central difference is exact up to h²: at h = 10⁻⁵ and 64 bits about 10 digits. Across a ReLU's kink it is wrong.

    Raises:
        ValueError: the network has no such parameter.
    """
    if name not in network.parameters:
        raise ValueError(f"parameter must be one of {', '.join(network.parameters)}, got {name!r}")
    weight = network.parameters[name]

    def error_at(value: Tensor) -> Tensor:
        return total_error(network._replace(parameters=network.parameters | {name: value}), x, target)

    hand = forward_backward(network, x, target).nodes[name].gradient.item()
    leaf = weight.detach().clone().requires_grad_()
    with torch.enable_grad():
        (automatic,) = torch.autograd.grad(error_at(leaf), leaf)
    finite = ((error_at(weight + step) - error_at(weight - step)) / (2 * step)).item()
    return Proof(hand, automatic.item(), finite, abs(hand - automatic.item()), abs(hand - finite))


# ---- one update ------------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """One parameter's update."""

    before: float
    gradient: float  # of the mean total error over the samples
    after: float  # before − learning rate · gradient


def gradients_by_hand(network: Network, x: Tensor, target: Tensor) -> dict[str, float]:
    """∂/∂parameter of the mean total error over samples x (B, 2) or (2,), by the chain rule."""
    nodes = forward_backward(network, x, target).nodes
    return {name: nodes[name].gradient.mean().item() for name in network.parameters}


def gradients_by_autograd(network: Network, x: Tensor, target: Tensor) -> dict[str, float]:
    """The same by torch's automatic differentiation."""
    leaves = {name: value.detach().clone().requires_grad_() for name, value in network.parameters.items()}
    with torch.enable_grad():
        loss = total_error(network._replace(parameters=leaves), x, target).mean()
    found = torch.autograd.grad(loss, list(leaves.values()))
    return {name: gradient.item() for name, gradient in zip(leaves, found, strict=True)}


def updates(
    network: Network, x: Tensor, target: Tensor, learning_rate: float, train_biases: bool = True,
    backward: str = "by_hand",
) -> dict[str, Change]:  # fmt: skip
    """What one step of gradient descent on samples x (B, 2) or (2,) makes of every parameter.

    Args:
        train_biases: without it the biases stay, as in Mazur's example.
        backward: "by_hand" or "autograd".
    """
    gradients = (gradients_by_autograd if backward == "autograd" else gradients_by_hand)(network, x, target)
    found = {}
    for name, value in network.parameters.items():
        gradient = gradients[name]
        kept = name.startswith("b") and not train_biases
        before = value.item()
        found[name] = Change(before, gradient, before if kept else before - learning_rate * gradient)
    return found


def updated(network: Network, changes: dict[str, Change]) -> Network:
    """The network after these updates."""
    return network._replace(parameters={name: number(change.after) for name, change in changes.items()})


def number(value: float) -> Tensor:
    """A value as a tensor () of 64 bits."""
    return torch.tensor(value, dtype=torch.float64)


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class BackpropagationConfig(Config):
    """A small network, where it starts, and what it learns."""

    network: str = "2-2-2"
    start: str = "mazur"  # its published numbers; or "random": evenly in −spread…spread; or "zero"
    spread: float = 1.0  # of random weights and biases
    data: str = "sample"  # only (x1, x2) → targets; or "xor": the four lines of its truth table
    x1: float = 0.05  # the sample that is shown
    x2: float = 0.10
    target_1: float = 0.01
    target_2: float = 0.99  # of the second output
    activation: str = "sigmoid"
    train_biases: bool = False
    learning_rate: float = 0.5
    backward: str = "by_hand"  # or "autograd", for reading and checking: the same curve

    LIMITS: ClassVar[dict[str, Limits]] = {
        "network": NETWORKS,
        "start": ("mazur", "random", "zero"),
        "spread": Span(0.1, 10.0, 0.1),
        "data": ("sample", "xor"),
        "x1": Span(-2.0, 2.0, 0.05),
        "x2": Span(-2.0, 2.0, 0.05),
        "target_1": Span(-1.0, 1.0, 0.01),
        "target_2": Span(-1.0, 1.0, 0.01),
        "activation": ACTIVATIONS_WITH_SLOPE,
        "learning_rate": Span(0.0, 100.0, 0.1),
        "backward": ("by_hand", "autograd"),
    }

    def build(self, generator: torch.Generator) -> NetworkLearner:
        return NetworkLearner(self, generator)

    def reference(self) -> BackpropagationConfig:
        """The same run with its gradients by autograd."""
        return replace(self, backward="autograd")


class Samples(NamedTuple):
    """What a network learns from."""

    inputs: Tensor  # (B, 2)
    targets: Tensor  # (B, outputs)


def shown_sample(config: BackpropagationConfig) -> Samples:
    """The one sample that the page shows, x (2,) and its targets (outputs,)."""
    targets = (config.target_1, config.target_2)[: outputs_of(config)]
    return Samples(number((config.x1, config.x2)), number(targets))  # type: ignore[arg-type]


def samples(config: BackpropagationConfig) -> Samples:
    """All samples (B, 2) that the config learns from."""
    if config.data == "xor":
        targets = torch.tensor(XOR_TARGETS, dtype=torch.float64)[:, : outputs_of(config)]
        return Samples(torch.tensor(XOR_INPUTS, dtype=torch.float64), targets)
    shown = shown_sample(config)
    return Samples(shown.inputs[None], shown.targets[None])


def outputs_of(config: BackpropagationConfig) -> int:
    return int(config.network[-1])


def initial_network(config: BackpropagationConfig, generator: torch.Generator) -> Network:
    """The network before training; only a random start draws from the generator."""
    names = parameter_names(outputs_of(config))
    if config.start == "random":
        drawn = config.spread * (2 * torch.rand(len(names), generator=generator, dtype=torch.float64) - 1)
        values = dict(zip(names, drawn.tolist(), strict=True))
    elif config.start == "mazur":
        values = MAZUR_SHORT if config.network == "2-2-1" else MAZUR
    else:
        values = dict.fromkeys(names, 0.0)
    return Network(config.activation, {name: number(value) for name, value in values.items()})


def network_of(config: BackpropagationConfig, state: dict[str, Tensor]) -> Network:
    """The network with the weights of a snapshot."""
    return Network(config.activation, dict(state))


# ---- learning --------------------------------------------------------------------------------------------------------


class NetworkLearner:
    """A small network that learns by `forward_backward`, all samples at each step; by autograd if the config says so."""

    def __init__(self, config: BackpropagationConfig, generator: torch.Generator):
        self.config = config
        self.metrics: tuple[Metric, ...] = (LOSS, ACCURACY) if config.data == "xor" else (LOSS,)
        self.samples = samples(config)
        self.network = initial_network(config, generator)

    def update(self, learning_rate: float) -> float:
        """One step of gradient descent on the mean total error."""
        loss = forward(self.network, *self.samples)["total"].mean().item()
        config = self.config
        changes = updates(self.network, *self.samples, learning_rate, config.train_biases, config.backward)
        self.network = updated(self.network, changes)
        return loss

    def evaluate(self) -> Scores:
        """The mean total error; for XOR also the share of lines whose outputs are all on their target's side of ½."""
        values = forward(self.network, *self.samples)
        scores = {LOSS.name: values["total"].mean().item()}
        if self.config.data == "xor":
            sides = [
                (values[f"out_o{output}"] >= 0.5) == (values[f"target_o{output}"] >= 0.5)
                for output in range(1, self.network.outputs + 1)
            ]
            scores[ACCURACY.name] = torch.stack(sides).all(0).double().mean().item()
        return {"train": scores}

    def state(self) -> dict[str, Tensor]:
        """{"w1": (), …, "b1": (), …}"""
        return self.network.parameters

    def intervene(self, name: str, value: Any) -> None:
        """Set a weight or a bias by hand, within WEIGHT.

        Raises:
            ValueError: another name, or another value.
        """
        if name not in self.network.parameters:
            raise ValueError(f"only {', '.join(self.network.parameters)} can be changed by hand, got {name!r}")
        check(name, value, WEIGHT)
        self.network.parameters[name] = number(float(value))


# ---- presets ---------------------------------------------------------------------------------------------------------

XOR = BackpropagationConfig(
    network="2-2-1", start="random", data="xor", activation="tanh", train_biases=True, learning_rate=0.5
)
PRESETS: dict[str, BackpropagationConfig] = {
    "xor": XOR,
    "mazur": BackpropagationConfig(),
    "mazur_biases": BackpropagationConfig(train_biases=True),
    "relu": replace(XOR, activation="relu"),
    # These break, each for one reason:
    "local_minimum": replace(XOR, activation="sigmoid", learning_rate=5.0),  # seed 2 begins elsewhere and learns
    "zero": replace(XOR, start="zero"),  # tanh(0) = 0: every weight's gradient is 0
    "linear": replace(XOR, activation="identity"),  # two linear layers are one, and no line separates XOR
    "saturated": replace(XOR, activation="sigmoid", learning_rate=5.0, spread=10.0),
    "dead": replace(XOR, activation="relu", learning_rate=5.0),  # the output is thrown below zero and stays there
    "diverging": replace(XOR, activation="identity", learning_rate=5.0),
}
