"""Sequence to sequence: a decoder that may look back at the input learns what one state alone cannot hold."""

from functools import partial

import streamlit as st

from core.seq2seq import HELD_OUT, PRESETS, RACES, Seq2SeqConfig, as_examples, race
from pages.ui import challenges, lesson, predict
from pages.ui import pictures_seq2seq as pictures
from pages.ui import questions_seq2seq as asked
from pages.ui.controls import NARROW_ROOM
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term


def explain(error: ValueError) -> str:
    """No two settings exclude each other; a value out of its limits is the only cause."""
    return t("这些设置不能用。", "These settings cannot be used.")


controls = lesson.begin("seq2seq", Seq2SeqConfig())
controls.view("compare", "with_and_without", RACES)
number = controls.view("example", 1, range(1, HELD_OUT + 1))
controls.view("word", "")
formula = st.container()
lesson.presets(
    controls,
    {
        "reverse": Preset(t("倒写", "Reverse"), PRESETS["reverse"], t("10 个字母倒过来写：400 步后有注意力的约 99% 对，没有的 28%。", "Ten letters, written backwards. After 400 steps about 99% are right with attention, 28% without.")),
        "long": Preset(t("20 个字母", "20 letters"), PRESETS["long"], t("20 个字母：400 步后 75%，800 步 99%；没有注意力时 12% 和 15%。", "20 letters: 75% right after 400 steps, 99% after 800; without attention 12% and 15%.")),
        "sort": Preset(t("排序", "Sort"), PRESETS["sort"], t("排序：400 步后 86%。看的地方由内容定，没有固定的对角线。", "Sorting: 86% after 400 steps. Where it looks depends on the letters, so there is no fixed diagonal.")),
        "copy": Preset(t("延迟抄写", "Delayed copy"), PRESETS["copy"], t("先写 3 个空白再抄：400 步后 98.9%，对角线下移 3 行。", "Three blanks, then the copy: 98.9% after 400 steps; the diagonal is three rows lower.")),
        "recall": Preset(t("联想回忆", "Associative recall"), PRESETS["recall"], t("8 对字母和数字，问每个字母：200 步后 98%。把“比什么”换成键值对。", "Eight pairs, then each letter is asked: 98% after 200 steps. Race key–value against plain.")),
        "reinforce": Preset(t("硬注意力", "Hard attention"), PRESETS["reinforce"], t("每步抽一个位置，用 REINFORCE 训练：400 步后 97.3%。与软注意力比一比。", "One position is drawn a step, trained by REINFORCE: 97.3% after 400 steps. Race soft and hard.")),
        "one_state": Preset(t("只有一个状态", "One state"), PRESETS["one_state"], t("20 个字母挤进一个状态：400 步后 12%，1,600 步 17%。选“只跑一个”。", "20 letters in one state: 12% after 400 steps, 17% after 1,600. Choose One alone."), breaks=True),
        "one_memory": Preset(t("键即是值", "Keys are values"), PRESETS["one_memory"], t("回忆，但 K = V：400 步后还是 31%（只知道出现过哪些数字），1,600 步才 98%。", "Recall with K = V: still 31% after 400 steps (it knows which numerals there were); 98% only after 1,600."), breaks=True),
        "blurred": Preset(t("看不清", "Blurred"), PRESETS["blurred"], t("缩放点积配 GRU 状态：打分太小，400 步后最大权重只有 0.26，对 49%。", "Scaled dot products of GRU states are too small: after 400 steps the largest weight is 0.26, and 49% are right."), breaks=True),
        "too_fast": Preset(t("学得太快", "Too fast"), PRESETS["too_fast"], t("学习率 0.1 太大：看得很死（最大权重 0.98），却看错了地方，400 步后对的不到三分之一。", "A rate of 0.1 is too much: it looks sharply (largest weight 0.98) at the wrong places; less than a third is right after 400 steps."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(3, 1)
with side:
    task = controls.choice(
        "task",
        t("任务", "Task"),
        {"reverse": t("倒写", "Reverse"), "sort": t("排序", "Sort"), "copy": t("抄写", "Copy"), "recall": t("回忆", "Recall")},
        help=t("回忆：先读字母和数字的配对，再问每个字母配的数字。", "Recall: pairs of a letter and a numeral are read, then each letter's numeral is asked."),
        room=NARROW_ROOM,
    )  # fmt: skip
    controls.slider("length", t("长度", "Length"))
    if task == "copy":
        controls.slider("delay", t("延迟", "Delay"), help=t("先写几个空白，再开始抄。", "Blanks to write before the copy begins."))  # fmt: skip
    kind = controls.choice(
        "compare",
        t("比什么", "What races"),
        {
            "with_and_without": t("有与没有注意力", "With / without"),
            "scorings": t("四种打分函数", "Scoring functions"),
            "soft_and_hard": t("软与硬", "Soft and hard"),
            "memories": t("键值对、普通、无", "Kinds of memory"),
            "alone": t("只跑一个", "One alone"),
        },
    )
    if kind == "alone":
        controls.choice("attention", t("注意力", "Attention"), {"soft": t("软", "Soft"), "hard": t("硬", "Hard"), "none": t("无", "None")})  # fmt: skip
    if kind != "scorings":
        controls.choice("scoring", t("打分函数", "Scoring function"), {name: term(name) for name in pictures.SCORES_TEX}, room=NARROW_ROOM)  # fmt: skip
    if kind != "memories":
        controls.choice("memory", t("记忆", "Memory"), {"plain": t("普通 K = V", "Plain K = V"), "key_value": t("键值对 K ≠ V", "Key–value K ≠ V")}, room=NARROW_ROOM)  # fmt: skip
    with st.expander(t("更多设置", "More settings"), key="seq2seq_more"):
        controls.slider("hidden", t("隐状态大小", "Hidden units"))
        controls.slider("batch_size", t("批大小", "Batch size"))
        controls.toggle("baseline", t("REINFORCE 用基线", "REINFORCE with a baseline"), help=t("硬注意力：奖励减去这一批的平均。", "Hard attention: the batch's mean is taken off the reward."))  # fmt: skip
    config = lesson.config(controls, explain)

live = Live(controls, race(config, kind))
with formula:
    st.latex(pictures.formula(next(iter(live.race.configs.values()))))
with picture:
    map_place = st.container()
    left, right = st.columns(2)
    with left:
        word = controls.text(
            "word",
            t("自己的输入", "Your own input"),
            placeholder="A3F7…" if task == "recall" else "ABC…",
            help=t("空着就用测试序列。", "Left empty, the held-out sequence is shown."),
        )
        if word:
            try:
                as_examples(config, word)
            except ValueError:
                need = t(f"{config.length} 对字母和数字，字母不重复", f"{config.length} pairs of a letter and a numeral, no letter twice") if task == "recall" else t(f"正好 {config.length} 个字母 A–Z", f"exactly {config.length} letters A–Z")  # fmt: skip
                st.caption(t(f":orange[:material/edit_off: 要{need}；现在看测试序列。]", f":orange[:material/edit_off: It needs {need}; a held-out sequence is shown.]"))  # fmt: skip
    with right:
        controls.slider("example", t("第几个测试序列", "Held-out sequence"))
with map_place:
    live.picture_all(partial(pictures.alignments, number=controls.value("example"), text=word))
    st.caption(t("一行是写出的一个字，亮处是它看的地方；每行的权重加起来是 1。粉框：写错了。速度调到 10/秒，看灰云变成一条线。", "A row is a token that is written; bright is where it looks. The weights of a row sum to 1. Pink frame: wrong. At 10/s the cloud visibly becomes a line."))  # fmt: skip
live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("没有注意力，整个输入要挤进编码器最后一个状态：越长，挤得越少。", "Without attention all of the input has to fit into the encoder's last state; the longer it is, the less of it gets through."),
    t("有注意力，解码器的每个状态都是一个查询，去所有编码器状态里找它要的那个。位置没有人教，是从损失里学来的。", "With attention each decoder state is a query to all encoder states. Nobody tells it where to look: that is learned from the loss alone."),
    t("软注意力是期望，处处可导；硬注意力抽一个位置，要用 REINFORCE，曲线更抖。", "Soft attention is an expectation and has a gradient everywhere; hard attention draws one position, needs REINFORCE, and its curve is noisier."),
    t("键值对注意力把“按什么找”和“拿走什么”分开。", "Key–value attention separates what is searched by from what is taken away."),
    t("对齐图只说它看了哪里，不等于为什么这样回答。", "An alignment map shows where the model looked, not why it answered so."),
)  # fmt: skip
