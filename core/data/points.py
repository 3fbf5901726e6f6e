"""Points of the plane, to be told apart or to be fitted, drawn from a run's own generator.

Circle, XOR, Gaussians, spiral, plane and multi-Gaussian are those of TensorFlow Playground (Smilkov et al. 2017), and
so is what `noise` means to them; the moons are scikit-learn's. All lie about −6…6; the corners of a gate are 0 and 1.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

GATES = ("and_gate", "or_gate", "xor_gate")  # the four lines of a truth table, each many times
CLASSIFICATION = (
    *GATES, "separable", "overlapping", "circle", "xor", "gaussians", "spiral", "moons", "blobs", "spirals",
)  # fmt: skip
REGRESSION = ("plane", "multi_gaussian")
KINDS = (*CLASSIFICATION, *REGRESSION)
MULTI_CLASS = ("blobs", "spirals")  # all others of CLASSIFICATION have two classes

EDGE = 6.0  # half a side of the square that is shown, and that the regressions fill
RADIUS = 5.0  # of circle, XOR and spiral
XOR_GAP = 0.3  # between a quadrant's points and the axes
DISC_CENTRE, DISC_RADIUS = 2.5, 2.5  # "separable": two discs, at least 2.07 apart
CLOUD_CENTRE, CLOUD_DEVIATION = 1.0, 1.5  # "overlapping": no line gets more than 82.7 % of it right
RING = 3.5  # of the centres of "blobs"
BUMPS = ((-4.0, 2.5, 1), (0.0, 2.5, -1), (4.0, 2.5, 1), (-4.0, -2.5, -1), (0.0, -2.5, 1), (4.0, -2.5, -1))


class Points(NamedTuple):
    """Points, and what is to be said of each: its class (N,), whole numbers from 0, or its value (N,), about −1…1."""

    train_inputs: Tensor  # (N, 2)
    train_targets: Tensor  # (N,)
    test_inputs: Tensor  # (M, 2)
    test_targets: Tensor  # (M,)


def make_points(
    kind: str,
    generator: torch.Generator,
    count: int = 200,
    noise: float = 0.0,
    train_share: float = 0.5,
    classes: int = 2,
) -> Points:
    """Draw `count` points and split them: each class, and each corner of a gate, has the same share of both parts.

    Args:
        kind: one of KINDS.
        noise: 0…0.5. It moves the points of gates (evenly, at most so far: up to 0.25 a gate stays one), discs,
            clouds, Gaussians, blobs, spirals and moons. Of circle, XOR and the regressions it moves the place where the
            target is read.
        train_share: of the points that are learned from.
        classes: 2…5, of "blobs" and "spirals"; the others have two.

    Raises:
        ValueError: a kind, noise, share or number that is none of these, or too few points for both parts.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if not 0 <= noise <= 0.5:
        raise ValueError(f"noise must be 0–0.5, got {noise}")
    if not 2 <= classes <= 5:
        raise ValueError(f"classes must be 2–5, got {classes}")
    kept = round(count * train_share)
    if not 0 < kept < count:
        raise ValueError(f"{count} points cannot be split at {train_share}")
    inputs, targets = draw_points(kind, generator, count, noise, classes)
    order = dealt(groups(kind, inputs, targets), generator)
    train, test = order[:kept], order[kept:]
    return Points(inputs[train], targets[train], inputs[test], targets[test])


def draw_points(kind: str, generator: torch.Generator, count: int, noise: float, classes: int) -> tuple[Tensor, Tensor]:
    """All points (count, 2) and their targets (count,), before they are split."""
    if kind in GATES:
        return gate(kind, generator, count, noise)
    if kind in ("separable", "overlapping"):
        return two_clouds(kind, generator, count, noise)
    if kind in ("gaussians", "blobs"):
        return gaussians(2 if kind == "gaussians" else classes, kind, generator, count, noise)
    if kind in ("spiral", "spirals"):
        return spirals(2 if kind == "spiral" else classes, generator, count, noise)
    if kind == "moons":
        return moons(generator, count, noise)
    if kind == "circle":
        return circle(generator, count, noise)
    if kind == "xor":
        return quadrants(generator, count, noise)
    return fitted(kind, generator, count, noise)


# ---- two classes -----------------------------------------------------------------------------------------------------


def gate(kind: str, generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """The corners 00, 01, 10, 11 in turn, each point up to `noise` beside its corner, and the gate's answer."""
    corner = torch.arange(count) % 4
    bits = torch.stack([corner // 2, corner % 2], 1)
    answer = {"and_gate": bits.all(1), "or_gate": bits.any(1), "xor_gate": bits[:, 0] != bits[:, 1]}[kind]
    return bits + uniform((count, 2), noise, generator), answer.long()


def two_clouds(kind: str, generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Class 1 at the upper right, class 0 at the lower left: filled discs, or Gaussians that reach into each other."""
    targets = torch.arange(count) % 2
    side = (2.0 * targets - 1)[:, None]  # −1 or 1
    if kind == "separable":
        radius = DISC_RADIUS * torch.rand(count, generator=generator).sqrt()  # √: even over the area
        points = side * DISC_CENTRE + polar(radius, 2 * math.pi * torch.rand(count, generator=generator))
    else:
        points = side * CLOUD_CENTRE + CLOUD_DEVIATION * torch.randn(count, 2, generator=generator)
    return points + 2 * noise * torch.randn(count, 2, generator=generator), targets


def circle(generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Class 1 within half the radius, class 0 in the ring from 0.7 of it."""
    inner = torch.arange(count) % 2 == 1
    share = torch.rand(count, generator=generator)
    radius = RADIUS * torch.where(inner, 0.5 * share, 0.7 + 0.3 * share)
    points = polar(radius, 2 * math.pi * torch.rand(count, generator=generator))
    read = points + uniform((count, 2), RADIUS * noise, generator)
    return points, (read.norm(dim=1) < RADIUS / 2).long()


def quadrants(generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Class 1 where both coordinates have the same sign."""
    points = uniform((count, 2), RADIUS, generator)
    points = points + torch.where(points > 0, XOR_GAP, -XOR_GAP)
    read = points + uniform((count, 2), RADIUS * noise, generator)
    return points, (read.prod(1) >= 0).long()


def moons(generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Two half circles that hold each other; three times as large as scikit-learn's, and in the middle."""
    targets, place, size = in_turn(count, 2)
    angle = math.pi * place / (size - 1).clamp(min=1)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.tensor([1.0, 0.5]) - upper
    points = torch.where(targets[:, None] == 0, upper, lower) - torch.tensor([0.5, 0.25])
    return 3 * (points + noise * torch.randn(count, 2, generator=generator)), targets


# ---- two to five classes ---------------------------------------------------------------------------------------------


def gaussians(classes: int, kind: str, generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Round clouds of variance 0.5 without noise, 4 at most: at (−2, −2) and (2, 2), or on a ring."""
    targets = torch.arange(count) % classes
    if kind == "gaussians":
        centres = torch.tensor([[-2.0, -2.0], [2.0, 2.0]])
    else:
        centres = polar(torch.full((classes,), RING), 2 * math.pi * torch.arange(classes) / classes)
    deviation = math.sqrt(0.5 + 7 * noise)
    return centres[targets] + deviation * torch.randn(count, 2, generator=generator), targets


def spirals(classes: int, generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Arms of 1¾ turns from the middle outwards, one for each class."""
    targets, place, size = in_turn(count, classes)
    share = place / size
    points = polar(RADIUS * share, 1.75 * share * 2 * math.pi + 2 * math.pi * (targets + 1) / classes)
    return points + uniform((count, 2), noise, generator), targets


# ---- values to be fitted ---------------------------------------------------------------------------------------------


def fitted(kind: str, generator: torch.Generator, count: int, noise: float) -> tuple[Tensor, Tensor]:
    """Points evenly over the square, and the height of a plane or of six bumps where each is read."""
    points = uniform((count, 2), EDGE, generator)
    read = points + uniform((count, 2), EDGE * noise, generator)
    return points, read.sum(1) / 10 if kind == "plane" else bumps(read)


def bumps(points: Tensor) -> Tensor:
    """Six cones of height ±1 and radius 2 (…,), at the points (…, 2) the one that is highest in absolute value."""
    height = torch.zeros(points.shape[:-1])
    for x, y, sign in BUMPS:
        cone = sign * (1 - (points - torch.tensor([x, y])).norm(dim=-1) / 2).clamp(min=0)
        height = torch.where(cone.abs() > height.abs(), cone, height)
    return height


# ---- parts of these --------------------------------------------------------------------------------------------------


def uniform(shape: tuple[int, ...], reach: float, generator: torch.Generator) -> Tensor:
    """Even between −reach and reach."""
    return reach * (2 * torch.rand(shape, generator=generator) - 1)


def polar(radius: Tensor, angle: Tensor) -> Tensor:
    """The points (N, 2) so far from the middle (N,), the angle (N,) in radians clockwise from the top."""
    return torch.stack([radius * angle.sin(), radius * angle.cos()], 1)


def in_turn(count: int, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """The class of each point, its place within its class from 0, and how many its class has, each (count,)."""
    targets = torch.arange(count) % classes
    return targets, torch.arange(count) // classes, targets.bincount(minlength=classes)[targets]


def groups(kind: str, inputs: Tensor, targets: Tensor) -> Tensor:
    """What is to be split alike (N,): the corners of a gate, the classes, or all points as one."""
    if kind in GATES:
        return (2 * (inputs[:, 0] > 0.5) + (inputs[:, 1] > 0.5)).long()
    return targets if kind in CLASSIFICATION else torch.zeros(len(targets), dtype=torch.long)


def dealt(group: Tensor, generator: torch.Generator) -> Tensor:
    """A random order (N,) of which every beginning holds the groups (N,) in their proportions, as cards are dealt."""
    order = torch.randperm(len(group), generator=generator)
    place = torch.empty(len(group))
    for each in group.unique():
        members = order[group[order] == each]
        place[members] = (torch.arange(len(members)) + 0.5) / len(members)
    return order[place[order].argsort(stable=True)]
