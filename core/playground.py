"""Points of the plane, and a network small enough that every neuron can be seen: a multilayer perceptron.

Backpropagation is written out by hand, in the textbook's letters: forward z = W a + b and a = f(z), layer by layer; back
δ = f'(z) ⊙ Wᵀδ, which gives ∂loss/∂W = δ aᵀ and ∂loss/∂b = δ. `loss_by_autograd` says the same for torch to
differentiate, and a run may do that instead (`backward="autograd"`): the same curve, an order of magnitude slower.
Sources: nndl, chapter on feed-forward networks; the data and inputs are TensorFlow Playground's (Smilkov et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import Config, Limits, SettingError, Span, check
from core.data.points import EDGE, MULTI_CLASS, REGRESSION, Points, dealt, make_points
from core.neuron import LEAK, activate
from core.optimizers import OPTIMIZERS, Optimizer
from core.training import ACCURACY, EXPLODED, LOSS, Metric, Record, Scores, is_due

OWN_CLASSES, OWN_VALUES = "own_classes", "own_values"  # the points of the config itself: classes, or values to fit
DATA = ("circle", "xor", "gaussians", "spiral", "moons", *MULTI_CLASS, *REGRESSION, OWN_CLASSES, OWN_VALUES)
INPUTS = ("x1", "x2", "x1_squared", "x2_squared", "x1_x2", "sin_x1", "sin_x2")
HIDDEN_ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity", "leaky_relu", "gelu", "swish")
INITIALISATIONS = ("xavier", "he", "uniform", "normal", "zeros")
LOSSES = ("auto", "cross_entropy", "squared")
DEPTHS, WIDTHS = range(7), range(1, 9)  # hidden layers, and neurons in each
OWN_POINTS = 2_000  # at most
WEIGHT = Span(-20.0, 20.0, 0.1)  # what a weight or bias may be set to by hand
DEAD = 0.005  # a unit is dead where its |f'| stays below this share of the largest on every training point
STEEPEST_SLOPES = {"sigmoid": 0.25, "gelu": 1.1289, "swish": 1.0998}  # largest |f'|; 1 for the others


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PlaygroundConfig(Config):
    """Points, the network that is to learn them, and how it learns."""

    data: str = "circle"
    noise: float = 0.0  # 0–0.5, as of `make_points`
    count: int = 500  # points in all
    train_share: float = 0.5  # of them that are learnt from
    classes: int = 3  # of the blobs and spirals
    points: tuple[float, ...] = ()  # own ones: x₁, x₂ (−6…6) and class (0…4) or value (−1…1) of each in turn
    inputs: tuple[str, ...] = ("x1", "x2")  # what the first layer sees of a point
    layers: tuple[int, ...] = (4, 2)  # neurons of each hidden layer
    activation: str = "tanh"  # of the hidden layers …
    activations: tuple[str, ...] = ()  # … but of the first ones these
    initialisation: str = "xavier"  # of the weights; biases start at 0, with "uniform" and "normal" as the weights do
    dropout: float = 0.0  # probability that a hidden neuron is left out of an update
    regularisation: str = "none"  # or "l1", "l2": penalty · Σ|w| or penalty · ½Σw² of the weights, not the biases
    penalty: float = 0.001
    optimizer: str = "sgd"
    learning_rate: float = 0.03
    batch_size: int = 10  # points per update; 0: all
    loss: str = "auto"  # cross-entropy for classes, the squared error for values
    backward: str = "by_hand"  # or "autograd", for reading and checking: the same curve, slower

    LIMITS: ClassVar[dict[str, Limits]] = {
        "data": DATA,
        "noise": Span(0.0, 0.5, 0.05),
        "count": range(20, 2001),
        "train_share": Span(0.1, 0.9, 0.1),
        "classes": range(2, 6),
        "inputs": INPUTS,
        "activation": HIDDEN_ACTIVATIONS,
        "activations": (*HIDDEN_ACTIVATIONS, ()),
        "initialisation": INITIALISATIONS,
        "dropout": Span(0.0, 0.8, 0.1),
        "regularisation": ("none", "l1", "l2"),
        "penalty": Span(0.0, 10.0, 0.001),
        "optimizer": OPTIMIZERS,
        "batch_size": range(2001),
        "loss": LOSSES,
        "backward": ("by_hand", "autograd"),
    }

    def __post_init__(self):
        super().__post_init__()
        if len(set(self.inputs)) < len(self.inputs):
            raise SettingError("inputs", self.inputs, INPUTS)
        if not isinstance(self.layers, tuple) or len(self.layers) not in DEPTHS:
            raise SettingError("layers", self.layers, ("()", "1–6 numbers of neurons"))
        if self.layers:
            check("layers", self.layers, WIDTHS)
        if len(self.activations) not in DEPTHS:
            raise SettingError("activations", self.activations, HIDDEN_ACTIVATIONS)
        if self.loss == "cross_entropy" and is_regression(self):
            raise SettingError("loss", self.loss, ("auto", "squared"))
        check_own_points(self)

    def build(self, generator: torch.Generator) -> PlaygroundLearner:
        return PlaygroundLearner(self, generator)

    def reference(self) -> PlaygroundConfig:
        """The same run with its gradients by autograd; it agrees until rounding errors have grown."""
        return replace(self, backward="autograd")


def check_own_points(config: PlaygroundConfig) -> None:
    """Raise SettingError unless the config's own points can be learnt from, where they are to be."""
    numbers = config.points
    used = config.data in (OWN_CLASSES, OWN_VALUES)
    if not isinstance(numbers, tuple) or len(numbers) % 3 or not 2 * used <= len(numbers) // 3 <= OWN_POINTS:
        raise SettingError("points", numbers, (f"2–{OWN_POINTS:,} times x₁, x₂ and class or value",))
    if numbers:
        check("points", numbers[0::3] + numbers[1::3], Span(-EDGE, EDGE, 0.1))
    if used:
        check("points", numbers[2::3], Span(-1.0, 1.0) if is_regression(config) else tuple(map(float, range(5))))


def is_regression(config: PlaygroundConfig) -> bool:
    """Whether values are to be fitted; classes otherwise."""
    return config.data in (*REGRESSION, OWN_VALUES)


def uses_squared_error(config: PlaygroundConfig) -> bool:
    return config.loss == "squared" or is_regression(config)


def class_count(config: PlaygroundConfig) -> int:
    """How many classes there are, 2–5; 0 where values are to be fitted."""
    if is_regression(config):
        return 0
    if config.data == OWN_CLASSES:
        return max(2, 1 + int(max(config.points[2::3])))
    return config.classes if config.data in MULTI_CLASS else 2


def output_count(config: PlaygroundConfig) -> int:
    """Output neurons: one for a value or two classes, one for each of more classes."""
    return class_count(config) if class_count(config) > 2 else 1


def activation_names(config: PlaygroundConfig) -> list[str]:
    """The activation of each layer, the output last: "softmax" or one of core.neuron's.

    The squared error of classes is that of a tanh, with targets −1 and 1.
    """
    own = config.activations[: len(config.layers)]
    hidden = [*own, *[config.activation] * (len(config.layers) - len(own))]
    if uses_squared_error(config):
        return [*hidden, "identity" if is_regression(config) else "tanh"]
    return [*hidden, "sigmoid" if output_count(config) == 1 else "softmax"]


def layer_shapes(config: PlaygroundConfig) -> list[tuple[int, int]]:
    """(neurons, inputs) of each layer, the output last."""
    return [(units, inputs) for inputs, units in pairwise((len(config.inputs), *config.layers, output_count(config)))]


def parameter_count(config: PlaygroundConfig) -> int:
    """How many numbers the network learns: weights and biases."""
    return sum(units * (inputs + 1) for units, inputs in layer_shapes(config))


# ---- points ----------------------------------------------------------------------------------------------------------


def draw_data(config: PlaygroundConfig, generator: torch.Generator) -> Points:
    """The points of a run: drawn, or the config's own, split at random."""
    if config.data not in (OWN_CLASSES, OWN_VALUES):
        return make_points(
            config.data, generator, config.count, config.noise, config.train_share, config.classes
        )  # fmt: skip
    own = torch.tensor(config.points, dtype=torch.float32).reshape(-1, 3)
    inputs, targets = own[:, :2], own[:, 2] if is_regression(config) else own[:, 2].long()
    kept = min(max(1, round(len(own) * config.train_share)), len(own) - 1)
    order = dealt(torch.zeros(len(own)) if is_regression(config) else targets, generator)
    train, test = order[:kept], order[kept:]
    return Points(inputs[train], targets[train], inputs[test], targets[test])


@lru_cache(maxsize=64)
def points_of(config: PlaygroundConfig) -> Points:
    """The points of a config's run; to be read and never written."""
    return draw_data(config, torch.Generator().manual_seed(config.seed))


def features(points: Tensor, inputs: Sequence[str]) -> Tensor:
    """What the first layer sees (features, N) of points (N, 2)."""
    x1, x2 = points.T
    found = {
        "x1": x1, "x2": x2, "x1_squared": x1**2, "x2_squared": x2**2, "x1_x2": x1 * x2,
        "sin_x1": x1.sin(), "sin_x2": x2.sin(),
    }  # fmt: skip
    return torch.stack([found[name] for name in inputs])


def desired(config: PlaygroundConfig, targets: Tensor) -> Tensor:
    """What the output neurons should say (outputs, N) to targets (N,): values, 0 and 1, or −1 and 1 for a tanh."""
    if is_regression(config):
        return targets[None]
    classes = torch.arange(class_count(config)) if output_count(config) > 1 else torch.ones(1)
    right = (targets == classes[:, None]).float()
    return 2 * right - 1 if uses_squared_error(config) else right


# ---- parameters ------------------------------------------------------------------------------------------------------


def matrices(config: PlaygroundConfig, parameters: Tensor) -> list[Tensor]:
    """The layers' matrices (…, neurons, inputs + 1) as views of all parameters (…, P): weights, then the bias."""
    found, start = [], 0
    for units, inputs in layer_shapes(config):
        end = start + units * (inputs + 1)
        found.append(parameters[..., start:end].unflatten(-1, (units, inputs + 1)))
        start = end
    return found


def state_of(config: PlaygroundConfig, parameters: Tensor) -> dict[str, Tensor]:
    """The same as {"weight_1": (neurons, inputs), "bias_1": (neurons,), …}, views of the parameters (P,)."""
    state = {}
    for number, matrix in enumerate(matrices(config, parameters), start=1):
        state |= {f"weight_{number}": matrix[:, :-1], f"bias_{number}": matrix[:, -1]}
    return state


def draw_parameters(config: PlaygroundConfig, generator: torch.Generator) -> Tensor:
    """The parameters (P,) before training.

    "uniform" is torch's own, U(−1/√inputs, 1/√inputs); Xavier (Glorot & Bengio 2010) ±√(6/(inputs + neurons));
    He (He et al. 2015) ±√(6/inputs); "normal" is N(0, 1), however many inputs there are.
    """
    parameters = torch.zeros(parameter_count(config))
    for matrix in matrices(config, parameters):
        units, inputs = matrix.shape[0], matrix.shape[1] - 1
        weights = matrix[:, :-1]
        if config.initialisation == "uniform":
            matrix.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
        elif config.initialisation == "normal":
            matrix.normal_(generator=generator)
        elif config.initialisation != "zeros":
            bound = math.sqrt(6 / (inputs if config.initialisation == "he" else inputs + units))
            weights.uniform_(-bound, bound, generator=generator)
    return parameters


# ---- forward and backward, by hand -----------------------------------------------------------------------------------
# At these sizes an operation of torch costs a microsecond whatever it computes. So an update is as few operations as
# possible: into buffers that stay, the bias as one more weight of an input that is always 1, and what can be done for
# several layers at once is done at once.


def relu_into(z: Tensor, out: Tensor) -> None:
    torch.clamp(z, min=0, out=out)


def leaky_relu_into(z: Tensor, out: Tensor) -> None:
    torch.mul(z, LEAK, out=out)
    torch.maximum(z, out, out=out)


def identity_into(z: Tensor, out: Tensor) -> None:
    out.copy_(z)


def gelu_into(z: Tensor, out: Tensor) -> None:
    torch.special.ndtr(z, out=out).mul_(z)


def swish_into(z: Tensor, out: Tensor) -> None:
    torch.sigmoid(z, out=out).mul_(z)


def softmax_into(z: Tensor, out: Tensor) -> None:
    torch.softmax(z, -2, out=out)


def tanh_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    torch.mul(a, a, out=out).neg_().add_(1)  # 1 − a²


def sigmoid_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    torch.addcmul(a, a, a, value=-1, out=out)  # a − a²


def relu_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    torch.gt(z, 0, out=out)


def leaky_relu_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    torch.gt(z, 0, out=out).mul_(1 - LEAK).add_(LEAK)


def identity_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    out.fill_(1)


def gelu_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    torch.special.ndtr(z, out=out).addcmul_(z, density)  # Φ(z) + z φ(z)


def swish_slope(z: Tensor, a: Tensor, out: Tensor) -> None:
    share = torch.sigmoid(z)
    torch.addcmul(share, a, 1 - share, out=out)  # σ(z) + a (1 − σ(z))


ACTIVATE_INTO: dict[str, Callable[..., Any]] = {  # f(z, out=a)
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": relu_into, "leaky_relu": leaky_relu_into,
    "identity": identity_into, "gelu": gelu_into, "swish": swish_into, "softmax": softmax_into,
}  # fmt: skip
SLOPE_INTO: dict[str, Callable[[Tensor, Tensor, Tensor], None]] = {  # f'(z), from z and a = f(z)
    "tanh": tanh_slope, "sigmoid": sigmoid_slope, "relu": relu_slope, "leaky_relu": leaky_relu_slope,
    "identity": identity_slope, "gelu": gelu_slope, "swish": swish_slope,
}  # fmt: skip


class Up(NamedTuple):
    """What a layer needs on the way forward."""

    matrix: Tensor  # (neurons, inputs + 1)
    net_input: Tensor  # z (neurons, B)
    function: Callable[..., Any]
    activation: Tensor  # a = f(z) (neurons, B)
    mask: Tensor | None  # (neurons, B) of dropout
    kept: Tensor  # (neurons, B) what dropout leaves of a; a itself without
    signal: Tensor  # (neurons + 1, B) the same above a row of ones: what the next layer multiplies


class Down(NamedTuple):
    """What is needed on the way back from a layer to the one below."""

    error: Tensor  # δ (neurons, B)
    signal_below: Tensor  # (B, inputs + 1), turned
    gradient: Tensor  # (neurons, inputs + 1)
    weights: Tensor  # (inputs, neurons), turned, without the bias
    error_below: Tensor  # (inputs, B)
    slope_below: Tensor  # f'(z) (inputs, B)


class Passes:
    """Forward and backward passes over batches of one size, in buffers that are made once.

    Args:
        parameters: (P,), to be read; or (K, P) of K networks, that pass through all at once.
        gradient: of the same shape, to be written.
        size: B, points per batch.
        dropout: whether neurons are left out, as the masks say that `draw_masks` draws.
    """

    def __init__(
        self, config: PlaygroundConfig, parameters: Tensor, gradient: Tensor, size: int, dropout: bool = False
    ):
        self.config, self.parameters, self.gradient, self.size, self.dropout = (
            config, parameters, gradient, size, dropout,
        )  # fmt: skip
        self.multiply = torch.mm if parameters.ndim == 1 else torch.bmm
        rows = [units + 1 for units, _ in layer_shapes(config)]
        shape = (*parameters.shape[:-1], sum(rows), size)
        net_inputs, slopes, errors = (torch.zeros(shape, dtype=parameters.dtype) for _ in range(3))
        activations = torch.ones(shape, dtype=parameters.dtype)  # the rows of ones are never written
        signals, masks = (torch.ones_like(activations), torch.ones_like(activations)) if dropout else (activations, None)
        z, a, slope, error, signal, mask = (
            [part[..., :-1, :] for part in buffer.split(rows, -2)] if buffer is not None else [None] * len(rows)
            for buffer in (net_inputs, activations, slopes, errors, signals, masks)
        )
        above = list(signals.split(rows, -2))
        weights, gradients = matrices(config, parameters), matrices(config, gradient)
        names = activation_names(config)
        functions = [ACTIVATE_INTO[name] for name in names]
        self.up = [Up(*parts) for parts in zip(weights, z, functions, a, mask, signal, above, strict=True)]
        self.down = [
            Down(error[i], above[i - 1].mT, gradients[i], weights[i][..., :-1].mT, error[i - 1], slope[i - 1])
            for i in reversed(range(1, len(rows)))
        ]
        self.first_error, self.first_gradient = error[0], gradients[0]
        self.net_output, self.output, self.error, self.output_slope = z[-1], a[-1], error[-1], slope[-1]
        self.squared = uses_squared_error(config)
        self.slopes, self.masks, self.hidden_masks = slopes, mask[:-1], None if masks is None else masks[..., : -rows[-1], :]
        self.all_masks = masks
        self.stretches = [
            (SLOPE_INTO[name], *(buffer[..., start:end, :] for buffer in (net_inputs, activations, slopes)))
            for name, start, end in stretches(names if self.squared else names[:-1], rows)
        ]
        self.decay = None if config.regularisation == "none" else penalised(config, parameters)

    def __reduce__(self):
        """Views do not survive pickling: the buffers are made anew."""
        return Passes, (self.config, self.parameters, self.gradient, self.size, self.dropout)

    def draw_masks(self, generators: Sequence[torch.Generator]) -> None:
        """Which neurons are left out of the next pass: 0 for those, 1 / (1 − dropout) for the others, in each network."""
        keep = 1 - self.config.dropout
        members = [self.hidden_masks] if self.parameters.ndim == 1 else self.hidden_masks
        for mask, generator in zip(members, generators, strict=True):
            mask.bernoulli_(keep, generator=generator).div_(keep)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss () of inputs (features + 1, B), whose last row is 1, with targets (outputs, B); (K,) of K networks."""
        signal = inputs
        for matrix, net_input, function, activation, mask, kept, above in self.up:
            self.multiply(matrix, signal, out=net_input)
            function(net_input, out=activation)
            if mask is not None:
                torch.mul(activation, mask, out=kept)
            signal = above
        torch.sub(self.output, targets, out=self.error)
        return self.losses(targets).sum((-2, -1)) / self.size

    def losses(self, targets: Tensor) -> Tensor:
        """The losses of a batch (…, B), from net inputs where the activation would overflow."""
        if self.squared:
            return self.error * self.error / 2
        if self.output.shape[-2] == 1:
            return F.softplus(torch.addcmul(self.net_output, self.net_output, targets, value=-2))  # of z (1 − 2y)
        return self.net_output.logsumexp(-2, keepdim=True) - (self.net_output * targets).sum(-2, keepdim=True)

    def backward(self, inputs: Tensor) -> None:
        """Fill `gradient`, after a forward pass; `inputs` are the turned ones (B, features + 1)."""
        for slope_into, net_input, activation, slope in self.stretches:
            slope_into(net_input, activation, slope)
        if self.dropout:
            self.slopes.mul_(self.all_masks)
        if self.squared:
            self.error.mul_(self.output_slope)  # of cross-entropy δ = a − y: the slope cancels
        self.error.div_(self.size)
        for error, signal_below, gradient, weights, error_below, slope_below in self.down:
            self.multiply(error, signal_below, out=gradient)
            self.multiply(weights, error, out=error_below)
            error_below.mul_(slope_below)
        self.multiply(self.first_error, inputs, out=self.first_gradient)
        if self.decay is not None:
            pull = self.parameters if self.config.regularisation == "l2" else self.parameters.sign()
            self.gradient.addcmul_(self.decay, pull)
