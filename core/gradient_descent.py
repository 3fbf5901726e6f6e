"""Gradient descent on surfaces that one can see: two numbers to choose, and the height is the loss.

All surfaces lie over the same square −5…5. Sources: Rosenbrock 1960; Himmelblau 1972; for the limits of the learning
rate on a quadratic bowl Goh 2017, "Why momentum really works" (Distill), and the roots of each method's recursion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from core.config import Config, Limits, Span
from core.data.digits import load
from core.optimizers import MOMENTUM, Optimizer
from core.training import LOSS, Metric, Scores

SURFACES = ("bowl", "rosenbrock", "saddle", "himmelblau", "digits")
METHODS = ("sgd", "momentum", "nesterov", "rmsprop", "adam")
DISTANCE = Metric("Distance")  # to the nearest minimum

EDGE = 5.0  # half a side of the square
STRETCH = 2.5  # Rosenbrock's function is drawn so much larger: its minimum (1, 1) lies at (2.5, 2.5)
WELL = 3.0  # the saddle's two minima lie at (0, ±3)
HIMMELBLAU = ((3.0, 2.0), (-2.805118, 3.131313), (-3.779310, -3.283186), (3.584428, -1.848127))
DIGIT_PAIR = (1, 6)  # the classes that the neuron of the real surface tells apart …
PIXEL_PAIR = (34, 42)  # … and the two neighbouring pixels that it reads: row 4 and row 5 of column 2
ROWS = 257  # of a path: up to 256 positions, and the newest


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GradientDescentConfig(Config):
    """A surface, where the descent starts, and how it goes down."""

    surface: str = "bowl"
    condition: int = 20  # of the bowl: how many times steeper across than along its valley, λ_max / λ_min
    angle: int = 30  # of the bowl's valley with the first axis, in degrees
    start_x: float = -4.0
    start_y: float = 3.0
    method: str = "sgd"
    momentum: float = MOMENTUM  # of "momentum" and "nesterov"
    noise: float = 0.0  # standard deviation of what is added to each component of the gradient
    batch_size: int = 0  # of the real surface: digits per update; 0 are all
    learning_rate: float = 0.05

    LIMITS: ClassVar[dict[str, Limits]] = {
        "surface": SURFACES,
        "condition": range(1, 101),
        "angle": range(0, 181, 5),
        "start_x": Span(-EDGE, EDGE, 0.1),
        "start_y": Span(-EDGE, EDGE, 0.1),
        "method": METHODS,
        "momentum": Span(0.0, 0.99, 0.01),
        "noise": Span(0.0, 10.0, 0.1),
        "batch_size": range(129),
        "learning_rate": Span(0.0, 50.0, 0.001),
    }

    def build(self, generator: torch.Generator) -> DescentLearner:
        return DescentLearner(self, generator)


# ---- surfaces --------------------------------------------------------------------------------------------------------


def height(config: GradientDescentConfig, points: Tensor) -> Tensor:
    """The loss (…) at points (…, 2); nowhere below 0, and 0 at the minima of all surfaces but the real one."""
    x, y = points[..., 0], points[..., 1]
    if config.surface == "bowl":
        along, across = turned(points, config.angle).unbind(-1)
        return (along**2 + config.condition * across**2) / 2
    if config.surface == "rosenbrock":
        u, v = x / STRETCH, y / STRETCH
        return (1 - u) ** 2 + 100 * (v - u**2) ** 2
    if config.surface == "saddle":  # near 0 it is x²/2 − y²/2, further out two wells stop the fall
        return x**2 / 2 + (y**2 - WELL**2) ** 2 / (4 * WELL**2)
    if config.surface == "himmelblau":
        return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
    neuron = trained_neuron()
    return neuron_loss(points, neuron, neuron.train_inputs, neuron.train_classes)


def turned(points: Tensor, angle: float) -> Tensor:
    """The coordinates (…, 2) of points along and across a line at this angle to the first axis, in degrees."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return points @ torch.tensor([[cosine, -sine], [sine, cosine]], dtype=points.dtype)


class Neuron(NamedTuple):
    """A sigmoid neuron that tells two digits apart by two neighbouring pixels, trained to the minimum of its loss."""

    train_inputs: Tensor  # (N, 2) brightness of the pixels in 0…1
    train_classes: Tensor  # (N,) 0 or 1
    test_inputs: Tensor
    test_classes: Tensor
    weights: Tensor  # (2,)
    bias: float  # stays as trained while the weights are varied


@lru_cache
def trained_neuron() -> Neuron:
    """The neuron of the real surface. Neighbouring pixels are bright together: its loss has a valley."""
    digits = load()
    parts: list[Tensor] = []
    for images, labels in (digits[:2], digits[2:]):
        chosen = (labels == DIGIT_PAIR[0]) | (labels == DIGIT_PAIR[1])
        parts += [images[chosen].flatten(1)[:, PIXEL_PAIR].double(), (labels[chosen] == DIGIT_PAIR[1]).double()]
    ones = torch.cat([parts[0], torch.ones(len(parts[0]), 1, dtype=torch.float64)], 1)
    found = torch.zeros(3, dtype=torch.float64)  # two weights and the bias
    for _ in range(20):  # Newton's method: the loss is convex, and 20 steps reach the last digit
        output = torch.sigmoid(ones @ found)
        curvature = (ones * (output * (1 - output))[:, None]).T @ ones
        found = found - torch.linalg.solve(curvature, ones.T @ (output - parts[1]))
    return Neuron(parts[0], parts[1], parts[2], parts[3], found[:2], found[2].item())


def neuron_loss(weights: Tensor, neuron: Neuron, inputs: Tensor, classes: Tensor) -> Tensor:
    """Mean cross-entropy (…) over inputs (N, 2) of classes (N,), for weights (…, 2)."""
    z = weights @ inputs.T + neuron.bias  # (…, N)
    return (F.softplus(z) - classes * z).mean(-1)


def minima(config: GradientDescentConfig) -> Tensor:
    """The lowest points (M, 2) of the surface."""
    if config.surface == "digits":
        return trained_neuron().weights[None]
    places = {
        "bowl": ((0.0, 0.0),),
        "rosenbrock": ((STRETCH, STRETCH),),
        "saddle": ((0.0, WELL), (0.0, -WELL)),
        "himmelblau": HIMMELBLAU,
    }
    return torch.tensor(places[config.surface], dtype=torch.float64)


def surface_grid(config: GradientDescentConfig, resolution: int) -> Tensor:
    """The heights over the square (resolution, resolution): the first row at y = −5, the first column at x = −5."""
    ticks = torch.linspace(-EDGE, EDGE, resolution, dtype=torch.float64)
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    return height(config, torch.stack([x, y], -1))


def bands(heights: Tensor, count: int = 12) -> Tensor:
    """Heights (H, W) as steps of 0…1, whose edges are contour lines: close together near the lowest point."""
    level = levels(heights)
    return (level / level.max().clamp(min=1e-9) * count).floor().clamp(max=count - 1) / (count - 1)


def levels(heights: Tensor) -> Tensor:
    """Logarithmic heights (H, W) above the lowest point: otherwise steep walls would hide every valley."""
    above = heights - heights.min()
    return torch.log1p(above / torch.quantile(above, 0.05).clamp(min=1e-9))


def shade(heights: Tensor, relief: float = 4.0) -> Tensor:
    """How bright each place of a landscape (H, W) is in 0…1, lit from the left and from above: flat ground is 0.5."""
    up, right = torch.gradient(levels(heights))
    return torch.sigmoid(relief * (right - up))


# ---- slopes and limits -----------------------------------------------------------------------------------------------


def slope(config: GradientDescentConfig, position: Tensor) -> Tensor:
    """The exact gradient (2,) at a position (2,)."""
    with torch.enable_grad():
        leaf = position.detach().clone().requires_grad_()
        return torch.autograd.grad(height(config, leaf), leaf)[0]


def curvatures(config: GradientDescentConfig, position: Tensor) -> Tensor:
    """The eigenvalues (2,) of the matrix of second derivatives at a position (2,), the smaller first."""
    with torch.enable_grad():
        second = torch.autograd.functional.hessian(partial(height, config), position.detach())
    return torch.linalg.eigvalsh(second)


def rate_limit(method: str, curvature: float, momentum: float = MOMENTUM) -> float | None:
    """The learning rate past which a method diverges on a quadratic bowl of largest curvature λ > 0.

    Gradient descent 2/λ, momentum 2(1 + β)/λ, Nesterov 2(1 + β)/((1 + 2β)λ), as torch defines them; None for the
    others, whose step does not grow with the gradient: they tremble instead.
    """
    if method == "sgd":
        return 2 / curvature
    if method == "momentum":
        return 2 * (1 + momentum) / curvature
    if method == "nesterov":
        return 2 * (1 + momentum) / ((1 + 2 * momentum) * curvature)
    return None


def limits_on_the_bowl(config: GradientDescentConfig) -> dict[str, float | None]:
    """Method → its `rate_limit` on the bowl of this config, whose largest curvature is its condition number."""
    return {method: rate_limit(method, float(config.condition), config.momentum) for method in METHODS}


# ---- descending ------------------------------------------------------------------------------------------------------


def path_stride(step: int) -> int:
    """How many updates lie between two rows of the path after `step` updates: 1, and twice as many whenever it is full."""
    stride = 1
    while step // stride >= ROWS - 1:
        stride *= 2
    return stride


def path_steps(step: int) -> list[int]:
    """The step of each row of the path after `step` updates; the last ones are the newest."""
    kept = list(range(0, step + 1, path_stride(step)))
    return kept + [step] * (ROWS - len(kept))


class DescentLearner:
    """A point that goes down a surface.

    What the pictures need of the past is part of the state: a path of fixed length, whose rows are the positions after
    the steps `path_steps`. Its end repeats the newest position, so that it can be drawn as it is.
    """

    metrics: tuple[Metric, ...] = (LOSS, DISTANCE)
    memories = ("path",)  # of its state, beside the position

    def __init__(self, config: GradientDescentConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.position = torch.tensor([config.start_x, config.start_y], dtype=torch.float64)
        self.optimizer = Optimizer(config.method, [self.position], momentum=config.momentum)
        self.path = self.position.repeat(ROWS, 1)
        self.steps = 0

    def update(self, learning_rate: float) -> float:
        """One step down the gradient, which is noisy or of a batch if the config says so."""
        leaf = self.position.clone().requires_grad_()
        loss = self.batch_loss(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
        if self.config.noise:
            gradient = gradient + self.config.noise * torch.randn(2, generator=self.generator, dtype=torch.float64)
        self.optimizer.step([gradient], learning_rate)
        self.remember()
        return loss.item()

    def batch_loss(self, position: Tensor) -> Tensor:
        """The height, or on the real surface the loss of some random digits alone."""
        size = self.config.batch_size
        if self.config.surface != "digits" or size == 0:
            return height(self.config, position)
        neuron = trained_neuron()
        chosen = torch.randint(len(neuron.train_classes), (size,), generator=self.generator)
        return neuron_loss(position, neuron, neuron.train_inputs[chosen], neuron.train_classes[chosen])

    def remember(self) -> None:
        """Add the position to the path; when the path is full every second row of it goes."""
        self.steps += 1
        stride = path_stride(self.steps)
        if stride > path_stride(self.steps - 1):
            kept = self.path[: ROWS - 1 : 2].clone()
            self.path[: len(kept)] = kept
        self.path[-(-self.steps // stride) :] = self.position

    @torch.no_grad()
    def evaluate(self) -> Scores:
        """The exact height and the distance to the nearest minimum; on the real surface also the held-out loss."""
        distance = (minima(self.config) - self.position).norm(dim=1).min().item()
        scores = {"train": {LOSS.name: height(self.config, self.position).item(), DISTANCE.name: distance}}
        if self.config.surface == "digits":
            neuron = trained_neuron()
            held_out = neuron_loss(self.position, neuron, neuron.test_inputs, neuron.test_classes)
            scores["test"] = {LOSS.name: held_out.item()}
        return scores

    def state(self) -> dict[str, Tensor]:
        """{"position": (2,), "path": (257, 2)}"""
        return {"position": self.position, "path": self.path}

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"a descent cannot change {name!r} on its way")


def race(config: GradientDescentConfig) -> dict[str, GradientDescentConfig]:
    """The same start on the same surface with each method."""
    return {method: replace(config, method=method) for method in METHODS}


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, GradientDescentConfig] = {
    "digits": GradientDescentConfig(surface="digits", batch_size=16, learning_rate=5.0),
    "bowl": GradientDescentConfig(),
    "round": GradientDescentConfig(condition=1, learning_rate=0.5),  # every gradient points at the minimum
    "narrow": GradientDescentConfig(condition=100, learning_rate=0.013),
    "rosenbrock": GradientDescentConfig(surface="rosenbrock", start_x=-3.0, start_y=2.5, learning_rate=0.005),
    "himmelblau": GradientDescentConfig(surface="himmelblau", start_x=0.0, start_y=0.0, learning_rate=0.01),
    "saddle": GradientDescentConfig(surface="saddle", start_y=0.1, learning_rate=0.1),
    # These break, each for one reason:
    "too_fast": GradientDescentConfig(learning_rate=0.105),  # past 2/λ_max = 0.1
    "nesterov_too_fast": GradientDescentConfig(method="nesterov", learning_rate=0.08),  # plain descent still arrives
    "ridge": GradientDescentConfig(surface="saddle", start_y=0.0, learning_rate=0.1),  # no gradient leads off it
    "trembling": GradientDescentConfig(
        method="rmsprop", learning_rate=1.0
    ),  # it forgets steep slopes, and its steps grow again
    "noisy": GradientDescentConfig(noise=10.0),
}
