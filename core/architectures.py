"""Convolutional networks as tables: what each layer turns its input into, learns, computes and sees.

A network is a chain of `Layer`s over square maps. Everything in the tables is computed from the chain, for a small
network of the page as for AlexNet: output size and parameters, receptive field, multiply-adds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from core.convolution import GeometryError, output_size, parameters


class Layer(NamedTuple):
    """One layer of a chain, described by what it does and not by what it is given.

    Kinds: "convolution"; "max", "average" and "trainable" pooling (LeNet-5's, with one weight and one bias per map);
    "flatten", which only reshapes; "linear", fully connected to all it is given; "fixed", linear but not learned.
    """

    name: str
    kind: str
    channels: int = 0  # maps or units that come out; 0: as many as come in
    kernel: int = 1  # side of the square window, in cells
    stride: int = 1  # cells between two windows
    padding: int = 0  # empty cells added on every side
    groups: int = 1  # parts that the channels are cut into, each convolved by itself
    links: int = 0  # pairs of an input and an output map that are joined; 0: all of each group
    block: int = 0  # of the page's network, counted from 1; 0: of the head, or of another network


class LayerRow(NamedTuple):
    """A layer within its network: one row of the table."""

    name: str
    kind: str  # as of Layer, or "input"
    kernel: int
    stride: int
    padding: int
    channels: int  # of the output, as height and width
    height: int
    width: int
    parameters: int  # learned
    multiply_adds: int  # for one image: products of a weight and an activation
    receptive_field: int  # side of the square of input pixels that one cell sees, in pixels
    jump: int  # input pixels between the receptive fields of two neighbouring cells
    start: int  # first row (and column) of cell 0's receptive field; below 0 where it begins in the padding


class BlockGeometryError(GeometryError):
    """A window that does not fit: which layer's, and on which map. `block` counts from 1; 0 is another network's."""

    def __init__(self, block: int, kind: str, size: int, kernel: int, padding: int):
        self.block, self.kind, self.size, self.kernel, self.padding = block, kind, size, kernel, padding
        super().__init__(kernel, size + 2 * padding)

    def __str__(self):
        return f"block {self.block}, {self.kind}: {super().__str__()} ({self.size} + 2·{self.padding})"

    def __reduce__(self):
        return type(self), (self.block, self.kind, self.size, self.kernel, self.padding)


def receptive_field(layers: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    """Side of what one cell sees and distance between what two neighbours see, both in input pixels.

    r ← r + (k−1)·d·j, then j ← j·s, from r = j = 1.

    Args:
        layers: (kernel, stride, dilation) of each convolution or pooling layer, from the input on.

    Raises:
        ValueError: a kernel, stride or dilation below 1.
    """
    size, jump = 1, 1
    for kernel, stride, dilation in layers:
        if min(kernel, stride, dilation) < 1:
            raise ValueError(f"kernel, stride and dilation must be at least 1, got {(kernel, stride, dilation)}")
        size += (kernel - 1) * dilation * jump
        jump *= stride
    return size, jump


def layer_table(layers: Iterable[Layer], side: int, channels: int = 1) -> list[LayerRow]:
    """The table of a chain of layers on an image of `channels` × `side` × `side`; the input is its first row.

    Raises:
        BlockGeometryError: a window is larger than the padded map that it slides over.
    """
    rows = [LayerRow("input", "input", 1, 1, 0, channels, side, side, 0, 0, 1, 1, 0)]
    windows: list[tuple[int, int, int]] = []
    seen_side = side  # of the last map, which flattening hides in its height and width
    start = 0
    for layer in layers:
        previous = rows[-1]
        joined = layer.kind in ("linear", "fixed")
        kernel = seen_side if joined else layer.kernel  # a linear layer is a window as large as the map
        start -= layer.padding * previous.jump
        windows.append((kernel, layer.stride, 1))
        channels, seen_side = output_shape(layer, previous, seen_side)
        flat = layer.kind == "flatten"
        rows.append(
            LayerRow(
                layer.name, layer.kind, kernel, layer.stride, layer.padding,
                channels, 1 if flat else seen_side, 1 if flat else seen_side,
                learned(layer, previous, channels), multiply_adds(layer, previous, channels, seen_side),
                *receptive_field(windows), start,
            )
        )  # fmt: skip
    return rows


def output_shape(layer: Layer, previous: LayerRow, side: int) -> tuple[int, int]:
    """Channels and side of what a layer makes of the row before it; flattening leaves the side of the map."""
    if layer.kind == "flatten":
        return previous.channels * previous.height * previous.width, side
    if layer.kind in ("linear", "fixed"):
        return layer.channels, 1
    try:
        return layer.channels or previous.channels, output_size(side, layer.kernel, layer.stride, layer.padding)
    except GeometryError as error:
        raise BlockGeometryError(layer.block, layer.kind, side, layer.kernel, layer.padding) from error


def learned(layer: Layer, previous: LayerRow, channels: int) -> int:
    """How many numbers a layer with `channels` outputs learns from the row before it.

    A convolution in g groups joins each output map to C_in/g input maps only; a sparse one (LeNet-5's C3) to those of
    its table, so that its weights are links·k².
    """
    if layer.kind == "convolution":
        if layer.links:
            return layer.links * layer.kernel**2 + channels
        return parameters(previous.channels // layer.groups, channels, layer.kernel)
    if layer.kind == "linear":
        return parameters(previous.channels * previous.height * previous.width, channels, 1)
    return 2 * channels if layer.kind == "trainable" else 0


def multiply_adds(layer: Layer, previous: LayerRow, channels: int, side: int) -> int:
    """Products of a weight and an activation for one image: every weight once for every cell of the output.

    Pooling compares or adds and multiplies by no weight: 0, except LeNet-5's trainable kind.
    """
    if layer.kind == "fixed":
        return previous.channels * previous.height * previous.width * channels
    biases = channels if layer.kind in ("convolution", "linear", "trainable") else 0
    return (learned(layer, previous, channels) - biases) * side**2


def convolution(name: str, channels: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1) -> Layer:
    return Layer(name, "convolution", channels, kernel, stride, padding, groups)


def linear(name: str, width: int) -> Layer:
    return Layer(name, "linear", width)


def alexnet(groups: int) -> tuple[Layer, ...]:
    """AlexNet's layers; the original cut three of its convolutions in two, one half on each graphics card."""
    return (
        convolution("Conv1", 96, 11, stride=4),
        Layer("Pool1", "max", kernel=3, stride=2),
        convolution("Conv2", 256, 5, padding=2, groups=groups),
        Layer("Pool2", "max", kernel=3, stride=2),
        convolution("Conv3", 384, 3, padding=1),
        convolution("Conv4", 384, 3, padding=1, groups=groups),
        convolution("Conv5", 256, 3, padding=1, groups=groups),
        Layer("Pool5", "max", kernel=3, stride=2),
        linear("FC6", 4096),
        linear("FC7", 4096),
        linear("FC8", 1000),
    )


def vgg(convolutions: tuple[int, ...]) -> tuple[Layer, ...]:
    """VGG's layers: five stages of so many 3×3 convolutions, each stage closed by a pooling."""
    layers = []
    for stage, (count, channels) in enumerate(zip(convolutions, (64, 128, 256, 512, 512), strict=True), start=1):
        layers += [convolution(f"Conv{stage}-{number + 1}", channels, 3, padding=1) for number in range(count)]
        layers.append(Layer(f"Pool{stage}", "max", kernel=2, stride=2))
    return (*layers, linear("FC6", 4096), linear("FC7", 4096), linear("FC8", 1000))


# C3 of LeNet-5 joins six of its maps to 3 of the maps before, nine to 4 and one to all 6; its last layer compares with
# ten bitmaps chosen by hand. AlexNet's images must be 227 pixels wide (its paper says 224) for its maps to be 55 wide.
LENET5 = (
    convolution("C1", 6, 5),
    Layer("S2", "trainable", kernel=2, stride=2),
    Layer("C3", "convolution", 16, 5, links=6 * 3 + 9 * 4 + 6),
    Layer("S4", "trainable", kernel=2, stride=2),
    convolution("C5", 120, 5),
    linear("F6", 84),
    Layer("RBF", "fixed", 10),
)


class Architecture(NamedTuple):
    """A published network and the image that it was made for."""

    layers: tuple[Layer, ...]
    side: int  # of the image, in pixels
    channels: int  # of the image
    source: str

    def table(self) -> list[LayerRow]:
        return layer_table(self.layers, self.side, self.channels)


ARCHITECTURES = {
    "LeNet-5": Architecture(LENET5, 32, 1, "LeCun, Bottou, Bengio & Haffner 1998"),
    "AlexNet": Architecture(alexnet(groups=2), 227, 3, "Krizhevsky, Sutskever & Hinton 2012"),
    "AlexNet, ungrouped": Architecture(alexnet(groups=1), 227, 3, "Krizhevsky, Sutskever & Hinton 2012"),
    "VGG-16": Architecture(vgg((2, 2, 3, 3, 3)), 224, 3, "Simonyan & Zisserman 2015"),
}
