"""The convolution lesson against plain loops, torch's own layers, textbook tables and brute force."""

import itertools
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.config import SettingError
from core.convolution import (
    KERNELS,
    PRESETS,
    ConvolutionConfig,
    GeometryError,
    convolve,
    dropped,
    fully_connected_parameters,
    grid_crops,
    hidden_kernel,
    input_picture,
    kernel_preset,
    mosaic,
    output_size,
    parameters,
    random_crops,
    sheets,
    trace,
    transpose,
    transposed_size,
    window,
)
from core.data.digits import load
from core.training import Run

GEOMETRIES = list(itertools.product(range(1, 13), range(1, 8), range(1, 5), range(7), range(1, 4)))


def starts_by_hand(size: int, kernel: int, stride: int, padding: int, dilation: int) -> list[int]:
    """Where windows can start in the padded input: tried one by one."""
    room = size + 2 * padding
    return [start for start in range(0, room, stride) if start + dilation * (kernel - 1) < room]


def convolve_by_hand(picture, kernel, stride, padding, dilation, flip):
    """Cross-correlation by nested loops over Python numbers; the true convolution by its definition."""
    size, side = picture.shape[0], kernel.shape[0]
    starts = starts_by_hand(size, side, stride, padding, dilation)
    output = torch.zeros(len(starts), len(starts), dtype=picture.dtype)
    for (i, top), (j, left) in itertools.product(enumerate(starts), repeat=2):
        for u, v in itertools.product(range(side), repeat=2):
            row, column = top + u * dilation - padding, left + v * dilation - padding
            if 0 <= row < size and 0 <= column < size:
                weight = kernel[side - 1 - u, side - 1 - v] if flip else kernel[u, v]
                output[i, j] += weight * picture[row, column]
    return output


# ---- geometry


@pytest.mark.parametrize(
    ("geometry", "size"),
    [
        ((4, 3, 1, 0), 2),
        ((5, 4, 1, 2), 6),
        ((5, 3, 1, 1), 5),
        ((5, 3, 2, 1), 3),
        ((6, 3, 2, 1), 3),
        ((7, 3, 1, 0, 2), 3),
    ],
)
def test_sizes_of_the_textbook(geometry, size):
    assert output_size(*geometry) == size


def test_sizes_and_dropped_pixels_by_brute_force():
    for geometry in GEOMETRIES:
        size, kernel, _, padding, dilation = geometry
        starts = starts_by_hand(*geometry)
        if not starts:
            with pytest.raises(GeometryError) as caught:
                output_size(*geometry)
            assert (caught.value.reach, caught.value.room) == (dilation * (kernel - 1) + 1, size + 2 * padding)
            with pytest.raises(ValueError):
                dropped(*geometry)
            continue
        assert output_size(*geometry) == len(starts)
        last_read = starts[-1] + dilation * (kernel - 1)
        assert dropped(*geometry) == size + 2 * padding - 1 - last_read


def test_named_paddings():
    for size, kernel in itertools.product(range(7, 12), range(1, 8)):
        assert output_size(size, kernel) == size - kernel + 1  # narrow
        assert output_size(size, kernel, padding=kernel - 1) == size + kernel - 1  # wide
        if kernel % 2:
            assert output_size(size, kernel, padding=(kernel - 1) // 2) == size  # equal width


def test_transposed_sizes_are_torchs():
    choices = itertools.product((1, 2, 5), (1, 3, 4), (1, 2, 3), (0, 1, 4), (0, 1, 2), (1, 2, 3))
    for size, kernel, stride, padding, extra, dilation in choices:
        arguments = (torch.ones(1, 1, size, size), torch.ones(1, 1, kernel, kernel))
        try:
            there = F.conv_transpose2d(*arguments, None, stride, padding, extra, 1, dilation).shape[-1]
        except RuntimeError:
            there = 0
        if there < 1:
            with pytest.raises(ValueError):
                transposed_size(size, kernel, stride, padding, extra, dilation)
        else:
            assert transposed_size(size, kernel, stride, padding, extra, dilation) == there


def test_transposing_restores_the_size_with_the_dropped_pixels_as_output_padding():
    for geometry in GEOMETRIES[::7]:
        size, kernel, stride, padding, dilation = geometry
        if starts_by_hand(*geometry):
            back = transposed_size(output_size(*geometry), kernel, stride, padding, dropped(*geometry), dilation)
            assert back == size


@pytest.mark.parametrize("function", [output_size, transposed_size, dropped])
@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"kernel": 0}, {"stride": 0}, {"dilation": 0}, {"padding": -1}, {"size": -3}, {"stride": -1}]
)
def test_sizes_refuse_what_is_no_geometry(function, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        function(**({"size": 8, "kernel": 3} | wrong))


def test_negative_output_padding_is_refused():
    with pytest.raises(ValueError, match="output_padding"):
        transposed_size(4, 3, 2, 0, -1)


# ---- parameters


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("in_channels", "out_channels", "kernel"), [(1, 1, 1), (1, 6, 5), (6, 16, 5), (16, 120, 5)])
def test_parameters_are_torchs(in_channels, out_channels, kernel, bias):
    layer = nn.Conv2d(in_channels, out_channels, kernel, bias=bias)
    assert parameters(in_channels, out_channels, kernel, bias) == sum(p.numel() for p in layer.parameters())


def test_parameters_of_lenet5():
    assert [parameters(1, 6, 5), parameters(6, 16, 5), parameters(16, 120, 5)] == [156, 2416, 48_120]


@pytest.mark.parametrize("bias", [True, False])
def test_fully_connected_parameters_are_torchs(bias):
    layer = nn.Linear(6 * 6, 4 * 4, bias=bias)
    assert fully_connected_parameters(6, 4, bias) == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize("wrong", [(0, 1, 3), (1, 0, 3), (1, 1, 0)])
def test_parameters_refuse_nothing(wrong):
    with pytest.raises(ValueError):
        parameters(*wrong)


@pytest.mark.parametrize("wrong", [(0, 4), (4, 0), (-1, 4)])
def test_fully_connected_parameters_refuse_nothing(wrong):
    with pytest.raises(ValueError):
        fully_connected_parameters(*wrong)


# ---- kernels

TEXTBOOK = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "box_blur": [[1 / 9] * 3] * 3,
    "gaussian_blur": [[1 / 16, 2 / 16, 1 / 16], [2 / 16, 4 / 16, 2 / 16], [1 / 16, 2 / 16, 1 / 16]],
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
    "sobel_x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "sobel_y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "laplacian": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
    "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_of_size_three_are_the_textbooks(name):
    assert torch.equal(kernel_preset(name, 3), torch.tensor(TEXTBOOK[name], dtype=torch.float32))


@pytest.mark.parametrize("size", range(1, 8))
def test_kernels_of_every_size_keep_what_defines_them(size):
    kernels = {name: kernel_preset(name, size) for name in KERNELS}
    assert all(kernel.shape == (size, size) for kernel in kernels.values())
    for name in ("identity", "box_blur", "gaussian_blur", "sharpen", "emboss"):
        assert kernels[name].sum().item() == pytest.approx(1, abs=1e-5)
    for name in ("sobel_x", "sobel_y", "laplacian"):
        assert kernels[name].sum().item() == pytest.approx(0, abs=1e-5)
        assert kernels[name].abs().sum().item() == pytest.approx(8 if size > 1 else 0, abs=1e-5)
    assert torch.equal(kernels["sobel_y"], kernels["sobel_x"].T)
    for name in ("box_blur", "gaussian_blur"):
        assert kernels[name].min() > 0 and torch.allclose(kernels[name], kernels[name].flip(0, 1))
    assert torch.allclose(kernels["sobel_x"], -kernels["sobel_x"].flip(1))
    assert torch.allclose(kernels["sharpen"], kernels["identity"] - kernels["laplacian"])
    if size > 1:
        ramp = torch.arange(float(size)).expand(size, size)
        assert (kernels["sobel_x"] * ramp).sum() > 0 and (kernels["sobel_y"] * ramp).sum().abs() < 1e-4


def test_sobel_of_size_five_is_the_published_one_scaled():
    smooth, slope = torch.tensor([1.0, 4, 6, 4, 1]), torch.tensor([-1.0, -2, 0, 2, 1])
    published = torch.outer(smooth, slope)
    assert torch.allclose(kernel_preset("sobel_x", 5), published * 8 / published.abs().sum())


def test_identity_of_an_odd_size_copies_the_picture():
    picture = torch.rand(9, 9, generator=torch.Generator().manual_seed(0))
    for size in (1, 3, 5, 7):
        assert torch.equal(convolve(picture, kernel_preset("identity", size), padding=size // 2).output, picture)


def test_unknown_kernels_are_refused():
    with pytest.raises(ValueError, match="prewitt"):
        kernel_preset("prewitt", 3)
    with pytest.raises(ValueError):
        kernel_preset("identity", 0)


# ---- arithmetic


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "geometry", [(5, 3, 1, 0, 1), (6, 3, 2, 1, 1), (7, 3, 1, 0, 2), (4, 4, 3, 6, 1), (9, 2, 4, 1, 3), (4, 1, 1, 0, 1)]
)
def test_convolution_and_every_window_match_nested_loops(geometry, flip):
    size, side, stride, padding, dilation = geometry
    generator = torch.Generator().manual_seed(1)
    picture = torch.randn(size, size, generator=generator, dtype=torch.float64)
    kernel = torch.randn(side, side, generator=generator, dtype=torch.float64)
    padded, output = convolve(picture, kernel, stride, padding, dilation, flip)
    assert torch.equal(padded[padding : padding + size, padding : padding + size], picture)
    assert padded.shape == (size + 2 * padding,) * 2
    assert padded.count_nonzero() == picture.count_nonzero()
    assert torch.allclose(output, convolve_by_hand(picture, kernel, stride, padding, dilation, flip))
    for row, column in itertools.product(range(len(output)), repeat=2):
        seen = window(padded, kernel, row, column, stride, dilation, flip)
        assert torch.allclose(seen.sum, output[row, column])
        assert torch.equal(seen.values, padded[seen.rows][:, seen.columns])
        assert torch.equal(seen.products, seen.values * seen.weights)
        assert torch.equal(seen.weights, kernel.flip(0).flip(1) if flip else kernel)
    starts = starts_by_hand(*geometry)
    assert window(padded, kernel, 0, len(starts) - 1, stride, dilation).columns[0] == starts[-1]
    for cell in ((len(output), 0), (0, len(output)), (-1, 0), (0, -1)):
        with pytest.raises(ValueError):
            window(padded, kernel, *cell, stride, dilation)


def test_true_convolution_of_the_textbook():
    """nndl Fig. 5.1, one-dimensional: laid into the middle row, the sums are its own."""
    signal = torch.tensor([1.0, 1, 2, -1, 1, -2, 1])
    kernel = torch.zeros(3, 3)
    kernel[1] = torch.tensor([-1.0, 0, 1])
    picture = torch.zeros(3, 7)
    picture[1] = signal
    assert convolve(picture, kernel, flip=True).output[0].tolist() == [-1, 2, 1, 1, 0]
    assert convolve(picture, kernel).output[0].tolist() == [1, -2, -1, -1, 0]


def test_a_picture_too_small_is_refused():
    with pytest.raises(GeometryError):
        convolve(torch.zeros(9, 2), torch.ones(3, 3))


# ---- settings


def test_impossible_settings_are_refused():
    with pytest.raises(GeometryError):
        ConvolutionConfig(size=4, kernel=7)
    for wrong in (
        {"kernel": 8}, {"size": 3}, {"stride": 5}, {"padding": 7}, {"dilation": 0}, {"picture": "upload"},
        {"hidden": "prewitt"}, {"optimizer": "lbfgs"}, {"batch_size": 0}, {"learning_rate": math.nan},
        {"weights": (1.0,) * 8}, {"weights": (11.0,) * 9}, {"weights": (math.nan,) * 9}, {"weights": [0.0] * 9},
    ):  # fmt: skip
        with pytest.raises(SettingError) as caught:
            ConvolutionConfig(**wrong)
        assert caught.value.field == next(iter(wrong))


def test_an_edited_kernel_replaces_the_preset():
    config = ConvolutionConfig(kernel=2, weights=(1, 2.5, 0, -10))
    assert torch.equal(hidden_kernel(config), torch.tensor([[1.0, 2.5], [0.0, -10.0]]))
    assert torch.equal(hidden_kernel(ConvolutionConfig(hidden="emboss")), kernel_preset("emboss", 3))


def test_the_trace_of_a_config_obeys_its_geometry():
    config = ConvolutionConfig(size=9, kernel=3, stride=2, padding=1, dilation=2, flip=True)
    kernel = hidden_kernel(config)
    by_hand = convolve_by_hand(input_picture(config), kernel, 2, 1, 2, True)
    assert torch.allclose(trace(config, kernel).output, by_hand, atol=1e-5)
    upload = torch.ones(9, 9)
    assert torch.equal(trace(config, kernel, upload).padded, F.pad(upload, [1] * 4))


# ---- what is learnt from


def test_the_sheets_are_standardised_and_hold_out_their_test_part():
    for code in ("digit0", "digit7", "china", "flower"):
        train, test = sheets(code)
        assert train.mean().abs() < 1e-5 and train.std().item() == pytest.approx(1)
        assert min(train.shape + test.shape) >= 32
    data = load()
    sheet = mosaic(data.train_images[:7])  # 2 columns, 3 rows
    assert sheet.shape == (24, 16)
    assert torch.equal(sheet[16:, 8:], data.train_images[5, 0])


def test_crops_are_parts_of_their_sheet():
    sheet = torch.arange(40.0 * 50).reshape(40, 50)
    some = random_crops(sheet, 4, 200, torch.Generator().manual_seed(0))
    for crop in (*some, *grid_crops(sheet, 4)):
        top, left = divmod(int(crop[0, 0]), 50)
        assert torch.equal(crop, sheet[top : top + 4, left : left + 4])
    assert len({int(crop[0, 0]) for crop in some}) > 150
    assert grid_crops(sheet, 40).shape == (36, 40, 40)


# ---- learning


def train(config: ConvolutionConfig, steps: int) -> Run:
    run = Run(config)
    for _ in range(steps):
        run.step()
    return run


def error(run: Run) -> float:
    """The kernel's error, as a share of the hidden kernel's own size."""
    hidden = run.learner.hidden
    return ((run.learner.state()["kernel"] - hidden).norm() / hidden.norm()).item()


def test_one_update_is_torchs():
    config = ConvolutionConfig(
        kernel=3, stride=2, padding=1, dilation=2, flip=True, optimizer="sgd", learning_rate=0.03, hidden="emboss"
    )
    run = Run(config)
    layer = nn.Conv2d(1, 1, 3, stride=2, padding=1, dilation=2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(run.learner.state()["kernel"].flip(0, 1)[None, None])
    generator = torch.Generator()
    generator.set_state(run.generator.get_state())
    batch = random_crops(run.learner.sheets.train, config.size, config.batch_size, generator)[:, None]
    target = F.conv2d(batch, kernel_preset("emboss", 3).flip(0, 1)[None, None], None, 2, 1, 2)
    loss = (layer(batch) - target).square().mean()
    loss.backward()
    torch.optim.SGD(layer.parameters(), lr=0.03).step()
    assert run.learner.update(0.03) == pytest.approx(loss.item(), rel=1e-5)
    assert torch.allclose(run.learner.state()["kernel"], layer.weight[0, 0].flip(0, 1).detach(), atol=1e-6)


@pytest.mark.parametrize("size", [3, 7])
@pytest.mark.parametrize("name", KERNELS)
def test_every_hidden_kernel_is_found_with_the_default_settings(name, size):
    run = train(ConvolutionConfig(kernel=size, hidden=name), 300)
    assert error(run) < 0.02
    start, end = run.history[0].scores, run.history[-1].scores
    assert end["test"]["Loss"] < 0.01 * start["test"]["Loss"]
    assert end["train"]["Kernel error"] < 0.05 * start["train"]["Kernel error"]


@pytest.mark.parametrize("name", ["edges", "blur", "sharpen", "true_convolution", "dilated", "strided"])
def test_good_presets_converge(name):
    assert error(train(PRESETS[name], 500)) < 0.05


def test_presets_that_break_do():
    assert train(PRESETS["too_fast"], 100).diverged
    for name in ("too_slow", "alike"):
        run = train(PRESETS[name], 300)
        assert not run.diverged and error(run) > 0.25


def test_the_blind_preset_learns_exactly_what_meets_the_picture():
    run = Run(PRESETS["blind"])
    start = run.learner.state()["kernel"].clone()
    for _ in range(300):
        run.step()
    learned = run.learner.state()["kernel"]
    seen = torch.zeros(7, 7, dtype=torch.bool)
    seen[2:5, 2:5] = True
    assert torch.equal(learned[~seen], start[~seen])
    assert torch.allclose(learned[seen], run.learner.hidden[seen], atol=0.01)


def test_a_single_output_cell_trains():
    assert error(train(ConvolutionConfig(size=7, kernel=7), 300)) < 0.1


def test_a_kernel_set_by_hand_is_learnt_on_from():
    run = Run(ConvolutionConfig())
    run.intervene("kernel", tuple(hidden_kernel(run.config).flatten().tolist()))
    assert error(run) == 0 and run.learner.evaluate()["test"]["Loss"] == 0
    for name, value in (
        ("bias", 1.0), ("kernel", (1.0,) * 8), ("kernel", [1.0] * 9), ("kernel", (math.nan,) * 9), ("kernel", 1.0),
    ):  # fmt: skip
        with pytest.raises(ValueError):
            run.intervene(name, value)
    assert len(run.interventions) == 1


def outcome(run: Run) -> tuple:
    return run.history, {name: tensor.tolist() for name, tensor in run.snapshot().state.items()}


@pytest.mark.parametrize("config", [PRESETS["edges"], PRESETS["sharpen"], ConvolutionConfig(optimizer="adam", seed=7)])
def test_slices_pickling_and_the_global_generator_change_nothing(config):
    whole = train(config, 60)
    torch.manual_seed(123)
    sliced = Run(config)
    for limit in (1, 7, 8, 30):
        sliced.advance(math.inf, limit=limit)
        torch.rand(3)
    sliced = pickle.loads(pickle.dumps(sliced))
    sliced.advance(math.inf, limit=60)
    assert outcome(sliced) == outcome(whole)
    other = train(ConvolutionConfig(**{**vars(config), "seed": config.seed + 1}), 60)
    assert outcome(other) != outcome(whole)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation"), [(9, 3, 1, 0, 1), (8, 4, 3, 2, 1), (11, 3, 2, 1, 2)]
)
@pytest.mark.parametrize("flip", [False, True])
def test_transpose_is_the_transposed_matrix(size, kernel, stride, padding, dilation, flip):
    """⟨Cx, y⟩ = ⟨x, Cᵀy⟩ for every x and y, whatever the floor drops."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(kernel, kernel, generator=generator, dtype=torch.float64)
    x = torch.randn(size, size, generator=generator, dtype=torch.float64)
    there = convolve(x, weights, stride, padding, dilation, flip).output
    y = torch.randn(there.shape, generator=generator, dtype=torch.float64)
    left = dropped(size, kernel, stride, padding, dilation)
    back = transpose(y, weights, stride, padding, dilation, flip, output_padding=left)
    assert back.shape == x.shape
    assert torch.isclose((there * y).sum(), (x * back).sum())
