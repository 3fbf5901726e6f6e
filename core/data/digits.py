"""Real handwritten digits: scikit-learn's 1,797 images of 8×8 pixels (Alpaydin & Kaynak, UCI, CC BY 4.0)."""

from __future__ import annotations

import gzip
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 8
CLASSES = 10
TEST_SHARE = 0.2
SPLIT_SEED = 0  # one split for everybody: runs that differ in their seed are tested on the same digits
VARIANTS = ("plain", "upsampled", "shifted")
CANVAS = 16  # side of the upsampled and of the shifted images


class Digits(NamedTuple):
    """Images of one channel with values in 0…1, and their classes."""

    train_images: Tensor  # (N, 1, H, W)
    train_labels: Tensor  # (N,)
    test_images: Tensor
    test_labels: Tensor


def sklearn_file(name: str) -> Path:
    """A data file inside the scikit-learn package, found without importing it (that costs 100 MB and a second)."""
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("scikit-learn is not installed; its data files are needed")
    return Path(spec.origin).parent / "datasets" / name


@lru_cache
def load(variant: str = "plain") -> Digits:
    """The digits, split 80/20 by class; the same tensors for every caller, to be read and never written.

    Args:
        variant: "plain" 8×8; "upsampled" to 16×16 (bilinear); "shifted": each at its own random place on 16×16.

    Raises:
        ValueError: `variant` is none of VARIANTS.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    with gzip.open(sklearn_file("data/digits.csv.gz"), "rt") as file:
        table = torch.from_numpy(numpy.loadtxt(file, delimiter=",", dtype=numpy.float32))
    images, labels = table[:, :-1].reshape(-1, 1, SIDE, SIDE) / 16, table[:, -1].long()
    if variant == "upsampled":
        images = F.interpolate(images, size=(CANVAS, CANVAS), mode="bilinear", align_corners=False)
    if variant == "shifted":
        images = place_at_random(images, CANVAS, torch.Generator().manual_seed(SPLIT_SEED))
    train, test = stratified_split(labels, TEST_SHARE, SPLIT_SEED)
    return Digits(images[train], labels[train], images[test], labels[test])


def stratified_split(labels: Tensor, test_share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and the test part (N_train,), (N_test,): the same share of every class in both."""
    generator = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        cut = round(len(members) * test_share)
        test.append(members[:cut])
        train.append(members[cut:])
    return torch.cat(train).sort().values, torch.cat(test).sort().values


def place_at_random(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Each image (N, C, H, W) at its own random place on an empty canvas (N, C, side, side)."""
    count, channels, height, width = images.shape
    tops = torch.randint(side - height + 1, (count,), generator=generator)
    lefts = torch.randint(side - width + 1, (count,), generator=generator)
    rows = tops[:, None, None, None] + torch.arange(height)[:, None]  # (N, 1, H, 1)
    columns = lefts[:, None, None, None] + torch.arange(width)  # (N, 1, 1, W)
    canvas = images.new_zeros(count, channels, side, side)
    canvas[torch.arange(count)[:, None, None, None], torch.arange(channels)[:, None, None], rows, columns] = images
    return canvas


def shift(images: Tensor, right: int, down: int) -> Tensor:
    """The images (…, H, W) moved by whole pixels; what comes in at the edge is empty, what leaves is lost."""
    moved = torch.zeros_like(images)
    height, width = images.shape[-2:]
    if abs(down) < height and abs(right) < width:
        source = images[..., max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
        moved[..., max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)] = source
    return moved
