"""A convolutional network that reads handwritten digits: blocks of convolution, ReLU and pooling, then a head.

nndl, chapter on convolutional networks; LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.architectures import (
    Layer,
    LayerRow,
    layer_table,
    receptive_field,  # noqa: F401  (public here as well)
)
from core.config import Config, Limits, Span
from core.data.digits import CANVAS, CLASSES, SIDE, VARIANTS, load, stratified_split
from core.initialisation import Conv2d, Linear, draw_he
from core.optimizers import OPTIMIZERS, Optimizer
from core.pooling import POOLINGS
from core.training import ACCURACY, LOSS, Metric, Scores, classified

EQUAL_WIDTH = -1  # the padding ⌊k/2⌋: at stride 1 the map keeps its size (an even kernel adds one cell)
SHARED: dict[str, Any] = {
    "channels": 0,
    "kernel": 0,
    "stride": 0,
    "padding": -2,
    "pooling": "shared",
}  # a block does as all blocks do
POOL = 2  # side of the pooling windows, and cells from one to the next
SAMPLE_SEED = 1  # picks the training digits that are measured, the same for every run

BITMAP = 32  # side of the bitmaps that the digits were counted from, in 4×4 blocks
DIGIT_WIDTH = 20  # NIST's programs scaled every digit to 20×32 pixels in the middle of its bitmap …
INK = 0.31  # … and thinned or thickened it to one amount of ink: this share, within 0.01 for every class of the data
STRETCH = 2.5  # largest widening of a drawing relative to its height, so that a straight "1" stays a line


# ---- config ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CNNConfig(Config):
    """One to three blocks and a head. A block's own value counts unless it is the one of SHARED.

    Raises:
        BlockGeometryError: a window does not fit on its map.
    """

    data: str = "plain"  # digits of 8×8 pixels; "upsampled" or "shifted": 16×16
    blocks: int = 2  # of convolution, ReLU and pooling
    channels: int = 8  # feature maps of each convolution
    kernel: int = 3  # side of the square kernels, in cells
    stride: int = 1  # of the convolutions, in cells
    padding: int = EQUAL_WIDTH  # empty cells on every side of a convolution's input, or ⌊k/2⌋
    pooling: str = "max"  # or "average", 2×2 in either case; or "none"
    hidden: int = 0  # units of the fully connected layer between the maps and the scores; 0: no such layer
    batch_size: int = 64  # digits per update
    optimizer: str = "adam"
    learning_rate: float = 0.02
    weight_decay: float = 0.0  # factor of the L2 penalty

    channels_1: int = SHARED["channels"]  # the first block's own values
    kernel_1: int = SHARED["kernel"]
    stride_1: int = SHARED["stride"]
    padding_1: int = SHARED["padding"]
    pooling_1: str = SHARED["pooling"]
    channels_2: int = SHARED["channels"]  # the second block's
    kernel_2: int = SHARED["kernel"]
    stride_2: int = SHARED["stride"]
    padding_2: int = SHARED["padding"]
    pooling_2: str = SHARED["pooling"]
    channels_3: int = SHARED["channels"]  # the third block's
    kernel_3: int = SHARED["kernel"]
    stride_3: int = SHARED["stride"]
    padding_3: int = SHARED["padding"]
    pooling_3: str = SHARED["pooling"]

    LIMITS: ClassVar[dict[str, Limits]] = {
        "data": VARIANTS,
        "blocks": range(1, 4),
        "channels": range(1, 33),
        "kernel": range(1, 8),
        "stride": range(1, 4),
        "padding": range(EQUAL_WIDTH, 4),
        "pooling": POOLINGS,
        "hidden": range(129),
        "batch_size": range(1, 257),
        "optimizer": OPTIMIZERS,
        "weight_decay": Span(0.0, 1.0, 0.001),
        **{f"channels_{block}": range(33) for block in (1, 2, 3)},
        **{f"kernel_{block}": range(8) for block in (1, 2, 3)},
        **{f"stride_{block}": range(4) for block in (1, 2, 3)},
        **{f"padding_{block}": range(-2, 4) for block in (1, 2, 3)},
        **{f"pooling_{block}": (SHARED["pooling"], *POOLINGS) for block in (1, 2, 3)},
    }

    def __post_init__(self):
        super().__post_init__()
        layers(self)

    def build(self, generator: torch.Generator) -> DigitsLearner:
        return DigitsLearner(self, generator)

    def network(self) -> CNN:
        """The network without weights; with the channels last in memory, which makes pooling several times as fast."""
        return CNN(self).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def image_side(data: str) -> int:
    """Side of the images of a data variant, in pixels."""
    return SIDE if data == "plain" else CANVAS


def of_block(config: CNNConfig, setting: str, block: int) -> Any:
    """A block's own value of one of the settings in SHARED, or the value of all blocks."""
    value = getattr(config, f"{setting}_{block}")
    return getattr(config, setting) if value == SHARED[setting] else value


def chain(config: CNNConfig) -> list[Layer]:
    """The layers: convolution_1, pooling_1, …, flatten, hidden, output; there is no row for what is left out."""
    chain = []
    for block in range(1, config.blocks + 1):
        channels, kernel, stride, padding, pooling = (of_block(config, setting, block) for setting in SHARED)
        padding = kernel // 2 if padding == EQUAL_WIDTH else padding
        chain.append(Layer(f"convolution_{block}", "convolution", channels, kernel, stride, padding, block=block))
        if pooling != "none":
            chain.append(Layer(f"pooling_{block}", pooling, kernel=POOL, stride=POOL, block=block))
    chain.append(Layer("flatten", "flatten"))
    if config.hidden:
        chain.append(Layer("hidden", "linear", config.hidden))
    return [*chain, Layer("output", "linear", CLASSES)]


@lru_cache(maxsize=256)
def layers(config: CNNConfig) -> tuple[LayerRow, ...]:
    """The layer table, from the input to the output; its parameters add up to the network's."""
    return tuple(layer_table(chain(config), image_side(config.data)))


# ---- network and training --------------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """Every stage of the network for a batch of images; one entry per block in the tuples."""

    images: Tensor  # (B, 1, H, W)
    net_inputs: tuple[Tensor, ...]  # (B, C, H, W) before ReLU
    feature_maps: tuple[Tensor, ...]  # (B, C, H, W) after ReLU
    pooled: tuple[Tensor, ...]  # (B, C, H/2, W/2); the feature maps themselves where nothing is pooled
    flat: Tensor  # (B, C·H·W) of the last block
    hidden: Tensor | None  # (B, hidden) after ReLU
    scores: Tensor  # (B, 10)


class CNN(nn.Module):
    """The convolutional network of a CNNConfig."""

    def __init__(self, config: CNNConfig):
        super().__init__()
        channels = 1
        self.convolutions: nn.ModuleList = nn.ModuleList()
        for layer in chain(config):
            if layer.kind == "convolution":
                self.convolutions.append(Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.padding))
                channels = layer.channels
        self.poolings = [of_block(config, "pooling", block) for block in range(1, config.blocks + 1)]
        features = next(row.channels for row in layers(config) if row.kind == "flatten")
        self.hidden = Linear(features, config.hidden) if config.hidden else None
        self.output = Linear(config.hidden or features, CLASSES)

    def forward(self, images: Tensor) -> Trace:
        """Scores and every stage on the way for images (B, 1, H, W) with values in 0…1."""
        net_inputs, feature_maps, pooled = [], [], []
        maps = images
        for convolution, pooling in zip(self.convolutions, self.poolings, strict=True):
            net_inputs.append(convolution(maps))
            feature_maps.append(F.relu(net_inputs[-1]))
            maps = shrink(feature_maps[-1], pooling)
            pooled.append(maps)
        flat = maps.flatten(1)
        hidden = None if self.hidden is None else F.relu(self.hidden(flat))
        scores = self.output(flat if hidden is None else hidden)
        return Trace(images, tuple(net_inputs), tuple(feature_maps), tuple(pooled), flat, hidden, scores)

    def scores(self, images: Tensor) -> Tensor:
        """The scores (B, 10) alone."""
        return self(images).scores


def shrink(maps: Tensor, pooling: str) -> Tensor:
    """Pool the maps (B, C, H, W) over 2×2 cells; "none" hands them on."""
    if pooling == "max":
        return F.max_pool2d(maps, POOL)
    return F.avg_pool2d(maps, POOL) if pooling == "average" else maps


class DigitsLearner:
    """Trains the network of a config to read digits: cross-entropy of random batches."""

    metrics: tuple[Metric, ...] = (LOSS, ACCURACY)

    def __init__(self, config: CNNConfig | FullyConnectedConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.network: CNN | FullyConnected = draw_he(config.network(), generator)  # type: ignore[assignment]
        self.parameters: list[Tensor] = list(self.network.parameters())
        self.optimizer = Optimizer(config.optimizer, self.parameters, config.weight_decay)

    def update(self, learning_rate: float) -> float:
        """One step down the cross-entropy of one batch, drawn with replacement."""
        digits = load(self.config.data)
        chosen = torch.randint(len(digits.train_labels), (self.config.batch_size,), generator=self.generator)
        loss = F.cross_entropy(self.network.scores(digits.train_images[chosen]), digits.train_labels[chosen])
        self.optimizer.step(list(torch.autograd.grad(loss, self.parameters)), learning_rate)
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> Scores:
        """Loss and accuracy on the held-out digits and on as many training digits."""
        digits, sample = load(self.config.data), measured_sample(self.config.data)
        train = self.network.scores(digits.train_images[sample])
        test = self.network.scores(digits.test_images)
        return {"train": classified(train, digits.train_labels[sample]), "test": classified(test, digits.test_labels)}

    def state(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"a run on digits cannot change {name!r} while it trains")


@lru_cache
def measured_sample(data: str) -> Tensor:
    """Indices of half as many training digits as there are held-out ones, with the same share of every class."""
    digits = load(data)
    share = len(digits.test_labels) / len(digits.train_labels) / 2
    return stratified_split(digits.train_labels, share, SAMPLE_SEED)[1]


# ---- a fully connected network of the same size ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FullyConnectedConfig(Config):
    """One hidden layer in which every unit sees every pixel: the CNN's rival."""

    data: str = "shifted"
    width: int = 8  # hidden units
    batch_size: int = 64
    optimizer: str = "adam"
    weight_decay: float = 0.0

    LIMITS: ClassVar[dict[str, Limits]] = {
        "data": VARIANTS,
        "width": range(1, 65537),  # the largest CNN, of 2.8 million numbers, has a rival of 37 thousand
        "batch_size": CNNConfig.LIMITS["batch_size"],
        "optimizer": OPTIMIZERS,
        "weight_decay": CNNConfig.LIMITS["weight_decay"],
    }

    def build(self, generator: torch.Generator) -> DigitsLearner:
        return DigitsLearner(self, generator)

    def network(self) -> FullyConnected:
        """The network without weights."""
        return FullyConnected(self)


class FullyConnected(nn.Module):
    """Flatten, hidden layer with ReLU, scores."""

    def __init__(self, config: FullyConnectedConfig):
        super().__init__()
        self.hidden = Linear(image_side(config.data) ** 2, config.width)
        self.output = Linear(config.width, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Scores (B, 10) of images (B, 1, H, W)."""
        return self.output(F.relu(self.hidden(images.flatten(1))))

    def scores(self, images: Tensor) -> Tensor:
        return self(images)


def parameter_count(config: CNNConfig | FullyConnectedConfig) -> int:
    """How many numbers the network of a config learns."""
    if isinstance(config, CNNConfig):
        return sum(row.parameters for row in layers(config))
    return config.width * (image_side(config.data) ** 2 + 1) + CLASSES * (config.width + 1)


def rival(config: CNNConfig) -> FullyConnectedConfig:
    """The fully connected network on the same data whose number of parameters comes nearest to the CNN's."""
    per_unit = image_side(config.data) ** 2 + 1 + CLASSES  # weights in, bias, weights out
    return FullyConnectedConfig(
        seed=config.seed,
        learning_rate=config.learning_rate,
        data=config.data,
        width=max(1, round((parameter_count(config) - CLASSES) / per_unit)),
        batch_size=config.batch_size,
        optimizer=config.optimizer,
        weight_decay=config.weight_decay,
    )


# ---- pictures --------------------------------------------------------------------------------------------------------


class Excitement(NamedTuple):
    """One of the places in the data that excite a channel most."""

    image: int  # index among the images
    activation: float
    row: int  # of the cell in the feature map
    column: int
    window: tuple[int, int, int, int]  # what the cell sees, as of `window_of`


class Evidence(NamedTuple):
    """A class score as weights on the pooled maps: score = Σ weights·maps + constant."""

    weights: Tensor  # (C, H, W) of the last block
    constant: float


class Mistake(NamedTuple):
    """A held-out digit that is read wrongly."""

    image: int  # index among the held-out digits
    label: int
    predicted: int
    probability: float  # that the network gives to its wrong answer


def network_of(config: CNNConfig | FullyConnectedConfig, state: dict[str, Tensor]) -> CNN | FullyConnected:
    """The network with the weights of a snapshot."""
    with torch.device("meta"):
        network = CNN(config) if isinstance(config, CNNConfig) else FullyConnected(config)
    network.load_state_dict(state, assign=True)  # the snapshot's own tensors: nothing is drawn and nothing copied
    return network


@torch.no_grad()
def trace(config: CNNConfig, state: dict[str, Tensor], images: Tensor) -> Trace:
    """Every stage of the network with the weights `state` for images (B, 1, H, W)."""
    return network_of(config, state)(images)


def maps_of(stages: Trace, layer: str) -> Tensor:
    """The maps (B, C, H, W) after a layer such as "convolution_1" (after its ReLU) or "pooling_2".

    Raises:
        ValueError: no such layer makes maps.
    """
    named = {f"convolution_{block}": maps for block, maps in enumerate(stages.feature_maps, start=1)}
    named |= {f"pooling_{block}": maps for block, maps in enumerate(stages.pooled, start=1)}
    if layer not in named:
        raise ValueError(f"layer must be one of {', '.join(named)}, got {layer!r}")
    return named[layer]


def window_of(config: CNNConfig, layer: str, row: int, column: int) -> tuple[int, int, int, int]:
    """The input pixels that one cell of a layer's maps sees, as image[top:bottom, left:right].

    The receptive field of the table, cut where it leaves the image, or rests on cells that are only padding.

    Raises:
        ValueError: the network has no such layer of maps, or the layer no such cell.
    """
    seen = windows(config, layer)
    if not (0 <= row < len(seen) and 0 <= column < len(seen)):
        raise ValueError(f"{layer} has {len(seen)}×{len(seen)} cells, none at ({row}, {column})")
    (top, bottom), (left, right) = seen[row], seen[column]
    return top, left, bottom, right


@lru_cache(maxsize=256)
def windows(config: CNNConfig, layer: str) -> tuple[tuple[int, int], ...]:
    """For each row of cells of a layer's maps, or each column, the first pixel that it sees and the one after the last.

    Raises:
        ValueError: the network has no such layer of maps.
    """
    rows = layers(config)
    names = [each.name for each in rows if each.kind in ("convolution", *POOLINGS)]
    if layer not in names:
        raise ValueError(f"layer must be one of {', '.join(names)}, got {layer!r}")
    depth = [each.name for each in rows].index(layer)
    return tuple(pixels_seen(rows[: depth + 1], cell) for cell in range(rows[depth].height))


def pixels_seen(rows: Sequence[LayerRow], cell: int) -> tuple[int, int]:
    """First pixel, and the one after the last, that a cell of the last row sees along one side of the image."""
    seen = {cell}
    for layer, before in zip(rows[:0:-1], rows[-2::-1], strict=True):
        reached = {cell * layer.stride - layer.padding + offset for cell in seen for offset in range(layer.kernel)}
        seen = reached & set(range(before.height))
    return (min(seen), max(seen) + 1) if seen else (0, 0)


def exciting(
    config: CNNConfig, state: dict[str, Tensor], layer: str, images: Tensor, count: int = 9
) -> list[list[Excitement]]:
    """For each channel of a layer the `count` images (N, 1, H, W) that excite it most, the strongest first.

    Raises:
        ValueError: the network has no such layer of maps.
    """
    maps = maps_of(trace(config, state, images), layer)
    activations, cells = maps.flatten(2).max(2)  # (N, C): each image counts with its strongest cell
    strongest = activations.T.topk(min(count, len(images)))  # (C, count)
    return [
        [
            Excitement(image, activation, row, column, window_of(config, layer, row, column))
            for activation, image in zip(*pair, strict=True)
            for row, column in [divmod(int(cells[image, channel]), maps.shape[3])]
        ]
        for channel, pair in enumerate(zip(strongest.values.tolist(), strongest.indices.tolist(), strict=True))
    ]


def class_evidence(config: CNNConfig, state: dict[str, Tensor], label: int, image: Tensor) -> Evidence:
    """The head's weights for a class, folded back onto the maps that the head flattens of an image (1, H, W)."""
    return fold_head(state, label, trace(config, state, image[None]))


@torch.no_grad()
def fold_head(state: dict[str, Tensor], label: int, stages: Trace) -> Evidence:
    """The head's weights for a class, folded back onto the maps that the head flattens, for the first image of a trace.

    Without a hidden layer these are the output's weights, the same for every image. With one, the ReLU lets through
    the units that are active for this image: the product of both layers' weights over those units, which is
    the exact gradient of the score, and exact as a sum because the head is linear as long as the same units are active.
    """
    weights, constant = state["output.weight"][label], state["output.bias"][label]
    if stages.hidden is not None:
        active = weights * (stages.hidden[0] > 0)
        weights, constant = active @ state["hidden.weight"], constant + active @ state["hidden.bias"]
    return Evidence(weights.reshape(stages.pooled[-1].shape[1:]), constant.item())


@torch.no_grad()
def held_out_scores(config: CNNConfig | FullyConnectedConfig, state: dict[str, Tensor]) -> Tensor:
    """Scores (N, 10) of the held-out digits."""
    return network_of(config, state).scores(load(config.data).test_images)


def confusion(config: CNNConfig | FullyConnectedConfig, state: dict[str, Tensor]) -> Tensor:
    """How many held-out digits of each class (row) are read as each class (column), (10, 10)."""
    predicted, labels = held_out_scores(config, state).argmax(1), load(config.data).test_labels
    return (labels * CLASSES + predicted).bincount(minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def mistakes(
    config: CNNConfig | FullyConnectedConfig, state: dict[str, Tensor], limit: int | None = None
) -> list[Mistake]:
    """The held-out digits that are read wrongly, the most confident mistake first."""
    probabilities, predicted = held_out_scores(config, state).softmax(1).max(1)
    labels = load(config.data).test_labels
    wrong = (predicted != labels).nonzero().flatten()
    wrong = wrong[probabilities[wrong].argsort(descending=True, stable=True)][:limit]
    columns = (wrong, labels[wrong], predicted[wrong], probabilities[wrong])
    return [Mistake(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


# ---- a digit drawn by hand -------------------------------------------------------------------------------------------


def prepare_drawing(drawing: Tensor, config: CNNConfig | FullyConnectedConfig) -> Tensor:
    """A drawing (H, W) of 0…1, ink being 1, as an image (1, 1, H, W) like those that the config's network reads.

    The data's digits were bitmaps of 32×32 pixels, each digit scaled to fill the height and counted in blocks of 4×4.
    So is the drawing. On the "shifted" canvas it stays about where it was drawn. An empty drawing is an empty image.
    """
    ink = drawing > drawing.max() / 2
    if not ink.any():
        return torch.zeros(1, 1, image_side(config.data), image_side(config.data))
    image = F.avg_pool2d(bitmap(ink), BITMAP // SIDE)
    if config.data == "upsampled":
        return F.interpolate(image, size=(CANVAS, CANVAS), mode="bilinear", align_corners=False)
    if config.data == "shifted":
        top, left = (round((CANVAS - SIDE) * place) for place in placement(ink))
        return F.pad(image, (left, CANVAS - SIDE - left, top, CANVAS - SIDE - top))
    return image


def extent(ink: Tensor) -> tuple[int, int, int, int]:
    """The rows and columns that hold ink (H, W), as ink[top:bottom, left:right]."""
    rows, columns = ink.any(1).nonzero(), ink.any(0).nonzero()
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def bitmap(ink: Tensor) -> Tensor:
    """Ink (H, W) scaled and thickened or thinned as NIST's programs did, (1, 1, 32, 32) of zeros and ones."""
    top, left, bottom, right = extent(ink)
    natural = BITMAP * (right - left) / (bottom - top)  # the width that would keep the proportions
    width = max(1, min(DIGIT_WIDTH, round(STRETCH * natural)))
    digit = ink[None, None, top:bottom, left:right].float()
    digit = F.interpolate(digit, size=(BITMAP, width), mode="bilinear", antialias=True)
    margin = (BITMAP - width) // 2
    smooth = F.pad(digit, (margin, BITMAP - width - margin, 0, 0))
    for _ in range(3):  # three box blurs are nearly a Gaussian: near the ink is high, so a lower threshold thickens
        smooth = F.avg_pool2d(smooth, 3, stride=1, padding=1, count_include_pad=False)
    return ((smooth >= torch.quantile(smooth, 1 - INK)) & (smooth > 0)).float()


def placement(ink: Tensor) -> tuple[float, float]:
    """Where the ink (H, W) lies between the top (0) and the bottom (1), and between left (0) and right (1)."""
    top, left, bottom, right = extent(ink)
    height, width = ink.shape
    return top / max(1, height - bottom + top), left / max(1, width - right + left)


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, CNNConfig] = {
    "default": CNNConfig(),
    "tiny": CNNConfig(channels=4),  # under 400 parameters, and still good
    "lenet": CNNConfig(
        data="upsampled", channels_1=6, channels_2=16, kernel=5, pooling="average", hidden=84, learning_rate=0.005
    ),
    "three_blocks": CNNConfig(data="shifted", blocks=3, channels=16, learning_rate=0.01),
    "average": CNNConfig(pooling="average"),
    "strided": CNNConfig(pooling="none", stride=2),
    "large_kernel": CNNConfig(kernel=7),
    "shifted": CNNConfig(data="shifted"),
    # These break, each for one reason:
    "pointwise": CNNConfig(kernel=1),  # every cell sees 4×4 pixels, and of them only how bright the brightest ones are
    "one_channel": CNNConfig(channels=1),  # four numbers are left to tell ten classes apart
    "slow": CNNConfig(optimizer="sgd", learning_rate=0.001),
    "dying": CNNConfig(learning_rate=1.0),  # the first steps push block 2's ReLUs below zero: no gradient comes back
    "diverging": CNNConfig(optimizer="sgd", learning_rate=10.0, channels=32, hidden=128, pooling="average"),
}


def race(config: CNNConfig) -> dict[str, CNNConfig | FullyConnectedConfig]:
    """The convolutional network and its fully connected rival."""
    return {"cnn": config, "fully_connected": rival(config)}
