"""Pooling against windows cut out by hand, torch's own layers and finite differences."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.config import SettingError
from core.data.digits import load, shift
from core.pooling import (
    CANVAS,
    POOLINGS,
    PRESETS,
    PoolingConfig,
    PoolingNetwork,
    accuracy_by_shift,
    centred,
    coverage,
    gradient_route,
    identity_kernel,
    learnable_parameters,
    measured_digits,
    network_responses,
    on_canvas,
    pool,
    pooled_sides,
    race,
    reduction,
    shift_response,
    trace,
)
from core.training import Run

GEOMETRIES = list(itertools.product(range(1, 5), range(1, 5)))


def random_map(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def windows(x: torch.Tensor, kernel: int, stride: int):
    """Every window that fits: output row, output column, top, left."""
    height, width = x.shape
    for i, top in enumerate(range(0, height - kernel + 1, stride)):
        for j, left in enumerate(range(0, width - kernel + 1, stride)):
            yield i, j, top, left


@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
def test_every_output_cell_is_what_its_window_says(kernel, stride):
    x, weight = random_map(9, 10), random_map(kernel, kernel, seed=1)
    largest, mean = pool(x, "max", kernel, stride), pool(x, "average", kernel, stride)
    convolved, sampled = pool(x, "none", kernel, stride, weight), pool(x, "none", kernel, stride)
    cells = list(windows(x, kernel, stride))
    assert largest.output.shape == mean.output.shape == (cells[-1][0] + 1, cells[-1][1] + 1)
    for i, j, top, left in cells:
        window = x[top : top + kernel, left : left + kernel]
        assert largest.output[i, j] == window.max()
        assert x.flatten()[largest.argmax[i, j]] == window.max()
        assert mean.output[i, j].item() == pytest.approx(window.mean().item())
        assert convolved.output[i, j].item() == pytest.approx((window * weight).sum().item())
        assert sampled.output[i, j] == window[(kernel - 1) // 2, (kernel - 1) // 2]
    assert mean.argmax is convolved.argmax is None


def test_the_argmax_points_into_its_own_map_whatever_stands_in_front():
    maps = random_map(2, 3, 6, 7)
    pooled = pool(maps, "max", 3, 2)
    assert pooled.output.shape == pooled.argmax.shape == (2, 3, 2, 3)
    torch.testing.assert_close(maps.flatten(2).gather(2, pooled.argmax.flatten(2)), pooled.output.flatten(2))


@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
def test_the_gradient_goes_where_the_rule_says(kernel, stride):
    x = random_map(7, 8)
    upstream = random_map(*pool(x, "max", kernel, stride).output.shape, seed=2)
    to_argmax, to_all = torch.zeros_like(x), torch.zeros_like(x)
    for i, j, top, left in windows(x, kernel, stride):
        row, column = divmod(x[top : top + kernel, left : left + kernel].argmax().item(), kernel)
        to_argmax[top + row, left + column] += upstream[i, j]  # overlapping windows add up
        to_all[top : top + kernel, left : left + kernel] += upstream[i, j] / kernel**2
    torch.testing.assert_close(gradient_route(x, "max", kernel, stride, upstream), to_argmax)
    torch.testing.assert_close(gradient_route(x, "average", kernel, stride, upstream), to_all)


@pytest.mark.parametrize("kind", POOLINGS)
def test_the_gradient_agrees_with_finite_differences(kind):
    x, weight = random_map(6, 6), random_map(3, 3, seed=1)
    upstream, step = random_map(2, 2, seed=2), 1e-6
    numeric = torch.zeros_like(x)
    for cell in itertools.product(range(6), range(6)):
        nudge = torch.zeros_like(x)
        nudge[cell] = step
        higher, lower = (pool(x + sign * nudge, kind, 3, 2, weight).output for sign in (1, -1))
        numeric[cell] = ((higher - lower) * upstream).sum() / (2 * step)
    torch.testing.assert_close(gradient_route(x, kind, 3, 2, upstream, weight), numeric, atol=1e-7, rtol=1e-6)


def test_without_an_upstream_every_output_sends_one():
    x = random_map(6, 6)
    for kind in ("max", "average"):
        assert gradient_route(x, kind, 2, 2).sum().item() == pytest.approx(9)
    assert not x.requires_grad


def test_a_tie_sends_the_whole_gradient_to_one_cell():
    route = gradient_route(torch.ones(4, 4), "max", 2, 2)
    assert route.count_nonzero() == 4 and route.max() == 1


@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
@pytest.mark.parametrize(("height", "width"), [(4, 4), (7, 9), (16, 11)])
def test_reduction_and_coverage_count_what_the_windows_read(height, width, kernel, stride):
    read = torch.zeros(height, width, dtype=torch.long)
    cells = list(windows(read, kernel, stride))
    for _, _, top, left in cells:
        read[top : top + kernel, left : left + kernel] += 1
    assert torch.equal(coverage(height, width, kernel, stride), read)

    size = reduction(height, width, kernel, stride)
    assert (size.before, size.after) == (height * width, len(cells))
    assert size.share == pytest.approx(len(cells) / (height * width))
    assert (size.height, size.width) == pool(torch.zeros(height, width), "average", kernel, stride).output.shape
    bottom, right = (max(cell[axis] for cell in cells) + kernel for axis in (2, 3))  # where the last window ends
    assert (size.dropped_rows, size.dropped_columns) == (height - bottom, width - right)
    assert size.dropped == height * width - bottom * right


def test_known_numbers():
    assert reduction(28, 28, 2, 2)[:5] == (14, 14, 784, 196, 0.25)
    assert reduction(5, 5, 2, 2)[-3:] == (1, 1, 9)  # a bottom row and a right column of five, one cell shared


def test_pooling_has_nothing_to_learn_and_a_strided_convolution_has():
    assert learnable_parameters("max", 16, 3) == learnable_parameters("average", 16, 3) == 0
    for channels, kernel in ((1, 1), (8, 2), (16, 4)):
        layer = nn.Conv2d(channels, channels, kernel)
        assert learnable_parameters("none", channels, kernel) == sum(p.numel() for p in layer.parameters())


def test_impossible_requests():
    with pytest.raises(ValueError, match="max, average, none"):
        pool(torch.zeros(4, 4), "median", 2, 2)
    for call in (pool, gradient_route):
        with pytest.raises(ValueError):
            call(torch.zeros(3, 3), "max", 4, 1)
    for call in (reduction, coverage):
        with pytest.raises(ValueError):
            call(3, 5, 4, 1)
    for field, value in (("pooling", "median"), ("kernel", 5), ("kernel", True), ("stride", 0), ("shift", -1)):
        with pytest.raises(SettingError):
            PoolingConfig(**{field: value})


# How much a shift changes


def digit() -> torch.Tensor:
    return centred(load().test_images[:1])[0, 0]


@pytest.mark.parametrize("kind", POOLINGS)
def test_shift_response_is_the_relative_distance_and_zero_at_rest(kind):
    x = digit()
    response = shift_response(x, kind, 3, 2, (0, 1, 3))
    still = pool(x, kind, 3, 2).output
    assert response[0] == 0
    for pixels, measured in zip((1, 3), response[1:], strict=True):
        moved = pool(torch.roll(x, pixels, 1), kind, 3, 2).output  # the margin is empty: a roll is a shift
        assert measured.item() == pytest.approx(((moved - still).norm() / still.norm()).item())


def test_a_digit_can_move_down_as_well():
    x, config = digit(), PoolingConfig(channels=2, hidden=4)
    moved = shift_response(x.T.contiguous(), "max", 2, 2, (0,), down=2)
    assert moved.item() == pytest.approx(shift_response(x, "max", 2, 2, (2,)).item())
    state = Run(config).learner.state()
    assert network_responses(config, state, x[None], (0,), down=1)["maps1"].item() > 0
    assert network_responses(config, state, x[None], (0,))["maps1"].item() == 0


def test_a_shift_by_the_stride_only_moves_the_pooled_map():
    x = digit()
    for kind in POOLINGS:
        still, moved = pool(x, kind, 2, 2).output, pool(shift(x, 2, 0), kind, 2, 2).output
        torch.testing.assert_close(moved, shift(still, 1, 0))


def test_an_empty_map_has_no_response():
    assert shift_response(torch.zeros(8, 8), "max", 2, 2).tolist() == [0, 0, 0, 0]


def test_subsampling_feels_a_shift_more_than_pooling_does():
    images = centred(load().test_images[:100])
    response = {kind: shift_response(images, kind, 2, 2, (1,)).item() for kind in POOLINGS}
    assert response["average"] < response["none"] and response["max"] < response["none"]


# The network


def layers_of(network: PoolingNetwork) -> nn.Sequential:
    """The same network put together from torch's own layers."""
    config = network.config
    layer = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}.get(config.pooling)

    def shrink(strided: str) -> list[nn.Module]:
        if layer is None:
            return [getattr(network, strided), nn.ReLU()]
        return [layer(config.kernel, config.stride)]

    return nn.Sequential(
        *(network.convolution1, nn.ReLU(), *shrink("strided1")),
        *(network.convolution2, nn.ReLU(), *shrink("strided2")),
        *(nn.Flatten(), network.connected, nn.ReLU(), network.output),
    )


@pytest.mark.parametrize("config", race(PoolingConfig(kernel=3, channels=4)).values(), ids=POOLINGS)
def test_the_network_is_that_of_torchs_layers_values_and_gradients(config):
    network = Run(config).learner.network
    images, labels = measured_digits("shifted", 2)[:2]
    ours, theirs = network(images[:8]).scores, layers_of(network)(images[:8])
    torch.testing.assert_close(ours, theirs)
    parameters = list(network.parameters())
    for mine, other in zip(
        *(torch.autograd.grad(F.cross_entropy(s, labels[:8]), parameters) for s in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, other)


def test_the_race_differs_in_the_pooling_only():
    config = PoolingConfig(seed=3, kernel=3)
    configs = race(config)
    assert tuple(configs) == POOLINGS
    assert {replace(c, pooling="max") for c in configs.values()} == {config}
    counts = {kind: sum(p.numel() for p in Run(c).learner.parameters) for kind, c in configs.items()}
    assert counts["max"] == counts["average"]
    assert counts["none"] - counts["max"] == 2 * learnable_parameters("none", config.channels, config.kernel)


def test_every_kernel_and_stride_fits_twice():
    for kernel, stride in GEOMETRIES:
        config = PoolingConfig(kernel=kernel, stride=stride, channels=1, hidden=4)
        stages = trace(config, Run(config).learner.state(), torch.zeros(1, 1, CANVAS, CANVAS))
        assert (stages.pooled1.shape[-1], stages.pooled2.shape[-1]) == pooled_sides(config)
        assert pooled_sides(config)[1] >= 1
    assert pooled_sides(PRESETS["one_cell"]) == (4, 1)


def test_the_trace_is_made_of_the_snapshots_weights():
    run = Run(PoolingConfig(channels=4))
    before = run.snapshot()
    run.step()
    image = digit()[None, None]
    first, second = (trace(run.config, snapshot.state, image) for snapshot in (before, run.snapshot()))
    assert not torch.equal(first.scores, second.scores)
    assert torch.equal(second.scores, run.learner.network(image).scores)
    torch.testing.assert_close(pool(second.maps1, "max", 2, 2).output, second.pooled1)
    assert not any(stage is not None and stage.requires_grad for stage in second)


def test_responses_of_a_network():
    for config in race(PoolingConfig(channels=4)).values():
        response = network_responses(config, Run(config).learner.state(), digit()[None])
        assert list(response) == ["maps1", "pooled1", "maps2", "pooled2", "hidden", "scores"]
        assert all(stage.shape == (4,) and stage[0] == 0 and stage[1] > 0 for stage in response.values())


# Data and training


def test_digits_are_placed_whole_and_within_reach():
    images = load().train_images[:200]
    for largest in range(5):
        placed = on_canvas(images, largest, torch.Generator().manual_seed(0))
        assert placed.shape == (200, 1, CANVAS, CANVAS)
        torch.testing.assert_close(placed.sum((1, 2, 3)), images.sum((1, 2, 3)))
        margin = 4 - largest
        assert placed[..., margin : CANVAS - margin, margin : CANVAS - margin].sum() == placed.sum()
    assert torch.equal(on_canvas(images, 0, torch.Generator()), centred(images))


def test_runs_are_measured_on_the_same_held_out_digits():
    still, moved = measured_digits("centred", 3), measured_digits("shifted", 3)
    assert torch.equal(still.test_images, moved.test_images)
    assert torch.equal(still.train_labels, moved.train_labels)
    assert torch.equal(still.test_labels, load().test_labels)
    assert still.train_images[:, :, :4].abs().sum() == 0 < moved.train_images[:, :, :4].abs().sum()


def test_batches_are_shifted_only_if_asked():
    still, moved = (Run(PoolingConfig(train_on=kind, channels=1)).learner.batch()[0] for kind in ("centred", "shifted"))
    outside = torch.ones(CANVAS, CANVAS, dtype=torch.bool)
    outside[4:12, 4:12] = False
    assert still[..., outside].abs().sum() == 0 < moved[..., outside].abs().sum()


def test_training_reads_shifted_digits():
    run = Run(PoolingConfig())
    while run.steps < 320:
        run.step()
    assert run.history[-1].scores["test"]["Accuracy"] > 0.9 > 0.3 > run.history[0].scores["test"]["Accuracy"]


def test_a_network_trained_in_the_centre_fails_off_it():
    run = Run(replace(PRESETS["never_shifted"], channels=8))
    while run.steps < 200:
        run.step()
    centre, away = accuracy_by_shift(run.config, run.learner.state(), (0, 4))
    assert centre > 0.9 and away < 0.5
    assert run.history[-1].scores["train"]["Accuracy"] > run.history[-1].scores["test"]["Accuracy"] + 0.3


def test_nothing_but_the_learning_rate_can_be_changed():
    with pytest.raises(ValueError, match="kernel"):
        Run(PoolingConfig(channels=1)).intervene("kernel", 3)


def test_identity_kernel():
    assert identity_kernel(3).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert identity_kernel(2).tolist() == [[1, 0], [0, 0]]
