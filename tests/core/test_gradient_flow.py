"""Gradients through time against torch's own layers, finite differences, formulas, and the bounds of the textbook."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.config import SettingError
from core.data.sequences import draw_sequences
from core.gradient_flow import (
    CELLS,
    CLIPPINGS,
    GRADIENT,
    LARGEST_FLOAT32,
    PRESETS,
    REACH,
    SMALLEST_FLOAT32,
    STEEPEST_SLOPE,
    GradientFlowConfig,
    Weights,
    bound,
    cell_step,
    chained,
    clip_values,
    flow_of,
    gradient_flow,
    gradients_of,
    initial_state,
    jacobians,
    powers,
    race,
    runaway,
    sheared,
    sizes,
    spectral_radius,
    time_steps,
    unroll,
    watched,
    weights_of,
)
from core.neuron import derivative
from core.sequence_learner import build_model, clip_norm
from core.training import Run, replay

ACTIVATIONS = tuple(STEEPEST_SLOPE)
SMALL = GradientFlowConfig(length=12, hidden=6, radius=1.1)
EXPLODING = GradientFlowConfig(length=50, radius=1.5, optimizer="sgd", learning_rate=0.01)
TORCHS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def double(config: GradientFlowConfig) -> Weights:
    return weights_of(initial_state(config)).to(torch.float64)


def sequences(length: int, count: int = 3) -> torch.Tensor:
    return torch.randn(length, count, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


# ---- the unrolled network


@pytest.mark.parametrize("unit", CELLS)
def test_step_by_step_it_is_torchs_layer(unit):
    weights, x = double(replace(SMALL, unit=unit)), sequences(12)
    assert weights.cell == unit
    theirs = TORCHS[unit](5, 6).double()
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    biased = weights._replace(recurrent_bias=torch.linspace(-1, 1, len(weights.recurrent_bias), dtype=torch.float64))
    theirs.load_state_dict(dict(zip(names, biased[:4], strict=True)))
    expected, last = theirs(x)
    states = unroll(biased, x)
    torch.testing.assert_close(torch.stack([state[0] for state in states]), expected, atol=1e-12, rtol=0)
    if unit == "lstm":
        torch.testing.assert_close(states[-1][1], last[1][0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("unit", CELLS)
def test_the_picture_shows_the_network_that_is_trained(unit, activation):
    config = replace(SMALL, unit=unit, activation=activation, task="recall")
    model = build_model(config, torch.Generator().manual_seed(config.seed))
    x = sequences(12).float()
    outputs, _ = model.cell(x)
    states = unroll(weights_of(initial_state(config)), x, activation)
    torch.testing.assert_close(torch.stack([state[0] for state in states]), outputs, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "identity"])
def test_the_gradient_of_the_other_activations_is_that_of_a_finite_difference(activation):
    config = replace(SMALL, activation=activation)
    cell = config.cell(torch.Generator().manual_seed(0)).double()
    x = sequences(5, 2)
    assert torch.autograd.gradcheck(lambda x, w: functional(cell, x, w), (x.requires_grad_(), cell.weight_hh_l0))


def functional(cell: nn.Module, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return torch.func.functional_call(cell, {"weight_hh_l0": weight}, (x,))[0]


# ---- how the recurrent weights begin


@pytest.mark.parametrize("unit", CELLS)
def test_every_recurrent_block_is_a_multiple_of_a_rotation(unit):
    weights = double(replace(SMALL, unit=unit, radius=0.7, forget_bias=3.0))
    for block in weights.recurrent.split(6):
        torch.testing.assert_close(block @ block.T, 0.49 * torch.eye(6, dtype=torch.float64), atol=1e-6, rtol=0)
        assert spectral_radius(block) == pytest.approx(0.7, abs=1e-6)
    biases = (weights.input_bias + weights.recurrent_bias).split(6)
    keeping = 3.0 if unit != "rnn" else 0.0  # the second block: the LSTM's forget gate, the GRU's update gate
    assert [bias.unique().tolist() for bias in biases] == [[keeping] if i == 1 else [0.0] for i in range(len(biases))]


def test_what_is_compared():
    config = GradientFlowConfig()
    assert {name: each.unit for name, each in race(config).items()} == {
        "simple_rnn": "rnn",
        "lstm": "lstm",
        "gru": "gru",
    }
    three = race(replace(config, compare="clipping", unit="gru"))
    assert [each.clip_by for each in three.values()] == list(CLIPPINGS)
    assert {each.unit for each in three.values()} == {"gru"}
    states = [Run(each).snapshot().state for each in three.values()]
    for name in states[0]:  # all three begin alike
        assert torch.equal(states[0][name], states[1][name]) and torch.equal(states[0][name], states[2][name])


@pytest.mark.parametrize("wrong", [{"length": 1}, {"length": 201}, {"radius": 0.0}, {"unit": "cnn"}, {"clip": 0.0}, {"activation": "step"}])  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError):
        GradientFlowConfig(**wrong)


# ---- the gradient at every step


def loss_from(weights: Weights, x: torch.Tensor, state: tuple, targets: torch.Tensor, classes: bool, activation: str):
    """The last step's loss, of the state before the rest x (rest, B, D) of the sequence."""
    for step in x @ weights.input.T + weights.input_bias:
        state = cell_step(weights, step, state, activation)
    output = state[0] @ weights.readout.T + weights.readout_bias
    if classes:
        return nn.functional.cross_entropy(output, targets, reduction="sum")
    return nn.functional.mse_loss(output, targets, reduction="sum")


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize(("unit", "activation"), [("rnn", "tanh"), ("rnn", "sigmoid"), ("lstm", "tanh"), ("gru", "tanh")])  # fmt: skip
def test_the_gradient_is_that_of_a_finite_difference_at_every_step(unit, activation, classes):
    config = replace(SMALL, unit=unit, activation=activation)
    weights, x = double(config), sequences(12)
    targets = torch.tensor([0, 3, 1]) if classes else torch.randn(3, 4, generator=torch.Generator().manual_seed(2)).double()  # fmt: skip
    flow = gradient_flow(weights, x, targets, classes, activation, torch.float64)
    with torch.no_grad():
        states = unroll(weights, x, activation)
    for path, found in enumerate([flow.hidden] if flow.memory is None else [flow.hidden, flow.memory]):
        for t in (0, 5, 11):
            gradient, h = torch.zeros(3, 6, dtype=torch.float64), 1e-5
            for sequence in range(3):
                for unit_number in range(6):
                    sides = []
                    for sign in (1, -1):
                        state = [part.detach().clone() for part in states[t]]
                        state[path][sequence, unit_number] += sign * h
                        if unit == "lstm" and path == 1:  # h = o ⊙ tanh c moves with c
                            old = states[t][1].detach()
                            state[0] = state[0] / torch.tanh(old) * torch.tanh(state[1])
                        sides.append(loss_from(weights, x[t + 1 :], tuple(state), targets, classes, activation))
                    gradient[sequence, unit_number] = (sides[0] - sides[1]) / (2 * h)
            assert found[t].item() == pytest.approx(gradient.norm(dim=1).mean().item(), rel=1e-5, abs=1e-10)


def test_the_last_step_by_the_formula():
    weights, x = double(SMALL), sequences(12)
    targets = torch.ones(3, 4, dtype=torch.float64)
    flow = gradient_flow(weights, x, targets, False, dtype=torch.float64)
    with torch.no_grad():
        output = unroll(weights, x)[-1][0] @ weights.readout.T + weights.readout_bias
    expected = (2 * (output - targets) @ weights.readout).norm(dim=1).mean()
    assert flow.hidden[-1].item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("task", GradientFlowConfig.LIMITS["task"])
@pytest.mark.parametrize("unit", CELLS)
def test_every_task_asks_for_its_last_step(task, unit):
    series = tuple(math.sin(step) for step in range(40)) if task == "own" else ()
    config = GradientFlowConfig(task=task, unit=unit, length=9, series=series)
    flow = flow_of(config, initial_state(config))
    assert time_steps(config) == (29 if task == "copying" else 9)
    assert flow.hidden.shape == (time_steps(config),) and flow.hidden.isfinite().all() and flow.hidden[-1] > 0
    assert (flow.memory is not None) == (unit == "lstm")
    assert watched(config).inputs.shape[:2] == (time_steps(config), min(16, watched(config).inputs.shape[1]))


def test_without_the_path_of_the_cell_state_an_lstm_would_seem_to_forget():
    config = GradientFlowConfig(unit="lstm", forget_bias=6.0, radius=0.1, length=100)
    flow = flow_of(config, initial_state(config))
    assert flow.memory[0] > 5 * flow.hidden[0]
    assert flow.reach() == pytest.approx((flow.memory[0] / flow.hidden[-1]).item())
    kept = torch.sigmoid(torch.tensor(6.0)) ** 99
    assert (flow.memory[0] / flow.memory[-1]).item() > 0.5 * kept.item()


# ---- Jacobians


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_jacobian_of_a_simple_network_is_slope_times_weights(activation):
    weights, x = double(replace(SMALL, activation=activation)), sequences(12)[:, 0]
    found = jacobians(weights, x, activation)
    with torch.no_grad():
        states = torch.cat([state[0] for state in unroll(weights, x[:, None], activation)])
        net_input = x[1:] @ weights.input.T + states[:-1] @ weights.recurrent.T
    expected = derivative(net_input, activation)[:, :, None] * weights.recurrent
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("unit", CELLS)
def test_the_product_of_all_factors_is_the_gradient(unit):
    config = replace(SMALL, unit=unit)
    weights, x = double(config), sequences(12)[:, :1]
    targets = torch.tensor([2])
    products = chained(jacobians(weights, x[:, 0]))
    with torch.enable_grad():
        states = unroll(weights, x)
        output = states[-1][0] @ weights.readout.T + weights.readout_bias
        loss = nn.functional.cross_entropy(output, targets)
        gradients = gradients_of(loss, states)
        at_end = gradients[0][-1]
    if unit == "lstm":  # of the state (h, c) the loss sees h alone; c gets its share through h in the same step
        at_end = torch.cat([at_end, torch.zeros_like(at_end)], 1)
    for back, product in enumerate(products, start=1):
        reached = (at_end @ product)[0]
        expected = gradients[0][-1 - back][0]
        torch.testing.assert_close(reached[:6], expected, atol=1e-12, rtol=1e-9)


def test_factors_are_multiplied_from_the_end():
    factors = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = chained(factors)
    torch.testing.assert_close(found[0], factors[2])
    torch.testing.assert_close(found[2], factors[2] @ factors[1] @ factors[0])


@pytest.mark.parametrize("radius", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_no_product_is_larger_than_the_bound(activation, radius):
    config = replace(SMALL, radius=radius, activation=activation, length=30, task="recall")
    weights = double(config)
    factors = jacobians(weights, sequences(30)[:, 0], activation)
    found, most = sizes(chained(factors)), bound(weights, activation, 29)
    assert (found <= most * (1 + 1e-9)).all()
    torch.testing.assert_close(most[0].item(), STEEPEST_SLOPE[activation] * radius, atol=1e-5, rtol=0)
    torch.testing.assert_close(most[-1], most[0] ** 29)
    if activation == "identity":  # a rotation stretches every vector alike: the bound is reached
        torch.testing.assert_close(found, most, atol=0, rtol=1e-5)


def test_a_singular_value_below_one_suffices_to_vanish_and_one_above_does_not_suffice_to_explode():
    small = replace(SMALL, length=60, radius=0.9)
    assert flow_of(small, initial_state(small)).reach() < 0.9**59 * 1.01
    large = replace(SMALL, length=60, radius=1.5, activation="sigmoid")
    assert flow_of(large, initial_state(large)).reach() < 1e-12


def test_vanishing_needs_no_factor_of_zero():
    config = GradientFlowConfig()
    inputs, _ = watched(config)
    factors = jacobians(weights_of(initial_state(config)), inputs[:, 0])
    assert torch.linalg.svdvals(factors).min() > 0.1, "no factor is anywhere near 0"
    assert sizes(chained(factors))[-1] < 1e-8, "and yet their product vanishes"


# ---- the counter-example


def test_a_spectral_radius_below_one_does_not_keep_powers_small():
    matrix = sheared(0.9, 5.0)
    assert spectral_radius(matrix) == pytest.approx(0.9)
    found = powers(matrix, 200)
    for t in (0, 1, 9, 40):
        expected = torch.tensor([[0.9**t, t * 0.9 ** (t - 1) * 5], [0, 0.9**t]], dtype=torch.float64)
        torch.testing.assert_close(found[t], expected)
    norms = sizes(found)
    assert norms.argmax().item() == 9 and norms.max().item() == pytest.approx(19.38, abs=0.005)
    assert norms[200] < 1e-5, "in the end they do vanish"
    assert norms[1] > 1, "the largest singular value of W is what grows first"


# ---- overflow


def test_when_float32_overflows_and_when_it_underflows():
    for factor, count in ((3.0, 100), (1.1, 1000), (0.5, 200), (0.25, 100)):
        found, exact = runaway(factor, count, torch.float32), runaway(factor, count, torch.float64)
        torch.testing.assert_close(exact[-1].item(), factor**count, rtol=1e-9, atol=0)
        limit = LARGEST_FLOAT32 if factor > 1 else SMALLEST_FLOAT32 / 2
        first = math.floor(math.log(limit) / math.log(factor)) + 1  # the first power past the limit
        past = found.isinf() if factor > 1 else found == 0
        assert abs(past.nonzero()[0].item() + 1 - first) <= 1, "rounding may move it by one"
        assert exact.isfinite().all() and (exact > 0).all()


def test_limits_of_float32_are_its_own():
    assert torch.tensor(LARGEST_FLOAT32).item() == torch.finfo(torch.float32).max
    assert torch.tensor(SMALLEST_FLOAT32).item() == torch.finfo(torch.float32).smallest_normal * torch.finfo(torch.float32).eps  # fmt: skip
    assert torch.tensor(SMALLEST_FLOAT32).item() / 2 > 0 == torch.tensor(SMALLEST_FLOAT32 / 2).item()


def test_a_gradient_overflows_in_float32_while_the_loss_stays_finite():
    config = PRESETS["overflow"]
    state = initial_state(config)
    single, exact = flow_of(config, state), flow_of(config, state, torch.float64)
    assert not single.hidden[0].isfinite() and exact.hidden.isfinite().all()
    assert exact.hidden[0] > LARGEST_FLOAT32
    run = Run(config)
    assert math.isfinite(run.history[0].scores["train"]["Loss"])
    run.step()
    run.step()
    assert run.diverged, "an update by inf leaves no number in the weights"


def test_lengths_are_taken_where_squares_do_not_overflow():
    weights = double(replace(SMALL, activation="identity", radius=3.0)).to(torch.float32)
    weights = weights._replace(readout=weights.readout * 1e-12)
    flow = gradient_flow(weights, sequences(60), torch.zeros(3, 4), False, "identity")
    assert (flow.hidden[:5] > 1e19).all() and flow.hidden.isfinite().all()


# ---- clipping


def gradients() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(4, 3, generator=generator), 5 * torch.randn(7, generator=generator)]


@pytest.mark.parametrize("largest", [0.5, 2.0, 100.0])
def test_clipping_is_torchs(largest):
    for ours, theirs in ((clip_norm, nn.utils.clip_grad_norm_), (clip_values, nn.utils.clip_grad_value_)):
        mine, parameters = gradients(), [nn.Parameter(torch.zeros_like(each)) for each in gradients()]
        for parameter, gradient in zip(parameters, gradients(), strict=True):
            parameter.grad = gradient
        before = torch.cat([each.flatten() for each in mine]).norm().item()
        theirs(parameters, largest)
        assert ours(mine, largest) == pytest.approx(before, rel=1e-6)
        for each, parameter in zip(mine, parameters, strict=True):
            torch.testing.assert_close(each, parameter.grad)


def test_only_clipping_by_norm_keeps_the_direction():
    direction = torch.cat([each.flatten() for each in gradients()])
    for clip, kept in ((clip_norm, True), (clip_values, False)):
        mine = gradients()
        clip(mine, 0.5)
        clipped = torch.cat([each.flatten() for each in mine])
        assert (torch.cosine_similarity(direction, clipped, dim=0).item() > 0.9999) == kept


def test_an_update_is_no_longer_than_clipping_by_norm_allows():
    config = replace(EXPLODING, clip_by="norm", clip=0.5, learning_rate=0.1)
    run = Run(config)
    for _ in range(5):
        before = run.snapshot().state
        run.step()
        after = run.snapshot().state
        moved = torch.cat([(after[name] - before[name]).flatten() for name in after]).norm().item()
        assert moved == pytest.approx(0.1 * min(0.5, run.learner.gradient_norm), rel=1e-3)
    loose = Run(replace(config, clip_by="none"))
    before = loose.snapshot().state
    loose.step()
    moved = torch.cat([(loose.snapshot().state[name] - before[name]).flatten() for name in before]).norm().item()
    assert moved == pytest.approx(0.1 * loose.learner.gradient_norm, rel=1e-3) and loose.learner.gradient_norm > 5


def test_the_curve_keeps_every_burst():
    config = replace(EXPLODING, length=20)
    run, norms = Run(config), []
    assert GRADIENT.name not in run.history[0].scores["train"], "there has been no update"
    other = Run(config)
    while run.steps < 64:
        run.step()
        other.step(measure=True)  # evaluating more often must not change what is due
        norms.append(run.learner.gradient_norm)
    due = [record for record in run.history if record.step]
    before = 0
    for record in due:
        assert record.scores["train"][GRADIENT.name] == max(norms[before : record.step])
        before = record.step
    often = {record.step: record.scores for record in other.history[1:]}
    assert all(often[record.step]["train"] == record.scores["train"] for record in due)
    assert any(b.step - a.step > 1 for a, b in itertools.pairwise(due))


def test_a_norm_that_is_no_number_is_not_hidden_by_a_smaller_one():
    run = Run(replace(PRESETS["overflow"], length=60, radius=1.0))
    run.step()
    with torch.no_grad():
        run.learner.parameters[1].mul_(math.nan)
    run.learner.update(0.001)
    assert math.isnan(run.learner.largest)


def test_the_gradient_norm_of_an_update_is_autograds():
    config = replace(SMALL, unit="gru")
    run = Run(config)
    model = build_model(config, generator := torch.Generator().manual_seed(config.seed))
    draw_sequences("recall", 12, 256, generator)  # those that are measured
    batch = draw_sequences("recall", 12, config.batch_size, generator)
    nn.functional.cross_entropy(model(batch.inputs), batch.targets).backward()
    expected = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm().item()
    run.step()
    assert run.learner.gradient_norm == pytest.approx(expected, rel=1e-5)


# ---- learning


def test_reach_is_measured_of_the_weights_of_the_moment():
    run = replay(replace(SMALL, unit="lstm"), steps=8)
    flow = flow_of(run.config, run.snapshot().state)
    assert run.history[-1].scores["train"][REACH.name] == pytest.approx((flow.memory[0] / flow.hidden[-1]).item())


def test_underflow_is_not_zero_on_a_logarithmic_axis():
    config = replace(SMALL, length=200, radius=0.1)
    flow = flow_of(config, initial_state(config))
    assert flow.hidden[0] == 0 and flow.reach() == SMALLEST_FLOAT32


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_are_settings_of_their_own(name):
    assert list(PRESETS.values()).count(PRESETS[name]) == 1
    assert next(iter(PRESETS.values())) == GradientFlowConfig()
