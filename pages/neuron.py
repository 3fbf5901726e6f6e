"""One neuron: a weighted sum, an activation function, and a line through the plane that it learns to place."""

from functools import partial

import streamlit as st

from core.config import Span
from core.neuron import PRESETS, WEIGHT, NeuronConfig, Twins, saturation, train_twins
from core.optimizers import OPTIMIZERS
from core.training import ACCURACY, Run
from pages.ui import challenges, lesson, predict
from pages.ui import pictures_neuron as pictures
from pages.ui import questions_neuron as asked
from pages.ui.charts import readable
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term

REACH = Span(-6.0, 6.0, 0.1)  # of the input that is looked at
TWINS_STEPS, ALONE_STEPS = 500, 100


@st.cache_data(show_spinner=False)
def twins(spread: float, data: str) -> Twins:
    """Two hidden neurons, trained here and now; measured once for all viewers."""
    return train_twins(spread, data, steps=TWINS_STEPS)


@st.cache_data(show_spinner=False)
def alone() -> int | None:
    """The step at which one neuron that starts at zero has all training points of AND right."""
    run = Run(PRESETS["zero_init"])
    while run.steps < ALONE_STEPS:
        run.step(measure=True)
    return predict.steps_to(run, ACCURACY, 1.0, "train")


def explain(error: ValueError) -> str:
    """Why nothing fits."""
    return t("这些设置不能一起用。", "These settings do not go together.")


def look_at(cell: tuple[str, int, int]) -> None:
    x1, x2 = pictures.place_of(config, *cell[1:])
    controls.put(x1=x1, x2=x2) if config.inputs > 1 else controls.put(x1=x1)


def set_by_hand() -> None:
    st.session_state["neuron_race"].intervene(controls.value("hand"), controls.value("to"))


controls = lesson.begin("neuron", NeuronConfig())
x = (controls.view("x1", 1.0, REACH), controls.view("x2", 0.5, REACH))
controls.view("held_out", False)
controls.view("hand", "bias", ("weight_1", "weight_2", "weight_3", "bias"))
controls.view("to", 0.0, WEIGHT)
formula = st.container()
lesson.presets(
    controls,
    {
        "and": Preset(t("与", "AND"), PRESETS["and"], t("44 步后训练点全对：一条线就够。", "All training points right after 44 steps: one line is enough.")),
        "or": Preset(t("或", "OR"), PRESETS["or"], t("54 步后全对。", "All right after 54 steps.")),
        "separable": Preset(t("可分", "Separable"), PRESETS["separable"], t("tanh，5 步后全对。", "tanh; all right after 5 steps.")),
        "overlapping": Preset(t("重叠", "Overlapping"), PRESETS["overlapping"], t("两团交叠，没有线能全分开：300 步后训练 89%，测试 80%。", "The clouds overlap, and no line parts them: 89% in training, 80% on held-out data after 300 steps.")),
        "product": Preset(t("异或 + x₁x₂", "XOR + x₁x₂"), PRESETS["product"], t("第三个输入是 x₁x₂：决策线弯了，异或 7 步后全对。", "The third input is x₁x₂: the line bends, and XOR is all right after 7 steps.")),
        "perceptron": Preset(t("感知器", "Perceptron"), PRESETS["perceptron"], t("阶跃没有梯度，感知器规则不需要它：17 步后全对。", "A step has no gradient; the perceptron rule needs none. All right after 17 steps.")),
        "zero_init": Preset(t("零初始化", "Zero start"), PRESETS["zero_init"], t("从 0 开始，42 步后全对：一个神经元没有“双胞胎”。", "From zero, all right after 42 steps: one neuron has no twin.")),
        "rescued": Preset(t("获救", "Rescued"), PRESETS["rescued"], t("与“饱和”同一起点，只换交叉熵：斜率约掉了，4 步后全对。", "The start of “Saturated”, but cross-entropy: the slope cancels. All right after 4 steps.")),
        "saturated": Preset(t("饱和", "Saturated"), PRESETS["saturated"], t("平均斜率 3.5×10⁻⁶，梯度 4.7×10⁻⁶：300 步后准确率仍是 0%。", "Mean slope 3.5×10⁻⁶, gradient 4.7×10⁻⁶: accuracy still 0% after 300 steps."), breaks=True),
        "dead_relu": Preset(t("死亡 ReLU", "Dead ReLU"), PRESETS["dead_relu"], t("每个点的 z 都小于 0：梯度恰好是 0，准确率一直 75%（全猜 0）。", "z is below 0 at every point: the gradient is exactly 0, accuracy stays at 75% (always class 0)."), breaks=True),
        "step": Preset(t("阶跃", "Step"), PRESETS["step"], t("阶跃处处是平的：梯度恰好是 0，300 步后权重一点没动。", "A step is flat everywhere: the gradient is exactly 0; after 300 steps no weight has moved."), breaks=True),
        "xor": Preset(t("异或", "XOR"), PRESETS["xor"], t("没有线分得开：损失停在 0.6931 = ln 2，准确率 50%。", "No line parts it: the loss stops at 0.6931 = ln 2, accuracy 50%."), breaks=True),
        "perceptron_xor": Preset(t("感知器 异或", "Perceptron XOR"), PRESETS["perceptron_xor"], t("规则停不下来，准确率从不超过 75%。", "The rule never comes to rest, and accuracy is never above 75%."), breaks=True),
        "diverging": Preset(t("发散", "Diverging"), PRESETS["diverging"], t("恒等激活、平方误差，学习率 0.5 太大：6 步后发散。", "Identity and squared error: rate 0.5 is too large. Diverges after 6 steps."), breaks=True),
    },
)  # fmt: skip

above, side = lesson.columns(3, 1)
with side:
    inputs = controls.slider("inputs", t("输入个数", "Inputs"), help=t("第三个输入是乘积 x₁x₂。", "The third input is the product x₁x₂."))  # fmt: skip
    controls.choice("activation", t("激活函数", "Activation function"), pictures.activations())
    st.caption(t("w、b 是训练的起点，x 是要看的输入。", "w, b: where training starts. x: the input to look at."))
    left, right = st.columns(2)
    with left:
        for number in range(1, inputs + 1):
            controls.slider(f"weight_{number}", f"$w_{number}$", format="%.1f")  # fmt: skip
        controls.slider("bias", t("偏置 $b$", "Bias $b$"), format="%.1f")
    with right:
        for number in range(1, 3 if inputs > 1 else 2):
            controls.slider(f"x{number}", f"$x_{number}$", format="%.1f")  # fmt: skip
        if inputs == 3:
            st.caption(f"$x_1x_2 = {pictures.plain(controls.value('x1') * controls.value('x2'))}$")
    config = lesson.config(controls, explain)
x = (controls.value("x1"), controls.value("x2"))

live = Live(controls, {"neuron": config}, limit=4_000_000)
now = live.snapshot()
with formula:
    st.latex(pictures.general(config) if live.playing else pictures.formula(config, now.state, x))
with above:
    live.picture(partial(pictures.forward, x=x))
    st.caption(t("边越粗，权重越大；蓝色为负，橙色为正。虚线是导数，点是现在的 z。训练时一起动。", "The thicker an edge, the larger its weight; blue is negative, orange positive. Dashed: the derivative; dots: the current z. All of it moves while training."))  # fmt: skip

lesson.heading("它怎么学会分两类", "How it learns to tell two classes apart")
plane, side = lesson.columns(3, 1)
with side:
    controls.choice(
        "data",
        t("数据", "Data"),
        {
            "and_gate": t("与", "AND"), "or_gate": t("或", "OR"), "xor_gate": t("异或", "XOR"),
            "separable": t("两团，可分", "Two blobs, separable"), "overlapping": t("两团，重叠", "Two blobs, overlapping"),
        },
    )  # fmt: skip
    controls.slider("noise", t("噪声", "Noise"), format="%.2f")
    if config.activation == "sigmoid":
        controls.choice("loss", t("损失", "Loss"), {"cross_entropy": t("交叉熵", "Cross-entropy"), "squared": t("平方误差", "Squared error")})  # fmt: skip
    if config.activation == "step":
        controls.choice("rule", t("学习规则", "Learning rule"), {"gradient": t("梯度", "Gradient"), "perceptron": t("感知器", "Perceptron")})  # fmt: skip
    controls.toggle("held_out", t("显示测试点", "Show held-out points"))
    with st.expander(t("更多设置", "More settings"), key="neuron_more"):
        controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
        controls.slider("batch_size", t("批大小", "Batch size"), help=t("每步用几个点；100 是全部。", "Points per update; 100 are all."))  # fmt: skip
    with st.expander(t("动手改现在的权重", "Edit the current weights by hand"), key="neuron_by_hand"):
        names = {f"weight_{number}": f"$w_{number}$" for number in range(1, inputs + 1)} | {"bias": "$b$"}
        if controls.value("hand") not in names:
            controls.correct(hand="bias")
        controls.choice("hand", t("哪一个", "Which"), names)
        controls.number("to", t("改成", "New value"), step=0.5)
        st.button(t("改", "Set"), key="neuron_set", icon=":material/edit:", on_click=set_by_hand, disabled=live.replayed is not None, width="stretch")  # fmt: skip
config = live.race.configs["neuron"]
with plane:
    live.picture(partial(pictures.learning, x=x, held_out=controls.value("held_out")), on_click=look_at)
    st.caption(t("底色是输出，黑线是决策线，粉圈是上面的 x：点哪里，它就到哪里。全速一眨眼就学完；速度调到 10/秒，看线怎么走。", "Shade: the output; black: the decision line; pink ring: the x above, which goes where you click. At full speed it is over in a blink: 10/s shows how the line moves."))  # fmt: skip
    if config.activation == "step" and config.rule == "gradient":
        length = saturation(config, now.state).gradient
        st.info(t(f"梯度长度：**{length:g}**。阶跃函数处处是平的，梯度下降一步也走不动。感知器规则不求导，只看对错。", f"Length of the gradient: **{length:g}**. A step is flat everywhere, so gradient descent stands still. The perceptron rule takes no derivative: it only asks what was wrong."), icon=":material/pause_circle:")  # fmt: skip
        st.button(t("改用感知器规则", "Use the perceptron rule"), key="neuron_perceptron", icon=":material/bolt:", on_click=controls.put, kwargs={"rule": "perceptron"})  # fmt: skip
    elif config.activation == "relu" and saturation(config, now.state).dead == 1:
        st.info(t("每个训练点的导数都恰好是 0：训练动不了它。在右边动手改一个权重，让有些点的 z 大于 0。", "The slope is exactly 0 at every training point: training cannot move it. Edit one weight by hand, on the right, so that z is above 0 at some points."), icon=":material/pause_circle:")  # fmt: skip
    elif config.data == "xor_gate" and config.inputs < 3:
        st.info(t("异或的两类各占一条对角线，没有直线能分开。把输入个数调到 3，加上 $x_1x_2$ 再试。", "Each class of XOR sits on a diagonal: no straight line parts them. Set the inputs to 3, which adds $x_1x_2$, and try again."), icon=":material/lightbulb:")  # fmt: skip
live.panel()

lesson.heading("从 0 开始：一个没事，一层不行", "Starting at zero: fine for one, not for a layer")
zero, drawn = twins(0.0, "xor_gate"), twins(1.0, "xor_gate")
one, pair, apart = st.columns(3)
one.metric(t("一个神经元从 0 学“与”", "One neuron, AND, from zero"), t(f"第 {alone()} 步全对", f"learned at step {alone()}"), border=True)  # fmt: skip
pair.metric(t("隐藏层两个，异或，从 0", "Two hidden neurons, XOR, from zero"), f"{zero.accuracy:.0%}", border=True)
apart.metric(t("隐藏层两个，异或，随机", "Two hidden neurons, XOR, random"), f"{drawn.accuracy:.0%}", border=True)
difference, loss = st.columns(2, gap="large")
for place, of, title in (
    (difference, "difference", t("两个隐藏神经元的最大差别", "Largest difference of the two neurons")),
    (loss, "loss", t("损失", "Loss")),
):
    place.altair_chart(readable(pictures.twins_chart(zero, drawn, of, title)), alt=title, key=f"neuron_twins_{of}")
st.markdown(t(f"从 0 开始，两个隐藏神经元每一步得到同样的梯度：{TWINS_STEPS} 步后差别仍是 {float(zero.difference[-1]):g}，等于只有一个。一个 sigmoid 神经元没有这种对称，从 0 开始也无妨。", f"From zero both hidden neurons get the same gradient at every step: after {TWINS_STEPS} steps they still differ by {float(zero.difference[-1]):g}, and are one neuron in effect. A single sigmoid neuron has no such symmetry, so zero does no harm."))  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("神经元先求和再激活：$z=\\mathbf{w}^\\top\\mathbf{x}+b$，$a=f(z)$。", "A neuron sums, then activates: $z=\\mathbf{w}^\\top\\mathbf{x}+b$, $a=f(z)$."),
    t("权重决定决策线的方向，偏置把它平移。一条线分不开异或；加上 $x_1x_2$ 就可以。", "The weights turn the decision line, the bias shifts it. No line parts XOR; with $x_1x_2$ as an input it can be done."),
    t("梯度要乘上 $f'(z)$：饱和时几乎是 0，死亡 ReLU 和阶跃恰好是 0。", "The gradient carries the factor $f'(z)$: nearly 0 when saturated, exactly 0 for a dead ReLU or a step."),
    t("sigmoid 配交叉熵时，$f'(z)$ 约掉：错得越离谱，走得越快。", "With cross-entropy the sigmoid's $f'(z)$ cancels: the more wrong, the faster it learns."),
    t("感知器规则不求导；数据线性可分时，走有限步就停。", "The perceptron rule takes no derivative; on linearly separable data it stops after finitely many steps."),
)  # fmt: skip
