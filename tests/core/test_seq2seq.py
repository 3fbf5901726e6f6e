"""Sequence to sequence against torch's GRU and attention, tasks by hand, autograd, and REINFORCE by enumeration."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from core.seq2seq import (
    BLANK_TOKEN,
    LETTERS,
    PRESETS,
    RACES,
    SCORES,
    START_TOKEN,
    TASKS,
    VOCABULARY,
    Examples,
    Seq2Seq,
    Seq2SeqConfig,
    as_examples,
    as_words,
    draw_examples,
    held_out_examples,
    losses_of,
    model_of_state,
    race,
    token_loss,
)
from core.training import Run, replay


def words(tokens):
    return "".join(as_words(tokens[:, 0]))


# ---- tasks


@pytest.mark.parametrize(
    ("config", "text", "fed", "target"),
    [
        (Seq2SeqConfig(length=5), "QUERY", "^YREU", "YREUQ"),
        (Seq2SeqConfig(length=5, task="sort"), "query", "^EQRU", "EQRUY"),
        (Seq2SeqConfig(length=5, task="copy", delay=2), "QUERY", "^··QUER", "··QUERY"),
        (Seq2SeqConfig(length=5, task="copy", delay=0), "QUERY", "^QUER", "QUERY"),
        (Seq2SeqConfig(length=4, task="recall"), "Q7A0Z9B0", "ABQZ", "0079"),
    ],
)
def test_what_a_text_is_to_become(config, text, fed, target):
    examples = as_examples(config, text)
    assert words(examples.source) == text.upper()
    assert words(examples.target) == target
    assert [(VOCABULARY + "^")[token] for token in examples.fed[:, 0].tolist()] == list(fed)


@pytest.mark.parametrize("text", ["QUER", "QUERYS", "QUER1", "QUER ", "", "ÄÖÜAB"])
def test_a_text_that_does_not_fit_is_refused(text):
    with pytest.raises(ValueError, match="5 letters"):
        as_examples(Seq2SeqConfig(length=5), text)


@pytest.mark.parametrize("text", ["A1B2C3", "A1B2C3DD", "1A2B3C4D", "A1B2C3A4"])
def test_pairs_that_do_not_fit_are_refused(text):
    with pytest.raises(ValueError):
        as_examples(Seq2SeqConfig(length=4, task="recall"), text)


@pytest.mark.parametrize("task", TASKS)
def test_drawn_examples_are_those_of_their_text(task):
    config = Seq2SeqConfig(task=task, length=6)
    drawn = draw_examples(config, 40, torch.Generator().manual_seed(1))
    for one in range(40):
        example = Examples(*(part[:, one : one + 1] for part in drawn))
        again = as_examples(config, words(example.source))
        if task == "recall":  # asked in another order
            order = example.fed[:, 0].argsort()
            example = Examples(example.source, example.fed[order], example.target[order])
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(again, example, strict=True))
    assert drawn.source[..., 0].unique().numel() > 15 if task == "recall" else drawn.source.unique().numel() == 26


def test_held_out_examples_are_the_same_for_all_and_no_batch():
    config = Seq2SeqConfig()
    assert torch.equal(
        held_out_examples(config).source, held_out_examples(replace(config, seed=3, scoring="dot")).source
    )
    batch = draw_examples(config, 64, torch.Generator().manual_seed(0))
    rows = {tuple(row) for row in held_out_examples(config).source.T.tolist()}
    assert not rows & {tuple(row) for row in batch.source.T.tolist()}


# ---- model


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("attention", ["soft", "none"])
def test_the_model_is_torchs_grus_and_torchs_attention(attention, task):
    config = Seq2SeqConfig(attention=attention, scoring="scaled_dot", memory="key_value", task=task, length=5)
    model = Seq2Seq(config, torch.Generator().manual_seed(0))
    examples = draw_examples(config, 7, torch.Generator().manual_seed(1))
    embedded = F.embedding(examples.source, model.embedding.weight)
    memory, state = model.encoder(embedded.sum(2) if task == "recall" else embedded)
    states, _ = model.decoder(F.embedding(examples.fed, model.embedding.weight), state)
    read = states
    if attention == "soft":
        query, kept = states.transpose(0, 1), memory.transpose(0, 1)
        found = F.scaled_dot_product_attention(query, model.to_key(kept), model.to_value(kept))
        read = torch.cat([states, found.transpose(0, 1)], 2)
    expected = read @ model.readout.weight.T + model.readout.bias
    torch.testing.assert_close(model(examples.source, examples.fed).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scoring", SCORES)
@pytest.mark.parametrize("memory", ["plain", "key_value"])
def test_all_weights_learn_but_those_of_no_token(scoring, memory):
    config = Seq2SeqConfig(scoring=scoring, memory=memory, task="copy")
    model = Seq2Seq(config, torch.Generator().manual_seed(0))
    examples = draw_examples(config, 64, torch.Generator().manual_seed(1))
    written = model(examples.source, examples.fed)
    assert written.weights.shape == (64, 13, 10)
    torch.testing.assert_close(written.weights.sum(-1), torch.ones(64, 13))
    gradients = torch.autograd.grad(token_loss(written.logits, examples.target).mean(), list(model.parameters()))
    assert all(gradient.norm() > 0 for gradient in gradients)


@pytest.mark.parametrize("attention", ["soft", "hard", "none"])
@pytest.mark.parametrize("task", ["reverse", "copy", "recall"])
def test_writing_alone_is_being_fed_what_one_has_written(task, attention):
    config = Seq2SeqConfig(task=task, attention=attention, length=6)
    model = Seq2Seq(config, torch.Generator().manual_seed(0))
    examples = held_out_examples(config)
    alone = model.write(examples)
    said = alone.logits.argmax(-1)
    fed = examples.fed if task == "recall" else torch.cat([torch.full((1, 128), START_TOKEN), said[:-1]])
    told = model(examples.source, fed)
    torch.testing.assert_close(alone.logits, told.logits, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(alone[1:], told[1:], strict=True):
        assert (ours is None) == (theirs is None) == (attention == "none" or (ours is None and attention == "soft"))
        if ours is not None:
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_nobody_sees_the_target():
    config = Seq2SeqConfig(length=6)
    model = Seq2Seq(config, torch.Generator().manual_seed(0))
    examples = held_out_examples(config)
    cut = Examples(examples.source, examples.fed.clone(), (examples.target + 1) % 26)
    cut.fed[1:] = 0  # what is fed comes of the target, but for the first
    assert torch.equal(model.write(examples).logits, model.write(cut).logits)


# ---- learning


@pytest.mark.parametrize("attention", ["soft", "none"])
def test_training_is_torchs_adam_with_clipping(attention):
    config = Seq2SeqConfig(attention=attention, length=5, batch_size=8)
    run = Run(config)
    generator = torch.Generator()
    generator.set_state(run.generator.get_state())
    model = model_of_state(config, run.snapshot().state)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(4):
        examples = draw_examples(config, 8, generator)
        logits = model(examples.source, examples.fed).logits
        loss = F.cross_entropy(logits.permute(0, 2, 1), examples.target)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        run.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(run.learner.state()[name], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("baseline", [True, False])
def test_reinforce_has_the_gradient_of_the_expected_loss_in_the_mean(baseline):
    """One step of one sequence, where the expectation over all positions can be written out."""
    config = Seq2SeqConfig(attention="hard", length=4, hidden=8)
    model = Seq2Seq(config, torch.Generator().manual_seed(2))
    with torch.no_grad():
        model.readout.weight *= 20  # where one looks makes a difference
    examples = draw_examples(config, 1, torch.Generator().manual_seed(3))
    fed, target = examples.fed[:1], examples.target[:1]
    memory, state = model.encode(examples.source)
    states, _ = model.decoder(model.embedding(fed), state)
    W = model.scoring["W"]
    weights = (states[0] @ W.T @ memory[:, 0].T).softmax(-1)[0]  # (T,)
    seen = torch.cat([states[0].expand(4, -1), memory[:, 0]], 1)
    losses = F.cross_entropy(model.readout(seen), target[0].expand(4), reduction="none")
    (exact,) = torch.autograd.grad((weights * losses).sum(), W)
    draws = 30_000
    source, fed, target = (part.expand(-1, draws) for part in (examples.source, fed, target))
    loss, descended = losses_of(model(source, fed, torch.Generator().manual_seed(0)), target, baseline)
    assert loss.item() == pytest.approx((weights * losses).sum().item(), rel=0.02)
    (found,) = torch.autograd.grad(descended, W)
    assert (found - exact).norm() / exact.norm() < 0.15


def accuracy(run: Run) -> float:
    return run.learner.evaluate()["test"]["Accuracy"]


def test_reversal_is_learned_with_attention_and_its_map_is_the_other_diagonal():
    run = replay(PRESETS["reverse"], steps=400)
    assert accuracy(run) >= 0.98
    model = model_of_state(run.config, run.learner.state())
    weights = model.write(held_out_examples(run.config)).weights.mean(0)
    assert weights.argmax(1).tolist() == list(range(9, -1, -1))


def test_without_attention_it_is_not():
    assert accuracy(replay(replace(PRESETS["reverse"], attention="none"), steps=400)) < 0.4


def test_recall_wants_key_value_attention():
    config = PRESETS["recall"]
    run = replay(config, steps=300)
    assert accuracy(run) >= 0.98
    assert accuracy(replay(replace(config, memory="plain"), steps=300)) < 0.6
    written = model_of_state(config, run.learner.state()).write(held_out_examples(config))
    examples = held_out_examples(config)
    where = (examples.source[..., 0].T[:, None, :] == examples.fed.T[:, :, None]).float().argmax(-1)
    assert (written.weights.argmax(-1) == where).float().mean() > 0.95


@pytest.mark.parametrize("attention", ["soft", "hard", "none"])
def test_equal_configs_give_equal_histories(attention):
    config = Seq2SeqConfig(attention=attention, length=4, batch_size=4, seed=4)
    first, second = replay(config, steps=15), replay(config, steps=15)
    assert repr(first.history) == repr(second.history)
    assert first.history[-1].scores != replay(replace(config, seed=5), steps=15).history[-1].scores


def test_how_sharply_it_looks_is_told_of_the_weights_and_not_of_the_one_position_that_is_taken():
    run = Run(Seq2SeqConfig(attention="hard"))
    written = run.learner.model.write(held_out_examples(run.config))
    assert (written.weights.amax(-1) == 1).all()
    told = run.history[0].scores["test"]["Largest weight"]
    assert told == pytest.approx(written.expected.amax(-1).mean().item()) and told < 0.3


def test_a_gradient_that_is_too_long_is_shortened_before_the_step():
    learner = Run(Seq2SeqConfig(length=4)).learner
    taken = []
    learner.optimizer.step = lambda gradients, learning_rate: taken.extend(gradients)
    with torch.no_grad():
        learner.model.readout.weight.mul_(100)
    learner.update(0.1)
    assert torch.stack([part.norm() for part in taken]).norm().item() == pytest.approx(1.0, rel=1e-4)


def test_races_share_task_and_seed():
    config = Seq2SeqConfig(task="sort", seed=3, attention="none")
    for kind in RACES:
        configs = race(config, kind)
        assert {(each.task, each.seed, each.length) for each in configs.values()} == {("sort", 3, 10)}
    assert [each.attention for each in race(config, "with_and_without").values()] == ["soft", "none"]
    assert [each.scoring for each in race(config, "scorings").values()] == list(SCORES)
    assert race(config, "alone") == {"seq2seq": config}


def test_a_state_is_small_enough_for_many_snapshots():
    for kind in RACES:
        for config in race(Seq2SeqConfig(), kind).values():
            assert sum(tensor.nbytes for tensor in Run(config).learner.state().values()) < 100_000


def test_the_vocabulary():
    assert len(set(VOCABULARY)) == len(VOCABULARY) == 37 and VOCABULARY[BLANK_TOKEN] == "·"
    assert as_words(torch.tensor([[0, 29], [25, 35]])) == ["A3", "Z9"] and LETTERS[25] == "Z"
