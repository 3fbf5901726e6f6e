"""The playground: points of the plane, and a multilayer perceptron small enough that every neuron can be seen."""

from functools import partial

import streamlit as st

from core.data.points import MULTI_CLASS
from core.optimizers import OPTIMIZERS
from core.playground import (
    DEPTHS,
    INPUTS,
    OWN_CLASSES,
    OWN_VALUES,
    PRESETS,
    WEIGHT,
    WIDTHS,
    PlaygroundConfig,
    activation_names,
    is_regression,
    parameter_count,
    weight_names,
)
from pages.ui import challenges, lesson, own_points, predict, scene
from pages.ui import pictures_playground as pictures
from pages.ui import questions_playground as asked
from pages.ui.controls import NARROW_ROOM
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term

BATCHES = (1, 2, 5, 10, 20, 50, 100, 250, 0)
PENALTIES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def explain(error: ValueError) -> str:
    """No two settings are left that exclude each other; a value out of its limits is the only cause."""
    return t("这些设置不能用。", "These settings cannot be used.")


def clicked(what: str | tuple[str, int, int]) -> None:
    """A box of the network (− or +, an input), a neuron, an edge, or a place of the plane."""
    if isinstance(what, str):
        return choose_neuron(what) if what.startswith("neuron:") else rebuild(what)
    name, row, place = what
    if name == "add":
        own_points.add(controls, *pictures.spot(row, place))
    else:
        controls.put(chosen=pictures.edge_at(config, int(name.removeprefix("edges")), row, place).name)


def choose_data() -> None:
    """A small picture of a data set, as if chosen in the list."""
    if (name := st.session_state["playground_data_sets"]["go"]) in pictures.data_words():
        controls.put(data=name)


def choose_neuron(what: str) -> None:
    """Its bias can be edited, and the large map shows what it says; once more, and that is the network's answer again."""
    layer, neuron = map(int, what.removeprefix("neuron:").split("."))
    bias, output = pictures.Place(layer, neuron).name, pictures.Place(len(config.layers) + 1, 1).name
    controls.put(chosen=output if controls.value("chosen") == bias else bias)


def rebuild(what: str) -> None:
    """Add or take away a layer, a neuron or an input."""
    layers, change = list(config.layers), 1 if what.endswith("+") else -1
    if what.startswith("input:"):
        name = what.removeprefix("input:")
        kept = tuple(each for each in INPUTS if (each in config.inputs) != (each == name))
        controls.put(inputs=kept or config.inputs)
    elif what.startswith("layers"):
        layers = [*layers, layers[-1] if layers else 4] if change > 0 else layers[:-1]
        controls.put(layers=tuple(layers) if len(layers) in DEPTHS else config.layers)
    else:
        at = int(what[5:-1]) - 1
        layers[at] += change
        controls.put(layers=tuple(layers) if layers[at] in WIDTHS else config.layers)


def activate(layer: int) -> None:
    """One hidden layer gets an activation of its own."""
    names = activation_names(config)[: len(config.layers)]
    names[layer] = st.session_state[f"playground_activation_{layer}"]
    while names and names[-1] == config.activation:
        names.pop()
    controls.put(activations=tuple(names))


own_points.convert()
controls = lesson.begin("playground", PlaygroundConfig())
controls.view("chosen", "weight_1_1_1")
controls.view("held_out", False)
controls.view("discrete", False)
controls.view("look", 0, range(7))
own_points.views(controls)
formula = st.container()
lesson.presets(
    controls,
    {
        "circle": Preset(t("圆", "Circle"), PRESETS["circle"], t("4-2 个 tanh 神经元：1,000 步后测试 90%，3,000 步后 99.6%。", "4 and 2 tanh neurons: 90% of the held-out points after 1,000 steps, 99.6% after 3,000.")),
        "xor": Preset(t("异或", "XOR"), PRESETS["xor"], t("一层 8 个就够：1,000 步后全对。", "One layer of 8 is enough: all right after 1,000 steps.")),
        "line": Preset(t("一条线", "A line"), PRESETS["line"], t("两团点，不要隐藏层：100 步后测试 98.8%。", "Two clouds need no hidden layer: 98.8% after 100 steps.")),
        "squares": Preset(t("平方输入", "Squares"), PRESETS["squares"], t("圆，输入换成 x₁² 和 x₂²：没有隐藏层，1,000 步后也全对。", "The circle with x₁² and x₂² as inputs: all right after 1,000 steps with no hidden layer at all.")),
        "moons": Preset(t("月牙", "Moons"), PRESETS["moons"], t("1,000 步后测试 98.4%。", "98.4% after 1,000 steps.")),
        "spiral": Preset(t("螺旋", "Spiral"), PRESETS["spiral"], t("加上 sin x₁、sin x₂，两层各 8 个，Adam：1,000 步后测试 95.6%，3,000 步后 98%。", "With sin x₁ and sin x₂, two layers of 8 and Adam: 95.6% after 1,000 steps, 98% after 3,000.")),
        "five_blobs": Preset(t("五团", "Five blobs"), PRESETS["five_blobs"], t("五类，五个输出，softmax：1,000 步后测试 92%；团与团交叠，再学也不升。", "Five classes, five outputs, softmax: 92% after 1,000 steps. The blobs overlap, so it stays there.")),
        "three_spirals": Preset(t("三螺旋", "Three spirals"), PRESETS["three_spirals"], t("三类：1,000 步后测试 85.6%，3,000 步后 94.4%。", "Three classes: 85.6% after 1,000 steps, 94.4% after 3,000.")),
        "bumps": Preset(t("起伏", "Bumps"), PRESETS["bumps"], t("回归：拟合六个高低的锥，不是分类。平方误差（的一半）从 1,000 步的 0.019 到 10,000 步的 0.005。", "Regression: fit six cones, up and down. Half the squared error is 0.019 after 1,000 steps, 0.005 after 10,000.")),
        "deep": Preset(t("深 ReLU", "Deep ReLU"), PRESETS["deep"], t("六层 ReLU，He 初始化：300 步后全对。同样深的 sigmoid 学不动，见“深 sigmoid”。", "Six layers of ReLUs from He's start: all right after 300 steps. As deep with sigmoids it does not learn: see Deep sigmoid.")),
        "too_fast": Preset(t("太快", "Too fast"), PRESETS["too_fast"], t("学习率 10：头 300 步里一步就把权重挪动一成以上，3,000 步里测试从没到过 80%。", "Learning rate 10: in the first 300 steps an update moves the weights by over a tenth; in 3,000 it never gets 80% right."), breaks=True),
        "diverging": Preset(t("发散", "Diverging"), PRESETS["diverging"], t("一个线性神经元，学习率 0.2，超过 2/曲率 ≈ 0.16：第 22 步发散。", "One linear neuron at rate 0.2, past 2/curvature ≈ 0.16: it diverges at step 22."), breaks=True),
        "deep_sigmoid": Preset(t("深 sigmoid", "Deep sigmoid"), PRESETS["deep_sigmoid"], t("第 1 层的梯度起步就只有输出层的万分之一（σ′ ≤ ¼，六层相乘）：10,000 步后仍是 50%。", "Layer 1 starts with a ten-thousandth of the output's gradient (σ′ ≤ ¼, six times over): still 50% after 10,000 steps."), breaks=True),
        "dead_relus": Preset(t("死亡 ReLU", "Dead ReLUs"), PRESETS["dead_relus"], t("学习率 3：300 步后 75% 的隐藏神经元死了，前两层梯度恰好是 0，一直 50%。", "Learning rate 3: after 300 steps 75% of the hidden neurons are dead, the gradients of both layers exactly 0; 50% for ever."), breaks=True),
        "overfitting": Preset(t("过拟合", "Overfitting"), PRESETS["overfitting"], t("只有 20 个训练点：100 步后训练 100%，测试 67%，测试损失还在涨。", "Only 20 training points: after 100 steps all of them right, but 67% of the held-out ones, whose loss keeps rising."), breaks=True),
        "zeros": Preset(t("全零", "All zero"), PRESETS["zeros"], t("从 0 开始，两个隐藏层的梯度恰好是 0：只有输出的偏置在动，一直 50%。", "From zero the gradients of both hidden layers are exactly 0: only the output's bias moves, 50% for ever."), breaks=True),
    },
)  # fmt: skip

if (allowed := controls.access("data", t("数据", "Data"))) != "hide":
    small = [controls.value(field) for field in ("data", "noise", "classes")]
    scene.show(pictures.data_sets(*small, allowed == "lock"), "playground_data_sets", on_go=choose_data)
first, second, third, fourth = st.columns([5, 4, 4, 4], gap="medium")
with first:
    controls.choice(
        "data",
        t("数据", "Data"),
        {
            "circle": t("圆", "Circle"), "xor": t("异或", "XOR"), "gaussians": t("两团", "Two Gaussians"),
            "spiral": t("螺旋", "Spiral"), "moons": t("月牙", "Moons"), "blobs": t("多团（2–5 类）", "Blobs (2–5 classes)"),
            "spirals": t("多臂螺旋（2–5 类）", "Spirals (2–5 classes)"), "plane": t("回归：斜面", "Regression: a slope"),
            "multi_gaussian": t("回归：起伏", "Regression: bumps"), OWN_CLASSES: t("自己的点：类别", "Own points: classes"),
            OWN_VALUES: t("自己的点：数值", "Own points: values"),
        },
    )  # fmt: skip
own = own_points.settle(controls)
config = lesson.config(controls, explain)
with second:
    controls.slider("noise", t("噪声", "Noise"), format="%.2f")
with third:
    controls.choice("activation", t("激活函数", "Activation"), {name: pictures.activations()[name] for name in controls.limits["activation"]})  # fmt: skip
with fourth:
    controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
controls.access("inputs", t("输入", "Inputs"))
controls.access("layers", t("隐藏层", "Hidden layers"))

live = Live(controls, {"network": config}, limit=10_000_000, speed="300")
live.buttons()
places = weight_names(config)
controls.offer("chosen", places)
chosen, now = controls.value("chosen"), live.snapshot()
with formula, st.container(horizontal=True, gap="medium", vertical_alignment="center"):
    st.latex(r"\mathbf a^{(l)}=f\big(W^{(l)}\mathbf a^{(l-1)}+\mathbf b^{(l)}\big)", width="content")
    if not live.playing:
        st.latex(pictures.formula(config, now.state, chosen), width="content")
    st.caption(t(f"共 {parameter_count(config)} 个参数", f"{parameter_count(config)} parameters"), width="content")
looks = {"chosen": chosen, "held_out": own or controls.value("held_out"), "discrete": controls.value("discrete")}
live.picture(partial(pictures.playground, **looks), on_click=clicked)
which, value, test, decided = st.columns([5, 3, 3, 3], vertical_alignment="bottom", gap="medium")
with which:
    controls.choice("chosen", t("改哪个权重或偏置", "Weight or bias to edit"), {name: pictures.place_words(config, name) for name in places})  # fmt: skip
with value:
    live.hand(chosen, pictures.value_of(now.state, chosen), WEIGHT, t("现在的值（可改）", "Its value now (edit it)"))
with test:
    if not own:  # of those all are shown
        controls.toggle("held_out", t("显示测试点", "Held-out points"))
with decided:
    controls.toggle(
        "discrete", t("按 ¼ 分级", "In steps of ¼") if is_regression(config) else t("只看判决", "Decisions only")
    )

data, network, learning = st.columns(3, gap="medium")
data = data.expander(t("数据：自己的点、多少……", "Data: own points, how many …"), icon=":material/scatter_plot:", key="playground_data_more", on_change="rerun")  # fmt: skip
network = network.expander(t("网络：每层、起点……", "Network: layers, start …"), icon=":material/hub:", key="playground_network_more", on_change="rerun")  # fmt: skip
learning = learning.expander(t("学习：批、正则化……", "Learning: batch, penalty …"), icon=":material/school:", key="playground_learning_more", on_change="rerun")  # fmt: skip
if data.open:
    with data:
        if own:
            own_points.panel(controls)
        else:
            controls.slider("count", t("点数", "Points"))
            if config.data in MULTI_CLASS:
                controls.slider("classes", t("类数", "Classes"))
            st.button(t("在这些点上改", "Edit these points"), key="playground_own", icon=":material/edit:", on_click=own_points.take_over, args=(controls, config), help=t(f"取其中 {own_points.TAKEN} 个作自己的点：再点上几个，或者清空重来。", f"Takes {own_points.TAKEN} of them as points of your own: add some, or clear them and begin anew."), width="stretch")  # fmt: skip
        controls.slider("train_share", t("训练占比", "Share for training"), format="%.1f")
if network.open:
    with network:
        controls.choice("initialisation", t("初始权重", "Initial weights"), {"xavier": "Xavier", "he": "He", "uniform": t("均匀", "uniform"), "normal": t("正态 N(0, 1)", "normal N(0, 1)"), "zeros": t("全零", "zeros")})  # fmt: skip
        allowed = controls.access("activations", t("每层的激活函数", "Activation per layer"))
        for layer, name in enumerate(activation_names(config)[: len(config.layers)] if allowed != "hide" else ()):
            st.session_state[f"playground_activation_{layer}"] = name
            st.selectbox(t(f"第 {layer + 1} 层的激活函数", f"Activation of layer {layer + 1}"), controls.limits["activation"], format_func=pictures.activations().get, key=f"playground_activation_{layer}", on_change=activate, args=(layer,), disabled=allowed == "lock")  # fmt: skip
        controls.slider("dropout", t("丢弃率", "Dropout"), format="%.1f", help=t("每步随机去掉这么多隐藏神经元；测量时都在。", "Each update leaves out this share of the hidden neurons at random; measurements use all."))  # fmt: skip
if learning.open:
    with learning:
        controls.steps("batch_size", t("批大小", "Batch size"), BATCHES, format=lambda size: str(size) if size else t("全部", "all"))  # fmt: skip
        losses = {"auto": t("自动", "automatic"), "squared": t("平方误差", "squared error")} | ({} if is_regression(config) else {"cross_entropy": t("交叉熵", "cross-entropy")})  # fmt: skip
        controls.choice("loss", t("损失", "Loss"), losses, help=t("自动：类别用交叉熵，数值用平方误差。", "Automatic: cross-entropy for classes, the squared error for values."), room=NARROW_ROOM)  # fmt: skip
        controls.choice(
            "regularisation", t("正则化", "Regularisation"), {"none": t("无", "none"), "l1": "L1", "l2": "L2"}
        )
        controls.steps("penalty", t("正则化强度", "Its strength"), PENALTIES, format=lambda rate: f"{rate:g}")
live.panel()

lesson.heading("每一层看到什么", "What each layer sees")
st.markdown(t("隐藏层把平面弯折、拉伸，直到最后一层用一条直线就能分开。", "The hidden layers bend and stretch the plane until one straight cut by the last neuron will do."))  # fmt: skip
bent, counted, checked = (
    st.expander(label, icon=f":material/{icon}:", key=f"playground_{key}", on_change="rerun")
    for label, icon, key in (
        (t("隐藏空间：被弯折的网格", "Hidden space: the bent grid"), "grid_on", "bent"),
        (t("混淆矩阵", "Confusion matrix"), "table", "counted"),
        (t("诊断：每层的梯度和导数", "Diagnosis: gradient and slope of each layer"), "stethoscope", "checked"),
    )
)
if bent.open:
    with bent:
        if not config.layers:
            st.info(t("没有隐藏层：输出直接在平面上切一刀。", "No hidden layer: the output cuts the plane as it is."))
        else:
            depth = len(config.layers)
            layers = {number: t(f"第 {number} 层", f"layer {number}") for number in range(1, depth + 1)}
            if controls.value("look") not in layers:
                controls.correct(look=depth)
            look = controls.choice("look", t("哪一层", "Which layer"), layers)
            units = config.layers[look - 1]
            one, two = st.columns(2)
            across = one.selectbox(
                t("横轴：几号神经元", "Across: neuron"), range(1, units + 1), key="playground_across"
            )
            upward = two.selectbox(t("纵轴：几号神经元", "Upward: neuron"), range(1, units + 1), index=min(1, units - 1), key="playground_upward")  # fmt: skip
            live.picture(partial(pictures.hidden, layer=look, first=across, second=upward))
            st.caption(t("同一张网格，左边是平面，右边是这一层两个神经元的活性值。最后一个隐藏层恰有两个神经元时，黑线是输出的分界：它总是直的。", "The same grid: on the left the plane, on the right the activations of two neurons of the layer. If the last hidden layer has exactly two, the black line is where the output decides: it is always straight."))  # fmt: skip
if counted.open:
    with counted:
        if is_regression(config):
            st.info(t("回归没有类别，也就没有混淆。", "Regression has no classes to confuse."))
        else:
            live.picture(pictures.mixed_up)
if checked.open:
    with checked:
        live.picture(partial(pictures.inside, rate=live.race.leader.learning_rate))

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("隐藏层造出新的特征，输出层只做一次线性划分。没有激活函数，再多层也只是一条直线。", "Hidden layers make new features; the output parts them with one straight cut. Without activation functions any number of layers gives a straight line."),
    t("合适的输入能代替隐藏层：平方输入让圆变得线性可分。", "The right inputs can replace hidden layers: with squares the circle is linearly separable."),
    t("反向传播逐层乘 $f'(z)$：sigmoid 每层至多 ¼，深了就消失；ReLU 的导数是 1 或 0，会死。", "Backpropagation multiplies by $f'(z)$ at each layer: at most ¼ with sigmoids, so it vanishes with depth; 1 or 0 with ReLUs, which can die."),
    t("训练损失只说明记住了多少；只有测试点能说明学会了多少。", "The training loss tells what was memorised; only held-out points tell what was learned."),
    t("初始权重要互不相同：对称的神经元永远学成一样。", "Initial weights must differ: neurons that start alike learn alike for ever."),
)  # fmt: skip
