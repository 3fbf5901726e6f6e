"""The learner of the recurrent lessons, with torch's own cell in it, against torch's own loop."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.config import Limits, SettingError
from core.data.sequences import SERIES_TASKS, TASKS, draw_sequences, held_out, task_of
from core.sequence_learner import (
    SequenceConfig,
    build_model,
    clip_norm,
    model_of,
    sequence_accuracy,
    sequence_loss,
)
from core.training import Run, replay

SERIES = tuple(math.sin(0.7 * step) + 0.01 * step for step in range(60))


@dataclass(frozen=True, kw_only=True)
class TheirsConfig(SequenceConfig):
    """torch's GRU."""

    scale: int = 1
    LIMITS: ClassVar[dict[str, Limits]] = SequenceConfig.LIMITS | {"scale": range(1, 4)}

    def cell(self, generator: torch.Generator) -> nn.Module:
        cell = nn.GRU(task_of(self.task).input_size, self.hidden)
        for parameter in cell.parameters():
            nn.init.uniform_(parameter, -0.2, 0.2, generator=generator)
        return cell


def config_of(task: str, **settings) -> TheirsConfig:
    return TheirsConfig(task=task, length=6, hidden=5, series=SERIES if task == "own" else (), **settings)


@pytest.mark.parametrize("task", TASKS)
def test_runs_are_repeated_to_the_last_bit_and_measure_what_the_task_has(task):
    first, again = replay(config_of(task), steps=12), replay(config_of(task), steps=12)
    assert first.history == again.history and first.history != replay(config_of(task, seed=1), steps=12).history
    names = {metric.name for metric in first.metrics}
    assert names == ({"Loss", "Accuracy"} if task_of(task).classes else {"Loss"})
    for record in first.history:
        assert all(
            set(scores) == names and all(map(math.isfinite, scores.values())) for scores in record.scores.values()
        )


@pytest.mark.parametrize("task", TASKS)
def test_an_update_is_torchs_own(task):
    """The same weights and batches through autograd's `backward`, torch's clipping and torch's Adam."""
    config = config_of(task, clip=0.01)
    run = Run(config)
    generator = torch.Generator()
    generator.set_state(run.generator.get_state())
    model = build_model(config, torch.Generator())
    model.load_state_dict(run.learner.state())
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    for _ in range(3):
        inputs, targets = draw_sequences(task, 6, config.batch_size, generator, 0.0, SERIES)
        answers = model(inputs)
        if task == "copying":
            loss = F.cross_entropy(answers.reshape(-1, 9), targets.reshape(-1))
        else:
            loss = F.cross_entropy(answers, targets) if task_of(task).classes else F.mse_loss(answers, targets)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        run.step()
        assert run.learner.gradient_norm == pytest.approx(norm.item(), rel=1e-5)
        assert norm > config.clip
    for name, value in model.state_dict().items():
        torch.testing.assert_close(run.learner.state()[name], value, atol=1e-5, rtol=0)


def test_a_clipped_gradient_keeps_its_direction_and_a_short_one_is_left():
    gradients = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    assert clip_norm(gradients, 10.0) == 5.0 and gradients[0].tolist() == [3.0, 0.0]
    assert clip_norm(gradients, 1.0) == 5.0
    assert gradients[0][0].item() == pytest.approx(0.6) and gradients[1].item() == pytest.approx(0.8)
    assert clip_norm(gradients, math.inf) == pytest.approx(1.0)


def test_one_gradient_of_two_biases_is_scaled_once():
    """Of biases that are only ever added, autograd gives the same tensor twice."""
    first, second = torch.zeros(2, requires_grad=True), torch.zeros(2, requires_grad=True)
    gradients = list(torch.autograd.grad((first + second) @ torch.tensor([3.0, 4.0]), [first, second]))
    assert gradients[0].data_ptr() == gradients[1].data_ptr()
    norm = clip_norm(gradients, 1.0)
    assert norm == pytest.approx(math.sqrt(50))
    assert torch.cat(gradients).norm().item() == pytest.approx(1.0, abs=1e-6)


def test_it_learns_delayed_recall():
    run = replay(TheirsConfig(length=4, hidden=16, learning_rate=0.02), steps=150)
    assert run.history[0].scores["test"]["Accuracy"] < 0.5
    assert run.learner.evaluate()["test"]["Accuracy"] == 1.0


def test_a_snapshot_is_the_whole_model():
    run = replay(config_of("recall"), steps=5)
    sequences = held_out("recall", 6)
    model = model_of(run.config, run.snapshot().state)
    assert torch.equal(model(sequences.inputs), run.learner.model(sequences.inputs))
    assert set(run.snapshot().state) == {
        *(f"cell.{name}" for name in nn.GRU(5, 5).state_dict()),
        "readout.weight",
        "readout.bias",
    }


def test_losses_leave_out_what_is_not_asked():
    generator = torch.Generator().manual_seed(0)
    scores, classes = torch.randn(5, 3, 4, generator=generator), torch.randint(4, (5, 3), generator=generator)
    asked = classes.clone()
    asked[:3] = -1
    expected = F.cross_entropy(scores[3:].reshape(-1, 4), classes[3:].reshape(-1))
    torch.testing.assert_close(sequence_loss(scores, asked), expected)
    values, wanted = torch.randn(2, 5, 3, 1, generator=generator)
    partly = wanted.clone()
    partly[:4] = math.nan
    torch.testing.assert_close(sequence_loss(values, partly), F.mse_loss(values[4:], wanted[4:]))


def test_accuracy_counts_the_repeated_symbols_alone():
    targets = torch.tensor([[8, 8], [1, 2]])
    answers = F.one_hot(torch.tensor([[0, 0], [1, 3]]), 9).float()
    assert sequence_accuracy("copying", answers, targets) == 0.5
    assert sequence_accuracy("recall", answers, targets) == 0.25


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"length": 1}, "length"),
        ({"task": "weather"}, "task"),
        ({"hidden": 0}, "hidden"),
        ({"distractors": 1.5}, "distractors"),
        ({"clip": -1.0}, "clip"),
        ({"scale": 4}, "scale"),
        ({"task": "own"}, "series"),
        ({"task": "own", "series": SERIES[:11], "length": 2}, "series"),
        ({"task": "own", "series": (1.0,) * 40, "length": 2}, "series"),
        ({"series": (1.0, math.nan)}, "series"),
        ({"task": "own", "series": SERIES, "length": 47}, "length"),
    ],
)
def test_impossible_settings_are_refused(settings, field):
    with pytest.raises(SettingError) as error:
        TheirsConfig(**settings)
    assert error.value.field == field


@pytest.mark.parametrize("task", SERIES_TASKS)
def test_every_length_that_is_allowed_can_be_trained(task):
    longest = 46 if task == "own" else 100
    run = replay(replace(config_of(task), length=longest), steps=2)
    assert run.history[-1].scores["test"]["Loss"] > 0


def test_the_shared_config_has_no_cell():
    with pytest.raises(NotImplementedError):
        Run(SequenceConfig())


def test_of_a_long_series_windows_from_all_over_it_are_measured():
    series = tuple(math.sin(0.7 * step) + 0.01 * step for step in range(2000))
    measured = Run(TheirsConfig(task="own", length=6, hidden=5, series=series)).learner.train_sequences
    assert 200 < measured.inputs.shape[1] <= 256
    assert measured.inputs[0, 0, 0] < -1.5 and measured.inputs[0, -1, 0] > 1.5  # it rises
    short = Run(config_of("sunspots")).learner.train_sequences
    assert short.inputs.shape[1] == 309 - 62 - 6
