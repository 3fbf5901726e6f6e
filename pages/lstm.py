"""The LSTM: a state that gates write, keep and read. Every gate can be held, before training and after it."""

from functools import partial

import streamlit as st

from core.lstm import CLAMPS, PRESETS, LSTMConfig, race
from pages.ui import challenges, gated, lesson, own_series, predict
from pages.ui import pictures_lstm as pictures
from pages.ui import questions_lstm as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.pictures_sequences import tasks
from pages.ui.text import t, term


def explain(error: ValueError) -> str:
    """Why nothing fits."""
    if "1 − i" in str(error):
        return t("耦合时遗忘门就是 1 − 输入门，不能再单独保持：先关掉耦合，或让遗忘门“学”。", "When coupled the forget gate is 1 − input gate and cannot be held as well: switch the coupling off, or let the forget gate learn.")  # fmt: skip
    return own_series.explain(error)


def look_at(cell: tuple[str, int, int]) -> None:
    """A click on a map: that unit at that step."""
    part, unit, at = cell
    controls.put(part=part, unit=unit + 1, at=at + 1)


def hold(clamp: str) -> None:
    """A click on a bar: look at the network with that gate held; once more, as it is."""
    controls.put(clamp="as_trained" if clamp == controls.value("clamp") else clamp)


controls = lesson.begin("lstm", LSTMConfig())
controls.view("clamp", "as_trained", tuple(CLAMPS))
controls.view("part", "cell", pictures.MAPS)
formula = st.container()
lesson.presets(
    controls,
    {
        "adding": Preset(t("加法问题", "Adding problem"), PRESETS["adding"], t("把 50 步里有标记的两个数加起来：768 步后误差低于 0.01。没有记忆，总说 1，误差是 1/6。", "Add the two marked numbers of 50: error below 0.01 after 768 updates. Without a memory, always saying 1, it is 1/6.")),
        "coupled": Preset(t("耦合", "Coupled"), PRESETS["coupled"], t("f = 1 − i，少学一道门，反而更快：288 步后低于 0.01。", "f = 1 − i, one gate fewer to learn, and faster: below 0.01 after 288 updates.")),
        "peephole": Preset(t("窥视孔", "Peepholes"), PRESETS["peephole"], t("门也看单元状态：704 步后低于 0.01，差别不大。", "The gates see the cell state too: below 0.01 after 704 updates, much the same.")),
        "first_lstm": Preset(t("1997 年的 LSTM", "LSTM of 1997"), PRESETS["first_lstm"], t("最初没有遗忘门，等于一直开着。这个任务用不着忘：512 步后低于 0.01。", "The first one had no forget gate, as if it were always open. Nothing needs forgetting here: below 0.01 after 512 updates.")),
        "reference": Preset(t("文献设置", "As published"), PRESETS["reference"], t("64 个单元，Adam 0.002，批 64，常用来比较各种循环网络：1,408 步后低于 0.01。", "64 units, Adam at 0.002, batches of 64, a usual comparison of recurrent cells: below 0.01 after 1,408 updates.")),
        "long_memory": Preset(t("记住 50 步", "Recall over 50"), PRESETS["long_memory"], t("说出第 1 步的字母。遗忘门偏置 6：300 步之内全对；完整的 LSTM（偏置 1）448 步后 23%，等于乱猜。", "Name the first letter. Forget bias 6: all right within 300 updates. The full LSTM (bias 1) is at 23% after 448, which is guessing.")),
        "sunspots": Preset(t("太阳黑子", "Sunspots"), PRESETS["sunspots"], t("真实数据，1700–2008 年，留出最后五分之一：从 30 年说下一年，960 步后误差 0.29（标准化后）。", "Real data, 1700–2008, the last fifth held out: the next year from 30 years, error 0.29 (standardised) after 960 updates.")),
        "digits": Preset(t("数字逐行", "Digits by rows"), PRESETS["digits"], t("真实数据，每步读一行像素：960 步后准确率约 97%。只有 8 步，遗忘门关死也差不多。", "Real data, a row of pixels per step: about 97% after 960 updates. These are 8 steps only: with the forget gate shut it does about as well.")),
        "input_open": Preset(t("输入门全开", "Input open"), PRESETS["input_open"], t("有没有标记都写进来：1,472 步后误差仍是 0.175。", "Everything is written, marked or not: the error is still 0.175 after 1,472 updates."), breaks=True),
        "forget_shut": Preset(t("遗忘门关死", "Forget shut"), PRESETS["forget_shut"], t("只剩隐状态能带着记忆走：1,472 步后误差约 0.08，约 1/12，等于只知道一个数。", "Only the hidden state can carry a memory: about 0.08 after 1,472 updates, about 1/12, as if one number of the two were known."), breaks=True),
        "frozen": Preset(t("冻结", "Frozen"), PRESETS["frozen"], t("f = 1、i = 0：单元状态一直是 0，288 步后误差 0.176，不会再降。", "f = 1, i = 0: the cell state stays 0. The error is 0.176 after 288 updates and will not fall."), breaks=True),
        "simple_rnn": Preset(t("退化成简单 RNN", "A simple RNN"), PRESETS["simple_rnn"], t("f = 0、i = o = 1，再去掉输出的 tanh，就是简单循环网络：448 步后误差 0.176。", "f = 0, i = o = 1 and no tanh on the way out: the simple recurrent network. The error is 0.176 after 448 updates."), breaks=True),
        "unsquashed": Preset(t("没有 tanh", "No tanh"), PRESETS["unsquashed"], t("三道门全开，又没有 tanh：状态每步乘 I + U，50 步后误差 8×10¹⁴，第 1 步就发散。", "All gates open and no tanh: the state is multiplied by I + U at every step. After 50 the error is 8×10¹⁴, and the first update diverges."), breaks=True),
    },
)  # fmt: skip

diagram, side = lesson.columns(2, 1)
with side:
    for gate in ("forget", "input", "output"):
        gated.gate(controls, f"{gate}_gate", term(f"{gate}_gate").capitalize())
    left, right = st.columns(2)
    with left:
        controls.toggle(
            "coupled",
            t("耦合", "Coupled"),
            help=t("f = 1 − i：遗忘门不另学。", "f = 1 − i: the forget gate is not learned by itself."),
        )
        controls.toggle("peephole", t("窥视孔", "Peepholes"))
    with right:
        controls.toggle("candidate_activation", t("c̃ 的 tanh", "tanh for c̃"))
        controls.toggle("output_activation", t("c 的 tanh", "tanh for c"))
    controls.slider("forget_bias", t("遗忘门偏置", "Forget bias"), format="%.1f", help=t("加在遗忘门偏置的初值上：1 时门先开到 0.73，4 时 0.98。", "Added to the forget gate's bias at the start: with 1 it begins open to 0.73, with 4 to 0.98."))  # fmt: skip
    place = st.container()

lesson.heading("门随时间怎样开关", "The gates over time")
first, second, third = st.columns([2, 1, 1], gap="medium")
with first:
    if controls.choice("task", t("任务", "Task"), tasks()) == "own":
        own_series.panel(controls, length=min(controls.value("length"), 8))
with second:
    controls.slider("length", t("序列长度", "Sequence length"))
with third:
    controls.slider("hidden", t("隐藏单元", "Hidden units"))
config = lesson.config(controls, explain)
example = gated.within(controls, "example", 1, pictures.examples(config))
maps, beside = lesson.columns(2, 1)
with beside:
    left, right = st.columns(2)
    with left:
        controls.slider("example", t("看第几条序列", "Sequence"), help=t("都是留出的：训练时没见过。", "All are held out: never trained on."))  # fmt: skip
    with right:
        controls.choice("clamp", t("看图时保持", "Gate held"), pictures.clamp_names(), help=t("不重新训练：给练好的网络夹住一道门，图和分数马上变。", "Nothing is trained again: a gate of the trained network is held, and pictures and scores answer at once."))  # fmt: skip
with place:
    steps = pictures.sequences_of(config).inputs.shape[0]
    at, unit = gated.within(controls, "at", 4, steps), gated.within(controls, "unit", 9, config.hidden)
    left, right = st.columns(2)
    with left:
        controls.slider("at", t("看第几步", "Step to look at"))
    if config.hidden > 1:
        with right:
            controls.slider("unit", t("看第几个单元", "Unit to look at"))
    gated.walk(controls, steps)

live = Live(controls, race(config))
config = live.race.leader.config
look = pictures.Look(example - 1, at - 1, unit - 1, controls.value("clamp"), controls.value("part"))
with formula, st.container(horizontal=True, gap="medium"):
    for line in pictures.formulas(config, None if live.playing else live.snapshot().state, look):
        st.latex(line, width="content")
with diagram:
    live.picture(partial(pictures.step, look=look))
    st.caption(t("上面一条是单元状态的“高速路”：只被遗忘门乘，再加上新内容。线越粗数越大，橙正蓝负；盒里的绿色是门开了多少。", "Along the top runs the cell state: only multiplied by the forget gate, then added to. A thicker line carries a larger number, orange positive, blue negative; the green level is how far a gate is open."))  # fmt: skip
with maps:
    live.picture(partial(pictures.over_time, look=look), on_click=look_at)
    st.caption(t("每行一个单元。**点一格，上面的图就看那里。** 三个门：深紫是 0，黄是 1；候选和状态：蓝负橙正。", "One row per unit. **Click a cell to see it above.** Gates: dark is 0, yellow is 1; candidate and states: blue negative, orange positive."))  # fmt: skip
with beside:
    live.picture(partial(pictures.clamps, chosen=look.clamp), on_click=hold)
    st.caption(t("给现在的网络夹住一道门，不重新训练。点一行，左边的图就按它画。", "The network as it is now with one gate held, not trained again. Click a row to see it on the left."))  # fmt: skip
with beside, st.expander(t("更多设置", "More settings"), key="lstm_more"):
    gated.training(controls, config.task)
live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("单元状态只被乘、被加：$\\mathbf c_t=\\mathbf f\\odot\\mathbf c_{t-1}+\\mathbf i\\odot\\tilde{\\mathbf c}_t$。遗忘门接近 1 时，记忆和误差都能走很远。", "The cell state is only multiplied and added to: $\\mathbf c_t=\\mathbf f\\odot\\mathbf c_{t-1}+\\mathbf i\\odot\\tilde{\\mathbf c}_t$. With the forget gate near 1, memories and errors travel far."),
    t("遗忘门的名字容易误会：1 是保留，0 才是忘掉。输出门关上，记忆还在，只是不说。", "The forget gate's name misleads: 1 keeps, 0 forgets. With the output gate shut the memory is still there; it is only not shown."),
    t("f = 1、i = 0 冻结单元状态。f = 0、i = o = 1 是 tanh(tanh(·))，**不是**简单循环网络。", "f = 1 and i = 0 freeze the cell state. f = 0 and i = o = 1 give tanh(tanh(·)), which is **not** the simple recurrent network."),
    t("遗忘门偏置从 1 到 2 或更大开始：记忆要走 50 步，偏置 1 学不会，6 很快就会。", "Begin with a forget bias of 1 to 2 or more: over 50 steps a bias of 1 does not learn to recall, 6 soon does."),
    t("哪道门要紧，看任务。在语音、手写和乐谱上，去掉遗忘门或输出的 tanh 损失最大（Greff 等，2017）；在这里的加法问题上，最要紧的是输入门。", "Which gate matters depends on the task. On speech, handwriting and music removing the forget gate or the output tanh hurt most (Greff et al. 2017); in the adding problem here it is the input gate."),
)  # fmt: skip
