"""Points of the plane, and a network small enough that every neuron can be seen: a multilayer perceptron.

Backpropagation is written out by hand, in the textbook's letters: forward z = W a + b and a = f(z), layer by layer; back
δ = f'(z) ⊙ Wᵀδ, which gives ∂loss/∂W = δ aᵀ and ∂loss/∂b = δ. `loss_by_autograd` says the same for torch to
differentiate, and a run may do that instead (`backward="autograd"`): the same curve, an order of magnitude slower.
Sources: nndl, chapter on feed-forward networks; the data and inputs are TensorFlow Playground's (Smilkov et al. 2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from core.config import Config, Limits, SettingError, Span, check, describe
from core.data.points import EDGE, MULTI_CLASS, REGRESSION, Points, dealt, make_points
from core.neuron import LEAK, activate, derivative
from core.optimizers import OPTIMIZERS, Optimizer
from core.training import ACCURACY, EXPLODED, LOSS, Metric, Race, Record, Scores, is_due, remember

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
    train_share: float = 0.5  # of them that are learned from
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

    OWN_DATA: ClassVar = {"points": ("data", (OWN_CLASSES, OWN_VALUES))}
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
            raise SettingError("layers", self.layers, (f"0–{DEPTHS[-1]} × {describe(WIDTHS)}",))
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
    """Raise SettingError unless the config's own points can be learned from, where they are to be."""
    numbers = config.points
    used = config.data in (OWN_CLASSES, OWN_VALUES)
    if not isinstance(numbers, tuple) or len(numbers) % 3 or not 2 * used <= len(numbers) // 3 <= OWN_POINTS:
        found = len(numbers) / 3 if isinstance(numbers, tuple) else numbers
        raise SettingError("points", found, (f"2–{OWN_POINTS:,} × (x₁, x₂, y)",))
    if numbers:
        check("points", numbers[0::3] + numbers[1::3], Span(-EDGE, EDGE, 0.1))
    if used:
        classes = (*map(float, range(5)), *range(5))
        check("points", numbers[2::3], Span(-1.0, 1.0) if is_regression(config) else classes)


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
    """The activation of each layer, the output last, which may be "softmax".

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
    state: dict[str, Tensor] = {}
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
# At these sizes an operation costs what calling it costs, and a call of NumPy less than half of one of torch (its tanh is
# also ten times as fast). So the passes see the tensors' memory as NumPy's arrays, and an update is as few operations as
# possible: into buffers that stay, the bias as one more weight of an input that is always 1, and what can be done for
# several layers at once is done at once.

ZERO, HALF, ONE = np.array([0, 0.5, 1], np.float32)  # a number of Python takes twice as long


def sigmoid_into(z: ndarray, out: ndarray) -> None:
    np.multiply(z, HALF, out)
    np.tanh(out, out)
    out += ONE  # σ(z) = (1 + tanh(z/2)) / 2 never overflows
    out *= HALF


def relu_into(z: ndarray, out: ndarray) -> None:
    np.maximum(z, ZERO, out=out)


def leaky_relu_into(z: ndarray, out: ndarray) -> None:
    np.multiply(z, LEAK, out)
    np.maximum(z, out, out=out)


def identity_into(z: ndarray, out: ndarray) -> None:
    out[...] = z


def gelu_into(z: ndarray, out: ndarray) -> None:
    out[...] = activate(torch.from_numpy(z), "gelu")  # NumPy has no error function


def swish_into(z: ndarray, out: ndarray) -> None:
    sigmoid_into(z, out)
    out *= z


def softmax_into(z: ndarray, out: ndarray) -> None:
    np.subtract(z, np.logaddexp.reduce(z, -2, keepdims=True), out)
    np.exp(out, out)


def tanh_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    np.multiply(a, a, out)
    np.subtract(ONE, out, out)  # 1 − a²


def sigmoid_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    np.subtract(ONE, a, out)
    out *= a  # a (1 − a)


def relu_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    np.greater(z, 0, out)


def leaky_relu_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    np.greater(z, 0, out)
    out *= 1 - LEAK
    out += LEAK


def identity_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    out[...] = 1


def gelu_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    out[...] = derivative(torch.from_numpy(z), "gelu")


def swish_slope(z: ndarray, a: ndarray, out: ndarray) -> None:
    sigmoid_into(z, out)
    out += a * (1 - out)  # σ(z) + a (1 − σ(z))


ACTIVATE_INTO: dict[str, Callable[[ndarray, ndarray], Any]] = {  # a = f(z)
    "tanh": np.tanh, "sigmoid": sigmoid_into, "relu": relu_into, "leaky_relu": leaky_relu_into,
    "identity": identity_into, "gelu": gelu_into, "swish": swish_into, "softmax": softmax_into,
}  # fmt: skip
SLOPE_INTO: dict[str, Callable[[ndarray, ndarray, ndarray], None]] = {  # f'(z), from z and a = f(z)
    "tanh": tanh_slope, "sigmoid": sigmoid_slope, "relu": relu_slope, "leaky_relu": leaky_relu_slope,
    "identity": identity_slope, "gelu": gelu_slope, "swish": swish_slope,
}  # fmt: skip


class Up(NamedTuple):
    """What a layer needs on the way forward."""

    matrix: ndarray  # (neurons, inputs + 1)
    net_input: ndarray  # z (neurons, B)
    activate_into: Callable[[ndarray, ndarray], Any]
    activation: ndarray  # a = f(z) (neurons, B)
    mask: ndarray | None  # (neurons, B) of dropout
    kept: ndarray  # (neurons, B) what dropout leaves of a; a itself without
    signal: ndarray  # (neurons + 1, B) the same above a row of ones: what the next layer multiplies


class Down(NamedTuple):
    """What is needed on the way back from a layer to the one below."""

    error: ndarray  # δ (neurons, B)
    signal_below: ndarray  # (B, inputs + 1), turned
    gradient: ndarray  # (neurons, inputs + 1)
    weights: ndarray  # (inputs, neurons), turned, without the bias
    error_below: ndarray  # (inputs, B)
    slope_below: ndarray  # f'(z) (inputs, B)


class Stretch(NamedTuple):
    """Neighbouring layers with the same activation, whose slopes are computed at once."""

    slope_into: Callable[[ndarray, ndarray, ndarray], None]
    net_inputs: ndarray  # (rows, B)
    activations: ndarray
    slopes: ndarray


class Batch(NamedTuple):
    """Points as the passes need them."""

    inputs: ndarray  # (features + 1, B), the last row 1
    turned: ndarray  # (B, features + 1)
    targets: ndarray  # (outputs, B)


class Passes:
    """Forward and backward passes over batches of one size, in buffers that are made once.

    Args:
        parameters: (P,), to be read; or (K, P) of K networks, that pass through all at once: below, each shape and the
            loss then begin with K.
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
        self.squared = uses_squared_error(config)
        self.multiply: Callable[[ndarray, ndarray, ndarray], Any] = np.dot if parameters.ndim == 1 else np.matmul
        self.decay = None if config.regularisation == "none" else penalties(config, parameters)
        rows = [units + 1 for units, _ in layer_shapes(config)]  # of each layer, one for the 1 that meets the biases
        shape = (*parameters.shape[:-1], sum(rows), size)
        kind = parameters.numpy().dtype
        net_inputs, activations, slopes, errors = (np.ones(shape, kind) for _ in range(4))
        self.masks = np.ones_like(activations) if dropout else None  # those of the output stay 1
        signals = np.ones_like(activations) if dropout else activations
        self.all_slopes, self.hidden_rows = slopes, sum(rows[:-1])
        self._cut(rows, net_inputs, activations, signals, slopes, errors)
        self.shares = np.full_like(self.error, 1 / size)

    def _cut(
        self, rows: list[int],
        net_inputs: ndarray, activations: ndarray, signals: ndarray, slopes: ndarray, errors: ndarray,
    ) -> None:  # fmt: skip
        """Cut the buffers into layers, and put these in the order of the passes."""
        ends = np.cumsum(rows)[:-1]
        z, a, slope, error, kept = (
            [layer[..., :-1, :] for layer in np.split(buffer, ends, -2)]
            for buffer in (net_inputs, activations, slopes, errors, signals)
        )
        error[-1] = error[-1].copy()  # in one piece
        masks = [None] * len(rows) if self.masks is None else [m[..., :-1, :] for m in np.split(self.masks, ends, -2)]
        signal = np.split(signals, ends, -2)
        names = activation_names(self.config)
        sloped = names if self.squared else names[:-1]
        self.stretches = [
            Stretch(SLOPE_INTO[name], *(buffer[..., start:end, :] for buffer in (net_inputs, activations, slopes)))
            for name, start, end in stretches(sloped, rows)
        ]
        matrix, gradient = (
            [each.numpy() for each in matrices(self.config, flat)] for flat in (self.parameters, self.gradient)
        )
        self.up = [
            Up(matrix[i], z[i], ACTIVATE_INTO[name], a[i], masks[i], kept[i], signal[i]) for i, name in enumerate(names)
        ]
        self.down = [
            Down(error[i], signal[i - 1].mT, gradient[i], matrix[i][..., :-1].mT, error[i - 1], slope[i - 1])
            for i in range(len(rows) - 1, 0, -1)
        ]
        self.first_error, self.first_gradient = error[0], gradient[0]
        self.net_output, self.output, self.error, self.output_slope = z[-1], a[-1], error[-1], slope[-1]
        self.flat_error = self.error.reshape(*self.error.shape[:-2], -1)

    def __reduce__(self):
        """Views of a buffer are none after pickling: the buffers are made anew."""
        return Passes, (self.config, self.parameters, self.gradient, self.size, self.dropout)

    def draw_masks(self, generators: Sequence[torch.Generator]) -> None:
        """Who is left out of the next pass, in each network: 0 for them, 1 / (1 − dropout) for the others."""
        assert self.masks is not None
        keep = 1 - self.config.dropout
        hidden = torch.from_numpy(self.masks)[..., : self.hidden_rows, :]
        for mask, generator in zip(hidden if hidden.ndim == 3 else [hidden], generators, strict=True):
            mask.bernoulli_(keep, generator=generator).div_(keep)

    @np.errstate(all="ignore")  # that a loss overflows is told by the run
    def forward(self, batch: Batch) -> Any:
        """The mean loss of a batch, without the penalty: a number, or one for each network (K,)."""
        signal = batch.inputs
        for matrix, net_input, activate_into, activation, mask, kept, above in self.up:
            self.multiply(matrix, signal, net_input)
            activate_into(net_input, activation)
            if mask is not None:
                np.multiply(activation, mask, kept)
            signal = above
        np.subtract(self.output, batch.targets, self.error)
        if self.squared:
            return np.vecdot(self.flat_error, self.flat_error) * (0.5 / self.size)  # Σ ½(a − y)² / B
        return np.vecdot(self.cross_entropy(batch.targets), self.shares[..., 0, :])

    def cross_entropy(self, targets: ndarray) -> ndarray:
        """−log of the probability of each point's class (B,), of z and not of a = f(z), which rounds to 0 or 1."""
        z = self.net_output
        if z.shape[-2] > 1:
            return np.logaddexp.reduce(z, -2) - (z * targets).sum(-2)
        margin = z * targets
        margin += margin
        np.subtract(z, margin, margin)  # (1 − 2y) z
        return np.logaddexp(ZERO, margin[..., 0, :])

    @np.errstate(all="ignore")
    def backward(self, batch: Batch) -> None:
        """Fill `gradient`, after a forward pass of the same batch."""
        for slope_into, net_input, activation, slope in self.stretches:
            slope_into(net_input, activation, slope)
        if self.masks is not None:
            np.multiply(self.all_slopes, self.masks, self.all_slopes)
        if self.squared:
            self.error *= self.output_slope  # δ = (a − y) f'(z); of cross-entropy δ = a − y, the slope cancels
        self.error *= self.shares
        for error, signal_below, gradient, weights, error_below, slope_below in self.down:
            self.multiply(error, signal_below, gradient)  # δ aᵀ
            self.multiply(weights, error, error_below)  # Wᵀ δ
            error_below *= slope_below
        self.multiply(self.first_error, batch.turned, self.first_gradient)
        if self.decay is not None:
            pull = self.parameters if self.config.regularisation == "l2" else self.parameters.sign()
            self.gradient.addcmul_(self.decay, pull)

    def penalty(self) -> Any:
        """What the regularisation adds to the loss."""
        if self.decay is None:
            return np.zeros(self.parameters.shape[:-1])
        weights = self.parameters
        return (
            (self.decay * (weights * weights / 2 if self.config.regularisation == "l2" else weights.abs()))
            .sum(-1)
            .numpy()
        )


def stretches(names: Sequence[str], rows: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """(activation, first row, row after the last) of neighbouring layers with the same activation."""
    start = 0
    for name, layers in groupby(zip(names, rows, strict=False), key=lambda layer: layer[0]):
        end = start + sum(count for _, count in layers)
        yield name, start, end
        start = end


def penalties(config: PlaygroundConfig, like: Tensor) -> Tensor:
    """The factor of the penalty for each parameter (…, P): 0 for biases."""
    factors = torch.full_like(like, config.penalty)
    for matrix in matrices(config, factors):
        matrix[..., -1] = 0
    return factors


# ---- the same by autograd --------------------------------------------------------------------------------------------


def loss_by_autograd(
    config: PlaygroundConfig, parameters: Tensor, inputs: Tensor, targets: Tensor, masks: Sequence[Tensor] = ()
) -> Tensor:
    """The loss () that an update descends, penalty included, in torch's own words: to be differentiated by torch.

    Args:
        parameters: (P,)
        inputs: (features, B)
        targets: (outputs, B), as of `desired`.
        masks: of dropout, (neurons, B) for each hidden layer; none without.
    """
    *hidden, output = matrices(config, parameters)
    *names, output_name = activation_names(config)
    signal = inputs.T  # (B, features): torch's layers want the batch first
    for number, (matrix, name) in enumerate(zip(hidden, names, strict=True)):
        signal = activate(F.linear(signal, matrix[:, :-1], matrix[:, -1]), name)
        signal = signal * masks[number].T if masks else signal
    z = F.linear(signal, output[:, :-1], output[:, -1])  # (B, outputs)
    if uses_squared_error(config):
        loss = F.mse_loss(activate(z, output_name), targets.T, reduction="sum") / 2 / len(z)
    elif output_name == "sigmoid":
        loss = F.binary_cross_entropy_with_logits(z, targets.T)
    else:
        loss = F.cross_entropy(z, targets.T)
    weights = [matrix[:, :-1] for matrix in (*hidden, output)]
    if config.regularisation == "l1":
        loss = loss + config.penalty * torch.stack([weight.abs().sum() for weight in weights]).sum()
    if config.regularisation == "l2":
        loss = loss + config.penalty / 2 * torch.stack([weight.square().sum() for weight in weights]).sum()
    return loss


# ---- learning --------------------------------------------------------------------------------------------------------


def batch_of(config: PlaygroundConfig, inputs: Tensor, targets: Tensor) -> Batch:
    """Points (N, 2) with their targets (N,) as one batch."""
    seen = torch.cat([features(inputs, config.inputs), torch.ones(1, len(inputs))]).numpy()
    return Batch(seen, seen.T, desired(config, targets).numpy())


class Batches:
    """Batches of one size, in a new random order each epoch; what is left over at its end is left out.

    If one batch holds all points it is the same every time, and nothing is drawn.
    """

    def __init__(self, every: Batch, size: int, generator: torch.Generator):
        self.every, self.generator = every, generator
        self.size = min(size, every.inputs.shape[1]) or every.inputs.shape[1]
        self.count = every.inputs.shape[1] // self.size
        self.table = torch.from_numpy(
            np.concatenate([every.inputs, every.targets]).T.copy()
        )  # (N, features + 1 + outputs)
        self.dealt = self.table.new_zeros(self.count, self.table.shape[1], self.size)
        self.at = self.count
        self._cut()

    def _cut(self) -> None:
        rows = len(self.every.inputs)
        self.cut = [Batch(part[:rows], part[:rows].T, part[rows:]) for part in self.dealt.numpy()]

    def deal(self) -> None:
        """Begin an epoch."""
        order = torch.randperm(len(self.table), generator=self.generator)[: self.count * self.size]
        self.dealt.copy_(self.table[order].unflatten(0, (self.count, self.size)).mT)
        self.at = 0

    def next(self) -> Batch:
        if self.count == 1 and self.size == len(self.table):
            return self.every
        if self.at == self.count:
            self.deal()
        self.at += 1
        return self.cut[self.at - 1]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "cut"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._cut()


DEAD_UNITS = Metric("Dead units", unit="%", group="Dead units")
UPDATE_RATIO = Metric("Update-to-weight ratio", group="Update-to-weight ratio", log=True)


def gradient_metric(layer: int) -> Metric:
    """Length of the gradient of one layer's weights and biases, over all training points; layers count from 1."""
    return Metric(f"Gradient norm {layer}", group="Gradient norm", log=True)


class PlaygroundLearner:
    """Trains the network of a config on its points."""

    def __init__(self, config: PlaygroundConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        points = draw_data(config, generator)
        self.train = batch_of(config, points.train_inputs, points.train_targets)
        self.test = batch_of(config, points.test_inputs, points.test_targets)
        self.parameters = draw_parameters(config, generator)
        self.before, self.rate = self.parameters.clone(), -1.0  # of the last update; there is none
        self.optimizer = Optimizer(config.optimizer, [self.parameters])
        self.batches = Batches(self.train, config.batch_size, generator)
        self.passes = Passes(
            config, self.parameters, torch.zeros_like(self.parameters), self.batches.size, config.dropout > 0
        )
        self.train_passes, self.test_passes = (
            Passes(config, self.parameters, torch.zeros_like(self.parameters), part.inputs.shape[1])
            for part in (self.train, self.test)
        )
        self.probe = Probe(config, self.train_passes)
        self.metrics: tuple[Metric, ...] = (
            LOSS,
            *([] if is_regression(config) else [ACCURACY]),
            *(gradient_metric(layer) for layer in range(1, len(config.layers) + 2)),
            *([DEAD_UNITS] if config.layers else []),
            UPDATE_RATIO,
        )

    def update(self, learning_rate: float) -> float:
        """One step on the next batch; the loss is the batch's, with the penalty."""
        batch, passes = self.batches.next(), self.passes
        if passes.masks is not None:
            passes.draw_masks([self.generator])
        if self.config.backward == "autograd":
            loss = self.differentiate(batch)
        else:
            loss = passes.forward(batch)
            passes.backward(batch)
            if passes.decay is not None:
                loss = loss + passes.penalty()
        self.rate = learning_rate
        if self.config.optimizer == "sgd":
            self.parameters.sub_(passes.gradient, alpha=learning_rate)  # the optimizer would take ten times as long
        else:
            self.before.copy_(self.parameters)
            self.optimizer.step([passes.gradient], learning_rate)
        return float(loss)

    def differentiate(self, batch: Batch) -> Tensor:
        """The loss () of a batch, and its gradient where the passes would have written it, by autograd."""
        parameters = self.parameters.clone().requires_grad_()
        masks = [torch.from_numpy(layer.mask) for layer in self.passes.up[:-1] if layer.mask is not None]
        inputs, targets = torch.from_numpy(batch.inputs[:-1]), torch.from_numpy(batch.targets)
        loss = loss_by_autograd(self.config, parameters, inputs, targets, masks)
        self.passes.gradient.copy_(torch.autograd.grad(loss, parameters)[0])
        return loss.detach()

    def evaluate(self) -> Scores:
        """Loss and accuracy of either half of the points, nobody left out; of the training points the diagnostics too."""
        return {
            "train": self.scores(self.train_passes, self.train) | self.diagnostics(),
            "test": self.scores(self.test_passes, self.test),
        }

    def scores(self, passes: Passes, part: Batch) -> dict[str, float]:
        found = {LOSS.name: float(passes.forward(part))}
        if ACCURACY in self.metrics:
            found[ACCURACY.name] = float(rightly_told(passes.net_output, part.targets).mean())
        return found

    def diagnostics(self) -> dict[str, float]:
        """How learning fares inside, after a forward pass of all training points: see Probe and UPDATE_RATIO.

        The update-to-weight ratio is that of the last update's length to the weights', biases included; none before it.
        """
        self.train_passes.backward(self.train)
        change = self.rate * self.passes.gradient if self.config.optimizer == "sgd" else self.parameters - self.before
        moved, length = (torch.linalg.vector_norm(each).item() for each in (change, self.parameters))
        ratio = {UPDATE_RATIO.name: moved / length if length else 0.0} if self.rate >= 0 else {}
        norms = {gradient_metric(i).name: norm for i, norm in enumerate(self.probe.gradient_norms(), start=1)}
        dead = {DEAD_UNITS.name: self.probe.dead_share()} if self.config.layers else {}
        return norms | dead | ratio

    def state(self) -> dict[str, Tensor]:
        """{"weight_1": (neurons, inputs), "bias_1": (neurons,), …}, the output last."""
        return state_of(self.config, self.parameters)

    def intervene(self, name: str, value: Any) -> None:
        """Set one weight or bias by hand, within WEIGHT; layers, neurons and inputs count from 1.

        Args:
            name: "weight_2_1_3", what the first neuron of the second layer makes of the third of the first; "bias_2_1".

        Raises:
            ValueError: no such weight or bias, or another value.
        """
        places = weight_names(self.config)
        if name not in places:
            raise ValueError(f"the network has no {name!r} to be changed by hand")
        check(name, value, WEIGHT)
        self.parameters[places[name]] = value


@lru_cache(maxsize=64)
def weight_names(config: PlaygroundConfig) -> dict[str, int]:
    """Where each weight and bias stands among the parameters: "weight_1_1_1" at 0, "weight_1_1_2" at 1, …, "bias_1_1", …"""
    places: dict[str, int] = {}
    for number, matrix in enumerate(matrices(config, torch.arange(parameter_count(config))), start=1):
        for neuron, row in enumerate(matrix.tolist(), start=1):
            places |= {f"weight_{number}_{neuron}_{source}": place for source, place in enumerate(row[:-1], start=1)}
            places[f"bias_{number}_{neuron}"] = row[-1]
    return places


def rightly_told(net_output: ndarray, targets: ndarray) -> ndarray:
    """Which points (…, B) the net inputs (…, outputs, B) put in their class."""
    if net_output.shape[-2] == 1:
        return ((net_output > 0) == (targets > 0))[..., 0, :]
    return net_output.argmax(-2) == targets.argmax(-2)


class Probe:
    """Gradient norms and dead units, after a forward and a backward pass of all training points.

    Args:
        passes: of one network without dropout.
    """

    def __init__(self, config: PlaygroundConfig, passes: Passes):
        shapes = layer_shapes(config)
        self.passes, self.layers, self.units = passes, len(shapes), sum(config.layers)
        sizes = torch.tensor([units * (inputs + 1) for units, inputs in shapes])
        self.layer_of = torch.arange(self.layers).repeat_interleave(sizes)  # (P,)
        self.flat = np.full(passes.all_slopes.shape[-2], -1.0, passes.all_slopes.dtype)  # (rows,)
        parts = np.split(self.flat, np.cumsum([units + 1 for units, _ in shapes])[:-1])
        for part, name in zip(parts[:-1], activation_names(config), strict=False):
            part[:-1] = DEAD * STEEPEST_SLOPES.get(name, 1.0)

    def gradient_norms(self) -> list[float]:
        """Length of the gradient of each layer's weights and biases, the output last."""
        squares = self.passes.gradient.square()
        return squares.new_zeros(self.layers).index_add_(0, self.layer_of, squares).sqrt_().tolist()

    def dead_share(self) -> float:
        """Share of the hidden units that are dead."""
        steepest = np.abs(self.passes.all_slopes).max(-1)
        return int((steepest < self.flat).sum()) / self.units

    def __reduce__(self):
        return Probe, (self.passes.config, self.passes)


# ---- many seeds at once ----------------------------------------------------------------------------------------------


class Ensemble:
    """Runs that differ in their seeds alone, trained side by side: one batched matrix product instead of K small ones.

    Each draws what it would draw by itself (points, weights, batches, masks). Its numbers are those of its own run but for
    the last digits, as a batched product may add in another order.

    Raises:
        ValueError: no config, or two that differ in more than the seed.
    """

    def __init__(self, configs: Sequence[PlaygroundConfig]):
        if not configs or any(replace(each, seed=configs[0].seed) != configs[0] for each in configs):
            raise ValueError("an ensemble needs configs that differ in the seed alone")
        self.config = configs[0]
        self.generators = [torch.Generator().manual_seed(each.seed) for each in configs]
        self.learners = [each.build(generator) for each, generator in zip(configs, self.generators, strict=True)]
        self.parameters = torch.stack([learner.parameters for learner in self.learners])  # (K, P)
        self.before = self.parameters.clone()
        self.optimizer = Optimizer(self.config.optimizer, [self.parameters])
        batches = self.learners[0].batches
        self.passes = Passes(
            self.config, self.parameters, torch.zeros_like(self.parameters), batches.size, self.config.dropout > 0
        )
        every = [np.concatenate([learner.train.inputs, learner.train.targets]) for learner in self.learners]
        whole = batches.size == len(batches.table)
        self.dealt = np.stack(every)[None] if whole else np.zeros(0)  # (batches, K, rows, B)
        self.whole, self.at, self.steps = whole, 0, 0
        self.diverged = [False] * len(configs)
        self.histories: list[list[Record]] = [[] for _ in configs]
        self.evaluate()

    def update(self, learning_rate: float) -> list[float]:
        """One step of each network on its next batch; the losses, with the penalty."""
        batch, passes = self.next(), self.passes
        if passes.masks is not None:
            passes.draw_masks(self.generators)
        loss = passes.forward(batch)
        passes.backward(batch)
        if passes.decay is not None:
            loss = loss + passes.penalty()
        self.before.copy_(self.parameters)
        if self.config.optimizer == "sgd":
            self.parameters.sub_(passes.gradient, alpha=learning_rate)
        else:
            self.optimizer.step([passes.gradient], learning_rate)
        return loss.tolist()

    def next(self) -> Batch:
        """The next batch of every network, (K, rows, B)."""
        if self.at == len(self.dealt) and not self.whole:
            for learner in self.learners:
                learner.batches.deal()
            self.dealt = np.stack([learner.batches.dealt.numpy() for learner in self.learners], 1)
            self.at = 0
        part = self.dealt[0 if self.whole else self.at]
        self.at += 1
        rows = len(self.config.inputs) + 1
        return Batch(part[:, :rows], part[:, :rows].mT, part[:, rows:])

    def step(self) -> None:
        """One update of each; those whose loss has diverged are measured no more."""
        losses = self.update(self.config.learning_rate)
        self.steps += 1
        lost = [not abs(loss) < EXPLODED for loss in losses]
        if is_due(self.steps) or any(lost):
            self.evaluate()
        self.diverged = [before or now for before, now in zip(self.diverged, lost, strict=True)]

    def advance(self, steps: int) -> None:
        """Train up to so many steps in total."""
        while self.steps < steps and not all(self.diverged):
            self.step()

    def evaluate(self) -> None:
        """Measure all that have not diverged, as their own runs would."""
        self.share()
        for number, learner in enumerate(self.learners):
            if not self.diverged[number]:
                remember(self.histories[number], Record(self.steps, learner.evaluate()), learner.metrics)

    def share(self) -> None:
        """Tell the learners where their networks have come to; those that have diverged stay where they did."""
        for number, learner in enumerate(self.learners):
            if not self.diverged[number]:
                learner.parameters.copy_(self.parameters[number])
                learner.before.copy_(self.before[number])
                learner.passes.gradient.copy_(self.passes.gradient[number])
                learner.rate = self.config.learning_rate if self.steps else -1.0

    def states(self) -> list[dict[str, Tensor]]:
        """The weights of each network, as its learner has them."""
        return [state_of(self.config, parameters) for parameters in self.parameters]


class SeedRace(Race):
    """A race of runs that differ in their seeds alone, trained as an Ensemble.

    Of what its runs know, the weights and the history are brought up to date at every measure, the rest at the end of an
    `advance`.
    """

    def __init__(self, configs: Mapping[str, PlaygroundConfig]):
        super().__init__(configs)
        self.ensemble = Ensemble(list(configs.values()))
        for run, learner, history in zip(
            self.runs.values(), self.ensemble.learners, self.ensemble.histories, strict=True
        ):
            run.learner, run.history = learner, history

    def step(self, measure: bool = False) -> None:
        ensemble = self.ensemble
        going = [not lost for lost in ensemble.diverged]
        ensemble.step()
        for run, goes, lost in zip(self.runs.values(), going, ensemble.diverged, strict=True):
            if goes:
                run.steps, run.diverged = ensemble.steps, lost
        if measure and ensemble.histories[0][-1].step != ensemble.steps:
            ensemble.evaluate()

    def advance(
        self, seconds: float, limit: float = math.inf, until: Callable[[Race], bool] = lambda race: False
    ) -> None:
        super().advance(seconds, limit, until)
        self.ensemble.share()


def together(configs: Mapping[str, PlaygroundConfig]) -> Race | None:
    """A faster race of configs that differ in their seeds alone, agreeing with their own runs but for the last digits."""
    one, *others = configs.values()
    alike = others and all(replace(each, seed=one.seed) == one for each in others)
    return SeedRace(configs) if alike and one.backward == "by_hand" else None


# ---- pictures --------------------------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What the network says to the points of the plane, from the upper left to the lower right."""

    values: Tensor  # (outputs, side, side) −1…1: two classes, or the value; 0…1: the probability of each class
    winner: Tensor | None  # (side, side) the class; None where values are fitted


class HiddenSpace(NamedTuple):
    """The plane as a layer sees it: each place by the activations of the layer's neurons."""

    grid: Tensor  # (side, side, neurons) of evenly spread places, the edges of the square included
    train: Tensor  # (N, neurons)
    test: Tensor  # (M, neurons)


class Diagnosis(NamedTuple):
    """How learning fares inside, on the training points."""

    gradient_norms: list[float]  # of each layer's weights and biases, the output last
    slopes: list[float]  # mean |f'| of each hidden layer
    dead: float  # share of the hidden units that no training point can teach
    train_loss: float  # with no penalty
    test_loss: float


@lru_cache(maxsize=64)
def grid_features(inputs: tuple[str, ...], side: int) -> Tensor:
    """What the first layer sees (features, side²) of the square, cut into cells and read in their middles."""
    places = EDGE * ((2 * torch.arange(side) + 1) / side - 1)
    x2, x1 = torch.meshgrid(places.flip(0), places, indexing="ij")  # x₂ grows upwards
    return features(torch.stack([x1.flatten(), x2.flatten()], 1), inputs)


@torch.no_grad()
@np.errstate(all="ignore")
def layer_outputs(config: PlaygroundConfig, state: dict[str, Tensor], seen: Tensor) -> list[Tensor]:
    """The activations (neurons, N) of each layer, the output last, for inputs (features, N)."""
    widths = [units for units, _ in layer_shapes(config)]
    outputs = seen.new_empty(sum(widths), seen.shape[1]).split(widths)  # at once: large pieces of memory cost time
    signal = seen
    for number, (name, output) in enumerate(zip(activation_names(config), outputs, strict=True), start=1):
        z = torch.addmm(state[f"bias_{number}"][:, None], state[f"weight_{number}"], signal)
        ACTIVATE_INTO[name](z.numpy(), output.numpy())
        signal = output
    return list(outputs)


def input_maps(config: PlaygroundConfig, side: int) -> Tensor:
    """Each input of the first layer over the square, (features, side, side)."""
    return grid_features(config.inputs, side).unflatten(1, (side, side))


def neuron_maps(config: PlaygroundConfig, state: dict[str, Tensor], side: int) -> list[Tensor]:
    """The activation of every neuron over the square, (neurons, side, side) of each layer, the output last."""
    seen = grid_features(config.inputs, side)
    return [output.unflatten(1, (side, side)) for output in layer_outputs(config, state, seen)]


def answer_map(config: PlaygroundConfig, state: dict[str, Tensor], side: int) -> Answer:
    """What the network says over the square."""
    output = neuron_maps(config, state, side)[-1]
    if is_regression(config):
        return Answer(output, None)
    if len(output) > 1:
        return Answer((output + 1) / 2 if uses_squared_error(config) else output, output.argmax(0))
    signed = output if uses_squared_error(config) else 2 * output - 1
    return Answer(signed, (signed[0] > 0).long())


def hidden_space(config: PlaygroundConfig, state: dict[str, Tensor], side: int, layer: int) -> HiddenSpace:
    """Where a layer puts the places of the square and the points; layers count from 1, 0 is the input.

    Raises:
        ValueError: there is no such layer.
    """
    if layer not in range(len(config.layers) + 2):
        raise ValueError(f"layer must be 0–{len(config.layers) + 1}, got {layer}")
    places = torch.linspace(-EDGE, EDGE, side)
    x2, x1 = torch.meshgrid(places.flip(0), places, indexing="ij")
    points = points_of(config)
    parts = (torch.stack([x1.flatten(), x2.flatten()], 1), points.train_inputs, points.test_inputs)
    grid, train, test = (features(part, config.inputs) for part in parts)
    if layer:
        grid, train, test = (layer_outputs(config, state, part)[layer - 1] for part in (grid, train, test))
    return HiddenSpace(grid.T.unflatten(0, (side, side)), train.T, test.T)


def predictions(config: PlaygroundConfig, state: dict[str, Tensor], points: Tensor) -> Tensor:
    """The class (N,) that the network gives to points (N, 2), or the value."""
    output = layer_outputs(config, state, features(points, config.inputs))[-1]
    if is_regression(config):
        return output[0]
    if len(output) > 1:
        return output.argmax(0)
    return (output[0] > (0 if uses_squared_error(config) else 0.5)).long()


def confusion(config: PlaygroundConfig, state: dict[str, Tensor], part: str = "test") -> Tensor:
    """How many points of each class (row) are told to be of each class (column), (classes, classes).

    Args:
        part: "train" or "test".

    Raises:
        ValueError: values are fitted, there are no classes.
    """
    classes, points = class_count(config), points_of(config)
    if not classes:
        raise ValueError("without classes there is no confusion of them")
    inputs, targets = points[:2] if part == "train" else points[2:]
    told = predictions(config, state, inputs)
    return (targets * classes + told).bincount(minlength=classes**2).reshape(classes, classes)


def diagnose(config: PlaygroundConfig, state: dict[str, Tensor]) -> Diagnosis:
    """How learning fares at the weights of a snapshot."""
    parameters = flattened(config, state)
    points = points_of(config)
    test, train = batch_of(config, *points[2:]), batch_of(config, *points[:2])
    losses = []
    for part in (test, train):  # the passes of the training points come last and stay
        passes = Passes(config, parameters, torch.zeros_like(parameters), part.inputs.shape[1])
        losses.append(float(passes.forward(part)))
    passes.backward(train)
    probe = Probe(config, passes)
    slopes = [float(np.abs(down.slope_below).mean()) for down in reversed(passes.down)]
    dead = probe.dead_share() if config.layers else 0.0
    return Diagnosis(probe.gradient_norms(), slopes, dead, losses[1], losses[0])


def flattened(config: PlaygroundConfig, state: dict[str, Tensor]) -> Tensor:
    """All parameters (P,) of a snapshot, in one."""
    layers = range(1, len(config.layers) + 2)
    parts = [torch.cat([state[f"weight_{i}"], state[f"bias_{i}"][:, None]], 1) for i in layers]
    return torch.cat([part.flatten() for part in parts])


# ---- presets ---------------------------------------------------------------------------------------------------------

SPIRAL = PlaygroundConfig(
    data="spiral", inputs=("x1", "x2", "sin_x1", "sin_x2"), layers=(8, 8), optimizer="adam", learning_rate=0.01
)
FEW_POINTS = PlaygroundConfig(
    noise=0.4, count=200, train_share=0.1, layers=(8, 8), batch_size=0, optimizer="adam", learning_rate=0.02
)
DEEP = (8, 8, 8, 8, 8, 8)

PRESETS: dict[str, PlaygroundConfig] = {
    "circle": PlaygroundConfig(),
    "xor": PlaygroundConfig(data="xor", layers=(8,)),
    "line": PlaygroundConfig(data="gaussians", noise=0.1, layers=()),  # no hidden layer is needed
    "squares": PlaygroundConfig(inputs=("x1_squared", "x2_squared"), layers=()),  # nor with the right inputs
    "moons": PlaygroundConfig(data="moons", noise=0.1, layers=(8,), learning_rate=0.1),
    "spiral": SPIRAL,
    "five_blobs": PlaygroundConfig(data="blobs", classes=5, noise=0.1, layers=(8,)),
    "three_spirals": replace(SPIRAL, data="spirals"),
    "bumps": PlaygroundConfig(data="multi_gaussian", layers=(8, 8), optimizer="adam", learning_rate=0.01),
    "deep": PlaygroundConfig(layers=DEEP, activation="relu", initialisation="he"),
    # and some that go wrong
    "too_fast": PlaygroundConfig(learning_rate=10.0),  # updates of a twentieth of the weights leap over every valley
    "diverging": PlaygroundConfig(
        data="plane", layers=(), batch_size=0, learning_rate=0.2
    ),  # past 2 over the curvature
    "deep_sigmoid": PlaygroundConfig(layers=DEEP, activation="sigmoid"),  # ever less gradient arrives below
    "dead_relus": PlaygroundConfig(layers=(8, 8), activation="relu", learning_rate=3.0),  # a layer dies as a whole
    "overfitting": FEW_POINTS,  # twenty points, learned by heart
    "zeros": PlaygroundConfig(initialisation="zeros"),  # all gradients but the output bias's are 0
}
