"""The pictures of the self-attention lesson: (config, snapshot) → Scene, and the chart of what attention costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import pandas as pd
import torch
from torch import Tensor

from core.self_attention import (
    HeadsTrace,
    SelfAttentionConfig,
    Shuffled,
    accuracy_of_each,
    accuracy_without,
    answers_of,
    attention_products,
    held_out_tokens,
    look,
    rnn_products,
    rnn_width,
    shuffled,
    symbols_of,
)
from core.training import Snapshot
from pages.ui.palette import SERIES
from pages.ui.scene import Figure, Link, Scene
from pages.ui.text import t

ROW = 26.0  # units from one symbol to the next where they stand in a column …
TOP = 66.0  # … and above the first of them
WEB, WEB_LEFT, WEB_RIGHT = 330.0, 36.0, 164.0  # the web of lines: its width, and where its two columns stand
MAP_LEFT, MAP_TOP, MAP_SIDE = 30.0, 66.0, 244.0  # of the large map
THUMBS, THUMB_STEP = 640.0, 112.0  # the width of the small maps of all heads, and from one to the next at most
FAINT = 0.03  # a line of less weight is not drawn
QUIET = 0.5  # how strong the lines of the other positions are
LENGTHS = (8, 16, 32, 64, 128, 256, 512)  # at which costs are compared


def symbol(config: SelfAttentionConfig, number: int) -> str:
    """A symbol of the sequences as it is written."""
    return symbols_of(config.task)[number]


def answer_word(config: SelfAttentionConfig, number: int) -> str:
    """A class as it is written: a symbol, or of "brackets" a place, counted from 1."""
    return str(number + 1) if config.task == "brackets" else symbol(config, number)


# ---- all heads, and one of them --------------------------------------------------------------------------------------


def attending(
    config: SelfAttentionConfig,
    snapshot: Snapshot,
    tokens: Tensor,
    layer: int,
    head: int,
    place: int,
    silent: Sequence[tuple[int, int]] = (),
) -> Scene:
    """A sequence (T,) and who attends to whom: one head as a web and as a map, all heads as small maps.

    Args:
        layer, head: the one in detail, counted from 0.
        place: the position whose lines stand out.
        silent: (layer, head) pairs that are switched off.
    """
    trace = look(config, snapshot.state, tokens[None], silent)
    weights = trace.layers[layer].heads.weights[0, head]
    answers, wanted = trace.scores[0].argmax(-1), answers_of(config.task, tokens[None])[0]
    name = head_name(config, layer, head)
    right = int((answers == wanted).sum())
    return Scene(
        (
            web(config, tokens, weights, answers, wanted, place),
            weight_map(config, tokens, weights, name, place),
            thumbnails(config, [each.heads for each in trace.layers], layer, head, silent),
        ),
        t(
            f"{name}：第 {place + 1} 个位置最注意第 {int(weights[place].argmax()) + 1} 个；{len(tokens)} 个答案里 {right} 个对",
            f"{name}: place {place + 1} attends most to place {int(weights[place].argmax()) + 1}; {right} of {len(tokens)} answers are right",
        ),
    )


def head_name(config: SelfAttentionConfig, layer: int, head: int) -> str:
    """Which head, in words; the layer where there are several."""
    if config.layers == 1:
        return t(f"第 {head + 1} 头", f"Head {head + 1}")
    return t(f"第 {layer + 1} 层第 {head + 1} 头", f"Layer {layer + 1}, head {head + 1}")


def web(
    config: SelfAttentionConfig, tokens: Tensor, weights: Tensor, answers: Tensor, wanted: Tensor, place: int
) -> Figure:
    """Every position on the left, what it attends to on the right, the stronger the darker; then the answers."""
    length = len(tokens)
    figure = Figure(WEB, TOP + ROW * length)
    figure.text(t("谁注意谁", "Who attends to whom"), 0, 16, bold=True)
    for x, word in ((WEB_LEFT, t("查询", "query")), (WEB_RIGHT, t("键", "key")), (WEB_RIGHT + 62, t("答案", "answer"))):
        figure.text(word, x, 44, size=14, anchor="middle", ink="muted")
    middle = (WEB_LEFT + WEB_RIGHT) / 2
    for row in sorted(range(length), key=lambda each: each == place):
        for column, weight in enumerate(weights[row].tolist()):
            if weight >= FAINT:
                y, other = y_of(row), y_of(column)
                figure.path(
                    f"M{WEB_LEFT + 15:g} {y:g}C{middle:g} {y:g} {middle:g} {other:g} {WEB_RIGHT - 15:g} {other:g}",
                    ink="primary" if row == place else "muted",
                    width=round(0.8 + 3.2 * weight, 2),
                    opacity=round(min(1.0, 0.25 + weight) if row == place else QUIET * weight, 3),
                )
    figure.rect(WEB_LEFT - 14, y_of(place) - 13, 28, 26, ink="primary", stroke=2.5, round=6)
    for row, number in enumerate(tokens.tolist()):
        for x in (WEB_LEFT, WEB_RIGHT):
            figure.text(symbol(config, number), x, y_of(row) + 6, size=17, anchor="middle", mono=True)
        figure.text(str(row + 1), 4, y_of(row) + 5, size=13, ink="muted")
        right = bool(answers[row] == wanted[row])
        shown = answer_word(config, int(answers[row]))
        figure.text(shown, WEB_RIGHT + 62, y_of(row) + 6, size=17, anchor="middle", mono=True, bold=right)
        mark = "✓" if right else t(f"✗ 应为 {answer_word(config, int(wanted[row]))}", f"✗ wanted {answer_word(config, int(wanted[row]))}")  # fmt: skip
        figure.text(mark, WEB_RIGHT + 80, y_of(row) + 6, size=14, ink="muted" if right else "orange")
    return figure


def y_of(row: int) -> float:
    return TOP + ROW * row


def weight_map(config: SelfAttentionConfig, tokens: Tensor, weights: Tensor, name: str, place: int) -> Figure:
    """The weights of one head with the symbols along the edges; a click on a row looks at that position."""
    length = len(tokens)
    cell = MAP_SIDE / length
    figure = Figure(MAP_LEFT + MAP_SIDE + 4, MAP_TOP + MAP_SIDE + 30)
    figure.text(t(f"{name}的注意力权重", f"{name}: attention weights"), 0, 16, bold=True)
    figure.map(
        "weights", weights, MAP_LEFT, MAP_TOP, MAP_SIDE, scale="sequential", high=1.0, pick=True, numbers=length <= 6,
        label=t("注意力权重：行问，列答", "attention weights: rows ask, columns are asked"),
    )  # fmt: skip
    size = min(16.0, cell)
    for at, number in enumerate(tokens.tolist()):
        centre = cell * (at + 0.5)
        figure.text(symbol(config, number), MAP_LEFT + centre, MAP_TOP - 8, size=size, anchor="middle", mono=True)
        figure.text(symbol(config, number), MAP_LEFT - 14, MAP_TOP + centre + size / 3, size=size, anchor="middle", mono=True)  # fmt: skip
    figure.rect(MAP_LEFT, MAP_TOP + cell * place, MAP_SIDE, cell, ink="primary", stroke=2.5)
    figure.text(t("行：谁在问；列：问谁。每行加起来是 1。", "Rows ask, columns are asked; a row adds up to 1."), 0, MAP_TOP + MAP_SIDE + 24, size=14, ink="muted")  # fmt: skip
    return figure


def thumbnails(
    config: SelfAttentionConfig, layers: Sequence[HeadsTrace], layer: int, head: int, silent: Sequence[tuple[int, int]]
) -> Figure:
    """All heads, a row for each layer; a click on one shows it in detail."""
    heads = config.heads
    step = min(THUMB_STEP, THUMBS / heads)
    side, left = step - 12, 3.0
    figure = Figure(max(left + step * heads, 300.0), 62 + (step + 16) * len(layers))
    figure.text(t("所有的头", "All heads"), 0, 16, bold=True)
    figure.text(t("点一个看细节", "Click one for its detail"), 0, 40, size=14, ink="muted")
    for row, trace in enumerate(layers):
        y = 56 + (step + 16) * row
        figure.maps(
            f"layer{row + 1}_", trace.weights[0], left, y, side, step=step, across=heads, scale="sequential", high=1.0,
            label=t(f"第 {row + 1} 层的头", f"layer {row + 1}, head"),
        )  # fmt: skip
        for column in range(heads):
            x, chosen, off = left + step * column, (row, column) == (layer, head), (row, column) in silent
            figure.rect(
                x - 2, y - 2, side + 4, side + 4, ink="primary" if chosen else "muted", stroke=3 if chosen else 0.8,
                round=3, hatch=off, go=f"{row},{column}", label=head_name(config, row, column),
            )  # fmt: skip
            figure.text(str(column + 1), x + side / 2, y + side + 18, size=13, anchor="middle", ink="muted")
    return figure


# ---- step by step ----------------------------------------------------------------------------------------------------

STEP_TOP, STEP_CELL = 46.0, 15.0


def steps(config: SelfAttentionConfig, snapshot: Snapshot, tokens: Tensor, layer: int, head: int) -> Scene:
    """One head on its way from the input to what it hands on: Q, Kᵀ, scores, weights, V and their product, with sizes."""
    trace = look(config, snapshot.state, tokens[None]).layers[layer]
    found = trace.heads
    length, size = len(tokens), config.width // config.heads
    query, key, value, scores, weights, mixed = (
        getattr(found, name)[0, head] for name in ("query", "key", "value", "scores", "weights", "mixed")
    )
    row_of = lambda name, width: Link(name, 0, 0, 1, 0, 1, width)  # noqa: E731
    to_query, to_key = row_of("Q", size), Link("K", 0, 0, 0, 1, size, 1)
    return Scene(
        (
            stage("X", trace.before[0], t(f"输入 {length}×{config.width}", f"input {length}×{config.width}"), wide=150),
            stage("Q", query, t(f"查询 {length}×{size}", f"queries {length}×{size}")),
            stage("K", key.T, t(f"键的转置 {size}×{length}", f"keys, transposed {size}×{length}"), before="·"),
            stage("S", scores, t(f"得分 {length}×{length}", f"scores {length}×{length}"), before="→", links=(to_query, to_key)),
            stage("A", weights, t("逐行 softmax", "softmax of each row"), before="→", scale="sequential", links=(row_of("Z", size), to_query)),
            stage("V", value, t(f"值 {length}×{size}", f"values {length}×{size}"), before="·"),
            stage("Z", mixed, t(f"输出 {length}×{size}", f"output {length}×{size}"), before="=", links=(row_of("A", length),)),
        ),
        t(
            f"{head_name(config, layer, head)}逐步计算：查询、键、得分、权重、值、输出",
            f"{head_name(config, layer, head)} step by step: queries, keys, scores, weights, values, output",
        ),
    )  # fmt: skip


def stage(
    name: str,
    values: Tensor,
    words: str,
    before: str = "",
    scale: str = "diverging",
    wide: float = 0.0,
    links: tuple = (),
) -> Figure:
    """One matrix with its letter and size; `before` is the sign between it and the one before."""
    rows, columns = values.shape
    cell = min(STEP_CELL, 240 / max(rows, columns))
    width = wide or cell * columns
    left = 30.0 if before else 0.0
    figure = Figure(max(left + width, left + 8.2 * len(words)) + 6, STEP_TOP + 300)
    letter = {"K": "Kᵀ", "S": "QKᵀ / √d", "A": "A"}.get(name, name)
    figure.text(letter, left, 16, bold=True)
    figure.text(words, left, 36, size=14, ink="muted")
    if before:
        figure.text(before, 8, STEP_TOP + 60, size=22, anchor="middle", ink="muted")
    high = 1.0 if scale == "sequential" else None
    figure.map(
        name,
        values,
        left,
        STEP_TOP,
        width,
        cell * rows,
        scale=scale,
        high=high,
        links=links,
        label=f"{letter}: {words}",
    )
    figure.height = STEP_TOP + cell * rows + 12
    return figure


# ---- heads switched off ----------------------------------------------------------------------------------------------

BAR_LEFT, BAR_WIDTH, BAR_ROW = 190.0, 380.0, 28.0


def missed(config: SelfAttentionConfig, snapshot: Snapshot) -> Scene:
    """The accuracy on held-out sequences with all heads, and without each of them: measured with these weights."""
    rows = [(t("所有的头", "All heads"), accuracy_without(config, snapshot.state))]
    for (layer, head), accuracy in accuracy_of_each(config, snapshot.state).items():
        name = head_name(config, layer, head)
        rows.append((t(f"没有{name}", f"Without {name[0].lower()}{name[1:]}"), accuracy))
    figure = Figure(BAR_LEFT + BAR_WIDTH + 80, 8 + BAR_ROW * len(rows))
    for number, (name, accuracy) in enumerate(rows):
        y = 4 + BAR_ROW * number
        figure.text(name, 0, y + 17, size=15, bold=number == 0)
        figure.rect(BAR_LEFT, y + 3, BAR_WIDTH, 18, ink="muted", stroke=0.8)
        figure.rect(
            BAR_LEFT, y + 3, BAR_WIDTH * accuracy, 18, ink="none", fill=SERIES[0] if number else SERIES[2], stroke=0
        )
        figure.text(f"{accuracy:.1%}", BAR_LEFT + BAR_WIDTH + 10, y + 18, size=15, bold=number == 0)
    figure.line(BAR_LEFT + BAR_WIDTH * rows[0][1], 2, BAR_LEFT + BAR_WIDTH * rows[0][1], 6 + BAR_ROW * len(rows), dash="4 3")  # fmt: skip
    return Scene((figure,), t("去掉每个头之后的准确率", "Accuracy without each of the heads"))


def without_in_words(config: SelfAttentionConfig, snapshot: Snapshot, silent: Sequence[tuple[int, int]]) -> str:
    """The accuracy with all heads and with these switched off, measured with these weights."""
    whole, left = accuracy_without(config, snapshot.state), accuracy_without(config, snapshot.state, silent)
    return t(
        f"第 {snapshot.step} 步的权重，256 个测试序列：关掉 {len(silent)} 个头后准确率 **{left:.1%}**，都开着 {whole:.1%}。",
        f"Weights of step {snapshot.step}, 256 held-out sequences: accuracy **{left:.1%}** with {len(silent)} off, {whole:.1%} with all on.",
    )


# ---- the permutation test --------------------------------------------------------------------------------------------

TOKEN = 34.0


def permutation(config: SelfAttentionConfig, snapshot: Snapshot, tokens: Tensor, seed: int) -> tuple[Scene, Shuffled]:
    """The sequence as it is and shuffled, both with their answers, each symbol tied to where it has gone."""
    found = shuffled(config, snapshot.state, tokens, seed)
    length, left = len(tokens), 150.0
    figure = Figure(left + TOKEN * length + 4, 204)
    moved = tokens[found.order].tolist()
    in_moved_order = found.moved[found.order].tolist()
    rows = (
        (t("原来的答案", "answers as it is"), found.answers.tolist(), 22.0),
        (t("原序列", "the sequence"), tokens.tolist(), 58.0),
        (t("打乱之后", "shuffled"), moved, 158.0),
        (t("打乱后的答案", "answers, shuffled"), in_moved_order, 194.0),
    )
    for to, source in enumerate(found.order):
        same = bool(found.answers[source] == found.moved[source])
        x, y = left + TOKEN * (source + 0.5), left + TOKEN * (to + 0.5)
        figure.path(
            f"M{x:g} 68C{x:g} 102 {y:g} 102 {y:g} 138", ink="muted" if same else "orange", width=1.5 if same else 2.5,
            dash=None if same else "5 3",
        )  # fmt: skip
    for number, (name, row, y) in enumerate(rows):
        figure.text(name, 0, y, size=15, ink="muted")
        for at, each in enumerate(row):
            asked = number in (1, 2)
            shown = symbol(config, each) if asked else answer_word(config, each)
            source = at if number < 2 else found.order[at]
            wrong = not asked and found.answers[source] != found.moved[source]
            figure.text(
                shown, left + TOKEN * (at + 0.5), y, size=18, anchor="middle", mono=True, bold=not asked,
                ink="orange" if wrong else "text",
            )  # fmt: skip
    changed = int((found.answers != found.moved).sum())
    scene = Scene(
        (figure,),
        t(f"打乱输入之后，{length} 个答案里 {changed} 个变了", f"After shuffling the input {changed} of {length} answers have changed"),
    )  # fmt: skip
    return scene, found


# ---- what it costs ---------------------------------------------------------------------------------------------------


def cost_chart(config: SelfAttentionConfig, measured: Mapping[str, Sequence[float]] | None = None) -> alt.Chart:
    """Multiplications against the length, or the measured milliseconds, of self-attention and of a recurrent layer."""
    names = {"attention": t("自注意力", "self-attention"), "rnn": t("循环层", "recurrent layer")}
    hidden = rnn_width(config)
    if measured is None:
        title, form = t("乘法次数", "Multiplications"), "~s"
        values = {
            "attention": [attention_products(length, config.width) for length in LENGTHS],
            "rnn": [rnn_products(length, config.width, hidden) for length in LENGTHS],
        }
    else:
        title, form = t("实测时间（毫秒）", "Measured time (ms)"), "~g"
        values = {name: [1000 * each for each in row] for name, row in measured.items()}
    rows = pd.DataFrame(
        [
            (length, value, names[name])
            for name, row in values.items()
            for length, value in zip(LENGTHS, row, strict=True)
        ],
        columns=["length", "value", "which"],
    )
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolSize=500, symbolStrokeWidth=2.5)
    domain = list(names.values())
    return (
        alt.Chart(rows)
        .mark_line(point={"size": 60}, strokeWidth=2.4)
        .encode(
            x=alt.X("length:Q", title=t("序列长度", "sequence length"), scale=alt.Scale(type="log", base=2), axis=alt.Axis(values=list(LENGTHS), grid=False)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(type="log"), axis=alt.Axis(format=form, tickCount=5, grid=False)),
            color=alt.Color("which:N", scale=alt.Scale(domain=domain, range=list(SERIES[:2])), legend=legend),
            strokeDash=alt.StrokeDash("which:N", scale=alt.Scale(domain=domain, range=[[1, 0], [6, 4]]), legend=legend),
            tooltip=[alt.Tooltip("which:N", title=" "), alt.Tooltip("length:Q", title=t("长度", "length")), alt.Tooltip("value:Q", title=title, format=".3~s" if measured is None else ".3~g")],
        )
        .properties(height=300, title=alt.TitleParams(title, anchor="start", fontSize=16))
    )  # fmt: skip


def layer_table(config: SelfAttentionConfig) -> str:
    """Markdown: self-attention beside a recurrent layer of the same size."""
    hidden = rnn_width(config)
    length, width = config.length, config.width
    heads = (
        t("", ""),
        t("自注意力", "self-attention"),
        t(f"循环层，{hidden} 个隐藏单元", f"recurrent layer, {hidden} units"),
    )
    counts = 4 * width * width + 4 * width, hidden * (width + hidden + 2)
    products = attention_products(length, width), rnn_products(length, width, hidden)
    lines = [
        f"| {' | '.join(heads)} |",
        "|:--|--:|--:|",
        f"| {t('参数', 'Parameters')} | {counts[0]:,} | {counts[1]:,} |",
        f"| {t(f'乘法，长度 {length}', f'Multiplications, length {length}')} | {products[0]:,} | {products[1]:,} |",
        f"| {t('一个接一个的步数', 'Steps one after the other')} | 1 | {length} |",
        f"| {t('相距最远的两个位置之间的步数', 'Steps between the two ends')} | 1 | {length - 1} |",
    ]
    return "\n".join(lines)


def chance(config: SelfAttentionConfig) -> float:
    """The accuracy of guessing blindly."""
    return 1 / len(symbols_of(config.task)) if config.task != "brackets" else 1 / config.length


def shape_formula(config: SelfAttentionConfig) -> str:
    """KaTeX: the formula of a head, with the sizes of this config below."""
    T, d, D, K = config.length, config.width // config.heads, config.width, config.heads
    return (
        rf"\operatorname{{softmax}}\!\Big(\underset{{{T}\times{d}}}{{Q_k}}\;\underset{{{d}\times{T}}}{{K_k^\top}}\,/\sqrt{{{d}}}\Big)\,"
        rf"\underset{{{T}\times{d}}}{{V_k}} = {{Z_k,\ \ k = 1\dots{K},}}\qquad\allowbreak "
        rf"{{\underset{{{T}\times{D}}}{{[\,Z_1 \dots Z_{{{K}}}\,]}}\;W_O}}"  # in braces: no line ends within
    )


def example(config: SelfAttentionConfig, number: int) -> Tensor:
    """A held-out sequence (T,)."""
    return held_out_tokens(config.task, config.length)[number]


def written(config: SelfAttentionConfig, tokens: Tensor) -> str:
    return "".join(symbol(config, number) for number in tokens.tolist())


def first_step(
    config: SelfAttentionConfig, snapshot: Snapshot, tokens: Tensor, layer: int, head: int, place: int
) -> str:
    """KaTeX: the weights of one position, the three largest, and what they add up to."""
    weights = look(config, snapshot.state, tokens[None]).layers[layer].heads.weights[0, head, place]
    largest = torch.topk(weights, min(3, len(tokens)))
    parts = [
        rf"{weight:.2f}\,\mathbf v_{{{asked + 1}}}"
        for weight, asked in zip(largest.values.tolist(), largest.indices.tolist(), strict=True)
    ]
    rest = 1 - largest.values.sum().item()
    return rf"\mathbf z_{{{place + 1}}} = {' + '.join(parts)}" + (r" + \dots" if rest > 0.005 else "")
