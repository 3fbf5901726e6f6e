"""Pooling: a window slides over a feature map and keeps one number of each place, the largest or the mean.

"none" is the alternative without pooling: a strided convolution, which shrinks the map just as much but has to learn
its weights (Springenberg et al. 2015, "Striving for Simplicity"). nndl, section 汇聚层.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Config, Limits
from core.convolution import output_size
from core.data.digits import CANVAS, CLASSES, SIDE, Digits, load, place_at_random, shift
from core.initialisation import Conv2d, Linear, draw_he
from core.optimizers import OPTIMIZERS, Optimizer
from core.training import ACCURACY, LOSS, Metric, Scores, classified

POOLINGS = ("max", "average", "none")
PLACES_SEED = 1  # where the digits that measure a run stand: the same for every run
MEASURED = 180  # training digits that measure a run, half as many as there are held-out ones


class Pooled(NamedTuple):
    """What a pooling layer hands on."""

    output: Tensor  # (…, H', W')
    argmax: Tensor | None  # (…, H', W'), the flat index y·W + x of each maximum in its map; None if no maximum is taken


class Reduction(NamedTuple):
    """How much smaller one feature map becomes."""

    height: int  # of the output
    width: int
    before: int  # cells of the input
    after: int  # cells of the output
    share: float  # after / before
    dropped_rows: int  # at the bottom, where no further window fits
    dropped_columns: int  # at the right
    dropped: int  # cells in those rows and columns


class Trace(NamedTuple):
    """Every stage of the network for a batch of images."""

    maps1: Tensor  # (B, C, 16, 16) after the first convolution and ReLU
    pooled1: Tensor  # (B, C, H', W')
    argmax1: Tensor | None  # as Pooled.argmax
    maps2: Tensor  # (B, C, H', W') after the second convolution and ReLU
    pooled2: Tensor  # (B, C, H", W")
    argmax2: Tensor | None
    hidden: Tensor  # (B, hidden)
    scores: Tensor  # (B, 10)


@dataclass(frozen=True, kw_only=True)
class PoolingConfig(Config):
    """A small network that reads digits, with one kind of pooling after each of its two convolutions."""

    pooling: str = "max"  # or "average", or "none": a strided convolution instead
    kernel: int = 2  # side of the square window, in cells
    stride: int = 2  # cells between two windows
    channels: int = 16  # feature maps of each convolution
    hidden: int = 64  # units of the fully connected layer
    train_on: str = "shifted"  # or "centred"; it is tested on shifted digits in either case
    shift: int = 2  # largest shift of a digit from the centre, in pixels, right or left and up or down
    batch_size: int = 32  # digits per update
    optimizer: str = "adam"
    learning_rate: float = 0.005

    LIMITS: ClassVar[dict[str, Limits]] = {
        "pooling": POOLINGS,
        "kernel": range(1, 5),
        "stride": range(1, 5),
        "channels": range(1, 17),
        "hidden": range(4, 65, 4),
        "train_on": ("shifted", "centred"),
        "shift": range(5),
        "batch_size": range(8, 129, 8),
        "optimizer": OPTIMIZERS,
    }

    def build(self, generator: torch.Generator) -> PoolingLearner:
        return PoolingLearner(self, generator)


def pool(maps: Tensor, kind: str, kernel: int, stride: int, weight: Tensor | None = None) -> Pooled:
    """Shrink every map (…, H, W) by itself, without padding.

    Args:
        kind: "max", "average", or "none" for a strided convolution.
        kernel: side of the window, in cells.
        stride: cells between two windows.
        weight: only for "none": the convolution's kernel (kernel, kernel). Without one it is `identity_kernel`,
            which hands one cell of each window on and forgets the others: plain subsampling.

    Raises:
        ValueError: `kind` is none of POOLINGS, or no window fits.
    """
    if kind not in POOLINGS:
        raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {kind!r}")
    height, width = maps.shape[-2:]
    shape = (*maps.shape[:-2], output_size(height, kernel, stride), output_size(width, kernel, stride))
    images = maps.reshape(-1, 1, height, width)
    if kind == "max":
        output, argmax = F.max_pool2d(images, kernel, stride, return_indices=True)
        return Pooled(output.reshape(shape), argmax.reshape(shape))
    if kind == "average":
        return Pooled(F.avg_pool2d(images, kernel, stride).reshape(shape), None)
    weight = identity_kernel(kernel) if weight is None else weight
    return Pooled(F.conv2d(images, weight[None, None].to(maps), stride=stride).reshape(shape), None)


def identity_kernel(kernel: int) -> Tensor:
    """A kernel (kernel, kernel) that is 1 in the middle, or just before it, and 0 elsewhere."""
    weight = torch.zeros(kernel, kernel)
    weight[(kernel - 1) // 2, (kernel - 1) // 2] = 1
    return weight


def gradient_route(
    x: Tensor, kind: str, kernel: int, stride: int, upstream: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Where the gradient goes on its way back: ∂L/∂x (H, W) for a map x (H, W), by automatic differentiation.

    Max pooling sends each gradient whole to the arg-max cell, average pooling 1/k² of it to every cell of the window;
    a cell in several windows receives the sum.

    Args:
        upstream: ∂L/∂output (H', W'); ones if left out.
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        output = pool(x, kind, kernel, stride, weight).output
        (gradient,) = torch.autograd.grad(output, x, torch.ones_like(output) if upstream is None else upstream)
    return gradient


def coverage(height: int, width: int, kernel: int, stride: int) -> Tensor:
    """In how many windows each cell lies (height, width): 0 is never read, above 1 is read again."""

    def windows(size: int) -> Tensor:
        counts = torch.zeros(size, dtype=torch.long)
        for window in range(output_size(size, kernel, stride)):
            counts[window * stride : window * stride + kernel] += 1
        return counts

    return torch.outer(windows(height), windows(width))


def reduction(height: int, width: int, kernel: int, stride: int) -> Reduction:
    """How much pooling shrinks a map of height × width cells, and what the floor in the size formula drops."""
    rows, columns = output_size(height, kernel, stride), output_size(width, kernel, stride)
    dropped_rows = height - (rows - 1) * stride - kernel
    dropped_columns = width - (columns - 1) * stride - kernel
    before, after = height * width, rows * columns
    dropped = before - (height - dropped_rows) * (width - dropped_columns)
    return Reduction(rows, columns, before, after, after / before, dropped_rows, dropped_columns, dropped)


def learnable_parameters(kind: str, channels: int, kernel: int) -> int:
    """What the layer has to learn: nothing for pooling, C·(C·k² + 1) for a strided convolution of C channels."""
    return channels * (channels * kernel**2 + 1) if kind == "none" else 0


def shift_response(
    maps: Tensor,
    kind: str,
    kernel: int,
    stride: int,
    shifts: Iterable[int] = range(4),
    weight: Tensor | None = None,
    down: int = 0,
) -> Tensor:
    """How much the pooled maps change when the input moves right: ‖pool(shift(x)) − pool(x)‖ / ‖pool(x)‖, (shifts,).

    0 is no change; the maps (…, H, W) should be empty for as many columns at the right as they move, and for as many
    rows below as they move `down`. `kind` "none" is the strided convolution of `pool`; for a trained one, see
    `network_responses`.
    """
    still = pool(maps, kind, kernel, stride, weight).output
    moved = [pool(shift(maps, right, down), kind, kernel, stride, weight).output for right in shifts]
    return torch.stack([relative_change(still, each) for each in moved])


def relative_change(still: Tensor, moved: Tensor) -> Tensor:
    """‖moved − still‖ / ‖still‖, a number; 0 where both are empty."""
    return torch.linalg.vector_norm(moved - still) / torch.linalg.vector_norm(still).clamp_min(1e-12)


class PoolingNetwork(nn.Module):
    """Convolution, ReLU, pooling, twice over; a fully connected layer; a score per class."""

    def __init__(self, config: PoolingConfig):
        super().__init__()
        self.config = config
        self.convolution1 = Conv2d(1, config.channels, 3, padding=1)
        self.convolution2 = Conv2d(config.channels, config.channels, 3, padding=1)
        if config.pooling == "none":
            self.strided1 = Conv2d(config.channels, config.channels, config.kernel, config.stride)
            self.strided2 = Conv2d(config.channels, config.channels, config.kernel, config.stride)
        self.connected = Linear(config.channels * pooled_sides(config)[1] ** 2, config.hidden)
        self.output = Linear(config.hidden, CLASSES)

    def forward(self, images: Tensor) -> Trace:
        """Scores and every stage on the way for images (B, 1, 16, 16)."""
        maps1 = F.relu(self.convolution1(images))
        pooled1, argmax1 = self.shrink(maps1, 1)
        maps2 = F.relu(self.convolution2(pooled1))
        pooled2, argmax2 = self.shrink(maps2, 2)
        hidden = F.relu(self.connected(pooled2.flatten(1)))
        return Trace(maps1, pooled1, argmax1, maps2, pooled2, argmax2, hidden, self.output(hidden))

    def shrink(self, maps: Tensor, layer: int) -> Pooled:
        """Pool the maps (B, C, H, W) after convolution `layer`; without pooling, convolve with a stride and rectify."""
        if self.config.pooling == "none":
            return Pooled(F.relu((self.strided1 if layer == 1 else self.strided2)(maps)), None)
        return pool(maps, self.config.pooling, self.config.kernel, self.config.stride)


class PoolingLearner:
    """Trains a PoolingNetwork on digits that stand still or, in every batch anew, somewhere else."""

    metrics: tuple[Metric, ...] = (LOSS, ACCURACY)

    def __init__(self, config: PoolingConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.network = draw_he(PoolingNetwork(config), generator)
        self.parameters: list[Tensor] = list(self.network.parameters())
        self.optimizer = Optimizer(config.optimizer, self.parameters)

    def update(self, learning_rate: float) -> float:
        """One step down the cross-entropy of one batch."""
        images, labels = self.batch()
        loss = F.cross_entropy(self.network(images).scores, labels)
        self.optimizer.step(list(torch.autograd.grad(loss, self.parameters)), learning_rate)
        return loss.item()

    def batch(self) -> tuple[Tensor, Tensor]:
        """Random training digits (B, 1, 16, 16), shifted at random if the config says so, and their classes (B,)."""
        digits = load()
        chosen = torch.randint(len(digits.train_labels), (self.config.batch_size,), generator=self.generator)
        largest = self.config.shift if self.config.train_on == "shifted" else 0
        return on_canvas(digits.train_images[chosen], largest, self.generator), digits.train_labels[chosen]

    @torch.no_grad()
    def evaluate(self) -> Scores:
        """Loss and accuracy on training digits placed as in training, and on held-out digits that are shifted."""
        digits = measured_digits(self.config.train_on, self.config.shift)
        train = classified(self.network(digits.train_images).scores, digits.train_labels)
        return {"train": train, "test": classified(self.network(digits.test_images).scores, digits.test_labels)}

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"a pooling run cannot change {name!r} while it trains")


def pooled_sides(config: PoolingConfig) -> tuple[int, int]:
    """The side of the maps after the first and after the second pooling, in cells.

    The canvas is wide enough that two poolings of every kernel and stride fit.
    """
    first = output_size(CANVAS, config.kernel, config.stride)
    return first, output_size(first, config.kernel, config.stride)


def centred(images: Tensor) -> Tensor:
    """Square images (N, 1, h, h) in the middle of an empty canvas (N, 1, 16, 16)."""
    margin = (CANVAS - images.shape[-1]) // 2
    return F.pad(images, (margin, margin, margin, margin))


def on_canvas(images: Tensor, largest: int, generator: torch.Generator) -> Tensor:
    """Digits (N, 1, 8, 8) on an empty canvas (N, 1, 16, 16), each up to `largest` pixels off the centre."""
    return centred(place_at_random(images, SIDE + 2 * largest, generator))


@lru_cache
def measured_digits(train_on: str, largest: int) -> Digits:
    """The digits that measure every run with these settings, at places drawn once; to be read and never written."""
    digits = load()
    generator = torch.Generator().manual_seed(PLACES_SEED)
    test_images = on_canvas(digits.test_images, largest, generator)
    chosen = torch.randperm(len(digits.train_labels), generator=generator)[:MEASURED]
    train_images = on_canvas(digits.train_images[chosen], largest if train_on == "shifted" else 0, generator)
    return Digits(train_images, digits.train_labels[chosen], test_images, digits.test_labels)


def race(config: PoolingConfig) -> dict[str, PoolingConfig]:
    """The same network with each kind of pooling."""
    return {kind: replace(config, pooling=kind) for kind in POOLINGS}


def network_of(config: PoolingConfig, state: dict[str, Tensor]) -> PoolingNetwork:
    """The network with the weights of a snapshot."""
    network = PoolingNetwork(config)
    network.load_state_dict(state)
    return network


@torch.no_grad()
def trace(config: PoolingConfig, state: dict[str, Tensor], images: Tensor) -> Trace:
    """Every stage of the network with the weights `state` for images (B, 1, 16, 16)."""
    return network_of(config, state)(images)


@torch.no_grad()
def network_responses(
    config: PoolingConfig, state: dict[str, Tensor], image: Tensor, shifts: Iterable[int] = range(4), down: int = 0
) -> dict[str, Tensor]:
    """How much each stage of a trained network changes when the image (1, 16, 16) moves right, (shifts,) per stage.

    As `shift_response`, with learned weights throughout: "maps1", "pooled1", "maps2", "pooled2", "hidden", "scores".
    """
    images = torch.stack([image, *(shift(image, right, down) for right in shifts)])
    stages = trace(config, state, images)._asdict()
    return {
        name: torch.stack([relative_change(stage[0], moved) for moved in stage[1:]])
        for name, stage in stages.items()
        if stage is not None and not name.startswith("argmax")
    }


@torch.no_grad()
def accuracy_by_shift(config: PoolingConfig, state: dict[str, Tensor], shifts: Iterable[int] = range(-4, 5)) -> Tensor:
    """The share of held-out digits read when all of them stand so many pixels right of the centre, (shifts,)."""
    digits = load()
    network, images = network_of(config, state), centred(digits.test_images)
    right = [network(shift(images, pixels, 0)).scores.argmax(1) == digits.test_labels for pixels in shifts]
    return torch.stack(right).float().mean(1)


PRESETS: dict[str, PoolingConfig] = {
    "max": PoolingConfig(),
    "average": PoolingConfig(pooling="average"),
    "strided_convolution": PoolingConfig(pooling="none"),
    "overlapping": PoolingConfig(kernel=3),
    "no_reduction": PoolingConfig(kernel=1, stride=1),
    "gaps": PoolingConfig(kernel=1, stride=3),  # most cells are in no window
    "one_cell": PoolingConfig(pooling="average", kernel=4, stride=4),  # the whole canvas ends in one cell
    "never_shifted": PoolingConfig(train_on="centred", shift=4),  # trained in the centre, tested anywhere
    "too_fast": PoolingConfig(learning_rate=0.1),
}
