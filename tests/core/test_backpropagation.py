"""Backpropagation by hand against Mazur's published numbers, autograd, torch.optim and finite differences."""

import math
import pickle
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import core.backpropagation as lesson
from core.backpropagation import (
    ACTIVATIONS_WITH_SLOPE,
    MAZUR,
    NETWORKS,
    PRESETS,
    BackpropagationConfig,
    Network,
    forward_backward,
    forward_order,
    initial_network,
    network_of,
    parameter_names,
    paths,
    proof,
    samples,
    shown_sample,
    total_error,
    updated,
    updates,
)
from core.config import SettingError
from core.training import Run, replay

F64 = torch.float64
THEIRS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "gelu": torch.nn.functional.gelu,
    "swish": torch.nn.functional.silu,
}


def random_network(outputs: int, activation: str, seed: int = 0) -> Network:
    generator = torch.Generator().manual_seed(seed)
    names = parameter_names(outputs)
    drawn = torch.randn(len(names), generator=generator, dtype=F64)
    return Network(activation, dict(zip(names, drawn, strict=True)))


def random_samples(outputs: int, count: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(9)
    return tuple(torch.randn(count, size, generator=generator, dtype=F64) for size in (2, outputs))


def mazur() -> tuple[Network, Tensor, Tensor]:
    config = BackpropagationConfig()
    return initial_network(config, torch.Generator()), *shown_sample(config)


# ---- Mazur's example, digit by digit as he published it


def test_mazurs_forward_pass():
    nodes = forward_backward(*mazur()).nodes
    published = {
        "net_h1": 0.3775, "out_h1": 0.593269992, "out_h2": 0.596884378, "net_o1": 1.105905967, "out_o1": 0.75136507,
        "out_o2": 0.772928465, "error_o1": 0.274811083, "error_o2": 0.023560026, "total": 0.298371109,
    }  # fmt: skip
    assert {name: nodes[name].value.item() for name in published} == pytest.approx(published, abs=1e-8)


def test_mazurs_gradients_and_factors():
    walked = forward_backward(*mazur())
    nodes = walked.nodes
    assert nodes["w5"].gradient.item() == pytest.approx(0.082167041, abs=1e-8)
    assert nodes["w1"].gradient.item() == pytest.approx(0.000438568, abs=1e-8)
    assert nodes["out_h1"].gradient.item() == pytest.approx(0.036350306, abs=1e-8)
    assert nodes["net_o1"].gradient.item() == pytest.approx(0.138498562, abs=1e-8)
    factors = {(edge.source, edge.target): edge.derivative.item() for edge in walked.edges}
    published = {
        ("out_o1", "error_o1"): 0.74136507, ("net_o1", "out_o1"): 0.186815602, ("w5", "net_o1"): 0.593269992,
        ("out_h1", "net_o1"): 0.40, ("net_h1", "out_h1"): 0.241300709, ("w1", "net_h1"): 0.05,
    }  # fmt: skip
    assert {edge: factors[edge] for edge in published} == pytest.approx(published, abs=1e-8)


def test_mazurs_update():
    network, x, target = mazur()
    changes = updates(network, x, target, 0.5, train_biases=False)
    published = {
        "w1": 0.149780716, "w2": 0.19956143, "w3": 0.24975114, "w4": 0.29950229,
        "w5": 0.35891648, "w6": 0.408666186, "w7": 0.511301270, "w8": 0.561370121, "b1": 0.35, "b2": 0.60,
    }  # fmt: skip
    assert {name: change.after for name, change in changes.items()} == pytest.approx(published, abs=1e-8)
    assert total_error(updated(network, changes), x, target).item() == pytest.approx(0.291028, abs=5e-7)
    run = replay(BackpropagationConfig(), steps=1)
    assert [record.scores["train"]["Loss"] for record in run.history] == pytest.approx([0.298371, 0.291028], abs=5e-7)


# ---- every value and every gradient


def whole_graph(network: Network, x: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Every node written out for autograd, each with its gradient kept."""
    f, nodes = THEIRS[network.activation], {}

    def node(name: str, value: Tensor) -> Tensor:
        nodes[name] = value if value.requires_grad else value.clone().requires_grad_()
        nodes[name].retain_grad()
        return nodes[name]

    one = torch.ones_like(x[:, 0])  # each sample has its own copy of a weight, and so its own gradient
    p = {name: node(name, one * value) for name, value in network.parameters.items()}
    x1, x2 = node("x1", x[:, 0]), node("x2", x[:, 1])
    single = "b3" in p
    h1 = node("out_h1", f(node("net_h1", p["w1"] * x1 + p["w2"] * x2 + p["b1"])))
    h2 = node("out_h2", f(node("net_h2", p["w3"] * x1 + p["w4"] * x2 + p["b2" if single else "b1"])))
    o1 = node("out_o1", f(node("net_o1", p["w5"] * h1 + p["w6"] * h2 + p["b3" if single else "b2"])))
    total = node("error_o1", 0.5 * (node("target_o1", target[:, 0]) - o1) ** 2)
    if not single:
        o2 = node("out_o2", f(node("net_o2", p["w7"] * h1 + p["w8"] * h2 + p["b2"])))
        total = total + node("error_o2", 0.5 * (node("target_o2", target[:, 1]) - o2) ** 2)
    node("total", total * 1).sum().backward()
    return nodes


@pytest.mark.parametrize("activation", ACTIVATIONS_WITH_SLOPE)
@pytest.mark.parametrize("outputs", [1, 2])
def test_every_node_is_autograds(outputs, activation):
    network, (x, target) = random_network(outputs, activation), random_samples(outputs)
    walked, expected = forward_backward(network, x, target), whole_graph(network, x, target)
    assert walked.nodes.keys() == expected.keys()
    for name, node in walked.nodes.items():
        value = node.value.expand_as(expected[name])
        torch.testing.assert_close(value, expected[name].detach(), atol=1e-12, rtol=0)
        torch.testing.assert_close(node.gradient, expected[name].grad, atol=1e-12, rtol=0)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_single_sample_is_one_of_a_batch(outputs):
    network, (x, target) = random_network(outputs, "tanh"), random_samples(outputs)
    batch, one = forward_backward(network, x, target), forward_backward(network, x[3], target[3])
    for name, node in one.nodes.items():
        assert node.gradient.shape == ()
        assert node.gradient.item() == pytest.approx(batch.nodes[name].gradient[3].item(), abs=1e-15)
    torch.testing.assert_close(batch.nodes["total"].value, total_error(network, x, target))


# ---- the order of the walk


@pytest.mark.parametrize("outputs", [1, 2])
def test_each_node_is_computed_after_those_that_lead_into_it(outputs):
    network, (x, target) = random_network(outputs, "sigmoid"), random_samples(outputs)
    walked, order = forward_backward(network, x, target), forward_order(outputs)
    names = list(walked.nodes)
    assert names[-1] == "total" and set(order) < set(names)
    assert all(names.index(edge.source) < names.index(edge.target) for edge in walked.edges)
    assert {edge.target for edge in walked.edges} == set(order)
    computed = set(names) - set(order)
    for name in order:  # a page that shows node after node never needs one that was not shown
        assert {edge.source for edge in walked.edges if edge.target == name} <= computed
        computed.add(name)
    assert len(walked.edges) == {1: 5 * 3 + 3 + 2 + 1, 2: 5 * 4 + 4 + 4 + 2}[outputs]


@pytest.mark.parametrize("outputs", [1, 2])
def test_an_edge_passes_on_a_gradient_that_is_complete(outputs):
    network, (x, target) = random_network(outputs, "tanh"), random_samples(outputs)
    walked = forward_backward(network, x, target)
    so_far = {name: torch.zeros(len(x), dtype=F64) for name in walked.nodes} | {"total": torch.ones(len(x), dtype=F64)}
    for edge in walked.edges:
        assert torch.equal(so_far[edge.target], walked.nodes[edge.target].gradient)
        assert torch.equal(edge.passed, edge.derivative * so_far[edge.target])
        so_far[edge.source] = so_far[edge.source] + edge.passed
    assert all(torch.equal(so_far[name], node.gradient) for name, node in walked.nodes.items())


def test_the_factors_along_all_paths_multiply_and_add_up_to_the_gradient():
    for outputs in (1, 2):
        network, (x, target) = random_network(outputs, "gelu"), random_samples(outputs)
        walked = forward_backward(network, x, target)
        for name, node in walked.nodes.items():
            found = paths(walked, name)
            torch.testing.assert_close(torch.stack([path.product for path in found]).sum(0), node.gradient)
            for path in found:
                torch.testing.assert_close(math.prod(path.factors, start=torch.ones(5, dtype=F64)), path.product)
                assert path.names[0] == name and path.names[-1] == "total"
                assert len(path.factors) == len(path.names) - 1
    first = paths(walked, "w1")
    assert {path.names for path in first} == {
        ("w1", "net_h1", "out_h1", f"net_o{k}", f"out_o{k}", f"error_o{k}", "total") for k in (1, 2)
    }
    assert [len(paths(walked, name)) for name in ("w5", "b2", "b1", "x1")] == [1, 2, 4, 4]
    with pytest.raises(ValueError, match="w9"):
        paths(walked, "w9")


# ---- proof


@pytest.mark.parametrize("activation", ACTIVATIONS_WITH_SLOPE)
@pytest.mark.parametrize("outputs", [1, 2])
def test_three_ways_to_one_gradient(outputs, activation):
    network, (x, target) = random_network(outputs, activation, seed=1), random_samples(outputs)
    for name in parameter_names(outputs):
        found = proof(network, x[0], target[0], name)
        assert found.autograd_gap < 1e-14 and found.finite_gap < 1e-8
        assert (found.autograd_gap, found.finite_gap) == (
            abs(found.hand - found.autograd), abs(found.hand - found.finite),
        )  # fmt: skip


def test_the_three_ways_are_independent(monkeypatch):
    network, x, target = mazur()
    right = proof(network, x, target, "w1")
    monkeypatch.setattr(lesson, "derivative", lambda z, name: torch.sigmoid(z))  # a mistake in the chain rule
    wrong = proof(network, x, target, "w1")
    assert (wrong.autograd, wrong.finite) == (right.autograd, right.finite)
    assert wrong.autograd_gap > 1e-3 and wrong.finite_gap > 1e-3


def test_a_finite_difference_errs_by_its_step_squared_until_rounding_takes_over():
    gaps = [proof(*mazur(), "w5", step).finite_gap for step in (1e-1, 1e-2, 1e-3)]
    assert gaps[0] / gaps[1] == pytest.approx(100, rel=0.02) and gaps[1] / gaps[2] == pytest.approx(100, rel=0.02)
    assert proof(*mazur(), "w5", 1e-12).finite_gap > proof(*mazur(), "w5", 1e-5).finite_gap * 1e3


def test_no_proof_of_what_is_no_parameter():
    with pytest.raises(ValueError, match="x1"):
        proof(*mazur(), "x1")


# ---- learning


@pytest.mark.parametrize("biases", [True, False])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("data", ["sample", "xor"])
def test_training_is_torchs(data, network, biases):
    config = BackpropagationConfig(
        network=network, data=data, start="random", activation="tanh", train_biases=biases, seed=4
    )
    run, (x, target) = Run(config), samples(config)
    p = {name: value.clone().requires_grad_() for name, value in run.learner.state().items()}
    trained = [value for name, value in p.items() if biases or name.startswith("w")]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    for _ in range(20):
        b = [p["b1"], p["b2"], p["b3"]] if "b3" in p else [p["b1"], p["b1"], p["b2"]]
        hidden = torch.stack(
            [x @ torch.stack([p["w1"], p["w2"]]) + b[0], x @ torch.stack([p["w3"], p["w4"]]) + b[1]], 1
        )
        rows = [torch.stack([p["w5"], p["w6"]]), *([torch.stack([p["w7"], p["w8"]])] if "w7" in p else [])]
        out = torch.tanh(hidden.tanh() @ torch.stack(rows, 1) + b[2])
        loss = ((out - target) ** 2).sum(1).mean() / 2
        optimizer.zero_grad()
        loss.backward()
        assert run.learner.update(0.5) == pytest.approx(loss.item(), rel=1e-12)
        optimizer.step()
        for name, value in run.learner.state().items():
            assert value.item() == pytest.approx(p[name].item(), abs=1e-12)
    assert any(value != Run(config).learner.state()[name] for name, value in run.learner.state().items())


def test_the_data_are_the_sample_or_the_truth_table():
    shown = BackpropagationConfig(x1=0.3, x2=-0.5, target_1=0.25, target_2=-0.75)
    assert [part.tolist() for part in samples(shown)] == [[[0.3, -0.5]], [[0.25, -0.75]]]
    assert [part.tolist() for part in shown_sample(replace(shown, network="2-2-1"))] == [[0.3, -0.5], [0.25]]
    inputs, targets = samples(BackpropagationConfig(data="xor"))
    for (x1, x2), (xor, same) in zip(inputs.tolist(), targets.tolist(), strict=True):
        assert bool(xor) == (x1 != x2) and bool(same) == (x1 == x2)


def test_starts():
    fixed = Run(BackpropagationConfig()).learner.state()
    assert {name: value.item() for name, value in fixed.items()} == MAZUR
    short = Run(BackpropagationConfig(network="2-2-1")).learner.state()
    assert {name: value.item() for name, value in short.items()} == {
        **{name: value for name, value in MAZUR.items() if name < "w7" and name[0] == "w"}, "b1": 0.35, "b2": 0.35, "b3": 0.6,
    }  # fmt: skip
    wide = [v.item() for seed in range(40) for v in initial_network(BackpropagationConfig(start="random", spread=3.0), torch.Generator().manual_seed(seed)).parameters.values()]  # fmt: skip
    assert max(map(abs, wide)) <= 3 and math.fsum(v * v for v in wide) / len(wide) == pytest.approx(3, rel=0.15)
    assert all(value == 0 for value in Run(BackpropagationConfig(start="zero")).learner.state().values())


def test_the_state_is_all_that_a_picture_needs():
    config = PRESETS["mazur_biases"]
    run = replay(config, steps=5)
    walked = forward_backward(network_of(config, run.snapshots[-1].state), *shown_sample(config))
    assert walked.nodes["total"].value.item() == run.history[-1].scores["train"]["Loss"]


# ---- presets


def last(run: Run) -> dict[str, float]:
    return run.learner.evaluate()["train"]


@pytest.mark.parametrize(("name", "seed", "steps"), [("xor", 0, 500), ("local_minimum", 2, 500), ("relu", 0, 300)])
def test_what_learns_xor(name, seed, steps):
    scores = last(replay(replace(PRESETS[name], seed=seed), steps=steps))
    assert scores["Accuracy"] == 1.0 and scores["Loss"] < 0.01


def test_presets_that_get_stuck():
    for name, loss in {"zero": 0.125, "linear": 0.125, "dead": 0.25}.items():
        scores = last(replay(PRESETS[name], steps=200))
        assert scores["Loss"] == pytest.approx(loss, abs=1e-3) and scores["Accuracy"] <= 0.75
    for name, loss in {"local_minimum": 0.0628, "saturated": 0.125}.items():
        scores = last(replay(PRESETS[name], steps=1500))
        assert scores["Loss"] == pytest.approx(loss, abs=2e-3) and scores["Accuracy"] <= 0.75


def test_from_zero_no_weight_ever_moves_and_only_the_last_bias_learns():
    state = replay(PRESETS["zero"], steps=100).learner.state()
    assert all(value == 0 for name, value in state.items() if name != "b3")
    assert state["b3"].tanh().item() == pytest.approx(0.5, abs=1e-6)  # the mean of the targets


def test_too_fast_diverges():
    run = replay(PRESETS["diverging"], steps=100)
    assert run.diverged and run.steps < 10


# ---- by hand


def test_weights_are_set_by_hand_and_replayed():
    run = replay(PRESETS["xor"], steps=3)
    run.intervene("w3", 2.5)
    run.intervene("b3", -1)
    assert run.learner.state()["w3"] == 2.5 and run.learner.state()["b3"].dtype == F64
    assert run.snapshots[-1].state["w3"] != 2.5
    run.advance(1e9, 8)
    assert replay(PRESETS["xor"], tuple(run.interventions), 8).history == run.history
    assert pickle.loads(pickle.dumps(run)).learner.evaluate() == run.learner.evaluate()


@pytest.mark.parametrize(("name", "value"), [("w7", 1.0), ("x1", 1.0), ("w1", 10.1), ("w1", math.nan), ("b1", None)])
def test_what_cannot_be_set_is_refused(name, value):
    run = Run(PRESETS["xor"])
    with pytest.raises(ValueError):
        run.intervene(name, value)
    assert run.interventions == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "2-3-1"}, {"start": "he"}, {"spread": 0.0}, {"data": "and"}, {"x1": 2.1}, {"target_2": 1.1},
        {"activation": "step"}, {"learning_rate": -1.0}, {"train_biases": 1},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError) as caught:
        BackpropagationConfig(**wrong)
    assert caught.value.field == next(iter(wrong))
