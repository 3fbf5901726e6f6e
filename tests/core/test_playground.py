"""The playground against torch's layers, losses, optimizers and autograd, finite differences, and by counting."""

import itertools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from core.config import SettingError
from core.data.points import EDGE
from core.neuron import activate, derivative
from core.playground import (
    ACTIVATE_INTO,
    DATA,
    HIDDEN_ACTIVATIONS,
    INITIALISATIONS,
    INPUTS,
    OWN_POINTS,
    PRESETS,
    SLOPE_INTO,
    UPDATE_RATIO,
    Batches,
    Ensemble,
    Passes,
    PlaygroundConfig,
    SeedRace,
    activation_names,
    answer_map,
    batch_of,
    class_count,
    confusion,
    desired,
    diagnose,
    draw_parameters,
    features,
    flattened,
    gradient_metric,
    hidden_space,
    input_maps,
    layer_outputs,
    layer_shapes,
    loss_by_autograd,
    matrices,
    neuron_maps,
    output_count,
    parameter_count,
    points_of,
    predictions,
    state_of,
    weight_names,
)
from core.training import Intervention, Race, Run, race_of, replay

ACTIVATIONS = {  # the independent ones
    "tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "identity": nn.Identity,
    "leaky_relu": lambda: nn.LeakyReLU(0.01), "gelu": nn.GELU, "swish": nn.SiLU,
}  # fmt: skip
TASKS = {
    "two classes": {},
    "two classes, squared": {"loss": "squared"},
    "three classes": {"data": "spirals"},
    "three classes, squared": {"data": "spirals", "loss": "squared"},
    "values": {"data": "multi_gaussian"},
}
OWN = (0.0, 1.0, 0.0, 2.0, 1.5, 1.0, -3.0, 0.5, 2.0, 1.0, 1.0, 2.0, -1.0, 0.0, 0.0, 2.0, 2.0, 1.0)
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(config: PlaygroundConfig, dtype: torch.dtype = torch.float64, size: int = 12):
    """Passes with random weights and biases, and a batch, in double precision."""
    parameters = torch.randn(parameter_count(config), generator=generator(3), dtype=dtype) / 2
    points = points_of(config)
    batch = batch_of(config, points.train_inputs[:size], points.train_targets[:size])
    kind = parameters.numpy().dtype
    batch = type(batch)(*(each.astype(kind) for each in batch))
    return Passes(config, parameters, torch.zeros_like(parameters), size, config.dropout > 0), batch


def tensors(batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The inputs of a batch, without the row of ones, and its targets."""
    return torch.from_numpy(batch.inputs[:-1]), torch.from_numpy(batch.targets)


def module_of(config: PlaygroundConfig, parameters: torch.Tensor) -> nn.Sequential:
    """The same network of torch's layers, whose last module makes what torch's loss wants."""
    layers: list[nn.Module] = []
    names = activation_names(config)
    for matrix, name in zip(matrices(config, parameters), names, strict=True):
        linear = nn.Linear(matrix.shape[1] - 1, matrix.shape[0], dtype=parameters.dtype)
        linear.weight.data, linear.bias.data = matrix[:, :-1].clone(), matrix[:, -1].clone()
        layers += [linear, *([] if len(layers) == 2 * len(names) - 2 and name in ("sigmoid", "softmax") else [ACTIVATIONS[name]()])]  # fmt: skip
    return nn.Sequential(*layers)


def loss_of(config: PlaygroundConfig, network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """What torch's loss classes say, penalty included; inputs (features, B), targets (outputs, B)."""
    output = network(inputs.T)
    if config.loss == "squared" or config.data == "multi_gaussian":
        loss = nn.MSELoss(reduction="sum")(output, targets.T) / 2 / len(output)
    elif len(targets) == 1:
        loss = nn.BCEWithLogitsLoss()(output, targets.T)
    else:
        loss = nn.CrossEntropyLoss()(output, targets.argmax(0))
    weights = [module.weight for module in network if isinstance(module, nn.Linear)]
    if config.regularisation == "l1":
        return loss + config.penalty * sum(weight.abs().sum() for weight in weights)
    if config.regularisation == "l2":
        return loss + config.penalty / 2 * sum(weight.square().sum() for weight in weights)
    return loss


def gradient_of(network: nn.Module) -> torch.Tensor:
    """In the order of the flat parameters."""
    linears = [module for module in network if isinstance(module, nn.Linear)]
    return torch.cat([torch.cat([each.weight.grad, each.bias.grad[:, None]], 1).flatten() for each in linears])


# Activations


@pytest.mark.parametrize("name", HIDDEN_ACTIVATIONS)
def test_activations_and_their_slopes(name):
    z = torch.linspace(-9, 9, 400, dtype=torch.float64)[None].requires_grad_()
    a, slope = torch.empty(1, 400, dtype=torch.float64), torch.empty(1, 400, dtype=torch.float64)
    ACTIVATE_INTO[name](z.detach().numpy(), a.numpy())
    SLOPE_INTO[name](z.detach().numpy(), a.numpy(), slope.numpy())
    expected = ACTIVATIONS[name]()(z)
    torch.testing.assert_close(a, expected.detach())
    torch.testing.assert_close(slope, torch.autograd.grad(expected.sum(), z)[0])
    torch.testing.assert_close(a, activate(z.detach(), name))  # and as the neuron lesson has them
    torch.testing.assert_close(slope, derivative(z.detach(), name))


# The gradient


@every_task
@pytest.mark.parametrize("activation", HIDDEN_ACTIVATIONS)
def test_loss_and_gradient_by_hand_are_those_of_torchs_modules(task, activation):
    for layers, regularisation in (((5, 3), "none"), ((), "l2"), ((4,), "l1"), ((3, 3, 2), "l2")):
        config = PlaygroundConfig(
            activation=activation, layers=layers, regularisation=regularisation, penalty=0.3, inputs=INPUTS[:4], **task
        )
        passes, batch = drawn(config)
        loss = passes.forward(batch) + passes.penalty()
        passes.backward(batch)
        network = module_of(config, passes.parameters)
        expected = loss_of(config, network, *tensors(batch))
        expected.backward()
        torch.testing.assert_close(torch.tensor(loss), expected.detach(), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(passes.gradient, gradient_of(network), rtol=1e-9, atol=1e-12)


@every_task
def test_the_readable_version_says_the_same(task):
    for dropout, regularisation in itertools.product((0.0, 0.4), ("none", "l1", "l2")):
        config = PlaygroundConfig(
            activations=("relu", "gelu"), layers=(6, 5, 4), dropout=dropout, regularisation=regularisation, **task
        )
        passes, batch = drawn(config)
        if dropout:
            passes.draw_masks([generator()])
        masks = [torch.from_numpy(layer.mask) for layer in passes.up[:-1]] if dropout else []
        loss = passes.forward(batch) + passes.penalty()
        passes.backward(batch)
        parameters = passes.parameters.clone().requires_grad_()
        expected = loss_by_autograd(config, parameters, *tensors(batch), masks)
        torch.testing.assert_close(torch.tensor(loss), expected.detach(), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(passes.gradient, torch.autograd.grad(expected, parameters)[0], rtol=1e-9, atol=1e-12)


@every_task
def test_finite_differences(task):
    config = PlaygroundConfig(activation="swish", layers=(3, 2), dropout=0.3, **task)
    passes, batch = drawn(config)
    passes.draw_masks([generator()])
    passes.forward(batch)
    passes.backward(batch)
    found, step = passes.gradient.clone(), 1e-6
    for place in range(len(found)):
        losses = []
        for change in (step, -2 * step, step):
            passes.parameters[place] += change
            losses.append(passes.forward(batch).item())
        assert found[place].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-7)


def test_a_sure_and_wrong_network_has_a_finite_loss():
    for data in ("circle", "spirals"):
        config = PlaygroundConfig(data=data, layers=())
        points = points_of(config)
        parameters = torch.full((parameter_count(config),), 1e4)
        parameters[: parameter_count(config) // 2] *= -1
        batch = batch_of(config, points.train_inputs, points.train_targets)
        passes = Passes(config, parameters, torch.zeros_like(parameters), len(points.train_inputs))
        loss = passes.forward(batch)
        passes.backward(batch)
        assert math.isfinite(loss) and loss > 100 and passes.gradient.isfinite().all()


# Learning


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_a_run_follows_torchs_optimizer_on_the_same_batches(optimizer):
    config = PlaygroundConfig(data="blobs", layers=(5,), optimizer=optimizer, regularisation="l2", seed=4)
    learner = config.build(generator(4))
    network = module_of(config, learner.parameters)
    classes = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    options = {"momentum": 0.9} if optimizer == "momentum" else {}
    rival = classes.get(optimizer, torch.optim.SGD)(network.parameters(), lr=0.05, **options)
    for _ in range(60):
        loss = learner.update(0.05)
        batch = learner.batches.cut[learner.batches.at - 1]
        rival.zero_grad()
        expected = loss_of(config, network, *tensors(batch))
        expected.backward()
        rival.step()
        assert loss == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(learner.state()["weight_1"], network[0].weight.data, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(learner.state()["bias_2"], network[2].bias.data, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "config",
    [
        PlaygroundConfig(),
        PlaygroundConfig(dropout=0.2, regularisation="l1", data="spirals"),
        replace(PRESETS["bumps"], activation="gelu"),
        PlaygroundConfig(loss="squared", batch_size=0, learning_rate=0.3),
    ],
)
def test_by_autograd_the_first_hundred_steps_are_the_same(config):
    by_hand, by_autograd = replay(config, steps=100), replay(config.reference(), steps=100)
    assert by_autograd.config.backward == "autograd" != config.backward
    for mine, other in zip(by_hand.history, by_autograd.history, strict=True):
        for part in ("train", "test"):
            assert mine.scores[part]["Loss"] == pytest.approx(other.scores[part]["Loss"], abs=1e-4)
    for name, weights in by_hand.snapshot().state.items():
        torch.testing.assert_close(weights, by_autograd.snapshot().state[name], atol=1e-4, rtol=0)
    assert torch.equal(by_hand.generator.get_state(), by_autograd.generator.get_state())


def test_a_run_is_pickled_in_the_middle_of_an_epoch():
    for config in (PlaygroundConfig(optimizer="momentum", dropout=0.3), PlaygroundConfig(optimizer="adam", layers=())):
        run = replay(config, steps=40)
        copy = pickle.loads(pickle.dumps(run))
        for each in (run, copy):
            each.advance(1e9, 130)
        assert repr(run.history) == repr(copy.history)


def test_an_epoch_shows_every_point_once_and_each_in_another_order():
    config = PlaygroundConfig(count=206, train_share=0.5, batch_size=10)
    points = points_of(config)
    every = batch_of(config, points.train_inputs, points.train_targets)
    batches = Batches(every, 10, generator())
    known = {tuple(point) for point in np.concatenate([every.inputs, every.targets]).T.tolist()}
    epochs = [[batches.next() for _ in range(10)] for _ in range(2)]
    for epoch in epochs:
        assert epoch[0].inputs.shape == (3, 10) and (epoch[0].turned == epoch[0].inputs.T).all()
        seen = np.concatenate([np.concatenate([batch.inputs, batch.targets]) for batch in epoch], 1).T.tolist()
        assert len({tuple(point) for point in seen}) == 100 and {tuple(point) for point in seen} <= known
    first = batches.dealt.clone()
    batches.next()
    assert not torch.equal(first, batches.dealt)


@pytest.mark.parametrize("size", [0, 250, 2000])
def test_a_full_batch_is_all_points_and_draws_nothing(size):
    learner = PlaygroundConfig(batch_size=size).build(generator())
    before = learner.generator.get_state()
    assert learner.batches.next() is learner.batches.next() is learner.train
    assert learner.passes.size == 250
    learner.update(0.1)
    assert torch.equal(before, learner.generator.get_state())


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    config = PlaygroundConfig(layers=(8,) * 6, dropout=0.3, batch_size=0)
    passes = config.build(generator()).passes
    passes.draw_masks([generator()])
    masks = torch.cat([torch.from_numpy(layer.mask).flatten() for layer in passes.up[:-1]])
    assert masks.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert (masks == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert masks.mean().item() == pytest.approx(1.0, abs=0.02)
    assert (passes.up[-1].mask == 1).all()


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_initial_weights(initialisation):
    config = PlaygroundConfig(initialisation=initialisation, layers=(8, 8, 8, 8, 8, 8), inputs=INPUTS)
    drawn = [draw_parameters(config, generator(seed)) for seed in range(60)]
    for number, (units, inputs) in enumerate(layer_shapes(config), start=1):
        weight = torch.stack([state_of(config, each)[f"weight_{number}"] for each in drawn])
        bias = torch.stack([state_of(config, each)[f"bias_{number}"] for each in drawn])
        variance = {
            "zeros": 0.0, "normal": 1.0, "uniform": 1 / inputs / 3, "xavier": 2 / (inputs + units), "he": 2 / inputs
        }[initialisation]  # fmt: skip
        assert weight.var().item() == pytest.approx(variance, rel=0.15)
        assert bias.var().item() == pytest.approx(variance * (initialisation in ("normal", "uniform")), rel=0.35)
        if initialisation == "uniform":
            assert weight.abs().max() <= 1 / math.sqrt(inputs)


def test_the_measured_scores_are_those_of_the_module():
    for task in TASKS.values():
        config = PlaygroundConfig(layers=(4, 3), dropout=0.4, noise=0.2, **task)
        run = replay(config, steps=30)
        run.step(measure=True)
        network, points = module_of(config, run.learner.parameters), points_of(config)
        for part, (inputs, targets) in {"train": points[:2], "test": points[2:]}.items():
            scores = run.history[-1].scores[part]
            seen = features(inputs, config.inputs)
            network.zero_grad()
            loss = loss_of(config, network, seen, desired(config, targets))
            assert scores["Loss"] == pytest.approx(loss.item(), abs=1e-5)
            if class_count(config):
                output = network(seen.T)
                told = output.argmax(1) if output.shape[1] > 1 else (output[:, 0] > 0).long()
                assert scores["Accuracy"] == pytest.approx((told == targets).float().mean().item())
                assert torch.equal(predictions(config, run.learner.state(), inputs), told)
            if part == "train":
                loss.backward()
                norms = [
                    math.hypot(module.weight.grad.norm(), module.bias.grad.norm())
                    for module in network
                    if isinstance(module, nn.Linear)
                ]
                found = [scores[gradient_metric(layer).name] for layer in (1, 2, 3)]
                assert found == pytest.approx(norms, rel=1e-3, abs=1e-7)
                found = diagnose(config, run.learner.state())
                assert found.gradient_norms == pytest.approx(norms, rel=1e-3, abs=1e-7)
                losses = [run.learner.evaluate()[part]["Loss"] for part in ("train", "test")]
                assert [found.train_loss, found.test_loss] == pytest.approx(losses, rel=1e-6)


def test_the_update_to_weight_ratio():
    for optimizer in ("sgd", "adam"):
        run = Run(PlaygroundConfig(optimizer=optimizer))
        assert UPDATE_RATIO.name not in run.history[0].scores["train"], "nothing has been updated yet"
        run.step()
        before, after = (flattened(run.config, each.state) for each in run.snapshots)
        ratio = run.history[-1].scores["train"][UPDATE_RATIO.name]
        assert ratio == pytest.approx(((after - before).norm() / after.norm()).item(), rel=1e-4)


def test_dead_units_are_counted():
    config = PlaygroundConfig(layers=(4, 2), activations=("relu", "sigmoid"))
    run = Run(config)
    for name, value in {"bias_1_2": -20.0, "bias_1_3": -20.0, "bias_2_1": 20.0}.items():
        run.intervene(name, value)
    for source in (2, 3):
        for column in (1, 2):
            run.intervene(f"weight_1_{source}_{column}", 1.0)
    for column in range(1, 5):
        run.intervene(f"weight_2_1_{column}", 0.1)
    run.step(measure=True)
    assert run.history[-1].scores["train"]["Dead units"] == pytest.approx(3 / 6)
    assert diagnose(config, run.snapshot().state).dead == pytest.approx(3 / 6)


@pytest.mark.parametrize(("activation", "net_inputs"), [("tanh", (2.9, 3.4)), ("sigmoid", (6.5, 6.8))])
def test_a_unit_is_dead_below_half_a_percent_of_the_steepest_slope(activation, net_inputs):
    """tanh′(2.9) = 1.2%, tanh′(3.4) = 0.4%; σ′(6.5) = 0.6% and σ′(6.8) = 0.4% of ¼."""
    config = PlaygroundConfig(layers=(2,), activation=activation)
    state = {name: torch.zeros_like(value) for name, value in Run(config).snapshot().state.items()}
    state["bias_1"] = torch.tensor(net_inputs)
    assert diagnose(config, state).dead == 0.5


# By hand


def test_every_weight_can_be_edited_and_is_replayed():
    config = PlaygroundConfig(layers=(3, 2))
    run = replay(config, steps=5)
    assert len(weight_names(config)) == parameter_count(config) == 3 * 3 + 2 * 4 + 3
    for value, name in enumerate(weight_names(config)):
        run.intervene(name, value / 2)
    state = run.snapshot().state
    for name, value in zip(weight_names(config), itertools.count(), strict=False):
        kind, layer, *places = name.split("_")
        assert state[f"{kind}_{layer}"][tuple(int(place) - 1 for place in places)] == value / 2
    run.advance(1e9, 9)
    again = replay(config, tuple(run.interventions), 9)
    assert repr(again.history) == repr(run.history)
    assert run.interventions[0] == Intervention(5, "weight_1_1_1", 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("weight_1_1_3", 0.0), ("weight_0_1_1", 0.0), ("bias_4_1", 0.0), ("weight", 0.0), ("bias_1_1_1", 0.0)),
        *(("bias_1_1", value) for value in (21.0, math.nan, "1", None, True)),
    ],
)
def test_impossible_edits(name, value):
    run = Run(PlaygroundConfig())
    before = run.snapshot().state
    with pytest.raises(ValueError):
        run.intervene(name, value)
    assert run.interventions == [] and all(torch.equal(before[key], each) for key, each in run.learner.state().items())


# Settings


@pytest.mark.parametrize("data", DATA)
def test_every_data_set_can_be_learnt_with_every_loss_that_fits(data):
    for loss in ("auto", "squared", "cross_entropy"):
        try:
            config = PlaygroundConfig(data=data, loss=loss, points=tuple(x / 4 if data == "own_values" and i % 3 == 2 else x for i, x in enumerate(OWN)))  # fmt: skip
        except SettingError as error:
            assert (error.field, loss) == ("loss", "cross_entropy") and data in (
                "plane",
                "multi_gaussian",
                "own_values",
            )
            continue
        run = replay(config, steps=3)
        assert math.isfinite(run.history[-1].scores["test"]["Loss"])
        assert ("Accuracy" in run.history[-1].scores["test"]) == (class_count(config) > 0)


def test_own_points_are_split_and_keep_their_classes():
    config = PlaygroundConfig(data="own_classes", points=OWN, train_share=0.5)
    points = points_of(config)
    assert class_count(config) == output_count(config) == 3
    together = torch.cat(
        [torch.cat([points.train_inputs, points.test_inputs]), torch.cat([points[1], points[3]])[:, None]], 1
    )
    given = {tuple(OWN[i : i + 3]) for i in range(0, len(OWN), 3)}
    assert {tuple(row) for row in together.tolist()} == given
    assert len(points.train_inputs) == 3 and set(points.train_targets.tolist()) == {0, 1, 2}
    two = replace(config, points=OWN[:6])
    assert len(points_of(two).train_inputs) == len(points_of(two).test_inputs) == 1


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        *(("layers", {"layers": value}) for value in ((0,), (9,), (1,) * 7, (2.0,), 3, ("4",), (True,), None)),
        *(("inputs", {"inputs": value}) for value in ((), ("x1", "x1"), ("x3",), "x1")),
        *(("activations", {"activations": value}) for value in (("step",), ("tanh",) * 7, "tanh")),
        ("loss", {"data": "plane", "loss": "cross_entropy"}),
        *(("batch_size", {"batch_size": value}) for value in (-1, 2001)),
        *(("points", {"points": value}) for value in ((1.0,), (7.0, 0.0, 0.0), (math.nan, 0.0, 1.0), "abc", [1.0] * 3)),
        *(("points", {"data": "own_classes", "points": value}) for value in ((), (0.0, 0.0, 1.0))),
        *(
            ("points", {"data": "own_classes", "points": (0.0, 0.0, 1.0, 1.0, 1.0, value)})
            for value in (0.5, 5.0, -1.0)
        ),
        ("points", {"data": "own_values", "points": (0.0, 0.0, 1.0, 1.0, 1.0, 1.5)}),
        ("points", {"points": (0.0, 0.0, 1.0) * (OWN_POINTS + 1)}),
    ],
)
def test_impossible_settings(field, settings):
    with pytest.raises(SettingError) as error:
        PlaygroundConfig(**settings)
    assert error.value.field == field


def test_activations_per_layer():
    config = PlaygroundConfig(layers=(3, 3, 3), activations=("relu", "sigmoid"), activation="gelu")
    assert activation_names(config) == ["relu", "sigmoid", "gelu", "sigmoid"]
    assert activation_names(replace(config, layers=(2,), loss="squared")) == ["relu", "tanh"]
    assert activation_names(replace(config, layers=(), data="blobs")) == ["softmax"]
    assert activation_names(replace(config, layers=(), data="plane")) == ["identity"]


# Pictures


def test_what_the_outputs_should_say():
    classes, values = torch.tensor([0, 2, 1]), torch.tensor([0.5, -1.0, 0.0])
    config = PlaygroundConfig(data="spirals")
    one_hot = [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
    assert desired(config, classes).tolist() == one_hot
    assert desired(replace(config, loss="squared"), classes).tolist() == [[2 * x - 1 for x in row] for row in one_hot]
    assert desired(PlaygroundConfig(), classes[::2]).tolist() == [[0.0, 1.0]]
    assert desired(PlaygroundConfig(loss="squared"), classes[::2]).tolist() == [[-1.0, 1.0]]
    assert desired(PlaygroundConfig(data="plane"), values).tolist() == [values.tolist()]


def test_features():
    points = torch.tensor([[0.5, -2.0], [3.0, 1.0]])
    expected = [[0.5, -2.0, 0.25, 4.0, -1.0, math.sin(0.5), math.sin(-2.0)], [3, 1, 9, 1, 3, math.sin(3), math.sin(1)]]
    torch.testing.assert_close(features(points, INPUTS).T, torch.tensor(expected))
    torch.testing.assert_close(
        features(points, ("sin_x2", "x1")), torch.tensor([[math.sin(-2), math.sin(1)], [0.5, 3]])
    )


def test_maps_are_drawn_from_the_upper_left():
    config = PlaygroundConfig(inputs=("x1", "x2"), layers=(2,), activation="identity", loss="squared")
    state = {"weight_1": torch.eye(2), "bias_1": torch.zeros(2), "weight_2": torch.ones(1, 2), "bias_2": torch.ones(1)}
    hidden, output = neuron_maps(config, state, 4)
    places = torch.tensor([-4.5, -1.5, 1.5, 4.5])
    torch.testing.assert_close(hidden[0], places.expand(4, 4))
    torch.testing.assert_close(hidden[1], places.flip(0)[:, None].expand(4, 4))
    torch.testing.assert_close(input_maps(config, 4), hidden)
    torch.testing.assert_close(output[0], torch.tanh(hidden.sum(0) + 1))


@every_task
def test_maps_are_the_modules_answers(task):
    config = PlaygroundConfig(activations=("gelu",), layers=(3, 4), **task)
    learner = config.build(generator())
    network = module_of(config, learner.parameters)
    answer = answer_map(config, learner.state(), 6)
    seen = input_maps(config, 6).flatten(1).T
    with torch.no_grad():
        output = network(seen).T.reshape(-1, 6, 6)
        last_hidden = network[:4](seen).T.reshape(-1, 6, 6)
    torch.testing.assert_close(neuron_maps(config, learner.state(), 6)[1], last_hidden)
    if config.data == "multi_gaussian":
        assert answer.winner is None
        torch.testing.assert_close(answer.values, output)
    elif len(output) == 1:
        torch.testing.assert_close(answer.values, output if config.loss == "squared" else torch.tanh(output / 2))
        assert torch.equal(answer.winner, (output[0] > 0).long())
    else:
        assert torch.equal(answer.winner, output.argmax(0))
        torch.testing.assert_close(answer.values, (output + 1) / 2 if config.loss == "squared" else output.softmax(0))
        assert answer.values.min() >= 0 and answer.values.max() <= 1


def test_the_hidden_space():
    config = PlaygroundConfig(layers=(3, 2))
    state = config.build(generator()).state()
    plane, first, second, last = (hidden_space(config, state, 5, layer) for layer in range(4))
    points = points_of(config)
    assert plane.grid[0, 0].tolist() == [-EDGE, EDGE] and plane.grid[-1, -1].tolist() == [EDGE, -EDGE]
    assert torch.equal(plane.train, points.train_inputs) and torch.equal(plane.test, points.test_inputs)
    torch.testing.assert_close(first.grid, torch.tanh(plane.grid @ state["weight_1"].T + state["bias_1"]))
    torch.testing.assert_close(second.test, torch.tanh(first.test @ state["weight_2"].T + state["bias_2"]))
    torch.testing.assert_close(last.train, torch.sigmoid(second.train @ state["weight_3"].T + state["bias_3"]))
    for layer in (-1, 4):
        with pytest.raises(ValueError, match="layer"):
            hidden_space(config, state, 5, layer)


def test_confusion_counts_every_point():
    config = PlaygroundConfig(data="blobs", classes=4, noise=0.3, layers=(3,))
    run = replay(config, steps=40)
    run.step(measure=True)
    state, points = run.snapshot().state, points_of(config)
    for part, (inputs, targets) in {"train": points[:2], "test": points[2:]}.items():
        expected = torch.zeros(4, 4, dtype=torch.long)
        for told, target in zip(predictions(config, state, inputs).tolist(), targets.tolist(), strict=True):
            expected[target, told] += 1
        found = confusion(config, state, part)
        assert torch.equal(found, expected)
        assert found.trace().item() / found.sum().item() == pytest.approx(run.history[-1].scores[part]["Accuracy"])
    with pytest.raises(ValueError):
        confusion(PlaygroundConfig(data="plane"), state)


def test_the_trace_of_a_snapshot_is_that_of_the_passes():
    config = PlaygroundConfig(layers=(4, 3), data="spirals")
    learner = config.build(generator())
    learner.evaluate()
    outputs = layer_outputs(config, learner.state(), tensors(learner.train)[0])
    for output, layer in zip(outputs, learner.train_passes.up, strict=True):
        torch.testing.assert_close(output, torch.from_numpy(layer.activation))
    assert torch.equal(flattened(config, learner.state()), learner.parameters)


# Ensembles


@pytest.mark.parametrize(
    "config",
    [
        PlaygroundConfig(loss="squared", regularisation="l1"),
        PlaygroundConfig(data="spirals", optimizer="adam", dropout=0.2, layers=(8, 8)),
        PlaygroundConfig(data="plane", batch_size=0, activation="gelu", regularisation="l2"),
    ],
)
def test_an_ensemble_is_its_runs_but_for_rounding(config):
    configs = [replace(config, seed=seed) for seed in (3, 1, 4)]
    together = Ensemble(configs)
    together.advance(70)
    for each, history, state in zip(configs, together.histories, together.states(), strict=True):
        alone = replay(each, steps=70)
        assert [record.step for record in history] == [record.step for record in alone.history]
        for mine, other in zip(history, alone.history, strict=True):
            assert mine.scores["test"]["Loss"] == pytest.approx(other.scores["test"]["Loss"], abs=1e-4)
        for name, weights in alone.snapshot().state.items():
            torch.testing.assert_close(state[name], weights, atol=1e-4, rtol=1e-3)


def test_seeds_race_together_and_come_where_they_come_alone():
    configs = {f"a {seed}": PlaygroundConfig(seed=seed, dropout=0.1) for seed in (0, 3)}
    race = race_of(configs)
    assert isinstance(race, SeedRace)
    race.advance(math.inf, limit=101)
    assert race.steps == 101
    for name, run in race.runs.items():
        run.evaluate()  # 101 is not due
        alone = replay(configs[name], steps=101)
        alone.evaluate()
        assert (run.config, run.steps) == (configs[name], 101)
        assert [record.step for record in run.history] == [record.step for record in alone.history]
        for part, metric in (("test", "Loss"), ("train", UPDATE_RATIO.name), ("train", gradient_metric(1).name)):
            mine, other = (each.history[-1].scores[part][metric] for each in (run, alone))
            assert mine == pytest.approx(other, abs=1e-4, rel=1e-3)


def test_what_an_ensemble_remembers_is_bounded_as_alone(monkeypatch):
    monkeypatch.setattr("core.training.RECORDS", 16)
    configs = [PlaygroundConfig(seed=seed) for seed in (0, 3)]
    together = Ensemble(configs)
    together.advance(1_200)
    for config, history in zip(configs, together.histories, strict=True):
        steps, alone = ({each.step for each in records} for records in (history, replay(config, steps=1_200).history))
        assert len(steps ^ alone) < 8, "what was best differs in its last digits"
        assert not {704, 832, 960} <= steps, "1024 is past: of these only the best stay"


@pytest.mark.parametrize(
    ("configs", "planned"),
    [
        ((PlaygroundConfig(), PlaygroundConfig(seed=1)), (Intervention(5, "learning_rate", 0.1),)),
        ((PlaygroundConfig(), PlaygroundConfig(seed=1, noise=0.1)), ()),
        ((PlaygroundConfig(),), ()),
    ],
)
def test_others_race_one_by_one(configs, planned):
    race = race_of({str(number): config for number, config in enumerate(configs)}, planned)
    assert type(race) is Race
    assert race.leader.planned == list(planned)


def test_in_an_ensemble_the_others_go_on():
    configs = [replace(PRESETS["diverging"], seed=seed, learning_rate=0.156) for seed in range(5)]
    together, alone = Ensemble(configs), [replay(config, steps=2_000) for config in configs]
    together.advance(2_000)
    assert together.diverged == [run.diverged for run in alone]
    assert [history[-1].step for history in together.histories] == [run.steps for run in alone]
    assert len(set(together.diverged)) == 2  # or the test says nothing


@pytest.mark.parametrize("configs", [[], [PlaygroundConfig(), PlaygroundConfig(learning_rate=0.1)]])
def test_what_is_no_ensemble(configs):
    with pytest.raises(ValueError):
        Ensemble(configs)


# What the presets are said to show


def last(name: str, steps: int, seed: int = 0) -> dict:
    return replay(replace(PRESETS[name], seed=seed), steps=steps).history[-1].scores


@pytest.mark.parametrize(
    ("name", "steps", "least"),
    [
        *(("circle", 3000, 0.97), ("xor", 1500, 0.96), ("line", 500, 0.96), ("squares", 1000, 0.97)),
        *(("moons", 2000, 0.94), ("five_blobs", 1500, 0.88), ("spiral", 3000, 0.95), ("deep", 2000, 0.97)),
    ],
)
def test_good_presets_learn(name, steps, least):
    assert last(name, steps)["test"]["Accuracy"] >= least


def test_known_bad_presets_fail_for_the_reason_given():
    too_fast, good = last("too_fast", 2000), last("circle", 2000)
    assert too_fast["test"]["Accuracy"] < 0.9 < good["test"]["Accuracy"]
    assert too_fast["train"][UPDATE_RATIO.name] > 5 * good["train"][UPDATE_RATIO.name]

    assert replay(PRESETS["diverging"], steps=300).diverged
    inputs = features(points_of(PRESETS["diverging"])[0], ("x1", "x2"))
    seen = torch.cat([inputs, torch.ones(1, inputs.shape[1])])
    curvature = torch.linalg.eigvalsh(seen @ seen.T / seen.shape[1])[-1].item()
    assert PRESETS["diverging"].learning_rate > 2 / curvature > 0.15
    assert not replay(replace(PRESETS["diverging"], learning_rate=1.9 / curvature), steps=300).diverged

    sigmoid = Run(PRESETS["deep_sigmoid"]).history[0].scores["train"]
    assert sigmoid[gradient_metric(1).name] < sigmoid[gradient_metric(7).name] / 1000
    assert max(diagnose(PRESETS["deep_sigmoid"], Run(PRESETS["deep_sigmoid"]).snapshot().state).slopes) < 0.25
    assert last("deep_sigmoid", 2000)["test"]["Accuracy"] < 0.6 < last("deep", 2000)["test"]["Accuracy"]

    dead = last("dead_relus", 1000)["train"]
    assert dead["Dead units"] >= 0.5 and dead["Accuracy"] < 0.6
    assert dead[gradient_metric(1).name] == dead[gradient_metric(2).name] == 0

    overfitting = last("overfitting", 1000)
    assert overfitting["train"]["Accuracy"] == 1 and overfitting["test"]["Loss"] > 10 * overfitting["train"]["Loss"]
    assert overfitting["test"]["Accuracy"] < 0.8

    zeros = last("zeros", 500)["train"]
    assert zeros[gradient_metric(1).name] == zeros[gradient_metric(2).name] == 0 and zeros["Accuracy"] < 0.6
