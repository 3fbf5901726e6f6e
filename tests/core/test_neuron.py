"""One neuron against torch's functions, autograd, torch.optim, the perceptron theorem and plain geometry."""

import itertools
import math
import pickle
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core.config import SettingError
from core.neuron import (
    ACTIVATIONS,
    DATA,
    PRESETS,
    SATURATED,
    STEEPEST,
    NeuronConfig,
    activate,
    decision_line,
    derivative,
    features,
    gradients,
    initial_state,
    points_of,
    saturation,
    threshold,
    trace,
    train_twins,
)
from core.training import Run, replay

THEIRS = {
    "identity": lambda z: z,
    "step": lambda z: torch.heaviside(z, torch.ones_like(z)),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "gelu": F.gelu,
    "swish": F.silu,
}
Z = torch.linspace(-8, 8, 1001, dtype=torch.float64)  # 0 is among them


def trained(config: NeuronConfig, steps: int) -> Run:
    return replay(config, steps=steps)


def accuracy(run: Run, part: str = "train") -> float:
    return run.learner.evaluate()[part]["Accuracy"]


# ---- activation functions


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_torchs(name):
    torch.testing.assert_close(activate(Z, name), THEIRS[name](Z), atol=1e-12, rtol=0)
    assert activate(Z.float(), name).dtype == derivative(Z.float(), name).dtype == torch.float32


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "step"])
def test_slopes_are_those_of_autograd_the_kinks_included(name):
    z = Z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(THEIRS[name](z).sum(), z)
    torch.testing.assert_close(derivative(Z, name), expected, atol=1e-12, rtol=0)
    own = Z.clone().requires_grad_()  # autograd through our own formula agrees away from the kink
    (through,) = torch.autograd.grad(activate(own, name).sum(), own)
    torch.testing.assert_close(through[Z != 0], expected[Z != 0], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_those_of_a_finite_difference_where_there_is_one(name):
    z, h = Z[Z.abs() > 0.01], 1e-6
    finite = (activate(z + h, name) - activate(z - h, name)) / (2 * h)
    torch.testing.assert_close(derivative(z, name), finite, atol=1e-8, rtol=0)


def test_what_is_taken_at_the_kinks():
    zero = torch.tensor([0.0])
    assert {name: derivative(zero, name).item() for name in ("step", "relu", "leaky_relu")} == pytest.approx(
        {"step": 0.0, "relu": 0.0, "leaky_relu": 0.01}
    )
    assert activate(zero, "step").item() == 1


def test_textbook_bounds():
    assert derivative(Z, "sigmoid").max().item() == derivative(torch.zeros(1), "sigmoid").item() == 0.25
    assert derivative(Z, "tanh").max().item() == 1.0 and (derivative(Z, "tanh") == 1).sum() == 1
    torch.testing.assert_close(activate(Z, "tanh"), 2 * activate(2 * Z, "sigmoid") - 1)
    far = torch.tensor([40.0])
    assert derivative(far, "sigmoid").item() == pytest.approx(math.exp(-40), rel=1e-5)  # 1 − σ would have been 0


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_steepest_slope_of_each(name):
    steepest = derivative(torch.linspace(-6, 6, 100_001, dtype=torch.float64), name).abs().max().item()
    assert steepest == pytest.approx(STEEPEST.get(name, 1.0), abs=1e-4)


@pytest.mark.parametrize("function", [activate, derivative])
def test_an_unknown_activation_is_named(function):
    with pytest.raises(ValueError, match="softplus"):
        function(Z, "softplus")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_threshold_is_half_way_between_the_targets(name):
    low = -1.0 if name in ("identity", "tanh") else 0.0
    z = torch.tensor([threshold(name) - 1e-9, threshold(name) + 1e-9], dtype=torch.float64)
    below, above = activate(z, name).tolist()
    assert below <= (low + 1) / 2 <= above
    wide = torch.arange(-3000, 3001, dtype=torch.float64) / 100
    assert torch.equal(activate(wide, name) >= (low + 1) / 2, wide >= threshold(name))


# ---- forward


def test_a_trace_by_hand():
    config = NeuronConfig(inputs=3, weight_1=2.0, weight_2=-1.5, weight_3=0.5, bias=0.25, activation="tanh")
    x = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 4.0]])
    seen = trace(config, initial_state(config), x)
    assert seen.products.tolist() == [[2.0, -3.0, 1.5], [-2.0, 0.0, 2.0]]
    assert seen.net_input.tolist() == [0.75, 0.25]
    assert seen.activation.tolist() == pytest.approx([math.tanh(0.75), math.tanh(0.25)])
    assert seen.slope.tolist() == pytest.approx([1 / math.cosh(0.75) ** 2, 1 / math.cosh(0.25) ** 2])


def test_the_third_input_is_the_product_of_the_others():
    points = torch.tensor([[2.0, 3.0], [-1.0, 4.0]])
    assert [features(points, inputs).tolist() for inputs in (1, 2, 3)] == [
        [[2.0], [-1.0]], [[2.0, 3.0], [-1.0, 4.0]], [[2.0, 3.0, 6.0], [-1.0, 4.0, -4.0]],
    ]  # fmt: skip


# ---- decision line

LINES = [
    NeuronConfig(weight_1=1.0, weight_2=1.0, bias=-1.5),
    NeuronConfig(weight_1=1.0, weight_2=0.0, bias=0.3),
    NeuronConfig(weight_1=0.0, weight_2=-2.0, bias=0.3),
    NeuronConfig(weight_1=-3.0, weight_2=0.1, bias=0.0, activation="relu"),
    NeuronConfig(inputs=1, weight_1=2.0, bias=-1.0, activation="gelu"),
    NeuronConfig(inputs=3, weight_1=1.0, weight_2=1.0, weight_3=-2.0, bias=-0.5),
    NeuronConfig(inputs=3, weight_1=1.0, weight_2=1.0, weight_3=-2.0, bias=-0.4),
    NeuronConfig(inputs=3, weight_1=1.0, weight_2=5.0, weight_3=1.0, bias=5.0),  # a cross with one line outside
    NeuronConfig(inputs=3, weight_1=0.0, weight_2=0.0, weight_3=1.0, bias=-1.0, activation="swish"),
    NeuronConfig(inputs=3, weight_1=3.0, weight_2=-2.0, weight_3=0.0, bias=-0.5),
]


@pytest.mark.parametrize("config", LINES)
def test_the_decision_line_lies_where_the_answer_turns(config):
    """The first of the hyperbolas is a cross."""
    state = initial_state(config)
    lines = decision_line(config, state, -2.0, 2.0)
    assert lines
    for line in lines:
        z = trace(config, state, features(line.float(), config.inputs)).net_input
        torch.testing.assert_close(z, torch.full_like(z, threshold(config.activation)), atol=1e-5, rtol=0)
        assert line.abs().max() <= 2
        ends = line[[0, -1]].abs().amax(1)
        assert ends.tolist() == [2, 2]  # it reaches from edge to edge of the square
        assert (line[1:, 0] >= line[:-1, 0]).all()
    grid = torch.cartesian_prod(torch.linspace(-2, 2, 81), torch.linspace(-2, 2, 81))
    answers = (trace(config, state, features(grid, config.inputs)).net_input >= threshold(config.activation)).reshape(
        81, 81
    )
    turns = torch.cat([grid.reshape(81, 81, 2)[:-1][answers[1:] != answers[:-1]], grid.reshape(81, 81, 2)[:, :-1][answers[:, 1:] != answers[:, :-1]]])  # fmt: skip
    dense = torch.cat([along(line) for line in lines])
    assert torch.cdist(turns.double(), dense).min(1).values.max() < 0.12  # and no turn is left out


def along(line):
    """Many points on a line given by its corners."""
    share = torch.linspace(0, 1, 200, dtype=torch.float64)[:, None]
    return torch.cat([a + share * (b - a) for a, b in itertools.pairwise(line)])


def test_a_hyperbola_has_two_branches_that_do_not_meet():
    config = NeuronConfig(inputs=3, weight_1=0.0, weight_2=0.0, weight_3=1.0, bias=-1.0)
    left, right = decision_line(config, initial_state(config), -3.0, 3.0)
    assert left.max() < 0 < right.min() and len(left) > 50


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_no_line_where_nothing_turns(inputs):
    for bias in (0.0, 1.0):
        config = NeuronConfig(inputs=inputs, weight_1=0.0, weight_2=0.0, bias=bias)
        assert decision_line(config, initial_state(config), -2.0, 2.0) == []
    far = NeuronConfig(inputs=inputs, weight_1=0.1, weight_2=0.1, bias=5.0)
    assert decision_line(far, initial_state(far), -2.0, 2.0) == []


# ---- learning


def torch_loss(config: NeuronConfig, weight, bias, inputs, classes):
    """The loss as one writes it with torch."""
    z = inputs @ weight + bias
    if config.activation == "sigmoid" and config.loss == "cross_entropy":
        return F.binary_cross_entropy_with_logits(z, classes.to(z.dtype))
    signed = config.activation in ("identity", "tanh")
    return F.mse_loss(THEIRS[config.activation](z), (classes * 2 - 1 if signed else classes).to(z.dtype)) / 2


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "step"])
def test_gradients_by_hand_are_autograds(activation, inputs, loss):
    config = NeuronConfig(activation=activation, inputs=inputs, loss=loss, weight_3=0.7, bias=0.2, data="overlapping")
    points = points_of(config)
    x, classes = features(points.train_inputs, inputs), points.train_targets
    found = gradients(config, initial_state(config), x, classes)
    weight, bias = (value.clone().requires_grad_() for value in initial_state(config).values())
    expected = torch_loss(config, weight, bias, x, classes)
    by_torch = torch.autograd.grad(expected, (weight, bias))
    assert found.loss == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(found.weight, by_torch[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.bias, by_torch[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("batch_size", [7, 100])
@pytest.mark.parametrize(("kind", "theirs"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)])
def test_training_is_torchs(kind, theirs, batch_size):
    config = NeuronConfig(data="separable", optimizer=kind, batch_size=batch_size, seed=3, learning_rate=0.1)
    run = Run(config)
    generator = torch.Generator()
    generator.set_state(run.generator.get_state())
    points = points_of(config)
    weight, bias = (value.clone().requires_grad_() for value in initial_state(config).values())
    optimizer = theirs([weight, bias], lr=0.1)
    for _ in range(10):
        chosen = slice(None) if batch_size == 100 else torch.randint(100, (batch_size,), generator=generator)
        optimizer.zero_grad()
        torch_loss(config, weight, bias, points.train_inputs[chosen], points.train_targets[chosen]).backward()
        optimizer.step()
        run.step()
    torch.testing.assert_close(run.learner.state()["weight"], weight.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(run.learner.state()["bias"], bias.detach(), atol=1e-5, rtol=1e-5)


def test_the_measures_are_those_of_the_points_of_the_config():
    for data in DATA:
        config = NeuronConfig(data=data, activation="relu", weight_1=0.5, weight_2=0.2, bias=0.1, seed=5)
        run, points = Run(config), points_of(config)
        for part, (inputs, classes) in {"train": points[:2], "test": points[2:]}.items():
            a = F.relu(inputs @ torch.tensor([0.5, 0.2]) + 0.1)
            scores = run.history[0].scores[part]
            assert scores["Accuracy"] == pytest.approx(((a >= 0.5) == (classes == 1)).double().mean().item(), abs=1e-6)
            assert scores["Loss"] == pytest.approx(((a - classes) ** 2).mean().item() / 2, rel=1e-5)


def test_cross_entropy_stays_finite_where_probabilities_are_zero():
    config = NeuronConfig(data="separable", weight_1=-5.0, weight_2=-5.0, bias=5.0)
    state = {"weight": torch.tensor([-500.0, -500.0]), "bias": torch.tensor(0.0)}
    found = gradients(config, state, torch.tensor([[1.0, 1.0]]), torch.tensor([1]))
    assert found.loss == pytest.approx(1000.0) and found.weight.tolist() == [-1.0, -1.0]


# ---- perceptron


def test_one_perceptron_update_by_hand():
    config = NeuronConfig(activation="step", rule="perceptron", weight_1=1.0, weight_2=-1.0, bias=0.0)
    x, classes = torch.tensor([[1.0, 2.0], [3.0, 1.0], [2.0, 2.5]]), torch.tensor([1, 1, 0])
    found = gradients(config, initial_state(config), x, classes)  # answers 0, 1, 0: only the first is wrong
    assert found.error_term.tolist() == [-1, 0, 0]
    torch.testing.assert_close(found.weight, torch.tensor([-1 / 3, -2 / 3]))
    assert found.bias.item() == pytest.approx(-1 / 3) and found.loss == pytest.approx(1 / 6)
    still = gradients(replace(config, rule="gradient"), initial_state(config), x, classes)
    assert still.error_term.tolist() == [0, 0, 0] and still.weight.tolist() == [0, 0]


@pytest.mark.parametrize("data", ["and_gate", "or_gate", "separable"])
def test_the_perceptron_rule_learns_what_a_line_separates_and_then_rests(data):
    run = trained(NeuronConfig(activation="step", rule="perceptron", data=data, batch_size=1), 1500)
    assert accuracy(run) == 1.0
    resting = run.snapshot().state
    run.advance(1e9, 1600)
    assert all(torch.equal(resting[name], value) for name, value in run.learner.state().items())


def test_other_activations_ignore_the_perceptron_rule_and_the_step_ignores_cross_entropy():
    for activation in ("sigmoid", "tanh"):
        config = NeuronConfig(activation=activation)
        assert trained(config, 5).history == trained(replace(config, rule="perceptron"), 5).history
    step = NeuronConfig(activation="step", rule="perceptron")
    assert trained(step, 5).history == trained(replace(step, loss="squared"), 5).history


# ---- presets


@pytest.mark.parametrize("name", ["and", "or", "separable", "product", "perceptron", "zero_init", "rescued"])
def test_good_presets_learn_every_point(name):
    run = trained(PRESETS[name], 300)
    assert accuracy(run) == accuracy(run, "test") == 1.0


def test_the_overlapping_clouds_are_learnt_as_well_as_a_line_can():
    assert accuracy(trained(PRESETS["overlapping"], 300), "test") == pytest.approx(0.83, abs=0.08)


@pytest.mark.parametrize("name", ["xor", "perceptron_xor"])
def test_xor_is_never_learnt_by_a_line(name):
    for seed in range(3):
        run = trained(replace(PRESETS[name], seed=seed, noise=0.2), 300)
        for _ in range(100):
            run.step()
            assert max(accuracy(run), accuracy(run, "test")) <= 0.75


def test_xor_no_line_at_all_has_more_than_three_quarters():
    points = points_of(NeuronConfig(data="xor_gate", noise=0.2))
    angle = torch.linspace(0, 2 * math.pi, 181)[:, None, None]
    bias = torch.linspace(-2, 2, 201)[:, None]
    x = points.train_inputs
    right = ((angle.cos() * x[:, 0] + angle.sin() * x[:, 1] + bias) >= 0) == points.train_targets.bool()
    assert right.float().mean(-1).max().item() == 0.75


def test_a_step_has_no_gradient_and_stands_still():
    config = PRESETS["step"]
    assert saturation(config, initial_state(config)) == (1.0, 1.0, 0.0, 0.0)
    run = trained(config, 100)
    assert all(torch.equal(run.snapshots[0].state[name], value) for name, value in run.learner.state().items())
    assert run.history[0].scores == run.history[-1].scores


def test_a_dead_relu_has_no_gradient_and_the_leaky_one_recovers():
    config = PRESETS["dead_relu"]
    found = saturation(config, initial_state(config))
    assert found == (1.0, 1.0, 0.0, 0.0)
    assert trained(config, 200).history[0].scores == trained(config, 200).history[-1].scores
    assert accuracy(trained(replace(config, activation="leaky_relu"), 1000)) == 1.0


def test_a_saturated_sigmoid_has_hardly_a_gradient_and_cross_entropy_rescues_it():
    saturated, rescued = PRESETS["saturated"], PRESETS["rescued"]
    state = initial_state(saturated)
    assert state.keys() == initial_state(rescued).keys()
    found, other = saturation(saturated, state), saturation(rescued, state)
    assert found.saturated == other.saturated == 1.0 and found.dead == 0.0
    assert found.gradient < 1e-4 and other.gradient > 3
    assert accuracy(trained(saturated, 300)) == 0.0 and accuracy(trained(rescued, 30)) == 1.0


def test_saturation_counts_points():
    config = NeuronConfig(weight_1=5.0, weight_2=3.0, bias=-5.0, data="or_gate", noise=0.0)  # z = −5, −2, 0, 3
    slopes = [1 / (2 + 2 * math.cosh(z)) for z in (-5, -2, 0, 3)]
    assert [each < 0.25 * SATURATED for each in slopes] == [True, False, False, False]
    found = saturation(config, initial_state(config))
    assert (found.saturated, found.dead, found.slope) == (0.25, 0.0, pytest.approx(sum(slopes) / 4))
    less = replace(config, weight_2=1.0, bias=-4.0)  # z = −4, −3, 1, 2, and σ′(−4) is 7% of its largest value
    assert saturation(less, initial_state(less)).saturated == 0.0
    relu = saturation(replace(config, activation="relu"), initial_state(config))
    assert (relu.saturated, relu.dead, relu.slope) == (0.75, 0.75, 0.25)  # at 0 the slope is taken as 0


def test_zero_init_is_harmless_for_one_neuron():
    zero, default = PRESETS["zero_init"], PRESETS["and"]
    losses = [trained(config, 500).learner.evaluate()["train"]["Loss"] for config in (zero, default)]
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


@pytest.mark.parametrize("data", ["and_gate", "xor_gate"])
def test_zero_init_keeps_two_hidden_neurons_identical(data):
    zero, random = train_twins(0.0, data, steps=200), train_twins(1.0, data, steps=200)
    assert (zero.difference == 0).all() and (random.difference > 0.1).all()
    assert zero.weights.shape == (201, 2, 3) and zero.loss.shape == (201,)
    if data == "and_gate":
        assert zero.weights[-1].abs().max() > 1  # they do learn, as one
    else:
        assert zero.accuracy == 0.5 and random.accuracy == 1.0


def test_too_fast_diverges_past_the_limit_of_its_quadratic_loss():
    config = PRESETS["diverging"]
    inputs = torch.cat([points_of(config).train_inputs, torch.ones(100, 1)], 1)
    limit = 2 / torch.linalg.eigvalsh(inputs.T @ inputs / 100).max().item()
    assert limit < config.learning_rate
    assert trained(config, 100).diverged
    assert trained(replace(config, learning_rate=1.05 * limit), 1000).diverged
    slow = trained(replace(config, learning_rate=0.95 * limit), 1000)
    assert not slow.diverged and accuracy(slow) == 1.0


# ---- by hand


def test_weights_are_set_by_hand_and_replayed():
    run = trained(NeuronConfig(), 3)
    run.intervene("weight_2", 4.5)
    run.intervene("bias", -2)
    assert run.learner.state()["weight"][1] == 4.5 and run.learner.state()["bias"] == -2
    run.advance(1e9, 9)
    again = replay(NeuronConfig(), tuple(run.interventions), 9)
    assert again.history == run.history
    copied = pickle.loads(pickle.dumps(run))
    copied.intervene("weight_1", 0.0)
    copied.step()
    assert copied.learner.optimizer.parameters[0] is copied.learner.state()["weight"]


@pytest.mark.parametrize(
    ("name", "value"), [("weight_3", 1.0), ("weight", 1.0), ("bias", 5.1), ("weight_1", math.nan), ("weight_1", "1")]
)
def test_what_cannot_be_set_is_refused(name, value):
    run = trained(NeuronConfig(), 1)
    before = run.snapshot().state
    with pytest.raises(ValueError):
        run.intervene(name, value)
    assert all(torch.equal(before[key], kept) for key, kept in run.learner.state().items()) and not run.interventions


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": 4}, {"weight_1": 5.1}, {"activation": "softplus"}, {"data": "circle"}, {"noise": 0.6},
        {"loss": "hinge"}, {"rule": "delta"}, {"optimizer": "lion"}, {"batch_size": 101}, {"batch_size": 0},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError) as caught:
        NeuronConfig(**wrong)
    assert caught.value.field == next(iter(wrong))
