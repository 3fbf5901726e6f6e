"""The map of the course: which lesson builds on which, drawn from the registry."""

from __future__ import annotations

from pages.ui.lessons import GROUPS, LESSONS, Lesson
from pages.ui.scene import Figure, Scene
from pages.ui.text import language, t

BOX, TALL, GAP_X, GAP_Y = 168, 58, 40, 48  # units
LANE, ROUND = 14, 9  # how far from a row its lane lies, and the radius of a corner


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
    """From one box to another, round those between: along the lanes between rows and between columns."""
    (x1, y1), (x2, y2) = start, end
    middle = BOX / 2
    if y1 == y2 and x2 - x1 <= BOX + GAP_X:
        way = [(x1 + BOX + 3, y1 + TALL / 2), (x2 - 3, y2 + TALL / 2)]
    elif y1 == y2:
        way = [(x1 + BOX * 0.8, y1), (x1 + BOX * 0.8, y1 - LANE), (x2 + BOX * 0.2, y1 - LANE), (x2 + BOX * 0.2, y2 - 3)]
    else:
        out, into = (
            y1 + TALL + LANE,
            y2 - GAP_Y + LANE,
        )  # the lanes below the row of the one and above that of the other
        between = (x2 if x2 > x1 else x2 + BOX + GAP_X) - GAP_X / 2  # the lane beside the column of the other
        down = [] if out == into else [(between, out), (between, into)]
        way = [(x1 + middle, y1 + TALL), (x1 + middle, out), *down, (x2 + middle, into), (x2 + middle, y2 - 3)]
    figure.path(rounded([*way[:-1], toward(way[-2], way[-1])]), width=1.8)
    figure.line(*toward(way[-2], way[-1]), *way[-1], arrow=True, width=1.8)


def toward(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """A place a little before the end of a line along one of the axes."""
    (x1, y1), (x2, y2) = start, end
    return (x2 - 8 * (x2 > x1), y2 - 8 * (y2 > y1))


def rounded(way: list[tuple[float, float]]) -> str:
    """The SVG path along these places, with round corners; what does not turn passes straight through."""
    parts = [f"M{way[0][0]:g} {way[0][1]:g}"]
    for before, corner, after in zip(way, way[1:], way[2:], strict=False):
        enter, leave = (near(corner, other) for other in (before, after))
        parts.append(f"L{enter[0]:g} {enter[1]:g} Q{corner[0]:g} {corner[1]:g} {leave[0]:g} {leave[1]:g}")
    return " ".join([*parts, f"L{way[-1][0]:g} {way[-1][1]:g}"])


def near(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Where the round corner begins on the way to the other place."""
    (x, y), (x2, y2) = corner, other
    far = abs(x2 - x) + abs(y2 - y)
    reach = min(ROUND, far / 2) / far if far else 0.0
    return (x + (x2 - x) * reach, y + (y2 - y) * reach)


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
