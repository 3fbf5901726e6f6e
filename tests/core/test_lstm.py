"""The LSTM against torch's own, against the formulas written out number by number, and against what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from core.config import SettingError
from core.data.sequences import held_out, task_of
from core.lstm import CLAMPS, GATE_SETTINGS, LSTM, LSTM_GATES, LSTMConfig, clamped, clamped_scores, race
from core.training import Run

T, B, D, HIDDEN = 9, 3, 2, 4
PINS = [dict(zip(LSTM_GATES, settings, strict=True)) for settings in product(GATE_SETTINGS, repeat=3)]
VARIANTS = {
    "plain": {},
    "coupled": {"coupled": True},
    "peephole": {"peephole": True},
    "no candidate activation": {"candidate_activation": False},
    "no output activation": {"output_activation": False},
    "all at once": {"coupled": True, "peephole": True, "candidate_activation": False, "output_activation": False},
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cell(gates: dict[str, str] | None = None, seed: int = 0, **options) -> LSTM:
    return LSTM(D, HIDDEN, gates, generator=generator(seed), **options).double()


def sequence(seed: int = 1) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """An input and a state before it."""
    draws = generator(seed)
    x, h, c = (torch.randn(*shape, generator=draws, dtype=torch.float64) for shape in ((T, B, D), (1, B, HIDDEN), (1, B, HIDDEN)))  # fmt: skip
    return x, (h, c)


def with_gradients(run, model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, last h, last c, and the gradients of a sum of them by the input, the state and every parameter."""
    x, state = sequence()
    leaves = [x.requires_grad_(), *(part.requires_grad_() for part in state)]
    outputs, (h, c) = run(x, tuple(leaves[1:]))
    weighted = torch.randn(outputs.shape, generator=generator(5), dtype=torch.float64)
    loss = (weighted * outputs).sum() + (h**2).sum() + (c**3).sum()
    gradients = torch.autograd.grad(loss, [*leaves, *model.parameters()], allow_unused=True)
    sources = [*leaves, *model.parameters()]
    return [outputs, h, c], [torch.zeros_like(s) if g is None else g for s, g in zip(sources, gradients, strict=True)]


def difference(these: list[Tensor], those: list[Tensor]) -> float:
    assert [each.shape for each in these] == [each.shape for each in those]
    return max((a - b).abs().max().item() for a, b in zip(these, those, strict=True))


def handwritten(model: LSTM):
    """The readable cell with the signature of `forward`."""

    def run(x, state):
        steps = model.by_hand(x, state)
        return steps.hidden, (steps.hidden[-1:], steps.cell[-1:])

    return run


# ---- torch's own -----------------------------------------------------------------------------------------------------


def test_it_loads_torchs_state_dict_and_agrees_with_it():
    theirs, ours = nn.LSTM(D, HIDDEN).double(), cell()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for run in (ours, handwritten(ours)):
        (values, gradients), (expected, slopes) = with_gradients(run, ours), with_gradients(theirs, theirs)
        assert difference(values, expected) < 1e-12
        assert difference(gradients, slopes) < 1e-12
    x, _ = sequence()
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], atol=1e-12, rtol=0)  # from a state of zeros


def test_in_single_precision_too():
    theirs, ours = nn.LSTM(D, HIDDEN), LSTM(D, HIDDEN, generator=generator())
    ours.load_state_dict(theirs.state_dict())
    x = sequence()[0].float()
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.by_hand(x).hidden, theirs(x)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("gates", PINS, ids=lambda gates: "-".join(gates.values()))
def test_the_kernel_holds_gates_as_the_readable_cell_does(gates):
    model = cell(gates)
    (values, gradients), (expected, slopes) = with_gradients(model, model), with_gradients(handwritten(model), model)
    assert model.fused and difference(values, expected) < 4e-12
    assert difference(gradients, slopes) < 5e-10


@pytest.mark.parametrize("setting", GATE_SETTINGS)
def test_the_kernel_couples_input_and_forget(setting):
    model = cell({"input": setting}, coupled=True)
    (values, gradients), (expected, slopes) = with_gradients(model, model), with_gradients(handwritten(model), model)
    assert model.fused and difference(values, expected) < 4e-12
    assert difference(gradients, slopes) < 5e-10
    forget = model.rows("forget")
    assert not any(g[forget].any() for g in gradients[3:]), "it has no weights of its own"


@pytest.mark.parametrize("gates", PINS[::2], ids=lambda gates: "-".join(gates.values()))
@pytest.mark.parametrize("variant", [{"peephole": True}, {"candidate_activation": False}, {"peephole": True, "output_activation": False}], ids=str)  # fmt: skip
def test_the_gradient_derived_by_hand_is_autograds(variant, gates):
    model = cell(gates, **variant)
    (values, gradients), (expected, slopes) = with_gradients(model, model), with_gradients(handwritten(model), model)
    assert not model.fused and difference(values, expected) < 1e-12
    assert difference(gradients, slopes) < 1e-11


@pytest.mark.parametrize("setting", GATE_SETTINGS)
def test_it_couples_input_and_forget_too(setting):
    model = cell({"input": setting}, coupled=True, peephole=True, output_activation=False)
    (values, gradients), (expected, slopes) = with_gradients(model, model), with_gradients(handwritten(model), model)
    assert difference(values, expected) < 1e-12 and difference(gradients, slopes) < 1e-11


# ---- the formulas, number by number ----------------------------------------------------------------------------------


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def written_out(model: LSTM, x: Tensor, state: tuple[Tensor, Tensor], unit_of: int = 0) -> list[dict[str, list[float]]]:
    """Every part of every step of one sequence of the batch, by the textbook's formulas on Python's numbers."""
    weights = {name: value.tolist() for name, value in model.state_dict().items()}
    h, c = state[0][0, unit_of].tolist(), state[1][0, unit_of].tolist()
    found = []
    for now in x[:, unit_of].tolist():
        step: dict[str, list[float]] = {
            name: [] for name in ("input", "forget", "candidate", "output", "cell", "hidden")
        }
        for unit in range(HIDDEN):

            def net(block: int, unit: int = unit, now=now, h=h) -> float:
                row = block * HIDDEN + unit
                z = weights["bias_ih_l0"][row] + weights["bias_hh_l0"][row]
                z += sum(w * value for w, value in zip(weights["weight_ih_l0"][row], now, strict=True))
                return z + sum(w * value for w, value in zip(weights["weight_hh_l0"][row], h, strict=True))

            peep = [row[unit] for row in weights["weight_ch_l0"]] if model.peephole else [0.0] * 3
            held = {"open": 1.0, "shut": 0.0}
            i = held.get(model.gates["input"], sigmoid(net(0) + peep[0] * c[unit]))
            f = 1 - i if model.coupled else held.get(model.gates["forget"], sigmoid(net(1) + peep[1] * c[unit]))
            candidate = math.tanh(net(2)) if model.candidate_activation else net(2)
            new = f * c[unit] + i * candidate
            o = held.get(model.gates["output"], sigmoid(net(3) + peep[2] * new))
            shown = o * (math.tanh(new) if model.output_activation else new)
            for name, value in zip(step, (i, f, candidate, o, new, shown), strict=True):
                step[name].append(value)
        h, c = step["hidden"], step["cell"]
        found.append(step)
    return found


@pytest.mark.parametrize("gates", [{}, {"input": "open"}, {"output": "shut"}], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_part_of_every_step_is_the_textbooks(variant, gates):
    model = cell(gates, **VARIANTS[variant])
    x, state = sequence()
    expected = written_out(model, x, state, unit_of=1)
    for steps in (model.by_hand(x, state), model.trace(x, state)):
        for name in steps._fields:
            values = torch.tensor([step[name] for step in expected], dtype=torch.float64)
            torch.testing.assert_close(getattr(steps, name)[:, 1], values, atol=1e-12, rtol=0)
    outputs, (h, c) = model(x, state)
    torch.testing.assert_close(outputs, steps.hidden, atol=1e-12, rtol=0)
    assert torch.equal(h[0], outputs[-1])
    torch.testing.assert_close(c[0], steps.cell[-1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_those_of_finite_differences(variant):
    model = cell(**VARIANTS[variant])
    x, state = sequence()
    x = x[:4].clone().requires_grad_()

    def run(x, *parameters):
        named = dict(zip(dict(model.named_parameters()), parameters, strict=True))
        outputs, (h, c) = torch.func.functional_call(model, named, (x, state))
        return outputs, h, c

    assert torch.autograd.gradcheck(run, (x, *model.parameters()))


def test_in_single_precision_the_gates_are_recovered_from_the_outputs():
    model = LSTM(D, 32, {"output": "open"}, generator=generator())
    x = torch.randn(100, 16, D, generator=generator(2))
    recovered, exact = model.trace(x), model.double().by_hand(x.double())
    for mine, theirs in zip(recovered, exact, strict=True):
        torch.testing.assert_close(mine.double(), theirs, atol=2e-6, rtol=0)


# ---- what must hold --------------------------------------------------------------------------------------------------


def test_keep_and_do_not_write_freezes_the_cell_state():
    x, state = sequence()
    steps = cell({"forget": "open", "input": "shut"}).trace(x, state)
    torch.testing.assert_close(steps.cell, state[1].expand(T, B, HIDDEN), atol=1e-12, rtol=0)


def test_forget_shut_and_the_others_open_is_a_tanh_of_a_tanh_and_no_simple_network():
    gates = {"forget": "shut", "input": "open", "output": "open"}
    model, x, state = cell(gates), *sequence()
    rows, simple = model.rows("candidate"), nn.RNN(D, HIDDEN).double()
    simple.load_state_dict({name: value[rows] for name, value in model.state_dict().items()})
    twice, h = [], state[0][0]
    for now in x:
        h = torch.tanh(torch.tanh(simple.weight_ih_l0 @ now.T + simple.weight_hh_l0 @ h.T + (simple.bias_ih_l0 + simple.bias_hh_l0)[:, None])).T  # fmt: skip
        twice.append(h)
    torch.testing.assert_close(model(x, state)[0], torch.stack(twice), atol=1e-12, rtol=0)
    expected = simple(x, state[0])[0]
    assert (model(x, state)[0] - expected).abs().max() > 0.05
    without = cell(gates, output_activation=False)  # one tanh fewer, and it is the simple recurrent network
    without.load_state_dict(model.state_dict())
    torch.testing.assert_close(without(x, state)[0], expected, atol=1e-12, rtol=0)


def test_shut_output_hides_everything_and_still_remembers():
    x, state = sequence()
    outputs, (_, c) = cell({"output": "shut"})(x, state)
    assert outputs.abs().max() < 1e-15 and c.abs().max() > 0.01


@pytest.mark.parametrize("gates", PINS[1::5], ids=lambda gates: "-".join(gates.values()))
def test_a_held_gate_learns_nothing_and_its_weights_do_not_matter(gates):
    model, other = cell(gates), cell(gates, seed=9)
    gradients = dict(zip(dict(model.named_parameters()), with_gradients(model, model)[1][3:], strict=True))
    same = {name: value.clone() for name, value in model.state_dict().items()}
    for gate, setting in gates.items():
        rows = model.rows(gate)
        assert all(bool(gradient[rows].any()) == (setting == "learned") for gradient in gradients.values())
        for name in same:
            same[name][rows] = other.state_dict()[name][rows] if setting != "learned" else same[name][rows]
    other.load_state_dict(same)
    x, state = sequence()
    assert torch.equal(model(x, state)[0], other(x, state)[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_sequence_may_be_cut_in_two(variant):
    model, (x, state) = cell(**VARIANTS[variant]), sequence()
    first, between = model(x[:4], state)
    second, _ = model(x[4:], between)
    torch.testing.assert_close(torch.cat([first, second]), model(x, state)[0], atol=1e-12, rtol=0)
    assert first.shape == (4, B, HIDDEN) and [part.shape for part in between] == [(1, B, HIDDEN)] * 2


def test_parameters_come_from_the_given_generator_alone():
    before = torch.random.get_rng_state()
    first, second, other = cell(), cell(), cell(seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.weight_hh_l0, other.weight_hh_l0)
    assert all(0.3 < parameter.abs().max() <= 0.5 for parameter in first.parameters())  # 1/√4
    for variant in VARIANTS.values():  # a variant begins with the same weights
        assert torch.equal(cell(**variant).weight_hh_l0, first.weight_hh_l0)


def test_the_forget_bias_is_added_to_the_forget_gate_alone():
    change = cell(forget_bias=1.5).bias_ih_l0 - cell().bias_ih_l0
    rows = cell().rows("forget")
    assert torch.allclose(change[rows], torch.tensor(1.5, dtype=torch.float64), atol=1e-6)
    change[rows] = 0
    assert not change.any()


@pytest.mark.parametrize(
    ("gates", "options", "message"),
    [
        ({"reset": "open"}, {}, "input, forget, output"),
        ({"input": "ajar"}, {}, "learned, open, shut"),
        ({"forget": "open"}, {"coupled": True}, "1 − i"),
    ],
)
def test_what_does_not_exist_is_refused(gates, options, message):
    with pytest.raises(ValueError, match=message):
        cell(gates, **options)


# ---- settings, training, clamps --------------------------------------------------------------------------------------


def trained(config: LSTMConfig, steps: int) -> Run:
    run = Run(config)
    while run.steps < steps:
        run.step()
    return run


def test_the_config_builds_the_cell_that_it_describes():
    config = LSTMConfig(input_gate="open", output_gate="shut", hidden=5, task="recall", forget_bias=2.0, peephole=True)
    model = config.cell(generator())
    assert model.gates == {"input": "open", "forget": "learned", "output": "shut"}
    assert model.weight_ih_l0.shape == (20, task_of("recall").input_size) and model.weight_ch_l0.shape == (3, 5)
    with pytest.raises(ValueError, match="1 − i"):
        LSTMConfig(coupled=True, forget_gate="open")
    with pytest.raises(SettingError, match="learned, open, shut"):
        LSTMConfig(output_gate="ajar")


def test_the_race_is_against_the_full_lstm():
    assert race(LSTMConfig()) == {"full_lstm": LSTMConfig()}
    config = LSTMConfig(forget_gate="open", task="digits", hidden=7, seed=3)
    assert race(config) == {"changed_lstm": config, "full_lstm": LSTMConfig(task="digits", hidden=7, seed=3)}


@pytest.mark.parametrize("held", [{"input_gate": "shut"}, {"coupled": True}, {"peephole": True}], ids=str)
def test_equal_configs_give_bit_equal_histories(held):
    config = LSTMConfig(task="recall", length=5, hidden=4, **held)
    assert trained(config, 12).history == trained(config, 12).history


@pytest.mark.parametrize("variant", [{"peephole": True, "input_gate": "open", "forget_gate": "shut", "output_gate": "open"}, {"candidate_activation": False, "output_gate": "shut"}], ids=str)  # fmt: skip
def test_a_variant_with_every_gate_held_can_be_trained(variant):
    config = LSTMConfig(length=4, hidden=3, **variant)
    before, after = Run(config).snapshot().state, trained(config, 3).snapshot().state
    rows = config.cell(generator()).rows("input")
    assert torch.equal(
        before["cell.weight_hh_l0"][rows], after["cell.weight_hh_l0"][rows]
    )  # held, or shut off behind it
    assert not torch.equal(before["readout.bias"], after["readout.bias"])


def test_gates_are_held_in_a_trained_network_without_training_it_again():
    config = LSTMConfig(task="recall", length=6, hidden=8, learning_rate=0.02)
    run = trained(config, 60)
    state = run.snapshot().state
    before = {name: value.clone() for name, value in state.items()}
    scores = clamped_scores(config, state)
    assert list(scores) == list(CLAMPS) and len(CLAMPS) == 7
    assert scores["as_trained"] == run.learner.evaluate()["test"]
    assert all(torch.equal(state[name], value) for name, value in before.items())
    sequences = held_out("recall", 6)
    for clamp, (gate, setting) in CLAMPS.items():
        if gate:  # the same by the readable cell
            cell = LSTM(5, 8, {gate: setting}, generator=generator())
            cell.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("cell.")})
            answers = cell.by_hand(sequences.inputs).hidden[-1] @ state["readout.weight"].T + state["readout.bias"]
            expected = nn.functional.cross_entropy(answers, sequences.targets).item()
            assert scores[clamp]["Loss"] == pytest.approx(expected, abs=1e-5)
    assert scores["output_shut"]["Accuracy"] < 0.4 < 0.9 < scores["as_trained"]["Accuracy"]
    assert len({score["Loss"] for score in scores.values()}) > 4


def test_a_forget_gate_that_is_held_is_no_longer_coupled():
    config = LSTMConfig(coupled=True, task="digits")
    assert clamped(config, "forget_shut") == replace(config, coupled=False, forget_gate="shut")
    assert clamped(config, "input_shut") == replace(config, input_gate="shut")
    assert clamped(config, "as_trained") == config
