"""The recurrent lesson against torch's own RNN, its cell and finite differences."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.config import SettingError
from core.data.sequences import SERIES_TASKS, TASKS, held_out, split_at, standardised, steps_of, task_of
from core.rnn import (
    AHEAD,
    PRESETS,
    RECURRENT_STARTS,
    RNN,
    RNN_ACTIVATIONS,
    TDNN,
    RNNConfig,
    begun,
    first_unknown,
    forecast,
    look,
    parameter_counts,
    race,
    whole_series,
)
from core.training import Race, Run, replay

DOUBLE = torch.float64


def pair(activation: str, inputs: int = 3, hidden: int = 5, seed: int = 0) -> tuple[nn.RNN, RNN]:
    """torch's network, and ours with its state dict."""
    ours = RNN(inputs, hidden, activation, torch.Generator().manual_seed(seed), DOUBLE)
    theirs = nn.RNN(inputs, hidden, nonlinearity=activation, dtype=DOUBLE)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(-0.7, 0.7, generator=torch.Generator().manual_seed(seed + parameter.numel()))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def some(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed)).requires_grad_()


# ---- the cell


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 40])
@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_values_and_gradients_are_torchs(activation, steps, given):
    theirs, ours = pair(activation)
    x, start = some(steps, 4, 3), some(1, 4, 5, seed=2)
    found = []
    for network in (theirs, ours):
        outputs, state = network(x, start) if given else network(x)
        loss = (outputs.sin() * torch.linspace(-1, 1, outputs.numel(), dtype=DOUBLE).view_as(outputs)).sum()
        loss = loss + (state**3).sum()
        wanted = [x, *([start] if given else []), *network.parameters()]
        found.append([outputs, state, *torch.autograd.grad(loss, wanted)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_gradients_are_finite_differences(activation):
    _, ours = pair(activation)
    assert torch.autograd.gradcheck(lambda x, start: ours(x, start), (some(4, 2, 3), some(1, 2, 5, seed=2)))


@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_the_trace_is_the_pass(activation):
    _, ours = pair(activation)
    x, start = some(6, 4, 3), some(1, 4, 5, seed=2)
    seen, (outputs, state) = ours.trace(x, start), ours(x, start)
    torch.testing.assert_close(seen.hidden[1:], outputs, atol=1e-12, rtol=0)
    torch.testing.assert_close(seen.hidden[-1:], state, atol=1e-12, rtol=0)
    assert torch.equal(seen.hidden[0], start[0])
    total = seen.from_input + seen.from_past + ours.bias_ih_l0 + ours.bias_hh_l0
    torch.testing.assert_close(seen.net_input, total, atol=1e-12, rtol=0)
    torch.testing.assert_close(seen.from_past, seen.hidden[:-1] @ ours.weight_hh_l0.T, atol=1e-12, rtol=0)


def test_halves_of_a_sequence_are_the_whole():
    _, ours = pair("tanh")
    x = some(9, 2, 3)
    first, state = ours(x[:4])
    second, end = ours(x[4:], state)
    whole, last = ours(x)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


def test_weights_come_from_the_generator_alone_and_lie_where_torchs_do():
    before = torch.random.get_rng_state()
    first, again = (RNN(4, 16, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for mine, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)
        assert 0.15 < mine.abs().max() <= 0.25
    assert [(name, value.shape) for name, value in first.state_dict().items()] == [
        (name, value.shape) for name, value in nn.RNN(4, 16).state_dict().items()
    ]


def test_no_other_activation():
    with pytest.raises(ValueError, match="tanh, relu"):
        RNN(2, 3, "sigmoid")


# ---- the time-delay network


@pytest.mark.parametrize("delay", [0, 1, 4, 12])
@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_a_time_delay_network_is_a_convolution_over_time(activation, delay):
    ours = TDNN(3, 5, delay, activation, torch.Generator().manual_seed(0), DOUBLE)
    x = some(9, 4, 3)
    padded = F.pad(x.permute(1, 2, 0), (delay, 0))  # (B, D, T + p): the past is 0
    z = F.conv1d(padded, ours.weight.flip(2), ours.bias).permute(2, 0, 1)
    expected = torch.tanh(z) if activation == "tanh" else torch.relu(z)
    outputs, state = ours(x)
    assert state is None
    torch.testing.assert_close(outputs, expected, atol=1e-12, rtol=0)
    parameters = [x, *ours.parameters()]
    for mine, other in zip(
        torch.autograd.grad((outputs**2).sum(), parameters, retain_graph=True),
        torch.autograd.grad((expected**2).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(mine, other, atol=1e-10, rtol=0)


def test_a_window_sees_nothing_older_and_a_recurrence_does():
    x = some(12, 1, 3)
    for cell, oldest in ((TDNN(3, 5, 4, dtype=DOUBLE), 7), (RNN(3, 5, dtype=DOUBLE), 0)):
        (gradient,) = torch.autograd.grad(cell(x)[0][-1].sum(), x)
        seen = gradient.abs().amax((1, 2)) > 0
        assert seen[oldest:].all() and not seen[:oldest].any()


# ---- how U begins


def test_the_start_of_the_recurrent_weights():
    for name in RECURRENT_STARTS:
        cell = begun(RNN(3, 16, generator=torch.Generator().manual_seed(0)), name, torch.Generator().manual_seed(1))
        u = cell.weight_hh_l0.detach()
        if name == "uniform":
            assert torch.equal(u, RNN(3, 16, generator=torch.Generator().manual_seed(0)).weight_hh_l0)
            continue
        torch.testing.assert_close(u.T @ u, torch.eye(16), atol=1e-5, rtol=0)
        assert torch.equal(u, torch.eye(16)) == (name == "identity")
        assert not cell.bias_ih_l0.any() and not cell.bias_hh_l0.any()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_trained_and_repeated(name):
    config = replace(PRESETS[name], length=min(PRESETS[name].length, 12))
    for each in race(config).values():
        first = replay(each, steps=8)
        assert first.history == replay(each, steps=8).history and not first.diverged


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"delay": 41}, "delay"),
        ({"network": "lstm"}, "network"),
        ({"recurrent": "zero"}, "recurrent"),
        ({"length": 101}, "length"),
    ],
)
def test_impossible_settings_are_refused(settings, field):
    with pytest.raises(SettingError) as error:
        RNNConfig(**settings)
    assert error.value.field == field


def test_only_the_window_grows_with_its_delay_and_neither_with_the_length():
    small = parameter_counts(RNNConfig())
    assert small == parameter_counts(RNNConfig(length=90))
    assert small["rnn"] == 32 * 5 + 32 * 32 + 2 * 32 + 32 * 4 + 4
    assert small["tdnn"] == 32 * 5 * 9 + 32 + 32 * 4 + 4
    assert parameter_counts(RNNConfig(delay=9))["tdnn"] - small["tdnn"] == 32 * 5


# ---- what the pictures are given


@pytest.mark.parametrize("network", ["rnn", "tdnn"])
@pytest.mark.parametrize("task", [task for task in TASKS if task != "own"])
def test_what_is_seen_is_what_the_model_computes(task, network):
    config = RNNConfig(task=task, length=9, hidden=6, network=network)
    run = Run(config)
    seen = look(config, run.snapshot().state, example=3)
    sequences, cell = held_out(task, 9, config.distractors), run.learner.model.cell
    assert torch.equal(seen.inputs, sequences.inputs[:, 3])
    outputs, _ = cell(sequences.inputs[:, 3:4])
    torch.testing.assert_close(seen.hidden[1:], outputs[:, 0].detach(), atol=1e-5, rtol=0)
    assert seen.hidden.shape == (steps_of(task, 9) + 1, 6) and seen.answers.shape[1] == task_of(task).output_size
    bias = seen.net_input - seen.from_input - seen.from_past
    torch.testing.assert_close(bias, bias[:1].expand_as(bias), atol=1e-5, rtol=0)
    assert bool(seen.from_past.any()) == (network == "rnn")
    answers = run.learner.model.readout(outputs[:, 0])
    torch.testing.assert_close(seen.answers, answers.detach(), atol=1e-5, rtol=0)


def test_examples_are_counted_round():
    config = RNNConfig(task="sunspots", length=9)
    state = Run(config).snapshot().state
    assert torch.equal(look(config, state, 1).inputs, look(config, state, 63).inputs)  # 62 years are held out


def test_a_window_is_pushed_by_its_inputs_alone_and_then_by_the_bias():
    config = RNNConfig(network="tdnn", delay=2, length=6)
    state = Run(config).snapshot().state
    seen = look(config, state)
    weight, x = state["cell.weight"], seen.inputs
    by_hand = sum(weight[:, :, back] @ x[4 - back] for back in range(3))
    torch.testing.assert_close(seen.from_input[4], by_hand)
    torch.testing.assert_close(seen.net_input[4], by_hand + state["cell.bias"])
    assert state["cell.bias"].abs().min() > 0 and not seen.from_past.any()


@pytest.mark.parametrize("network", ["rnn", "tdnn"])
def test_a_forecast_one_step_ahead_is_the_held_out_answer(network):
    config = RNNConfig(task="sunspots", length=9, hidden=6, network=network)
    run = replay(config, steps=20)
    values, cut = standardised("sunspots"), split_at(309)
    made = forecast(config, run.snapshot().state, cut)
    assert torch.equal(made.values, values) and made.first == 9 and len(made.one_ahead) == 300
    error = (made.one_ahead[cut - 9 :] - values[cut:]).square().mean().item()
    assert error == pytest.approx(run.learner.evaluate()["test"]["Loss"], rel=1e-4)
    later = forecast(config, run.snapshot().state, cut, back=50)
    assert later.first == cut - 50 and torch.equal(later.ahead, made.ahead)
    torch.testing.assert_close(later.one_ahead, made.one_ahead[cut - 50 - 9 :])
    train = (made.one_ahead[: cut - 9] - values[9:cut]).square().mean().item()
    assert train == pytest.approx(run.learner.evaluate()["train"]["Loss"], rel=1e-4)


@pytest.mark.parametrize("network", ["rnn", "tdnn"])
@pytest.mark.parametrize("task", [*SERIES_TASKS, "sines"])
def test_a_forecast_feeds_on_itself_and_on_nothing_that_comes_later(task, network):
    series = tuple(float(value) for value in torch.sin(torch.arange(80) * 0.7)) if task == "own" else ()
    config = RNNConfig(task=task, length=9, hidden=6, network=network, series=series)
    run = replay(config, steps=5)
    known = first_unknown(config)
    made = forecast(config, run.snapshot().state, known)
    assert made.known == known and made.ahead.shape == (AHEAD,)
    model, values = run.learner.model, whole_series(config)
    fed = values[known - 9 : known].tolist()  # the same by feeding the whole sequence anew for each answer
    for expected in made.ahead.tolist():
        with torch.no_grad():
            inputs = fed if network == "rnn" else fed[-9:]
            outputs, _ = model.cell(torch.tensor(inputs)[:, None, None])
            fed.append(model.readout(outputs[-1]).item())
        assert fed[-1] == pytest.approx(expected, abs=1e-4)
    assert forecast(config, run.snapshot().state, 10_000).known == len(values)
    assert forecast(config, run.snapshot().state, 0).known == 9


# ---- what the lesson says


def accuracies(config: RNNConfig, steps: int) -> dict[str, float]:
    compared = Race(race(config))
    while compared.steps < steps:
        compared.step()
    return {name: run.learner.evaluate()["test"]["Accuracy"] for name, run in compared.runs.items()}


def test_the_window_fails_beyond_its_reach_and_the_recurrence_carries_on():
    config = RNNConfig(length=12, delay=10)
    found = accuracies(config, 120)
    assert found["rnn"] > 0.98 and found["tdnn"] < 0.4
    assert accuracies(replace(config, delay=11), 120)["tdnn"] > 0.98
