"""The map of the course: which lesson builds on which, drawn from the registry."""

from __future__ import annotations

from pages.ui.lessons import GROUPS, LESSONS, Lesson
from pages.ui.scene import Figure, Scene
from pages.ui.text import language, t

BOX, TALL, GAP_X, GAP_Y = 168, 58, 40, 44  # units


def draw_map(done: dict[str, float] | None = None) -> Scene:
    """A row for each group, a box for each lesson, an arrow from what it builds on. `done`: share answered by stem."""
    rows = [[lesson for lesson in LESSONS if lesson.group == group] for group in GROUPS]
    rows = [row for row in rows if row]
    places = {
        lesson.stem: (2 + column * (BOX + GAP_X), 26 + i * (TALL + GAP_Y))
        for i, row in enumerate(rows)
        for column, lesson in enumerate(row)
    }
    width = max(len(row) for row in rows) * (BOX + GAP_X) - GAP_X
    figure = Figure(width + 4, len(rows) * (TALL + GAP_Y) + 8)
    for i, row in enumerate(rows):
        figure.text(t(*GROUPS[row[0].group]), 2, 16 + i * (TALL + GAP_Y), size=14, ink="muted")
    for lesson in LESSONS:
        for needed in directly(lesson):
            arrow(figure, places[needed], places[lesson.stem])
    for lesson in LESSONS:
        box(figure, lesson, *places[lesson.stem], share=(done or {}).get(lesson.stem, 0.0))
    chain = "；" if language() == "zh" else "; "
    words = chain.join(
        t(
            f"{lesson.title}建立在{'、'.join(needed_titles(lesson))}之上",
            f"{lesson.title} builds on {', '.join(needed_titles(lesson))}",
        )
        for lesson in LESSONS
        if lesson.builds_on
    )
    return Scene((figure,), t(f"课程地图：{words}。", f"Course map: {words}."))


def directly(lesson: Lesson) -> list[str]:
    """What a lesson builds on, without what one of these builds on in turn: fewer arrows say the same."""
    needed = {stem for stem in lesson.builds_on if stem in {other.stem for other in LESSONS}}
    return [stem for stem in lesson.builds_on if stem in needed and not any(stem in below(other) for other in needed)]


def below(stem: str) -> set[str]:
    """All that a lesson builds on, directly or not."""
    direct = {needed for lesson in LESSONS if lesson.stem == stem for needed in lesson.builds_on}
    return direct.union(*map(below, direct))


def needed_titles(lesson: Lesson) -> list[str]:
    return [other.title for other in LESSONS if other.stem in lesson.builds_on]


def arrow(figure: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    (x1, y1), (x2, y2) = start, end
    if y1 != y2:
        x1, y1, x2 = x1 + BOX / 2, y1 + TALL, x2 + BOX / 2
        middle = (y1 + y2) / 2
        figure.path(f"M{x1} {y1} C{x1} {middle} {x2} {middle} {x2} {y2 - 8}", width=1.8)
        figure.line(x2, y2 - 9, x2, y2 - 2, arrow=True, width=1.8)
    elif x2 - x1 <= BOX + GAP_X:
        figure.line(x1 + BOX + 3, y1 + TALL / 2, x2 - 3, y2 + TALL / 2, arrow=True, width=1.8)
    else:  # over the boxes between
        x1, x2 = x1 + BOX * 0.8, x2 + BOX * 0.2
        figure.path(f"M{x1} {y1} C{x1 + 20} {y1 - 22} {x2 - 20} {y1 - 22} {x2} {y1 - 6}", width=1.8)
        figure.line(x2 - 3, y1 - 9, x2, y1 - 2, arrow=True, width=1.8)


def box(figure: Figure, lesson: Lesson, x: float, y: float, share: float) -> None:
    figure.rect(x, y, BOX, TALL, ink="none", fill="background", stroke=0, round=9)  # arrows pass behind it
    if share > 0:
        figure.rect(x, y + TALL - 5, BOX * share, 5, ink="none", fill="primary", round=2)
    lines = wrap(lesson.title)
    for i, line in enumerate(lines):
        figure.text(
            line, x + BOX / 2, y + TALL / 2 + 6 + (i - (len(lines) - 1) / 2) * 20, size=16, anchor="middle", bold=True
        )
    figure.rect(x, y, BOX, TALL, ink="muted", fill="primary", opacity=0.08, round=9, go=lesson.stem, label=lesson.title)


def wrap(title: str) -> list[str]:
    """A title on one line, or on two where it is long."""
    words = title.split()
    if len(title) <= 18 or len(words) < 2:
        return [title]
    cut = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(" ".join(words[i:]))))
    return [" ".join(words[:cut]), " ".join(words[cut:])]
