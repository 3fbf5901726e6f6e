"""The sequence-to-sequence lesson through the entrypoint, its pictures, and the numbers that its presets tell."""

from __future__ import annotations

import base64
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from core.seq2seq import ATTENTION, PRESETS, RACES, SCORES, TASKS, Seq2SeqConfig, race
from core.training import Run
from pages.ui import pictures_seq2seq as pictures
from pages.ui import questions_seq2seq as asked
from tests.lessons import open_lesson, trained

open_page = partial(open_lesson, "seq2seq")


def items(scene, kind: str) -> list[dict]:
    return [item for figure in scene.figures for item in figure.items if item["t"] == kind]


def scene_of(configs: dict[str, Seq2SeqConfig], number: int = 1, text: str = ""):
    return pictures.alignments(configs, {name: Run(each).snapshot() for name, each in configs.items()}, number, text)


@pytest.mark.parametrize("kind", RACES)
def test_every_race_runs_and_shows(kind):
    app = open_page("zh", compare=kind, length="5")
    app.button(key="seq2seq_step").click().run()
    assert not app.exception
    assert app.session_state["seq2seq_race"].configs == race(Seq2SeqConfig(length=5), kind)


def test_an_own_word_is_shown_and_kept_in_the_address():
    app = open_page(length="5")
    app.text_input(key="seq2seq_word").set_value("QUERY").run()
    assert not app.exception and app.query_params["seq2seq_word"] in ("QUERY", ["QUERY"])
    assert not [caption for caption in app.caption if "needs" in caption.value]
    app.text_input(key="seq2seq_word").set_value("QUERYS").run()
    assert [caption for caption in app.caption if "exactly 5 letters" in caption.value]
    assert app.session_state["seq2seq_race"].steps == 0
    again = open_page("zh", length="5", word="hello")
    assert again.text_input(key="seq2seq_word").value == "hello"


def test_looking_at_another_sequence_does_not_start_afresh():
    app = open_page(length="4")
    app.button(key="seq2seq_step").click().run()
    app.slider(key="seq2seq_example").set_value(7).run()
    assert app.session_state["seq2seq_race"].steps == 1


def test_the_formula_follows_the_settings():
    for settings, part in (
        ({"scoring": "scaled_dot", "hidden": "16"}, r"\sqrt{16}"),
        ({"scoring": "additive"}, r"\tanh"),
        ({"memory": "key_value"}, r"V\mathbf h_t"),
        ({"compare": "alone", "attention": "none"}, r"\mathbf h_T"),
        ({"compare": "alone", "attention": "hard"}, r"\tau\sim"),
    ):
        assert part in open_page(**settings).latex[0].value


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("attention", ATTENTION)
def test_the_map_is_that_of_the_model_and_its_edges_the_tokens(attention, task):
    config = Seq2SeqConfig(task=task, attention=attention, length=20, delay=10)
    scene = scene_of({"seq2seq": config}, 3)
    answer = pictures.Answer(config, Run(config).snapshot(), pictures.example_of(config, 3))
    shown = items(scene, "map")
    assert len(shown) == (attention != "none")
    for item in shown:
        values = torch.frombuffer(bytearray(base64.b64decode(item["d"])), dtype=torch.float32).reshape(item["r"], -1)
        torch.testing.assert_close(values, answer.weights)
        torch.testing.assert_close(values.sum(1), torch.ones(len(answer.said)))
    texts = [item["s"] for item in items(scene, "text")]
    assert all(token in texts for token in (*answer.read, *answer.said))
    assert all(0 <= item["x"] <= figure.width for figure in scene.figures for item in figure.items if "x" in item)
    assert str(answer.right) in scene.alt


def test_threads_are_the_weights_that_matter():
    config = Seq2SeqConfig(length=4)
    run = trained(config, 150)
    answer = pictures.Answer(config, run.snapshot(), pictures.example_of(config, 1))
    drawn = [item for item in pictures.threads(answer).items if item["t"] == "path"]
    assert len(drawn) == int((answer.weights >= pictures.TAKEN).sum())


def test_a_text_is_written_by_the_trained_model():
    config = Seq2SeqConfig(length=5, scoring="dot")
    run = trained(config, 250)
    answer = pictures.Answer(config, run.snapshot(), pictures.example_of(config, 1, "query"))
    assert answer.read == list("QUERY") and answer.wanted == list("YREUQ") and answer.right >= 4
    assert pictures.example_of(config, 1, "too long").source.shape == pictures.example_of(config, 1).source.shape


MEASURED = {  # preset → step and share right, as its caption tells
    "reverse": (400, 0.99), "copy": (400, 0.989), "recall": (200, 0.98), "reinforce": (400, 0.973),
    "one_memory": (400, 0.312), "blurred": (400, 0.491), "too_fast": (400, 1 / 3),
}  # fmt: skip


@pytest.mark.parametrize("name", MEASURED)
def test_the_presets_tell_what_is_measured(name):
    step, share = MEASURED[name]
    found = trained(PRESETS[name], step).learner.evaluate()["test"]["Accuracy"]
    assert found < 1 / 3 if name == "too_fast" else found == pytest.approx(share, abs=0.03)


def test_challenges_are_checked_by_measurement():
    def lesson(*runs: Run) -> SimpleNamespace:
        named = {str(number): run for number, run in enumerate(runs)}
        return SimpleNamespace(
            race=SimpleNamespace(runs=named, configs={name: run.config for name, run in named.items()})
        )

    fresh = lesson(trained(Seq2SeqConfig(), 0), trained(Seq2SeqConfig(attention="none"), 0))
    assert [challenge.check(fresh)[0] for challenge in asked.challenges()] == [False] * 3
    assert "20" in asked.long_enough(fresh)[1] and "hard" in asked.by_hard_attention(fresh)[1]
    assert "wanted" in asked.without_attention(fresh)[1]
    learned = lesson(trained(PRESETS["reinforce"], 600))
    assert asked.by_hard_attention(learned)[0]
    assert not asked.without_attention(learned)[0]


def test_scores_have_their_formulas():
    assert tuple(pictures.SCORES_TEX) == SCORES
