"""Backpropagation: walk a small network's graph forward and back, prove the gradient, take a step, then train."""

from functools import partial

import streamlit as st

from core.backpropagation import (
    MAZUR,
    MAZUR_SHORT,
    PRESETS,
    WEIGHT,
    BackpropagationConfig,
    network_of,
    outputs_of,
    parameter_names,
    proof,
    samples,
    updates,
)
from pages.ui import challenges, lesson, predict
from pages.ui import pictures_backpropagation as pictures
from pages.ui import questions_backpropagation as asked
from pages.ui.controls import WIDE_ROOM
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t


def go(visit: int) -> None:
    controls.put(visit=visit)


def choose(weight: str) -> None:
    controls.put(weight=weight)


def show_update() -> None:
    controls.put(update=not controls.value("update"))


controls = lesson.begin("backpropagation", BackpropagationConfig())
controls.view("visit", pictures.END, range(pictures.END + 1))
controls.view("weight", "w1", tuple(MAZUR | MAZUR_SHORT))
controls.view("line", 1, (0, 1, 2, 3))
controls.view("update", False)
lesson.presets(
    controls,
    {
        "mazur": Preset("Mazur", PRESETS["mazur"], t("Mazur 文章里的数字，偏置不动：损失 0.2984，一步后 0.2910，100 步后 0.0200，1,000 步后 0.0011。", "His published numbers, biases fixed: loss 0.2984, after one step 0.2910, after 100 0.0200, after 1,000 0.0011.")),
        "mazur_biases": Preset(t("Mazur，偏置也学", "Mazur, biases too"), PRESETS["mazur_biases"], t("梯度最大的正是偏置 b₂（0.1004）：让它也学，一步后损失就到 0.2858。", "The largest gradient is that of a bias, b₂ (0.1004): let it learn too and one step reaches 0.2858.")),
        "xor": Preset(t("异或", "XOR"), PRESETS["xor"], t("2-2-1，tanh，随机初始权重：种子 0 在 300 步后损失 0.0071，四行全对。", "2-2-1, tanh, random start: with seed 0 the loss is 0.0071 after 300 steps, all four lines right.")),
        "relu": Preset("ReLU", PRESETS["relu"], t("种子 0：100 步后四行全对。", "Seed 0: all four lines right after 100 steps.")),
        "local_minimum": Preset(t("局部极小", "Local minimum"), PRESETS["local_minimum"], t("sigmoid，种子 0：1,000 步后仍停在 0.0645，所有梯度都很小。换成种子 2，300 步就到 0.0115。", "Sigmoid, seed 0: still at 0.0645 after 1,000 steps, with tiny gradients. From seed 2 it is at 0.0115 after 300."), breaks=True),
        "zero": Preset(t("全零", "All zero"), PRESETS["zero"], t("tanh(0) = 0：所有权重的梯度都是 0，只有 b₃ 在学，损失停在 0.125。", "tanh(0) = 0: every weight's gradient is 0, only b₃ learns, and the loss stays at 0.125."), breaks=True),
        "linear": Preset(t("线性", "Linear"), PRESETS["linear"], t("两层线性等于一层，一条直线分不开异或：损失停在 0.125。", "Two linear layers are one, and no line separates XOR: the loss stops at 0.125."), breaks=True),
        "saturated": Preset(t("饱和", "Saturated"), PRESETS["saturated"], t("初始权重大到 ±10：σ′ 几乎为 0。种子 0 在 1,000 步后损失 0.1253，只对三行。", "Weights of up to ±10: σ′ is nearly 0. With seed 0 the loss is 0.1253 after 1,000 steps, three lines of four right."), breaks=True),
        "dead": Preset(t("死亡 ReLU", "Dying ReLU"), PRESETS["dead"], t("学习率 5 把输出神经元推到 0 以下：从第 2 步起损失停在 0.25，梯度全是 0。", "Learning rate 5 throws the output neuron below zero: from step 2 on the loss is 0.25 and every gradient 0."), breaks=True),
        "diverging": Preset(t("发散", "Diverging"), PRESETS["diverging"], t("没有激活函数压住，学习率 5：4 步后发散。", "Nothing squashes the values, learning rate 5: it diverges after 4 steps."), breaks=True),
    },
)  # fmt: skip

stage = st.container()
one, two, three, four = st.columns([4, 5, 5, 4])
with one:
    controls.choice("network", t("网络", "Network"), {code: code for code in controls.limits["network"]})
with two:
    controls.choice("start", t("初始权重", "Start"), {"mazur": "Mazur", "random": t("随机", "random"), "zero": t("零", "zero")})  # fmt: skip
with three:
    controls.choice("data", t("学什么", "Learns"), {"sample": t("一个样本", "one sample"), "xor": t("异或", "XOR")})
with four:
    names = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "leaky_relu": "leaky ReLU", "gelu": "GELU", "swish": "swish", "identity": t("恒等", "identity")}  # fmt: skip
    controls.choice("activation", t("激活函数", "Activation"), names)
with st.expander(t("样本与初始范围", "Sample and start"), icon=":material/tune:"):
    left, middle, right = st.columns(3, gap="medium")
    with left:
        controls.slider("spread", t("随机权重的范围 ±", "Random weights within ±"), help=t("只用于随机初始权重。", "Of a random start only."))  # fmt: skip
        controls.toggle("train_biases", t("偏置也学", "Biases learn too"))
    if controls.value("data") == "sample":
        with middle:
            controls.slider("x1", "x₁")
            controls.slider("x2", "x₂")
        with right:
            controls.slider("target_1", t("目标 o₁", "Target o₁"))
            if controls.value("network") == "2-2-2":
                controls.slider("target_2", t("目标 o₂", "Target o₂"))
config = controls.config()
parameters = parameter_names(outputs_of(config))
if controls.value("weight") not in parameters:
    controls.correct(weight="w1")
if config.data == "xor":
    controls.choice("line", t("看哪一行", "The line that is shown"), {0: "0 xor 0 = 0", 1: "0 xor 1 = 1", 2: "1 xor 0 = 1", 3: "1 xor 1 = 0"}, room=WIDE_ROOM)  # fmt: skip

live = Live(controls, {"network": config})
line, weight, moving = controls.value("line"), controls.value("weight"), live.playing or live.filming
snapshot = live.snapshot()
network, found = network_of(config, snapshot.state), pictures.walked(config, snapshot, line)
gone = pictures.walk(config, found, pictures.END if moving else controls.value("visit"))

with stage:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        end = gone.nodes + gone.edges + 1
        for name, words, icon, to in (
            ("first", t("开头", "First"), "first_page", 0),
            ("previous", t("上一步", "Previous"), "arrow_back", max(gone.moves - 1, 0)),
            ("next", t("下一步", "Next"), "arrow_forward", min(gone.moves + 1, end)),
            ("last", t("末尾", "Last"), "last_page", pictures.END),
        ):
            st.button(
                words, key=f"backpropagation_{name}", icon=f":material/{icon}:", on_click=go, args=(to,),
                type="primary" if name == ("first" if gone.over else "next") else "secondary",
                disabled=moving or to == gone.moves or (name == "last" and gone.over),
            )  # fmt: skip
        if gone.over:
            st.markdown(t("全部算完", "all computed"))
        elif gone.backward:
            st.markdown(
                t(f"反向：第 {gone.backward} / {gone.edges} 条边", f"back: edge {gone.backward} of {gone.edges}")
            )
        else:
            st.markdown(
                t(f"前向：第 {gone.forward} / {gone.nodes} 个节点", f"forward: node {gone.forward} of {gone.nodes}")
            )
    with st.container(height=135, border=False, gap="xsmall"):
        for formula in pictures.move_formula(config, network, found, gone):
            st.markdown(rf"$\displaystyle {formula}$")
    live.picture(partial(pictures.graph, visit=gone.moves, line=line, weight=weight), on_click=choose)
    st.caption(
        t("粗体是值，彩色是总误差 E 对它的梯度：蓝负、橙正。边越粗，传回的梯度越大。点一个 w 或 b，下面就证明它的梯度。", "Bold: the value. Coloured: the gradient of E with respect to it, blue negative, orange positive. The thicker an edge, the more it passes back. Click a w or b: its gradient is proved below.")
    )  # fmt: skip

lesson.heading("三种算法，同一个梯度", "Three ways, one gradient")
which, edit = st.columns(2, gap="medium")
with which:
    controls.choice("weight", t("哪个参数", "Which parameter"), {name: name for name in parameters})
with edit:
    value = network.parameters[weight].item()
    live.hand(weight, value, WEIGHT, t(f"{weight} 现在的值（可改）", f"{weight} now (edit it)"), step=0.5)
at = t(f"第 {snapshot.step} 步的权重", f"with the weights of step {snapshot.step}")
st.caption(at + (t("；暂停后更新。", "; pause to bring them up to date.") if moving else t("。", ".")))
compared = proof(network, *pictures.sample(config, line), weight)
for place, (label, number, note) in zip(
    st.columns(3),
    (
        (t("手写链式法则", "Chain rule by hand"), compared.hand, t("各条路径之和", "the sum over all paths")),
        ("autograd", compared.autograd, pictures.apart(compared.autograd_gap)),
        (t("有限差分", "Finite difference"), compared.finite, pictures.apart(compared.finite_gap)),
    ),
    strict=True,
):  # fmt: skip
    place.metric(label, f"{number + 0.0:.10f}", border=True)
    place.caption(note)
ways = pictures.ways(config, snapshot, line, weight)
st.markdown(t(f"从 {weight} 到误差有 **{len(ways)}** 条路；每条路把各边的因子相乘。", f"**{len(ways)}** {'path leads' if len(ways) == 1 else 'paths lead'} from {weight} to the error; along each the factors multiply."))  # fmt: skip
for way in ways:
    along, product = pictures.path_formula(way)
    st.markdown(f"${along}$  \n${product}$")
st.markdown(f"$\\displaystyle {pictures.path_sum(ways, weight)}$")

lesson.heading("亲手更新一步", "One update by hand")
rate = live.race.leader.learning_rate
st.latex(rf"w \leftarrow w-\eta\,\frac{{\partial E}}{{\partial w}}\qquad \eta={rate:g}")
shown = controls.value("update")
st.button(t("收起", "Hide the update") if shown else t("算出这一步", "Show the update"), key="backpropagation_show_update", icon=":material/calculate:", on_click=show_update, type="secondary" if shown else "primary")  # fmt: skip
if shown:
    rows = updates(network, *samples(config), rate, config.train_biases)
    st.table(
        {
            t("参数", "parameter"): list(rows),
            t("之前", "before"): [f"{change.before:.6f}" for change in rows.values()],
            t("梯度", "gradient"): [f"{change.gradient + 0.0:+.6f}" for change in rows.values()],
            t("之后", "after"): [f"{change.after:.6f}" for change in rows.values()],
        }
    )
    st.caption(t("按下面的“单步”就走这一步。", "Press Step below to take it.") + (t("异或：梯度是四行的平均。", " XOR: the gradient is the mean over the four lines.") if config.data == "xor" else "") + ("" if config.train_biases else t("偏置不学，保持不变。", " The biases do not learn and stay.")))  # fmt: skip

lesson.heading("然后一直走下去", "And on and on")
st.markdown(t("每一步都是一次前向、一次反向、一次更新。上面的图跟着变。", "Every step is one pass forward, one back, one update. The graph above follows."))  # fmt: skip
live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t(
        "**链式法则。** 一条路上的因子相乘，所有的路相加。",
        "**The chain rule.** Multiply along a path, add over all paths.",
    ),
    t(
        "**反向传播只走一遍。** 每条边只算一次，所有参数的梯度就都有了；有限差分要为每个参数多算两次前向。",
        "**One way back is enough.** Each edge once gives the gradients of all parameters; finite differences take two more forward passes for each of them.",
    ),
    t(
        "**误差项要先凑齐。** 一个节点的梯度，要等从它出去的边都走过才完整。",
        "**First complete, then pass on.** A node's gradient is complete when every edge that leaves it has been walked.",
    ),
    t(
        "**反向传播不是学习。** 它只求梯度；更新参数的是梯度下降。",
        "**Backpropagation is not learning.** It finds gradients; gradient descent does the updating.",
    ),
)
