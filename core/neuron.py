"""One neuron: its net input z = wᵀx + b, its activation a = f(z), and how it learns to tell two classes apart.

Sources: nndl, chapter on feed-forward networks, section on the neuron, and chapter on linear models, section on the
perceptron; Hendrycks & Gimpel 2016 (GELU); Ramachandran et al. 2017 (swish).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import Config, Limits, Span, check
from core.data.points import GATES, Points, make_points
from core.optimizers import OPTIMIZERS, Optimizer
from core.training import ACCURACY, LOSS, Metric, Scores

ACTIVATIONS = ("identity", "step", "sigmoid", "tanh", "relu", "leaky_relu", "gelu", "swish")
LEAK = 0.01  # slope of the leaky ReLU below zero
SIGNED = ("identity", "tanh")  # the classes are −1 and 1 for these, 0 and 1 for all others
STEEPEST = {"step": 0.0, "sigmoid": 0.25, "gelu": 1.1289, "swish": 1.0998}  # largest |f'|; 1 for the others
SATURATED = 0.05  # a point saturates the neuron where |f'| is below this share of its largest value

DATA = (*GATES, "separable", "overlapping")
COUNT = 200  # points, half of them held out
WEIGHT = Span(-5.0, 5.0, 0.1)


# ---- activation functions --------------------------------------------------------------------------------------------


def activate(z: Tensor, name: str) -> Tensor:
    """The activation f(z) of every net input (…).

    Raises:
        ValueError: `name` is none of ACTIVATIONS.
    """
    if name == "identity":
        return z
    if name == "step":
        return (z >= 0).to(z.dtype)
    if name == "sigmoid":
        return torch.sigmoid(z)
    if name == "tanh":
        return torch.tanh(z)
    if name == "relu":
        return z.clamp(min=0)
    if name == "leaky_relu":
        return torch.where(z > 0, z, LEAK * z)
    if name == "gelu":
        return z * normal_share(z)
    if name == "swish":
        return z * torch.sigmoid(z)
    raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")


def derivative(z: Tensor, name: str) -> Tensor:
    """The slope f'(z) of the activation at every net input (…), by hand.

    Three have a kink or a jump at 0 and no slope there; torch's choice, 0 for ReLU and the leak for leaky ReLU, is ours
    too. The step's slope is 0 everywhere else, and is taken as 0 at its jump.

    Raises:
        ValueError: `name` is none of ACTIVATIONS.
    """
    if name == "identity":
        return torch.ones_like(z)
    if name == "step":
        return torch.zeros_like(z)
    if name == "sigmoid":
        return torch.sigmoid(z) * torch.sigmoid(-z)  # σ(−z) = 1 − σ(z), and stays exact where σ(z) rounds to 1
    if name == "tanh":
        return 1 - torch.tanh(z) ** 2
    if name == "relu":
        return (z > 0).to(z.dtype)
    if name == "leaky_relu":
        return torch.where(z > 0, torch.ones_like(z), LEAK)
    if name == "gelu":
        return normal_share(z) + z * torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    if name == "swish":
        return torch.sigmoid(z) + z * torch.sigmoid(z) * torch.sigmoid(-z)
    raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")


def normal_share(z: Tensor) -> Tensor:
    """Φ(z): which share of a standard normal distribution lies below z."""
    return (1 + torch.erf(z / math.sqrt(2))) / 2


@lru_cache
def threshold(activation: str) -> float:
    """The net input from which on a point counts as class 1: where the activation is half-way between the targets."""
    if activation in (*SIGNED, "step", "sigmoid"):
        return 0.0
    low, high = 0.0, 1.0  # f(0) = 0 and f(1) > ½ for all the others, which grow in between
    for _ in range(60):
        middle = (low + high) / 2
        below = activate(torch.tensor(middle, dtype=torch.float64), activation) < 0.5
        low, high = (middle, high) if below else (low, middle)
    return high


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class NeuronConfig(Config):
    """One neuron whose weights start where the sliders stand, and the points that it learns from."""

    inputs: int = 2  # 1: x₁; 2: x₁ and x₂; 3: their product x₁x₂ too
    weight_1: float = 1.0  # at the start
    weight_2: float = -1.0
    weight_3: float = 0.0
    bias: float = 0.0  # at the start
    activation: str = "sigmoid"
    data: str = "and_gate"
    noise: float = 0.1  # 0–0.5, as of `make_points`
    loss: str = "cross_entropy"  # or "squared", for a sigmoid; all others fit the squared error
    rule: str = "gradient"  # or "perceptron", for a step; all others follow the gradient
    optimizer: str = "sgd"
    batch_size: int = 100  # points per update; 100 are all
    learning_rate: float = 0.5

    LIMITS: ClassVar[dict[str, Limits]] = {
        "inputs": range(1, 4),
        "weight_1": WEIGHT,
        "weight_2": WEIGHT,
        "weight_3": WEIGHT,
        "bias": WEIGHT,
        "activation": ACTIVATIONS,
        "data": DATA,
        "noise": Span(0.0, 0.5, 0.05),
        "loss": ("cross_entropy", "squared"),
        "rule": ("gradient", "perceptron"),
        "optimizer": OPTIMIZERS,
        "batch_size": range(1, COUNT // 2 + 1),
        "learning_rate": Span(0.0, 20.0, 0.001),
    }

    def build(self, generator: torch.Generator) -> NeuronLearner:
        return NeuronLearner(self, generator)


def initial_state(config: NeuronConfig) -> dict[str, Tensor]:
    """The weights (inputs,) and the bias () before training."""
    weights = (config.weight_1, config.weight_2, config.weight_3)[: config.inputs]
    return {"weight": torch.tensor(weights, dtype=torch.float32), "bias": torch.tensor(float(config.bias))}


@lru_cache(maxsize=64)
def points_of(config: NeuronConfig) -> Points:
    """The points of a config's run; to be read and never written."""
    return make_points(config.data, torch.Generator().manual_seed(config.seed), COUNT, config.noise)


def features(points: Tensor, inputs: int) -> Tensor:
    """What the neuron sees (N, inputs) of points (N, 2): x₁, x₂ and x₁x₂, or the first of them.

    With the product the neuron is still linear in its inputs, and its decision line bends in the plane.
    """
    return torch.cat([points, points.prod(1, keepdim=True)], 1)[:, :inputs]


def uses_cross_entropy(config: NeuronConfig) -> bool:
    return config.activation == "sigmoid" and config.loss == "cross_entropy"


# ---- forward ---------------------------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """The forward pass of every point, stage by stage."""

    inputs: Tensor  # (N, inputs)
    products: Tensor  # (N, inputs) weight · input
    net_input: Tensor  # (N,) their sum and the bias
    activation: Tensor  # (N,)
    slope: Tensor  # (N,) f'(z)


def trace(config: NeuronConfig, state: dict[str, Tensor], inputs: Tensor) -> Trace:
    """The neuron with the weights `state` at inputs (N, inputs)."""
    products = inputs * state["weight"]
    z = products.sum(1) + state["bias"]
    return Trace(inputs, products, z, activate(z, config.activation), derivative(z, config.activation))


def decision_line(config: NeuronConfig, state: dict[str, Tensor], low: float, high: float) -> list[Tensor]:
    """Where the neuron's answer turns, within the square low…high: lines (K, 2) through the plane, from left to right.

    Straight for one and two inputs; for three the two branches of a hyperbola, which may also be a cross; none where it
    passes the square by.
    """
    w1, w2, w3 = (*state["weight"].tolist(), 0.0, 0.0)[:3]
    c = state["bias"].item() - threshold(config.activation)
    if w3 and math.isclose(w1 * w2, c * w3, abs_tol=1e-12):  # (x₁ + w₂/w₃)(x₂ + w₁/w₃) = 0
        x, y = -w2 / w3, -w1 / w3
        cross = torch.tensor([[[x, low], [x, high]], [[low, y], [high, y]]], dtype=torch.float64)
        return [line for line, place in zip(cross, (x, y), strict=True) if low <= place <= high]
    grid = torch.linspace(low, high, 121 if w3 else 2, dtype=torch.float64)
    at_x = torch.stack([grid, -(c + w1 * grid) / (w2 + w3 * grid)], 1)  # solved for x₂ where x₁ is given
    at_y = torch.stack([-(c + w2 * grid) / (w1 + w3 * grid), grid], 1)  # and for x₁
    points = torch.cat([at_x, at_y])
    points = points[((points >= low) & (points <= high)).all(1)]  # without the infinite ones, too
    points = points[points[:, 1].argsort(stable=True)]
    points = points[points[:, 0].argsort(stable=True)]
    left = points[:, 0] < -w2 / w3 if w3 else torch.zeros(len(points), dtype=torch.bool)
    return [branch for branch in (points[left], points[~left]) if len(branch) > 1]


# ---- learning --------------------------------------------------------------------------------------------------------


class Gradients(NamedTuple):
    """The loss of some points, and how it changes."""

    loss: float  # mean over the points
    error_term: Tensor  # (N,) δ = ∂loss/∂z of each point by itself
    weight: Tensor  # (inputs,) mean of δx
    bias: Tensor  # () mean of δ


def losses(config: NeuronConfig, seen: Trace, classes: Tensor) -> Tensor:
    """The loss (N,) of each point: ½(a − y)², or the cross-entropy, from z so that it never overflows."""
    if uses_cross_entropy(config):
        return F.softplus(seen.net_input) - classes * seen.net_input
    return (seen.activation - targets_of(config, classes)) ** 2 / 2


def targets_of(config: NeuronConfig, classes: Tensor) -> Tensor:
    """What the activation should be (N,) for classes (N,): 0 or 1, for identity and tanh −1 or 1."""
    return 2.0 * classes - 1 if config.activation in SIGNED else classes.float()


def gradients(config: NeuronConfig, state: dict[str, Tensor], inputs: Tensor, classes: Tensor) -> Gradients:
    """The chain rule by hand, for inputs (N, inputs) of classes (N,).

    The error term is (a − y) f'(z) for the squared error and a − y for cross-entropy: there a saturated sigmoid's small
    slope cancels. The perceptron rule leaves f'(z) out: it moves by what a step got wrong, though no gradient does.
    """
    seen = trace(config, state, inputs)
    error_term = seen.activation - targets_of(config, classes)
    perceptron = config.activation == "step" and config.rule == "perceptron"
    if not (perceptron or uses_cross_entropy(config)):
        error_term = error_term * seen.slope
    loss = losses(config, seen, classes).mean().item()
    return Gradients(loss, error_term, error_term @ inputs / len(inputs), error_term.mean())


class NeuronLearner:
    """One neuron that learns two classes of points."""

    metrics: tuple[Metric, ...] = (LOSS, ACCURACY)

    def __init__(self, config: NeuronConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.points = make_points(config.data, generator, COUNT, config.noise)
        self.parameters = initial_state(config)
        self.optimizer = Optimizer(config.optimizer, list(self.parameters.values()))

    def update(self, learning_rate: float) -> float:
        """One step on a batch, drawn with replacement unless it is all points."""
        points, classes = self.points.train_inputs, self.points.train_targets
        if self.config.batch_size < len(points):
            chosen = torch.randint(len(points), (self.config.batch_size,), generator=self.generator)
            points, classes = points[chosen], classes[chosen]
        found = gradients(self.config, self.parameters, features(points, self.config.inputs), classes)
        self.optimizer.step([found.weight, found.bias], learning_rate)
        return found.loss

    def evaluate(self) -> Scores:
        """Loss and share of points on their side of the decision line, of either half of the points."""
        points = self.points
        return {
            "train": self.scores(points.train_inputs, points.train_targets),
            "test": self.scores(points.test_inputs, points.test_targets),
        }

    def scores(self, points: Tensor, classes: Tensor) -> dict[str, float]:
        seen = trace(self.config, self.parameters, features(points, self.config.inputs))
        right = (seen.net_input >= threshold(self.config.activation)) == classes.bool()
        loss = losses(self.config, seen, classes).mean().item()
        return {LOSS.name: loss, ACCURACY.name: right.float().mean().item()}

    def state(self) -> dict[str, Tensor]:
        """{"weight": (inputs,), "bias": ()}"""
        return self.parameters

    def intervene(self, name: str, value: Any) -> None:
        """Set "weight_1", … or "bias" by hand, within WEIGHT.

        Raises:
            ValueError: another name, or another value.
        """
        weights = {f"weight_{number + 1}": weight for number, weight in enumerate(self.parameters["weight"])}
        places = weights | {"bias": self.parameters["bias"]}
        if name not in places:
            raise ValueError(f"only {', '.join(places)} can be changed by hand, got {name!r}")
        check(name, value, WEIGHT)
        places[name].fill_(value)


# ---- what can go wrong -----------------------------------------------------------------------------------------------


class Saturation(NamedTuple):
    """How much of the training points' gradient the activation lets through."""

    saturated: float  # share of the points with |f'| below SATURATED of its largest value; 1 for a step
    dead: float  # share of the points with f' = 0 exactly; a ReLU that has 1 is dead
    slope: float  # mean |f'|
    gradient: float  # length of the gradient of weights and bias


def saturation(config: NeuronConfig, state: dict[str, Tensor]) -> Saturation:
    """Measured on the training points of the config with the weights `state`."""
    points = points_of(config)
    inputs = features(points.train_inputs, config.inputs)
    slope = trace(config, state, inputs).slope.abs()
    flat = slope < SATURATED * STEEPEST.get(config.activation, 1.0)
    found = gradients(config, state, inputs, points.train_targets)
    return Saturation(
        saturated=1.0 if config.activation == "step" else flat.float().mean().item(),
        dead=(slope == 0).float().mean().item(),
        slope=slope.mean().item(),
        gradient=torch.cat([found.weight, found.bias[None]]).norm().item(),
    )


class Twins(NamedTuple):
    """Two hidden neurons while their network learns."""

    weights: Tensor  # (steps + 1, 2, 3) of each hidden neuron: two weights and the bias
    difference: Tensor  # (steps + 1,) the largest difference between the two neurons' weights
    loss: Tensor  # (steps + 1,) mean cross-entropy
    accuracy: float  # at the end, on the points that it learned from


@lru_cache(maxsize=16)
def train_twins(
    spread: float, data: str = "and_gate", seed: int = 0, steps: int = 500, learning_rate: float = 5.0
) -> Twins:
    """Train a 2-2-1 network of sigmoids whose weights start at N(0, spread²), all points at each step.

    From zero both hidden neurons get the same gradient at every step and stay one neuron, however long they train.
    """
    generator = torch.Generator().manual_seed(seed)
    points = make_points(data, generator, COUNT, 0.1)
    x, y = points.train_inputs.double(), points.train_targets.double()
    hidden, output = (spread * torch.randn(shape, generator=generator).double() for shape in ((2, 3), (3,)))
    parameters = [hidden.requires_grad_(), output.requires_grad_()]  # the last column of each is the bias
    weights, loss_curve = [], []
    for _ in range(steps + 1):
        h = torch.sigmoid(x @ hidden[:, :2].T + hidden[:, 2])  # (N, 2)
        z = h @ output[:2] + output[2]
        loss = F.binary_cross_entropy_with_logits(z, y)
        weights.append(hidden.detach().clone())
        loss_curve.append(loss.detach())
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter -= learning_rate * gradient
    history = torch.stack(weights)
    accuracy = ((z >= 0) == y.bool()).double().mean().item()
    return Twins(history, (history[:, 0] - history[:, 1]).abs().amax(1), torch.stack(loss_curve), accuracy)


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, NeuronConfig] = {
    "and": NeuronConfig(),
    "or": NeuronConfig(data="or_gate"),
    "separable": NeuronConfig(data="separable", activation="tanh"),
    "overlapping": NeuronConfig(data="overlapping"),
    "product": NeuronConfig(data="xor_gate", inputs=3, learning_rate=5.0),  # with x₁x₂ a neuron can
    "perceptron": NeuronConfig(activation="step", rule="perceptron"),
    "zero_init": NeuronConfig(weight_1=0.0, weight_2=0.0),  # one neuron has no twin to be the same as
    "rescued": NeuronConfig(data="separable", weight_1=-5.0, weight_2=-5.0),  # "saturated" with cross-entropy
    # These break, each for one reason:
    "saturated": NeuronConfig(data="separable", weight_1=-5.0, weight_2=-5.0, loss="squared"),
    "dead_relu": NeuronConfig(activation="relu", weight_1=-1.0, weight_2=-1.0, bias=-1.0),
    "step": NeuronConfig(activation="step"),  # its slope is 0, and so is the gradient, exactly
    "xor": NeuronConfig(data="xor_gate"),  # no line has both corners of each class on its side
    "perceptron_xor": NeuronConfig(data="xor_gate", activation="step", rule="perceptron"),
    "diverging": NeuronConfig(data="separable", activation="identity"),  # past 2/λ_max of its quadratic loss
}
