"""Self-attention: every position asks all positions of the same sequence, in several heads at once."""

import time
from functools import partial

import streamlit as st

from core.self_attention import (
    PRESETS,
    SelfAttentionConfig,
    TokensError,
    measure_cost,
    rnn_width,
    symbols_of,
    tokens_from,
)
from pages.ui import challenges, lesson, predict, scene, turns
from pages.ui import pictures_self_attention as pictures
from pages.ui import questions_self_attention as asked
from pages.ui.charts import readable
from pages.ui.controls import WIDE_ROOM
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t


def explain(error: ValueError) -> str:
    """Only brackets ask for something of the length."""
    return t("括号要成对：长度要是偶数。", "Brackets come in pairs: the length must be even.")


def explain_tokens(error: TokensError) -> str:
    """What is wrong with a sequence that somebody has written."""
    if error.kind == "symbol":
        return t(f"“{error.value}”不是这个任务的符号：只用 {symbols_of(config.task)}。", f"“{error.value}” is no symbol of this task: use {symbols_of(config.task)} only.")  # fmt: skip
    if error.kind == "length":
        return t(f"写了 {error.value} 个符号，要 {config.length} 个。", f"{error.value} symbols are written, {config.length} are needed.")  # fmt: skip
    return t("括号不配对。", "The brackets are not balanced.")


def look_at(clicked: object) -> None:
    """A click on a small map chooses its head, one on a row of the large map its position."""
    if isinstance(clicked, str):
        row, column = map(int, clicked.split(","))
        controls.put(layer=row + 1, head=column + 1)
    elif clicked[0] == "weights":
        controls.put(place=clicked[1] + 1)


def measure(config: SelfAttentionConfig) -> None:
    """From the button: times a pass at every length, while nobody trains."""
    with turns.TURNS.slice(alive=lambda: None):
        found = measure_cost(config.width, config.heads, rnn_width(config), pictures.LENGTHS, time.thread_time)
    st.session_state.setdefault("self_attention_cost", {})[config.width, config.heads] = found


controls = lesson.begin("self_attention", SelfAttentionConfig())
controls.view("example", 1, range(1, 257))
controls.view("tokens", "")
controls.view("layer", 1, range(1, 4))
controls.view("head", 1, range(1, 9))
controls.view("place", 5, range(1, 21))
controls.view("silent", (), range(1, 25))
controls.view("closer", "steps", ("steps", "heads", "shuffle", "cost"))
controls.view("shuffle", 1, range(1, 21))
formula = st.container()
lesson.presets(
    controls,
    {
        "difference": Preset(t("差", "Difference"), PRESETS["difference"], t("每个位置要答：前 1 个数减前 3 个数，模 6。四个头约 550 步 99%（种子 0）。", "Every place is asked for the digit one place before minus the one three before, modulo 6. Four heads: 99% after about 550 steps (seed 0).")),
        "two_heads": Preset(t("两个头", "Two heads"), PRESETS["two_heads"], t("两次查找，两个头刚好：能学，但慢，1,024 步还不到 95%（种子 0）。", "Two lookups and just two heads: it learns, but slowly: still below 95% after 1,024 steps (seed 0).")),
        "sum": Preset(t("和，一个头", "Sum, one head"), PRESETS["sum"], t("和不分先后：一个头平均两个位置就够，约 450 步 99%（种子 0）。", "A sum does not ask which is which: one head may average both places. 99% after about 450 steps (seed 0).")),
        "reverse": Preset(t("倒序", "Reverse"), PRESETS["reverse"], t("一次查找，一个头：28 步 99%（种子 0）。反对角线几乎立刻出现。", "One lookup, one head: 99% after 28 steps (seed 0). The anti-diagonal is there almost at once.")),
        "sort": Preset(t("排序", "Sort"), PRESETS["sort"], t("数一数每个符号有几个，就知道第几位该是谁：128 步 99%（种子 0）。", "Count the symbols, and each place knows whose turn it is: 99% after 128 steps (seed 0).")),
        "brackets": Preset(t("括号", "Brackets"), PRESETS["brackets"], t("每个括号指出它的另一半。两层各四头：约 300 步 99%（种子 0）。", "Every bracket points at its other half. Two layers of four heads: 99% after about 300 steps (seed 0).")),
        "one_head": Preset(t("只有一个头", "One head"), PRESETS["one_head"], t("一个头只能平均：分不清谁减谁，1,024 步才约 30%（种子 0）。", "One head can only average, and cannot tell which is subtracted: about 30% after 1,024 steps (seed 0)."), breaks=True),
        "no_positions": Preset(t("没有位置", "No positions"), PRESETS["no_positions"], t("没有位置编码，“前一个”没有意义：1,024 步约 20%，瞎猜是 17%（种子 0）。", "Without positions “one before” means nothing: about 20% after 1,024 steps, where guessing gives 17% (seed 0)."), breaks=True),
        "causal_reverse": Preset(t("看不到后面", "No looking ahead"), PRESETS["causal_reverse"], t("倒序的前一半要看还没来的符号：停在 58%（种子 0）。", "The first half of a reversal asks for symbols that are yet to come: it stays at 58% (seed 0)."), breaks=True),
        "no_feed_forward": Preset(t("没有全连接层", "No feed-forward"), PRESETS["no_feed_forward"], t("注意力只会搬运和平均；模 6 的差不是线性的：1,024 步约 70%（种子 0）。", "Attention moves and averages; a difference modulo 6 is not linear: about 70% after 1,024 steps (seed 0)."), breaks=True),
        "too_fast": Preset(t("太快", "Too fast"), PRESETS["too_fast"], t("学习率 0.1：1,024 步后 16%，与瞎猜一样（种子 0）。", "Learning rate 0.1: 16% after 1,024 steps, no better than guessing (seed 0)."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(5, 2)
with side:
    controls.choice(
        "task",
        t("任务", "Task"),
        {
            "difference": t("差：前 1 − 前 3", "x[t−1] − x[t−3]"),
            "sum": t("和：前 1 + 前 3", "x[t−1] + x[t−3]"),
            "reverse": t("倒序", "Reverse"),
            "sort": t("排序", "Sort"),
            "brackets": t("括号配对", "Matching brackets"),
        },
    )
    controls.slider("length", t("序列长度", "Sequence length"))
    heads = controls.choice("heads", t("头数", "Heads"), {number: str(number) for number in (1, 2, 4, 8)})
    controls.choice("width", t("宽度", "Width"), {number: str(number) for number in (8, 16, 32, 64)}, help=t("每个位置有几个数；各头平分。", "Features of a position; the heads share them out."))  # fmt: skip
    controls.choice("positions", t("位置编码", "Positions"), {"learned": t("学习", "learned"), "sinusoidal": t("正弦", "sines"), "none": t("无", "none")})  # fmt: skip
    controls.toggle(
        "causal",
        t("因果掩码", "Causal mask"),
        help=t("每个位置只看自己和前面的。", "A position sees itself and earlier ones only."),
    )
    controls.slider("layers", t("层数", "Layers"))
    controls.toggle(
        "feed_forward",
        t("全连接层", "Feed-forward"),
        help=t("注意力之后，每个位置各自经过的两层。", "Two layers after the attention, at every position by itself."),
    )
    message = st.container()
panel = st.container()
with message:
    config = lesson.config(controls, explain)
with formula:
    st.latex(pictures.shape_formula(config))

layer, head = min(controls.value("layer"), config.layers) - 1, min(controls.value("head"), config.heads) - 1
place = min(controls.value("place"), config.length) - 1
pairs = [(row, column) for row in range(config.layers) for column in range(config.heads)]
silent = tuple(pairs[number - 1] for number in controls.value("silent") if number <= len(pairs))
live = Live(controls, {"transformer": config})
with picture:
    above = st.container()
    first, second, third = st.columns([2, 2, 3], vertical_alignment="bottom")
    with first:
        number = controls.slider("example", t("测试序列", "Held-out sequence"))
    with second:
        controls.slider("place", t("看哪个位置", "Position to watch"))
    with third:
        tokens = pictures.example(config, number - 1)
        shown = controls.text("tokens", t("或写一个自己的序列", "Or a sequence of your own"), placeholder=pictures.written(config, tokens))  # fmt: skip
        wrong = ""
        if shown:
            try:
                tokens = tokens_from(config, shown)
            except TokensError as error:
                wrong = explain_tokens(error)
    symbols = symbols_of(config.task)
    note = wrong or t(f"自己的序列：{config.length} 个符号，只用 {symbols}。", f"A sequence of your own: {config.length} symbols of {symbols}.")  # fmt: skip
    note = note.translate({ord(bracket): f"\\{bracket}" for bracket in "[]"})
    st.caption(
        f":orange[:material/edit: {note}]" if wrong else note
    )  # always one line: nothing moves when it turns orange
    with above:
        live.picture(partial(pictures.attending, tokens=tokens, layer=layer, head=head, place=place, silent=silent), on_click=look_at)  # fmt: skip
    names = {number: pictures.head_name(config, *pair) for number, pair in enumerate(pairs, start=1)}
    controls.several("silent", t("关掉哪些头（不重新训练）", "Heads to switch off (without training again)"), names)
    if silent:
        st.caption(pictures.without_in_words(config, live.snapshot(), silent))
lesson.heading("看得更细", "A closer look")
closer = controls.choice(
    "closer",
    t("看什么", "Look at"),
    {
        "steps": t("一个头的每一步", "One head, step by step"),
        "heads": t("少一个头", "Without a head"),
        "shuffle": t("打乱输入", "Shuffle the input"),
        "cost": t("代价", "What it costs"),
    },
    room=WIDE_ROOM,
)
name = pictures.head_name(config, layer, head)
if closer == "steps":
    st.caption(t(f"{name}。指着得分的一格：它是 Q 的一行与 Kᵀ 的一列之积。", f"{name}. Point at a score: it is the product of a row of Q and a column of Kᵀ."))  # fmt: skip
    live.picture(partial(pictures.steps, tokens=tokens, layer=layer, head=head))
    st.latex(pictures.first_step(config, live.snapshot(), tokens, layer, head, place))
elif closer == "heads":
    st.caption(t(f"第 {live.snapshot().step} 步的权重，在 256 个测试序列上重新测量；训练时暂停即更新。", f"Measured anew on 256 held-out sequences with the weights of step {live.snapshot().step}; while it trains, Pause measures again."))  # fmt: skip
    scene.show(pictures.missed(config, live.snapshot()), key="self_attention_missed")
elif closer == "shuffle":
    controls.slider("shuffle", t("哪一种打乱", "Which shuffle"))
    drawn, found = pictures.permutation(config, live.snapshot(), tokens, controls.value("shuffle"))
    scene.show(drawn, key="self_attention_shuffled")
    st.markdown(
        t(
            f"每个答案跟着它的符号走，得分最多相差 **{found.gap:.2g}**。" + ("没有位置编码，也没有掩码：打乱输入，输出就照样打乱（置换等变），只差舍入误差。" if config.positions == "none" and not config.causal else "位置编码或掩码让顺序有了意义：答案变了。"),
            f"Each answer is compared where its symbol has gone; a score differs by at most **{found.gap:.2g}**. " + ("Without positions and without a mask the output is shuffled just as the input is (permutation equivariance), up to rounding." if config.positions == "none" and not config.causal else "Positions, or the mask, give the order a meaning: answers change."),
        )
    )  # fmt: skip
else:
    left, right = st.columns(2, gap="medium")
    left.altair_chart(readable(pictures.cost_chart(config)), alt=t("乘法次数随序列长度：自注意力按平方增长", "Multiplications against length: self-attention grows with the square"))  # fmt: skip
    measured = st.session_state.get("self_attention_cost", {}).get((config.width, config.heads))
    if measured is None:
        right.caption(t("这里的时间要测。", "Times are measured here, on this server."))
        right.button(t("测一测", "Measure"), key="self_attention_measure", icon=":material/timer:", on_click=measure, args=(config,))  # fmt: skip
    else:
        right.altair_chart(readable(pictures.cost_chart(config, measured)), alt=t("实测时间随序列长度", "Measured time against length"))  # fmt: skip
    st.markdown(pictures.layer_table(config))
    st.caption(t("循环层的参数与自注意力最接近。它的乘法更少，序列越长少得越多，但要一步接一步地做。", "The recurrent layer that is nearest in parameters. It multiplies less, the more so the longer the sequence, but one step after the other."))  # fmt: skip

with panel:
    live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("**“自”是同一个序列。** 查询、键、值都来自它；学的是投影，权重对每个输入当场算出。", "**“Self” means the same sequence.** Queries, keys and values all come from it; the projections are learned, the weights are computed anew for every input."),
    t("**一个头只会做一次平均。** 要分清两次查找谁是谁，就要两个头；多头的参数并不更多：总是 $4D^2+4D$。", "**One head makes one average.** Telling two lookups apart takes two heads; and heads cost no parameters: $4D^2+4D$, however many."),
    t("**没有位置，就没有顺序。** 打乱输入，输出照样打乱；位置编码或因果掩码才让顺序有意义。", "**Without positions there is no order.** Shuffle the input and the output is shuffled alike; positions, or the causal mask, give order a meaning."),
    t("**任意两个位置只隔一步**，不像循环网络隔着 $T$ 步；代价是 $T^2$ 个权重。", "**Any two positions are one step apart**, not $T$ as in a recurrent network; the price is $T^2$ weights."),
)  # fmt: skip
