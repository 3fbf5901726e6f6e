"""The CNN lesson against torch's own layers and optimizer, automatic differentiation and brute force."""

import pickle
import random
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from core.architectures import BlockGeometryError
from core.cnn import (
    PRESETS,
    CNNConfig,
    DigitsLearner,
    FullyConnectedConfig,
    class_evidence,
    confusion,
    exciting,
    image_side,
    layers,
    maps_of,
    measured_sample,
    mistakes,
    network_of,
    parameter_count,
    prepare_drawing,
    race,
    receptive_field,
    rival,
    trace,
    window_of,
)
from core.config import SettingError
from core.data.digits import load
from core.training import Run


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def trained(steps=100, **settings):
    run = Run(CNNConfig(**settings))
    for _ in range(steps):
        run.step()
    return run.config, run.snapshot().state


def random_settings(count, seed=0):
    """Settings of every kind, possible or not; half of them with own values for the second block."""
    draw = random.Random(seed)
    for _ in range(count):
        settings = {
            "data": draw.choice(("plain", "shifted")),
            "blocks": draw.randint(1, 3),
            "channels": draw.randint(1, 5),
            "kernel": draw.randint(1, 7),
            "stride": draw.choice((1, 1, 2, 3)),
            "padding": draw.randint(-1, 3),
            "pooling": draw.choice(("max", "average", "none")),
            "hidden": draw.choice((0, 7)),
        }
        if draw.random() < 0.5:
            settings |= {
                "channels_2": 3,
                "kernel_2": draw.randint(1, 7),
                "stride_2": 1,
                "padding_2": draw.randint(-1, 3),
            }
            settings["pooling_2"] = draw.choice(("shared", "max", "none"))
        yield settings


def own(settings, name, block, as_all):
    value = settings.get(f"{name}_{block}", as_all)
    return settings[name] if value == as_all else value


def by_torch(settings):
    """The stages of a network of torch's own layers; RuntimeError where torch finds the geometry impossible."""
    side = 8 if settings["data"] == "plain" else 16
    modules, maps, channels = [], torch.rand(2, 1, side, side), 1
    for block in range(1, settings["blocks"] + 1):
        kernel, padding = own(settings, "kernel", block, 0), own(settings, "padding", block, -2)
        out, stride = own(settings, "channels", block, 0), own(settings, "stride", block, 0)
        modules.append(nn.Conv2d(channels, out, kernel, stride, kernel // 2 if padding == -1 else padding))
        modules.append(nn.ReLU())
        pooling = own(settings, "pooling", block, "shared")
        modules += [] if pooling == "none" else [nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)]
        channels = out
        maps = nn.Sequential(*modules[-3 if pooling != "none" else -2 :])(maps)
    modules.append(nn.Flatten())
    width = maps[0].numel()
    if settings["hidden"]:
        modules += [nn.Linear(width, settings["hidden"]), nn.ReLU()]
        width = settings["hidden"]
    return nn.Sequential(*modules, nn.Linear(width, 10))


def test_network_and_table_agree_with_torch_wherever_torch_can():
    possible = 0
    for settings in random_settings(300):
        try:
            oracle = by_torch(settings)
        except RuntimeError:
            with pytest.raises(BlockGeometryError):
                CNNConfig(**settings)
            continue
        possible += 1
        config = CNNConfig(**settings)
        state = DigitsLearner(config, generator()).state()
        for ours, theirs in zip(state.values(), oracle.parameters(), strict=True):
            theirs.data.copy_(ours)
        images = load(config.data).test_images[:3]
        stages = trace(config, state, images)
        torch.testing.assert_close(stages.scores, oracle(images), rtol=1e-4, atol=1e-5)
        table = {row.name: row for row in layers(config)}
        assert sum(row.parameters for row in table.values()) == sum(p.numel() for p in oracle.parameters())
        for name, row in table.items():
            if row.kind in ("convolution", "max", "average"):
                assert maps_of(stages, name).shape[1:] == (row.channels, row.height, row.width)
        assert stages.flat.shape[1] == table["flatten"].channels
    assert 100 < possible < 300


def test_every_kernel_fits_by_default():
    for kernel in range(1, 8):
        for blocks in (1, 2, 3):
            CNNConfig(kernel=kernel, blocks=blocks)


def test_trace_holds_every_stage():
    config = CNNConfig(hidden=6)
    state = DigitsLearner(config, generator()).state()
    stages = trace(config, state, load().test_images[:2])
    for net_input, maps, pooled in zip(stages.net_inputs, stages.feature_maps, stages.pooled, strict=True):
        torch.testing.assert_close(maps, net_input.clamp_min(0))
        torch.testing.assert_close(pooled, maps.unfold(2, 2, 2).unfold(3, 2, 2).amax((-1, -2)))
    torch.testing.assert_close(stages.flat, stages.pooled[-1].reshape(2, -1))
    assert stages.hidden is not None and stages.hidden.shape == (2, 6)


@pytest.mark.parametrize(
    "settings",
    [{"kernel": 8}, {"kernel_1": -1}, {"padding": -2}, {"pooling": "shared"}, {"pooling_3": ""}, {"blocks": 4},
     {"data": "mnist"}, {"hidden": -1}, {"optimizer": "lbfgs"}],
)  # fmt: skip
def test_settings_outside_their_limits(settings):
    with pytest.raises(SettingError):
        CNNConfig(**settings)


def test_impossible_geometry_names_its_block():
    with pytest.raises(BlockGeometryError) as caught:
        CNNConfig(blocks=3, padding=0)
    error = caught.value
    assert (error.block, error.kind, error.size, error.kernel, error.padding) == (2, "max", 1, 2, 0)
    with pytest.raises(BlockGeometryError) as caught:
        CNNConfig(padding_2=0, kernel_2=7)
    assert (caught.value.block, caught.value.size, caught.value.kernel, caught.value.padding) == (2, 4, 7, 0)


def test_learning_agrees_with_torch():
    """Six updates with torch's classes on the same batches."""
    config = CNNConfig(optimizer="adam", weight_decay=0.01, hidden=5, batch_size=16)
    learner = config.build(generator(3))
    oracle = by_torch({"data": "plain", "blocks": 2, "channels": 8, "kernel": 3, "stride": 1, "padding": -1,
                       "pooling": "max", "hidden": 5})  # fmt: skip
    for ours, theirs in zip(learner.state().values(), oracle.parameters(), strict=True):
        theirs.data.copy_(ours)
    batches = torch.Generator()
    batches.set_state(learner.generator.get_state())
    optimizer = torch.optim.Adam(oracle.parameters(), lr=0.02, weight_decay=0.01)
    digits = load()
    for _ in range(6):
        chosen = torch.randint(len(digits.train_labels), (16,), generator=batches)
        loss = nn.CrossEntropyLoss()(oracle(digits.train_images[chosen]), digits.train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert learner.update(0.02) == pytest.approx(loss.item(), rel=1e-4)
    for ours, theirs in zip(learner.state().values(), oracle.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.data, rtol=1e-3, atol=1e-4)


def test_runs_are_their_own_and_survive_pickling():
    torch.manual_seed(1)
    run = Run(CNNConfig(seed=4))
    torch.manual_seed(2)
    twin = Run(CNNConfig(seed=4))
    for _ in range(5):
        run.step(), twin.step()
    twin = pickle.loads(pickle.dumps(twin))
    assert len(pickle.dumps(twin)) < 300_000
    for _ in range(5):
        run.step(), twin.step()
    assert run.history == twin.history
    assert Run(CNNConfig(seed=5)).history != run.history[:1]
    with pytest.raises(ValueError, match="cannot change"):
        run.intervene("kernel", 5)


def test_what_is_measured():
    digits, sample = load(), measured_sample("plain")
    assert len(sample) == pytest.approx(len(digits.test_labels) / 2, abs=5)
    assert len(sample.unique()) == len(sample)
    spread = digits.train_labels[sample].bincount() - digits.test_labels.bincount() / 2
    assert spread.abs().max() <= 1
    learner = CNNConfig().build(generator())
    before = learner.generator.get_state()
    assert learner.evaluate() == learner.evaluate()
    assert torch.equal(before, learner.generator.get_state())


@pytest.mark.parametrize("seed", range(3))
def test_default_learns_quickly(seed):
    run, best = Run(CNNConfig(seed=seed)), 0.0
    while run.steps < 400 and best < 0.97:
        for _ in range(10):
            run.step()
        best = max(best, run.learner.evaluate()["test"]["Accuracy"])
    assert best >= 0.97


def test_presets_that_break():
    accuracy = {}
    for name in ("pointwise", "one_channel", "slow", "dying", "tiny"):
        run = Run(PRESETS[name])
        for _ in range(200):
            run.step()
        accuracy[name] = run.learner.evaluate()["test"]["Accuracy"]
        if name == "dying":
            maps = trace(run.config, run.snapshot().state, load().test_images).feature_maps[1]
            assert maps.max() == 0, "every ReLU of block 2 is dead"
    assert accuracy["tiny"] > 0.85 > 0.75 > accuracy["one_channel"]
    assert accuracy["pointwise"] < 0.5 and accuracy["slow"] < 0.3 and accuracy["dying"] < 0.12
    diverging = Run(PRESETS["diverging"])
    for _ in range(20):
        diverging.step()
    assert diverging.diverged


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "diverging"])
def test_presets_train(name):
    run = Run(PRESETS[name])
    run.step()
    assert run.steps == 1 and not run.diverged


def test_fully_connected_rival_has_as_many_parameters():
    largest = {"channels": 32, "kernel": 1, "padding": 3, "pooling": "none", "hidden": 128}
    for settings in (
        {},
        {"data": "shifted"},
        largest,
        largest | {"blocks": 3},
        largest | {"blocks": 3, "data": "shifted"},
    ):
        config = CNNConfig(**settings)
        other = rival(config)
        numel = sum(parameter.numel() for parameter in DigitsLearner(other, generator()).parameters)
        assert numel == parameter_count(other)
        per_unit = image_side(config.data) ** 2 + 11
        assert abs(parameter_count(other) - parameter_count(config)) <= per_unit / 2
    assert rival(CNNConfig(blocks=3, channels=1)).width == 1, "80 numbers are fewer than one unit with its weights has"
    assert parameter_count(CNNConfig()) == sum(p.numel() for p in DigitsLearner(CNNConfig(), generator()).parameters)
    images = load("shifted").test_images[:3]
    learner = DigitsLearner(FullyConnectedConfig(width=5), generator())
    weights = list(learner.state().values())
    hidden = (images.reshape(3, -1) @ weights[0].T + weights[1]).clamp_min(0)
    torch.testing.assert_close(learner.network.scores(images), hidden @ weights[2].T + weights[3])


def test_cnn_wins_on_shifted_digits():
    scores = {}
    for name, config in race(CNNConfig(data="shifted", hidden=32)).items():
        run = Run(config)
        for _ in range(250):
            run.step()
        scores[name] = run.learner.evaluate()["test"]["Accuracy"]
    assert scores["cnn"] > scores["fully_connected"] + 0.2


def test_window_is_where_the_gradient_comes_from():
    """Positive weights and average pooling: every pixel that a cell sees has a positive gradient."""
    tried = 0
    for settings in random_settings(120, seed=1):
        settings["pooling"] = "none" if settings["pooling"] == "none" else "average"
        settings.pop("pooling_2", None)
        try:
            config = CNNConfig(**settings)
        except BlockGeometryError:
            continue
        network = config.network()
        network.load_state_dict({name: torch.rand_like(value) + 0.1 for name, value in network.state_dict().items()})
        image = torch.rand(1, 1, image_side(config.data), image_side(config.data)).add(0.1).requires_grad_()
        stages = network(image)
        for name in (row.name for row in layers(config) if row.kind in ("convolution", "average")):
            maps = maps_of(stages, name)
            side = maps.shape[-1]
            for row, column in {(0, 0), (side - 1, 0), (side // 2, side - 1)}:
                (gradient,) = torch.autograd.grad(maps[0, 0, row, column], image, retain_graph=True)
                seen = gradient[0, 0].nonzero()
                box = (0, 0, 0, 0)
                if len(seen):
                    (top, left), (bottom, right) = seen.amin(0).tolist(), (seen.amax(0) + 1).tolist()
                    box = (top, left, bottom, right)
                ours = window_of(config, name, row, column)
                assert ours == box or (not len(seen) and (ours[0] == ours[2] or ours[1] == ours[3]))
                tried += 1
    assert tried > 300


def test_window_of_a_max_pooling_network():
    """Over many images the arg-max cells fill the window and never leave it."""
    config = CNNConfig(data="shifted", blocks=2)
    network = config.network()
    network.load_state_dict({name: value.fill_(0.1) for name, value in network.state_dict().items()})
    images = torch.rand(600, 1, 16, 16, generator=generator()).requires_grad_()
    network(images).pooled[1][:, 0, 1, 2].sum().backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1)).nonzero()
    assert (*seen.amin(0).tolist(), *(seen.amax(0) + 1).tolist()) == window_of(config, "pooling_2", 1, 2)


def test_inner_windows_are_the_receptive_field_of_the_table():
    config = CNNConfig(data="shifted", blocks=2)
    row = next(row for row in layers(config) if row.name == "convolution_2")
    top, left, bottom, right = window_of(config, "convolution_2", 3, 4)
    assert (top, left) == (row.start + 3 * row.jump, row.start + 4 * row.jump)
    assert bottom - top == right - left == row.receptive_field == receptive_field([(3, 1, 1), (2, 2, 1), (3, 1, 1)])[0]
    for layer, cell in (("output", 0), ("pooling_3", 0), ("convolution_1", 16), ("convolution_1", -1)):
        with pytest.raises(ValueError):
            window_of(config, layer, cell, 0)


def test_exciting_by_brute_force():
    config, state = trained(30, channels=4)
    images = load().train_images[:80]
    stages = trace(config, state, images)
    for layer in ("convolution_1", "pooling_2"):
        maps = maps_of(stages, layer)
        for channel, found in enumerate(exciting(config, state, layer, images, count=5)):
            strongest = sorted((maps[n, channel].max().item() for n in range(80)), reverse=True)[:5]
            assert [place.activation for place in found] == pytest.approx(strongest)
            assert len({place.image for place in found}) == 5
            for place in found:
                assert maps[place.image, channel, place.row, place.column].item() == place.activation
                assert place.window == window_of(config, layer, place.row, place.column)
    assert len(exciting(config, state, "pooling_1", images[:2])[0]) == 2


@pytest.mark.parametrize("hidden", [0, 12])
def test_class_evidence_is_the_score_and_its_gradient(hidden):
    config, state = trained(30, hidden=hidden)
    image = load().test_images[7]
    for label in (0, 3):
        evidence = class_evidence(config, state, label, image)
        stages = network_of(config, state)(image[None])
        maps, score = stages.pooled[-1], stages.scores[0, label]
        (gradient,) = torch.autograd.grad(score, maps)
        torch.testing.assert_close(evidence.weights, gradient[0])
        assert (evidence.weights * maps[0]).sum().item() + evidence.constant == pytest.approx(score.item(), abs=1e-4)


def test_confusion_and_mistakes():
    config, state = trained(60)
    digits = load()
    counts, wrong = confusion(config, state), mistakes(config, state)
    probabilities = trace(config, state, digits.test_images).scores.softmax(1)
    predicted = probabilities.argmax(1)
    assert counts.shape == (10, 10) and counts.sum() == len(predicted)
    assert counts[3, 3] == ((predicted == 3) & (digits.test_labels == 3)).sum()
    assert counts[8, 1] == ((predicted == 1) & (digits.test_labels == 8)).sum()
    assert {each.image for each in wrong} == set((predicted != digits.test_labels).nonzero().flatten().tolist())
    assert [each.probability for each in wrong] == sorted((each.probability for each in wrong), reverse=True)
    for each in wrong:
        assert (each.label, each.predicted) == (digits.test_labels[each.image], predicted[each.image])
        assert each.probability == pytest.approx(probabilities[each.image, each.predicted].item(), abs=1e-5)
    assert mistakes(config, state, 2) == wrong[:2]
    assert confusion(rival(config), DigitsLearner(rival(config), generator()).state()).sum() == len(predicted)


def enlarged(images, scale=12.5):
    return F.interpolate(images, scale_factor=scale, mode="bilinear")


def test_the_datas_own_digits_come_back_from_a_canvas():
    config, state = trained(200)
    digits = load()
    canvases = F.pad(enlarged(digits.test_images[:200]), (30, 70, 20, 40))
    prepared = torch.cat([prepare_drawing(canvas[0], config) for canvas in canvases])
    both = torch.stack([prepared.flatten(1), digits.test_images[:200].flatten(1)])
    likeness = torch.stack([torch.corrcoef(both[:, n])[0, 1] for n in range(200)])
    assert likeness.mean() > 0.85
    read = network_of(config, state).scores(prepared).argmax(1)
    assert (read == digits.test_labels[:200]).float().mean() > 0.85


def stroke(thickness, top=40, left=60, height=100):
    """A seven, drawn on a canvas of 200×200 pixels."""
    y, x = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    bar = ((y - top).abs() <= thickness / 2) & (x >= left) & (x <= left + 0.6 * height)
    slope = left + 0.6 * height - 0.4 * (y - top)
    return (bar | (((x - slope).abs() <= thickness / 2) & (y >= top) & (y <= top + height))).float()


def test_drawings_lose_their_place_size_and_thickness():
    config = CNNConfig()
    image = prepare_drawing(stroke(10), config)
    assert image.shape == (1, 1, 8, 8) and image.min() >= 0 and image.max() <= 1
    assert torch.equal(image, prepare_drawing(stroke(10, top=70, left=20), config))
    assert torch.equal(image, prepare_drawing(0.6 * stroke(10), config))
    for other in (stroke(5), stroke(18), stroke(14, height=140)):
        prepared = prepare_drawing(other, config)
        assert prepared.mean() == pytest.approx(0.31, abs=0.03)  # the ink of the data's digits
        assert torch.corrcoef(torch.stack([image.flatten(), prepared.flatten()]))[0, 1] > 0.9


def test_a_straight_line_stays_as_thick_at_its_ends():
    canvas = torch.zeros(120, 120)
    canvas[10:110, 55:63] = 1
    image = prepare_drawing(canvas, CNNConfig())[0, 0]
    assert torch.equal(image, image[4].expand(8, 8)) and image[4, 3:5].min() == 1


def test_drawings_for_the_other_data():
    plain = prepare_drawing(stroke(10), CNNConfig())
    upsampled = prepare_drawing(stroke(10), CNNConfig(data="upsampled"))
    torch.testing.assert_close(upsampled, F.interpolate(plain, scale_factor=2, mode="bilinear"))
    canvas = stroke(10)
    rows, columns = canvas.any(1).nonzero(), canvas.any(0).nonzero()
    first, last = (-int(rows[0]), -int(columns[0])), (199 - int(rows[-1]), 199 - int(columns[-1]))
    for move, (row, column) in ((first, (0, 0)), (last, (8, 8))):
        shifted = prepare_drawing(canvas.roll(move, (0, 1)), CNNConfig(data="shifted"))
        assert torch.equal(shifted[..., row : row + 8, column : column + 8], plain)
        assert shifted.sum() == pytest.approx(plain.sum().item())


def test_strange_drawings():
    for data in ("plain", "upsampled", "shifted"):
        config = replace(CNNConfig(), data=data)
        empty = prepare_drawing(torch.zeros(50, 90), config)
        assert empty.shape == (1, 1, image_side(data), image_side(data)) and empty.sum() == 0
        for canvas in (torch.ones(30, 30), torch.eye(1), torch.eye(3), torch.ones(5, 400)):
            image = prepare_drawing(canvas, config)
            assert image.shape == empty.shape and image.isfinite().all() and image.sum() > 0
