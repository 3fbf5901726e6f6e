"""Recurrent networks: memory by a window, and memory by feedback, on the same sequences."""

from functools import partial

import streamlit as st

from core.data.sequences import SERIES_LENGTHS, SERIES_TASKS, memoryless_loss, steps_of
from core.data.sunspots import FIRST_YEAR
from core.rnn import AHEAD, EXAMPLES, PRESETS, RNNConfig, first_unknown, parameter_counts, race, whole_series
from pages.ui import challenges, lesson, own_series, predict
from pages.ui import pictures_rnn as pictures
from pages.ui import questions_rnn as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.pictures_sequences import tasks
from pages.ui.text import t, term


def look_at(cell: tuple) -> None:
    """A click on a heat map chooses the step and the unit, on the strip of weights the marked one."""
    name, row, column = cell
    if name == "weights":
        controls.put(source=column + 1)
    elif name.endswith("hidden"):
        controls.put(at=column + 1, unit=row + 1)


def move(by: int) -> None:
    controls.put(at=min(max(1, view.step + by), steps))


controls = lesson.begin("rnn", RNNConfig())
for name, first, limits in (("at", 12, range(1, 121)), ("unit", 1, range(1, 65)), ("source", 2, range(1, 65)), ("example", 1, range(EXAMPLES)), ("known", 0, range(SERIES_LENGTHS[-1] + 1))):  # fmt: skip
    controls.view(name, first, limits)
formula = st.container()
lesson.presets(
    controls,
    {
        "recall": Preset(t("记住第一个字母", "Recall the first letter"), PRESETS["recall"], t("20 步后问第一个字母。循环网络 100 步就全对；窗口只到 8 步以前，200 步后仍是 28%，和瞎猜一样（25%）。", "Asked after 20 steps for the first letter. The recurrent network has them all right after 100 updates; a window of 8 delays is at 28% after 200, as good as a guess (25%).")),
        "within_reach": Preset(t("窗口够长", "A window that reaches"), PRESETS["within_reach"], t("窗口到 19 步以前，第一个字母正好还在里面：100 步后两个网络都全对。", "A window of 19 delays just holds the first letter: after 100 updates both networks have them all right.")),
        "long": Preset(t("隔 99 步", "99 steps later"), PRESETS["long"], t("后面全是空白。正交的 U 让状态的大小不变：100 步后循环网络全对。", "Nothing but blanks after the first letter. An orthogonal U keeps the size of the state: after 100 updates the recurrent network has them all right.")),
        "sunspots": Preset(t("太阳黑子", "Sunspots"), PRESETS["sunspots"], t("真实数据：1700–2008 年，最后 62 年留作测试。300 步后均方误差：循环网络 0.36，窗口 0.39（方差为 1）。差不多：这里十来年的窗口就够。", "Real data, 1700–2008; the last 62 years are held out. Squared error after 300 updates: recurrent 0.36, window 0.39, in variances of the training years. Much alike: a window of some ten years is enough here.")),
        "digits": Preset(t("逐行看数字", "Digits by rows"), PRESETS["digits"], t("一步看一行像素，八行看完作答。1,000 步后循环网络对 97.5%；窗口只看得到最后四行，对 88.3%。", "One row of pixels per step, the answer after eight. After 1,000 updates the recurrent network is right on 97.5%; a window that sees the last four rows on 88.3%.")),
        "sines": Preset(t("正弦混合", "Mixed sines"), PRESETS["sines"], t("两个周期未知的正弦相加。600 步后的均方误差：循环网络 0.013，三步的窗口 0.018。", "Two sines of unknown periods. Squared error after 600 updates: recurrent 0.013, a window of three steps 0.018.")),
        "adding": Preset(t("加法", "Adding"), PRESETS["adding"], t("把 30 步里有标记的两个数相加。ReLU，U 从单位矩阵开始：600 步后误差 0.007；没有记忆只能猜 1，误差 1/6，窗口停在 0.155。", "Add the two marked numbers among 30. With ReLU and U begun as the identity the error is 0.007 after 600 updates; without a memory the best guess is 1, error 1/6, and the window stays at 0.155.")),
        "adding_tanh": Preset(t("加法，50 步", "Adding, 50 steps"), PRESETS["adding_tanh"], t("tanh，随便开始，50 步：500 步后误差 0.18，2,500 步后 0.17，和总猜 1 一样（理论值 1/6）。同样的设置，GRU 约 750 步到 0.01 以下，LSTM 约 1,500 步。", "tanh, begun anyhow, 50 steps: error 0.18 after 500 updates and 0.17 after 2,500: no better than always saying 1 (1/6 in theory). With the same settings a GRU gets below 0.01 in some 750 updates, an LSTM in some 1,500."), breaks=True),
        "uniform": Preset(t("随便开始", "Begun anyhow"), PRESETS["uniform"], t("U 像 PyTorch 那样从小随机数开始，50 步：传回第一步的梯度几乎是 0，300 步后对 27%，和瞎猜一样。改成正交，100 步就会。", "U begins as small random numbers, as in PyTorch; over 50 steps hardly any gradient comes back to the first: 27% after 300 updates, a guess. Begun orthogonal it learns within 100."), breaks=True),
        "crowded": Preset(t("99 个干扰", "99 distractors"), PRESETS["crowded"], t("第一个字母后又来 99 个。100 步后升到 52%，400 步后又跌回瞎猜（25%）：简单循环网络守不住。", "99 more letters come after the first. It rises to 52% after 100 updates and is back at guessing (25%) after 400: a simple recurrent network cannot guard what it remembers."), breaks=True),
        "hasty": Preset(t("太急", "Hasty"), PRESETS["hasty"], t("学习率 0.1：每一步都迈过头，几步就毁了正交的 U。300 步后仍和瞎猜一样（25% 上下）；0.003 时 100 步就全对。", "Learning rate 0.1: every step goes too far, and a few of them ruin the orthogonal U. After 300 updates it still guesses (about 25%); at 0.003 all are right after 100."), breaks=True),
        "small": Preset(t("只有一个单元", "A single unit"), PRESETS["small"], t("一个数装不下四种字母，还要挡住干扰：300 步后 24%。", "One number has no room for four letters and for ignoring the others: 24% after 300 updates."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(3, 2)
with side:
    task = controls.choice("task", t("任务", "Task"), tasks())
    if task == "own":
        own_series.panel(controls, length=min(controls.value("length"), 8))
    first, second = st.columns(2)
    with first:
        controls.slider("length", t("序列长度 T", "Sequence length T"), help=t("一个序列有几步；“复制”里是中间隔几步。", "Steps of a sequence; of “copying” the delay between."))  # fmt: skip
        controls.slider("delay", t("窗口的延时 p", "Window delays p"), help=t("延时网络看得见 x(t)…x(t−p)，共 p+1 步。", "The time-delay network sees x(t)…x(t−p): p + 1 steps."))  # fmt: skip
    with second:
        controls.slider("hidden", t("隐状态大小", "Hidden size"))
        if task == "recall":
            controls.slider("distractors", t("干扰的比例", "Distractors"), help=t("后面的步子有多大可能再出现一个无关的字母。", "How likely a later step shows another letter that means nothing."))  # fmt: skip
        else:
            controls.slider("batch_size", t("批大小", "Batch size"))
    controls.choice("recurrent", t("U 从哪里开始", "U begins as"), {"orthogonal": t("正交", "orthogonal"), "identity": t("单位矩阵", "identity"), "uniform": t("小随机数", "random")}, help=t("正交矩阵只转动状态，不缩小也不放大。", "An orthogonal matrix turns the state and keeps its size."))  # fmt: skip
    first, second = st.columns(2)
    with first:
        controls.choice("activation", t("激活函数", "Activation"), {"tanh": "tanh", "relu": "ReLU"})
    with second:
        controls.slider("clip", t("梯度截断（0 = 不截）", "Clipping (0 = off)"), help=t("梯度的范数最多这么大。", "The norm of the gradient is at most this."))  # fmt: skip
    config = lesson.config(controls, own_series.explain)
    steps = steps_of(config.task, config.length)
    controls.limits |= {"at": range(1, steps + 1), "unit": range(1, config.hidden + 1)}
    controls.correct(at=min(controls.value("at"), steps), unit=min(controls.value("unit"), config.hidden))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(t("**走过时间**", "**Step through time**"), width="content")
        back, ahead = st.container(width="content"), st.container(width="content")
    controls.slider("at", t("看第几步 t", "Step t to look at"))
    first, second = st.columns(2)
    with first:
        if config.hidden > 1:
            controls.slider("unit", t("看哪个单元", "Unit to look at"))
    with second:
        controls.number("example", t("看哪个序列", "Sequence to look at"), help=t("都是测试集里的。", "Held-out ones."))
    view = pictures.within(config, pictures.View(*(controls.value(name) for name in ("at", "unit", "source", "example"))))  # fmt: skip
    back.button("", icon=":material/chevron_left:", key="rnn_back", on_click=move, args=(-1,), disabled=view.step == 1, help=t("前一步", "One step back"))  # fmt: skip
    ahead.button("", icon=":material/chevron_right:", key="rnn_ahead", on_click=move, args=(1,), disabled=view.step == steps, help=t("后一步", "One step on"))  # fmt: skip

live = Live(controls, race(config))
sizes = parameter_counts(config)
with formula, st.container(horizontal=True, gap="medium", vertical_alignment="center"):
    squash = r"\tanh" if config.activation == "tanh" else r"\operatorname{ReLU}"
    st.latex(rf"\mathbf h_t = {squash}\big(U\mathbf h_{{t-1}} + W\mathbf x_t + \mathbf b\big)", width="content")
    st.latex(rf"\mathbf h_t = {squash}\big(W_0\mathbf x_t + W_1\mathbf x_{{t-1}} + \dots + W_{{{config.delay}}}\mathbf x_{{t-{config.delay}}} + \mathbf b\big)" if config.delay > 1 else rf"\mathbf h_t = {squash}\big(W_0\mathbf x_t" + (r" + W_1\mathbf x_{t-1}" if config.delay else "") + r" + \mathbf b\big)", width="content")  # fmt: skip
    st.caption(t(f"循环：{sizes['rnn']:,} 个参数，T 多长都一样；窗口：{sizes['tdnn']:,} 个，p 越大越多。", f"Recurrent: {sizes['rnn']:,} parameters, however long T is; window: {sizes['tdnn']:,}, more with every delay."), width="content")  # fmt: skip
with picture:
    live.picture_all(partial(pictures.unrolled, view=view), on_click=look_at)
live.picture_all(partial(pictures.states, view=view), on_click=look_at)
guess = memoryless_loss(config.task, config.length)
st.caption(
    t("点隐状态的任一格：看那一步、那个单元。点一行权重 u：换一个做记号的。", "Click a cell of a hidden state to look at that step and unit; on the strip u to mark another weight.")
    + ("" if guess is None else t(f"没有记忆时最好的损失：{guess:.3g}。", f" Best loss without a memory: {guess:.3g}."))
)  # fmt: skip
if config.task in pictures.FORECASTS:
    size, start = len(whole_series(config, view.example)), FIRST_YEAR if config.task == "sunspots" else 1
    known = controls.value("known") or first_unknown(config)
    controls.limits["known"] = range(config.length, size + 1)
    controls.correct(known=min(max(known, config.length), size))
    lesson.heading("在数据前面预测", "Forecast ahead of the data")
    live.picture_all(partial(pictures.forecasts, known=controls.value("known"), example=view.example))
    first_unseen = start + controls.value("known")
    controls.slider(
        "known",
        t(f"从第几个值起不再看数据（{first_unseen}）", f"From which value on the data are unseen ({first_unseen})"),
    )
    said = (t(f"灰色里的 {AHEAD} 步", f"In the grey, {AHEAD} steps"), first_unseen)
    st.caption(t(f"{said[0]}（从 {said[1]} 起）全靠自己：每个预测当作下一个输入。细线是每次只往前看一步。", f"{said[0]} from {said[1]} on, each forecast is the next input; no data are seen. The thin lines look one step ahead, always from the data.") + (t("前五分之四训练，其余测试。", " The first four fifths are trained on, the rest is held out.") if config.task in SERIES_TASKS else ""))  # fmt: skip
live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("延时网络的记忆是一扇窗：p+1 步以前的输入对输出没有任何影响，也就学不会。", "A time-delay network remembers through a window: inputs more than p steps old have no influence at all, so nothing about them can be learned."),
    t("循环网络把上一步的隐状态送回来：每一步用同一组 U、W、b，参数的个数与序列长度无关。", "A recurrent network feeds its last hidden state back in: the same U, W and b at every step, so its size does not depend on the length of the sequence."),
    t("按时间展开，它就是一个很深的前馈网络，每层权重相同；对它做反向传播就叫随时间反向传播（BPTT）。", "Unrolled over time it is a deep feedforward network whose layers share their weights; backpropagation through it is called backpropagation through time (BPTT)."),
    t(f"能记住不等于学得会：隔得远，梯度要连乘许多次 U，开始得不好就消失。{term('rnn')}的这个毛病见“梯度消失与爆炸”。", "Able to remember is not able to learn it: over a long delay the gradient is multiplied by U many times, and unless U begins well it vanishes."),
    t("常说循环网络“什么都记得”；其实隐状态只有几个数，每来一个输入都要改写。", "People say a recurrent network remembers everything. Its state is a few numbers, and every input rewrites them."),
)  # fmt: skip
