"""The point sets against TensorFlow Playground's definitions, scikit-learn's moons and what geometry demands."""

import math

import pytest
import torch
from sklearn.datasets import make_moons
from sklearn.svm import LinearSVC

from core.data.points import (
    BUMPS,
    CLASSIFICATION,
    GATES,
    KINDS,
    MULTI_CLASS,
    REGRESSION,
    bumps,
    dealt,
    draw_points,
    make_points,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def everything(kind: str, count: int = 400, noise: float = 0.0, classes: int = 2, seed: int = 0):
    """All points of a kind as lists of (x, y) and of targets."""
    return draw_points(kind, generator(seed), count, noise, classes)


# ---- all of them


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_from_its_generator_and_split(kind, noise):
    before = torch.get_rng_state()
    one, same, other = (make_points(kind, generator(seed), 103, noise, 0.3) for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.train_inputs, other.train_inputs) or (kind in GATES and noise == 0)
    assert [part.shape for part in one] == [(31, 2), (31,), (72, 2), (72,)]
    assert one.train_inputs.dtype == one.test_inputs.dtype == torch.float32
    assert all(part.isfinite().all() for part in one)
    if kind in REGRESSION:
        assert one.train_targets.dtype == torch.float32 and one.train_targets.abs().max() <= 1.2 + 1.2 * noise
    else:
        assert one.train_targets.dtype == torch.long and set(one.train_targets.tolist()) == {0, 1}


@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_all_points_are_in_the_square(kind):
    clouds = ("overlapping", "gaussians", "blobs")  # have tails
    points, _ = everything(kind)
    assert points.abs().max() <= (8 if kind in clouds else 6)


@pytest.mark.parametrize("kind", CLASSIFICATION)
def test_both_parts_have_the_same_share_of_every_class(kind):
    points = make_points(kind, generator(), 200, 0.1, 0.25)
    train, test = points.train_targets.double().mean(), points.test_targets.double().mean()
    assert abs(train - test) < 0.04
    if kind in MULTI_CLASS:
        many = make_points(kind, generator(), 200, 0.1, 0.25, classes=5)
        assert many.train_targets.bincount().tolist() == [10] * 5
        assert many.test_targets.bincount().tolist() == [30] * 5


def test_every_beginning_of_a_deal_holds_the_groups_in_proportion():
    group = torch.tensor([0] * 60 + [1] * 30 + [2] * 10)
    order = dealt(group, generator())
    assert sorted(order.tolist()) == list(range(100))
    for cut in range(10, 100, 7):
        shares = group[order[:cut]].bincount(minlength=3) / cut
        assert (shares - torch.tensor([0.6, 0.3, 0.1])).abs().max() <= 1.5 / cut
    assert order.tolist() != dealt(group, generator(1)).tolist()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "ring"}, {"noise": -0.1}, {"noise": 0.6}, {"noise": math.nan}, {"classes": 1}, {"classes": 6},
        {"train_share": 0.0}, {"train_share": 1.0}, {"count": 1},
    ],
)  # fmt: skip
def test_impossible_requests_are_refused(wrong):
    with pytest.raises(ValueError):
        make_points(**({"kind": "circle", "generator": generator()} | wrong))


# ---- gates and clouds

TRUTH = {"and_gate": [0, 0, 0, 1], "or_gate": [0, 1, 1, 1], "xor_gate": [0, 1, 1, 0]}  # of 00, 01, 10, 11


@pytest.mark.parametrize("kind", GATES)
def test_gates_are_their_truth_tables_with_equally_many_points_at_each_corner(kind):
    for noise in (0.0, 0.2):
        points = make_points(kind, generator(), 80, noise)
        for inputs, targets in (points[:2], points[2:]):
            corner = (inputs.round() @ torch.tensor([2.0, 1.0])).long()
            assert corner.bincount().tolist() == [10] * 4
            assert targets.tolist() == [TRUTH[kind][each] for each in corner]
            assert (inputs - inputs.round()).abs().max() <= noise


def test_the_noise_of_a_gate_is_used_to_its_full():
    points, _ = everything("and_gate", noise=0.2)
    away = (points - points.round()).abs()
    assert away.max() > 0.19 and away.mean().item() == pytest.approx(0.1, abs=0.01)


def best_line(points, targets) -> float:
    """The share that a linear support vector machine gets right."""
    return (
        LinearSVC(C=100.0, max_iter=20_000).fit(points.numpy(), targets.numpy()).score(points.numpy(), targets.numpy())
    )


def test_a_line_separates_what_is_called_separable_and_not_the_others():
    for seed in range(5):
        points, targets = everything("separable", 500, seed=seed)
        assert best_line(points, targets) == 1.0
        gap = points[targets == 1].sum(1).min() - points[targets == 0].sum(1).max()
        assert gap / math.sqrt(2) > 2.07
    points, targets = everything("overlapping", 20_000)
    normal = torch.distributions.Normal(0.0, 1.0)
    assert best_line(points, targets) == pytest.approx(normal.cdf(torch.tensor(math.sqrt(2) / 1.5)).item(), abs=0.006)
    for kind in ("xor_gate", "xor", "circle", "spiral", "moons"):
        assert best_line(*everything(kind)) < 0.9


# ---- TensorFlow Playground's, by its own formulas, point by point


def test_the_circle():
    points, targets = everything("circle", 2_000)
    radius = points.norm(dim=1)
    inner, outer = radius[targets == 1], radius[targets == 0]
    assert len(inner) == len(outer) == 1_000
    assert inner.max() <= 2.5 and outer.min() >= 3.5 and outer.max() <= 5.001
    assert inner.mean().item() == pytest.approx(1.25, abs=0.06)  # even in the radius, not over the area
    noisy, classes = everything("circle", 4_000, 0.5)
    assert 0.1 < ((noisy.norm(dim=1) < 2.5).long() != classes).double().mean() < 0.5
    assert noisy.norm(dim=1).max() <= 5.001  # it moves where the class is read, not the point


def test_the_quadrants():
    points, targets = everything("xor", 2_000)
    assert targets.tolist() == [int(x * y >= 0) for x, y in points.tolist()]
    assert points.abs().min() >= 0.3 and points.abs().max() <= 5.3


def test_the_gaussians():
    for noise, variance in ((0.0, 0.5), (0.5, 4.0), (0.25, 2.25)):
        points, targets = everything("gaussians", 8_000, noise)
        for label, centre in ((1, 2.0), (0, -2.0)):
            cloud = points[targets == label]
            assert cloud.mean(0).tolist() == pytest.approx([centre] * 2, abs=0.1)
            assert cloud.var(0).tolist() == pytest.approx([variance] * 2, rel=0.07)


def test_the_spiral():
    points, targets = everything("spiral", 100)
    for delta, label in ((0.0, 1), (math.pi, 0)):
        arm = points[targets == label].tolist()
        for i, (x, y) in enumerate(arm):
            radius, turn = i / 50 * 5, 1.75 * i / 50 * 2 * math.pi + delta
            assert (x, y) == pytest.approx((radius * math.sin(turn), radius * math.cos(turn)), abs=1e-5)
    noisy, _ = everything("spiral", 100, 0.5)
    assert 0.4 < (noisy - points).abs().max() <= 0.5


def test_two_arms_are_the_spiral_and_more_arms_are_it_turned():
    points, targets = everything("spiral", 100)
    same, classes = everything("spirals", 100)
    assert torch.equal(points, same) and torch.equal(targets, classes)
    points, targets = everything("spirals", 250, classes=5)
    turn = 2 * math.pi / 5
    clockwise = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    for label in range(4):
        turned = points[targets == label] @ clockwise
        torch.testing.assert_close(turned, points[targets == label + 1], atol=1e-4, rtol=0)


def test_the_plane():
    points, targets = everything("plane")
    assert targets.tolist() == pytest.approx([(x + y) / 10 for x, y in points.tolist()], abs=1e-6)
    points, targets = everything("plane", 20_000, 0.3)
    assert (targets - points.sum(1) / 10).var().item() == pytest.approx(2 * (0.1 * 6 * 0.3) ** 2 / 3, rel=0.05)


def test_the_six_bumps():
    def by_hand(x: float, y: float) -> float:
        label = 0.0
        for cx, cy, sign in BUMPS:
            new = sign * min(1.0, max(0.0, 1 - math.hypot(x - cx, y - cy) / 2))
            label = new if abs(new) > abs(label) else label
        return label

    points, targets = everything("multi_gaussian")
    assert targets.tolist() == pytest.approx([by_hand(*point) for point in points.tolist()], abs=1e-5)
    assert bumps(torch.tensor([[-4.0, 2.5], [0.0, 2.5], [2.0, 0.0]])).tolist() == [1, -1, 0]
    assert sum(sign for *_, sign in BUMPS) == 0


# ---- the others


def test_the_moons_are_scikit_learns():
    points, targets = everything("moons", 100)
    theirs, labels = make_moons(100, shuffle=False)
    for label in (0, 1):
        expected = 3 * (torch.tensor(theirs[labels == label]) - torch.tensor([0.5, 0.25]))
        torch.testing.assert_close(points[targets == label].double(), expected, atol=1e-5, rtol=0)
    noisy, _ = everything("moons", 4_000, 0.2)
    still, _ = everything("moons", 4_000)
    assert (noisy - still).std().item() == pytest.approx(0.6, rel=0.05)


@pytest.mark.parametrize("classes", range(2, 6))
def test_blobs_stand_evenly_on_a_ring(classes):
    points, targets = everything("blobs", 5_000, classes=classes)
    centres = torch.stack([points[targets == label].mean(0) for label in range(classes)])
    assert centres.norm(dim=1).tolist() == pytest.approx([3.5] * classes, abs=0.1)
    neighbours = (centres - centres.roll(1, 0)).norm(dim=1)
    assert neighbours.tolist() == pytest.approx([7 * math.sin(math.pi / classes)] * classes, abs=0.15)
