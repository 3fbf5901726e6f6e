"""Gradient descent on surfaces against SciPy's functions, torch.optim's classes, calculus and the known limits."""

import pickle
from dataclasses import replace

import pytest
import torch
from scipy.optimize import rosen, rosen_der
from sklearn.linear_model import LogisticRegression

from core.config import SettingError
from core.data.digits import load
from core.gradient_descent import (
    EDGE,
    METHODS,
    PRESETS,
    ROWS,
    SURFACES,
    GradientDescentConfig,
    bands,
    curvatures,
    height,
    limits_on_the_bowl,
    minima,
    neuron_loss,
    path_steps,
    race,
    rate_limit,
    shade,
    slope,
    surface_grid,
    trained_neuron,
)
from core.training import Run, replay

F64 = torch.float64
STARTS = {surface: GradientDescentConfig(surface=surface, start_x=1.5, start_y=-2.5) for surface in SURFACES}
THEIRS = {
    "sgd": lambda p, rate: torch.optim.SGD(p, rate),
    "momentum": lambda p, rate: torch.optim.SGD(p, rate, momentum=0.8),
    "nesterov": lambda p, rate: torch.optim.SGD(p, rate, momentum=0.8, nesterov=True),
    "rmsprop": lambda p, rate: torch.optim.RMSprop(p, rate),
    "adam": lambda p, rate: torch.optim.Adam(p, rate),
}


def spots(count: int = 50, reach: float = EDGE) -> torch.Tensor:
    return reach * (2 * torch.rand(count, 2, generator=torch.Generator().manual_seed(0), dtype=F64) - 1)


def distance(run: Run) -> float:
    return run.learner.evaluate()["train"]["Distance"]


def loss(run: Run) -> float:
    return run.learner.evaluate()["train"]["Loss"]


# ---- surfaces


def test_rosenbrock_is_scipys_drawn_larger():
    points, config = spots(), STARTS["rosenbrock"]
    expected = torch.tensor([rosen((point / 2.5).numpy()) for point in points], dtype=F64)
    torch.testing.assert_close(height(config, points), expected)
    for point in points[:5]:
        torch.testing.assert_close(slope(config, point), torch.tensor(rosen_der((point / 2.5).numpy())) / 2.5)


@pytest.mark.parametrize("angle", [0, 30, 90, 145])
@pytest.mark.parametrize("condition", [1, 7, 100])
def test_the_bowl_has_its_condition_number_along_its_angle(condition, angle):
    config = GradientDescentConfig(condition=condition, angle=angle)
    curvature = curvatures(config, torch.tensor([1.0, -2.0], dtype=F64))
    assert curvature.tolist() == pytest.approx([1, condition])
    turn = torch.deg2rad(torch.tensor(float(angle), dtype=F64))
    along = torch.stack([turn.cos(), turn.sin()])
    across = torch.stack([-turn.sin(), turn.cos()])
    torch.testing.assert_close(slope(config, 3 * along), 3 * along)
    torch.testing.assert_close(slope(config, 2 * across), 2 * condition * across)
    assert height(config, 2 * across).item() == pytest.approx(2 * condition)


def test_the_saddle_is_one_and_falls_into_two_wells():
    config, middle = STARTS["saddle"], torch.zeros(2, dtype=F64)
    assert slope(config, middle).tolist() == [0, 0]
    assert curvatures(config, middle).tolist() == [-1, 1]
    near = spots(reach=0.01)
    expected = height(config, middle) + near[:, 0] ** 2 / 2 - near[:, 1] ** 2 / 2
    torch.testing.assert_close(height(config, near), expected, atol=1e-9, rtol=0)


def test_himmelblau_by_its_formula():
    for x, y in ((0.0, 0.0), (1.0, 2.0), (-3.0, 4.0)):
        expected = (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2
        assert height(STARTS["himmelblau"], torch.tensor([x, y], dtype=F64)).item() == expected


@pytest.mark.parametrize("surface", SURFACES)
def test_the_minima_are_minima_and_no_place_is_lower(surface):
    config = STARTS[surface]
    lowest = height(config, minima(config))
    for place in minima(config):
        assert slope(config, place).norm() < 1e-3
        assert curvatures(config, place).min() > 0
    assert surface_grid(config, 101).min() >= lowest.min() - 1e-9
    if surface != "digits":
        assert lowest.max() < 1e-9


@pytest.mark.parametrize("surface", SURFACES)
def test_slopes_are_finite_differences(surface):
    config, h = STARTS[surface], 1e-5
    for point in spots(5):
        steps = h * torch.eye(2, dtype=F64)
        finite = (height(config, point + steps) - height(config, point - steps)) / (2 * h)
        torch.testing.assert_close(slope(config, point), finite, atol=1e-5, rtol=1e-6)


def test_the_grid_has_its_rows_from_below_and_its_columns_from_the_left():
    config = STARTS["rosenbrock"]
    grid = surface_grid(config, 11)
    for row, column in ((0, 0), (0, 10), (10, 0), (7, 3)):
        assert grid[row, column] == height(config, torch.tensor([column - 5.0, row - 5.0], dtype=F64))


@pytest.mark.parametrize("surface", SURFACES)
def test_bands_rise_with_the_height_and_shading_lies_between_dark_and_bright(surface):
    grid = surface_grid(STARTS[surface], 41)
    order = grid.flatten().argsort()
    levels = bands(grid, 8).flatten()[order]
    assert (levels[1:] >= levels[:-1]).all() and levels[0] == 0 and levels[-1] == 1
    assert levels.unique().tolist() == pytest.approx([step / 7 for step in range(8)])
    light = shade(grid)
    assert light.shape == grid.shape and light.min() >= 0 and light.max() <= 1


def test_light_comes_from_the_upper_left():
    ramp = torch.arange(5.0).expand(5, 5).double()
    assert shade(ramp).min() > 0.5 and shade(-ramp).max() < 0.5  # what rises to the right faces left
    assert shade(ramp.T).max() < 0.5 and shade(-ramp.T).min() > 0.5  # what rises upwards faces down
    assert shade(torch.ones(5, 5, dtype=F64)).unique().tolist() == [0.5]


# ---- the real surface


def test_the_real_surface_is_a_trained_neurons():
    neuron, digits = trained_neuron(), load()
    chosen = (digits.train_labels == 1) | (digits.train_labels == 6)
    pixels = digits.train_images[chosen][:, 0, [4, 5], [2, 2]]
    torch.testing.assert_close(neuron.train_inputs, pixels.double())
    assert torch.equal(neuron.train_classes, (digits.train_labels[chosen] == 6).double())
    theirs = LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000)
    theirs.fit(neuron.train_inputs.numpy(), neuron.train_classes.numpy())
    assert neuron.weights.tolist() == pytest.approx(theirs.coef_[0].tolist(), abs=1e-3)
    assert neuron.bias == pytest.approx(theirs.intercept_.item(), abs=1e-3)
    probability = torch.sigmoid(neuron.train_inputs @ neuron.weights + neuron.bias)
    expected = torch.nn.functional.binary_cross_entropy(probability, neuron.train_classes)
    assert height(STARTS["digits"], neuron.weights).item() == pytest.approx(expected.item(), rel=1e-9)
    assert ((probability > 0.5) == neuron.train_classes.bool()).double().mean() > 0.85


def test_the_real_surface_has_a_valley_because_its_pixels_are_alike():
    neuron = trained_neuron()
    low, high = curvatures(STARTS["digits"], neuron.weights).tolist()
    assert high / low == pytest.approx(50.5, abs=0.5)
    assert torch.corrcoef(neuron.train_inputs.T)[0, 1] > 0.8


def test_batches_of_digits_are_gradients_of_their_own_loss():
    config = replace(STARTS["digits"], batch_size=5, learning_rate=2.0)
    run, neuron = Run(config), trained_neuron()
    generator = torch.Generator()
    generator.set_state(run.generator.get_state())
    chosen = torch.randint(len(neuron.train_classes), (5,), generator=generator)
    x, y, w = neuron.train_inputs[chosen], neuron.train_classes[chosen], run.learner.position.clone()
    by_hand = x.T @ (torch.sigmoid(x @ w + neuron.bias) - y) / 5
    batch_loss = run.learner.update(2.0)
    assert batch_loss == pytest.approx(neuron_loss(w, neuron, x, y).item())
    torch.testing.assert_close(run.learner.position, w - 2 * by_hand)


def test_the_real_surface_is_also_measured_on_held_out_digits():
    run = Run(STARTS["digits"])
    neuron = trained_neuron()
    held_out = neuron_loss(run.learner.position, neuron, neuron.test_inputs, neuron.test_classes)
    assert run.history[0].scores["test"] == {"Loss": held_out.item()}
    assert "test" not in Run(STARTS["bowl"]).history[0].scores


# ---- methods


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("method", METHODS)
def test_twenty_steps_are_torchs(method, surface):
    rate = 0.001
    run = Run(replace(STARTS[surface], method=method, momentum=0.8, learning_rate=rate))
    position = torch.tensor([1.5, -2.5], dtype=F64, requires_grad=True)
    optimizer = THEIRS[method]([position], rate)
    for _ in range(20):
        optimizer.zero_grad()
        height(STARTS[surface], position).backward()
        optimizer.step()
        run.step()
        torch.testing.assert_close(run.learner.position, position.detach(), atol=1e-10, rtol=0)
    assert (position - torch.tensor([1.5, -2.5])).norm() > 1e-5


def test_noise_has_its_standard_deviation_and_the_loss_stays_exact():
    config = GradientDescentConfig(noise=4.0, learning_rate=0.01, condition=1, start_x=0.0, start_y=0.0)
    run = Run(config)
    moved = []
    for _ in range(2_000):
        before = run.learner.position.clone()
        assert run.learner.update(0.01) == height(config, before).item()
        moved.append((before - run.learner.position) / 0.01 - before)
    noise = torch.stack(moved)
    assert noise.mean(0).abs().max() < 0.4 and noise.std(0).tolist() == pytest.approx([4.0, 4.0], rel=0.06)


def test_without_noise_the_seed_means_nothing():
    one, other = (replay(replace(GradientDescentConfig(), seed=seed), steps=10) for seed in (0, 1))
    assert one.history == other.history
    noisy = [replay(GradientDescentConfig(noise=1.0, seed=seed), steps=10).history for seed in (0, 1)]
    assert noisy[0] != noisy[1]


def test_a_race_is_every_method_from_the_same_start():
    configs = race(PRESETS["himmelblau"])
    assert tuple(configs) == METHODS
    assert {replace(config, method="sgd") for config in configs.values()} == {PRESETS["himmelblau"]}
    assert all(config.method == name for name, config in configs.items())


# ---- limits


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("condition", [1, 20, 100])
@pytest.mark.parametrize("method", ["sgd", "momentum", "nesterov"])
def test_just_below_the_limit_a_method_arrives_and_just_above_it_diverges(method, condition, momentum):
    config = GradientDescentConfig(method=method, condition=condition, momentum=momentum)
    limit = limits_on_the_bowl(config)[method]
    below = replay(replace(config, learning_rate=0.98 * limit), steps=600)
    assert not below.diverged and loss(below) < 1.0 < loss(Run(config))
    above = replay(replace(config, learning_rate=1.02 * limit), steps=600)
    assert above.diverged


def test_the_limits_by_their_formulas():
    assert rate_limit("sgd", 20.0) == 0.1
    assert rate_limit("momentum", 20.0) == pytest.approx(0.19)
    assert rate_limit("nesterov", 20.0) == pytest.approx(3.8 / 56)
    assert rate_limit("momentum", 4.0, 0.0) == rate_limit("nesterov", 4.0, 0.0) == rate_limit("sgd", 4.0)
    assert rate_limit("adam", 20.0) is rate_limit("rmsprop", 20.0) is None
    limits = limits_on_the_bowl(GradientDescentConfig(condition=100))
    assert limits["nesterov"] < limits["sgd"] < limits["momentum"]  # Nesterov's comes first at β = 0.9


@pytest.mark.parametrize("method", ["rmsprop", "adam"])
def test_adaptive_methods_do_not_diverge_but_tremble(method):
    run = replay(GradientDescentConfig(method=method, learning_rate=2.0), steps=500)
    assert not run.diverged and distance(run) < 20


# ---- the path


def test_the_path_holds_the_positions_of_its_steps():
    run = Run(replace(PRESETS["digits"], seed=2))
    visited = [run.learner.position.clone()]
    for step in range(1, 1_100):
        run.learner.update(1.0)
        visited.append(run.learner.position.clone())
        if step < 6 or step % 127 < 3 or step in (255, 256, 257, 511, 512, 513, 1023, 1024, 1025):
            steps, path = path_steps(step), run.learner.state()["path"]
            assert len(steps) == len(path) == ROWS
            assert (steps[0], steps[-1]) == (0, step) and steps == sorted(steps)
            assert torch.equal(path, torch.stack([visited[each] for each in steps]))
            assert len(set(steps)) >= min(step, ROWS // 2)


def test_the_path_of_a_start_and_of_a_standstill_is_the_start():
    run = Run(PRESETS["bowl"])
    start = run.snapshot().state
    assert torch.equal(start["path"], start["position"].expand(ROWS, 2))
    run.learner.update(0.0)
    assert all(torch.equal(start[name], value) for name, value in run.learner.state().items())
    assert set(path_steps(0)) == {0} and path_steps(3)[:5] == [0, 1, 2, 3, 3]


def test_a_snapshot_and_a_pickled_run_have_their_own_path():
    run = replay(PRESETS["bowl"], steps=5)
    kept = run.snapshot()
    copied = pickle.loads(pickle.dumps(run))
    run.step()
    assert not torch.equal(kept.state["path"], run.learner.state()["path"])
    assert torch.equal(kept.state["path"], copied.learner.state()["path"])
    copied.step()
    assert torch.equal(copied.learner.state()["path"], run.learner.state()["path"])


# ---- presets


@pytest.mark.parametrize(
    ("name", "steps", "near"),
    [
        ("bowl", 300, 1e-5),
        ("round", 60, 1e-9),
        ("narrow", 1500, 1e-5),
        ("himmelblau", 100, 1e-6),
        ("saddle", 200, 1e-6),
    ],
)
def test_good_presets_arrive(name, steps, near):
    assert distance(replay(PRESETS[name], steps=steps)) < near


def test_the_digits_and_rosenbrocks_valley_are_walked_down():
    noisy = replay(PRESETS["digits"], steps=300)
    assert loss(noisy) < 1.1 * height(STARTS["digits"], trained_neuron().weights) < loss(Run(PRESETS["digits"]))
    runs = {name: replay(config, steps=300) for name, config in race(PRESETS["rosenbrock"]).items()}
    assert distance(runs["momentum"]) < 1.5 < 4 < distance(runs["sgd"])


def test_presets_that_break():
    assert replay(PRESETS["too_fast"], steps=600).diverged
    fast = PRESETS["nesterov_too_fast"]
    assert replay(fast, steps=600).diverged
    assert not replay(replace(fast, method="sgd"), steps=600).diverged
    ridge = replay(PRESETS["ridge"], steps=400)
    assert ridge.learner.position[1] == 0 and loss(ridge) == pytest.approx(2.25) and distance(ridge) == pytest.approx(3)
    trembling, noisy = replay(PRESETS["trembling"], steps=300), replay(PRESETS["noisy"], steps=300)
    assert max(record.scores["train"]["Distance"] for record in noisy.history[-20:]) > 0.5
    far = {record.step: record.scores["train"]["Loss"] for record in trembling.history}
    assert far[64] < 0.01 < 10 < max(far[step] for step in far if step > 100)  # it arrives, and is thrown out again


def test_nothing_is_changed_by_hand_on_the_way():
    with pytest.raises(ValueError, match="position"):
        Run(PRESETS["bowl"]).intervene("position", (0.0, 0.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"surface": "ackley"}, {"condition": 0}, {"angle": 7}, {"start_x": 5.1}, {"method": "adamw"},
        {"momentum": 1.0}, {"noise": -0.1}, {"batch_size": 129}, {"learning_rate": 51.0},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError) as caught:
        GradientDescentConfig(**wrong)
    assert caught.value.field == next(iter(wrong))
