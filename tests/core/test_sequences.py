"""The tasks on sequences, against what is known without memory, the original file and the order of time."""

import hashlib
import math

import pytest
import torch
import torch.nn.functional as F

from core.data.digits import load
from core.data.sequences import (
    BLANK,
    COPIED,
    GO,
    HELD_OUT_COUNT,
    SERIES_TASKS,
    TASKS,
    UNASKED,
    cut_windows,
    draw_sequences,
    held_out,
    longest_window,
    memoryless_loss,
    split_at,
    standard_of,
    standardised,
    steps_of,
    task_of,
    training_windows,
)
from core.data.sunspots import FIRST_YEAR, SUNSPOTS, yearly_sunspots

SERIES = tuple(math.sin(0.7 * step) + 0.01 * step for step in range(60))
GENERATED = ("recall", "adding", "copying", "sines")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(task: str, length: int = 10, count: int = 16, seed: int = 0, distractors: float = 0.0):
    return draw_sequences(task, length, count, generator(seed), distractors, SERIES)


@pytest.mark.parametrize("length", [2, 3, 9, 40])
@pytest.mark.parametrize("task", TASKS)
def test_shapes(task, length):
    shape, steps = task_of(task), steps_of(task, length)
    for sequences, count in ((drawn(task, length, 5), 5), (held_out(task, length, 0.0, SERIES), None)):
        count = count or sequences.inputs.shape[1]
        assert sequences.inputs.shape == (steps, count, shape.input_size) and sequences.inputs.dtype == torch.float32
        wanted = (steps, count) if shape.every_step else (count,)
        assert sequences.targets.shape == (wanted if shape.classes else (*wanted, 1))
        assert sequences.targets.dtype == (torch.long if shape.classes else torch.float32)
        if shape.classes:
            asked = sequences.targets[sequences.targets != UNASKED]
            assert asked.min() >= 0 and asked.max() < shape.output_size


@pytest.mark.parametrize("task", TASKS)
def test_equal_seeds_draw_equal_sequences_and_others_do_not(task):
    first, again, other = drawn(task), drawn(task), drawn(task, seed=1)
    assert torch.equal(first.inputs, again.inputs) and torch.equal(first.targets, again.targets)
    assert not torch.equal(first.inputs, other.inputs)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_held_out_is_the_same_for_everyone(task):
    first = held_out(task, 8, 0.0, SERIES)
    before = torch.random.get_rng_state()
    held_out.cache_clear()
    again = held_out(task, 8, 0.0, SERIES)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.inputs, again.inputs)
    torch.testing.assert_close(first.targets, again.targets, rtol=0, atol=0, equal_nan=True)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="recall"):
        task_of("nothing")
    with pytest.raises(ValueError, match="recall"):
        drawn("nothing")


# ---- generated


def test_recall_asks_for_the_first_symbol_and_later_ones_mean_nothing():
    plain, mixed = drawn("recall", 12, 4000), drawn("recall", 12, 4000, distractors=0.5)
    for inputs, targets in (plain, mixed):
        assert torch.equal(inputs[0, :, :4].argmax(-1), targets)
        assert torch.equal(inputs[:, :, 4], F.one_hot(torch.tensor(0), 12)[:, None].expand(12, 4000).float())
        assert torch.bincount(targets).min() > 900
    assert plain.inputs[1:].abs().sum() == 0
    later = mixed.inputs[1:, :, :4]
    assert later.sum(-1).mean().item() == pytest.approx(0.5, abs=0.02) and later.sum(-1).max() == 1
    agree = (later.argmax(-1) == mixed.targets)[later.sum(-1) > 0].float().mean().item()
    assert agree == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("length", [2, 7, 50])
def test_adding_is_the_sum_of_the_two_marked_values(length):
    inputs, targets = drawn("adding", length, 20_000)
    values, marks = inputs.unbind(-1)
    assert torch.equal(marks[: length // 2].sum(0), torch.ones(20_000))
    assert torch.equal(marks[length // 2 :].sum(0), torch.ones(20_000))
    torch.testing.assert_close((values * marks).sum(0), targets[:, 0])
    assert memoryless_loss("adding", length) == 1 / 6
    assert F.mse_loss(torch.ones_like(targets), targets).item() == pytest.approx(1 / 6, rel=0.04)


@pytest.mark.parametrize("length", [2, 10, 100])
def test_copying_repeats_after_the_signal_and_the_memoryless_answer_costs_what_it_should(length):
    inputs, targets = drawn("copying", length, 500)
    shown = inputs.argmax(-1)
    assert torch.equal(inputs.sum(-1), torch.ones(length + 20, 500))
    assert torch.equal(shown[:COPIED], targets[-COPIED:])
    assert (shown == GO).sum(0).eq(1).all() and (shown[COPIED + length - 1] == GO).all()
    assert (targets[:-COPIED] == BLANK).all() and (targets[-COPIED:] < BLANK).all()
    scores = torch.full((length + 20, 500, 9), -40.0)  # knows the time alone: blanks, then each symbol as likely
    scores[:-COPIED, :, BLANK] = 0.0
    scores[-COPIED:, :, :BLANK] = 0.0
    loss = F.cross_entropy(scores.flatten(0, 1), targets.flatten()).item()
    assert loss == pytest.approx(10 * math.log(8) / (length + 20), rel=1e-4)
    assert memoryless_loss("copying", length) == pytest.approx(loss, rel=1e-4)


def test_sines_are_followed_by_their_next_value_and_obey_the_recurrence_of_two_sines():
    inputs, targets = drawn("sines", 60, 50)
    assert torch.equal(inputs[1:], targets[:-1]) and inputs.abs().max() <= 1
    for waves in inputs[..., 0].T.double():  # x_t = a (x_{t−1} + x_{t−3}) + b x_{t−2} − x_{t−4} for two frequencies
        known = torch.stack([waves[3:-1] + waves[1:-3], waves[2:-2]], 1)
        wanted = waves[4:] + waves[:-4]
        found = torch.linalg.lstsq(known, wanted[:, None]).solution
        assert (known @ found - wanted[:, None]).abs().max() < 1e-4


# ---- real


def test_the_sunspots_are_the_original_file():
    words = SUNSPOTS.split()
    rows = [f"{FIRST_YEAR + number},{word}" for number, word in enumerate(words)]
    text = '"YEAR","SUNACTIVITY"\n' + "\n".join(rows) + "\n"
    assert len(words) == 309 and rows[-1] == "2008,2.9"
    assert hashlib.sha256(text.encode()).hexdigest() == (
        "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b"
    )


@pytest.mark.parametrize("task", SERIES_TASKS)
def test_the_held_out_part_of_a_series_is_its_end_and_nothing_of_it_is_trained_on(task):
    values = yearly_sunspots() if task == "sunspots" else SERIES
    cut, length = split_at(len(values)), 9
    shown = standardised(task, SERIES)
    mean, deviation = standard_of(task, SERIES)
    torch.testing.assert_close(shown * deviation + mean, torch.tensor(values), atol=1e-4, rtol=0)
    assert shown[:cut].mean().abs() < 1e-6 and shown[:cut].std(correction=0) == pytest.approx(1, abs=1e-6)
    train, test = training_windows(task, length, SERIES), held_out(task, length, 0.0, SERIES)
    assert train.inputs.shape[1] == cut - length and torch.equal(train.targets[-1, -1, 0], shown[cut - 1])
    assert torch.equal(train.inputs[1:], train.targets[:-1])
    torch.testing.assert_close(test.targets[-1, :, 0], shown[cut:], rtol=0, atol=0)  # each year once, asked at the end
    assert test.targets[:-1].isnan().all()
    torch.testing.assert_close(test.inputs[-1, :, 0], shown[cut - 1 : -1], rtol=0, atol=0)
    assert len(values) - cut == math.ceil(len(values) / 5)


def test_a_change_of_the_future_changes_nothing_that_is_trained_on():
    cut = split_at(len(SERIES))
    other = (*SERIES[:cut], *(1000.0 + value for value in SERIES[cut:]))
    assert torch.equal(training_windows("own", 9, SERIES).inputs, training_windows("own", 9, other).inputs)
    assert not torch.equal(held_out("own", 9, 0.0, SERIES).targets, held_out("own", 9, 0.0, other).targets)


def test_too_long_windows_and_constant_series_are_refused():
    most = longest_window(len(SERIES))
    assert training_windows("own", most, SERIES).inputs.shape[1] == 2
    with pytest.raises(ValueError, match=f"at most {most}"):
        training_windows("own", most + 1, SERIES)
    with pytest.raises(ValueError, match="one value"):
        training_windows("own", 3, (2.0,) * 50)


def test_windows():
    inputs, targets = cut_windows(torch.arange(6.0), 3)
    assert inputs[..., 0].T.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert targets[..., 0].T.tolist() == [[1, 2, 3], [2, 3, 4], [3, 4, 5]]


def test_digits_come_row_by_row_and_keep_their_split():
    digits = load()
    test = held_out("digits", 8)
    assert torch.equal(test.inputs.transpose(0, 1), digits.test_images[:, 0]) and len(test.targets) == 359
    assert torch.equal(test.targets, digits.test_labels)
    assert torch.equal(held_out("digits", 5).inputs, test.inputs[:5])
    longer = held_out("digits", 20).inputs
    assert torch.equal(longer[:8], test.inputs) and longer[8:].abs().sum() == 0
    train = drawn("digits", 8, 64)
    images = {
        image.numpy().tobytes(): label for image, label in zip(digits.train_images, digits.train_labels, strict=True)
    }
    for number in range(64):
        assert images[train.inputs[:, number].contiguous().numpy().tobytes()] == train.targets[number]


@pytest.mark.parametrize("task", GENERATED)
def test_generated_sequences_are_held_out_in_number(task):
    assert held_out(task, 8).inputs.shape[1] == HELD_OUT_COUNT
