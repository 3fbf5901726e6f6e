"""Pictures of the sequence-to-sequence lesson: where the decoder looks while it writes. Pure functions of config and snapshot."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from core.seq2seq import (
    Examples,
    Seq2SeqConfig,
    as_examples,
    as_words,
    held_out_examples,
    model_of_state,
)
from core.training import Snapshot
from pages.ui.palette import POSITIVE
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

WRONG = "#c4608f"
WIDEST, PAIRED, LARGEST_CELL = 420.0, 280.0, 40.0  # of a map, of one of several side by side, and of a cell
LEFT, TOP, BOTTOM = 92.0, 78.0, 34.0  # room around a map
TAKEN = 0.04  # weights below are not drawn as threads


def example_of(config: Seq2SeqConfig, number: int, text: str = "") -> Examples:
    """A text, or if it is none that fits the held-out example of this number, from 1."""
    if text:
        try:
            return as_examples(config, text)
        except ValueError:
            pass
    return Examples(*(part[:, number - 1 : number] for part in held_out_examples(config)))


class Answer:
    """What a model says to one example, and where it looked."""

    def __init__(self, config: Seq2SeqConfig, snapshot: Snapshot, example: Examples):
        written = model_of_state(config, snapshot.state).write(example)
        self.read, self.wanted = as_words(example.source[:, 0]), as_words(example.target[:, 0])
        self.asked = as_words(example.fed[:, 0]) if config.task == "recall" else None
        self.said = as_words(written.logits.argmax(-1)[:, 0])
        self.weights: Tensor | None = None if written.weights is None else written.weights[0]
        if written.expected is not None:
            self.weights = written.expected[0]

    @property
    def right(self) -> int:
        return sum(said == wanted for said, wanted in zip(self.said, self.wanted, strict=True))

    @property
    def score(self) -> str:
        return t(f"对 {self.right}/{len(self.wanted)}", f"{self.right} of {len(self.wanted)} right")


# ---- maps ------------------------------------------------------------------------------------------------------------


def alignments(
    configs: Mapping[str, Seq2SeqConfig], snapshots: Mapping[str, Snapshot], number: int = 1, text: str = ""
) -> Scene:
    """For each run its map: a row for each token that is written, a column for each that was read. A single run has its
    threads beside it."""
    config = next(iter(configs.values()))
    example = example_of(config, number, text)
    answers = {name: Answer(each, snapshots[name], example) for name, each in configs.items()}
    widest = WIDEST if len(configs) == 1 else PAIRED
    figures = [alignment(answer, term(name), widest) for name, answer in answers.items()]
    if len(configs) == 1 and answers[next(iter(answers))].weights is not None:
        figures.append(threads(next(iter(answers.values()))))
    words = "; ".join(f"{term(name)}: {answer.score}, {focus(answer)}" for name, answer in answers.items())
    read = " ".join(next(iter(answers.values())).read)
    return Scene(
        tuple(figures),
        t(f"注意力的对齐图。读入 {read}。{words}。", f"Alignment maps of the attention. Read: {read}. {words}."),
    )


def focus(answer: Answer) -> str:
    if answer.weights is None:
        return t("没有注意力", "no attention")
    return t(
        f"最大权重平均 {answer.weights.amax(-1).mean():.2f}",
        f"mean largest weight {answer.weights.amax(-1).mean():.2f}",
    )


def alignment(answer: Answer, title: str, widest: float) -> Figure:
    """The map of one run, what was read along its top, what was written down its left side."""
    rows, columns = len(answer.said), len(answer.read)
    cell = min(LARGEST_CELL, widest / max(rows, columns))
    width, height = columns * cell, rows * cell
    drawn = Figure(LEFT + max(width, 230) + 10, TOP + height + BOTTOM)
    drawn.text(title, LEFT, 20, bold=True, size=17)
    drawn.text(answer.score, LEFT + max(width, 230), 20, anchor="end", size=15, ink="muted")
    small = 13.0 if answer.asked is None else min(13.0, max(11.0, 0.75 * cell))  # two maps side by side shrink a little
    size = max(small, min(18.0, cell * (0.72 if answer.asked is None else 0.55)))
    if answer.weights is None:
        drawn.rect(LEFT, TOP, width, height, ink="muted", fill="panel", dash="4 5")
        for line, words in enumerate(t("没有地方可看：|全靠一个状态记住", "Nowhere to look:|one state has to hold it all").split("|")):  # fmt: skip
            y = TOP + height / 2 - 8 + 22 * line
            drawn.text(words, LEFT + width / 2, y, anchor="middle", size=15, ink="muted")
    else:
        drawn.map(
            "weights", answer.weights, LEFT, TOP, width, height, scale="sequential", high=1.0,
            label=t("对齐图", "alignment map"),
        )  # fmt: skip
    for column, token in enumerate(answer.read):
        drawn.text(token, LEFT + (column + 0.5) * cell, TOP - 8, anchor="middle", size=size, bold=True)
    drawn.text(t("读入 →", "reads →"), LEFT, TOP - 32, size=14, ink="muted")
    drawn.text(t("应写", "wanted") if answer.asked is None else t("问", "asked"), 28, TOP - 8, anchor="middle", size=14, ink="muted")  # fmt: skip
    drawn.text(t("写出", "writes"), 74, TOP - 8, anchor="middle", size=14, ink="muted")
    for row, (said, wanted) in enumerate(zip(answer.said, answer.wanted, strict=True)):
        y = TOP + (row + 0.5) * cell + size * 0.36
        before = wanted if answer.asked is None else f"{answer.asked[row]}→{wanted}"
        drawn.text(before, 28, y, anchor="middle", size=size, ink="muted")
        if said != wanted:
            drawn.rect(61, y - size * 0.36 - min(cell, 26) / 2 + 1, 26, min(cell, 26) - 2, ink=WRONG, stroke=2, round=4)
        drawn.text(said, 74, y, anchor="middle", size=size, bold=said == wanted)
    return drawn


def threads(answer: Answer) -> Figure:
    """What was read above, what was written below, and a thread from each written token to where it looked."""
    count = max(len(answer.read), len(answer.said))
    gap = min(44.0, 560.0 / count)
    width, top, bottom = max(330.0, gap * count + 20), 84.0, 340.0
    drawn = Figure(width, bottom + 84)

    def place(index: int, of: int) -> float:
        return width / 2 + (index - (of - 1) / 2) * gap

    drawn.text(t("读入", "reads"), 6, 26, size=14, ink="muted")
    drawn.text(t("写出", "writes"), 6, bottom + 76, size=14, ink="muted")
    columns, rows = len(answer.read), len(answer.said)
    weights = answer.weights if answer.weights is not None else torch.zeros(rows, columns)
    for row, line in enumerate(weights.tolist()):
        for column, weight in enumerate(line):
            if weight >= TAKEN:
                x, y = place(row, rows), place(column, columns)
                middle = (top + bottom) / 2
                d = f"M{x:.1f} {bottom - 16:.1f}C{x:.1f} {middle:.1f} {y:.1f} {middle:.1f} {y:.1f} {top + 16:.1f}"
                drawn.path(d, ink=POSITIVE, width=1 + 4 * weight, opacity=round(0.12 + 0.8 * weight, 2))
    half = min(17.0, gap * 0.46)
    size = max(10.0, min(18.0, gap * (0.62 if answer.asked is None else 0.5)))
    for column, token in enumerate(answer.read):
        drawn.rect(place(column, columns) - half, top - 17, 2 * half, 34, ink="muted", fill="panel", round=5)
        drawn.text(token, place(column, columns), top + size * 0.36, anchor="middle", size=size, bold=True)
    for row, (said, wanted) in enumerate(zip(answer.said, answer.wanted, strict=True)):
        ink = "muted" if said == wanted else WRONG
        drawn.rect(place(row, rows) - half, bottom - 17, 2 * half, 34, ink=ink, fill="panel", round=5, stroke=1.5 if said == wanted else 3)  # fmt: skip
        drawn.text(said, place(row, rows), bottom + size * 0.36, anchor="middle", size=size, bold=True)
        if answer.asked is not None:
            drawn.text(f"{answer.asked[row]}?", place(row, rows), bottom + 38, anchor="middle", size=max(11, size - 2), ink="muted")  # fmt: skip
    return drawn


# ---- formulas --------------------------------------------------------------------------------------------------------

SCORES_TEX = {
    "additive": r"\mathbf v^\top\tanh(W\mathbf h_t+U\mathbf s_u)",
    "dot": r"\mathbf h_t^\top\mathbf s_u",
    "scaled_dot": r"\frac{\mathbf h_t^\top\mathbf s_u}{\sqrt{d}}",
    "bilinear": r"\mathbf h_t^\top W\mathbf s_u",
}


def formula(config: Seq2SeqConfig) -> str:
    """KaTeX: what the decoder computes at each step."""
    if config.attention == "none":
        return r"p(y_u)=\operatorname{softmax}(R\,\mathbf s_u),\qquad \mathbf s_0=\mathbf h_T"
    value = r"V\mathbf h_t" if config.memory == "key_value" else r"\mathbf h_t"
    tex = SCORES_TEX[config.scoring]
    if config.memory == "key_value":
        tex = tex.replace(r"\mathbf h_t^\top", r"(K\mathbf h_t)^\top").replace(r"W\mathbf h_t", r"WK\mathbf h_t")
    tex = tex.replace(r"\sqrt{d}", rf"\sqrt{{{config.hidden}}}")
    context = rf"\sum_t \alpha_{{ut}}\,{value}" if config.attention == "soft" else value.replace("h_t", r"h_{\tau}") + r",\ \ \tau\sim\alpha_u"  # fmt: skip
    return (
        rf"\alpha_{{ut}}={{\underset{{t}}{{\operatorname{{softmax}}}}\Bigl({tex}\Bigr)}}\quad\allowbreak {{\mathbf c_u={context}}}\quad\allowbreak "
        r"{p(y_u)=\operatorname{softmax}(R\,[\mathbf s_u;\mathbf c_u])}"  # in braces: no line ends within
    )
