"""The layer tables against published networks, torch's own layers and a search for what a cell sees."""

import pickle

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from core.architectures import (
    ARCHITECTURES,
    BlockGeometryError,
    Layer,
    convolution,
    layer_table,
    linear,
    receptive_field,
)
from core.convolution import GeometryError


def column(name, *fields):
    return {row.name: tuple(getattr(row, field) for field in fields) for row in ARCHITECTURES[name].table()}


def test_lenet5_as_published():
    assert column("LeNet-5", "channels", "height", "width", "parameters") == {
        "input": (1, 32, 32, 0),
        "C1": (6, 28, 28, 156),
        "S2": (6, 14, 14, 12),
        "C3": (16, 10, 10, 1516),
        "S4": (16, 5, 5, 32),
        "C5": (120, 1, 1, 48120),
        "F6": (84, 1, 1, 10164),
        "RBF": (10, 1, 1, 0),
    }


def test_lenet5_connections():
    """LeCun et al. count connections: a product each, and one for the bias of each unit."""
    connections = {
        row.name: row.multiply_adds + row.channels * row.height * row.width
        for row in ARCHITECTURES["LeNet-5"].table()
        if row.name in ("C1", "C3", "C5", "F6")
    }
    assert connections == {"C1": 122_304, "C3": 151_600, "C5": 48_120, "F6": 10_164}
    assert sum(row.parameters for row in ARCHITECTURES["LeNet-5"].table()) == 60_000


def test_dense_c3():
    rows = layer_table([convolution("C3", 16, 5)], side=14, channels=6)
    assert rows[-1].parameters == 2416


@pytest.mark.parametrize(
    ("name", "total", "pool", "field", "billions"),
    [
        ("AlexNet", 60_965_224, "Pool5", 195, 0.724),  # products as in Sze et al. 2017, table II
        ("AlexNet, ungrouped", 62_378_344, "Pool5", 195, None),
        ("VGG-16", 138_357_544, "Pool5", 212, 15.5),
    ],
)
def test_published_totals(name, total, pool, field, billions):
    table = ARCHITECTURES[name].table()
    assert sum(row.parameters for row in table) == total
    assert column(name, "receptive_field")[pool] == (field,)
    if billions:
        assert sum(row.multiply_adds for row in table) / 1e9 == pytest.approx(billions, rel=3e-3)


def test_published_sizes():
    sizes = {name: height for name, (height,) in column("AlexNet", "height").items()}
    assert [sizes[name] for name in ("Conv1", "Pool1", "Conv2", "Pool2", "Conv5", "Pool5")] == [55, 27, 27, 13, 13, 6]
    assert [column("VGG-16", "height")[f"Pool{stage}"] for stage in range(1, 6)] == [(112,), (56,), (28,), (14,), (7,)]


def as_torch(layers, channels, side):
    """The same chain of torch's own layers, on the meta device."""
    with torch.device("meta"):
        modules, image = [], torch.empty(1, channels, side, side)
        for layer in layers:
            width = image.shape[1] if image.dim() == 4 else image.shape[-1]
            if layer.kind == "convolution":
                module = nn.Conv2d(
                    width, layer.channels, layer.kernel, layer.stride, layer.padding, groups=layer.groups
                )
            elif layer.kind == "linear":
                module = nn.Sequential(nn.Flatten(), nn.Linear(image[0].numel(), layer.channels))
            elif layer.kind == "flatten":
                module = nn.Flatten()
            else:
                module = nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)
            image = module(image)
            modules.append((module, image.shape[1:]))
    return modules


@pytest.mark.parametrize("name", ["AlexNet", "AlexNet, ungrouped", "VGG-16"])
def test_table_agrees_with_torch(name):
    architecture = ARCHITECTURES[name]
    table = architecture.table()[1:]
    modules = as_torch(architecture.layers, architecture.channels, architecture.side)
    for row, (module, shape) in zip(table, modules, strict=True):
        assert (row.channels, row.height, row.width)[: len(shape)] == tuple(shape)
        assert row.parameters == sum(parameter.numel() for parameter in module.parameters())
    with FlopCounterMode(display=False) as counter:
        as_torch(architecture.layers, architecture.channels, architecture.side)
    assert counter.get_total_flops() == 2 * sum(row.multiply_adds for row in table)


def test_flatten_and_linear_see_the_whole_map():
    table = layer_table([convolution("a", 4, 3), Layer("b", "flatten"), linear("c", 5)], side=8)
    by_name = {row.name: row for row in table}
    assert (by_name["b"].channels, by_name["b"].height, by_name["b"].parameters) == (4 * 36, 1, 0)
    assert (by_name["b"].receptive_field, by_name["c"].receptive_field) == (3, 8)
    assert by_name["c"].multiply_adds == 4 * 36 * 5


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [(3, 1, 1)],
        [(3, 1, 1), (3, 1, 1)],
        [(5, 2, 1), (2, 2, 1), (3, 1, 2), (2, 1, 1)],
        [(1, 3, 1), (4, 1, 3), (3, 2, 1)],
    ],
)
def test_receptive_field_by_search(layers):
    def seen(cells):
        for kernel, stride, dilation in reversed(layers):
            cells = {cell * stride + offset * dilation for cell in cells for offset in range(kernel)}
        return cells

    first, second = seen({0}), seen({1})
    assert receptive_field(layers) == (max(first) - min(first) + 1, min(second) - min(first))


def test_receptive_field_starts_in_the_padding():
    row = layer_table([convolution("a", 1, 3, stride=2, padding=1), convolution("b", 1, 5, padding=2)], side=16)[-1]
    assert (row.receptive_field, row.jump, row.start) == (3 + 4 * 2, 2, -1 - 2 * 2)


@pytest.mark.parametrize("layer", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_receptive_field_refuses(layer):
    with pytest.raises(ValueError, match="at least 1"):
        receptive_field([layer])


def test_impossible_geometry_says_where():
    layers = [convolution("a", 1, 3), Layer("b", "convolution", 1, 7, padding=1, block=2)]
    with pytest.raises(BlockGeometryError) as caught:
        layer_table(layers, side=6)
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, GeometryError)
        assert (error.block, error.kind, error.size, error.kernel, error.padding) == (2, "convolution", 4, 7, 1)
        assert (error.reach, error.room) == (7, 6)
        assert "block 2" in str(error)
