"""The GRU against torch's layer, the textbook's equations, autograd, finite differences and the simple recurrent network."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from core.config import SettingError
from core.gru import (
    GATE_STATES,
    GRU,
    GRU_GATES,
    PIECE,
    PRESETS,
    RESETS,
    GRUConfig,
    clamped_scores,
    gate_value,
    gates_race,
    held_at,
    race,
)
from core.training import Race, Run, replay

SETTINGS = list(itertools.product(GATE_STATES, GATE_STATES, RESETS))
every_setting = pytest.mark.parametrize(("reset_gate", "update_gate", "reset"), SETTINGS)
T, B, D, HIDDEN = 13, 4, 3, 5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def cell(reset_gate="learned", update_gate="learned", reset="after", **options) -> GRU:
    gates = {"reset": reset_gate, "update": update_gate}
    return GRU(D, HIDDEN, gates=gates, reset=reset, generator=generator(), **options).double()


def gradients(model, x, state, weights) -> list[torch.Tensor]:
    """Of a weighted sum of all outputs and the last state: for x, the first state and every parameter."""
    leaves = [x.clone().requires_grad_(), state.clone().requires_grad_()]
    outputs, last = model(*leaves)
    loss = (outputs * weights).sum() + (last * weights[:1]).sum()
    return list(torch.autograd.grad(loss, [*leaves, *model.parameters()]))


def assert_equal(mine, theirs, within: float) -> None:
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=within, rtol=0)


# ---- torch's layer and the textbook's equations


def torchs(seed: int = 3) -> nn.GRU:
    layer = nn.GRU(D, HIDDEN).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(drawn(*parameter.shape, seed=seed))
            seed += 1
    return layer


@pytest.mark.parametrize("by_hand", [True, False])
def test_it_loads_torchs_state_dict_and_agrees_in_values_and_gradients(by_hand):
    layer, mine = torchs(), cell(by_hand=by_hand)
    assert {name: value.shape for name, value in mine.state_dict().items()} == {
        name: value.shape for name, value in layer.state_dict().items()
    }
    mine.load_state_dict(layer.state_dict())
    x, state, weights = drawn(T, B, D), drawn(1, B, HIDDEN, seed=2), drawn(T, B, HIDDEN, seed=7)
    for start in (None, state):
        assert_equal(mine(x, start), layer(x, start), 1e-12)
    assert mine(x)[1].shape == (1, B, HIDDEN)
    assert_equal(gradients(mine, x, state, weights), gradients(layer, x, state, weights), 1e-11)


def textbook(mine: GRU, x: torch.Tensor, state: torch.Tensor, before: bool) -> list[torch.Tensor]:
    """nndl's equations with column vectors, one example and one step at a time."""
    w_r, w_z, w = mine.weight_ih_l0.chunk(3)
    u_r, u_z, u = mine.weight_hh_l0.chunk(3)
    b_r, b_z, b = mine.bias_ih_l0.chunk(3)
    c_r, c_z, c = mine.bias_hh_l0.chunk(3)
    held = mine.gates
    states = []
    for example in range(x.shape[1]):
        h, path = state[0, example], []
        for t in range(len(x)):
            z = 1 / (1 + torch.exp(-(w_z @ x[t, example] + u_z @ h + b_z + c_z)))
            r = 1 / (1 + torch.exp(-(w_r @ x[t, example] + u_r @ h + b_r + c_r)))
            r = r if held["reset"] == "learned" else torch.full_like(r, held["reset"] == "open")
            z = z if held["update"] == "learned" else torch.full_like(z, held["update"] == "open")
            heard = u @ (r * h) + c if before else r * (u @ h + c)
            h = z * h + (1 - z) * torch.tanh(w @ x[t, example] + b + heard)
            path.append(h)
        states.append(torch.stack(path))
    return torch.stack(states, 1)


@every_setting
def test_every_setting_is_the_textbooks_equations(reset_gate, update_gate, reset):
    mine = cell(reset_gate, update_gate, reset)
    x, state = drawn(T, B, D).requires_grad_(), drawn(1, B, HIDDEN, seed=2).requires_grad_()
    expected = textbook(mine, x, state, reset == "before")
    assert_equal([mine(x, state)[0]], [expected], 1e-13)
    weights = drawn(T, B, HIDDEN, seed=7)
    found, by_torch = (
        torch.autograd.grad((outputs * weights).sum(), [x, state, *mine.parameters()], allow_unused=True)
        for outputs in (mine(x, state)[0], expected)
    )
    by_torch = [torch.zeros_like(one) if other is None else other for one, other in zip(found, by_torch, strict=True)]
    assert_equal(found, by_torch, 1e-11)


def test_the_two_places_of_the_reset_gate_differ():
    x = drawn(T, B, D)
    assert (cell(reset="before")(x)[0] - cell(reset="after")(x)[0]).abs().max() > 1e-3
    for held in ("open", "shut"):  # where r is 0 or 1 everywhere, only the bias b' can tell them apart
        one, other = cell(held, reset="before"), cell(held, reset="after")
        for model in (one, other):
            with torch.no_grad():
                model.bias_hh_l0.zero_()
        assert_equal([one(x)[0]], [other(x)[0]], 1e-14)


# ---- the gradient by hand


@every_setting
@pytest.mark.parametrize("size", [(T, B, D, HIDDEN), (2 * PIECE + 7, 2, 2, 3), (1, 1, 1, 1)])
def test_the_gradient_by_hand_is_autograds(reset_gate, update_gate, reset, size):
    length, batch, inputs, hidden = size
    x, state, weights = (
        drawn(length, batch, inputs),
        drawn(1, batch, hidden, seed=2),
        drawn(length, batch, hidden, seed=7),
    )
    one, other = (
        GRU(inputs, hidden, {"reset": reset_gate, "update": update_gate}, reset, generator(), by_hand).double()
        for by_hand in (True, False)
    )
    assert_equal(one(x, state), other(x, state), 4e-12)
    found, expected = gradients(one, x, state, weights), gradients(other, x, state, weights)
    assert_equal(found, expected, 5e-10)
    assert all(each.isfinite().all() for each in found)


@pytest.mark.parametrize("reset", RESETS)
def test_the_gradient_by_hand_is_a_finite_difference(reset):
    model = cell(reset=reset)
    x, state = drawn(4, 2, D).requires_grad_(), drawn(1, 2, HIDDEN, seed=2).requires_grad_()
    names = list(dict(model.named_parameters()))

    def outputs(x, state, *parameters):
        return torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x, state))[0]

    assert torch.autograd.gradcheck(outputs, (x, state, *model.parameters()))


def test_a_second_derivative_is_refused_and_not_wrong():
    model, x = cell(), drawn(T, B, D).requires_grad_()
    (first,) = torch.autograd.grad(model(x)[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()


def test_an_input_that_needs_no_gradient_gets_none():
    model, x = cell(), drawn(T, B, D)
    model(x)[0].sum().backward()
    assert x.grad is None and all(parameter.grad is not None for parameter in model.parameters())
    with torch.no_grad():
        assert not model(x)[0].requires_grad


# ---- gates that are held


@every_setting
def test_a_held_gate_has_no_gradient_at_all_and_a_learned_one_has(reset_gate, update_gate, reset):
    model = cell(reset_gate, update_gate, reset)
    model(drawn(T, B, D))[0].square().sum().backward()
    for rows, state in zip(range(2), (reset_gate, update_gate), strict=True):
        for parameter in model.parameters():
            gradient = parameter.grad.chunk(3)[rows]
            alive = state == "learned" and update_gate != "open"
            assert (gradient.abs().sum() > 0) == alive, (rows, state)


def test_a_held_gate_is_exactly_one_or_zero():
    for state, value in (("open", 1.0), ("shut", 0.0)):
        for name in GRU_GATES:
            trace = GRU(D, HIDDEN, {name: state}, generator=generator()).trace(drawn(T, B, D).float())
            assert (getattr(trace, name) == value).all()
    assert gate_value(torch.zeros(2), held_at({"reset": "learned", "update": "open"})[0]).tolist() == [0.5, 0.5]


def test_an_open_update_gate_copies_the_state_forever():
    state = drawn(1, B, HIDDEN, seed=2)
    outputs, last = cell(update_gate="open")(drawn(T, B, D), state)
    assert_equal([outputs, last], [state.expand(T, B, HIDDEN), state], 1e-15)
    assert (cell(update_gate="open")(drawn(T, B, D))[0] == 0).all()  # a state that begins at 0 is 0 exactly


def test_both_shut_it_sees_the_current_input_only():
    model, x = cell("shut", "shut"), drawn(T, B, D)
    changed = x.clone()
    changed[:-1] += 1
    assert torch.equal(model(x)[1], model(changed)[1])
    assert not torch.equal(cell("open", "shut")(x)[1], cell("open", "shut")(changed)[1])


@pytest.mark.parametrize("reset", RESETS)
def test_without_gates_it_is_the_simple_recurrent_network_of_torch(reset):
    """z = 0 and r = 1: equal values, and equal gradients for the rows of the candidate."""
    model, layer = cell("open", "shut", reset), nn.RNN(D, HIDDEN).double()
    layer.load_state_dict({name: value.chunk(3)[2] for name, value in model.state_dict().items()})
    x, state, weights = drawn(T, B, D), drawn(1, B, HIDDEN, seed=2), drawn(T, B, HIDDEN, seed=7)
    assert_equal(model(x, state), layer(x, state), 1e-14)
    mine, theirs = gradients(model, x, state, weights), gradients(layer, x, state, weights)
    assert_equal([*mine[:2], *(each.chunk(3)[2] for each in mine[2:])], theirs, 1e-12)


# ---- trace, weights, mistakes


@every_setting
def test_a_trace_has_every_step_and_its_states_are_the_outputs(reset_gate, update_gate, reset):
    model, x, state = cell(reset_gate, update_gate, reset), drawn(T, B, D), drawn(1, B, HIDDEN, seed=2)
    trace = model.trace(x, state)
    assert all(part.shape == (T, B, HIDDEN) for part in trace)
    assert_equal([trace.state], [model(x, state)[0]], 1e-14)
    earlier = torch.cat([state, trace.state[:-1]])
    blend = trace.update * earlier + (1 - trace.update) * trace.candidate
    assert_equal([trace.state], [blend], 1e-14)
    heard = torch.atanh(trace.candidate) - x @ model.weight_ih_l0.chunk(3)[2].T - model.bias_ih_l0.chunk(3)[2]
    assert_equal([trace.past], [heard], 1e-9)


def test_weights_are_torchs_distribution_of_the_runs_own_generator():
    before = torch.random.get_rng_state()
    first, again, other = (GRU(40, 50, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    for (name, one), same, another in zip(
        first.state_dict().items(), again.state_dict().values(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(one, same) and not torch.equal(one, another)
        assert one.abs().max() <= 50**-0.5 and one.std().item() == pytest.approx((50 * 3) ** -0.5, rel=0.1), name
    clamped = GRU(40, 50, {"update": "shut"}, "before", generator())
    assert all(torch.equal(clamped.state_dict()[name], value) for name, value in first.state_dict().items())


def test_only_gates_that_are_learned_have_parameters_that_count():
    assert GRU(D, HIDDEN).learned_count() == sum(p.numel() for p in nn.GRU(D, HIDDEN).parameters())
    assert GRU(D, HIDDEN, {"reset": "open", "update": "shut"}).learned_count() == sum(
        p.numel() for p in nn.RNN(D, HIDDEN).parameters()
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"gates": {"forget": "open"}}, "forget"),
        ({"gates": {"reset": "ajar"}}, "ajar"),
        ({"reset": "during"}, "during"),
    ],
)
def test_what_is_no_setting_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        GRU(D, HIDDEN, **options)


# ---- training


def losses(run: Run, part: str = "test") -> list[float]:
    return [record.scores[part]["Loss"] for record in run.history]


def steps_of(config, steps: int) -> Run:
    run = Run(config)
    run.advance(1e9, steps)
    run.evaluate()
    return run


def test_without_gates_it_trains_as_the_simple_recurrent_network_does():
    """Two programs, one function: the same initial weights, and curves that only rounding errors part."""
    ran = Race(race(PRESETS["ungated"]))
    ran.advance(1e9, 100)
    gated, simple = ran.runs["gru"], ran.runs["rnn"]
    assert losses(gated) == pytest.approx(losses(simple), abs=1e-5)
    assert losses(gated, "train") == pytest.approx(losses(simple, "train"), abs=1e-5)
    assert losses(gated) != pytest.approx(losses(gated)[:1] * len(losses(gated)), abs=1e-3)  # it did learn something
    weights, candidate = simple.snapshot().state, gated.snapshot().state
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        rows, start = candidate[f"cell.{name}"].chunk(3), gated.snapshots[0].state[f"cell.{name}"].chunk(3)
        torch.testing.assert_close(rows[2], weights[f"cell.{name}"], atol=1e-4, rtol=0)
        assert torch.equal(rows[0], start[0]) and torch.equal(rows[1], start[1])  # held gates stay as they were drawn
        assert not torch.equal(rows[2], start[2])


@pytest.mark.parametrize("name", ["adding", "recall", "textbook", "always_new"])
def test_runs_by_hand_and_by_autograd_have_one_curve(name):
    config = replace(PRESETS[name], length=12)
    by_hand, by_autograd = replay(config, steps=40), replay(config.reference(), steps=40)
    assert by_autograd.config.backward == "autograd" and not by_autograd.learner.model.cell.by_hand
    assert losses(by_hand) == pytest.approx(losses(by_autograd), abs=1e-5)
    assert losses(by_hand)[0] != losses(by_hand)[-1]


def test_races_train_the_same_sequences_with_as_many_units():
    config = GRUConfig(hidden=9, seed=4, task="recall", batch_size=7, clip=0.5, length=11, distractors=0.2)
    raced = race(config)
    assert list(raced) == ["gru", "lstm", "rnn"] and raced["gru"] == config
    for each in raced.values():
        assert (each.hidden, each.seed, each.batch_size, each.clip, each.length) == (9, 4, 7, 0.5, 11)
        assert (each.task, each.learning_rate, each.distractors) == ("recall", config.learning_rate, 0.2)
    clamped = replace(config, update_gate="shut", reset_place="before")
    assert gates_race(clamped) == {"gru": clamped, "full_gru": replace(config, reset_place="before")}
    assert list(gates_race(config)) == ["gru"]


def test_the_adding_problem_is_solved_by_gates_and_not_without():
    """T = 50; always saying 1 has an error of 1/6."""
    assert losses(steps_of(PRESETS["adding"], 450))[-1] < 0.01
    assert losses(steps_of(PRESETS["ungated"], 450))[-1] > 0.15


def test_a_frozen_state_stays_zero_and_only_the_readouts_bias_learns():
    run = steps_of(PRESETS["frozen"], 30)
    start, now = run.snapshots[0].state, run.snapshot().state
    assert [name for name in now if not torch.equal(start[name], now[name])] == ["readout.bias"]


def test_clamping_a_trained_network_measures_what_training_measured():
    run = steps_of(replace(PRESETS["digits"], hidden=16), 80)
    scores = clamped_scores(run.config, run.snapshot().state)
    assert len(scores) == 9
    assert scores["learned", "learned"] == run.history[-1].scores["test"]
    one_by_one = {}
    for reset, update in scores:
        model = Run(replace(run.config, reset_gate=reset, update_gate=update)).learner
        model.model.load_state_dict(run.snapshot().state)
        one_by_one[reset, update] = model.evaluate()["test"]
    assert scores == one_by_one
    assert scores["learned", "open"]["Accuracy"] < 0.2 < scores["learned", "learned"]["Accuracy"]
    assert len({tuple(each.values()) for each in scores.values()}) >= 7  # a shut past and a frozen state look alike


@pytest.mark.parametrize(
    "wrong", [{"reset_gate": "ajar"}, {"update_gate": "closed"}, {"reset_place": "during"}, {"backward": "magic"}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError) as caught:
        GRUConfig(**wrong)
    assert caught.value.field == next(iter(wrong))
