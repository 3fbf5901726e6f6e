"""Gradient descent: five methods go down the same surface from the same place."""

from dataclasses import replace
from functools import partial

import streamlit as st
import torch

from core.gradient_descent import (
    METHODS,
    PRESETS,
    GradientDescentConfig,
    curvatures,
    height,
    minima,
    race,
    rate_limit,
    slope,
)
from pages.ui import challenges, lesson, predict
from pages.ui import pictures_gradient_descent as pictures
from pages.ui import questions_gradient_descent as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term


def explain(error: ValueError) -> str:
    """No two settings exclude each other; a value out of its limits is the only cause."""
    return t("这些设置不能用。", "These settings cannot be used.")


def choose_start(cell: tuple[str, int, int]) -> None:
    _, row, column = cell
    x, y = pictures.place_of(row, column)
    controls.put(start_x=x, start_y=y)


controls = lesson.begin("gradient_descent", GradientDescentConfig())
controls.view("together", True)
formula = st.container()
lesson.presets(
    controls,
    {
        "bowl": Preset(t("碗", "Bowl"), PRESETS["bowl"], t("横着比顺着陡 20 倍。到谷底 0.1 以内：Nesterov 7 步，动量 36，随机梯度下降 59，RMSProp 264，Adam 617。", "20 times steeper across than along. Within 0.1 of the bottom: Nesterov in 7 steps, momentum 36, SGD 59, RMSProp 264, Adam 617.")),
        "round": Preset(t("圆碗", "Round bowl"), PRESETS["round"], t("条件数 1：梯度直指谷底，随机梯度下降只要 6 步；动量反而冲过头，要 40 步。", "Condition number 1: every gradient points at the bottom and SGD needs 6 steps. Momentum overshoots and takes 40.")),
        "narrow": Preset(t("窄谷", "Narrow valley"), PRESETS["narrow"], t("条件数 100：随机梯度下降 228 步，动量 46，Nesterov 44；Adam 2,000 步还没到。", "Condition number 100: SGD takes 228 steps, momentum 46, Nesterov 44; Adam is not there after 2,000.")),
        "rosenbrock": Preset("Rosenbrock", PRESETS["rosenbrock"], t("香蕉形的谷底几乎是平的：只有动量（900 步）和 Nesterov（939 步）在 2,000 步内走到。", "A banana-shaped valley with a nearly flat floor: only momentum (900 steps) and Nesterov (939) arrive within 2,000.")),
        "himmelblau": Preset("Himmelblau", PRESETS["himmelblau"], t("四个极小点。从正中出发，动量冲进另一个谷 (3.58, −1.85)，别的都到 (3, 2)。", "Four minima. From the middle momentum is carried into another valley, (3.58, −1.85); all others go to (3, 2).")),
        "saddle": Preset(t("鞍点", "Saddle"), PRESETS["saddle"], t("偏离山脊 0.1 就够了：RMSProp 20 步到，Nesterov 25，随机梯度下降 48，Adam 60，动量 62。", "0.1 off the ridge is enough: RMSProp arrives in 20 steps, Nesterov 25, SGD 48, Adam 60, momentum 62.")),
        "digits": Preset(t("真的损失", "A real loss"), replace(PRESETS["digits"], start_x=-2.0, start_y=-4.0, learning_rate=0.1), t("一个神经元用两个像素区分手写的 1 和 6，每步看 16 张图，路会抖。到 0.5 以内：动量和 Nesterov 332 步，RMSProp 351，Adam 625；1,500 步后随机梯度下降还差 1.1。", "A neuron tells handwritten 1 from 6 by two pixels; 16 digits per step make the ways jitter. Within 0.5: momentum and Nesterov in 332 steps, RMSProp 351, Adam 625; SGD is still 1.1 away after 1,500.")),
        "too_fast": Preset(t("太快", "Too fast"), PRESETS["too_fast"], t("0.105 略过界限 2/λ = 0.1：随机梯度下降第 70 步发散，Nesterov 第 8 步；动量 51 步到。", "0.105 is just past 2/λ = 0.1: SGD diverges at step 70, Nesterov at step 8; momentum arrives in 51."), breaks=True),
        "nesterov_too_fast": Preset(t("只有 Nesterov 太快", "Too fast for Nesterov"), PRESETS["nesterov_too_fast"], t("0.08 超过 Nesterov 的界限 0.068：第 17 步发散；随机梯度下降 36 步就到。", "0.08 exceeds Nesterov's limit of 0.068: it diverges at step 17, while SGD arrives in 36."), breaks=True),
        "ridge": Preset(t("山脊", "Ridge"), PRESETS["ridge"], t("正好从山脊出发，没有梯度指向两边：五种方法都停在损失 2.25。", "Started exactly on the ridge, no gradient leads off it: all five stop at a loss of 2.25."), breaks=True),
        "trembling": Preset(t("发抖", "Trembling"), PRESETS["trembling"], t("学习率 1：RMSProp 25 步到，128 步后又跳出来，跳到 4 以外。它忘了坡有多陡，步子又变大。", "Learning rate 1: RMSProp arrives in 25 steps and after step 128 jumps out again, more than 4 away. It forgets how steep it was, and its steps grow."), breaks=True),
        "noisy": Preset(t("噪声", "Noise"), PRESETS["noisy"], t("梯度加上标准差 10 的噪声：300 步后随机梯度下降仍在 1.6 外晃，动量在 3.4 外；RMSProp 只差 0.05。", "Noise of standard deviation 10 on each gradient: after 300 steps SGD still wanders 1.6 away, momentum 3.4; RMSProp 0.05."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(3, 2)
with side:
    surface = controls.choice(
        "surface",
        t("曲面", "Surface"),
        {
            "bowl": t("二次碗", "Quadratic bowl"),
            "rosenbrock": t("Rosenbrock 香蕉谷", "Rosenbrock's banana valley"),
            "saddle": t("鞍点", "Saddle"),
            "himmelblau": t("Himmelblau：四个极小点", "Himmelblau: four minima"),
            "digits": t("真的：神经元的两个权重", "Real: two weights of a neuron"),
        },
    )
    first, second = st.columns(2)
    if surface == "bowl":
        with first:
            controls.slider("condition", t("条件数 κ", "Condition number κ"), help=t("横着比顺着陡几倍：λ 最大 / λ 最小。", "How many times steeper across than along: λ_max / λ_min."))  # fmt: skip
        with second:
            controls.slider("angle", t("谷的方向（度）", "Angle of the valley (°)"))
    with first:
        controls.slider("momentum", t("动量 β", "Momentum β"), help=t("动量和 Nesterov 保留上一步的多少。", "How much of the last step momentum and Nesterov keep."))  # fmt: skip
    with second:
        controls.slider("noise", t("梯度噪声", "Gradient noise"), help=t("加到梯度每个分量上的标准差。", "Standard deviation of what is added to each component of the gradient."))  # fmt: skip
    if surface == "digits":
        controls.slider("batch_size", t("批大小（0 = 全部）", "Batch size (0 = all)"), help=t("每步用几张图算梯度。", "Digits that a gradient is computed from."))  # fmt: skip
    first, second = st.columns(2)
    with first:
        controls.slider("start_x", t("起点 x", "Start x"))
    with second:
        controls.slider("start_y", t("起点 y", "Start y"))
with picture:
    map_place = st.container()
    first, second = st.columns([2, 3], vertical_alignment="bottom")
    with first:
        together = controls.toggle("together", t("五种方法一起跑", "Race all five methods"))
    with second:
        method = controls.choice("method", t("看哪一种", "Method to watch"), {name: term(name) for name in METHODS}, help=t("一起跑时它的线更粗；否则只跑它。", "In the race its line is thicker; otherwise it runs alone."))  # fmt: skip
    config = lesson.config(controls, explain)

live = Live(controls, race(config) if together else {method: config}, limit=1_000_000)
rate = controls.value("learning_rate")
start = torch.tensor([config.start_x, config.start_y], dtype=torch.float64)
with formula, st.container(horizontal=True, gap="medium", vertical_alignment="center"):
    g1, g2 = slope(config, start).tolist()
    st.latex(r"\mathbf p \leftarrow \mathbf p - \eta\,\nabla f(\mathbf p)", width="content")
    st.latex(
        rf"\begin{{pmatrix}}{config.start_x:g}\\{config.start_y:g}\end{{pmatrix}}-{rate:g}\begin{{pmatrix}}{g1:.3g}\\{g2:.3g}\end{{pmatrix}}"
        rf"=\begin{{pmatrix}}{config.start_x - rate * g1:.3g}\\{config.start_y - rate * g2:.3g}\end{{pmatrix}}",
        width="content",
    )
    st.caption(t(f"随机梯度下降的第一步，从高度 {height(config, start).item():.3g} 起", f"SGD's first step, from height {height(config, start).item():.3g}"), width="content")  # fmt: skip
with map_place:
    live.picture_all(partial(pictures.descent, focus=method), on_click=choose_start)
    st.caption(t("**点图上任意一处，就从那里出发。** 暗处低，光从左上来；× 是极小点，○ 是起点，空心的记号已走出图外。全速一眨眼就到：速度调到 10/秒 看得清。", "**Click anywhere on the map to start there.** Dark is low, the light comes from the upper left; × marks a minimum, ○ the start; a hollow sign has left the map that way. At full speed it is over in a blink: 10/s shows how."))  # fmt: skip
live.panel()

lesson.heading("学习率能有多大", "How large may the learning rate be?")
goal = min(minima(config), key=lambda place: float((place - start).norm()))
steepest = curvatures(config, goal)[1].item()
where = t("整个碗上", "everywhere on the bowl") if surface == "bowl" else t(f"最近的极小点 ({goal[0]:.2f}, {goal[1]:.2f}) 旁", f"close to the nearest minimum ({goal[0]:.2f}, {goal[1]:.2f})")  # fmt: skip
st.markdown(
    t(
        f"最陡方向的曲率 $\\lambda_{{\\max}}={steepest:.4g}$（{where}），$\\beta={config.momentum:g}$，现在 $\\eta={rate:g}$。过了界限，每一步都冲过头，一次比一次远。RMSProp 和 Adam 的步长不随梯度变大：太快时不走远，只发抖。",
        f"The curvature in the steepest direction is $\\lambda_{{\\max}}={steepest:.4g}$ ({where}), $\\beta={config.momentum:g}$, and now $\\eta={rate:g}$. Past its limit a method overshoots farther with every step. The steps of RMSProp and Adam do not grow with the gradient: too fast, they do not run away but tremble.",
    )
)
bounds = {
    "sgd": r"\frac{2}{\lambda_{\max}}",
    "momentum": r"\frac{2(1+\beta)}{\lambda_{\max}}",
    "nesterov": r"\frac{2(1+\beta)}{(1+2\beta)\,\lambda_{\max}}",
}
rows = [t("| 方法 | 界限 | 现在的 η |", "| Method | Limit | η now |"), "|:--|:--|:--|"]
for name in METHODS:
    limit = rate_limit(name, steepest, config.momentum)
    if limit is None:
        known, state = t("没有公式", "no formula"), "–"
    else:
        known = f"${bounds[name]}$ = **{limit:.3g}**"
        state = f":red[:material/error: {rate / limit:.0%}]" if rate > limit else f"{rate / limit:.0%}"  # fmt: skip
    rows.append(f"| {term(name)} | {known} | {state} |")
st.markdown("\n".join(rows))
with st.expander(t("每种方法怎样走一步", "How each method takes a step"), icon=":material/functions:"):
    st.markdown(t("$\\mathbf g$ 是梯度，乘方、开方和除法逐个分量；$\\hat{\\;}$ 是除以 $1-\\beta^k$ 的校正（第 $k$ 步）。", "$\\mathbf g$ is the gradient; squares, roots and quotients are taken component by component; $\\hat{\\;}$ is the correction by $1-\\beta^k$ (step $k$)."))  # fmt: skip
    for name, rule in {
        "sgd": r"\mathbf p \leftarrow \mathbf p-\eta\,\mathbf g",
        "momentum": r"\mathbf v\leftarrow\beta\mathbf v+\mathbf g,\quad \mathbf p\leftarrow\mathbf p-\eta\,\mathbf v",
        "nesterov": r"\mathbf v\leftarrow\beta\mathbf v+\mathbf g,\quad \mathbf p\leftarrow\mathbf p-\eta\,(\mathbf g+\beta\mathbf v)",
        "rmsprop": r"\mathbf s\leftarrow 0.99\,\mathbf s+0.01\,\mathbf g^2,\quad \mathbf p\leftarrow\mathbf p-\eta\,\mathbf g/\sqrt{\mathbf s}",
        "adam": r"\mathbf v\leftarrow 0.9\,\mathbf v+0.1\,\mathbf g,\quad \mathbf s\leftarrow 0.999\,\mathbf s+0.001\,\mathbf g^2,\quad \mathbf p\leftarrow\mathbf p-\eta\,\hat{\mathbf v}/\sqrt{\hat{\mathbf s}}",
    }.items():
        st.markdown(f"{term(name)}: ${rule}$")

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("梯度指向最陡的上坡，不指向谷底；条件数越大，差得越远，随机梯度下降就在谷壁间来回。", "The gradient points up the steepest slope, not away from the bottom: the larger the condition number, the more plain descent goes to and fro between the walls."),
    t("学习率的界限由最陡的方向定，速度由最平的方向定。", "The steepest direction limits the learning rate; the flattest one decides how long it takes."),
    t("动量累积一致的方向、抵消来回的方向；同样的 β，Nesterov 更快，但能承受的学习率更小。", "Momentum adds up what agrees and cancels what goes to and fro. With the same β Nesterov is faster here, but stands a smaller learning rate."),
    t("RMSProp 和 Adam 给每个方向各自的步长：不怕陡；但学习率不变时，RMSProp 到了谷底还会跳出来。", "RMSProp and Adam scale each coordinate by itself: steep slopes do not matter. But with a rate that stays the same RMSProp may jump out of the bottom again."),
)  # fmt: skip
