"""The digits against scikit-learn's own loader, and the ways to split and to move them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from core.data.digits import CANVAS, VARIANTS, load, place_at_random, shift, sklearn_file, stratified_split

ROOT = Path(__file__).parents[2]


def rows(images: Tensor, labels: Tensor) -> list[tuple[float, ...]]:
    """Each image with its label, as something that can be sorted and compared."""
    return [tuple(row) for row in torch.cat([images.flatten(1), labels[:, None]], 1).tolist()]


def test_all_digits_of_scikit_learn_are_there_once():
    theirs = load_digits()
    expected = rows(torch.tensor(theirs.images, dtype=torch.float32) / 16, torch.tensor(theirs.target))
    train_images, train_labels, test_images, test_labels = load()
    ours = rows(train_images, train_labels) + rows(test_images, test_labels)
    assert sorted(ours) == sorted(expected)
    assert train_images.shape == (len(train_labels), 1, 8, 8) and train_images.dtype == torch.float32
    assert train_labels.dtype == torch.int64
    assert (train_images.min(), train_images.max()) == (0, 1)


def test_the_parts_share_no_digit():
    train, test = (set(rows(images, labels)) for images, labels in (load()[:2], load()[2:]))
    assert not train & test


def test_every_class_is_split_eighty_to_twenty():
    _, train_labels, _, test_labels = load()
    for label in range(10):
        train, test = (train_labels == label).sum().item(), (test_labels == label).sum().item()
        assert abs(test - 0.2 * (train + test)) <= 0.5


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_stratified_split_is_a_partition_and_depends_on_its_seed_only(share):
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 8)[torch.randperm(68, generator=torch.Generator().manual_seed(0))]
    train, test = stratified_split(labels, share, seed=5)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(68))
    assert labels[test].bincount().tolist() == [round(40 * share), round(20 * share), round(8 * share)]
    again, other = stratified_split(labels, share, seed=5), stratified_split(labels, share, seed=6)
    assert torch.equal(test, again[1]) and not torch.equal(test, other[1])


def test_a_split_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    stratified_split(torch.arange(10) % 2, 0.5, seed=1)
    assert torch.equal(before, torch.get_rng_state())


def test_variants_show_the_same_digits_in_the_same_order():
    plain, upsampled, shifted = (load(variant) for variant in VARIANTS)
    assert torch.equal(plain.train_labels, upsampled.train_labels)
    assert torch.equal(plain.test_labels, shifted.test_labels)
    assert upsampled.test_images.shape[-2:] == shifted.test_images.shape[-2:] == (CANVAS, CANVAS)
    halved = torch.nn.functional.avg_pool2d(upsampled.test_images, 2)  # bilinear twofold, halved: a slight blur
    assert (halved - plain.test_images).abs().mean() < 0.1
    torch.testing.assert_close(shifted.test_images.sum((1, 2, 3)), plain.test_images.sum((1, 2, 3)))


def test_digits_are_shared_and_bad_variants_named():
    assert load() is load()
    with pytest.raises(ValueError, match="plain, upsampled, shifted"):
        load("rotated")


def test_a_missing_file_of_scikit_learn(monkeypatch):
    assert sklearn_file("data/digits.csv.gz").is_file()
    monkeypatch.setattr("core.data.digits.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="scikit-learn"):
        sklearn_file("data/digits.csv.gz")


def test_loading_does_not_import_scikit_learn():
    code = "import sys; from core.data.digits import load; load(); print([m for m in sys.modules if 'sklearn' in m])"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


# Moving


def test_place_at_random_keeps_each_image_whole():
    images = torch.rand(300, 2, 3, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    placed = place_at_random(images, 7, torch.Generator().manual_seed(1))
    assert placed.shape == (300, 2, 7, 7)
    corners = []
    for image, canvas in zip(images, placed, strict=True):
        ink = canvas[0].nonzero()
        top, left = ink.min(0).values.tolist()
        assert torch.equal(canvas[:, top : top + 3, left : left + 4], image)
        assert canvas.count_nonzero() == image.numel()
        corners.append((top, left))
    assert set(corners) == {(top, left) for top in range(5) for left in range(4)}  # every place occurs


def test_place_at_random_draws_from_the_given_generator_only():
    images, before = torch.ones(20, 1, 2, 2), torch.get_rng_state()
    first, again, other = (place_at_random(images, 9, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_an_image_as_large_as_the_canvas_has_one_place():
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(place_at_random(images, 4, torch.Generator().manual_seed(0)), images)


@pytest.mark.parametrize("right", range(-5, 6))
@pytest.mark.parametrize("down", [-6, -2, 0, 1, 4, 7])
def test_shift_moves_every_pixel_and_loses_what_leaves(right, down):
    images = torch.arange(1.0, 41.0).reshape(2, 1, 4, 5)
    moved = shift(images, right, down)
    for y in range(4):
        for x in range(5):
            inside = 0 <= y - down < 4 and 0 <= x - right < 5
            expected = images[..., y - down, x - right] if inside else torch.zeros(2, 1)
            assert torch.equal(moved[..., y, x], expected)


def test_shift_returns_a_new_tensor():
    images = torch.rand(1, 3, 3)
    still = shift(images, 0, 0)
    assert torch.equal(still, images)
    still += 1
    assert not torch.equal(still, images)
