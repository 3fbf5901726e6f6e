"""Self-attention against torch's layer, the transformer against its definition, the tasks against brute force."""

import itertools
import math

import pytest
import torch
from torch import nn

from core.config import SettingError
from core.rnn import RNN
from core.self_attention import (
    DIGITS,
    POSITIONS,
    PRESETS,
    TRANSFORMER_TASKS,
    MultiHeadAttention,
    SelfAttentionConfig,
    TokensError,
    Transformer,
    accuracy_of_each,
    accuracy_without,
    answers_of,
    attention_parameters,
    attention_products,
    draw_tokens,
    held_out_tokens,
    look,
    measure_cost,
    partners,
    rnn_parameters,
    rnn_products,
    rnn_width,
    shuffled,
    sinusoids,
    tokens_from,
)
from core.training import Run


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pair(width=16, heads=4):
    """Ours and torch's, with the same weights, in float64."""
    theirs = nn.MultiheadAttention(width, heads, batch_first=True).double()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(1), dtype=torch.float64) / 3)
    ours = MultiHeadAttention(width, heads, generator()).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def padding(B, T):
    mask = torch.zeros(B, T, dtype=torch.bool)
    mask[1, T - 3 :] = True
    mask[2, T - 1] = True
    return mask


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 4, 8])
def test_it_is_torchs_layer_in_values_weights_and_gradients(heads, padded, causal):
    ours, theirs = pair(16, heads)
    x = torch.randn(3, 7, 16, generator=generator(2), dtype=torch.float64)
    mask = padding(3, 7) if padded else None
    future = torch.ones(7, 7, dtype=torch.bool).triu(1) if causal else None
    found = []
    for layer in (ours, theirs):
        leaf = x.clone().requires_grad_()
        if layer is ours:
            output, weights = layer(leaf, mask, causal)
        else:
            output, weights = layer(
                leaf, leaf, leaf, key_padding_mask=mask, attn_mask=future, average_attn_weights=False
            )
        loss = (output * torch.linspace(-1, 1, 16, dtype=torch.float64)).sum() + weights.square().sum()
        found.append((output, weights, *torch.autograd.grad(loss, [leaf, *layer.parameters()])))
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for mine, other in zip(*found, strict=True):
        assert (mine - other).abs().max() < 1e-10


def test_initial_weights_spread_as_those_of_torchs_layer():
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(64, 4).state_dict()
    for name, ours in MultiHeadAttention(64, 4, torch.Generator().manual_seed(0)).state_dict().items():
        largest = theirs[name].abs().max().item()
        assert ours.abs().max().item() == pytest.approx(largest, rel=0.02), name


def test_who_may_attend_to_nothing_has_no_weights_and_the_bias_for_an_output():
    layer = pair()[0]
    x = torch.randn(2, 5, 16, generator=generator(3), dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    for causal in (False, True):
        output, weights = layer(x, mask, causal)
        empty = [(0, slice(None))] + ([(1, slice(0, 2))] if causal else [])
        for row, places in empty:
            assert (weights[row, :, places] == 0).all()
            assert torch.equal(output[row, places], layer.out_proj.bias.expand_as(output[row, places]))
        sums = weights.sum(-1)
        assert ((sums - 1).abs() < 1e-12)[1, :, 2:].all()
        (gradient,) = torch.autograd.grad(output.sum() + weights.square().sum(), x)
        assert gradient.isfinite().all()


def test_the_mask_also_holds_in_float32():
    layer = MultiHeadAttention(8, 2, generator())
    with torch.no_grad():
        layer.in_proj_weight *= 1e6  # scores of 1e11 do not reach over the mask
    _, weights = layer(torch.randn(2, 6, 8, generator=generator()), causal=True)
    assert weights.isfinite().all() and (weights.triu(1) == 0).all()


def test_the_future_does_not_reach_the_past_under_the_causal_mask():
    layer = pair()[0]
    x = torch.randn(1, 6, 16, generator=generator(4), dtype=torch.float64)
    changed = x.clone()
    changed[:, 4:] = 9.0
    before, after = layer(x, causal=True)[0], layer(changed, causal=True)[0]
    assert torch.equal(before[:, :4], after[:, :4]) and not torch.allclose(before[:, 4:], after[:, 4:])


def test_without_positions_attention_is_permutation_equivariant():
    layer = pair()[0]
    x = torch.randn(2, 6, 16, generator=generator(5), dtype=torch.float64)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    output, weights = layer(x)
    moved, moved_weights = layer(x[:, order])
    assert torch.allclose(moved, output[:, order], atol=1e-12)
    assert torch.allclose(moved_weights, weights[:, :, order][:, :, :, order], atol=1e-12)


def test_every_stage_follows_the_formula():
    layer = pair(16, 4)[0]
    x = torch.randn(2, 5, 16, generator=generator(6), dtype=torch.float64)
    trace = layer.trace(x)
    w_q, w_k, w_v = layer.in_proj_weight.chunk(3)
    b_q, b_k, b_v = layer.in_proj_bias.chunk(3)
    heads = []
    for head in range(4):
        part = slice(4 * head, 4 * head + 4)
        q, k, v = (x @ w[part].T + b[part] for w, b in ((w_q, b_q), (w_k, b_k), (w_v, b_v)))
        for found, wanted in zip((trace.query, trace.key, trace.value), (q, k, v), strict=True):
            assert torch.allclose(found[:, head], wanted, atol=1e-12)
        weights = (q @ k.mT / math.sqrt(4)).softmax(-1)
        assert torch.allclose(trace.scores[:, head], q @ k.mT / 2, atol=1e-12)
        assert torch.allclose(trace.weights[:, head], weights, atol=1e-12)
        heads.append(weights @ v)
    wanted = torch.cat(heads, -1) @ layer.out_proj.weight.T + layer.out_proj.bias
    assert torch.allclose(trace.output, wanted, atol=1e-12)


def test_a_silent_head_adds_nothing():
    layer = pair(16, 4)[0]
    x = torch.randn(2, 5, 16, generator=generator(7), dtype=torch.float64)
    full = layer.trace(x)
    quiet = layer.trace(x, silent=[1])
    missing = full.mixed[:, 1] @ layer.out_proj.weight[:, 4:8].T
    assert torch.allclose(full.output - missing, quiet.output, atol=1e-12)
    assert torch.allclose(layer.trace(x, silent=range(4)).output, layer.out_proj.bias.expand(2, 5, 16))


@pytest.mark.parametrize(("width", "heads"), [(10, 4), (8, 0), (8, 3)])
def test_a_width_that_cannot_be_shared_out_is_refused(width, heads):
    with pytest.raises(ValueError, match="multiple"):
        MultiHeadAttention(width, heads, generator())


# ---- tasks -----------------------------------------------------------------------------------------------------------


def test_the_answers_are_those_of_a_loop():
    tokens = torch.randint(DIGITS, (20, 7), generator=generator())
    for row, *answers in zip(
        tokens.tolist(), *(answers_of(task, tokens).tolist() for task in TRANSFORMER_TASKS[:4]), strict=True
    ):
        difference, total, reverse, ordered = answers
        assert difference == [(row[t - 1] - row[t - 3]) % 6 for t in range(7)]
        assert total == [(row[t - 1] + row[t - 3]) % 6 for t in range(7)]
        assert reverse == row[::-1] and ordered == sorted(row)


def test_partners_are_the_only_pairing_in_which_no_two_cross():
    """Against brute force over all pairings of six brackets."""

    def pairings(places):
        if not places:
            yield []
        for other in places[1:]:
            for rest in pairings([place for place in places[1:] if place != other]):
                yield [(places[0], other), *rest]

    for row in draw_tokens("brackets", 6, 40, generator(1)).tolist():
        fitting = [
            pairing
            for pairing in pairings(list(range(6)))
            if all(row[a] % 2 == 0 and row[b] == row[a] + 1 for a, b in pairing)
            and not any(a < c < b < d for (a, b), (c, d) in itertools.permutations(pairing, 2))
        ]
        assert len(fitting) == 1
        found = partners(row)
        assert {(a, found[a]) for a in range(6)} == {each for a, b in fitting[0] for each in ((a, b), (b, a))}


@pytest.mark.parametrize("row", [[1, 0], [0, 0], [0, 3], [0, 1, 1], [2, 1, 0, 3]])
def test_brackets_that_are_not_balanced_are_refused(row):
    with pytest.raises(ValueError, match="bracket"):
        partners(row)


@pytest.mark.parametrize(("task", "text", "row"), [
    ("sort", "31 05", [3, 1, 0, 5]), ("sort", "３１０５", [3, 1, 0, 5]),
    ("brackets", "([])", [0, 2, 3, 1]), ("brackets", "（【】）", [0, 2, 3, 1]),
])  # fmt: skip
def test_a_sequence_is_read_as_it_is_written_on_any_keyboard(task, text, row):
    assert tokens_from(SelfAttentionConfig(task=task, length=4), text).tolist() == row


@pytest.mark.parametrize(("task", "text", "kind"), [
    ("sort", "3106", "symbol"), ("sort", "310", "length"), ("brackets", "([)]", "balance"),
])  # fmt: skip
def test_a_sequence_that_the_task_does_not_have_is_refused(task, text, kind):
    with pytest.raises(TokensError) as error:
        tokens_from(SelfAttentionConfig(task=task, length=4), text)
    assert error.value.kind == kind


@pytest.mark.parametrize("task", TRANSFORMER_TASKS)
def test_sequences_are_drawn_from_the_generator_and_within_the_symbols(task):
    first, second = (draw_tokens(task, 8, 64, generator(3)) for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, draw_tokens(task, 8, 64, generator(4)))
    assert first.shape == (64, 8) and set(first.flatten().tolist()) == set(range(4 if task == "brackets" else DIGITS))
    before = torch.get_rng_state()
    held_out_tokens(task, 8)
    Run(SelfAttentionConfig(task=task, length=8)).step()
    assert torch.equal(before, torch.get_rng_state())


# ---- the transformer -------------------------------------------------------------------------------------------------


def test_sinusoids_are_those_of_the_paper():
    found = sinusoids(9, 16)
    for place in range(9):
        for pair_of in range(8):
            angle = place / 10_000 ** (2 * pair_of / 16)
            assert found[place, 2 * pair_of] == pytest.approx(math.sin(angle), abs=1e-5)
            assert found[place, 2 * pair_of + 1] == pytest.approx(math.cos(angle), abs=1e-5)


@pytest.mark.parametrize("feed_forward", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_a_layer_is_torchs_encoder_layer(causal, feed_forward):
    """With normalisation first, no dropout, and ReLU; without the second half its weights are set to 0."""
    config = SelfAttentionConfig(causal=causal, feed_forward=feed_forward, width=16, layers=1)
    block = Transformer(config, generator()).blocks[0]
    theirs = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, norm_first=True, batch_first=True)
    state = block.state_dict()
    names = {"norm": "norm1", "attention": "self_attn", "second_norm": "norm2", "widen": "linear1", "narrow": "linear2"}
    loaded = {f"{names[key.split('.')[0]]}.{key.partition('.')[2]}": value for key, value in state.items()}
    theirs.load_state_dict(loaded, strict=feed_forward)
    if not feed_forward:
        nn.init.zeros_(theirs.linear2.weight), nn.init.zeros_(theirs.linear2.bias)
    x = torch.randn(3, 6, 16, generator=generator(8))
    mask = torch.ones(6, 6, dtype=torch.bool).triu(1) if causal else None
    assert torch.allclose(block(x, causal).after, theirs(x, src_mask=mask), atol=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_only_positions_tell_an_order_from_another(positions):
    config = SelfAttentionConfig(positions=positions)
    run = Run(config)
    tokens = held_out_tokens(config.task, config.length)[0]
    found = shuffled(config, run.snapshot().state, tokens)
    assert sorted(found.order) == list(range(10)) and found.order != list(range(10))
    if positions == "none":
        assert found.gap < 1e-5 and torch.equal(found.answers, found.moved)
    else:
        assert found.gap > 0.01


def test_the_mask_of_the_future_tells_an_order_without_positions():
    config = SelfAttentionConfig(positions="none", causal=True)
    tokens = held_out_tokens(config.task, config.length)[0]
    assert shuffled(config, Run(config).snapshot().state, tokens).gap > 0.01


def test_heads_can_be_switched_off_and_are_missed():
    config = SelfAttentionConfig(task="reverse", heads=2, length=6)
    run = Run(config)
    while run.steps < 60:
        run.step()
    run.evaluate()
    state = run.snapshot().state
    assert accuracy_without(config, state) == run.history[-1].scores["test"]["Accuracy"] > 0.9
    each = accuracy_of_each(config, state)
    assert list(each) == [(0, 0), (0, 1)]
    assert each[0, 1] == accuracy_without(config, state, [(0, 1)])
    assert min(each.values()) > 0.9  # either head can do it alone …
    assert accuracy_without(config, state, [(0, 0), (0, 1)]) < 0.4  # … but one is needed
    quiet = look(config, state, held_out_tokens("reverse", 6), [(0, 1)]).layers[0].heads.mixed
    assert (quiet[:, 1] == 0).all() and (quiet[:, 0] != 0).any()


def test_training_is_reproducible_and_another_seed_is_another_run():
    first, second, other = (Run(SelfAttentionConfig(seed=seed)) for seed in (0, 0, 1))
    for run in (first, second, other):
        for _ in range(12):
            run.step()
    assert first.history == second.history != other.history


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(SettingError, match="length"):
        SelfAttentionConfig(task="brackets", length=9)
    for wrong in ({"heads": 3}, {"width": 12}, {"positions": "rotary"}, {"length": 3}):
        with pytest.raises(SettingError):
            SelfAttentionConfig(**wrong)


# ---- costs -----------------------------------------------------------------------------------------------------------


def test_parameters_are_counted_as_torch_has_them():
    for width in (8, 16, 32, 64):
        config = SelfAttentionConfig(width=width)
        theirs = nn.MultiheadAttention(width, 4)
        assert attention_parameters(config) == sum(parameter.numel() for parameter in theirs.parameters())
        hidden = rnn_width(config)
        count = sum(parameter.numel() for parameter in nn.RNN(width, hidden).parameters())
        assert rnn_parameters(width, hidden) == count == sum(p.numel() for p in RNN(width, hidden).parameters())
        assert abs(count - attention_parameters(config)) <= 2 * hidden + width + 3  # no other width is nearer


def test_products_are_those_of_the_matrices():
    T, D, K = 7, 16, 4
    d = D // K
    assert attention_products(T, D) == T * D * 3 * D + K * (T * d * T) + K * (T * T * d) + T * D * D
    assert rnn_products(T, D, 11) == T * (D * 11 + 11 * 11)
    assert attention_products(2 * T, D) > 2 * attention_products(T, D)


def test_costs_are_measured_with_the_clock_that_is_given():
    clock = iter(range(100))
    found = measure_cost(8, 2, 8, (4, 8), lambda: 0.5 * next(clock) ** 2)
    assert found == {"attention": [0.5, 20.5], "rnn": [10.5, 30.5]}, (
        "the best of five is the first on a clock that hurries"
    )


# ---- presets ---------------------------------------------------------------------------------------------------------


def test_the_first_preset_is_the_default():
    assert next(iter(PRESETS.values())) == SelfAttentionConfig()


def test_a_head_is_switched_off_in_its_own_layer_only():
    config = SelfAttentionConfig(layers=2)
    state, tokens = Run(config).snapshot().state, held_out_tokens(config.task, config.length)[:4]
    whole, without = look(config, state, tokens), look(config, state, tokens, [(1, 0)])
    assert torch.equal(whole.layers[0].after, without.layers[0].after)
    assert not torch.allclose(whole.layers[1].after, without.layers[1].after, atol=1e-4)
    assert not torch.allclose(look(config, state, tokens, [(0, 0)]).layers[0].after, whole.layers[0].after, atol=1e-4)
