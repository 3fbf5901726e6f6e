"""The questions of every lesson: each experiment runs, and its measurement is an answer that could have been given."""

from importlib import import_module
from math import inf

import pytest

from core.config import Span
from pages.ui import predict
from pages.ui.jobs import Job
from pages.ui.lessons import LESSONS
from pages.ui.predict import start, value_at

QUESTIONS = [
    pytest.param(question, id=f"{lesson.stem}-{question.name}")
    for lesson in LESSONS
    for question in import_module(f"pages.ui.questions_{lesson.stem}").questions()
]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_every_lesson_asks_and_challenges(lesson):
    asked = import_module(f"pages.ui.questions_{lesson.stem}")
    assert 3 <= len(asked.questions()) <= 6
    assert 2 <= len(asked.challenges()) <= 3


# What the explanations say of the answers, whatever else a viewer may see: lesson-question → the answer, and in words → whether it is so.
EXPLAINED = {
    "pooling-places": lambda found, told: (
        "%" in told
        and list(found) == list(range(-4, 5))
        and found[0] > 0.8
        and all(found[place] < 0.75 for place in found if place)
    ),
    "pooling-beside": lambda found, told: "%" in told and found == "max",
    "rnn-start": lambda found, told: found == "orthogonal",
    "self_attention-one_head": lambda found, told: found == "sum",
    "self_attention-shuffle": lambda found, told: found == "same",
    "self_attention-heads": lambda found, told: found[1.0] < found[2.0] < found[4.0],
    "self_attention-causal": lambda found, told: found == pytest.approx(0.5 + 0.5 / 6, abs=0.03),
    "self_attention-redundant": lambda found, told: found < 0.1,
    "self_attention-length": lambda found, told: found[20.0] / found[5.0] < 20 / 5 and max(found.values()) < 100,
}


def test_what_is_explained_is_asked():
    assert EXPLAINED.keys() <= {question.id for question in QUESTIONS}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_measured(question, request):
    job = None
    if question.runs:
        job = Job(question.runs, question.steps, budget=inf)  # the machine of a test may be slow
        while job.running:
            job.advance(1.0)
        assert job.finished
    runs = job.runs if job else {}
    answer = question.measure(runs)
    assert question.shown(runs)
    if question.options:
        assert answer in question.options
    elif question.number:
        limits = question.number.limits
        low, high = (limits.low, limits.high) if isinstance(limits, Span) else (min(limits), max(limits))
        assert low <= answer <= high
    else:
        limits = question.line.limits
        assert all(limits.low <= value_at(answer, place) <= limits.high for place in question.line.at)
    assert question.measure(runs) == answer
    if not question.options:
        begun = (start(predict.limits_of(question)),) * predict.places(question)
        assert not predict.is_right(question, begun if question.line else begun[0], answer), "right without a thought"
    assert EXPLAINED.get(request.node.callspec.id, lambda found, told: True)(answer, question.shown(runs)), answer
