"""Attention against torch's own, sums by hand, kernel regression written out, and autograd."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core.attention import (
    BANDWIDTHS,
    CHOICES,
    PRESETS,
    SCORINGS,
    SMOOTHED,
    AttentionConfig,
    attend,
    dot_product_spread,
    drawn_by,
    entropy,
    estimated_slopes,
    expected_entropy,
    forecast,
    leave_one_out,
    look_up,
    memories,
    one_of,
    parameters_of,
    score,
    score_parameters,
    slope_of,
    smooth,
    step_by_step,
    table_memory,
)
from core.config import SettingError
from core.data.sunspots import FIRST_YEAR, yearly_sunspots
from core.training import Run, replay


def tensors(*shapes, seed=0, grad=True):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad) for shape in shapes]


# ---- against torch


@pytest.mark.parametrize("batch", [(), (3,), (2, 4)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_scaled_dot_attention_is_torchs_in_values_and_gradients(batch, masked, temperature):
    query, keys, values = tensors((*batch, 5, 6), (*batch, 7, 6), (*batch, 7, 3))
    mask = None
    if masked:
        mask = torch.rand(*batch, 5, 7, generator=torch.Generator().manual_seed(1)) < 0.6
        mask[..., 0] = True  # nobody is left without a key
    ours, weights = attend(query, keys, values, mask=mask, temperature=temperature)
    theirs = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=1 / math.sqrt(6) / temperature)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(weights.sum(-1), torch.ones(*batch, 5, dtype=torch.float64))
    assert mask is None or (weights[~mask] == 0).all()
    leaves = (query, keys, values)
    push = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for own, their in zip(
        torch.autograd.grad(ours, leaves, push), torch.autograd.grad(theirs, leaves, push), strict=True
    ):
        torch.testing.assert_close(own, their, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", SCORINGS)
def test_a_row_that_may_attend_to_nothing_has_no_weights_and_no_nan(kind):
    query, keys, values = tensors((2, 3, 4), (2, 5, 4), (2, 5, 4))
    parameters = {
        name: value.double() for name, value in score_parameters(kind, 4, torch.Generator().manual_seed(0)).items()
    }
    mask = torch.ones(2, 3, 5, dtype=torch.bool)
    mask[0, 1] = False
    for hard in (False, True):
        output, weights = attend(query, keys, values, kind, parameters, mask, hard=hard)
        assert (weights[0, 1] == 0).all() and (output[0, 1] == 0).all()
        torch.testing.assert_close(weights.sum(-1)[mask.any(-1)], torch.ones(5, dtype=torch.float64))
        gradients = torch.autograd.grad(output.square().sum(), (query, keys, values), allow_unused=True)
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


# ---- scores


def test_scores_by_hand():
    query, keys = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    assert score(query, keys, "dot").tolist() == [[1.0, 4.0]]
    torch.testing.assert_close(score(query, keys, "scaled_dot"), torch.tensor([[1.0, 4.0]]) / math.sqrt(2))
    assert score(query, keys, "distance").tolist() == [[-(4 + 9) / 2, -(1 + 0) / 2]]
    W = torch.tensor([[1.0, 0.0], [2.0, 1.0]])  # W q = (1, 4)
    assert score(query, keys, "bilinear", {"W": W}).tolist() == [[3 * 1 - 4, 0 + 2 * 4]]
    parameters = {
        "W": torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        "U": torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]),
        "v": torch.tensor([1.0, -2.0, 0.5]),
    }
    tanh = math.tanh
    expected = [tanh(3 + 2) - 2 * tanh(-1 + 1) + tanh(2) / 2, tanh(0 + 2) - 2 * tanh(2 + 1) + tanh(2) / 2]
    assert score(query, keys, "additive", parameters)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kind", SCORINGS)
def test_scores_of_a_batch_are_those_of_each_pair(kind):
    query, keys = tensors((2, 3, 4), (2, 5, 4), grad=False)
    parameters = {
        name: value.double() for name, value in score_parameters(kind, 4, torch.Generator().manual_seed(0)).items()
    }
    together = score(query, keys, kind, parameters)
    for b in range(2):
        for i in range(3):
            for j in range(5):
                alone = score(query[b, i : i + 1], keys[b, j : j + 1], kind, parameters)
                torch.testing.assert_close(together[b, i, j], alone[0, 0])


def test_queries_and_keys_of_other_sizes_meet_in_the_additive_and_the_bilinear_score():
    query, keys = torch.randn(3, 2), torch.randn(4, 5)
    for kind in ("additive", "bilinear"):
        parameters = score_parameters(kind, 5, torch.Generator().manual_seed(0), query_size=2)
        assert score(query, keys, kind, parameters).shape == (3, 4)


def test_distance_scores_are_dot_products_with_longer_keys():
    query, keys = tensors((3, 2), (4, 2), grad=False)
    longer = torch.cat([keys, -keys.square().sum(-1, keepdim=True) / 2], -1)
    with_one = torch.cat([query, torch.ones(3, 1, dtype=torch.float64)], -1)
    _, ours = attend(query, keys, keys, "distance", temperature=0.7)
    _, theirs = attend(with_one, longer, longer, "dot", temperature=0.7)
    torch.testing.assert_close(ours, theirs)


def test_bad_arguments_are_named():
    x = torch.zeros(1, 2)
    with pytest.raises(ValueError, match="cosine"):
        attend(x, x, x, "cosine")
    for kind in ("additive", "bilinear"):
        with pytest.raises(ValueError, match="parameters"):
            attend(x, x, x, kind)
    for temperature in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="temperature"):
            attend(x, x, x, temperature=temperature)


# ---- temperature, soft and hard


def test_temperature_goes_from_hard_to_uniform():
    query, keys, values = tensors((1, 3), (6, 3), (6, 2), grad=False)
    hard, one = attend(query, keys, values, hard=True)
    cold, _ = attend(query, keys, values, temperature=1e-4)
    torch.testing.assert_close(cold, hard)
    assert one.tolist()[0].count(1.0) == 1 and one.argmax() == (keys @ query[0]).argmax()
    hot, weights = attend(query, keys, values, temperature=1e6)
    torch.testing.assert_close(hot[0], values.mean(0), atol=1e-5, rtol=0)
    assert entropy(weights).item() == pytest.approx(math.log(6))
    assert entropy(one).item() == 0


def test_soft_attention_is_the_expectation_of_sampled_attention():
    query, keys, values = tensors((1, 3), (6, 3), (6, 2), grad=False)
    soft, weights = attend(query, keys, values)
    generator = torch.Generator().manual_seed(0)
    many = query.expand(20_000, 3)
    drawn, chosen = attend(many, keys, values, hard=True, generator=generator)
    assert set(chosen.sum(-1).tolist()) == {1.0}
    assert chosen.mean(0).tolist() == pytest.approx(weights[0].tolist(), abs=0.015)
    assert drawn.mean(0).tolist() == pytest.approx(soft[0].tolist(), abs=0.03)


def test_nothing_without_weight_is_drawn():
    weights = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0]).expand(5000, 5)
    assert set(drawn_by(weights, torch.Generator().manual_seed(0)).tolist()) == {1, 3}
    assert one_of(torch.zeros(2, 3), torch.Generator().manual_seed(0)).sum() == 0


def test_a_mask_holds_for_hard_attention():
    query, keys, values = tensors((1, 3), (6, 3), (6, 2), grad=False)
    best = (keys @ query[0]).argmax()
    mask = torch.arange(6)[None] != best
    _, weights = attend(query, keys, values, mask=mask, hard=True)
    assert weights[0, best] == 0 and weights.sum() == 1


# ---- why dot products are scaled


@pytest.mark.parametrize(("dimension", "largest"), [(4, 0.34), (64, 0.82), (512, 0.94)])
def test_unscaled_dot_products_saturate(dimension, largest):
    found = dot_product_spread(dimension)
    assert found.deviation == pytest.approx(math.sqrt(dimension), rel=0.05)
    assert found.largest == pytest.approx(largest, abs=0.03)
    scaled = dot_product_spread(dimension, "scaled_dot")
    assert scaled.deviation == pytest.approx(1, rel=0.05)
    assert scaled.largest == pytest.approx(0.16, abs=0.015)
    assert scaled.entropy == pytest.approx(expected_entropy(1), abs=0.1)


def test_the_expected_entropy_is_that_of_many_gaussian_scores():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(50, 20_000, generator=generator)
    for variance in (0.5, 2.0, 4.0):
        measured = entropy((scores * math.sqrt(variance)).softmax(-1)).mean().item()
        assert measured == pytest.approx(expected_entropy(variance, 20_000), abs=0.03)
    assert expected_entropy(100) == 0


# ---- the lesson's memory


def test_keys_are_two_years_and_values_the_next():
    train, test = memories("sunspots")
    years = yearly_sunspots()
    known = torch.tensor(years[: math.floor(len(years) * 0.8)])

    def raw(shown):
        return shown * known.std(correction=0) + known.mean()

    for memory, size in ((train, 245), (test, 62)):
        assert len(memory.keys) == len(memory.following) == size
        for row in (0, 17, size - 1):
            place = memory.first + row
            assert raw(memory.keys[row]).tolist() == pytest.approx(years[place - 1 : place + 1], abs=1e-3)
            assert raw(memory.following[row]).tolist() == pytest.approx([years[place + 1]], abs=1e-3)
    assert test.first == train.first + len(train.keys)  # its answer is the year after the last known one
    assert FIRST_YEAR + train.first == 1701


def test_the_table_has_six_different_years_in_order():
    memory, places = table_memory("sunspots")
    train, _ = memories("sunspots")
    assert len(set(places)) == 6 and list(places) == sorted(places)
    assert torch.equal(memory.keys, train.keys[list(places)])
    angles = torch.atan2(memory.keys[:, 1], memory.keys[:, 0]).sort().values
    assert (angles.diff() > 0.3).all()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("memory", ["key_value", "plain"])
@pytest.mark.parametrize("kind", SCORINGS)
def test_the_steps_lead_to_what_attention_gives(kind, memory, choice):
    config = AttentionConfig(scoring=kind, memory=memory, choice=choice, temperature=0.5)
    state = parameters_of(config, torch.Generator().manual_seed(3))
    if "log_scale" in state:
        state["log_scale"] = torch.tensor([0.3, -0.2])
    shown, query = table_memory("sunspots")[0], torch.tensor([0.4, -0.8])
    steps = step_by_step(config, state, query, shown, seed=5)
    values = shown.following if memory == "key_value" else shown.keys
    generator = torch.Generator().manual_seed(5) if choice == "sampled" else None
    output, weights = look_up(config, state, query[None], shown.keys, values, generator=generator)
    torch.testing.assert_close(steps.output, output[0])
    torch.testing.assert_close(steps.products.sum(0), output[0])
    if choice == "soft":
        torch.testing.assert_close(steps.scaled.softmax(0), weights[0])
    else:
        assert weights.max() == 1 and (choice == "sampled" or weights.argmax() == steps.scaled.argmax())
    ratio = steps.scores / steps.scaled
    torch.testing.assert_close(ratio, torch.full_like(ratio, 0.5 * (math.sqrt(2) if kind == "scaled_dot" else 1)))


# ---- which of them has a gradient


@pytest.mark.parametrize("memory", ["key_value", "plain"])
@pytest.mark.parametrize("kind", SCORINGS)
def test_soft_attention_has_the_slope_that_is_measured_and_hard_attention_none(kind, memory):
    config = AttentionConfig(scoring=kind, memory=memory)
    state, shown = parameters_of(config, torch.Generator().manual_seed(0)), table_memory("sunspots")[0]
    query = torch.tensor([0.3, 0.5])
    soft = slope_of(config, state, query, shown)
    torch.testing.assert_close(soft.autograd, soft.difference, atol=1e-6, rtol=1e-5)
    assert soft.autograd.norm() > 0.01
    for choice in ("hard", "sampled"):
        flat = slope_of(replace(config, choice=choice), state, query, shown)
        assert flat.autograd is None and flat.difference.tolist() == [0, 0]


def test_the_score_function_finds_the_slope_of_the_expectation():
    config = AttentionConfig()
    state, shown = parameters_of(config, torch.Generator()), table_memory("sunspots")[0]
    query = torch.tensor([0.3, 0.5])
    found = estimated_slopes(config, state, query, shown, 20_000)
    exact = slope_of(config, state, query, shown).autograd
    error = found.std(0) / math.sqrt(len(found))
    assert ((found.mean(0) - exact).abs() < 4 * error).all() and (error < 0.03).all()


# ---- kernel regression


def test_smoothing_is_nadaraya_watson():
    found = smooth("sunspots", (), 2.5)
    years = torch.tensor(yearly_sunspots(), dtype=torch.float64)
    kernel = torch.exp(-((torch.arange(309)[:, None] - torch.arange(309)) ** 2) / (2 * 2.5**2)).double()
    expected = (kernel * years).sum(1) / kernel.sum(1)
    torch.testing.assert_close(found.curve.double(), expected, atol=1e-3, rtol=0)
    assert found.first == 0 and found.weights.shape == (309, 309)


def test_a_long_series_is_smoothed_at_its_end():
    found = smooth("own", tuple(float(value % 7) for value in range(1000)), 1.0)
    assert len(found.values) == SMOOTHED and found.first == 1000 - SMOOTHED


def test_leaving_one_out_is_what_it_says():
    found = leave_one_out("sunspots")
    years = yearly_sunspots()
    place = 20
    h = BANDWIDTHS[place]
    errors = []
    for i in range(len(years)):
        pairs = [(math.exp(-((i - j) ** 2) / (2 * h * h)), years[j]) for j in range(len(years)) if j != i]
        errors.append(sum(w * y for w, y in pairs) / sum(w for w, _ in pairs) - years[i])
    assert found[place].item() == pytest.approx(math.sqrt(sum(e * e for e in errors) / len(errors)), rel=1e-4)
    best = [BANDWIDTHS[int(leave_one_out("sunspots", (), noise).argmin())] for noise in (0.0, 1.2)]
    assert best[0] < 0.7 < 1 < best[1]  # the noisier the values, the wider the best kernel


# ---- learning


@pytest.mark.parametrize("kind", SCORINGS)
def test_training_is_torchs_adam_on_the_same_loss(kind):
    config = AttentionConfig(scoring=kind, batch_size=8, temperature=0.7)
    run = Run(config)
    generator = torch.Generator()
    generator.set_state(run.generator.get_state())
    leaves = {name: value.clone().requires_grad_() for name, value in run.snapshot().state.items()}
    optimizer = torch.optim.Adam(leaves.values(), lr=0.03)
    train, _ = memories("sunspots")
    for _ in range(5):
        chosen = torch.randint(245, (8,), generator=generator)
        scale = leaves["log_scale"].exp() if "log_scale" in leaves else 1.0
        scores = score(train.keys[chosen] * scale, train.keys * scale, kind, leaves) / 0.7
        scores[torch.arange(8), chosen] = -math.inf
        loss = F.mse_loss(scores.softmax(-1) @ train.following, train.following[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step()
    for name, value in run.learner.state().items():
        torch.testing.assert_close(value, leaves[name].detach(), atol=1e-5, rtol=1e-4)


def test_the_loss_is_measured_without_looking_oneself_up():
    run = Run(AttentionConfig())
    train, test = memories("sunspots")
    distance = torch.cdist(train.keys, train.keys) ** 2
    weights = torch.exp(-distance / 2) * (1 - torch.eye(245))
    guess = (weights @ train.following) / weights.sum(1, keepdim=True)
    scores = run.history[0].scores
    assert scores["train"]["Loss"] == pytest.approx(F.mse_loss(guess, train.following).item(), rel=1e-3)
    weights = torch.exp(-(torch.cdist(test.keys, train.keys) ** 2) / 2)
    guess = (weights @ train.following) / weights.sum(1, keepdim=True)
    assert scores["test"]["Loss"] == pytest.approx(F.mse_loss(guess, test.following).item(), rel=1e-3)


def loss(name: str, steps: int, part: str = "train") -> float:
    return replay(PRESETS[name], steps=steps).learner.evaluate()[part]["Loss"]


def test_the_kernel_learns_to_be_narrow_and_beats_a_linear_forecast_in_training():
    run = replay(PRESETS["distance"], steps=600)
    scores = run.learner.evaluate()
    train, _ = memories("sunspots")
    inputs = torch.cat([train.keys, torch.ones(245, 1)], 1)
    linear = F.mse_loss(inputs @ torch.linalg.lstsq(inputs, train.following).solution, train.following).item()
    assert scores["train"]["Loss"] < linear < run.history[0].scores["train"]["Loss"]
    assert scores["train"]["Attended keys"] < run.history[0].scores["train"]["Attended keys"] / 5


def test_hard_attention_stands_still_and_sampled_attention_learns():
    run = replay(PRESETS["hard"], steps=50)
    assert torch.equal(run.snapshots[0].state["log_scale"], run.learner.state()["log_scale"])
    assert loss("sampled", 600) < 0.4 < 1.1 < loss("sampled", 0)


def test_a_drawn_key_is_learned_by_its_error_less_the_mean_error_of_the_batch():
    learner = Run(PRESETS["sampled"]).learner
    twin, taken = torch.Generator(), []
    twin.set_state(learner.generator.get_state())
    learner.optimizer.step = lambda gradients, learning_rate: taken.extend(gradients)
    learner.update(0.1)

    keys, following = memories("sunspots")[0][:2]
    chosen = torch.randint(len(keys), (32,), generator=twin)
    scale = torch.zeros(2, requires_grad=True)
    scores = -0.5 * ((keys[chosen][:, None] - keys) * scale.exp()).square().sum(-1)
    scores = scores.masked_fill(torch.eye(len(keys), dtype=torch.bool)[chosen], -torch.inf)
    drawn = drawn_by(scores.softmax(-1).detach(), twin)
    errors = (following[drawn, 0] - following[chosen, 0]) ** 2
    surprise = scores.log_softmax(-1).gather(1, drawn[:, None])[:, 0]
    (expected,) = torch.autograd.grad(((errors - errors.mean()) * surprise).mean(), scale)
    torch.testing.assert_close(taken[0], expected, rtol=1e-3, atol=1e-5)


def test_what_breaks_is_worse():
    good = loss("distance", 300)
    assert all(loss(name, 300) > 1.5 * good for name in ("dot", "plain", "hot"))


def test_the_expected_error_of_a_drawn_key():
    config = PRESETS["sampled"]
    run = Run(config)
    train, test = memories("sunspots")
    generator = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(300):
        output, _ = look_up(config, run.snapshot().state, test.keys, train.keys, train.following, generator=generator)
        errors.append(F.mse_loss(forecast(output), test.following[:, 0]).item())
    assert run.history[0].scores["test"]["Loss"] == pytest.approx(sum(errors) / 300, rel=0.02)


def test_an_own_series_is_checked():
    series = tuple(float(value % 5) for value in range(40))
    run = replay(AttentionConfig(task="own", series=series), steps=30)
    assert run.history[-1].scores["test"]["Loss"] < run.history[0].scores["test"]["Loss"]
    for bad in ((), (1.0,) * 40, series[:5], (*series, math.nan)):
        with pytest.raises(SettingError):
            AttentionConfig(task="own", series=bad)


@pytest.mark.parametrize("choice", CHOICES)
def test_equal_configs_give_equal_histories(choice):
    config = AttentionConfig(choice=choice, scoring="additive", seed=4)
    assert replay(config, steps=30).history == replay(config, steps=30).history
