"""Vanishing and exploding gradients: how far back the last step's loss can be felt, in three recurrent cells."""

from functools import partial

import streamlit as st

from core.config import SettingError, Span
from core.data.sequences import SERIES_LENGTHS, steps_of
from core.gradient_flow import PRESETS, GradientFlowConfig, race, time_steps
from core.optimizers import OPTIMIZERS
from pages.ui import challenges, lesson, own_series, predict, scene
from pages.ui import pictures_gradient_flow as pictures
from pages.ui import questions_gradient_flow as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.pictures_sequences import tasks
from pages.ui.text import t, term


def explain(error: ValueError) -> str:
    """A series that is not there yet, or too short for the sequence length."""
    if isinstance(error, SettingError) and error.field == "series":
        return t(f"还没有自己的序列：先在“任务与优化器”里上传一个 CSV（{SERIES_LENGTHS[0]}–{SERIES_LENGTHS[-1]} 个值）。", f"There is no series of yours yet: upload a CSV under “Task and optimizer” ({SERIES_LENGTHS[0]}–{SERIES_LENGTHS[-1]} values).")  # fmt: skip
    if isinstance(error, SettingError) and error.field == "length":
        return t(f"序列太短：它的训练部分放不下这么长的一段，长度最多 {error.limits[-1]}。", f"The series is too short: its training part holds windows of at most {error.limits[-1]} steps.")  # fmt: skip
    return t("这些设置不能用。", "These settings cannot be used.")


UNITS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
controls = lesson.begin("gradient_flow", GradientFlowConfig())
controls.view("relative", False)
controls.view("back", 10, range(1, steps_of("copying", controls.limits["length"][-1])))
controls.view("diagonal", 0.9, Span(0.0, 1.2, 0.05))
controls.view("coupling", 5.0, Span(0.0, 10.0, 0.5))
controls.view("power", 9, range(pictures.POWERS + 1))
controls.view("factor", 2.0, Span(0.1, 6.0, 0.05))
formula = st.container()
lesson.presets(
    controls,
    {
        "gates": Preset(t("门控记得住", "Gates carry it"), PRESETS["gates"], t("回忆 60 步以前的符号。RNN 的梯度到第 1 步只剩 7×10⁻¹⁰，更新 500 次仍在猜；LSTM 沿 c 有 2.3 倍，5 次就会；GRU 剩 0.004，256 次学会。", "Recall a symbol 60 steps later. 7×10⁻¹⁰ of the RNN's gradient reaches step 1: it still guesses after 500 updates. Along c the LSTM has 2.3 times and is right after 5; the GRU, with 0.004, after 256.")),
        "rotation": Preset(t("旋转", "A rotation"), PRESETS["rotation"], t("谱半径 1：每一步几乎只是旋转，RNN 的梯度到第 1 步还剩 0.52，18 步就学会。", "Spectral radius 1: each step hardly does more than turn. 0.52 of the RNN's gradient arrives, and it has learned after 18 updates.")),
        "clipped": Preset(t("爆炸与截断", "Explosion, clipped"), PRESETS["clipped"], t("线性 RNN，谱半径 1.05，SGD。不截断：梯度冲过 1,000，第 19 步发散；按范数截断 16 步学会，按值截断 8 步。", "A linear RNN, spectral radius 1.05, SGD. Not clipped, the gradient jumps past 1,000 and step 19 diverges; clipped by norm it has learned after 16 updates, by value after 8.")),
        "amplified": Preset(t("Adam 放大", "Adam amplifies"), PRESETS["amplified"], t("RNN 的梯度到第 1 步只剩 9×10⁻⁷，Adam 却用 100 步左右教会了它：Adam 除以梯度自己的大小，U 照样走大步。", "9×10⁻⁷ of the RNN's gradient reaches step 1, and yet Adam teaches it in about 100 steps: it divides by the gradient's own size, and U keeps moving.")),
        "adding": Preset(t("加法问题", "Adding problem"), PRESETS["adding"], t("GRU 第 448 步的误差降到 0.006；这时 LSTM 是 0.18，RNN 是 0.19，还不如总猜 1（1/6）。", "At step 448 the GRU's error is 0.006; the LSTM is at 0.18, the RNN at 0.19, no better than always saying 1 (1/6).")),
        "digits": Preset(t("逐行读数字", "Digits by rows"), PRESETS["digits"], t("真的手写数字：读完 8 行，再空等 32 步才问是几。300 步后 LSTM 约 60%，GRU 42%，RNN 33%。", "Real handwritten digits: 8 rows, then 32 empty steps before the question. After 300 updates LSTM about 60%, GRU 42%, RNN 33%.")),
        "in_vain": Preset(t("截断没用", "Clipping in vain"), PRESETS["in_vain"], t("谱半径 0.7，SGD：梯度本来就不长（至多 0.5），截到 0.1 也没用。200 步后三个都在猜，传到第 1 步的仍是 6×10⁻¹⁰。", "Spectral radius 0.7, SGD: the gradient is never long (0.5 at most), and cutting it to 0.1 helps nothing. After 200 updates all three guess, and 6×10⁻¹⁰ reaches step 1 as before."), breaks=True),
        "shut": Preset(t("门关着", "Gates shut"), PRESETS["shut"], t("偏置 −2：门开始时约 0.12，忘得太快。传到第 1 步的，LSTM 是 6×10⁻³³，GRU 是 5×10⁻²³；200 步后三个都在猜。", "Bias −2: the gates start at about 0.12 and forget. 6×10⁻³³ reaches step 1 in the LSTM, 5×10⁻²³ in the GRU; after 200 updates all three guess."), breaks=True),
        "sigmoid": Preset("Sigmoid", PRESETS["sigmoid"], t("sigmoid 的 γ 是 ¼：谱半径 1，RNN 传到第 1 步的只有 9×10⁻³⁸，200 步后仍在猜；要爆炸，奇异值得大于 4。", "Sigmoid has γ = ¼: with spectral radius 1 only 9×10⁻³⁸ arrives in the RNN, which still guesses after 200 updates. To explode it would need a singular value above 4."), breaks=True),
        "overflow": Preset(t("溢出", "Overflow"), PRESETS["overflow"], t("状态在 ±1 之内，损失有限；但谱半径 8、200 步，RNN 的梯度从 t ≈ 70 往前超过 3.4×10³⁸，float32 写成 NaN（float64 里超过 10⁵⁵）。更新一步，循环权重全成 NaN，第 2 步发散。", "The states stay within ±1 and the loss is finite; but with spectral radius 8 and 200 steps the RNN's gradient is past 3.4×10³⁸ from t ≈ 70 back, and float32 has NaN (float64: past 10⁵⁵). One update makes all recurrent weights NaN; step 2 diverges."), breaks=True),
    },
)  # fmt: skip

above, side = lesson.columns(2, 1)
with side:
    controls.slider("length", t("序列长度 T", "Sequence length T"), help=t("一个序列有几步；“复制”里是中间隔几步。", "Steps of a sequence; of “copying” the delay between."))  # fmt: skip
    controls.slider("radius", t("U 的谱半径", "Spectral radius of U"), help=t("U 开始时是正交矩阵乘以这个数：所有奇异值都等于它。", "U starts as an orthogonal matrix times this number: all its singular values equal it."))  # fmt: skip
    controls.choice("activation", t("RNN 的激活函数", "Activation of the RNN"), {"tanh": "tanh", "relu": "ReLU", "sigmoid": "σ", "identity": t("线性", "linear")})  # fmt: skip
    controls.slider("forget_bias", t("“保留”门的偏置", "Bias of the gate that keeps"), help=t("LSTM 的遗忘门、GRU 的更新门：偏置越大，门开始时越接近 1，旧状态留得越多。", "The LSTM's forget gate and the GRU's update gate: the larger, the closer to 1 they start, and the more is kept."))  # fmt: skip
    comparison = controls.choice("compare", t("并排训练", "Train side by side"), {"cells": t("三种单元", "Three cells"), "clipping": t("截断与否", "With and without clipping")})  # fmt: skip
    if comparison == "cells":
        kind = controls.choice("clip_by", t("梯度截断", "Gradient clipping"), {"none": t("不截断", "none"), "norm": t("按范数", "by norm"), "value": t("按值", "by value")})  # fmt: skip
    else:
        kind = "norm"
        controls.choice("unit", t("哪一种单元", "Which cell"), UNITS)
    if kind != "none":
        controls.slider("clip", t("截断到", "Clip to"), help=t("按范数：整个梯度的长度至多这么大，方向不变。按值：每个分量的绝对值至多这么大。", "By norm: the whole gradient is at most this long and keeps its direction. By value: each component is at most this large."))  # fmt: skip
    controls.toggle("relative", t("相对最后一步", "Relative to the last step"))
    with st.expander(t("任务与优化器", "Task and optimizer"), key="gradient_flow_more", on_change="rerun") as more:
        if more.open:
            task = controls.choice("task", t("任务", "Task"), tasks())
            if task == "own":
                own_series.panel(controls, length=min(controls.value("length"), 8))
            if task == "recall":
                controls.slider("distractors", t("干扰的比例", "Distractors"), help=t("后面的步子有多大可能再出现一个无关的字母。", "How likely a later step shows another letter that means nothing."))  # fmt: skip
            controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
            controls.slider("hidden", t("隐藏单元", "Hidden units"))
            controls.slider("batch_size", t("批大小", "Batch size"))
    config = lesson.config(controls, explain)

live = Live(controls, race(config))
with formula, st.container(horizontal=True, gap="medium", vertical_alignment="center"):
    st.latex(r"\frac{\partial L_T}{\partial \mathbf h_t}=\Big(\prod_{k=t+1}^{T} U^{\top}\operatorname{diag}\big(f'(\mathbf z_k)\big)\Big)\frac{\partial L_T}{\partial \mathbf h_T}", width="content")  # fmt: skip
    st.latex(pictures.bound_in_numbers(config), width="content")
with above:
    live.picture_all(partial(pictures.travel, relative=controls.value("relative")))
    st.caption(
        t(
            "L 是第 T 步的损失。格子里是梯度的长度；颜色是它相对最后一步的倍数，箭头越细，剩下的越少。LSTM 有两条路：c 是单元状态（记忆走的路），h 是隐状态。",
            "L is the loss of step T. Each cell has the gradient's length; its colour compares it with the last step, and a thin arrow has little left. An LSTM has two paths: c, the cell state (the path of the memory), and h.",
        )
        if config.compare == "cells"
        else t(
            "同一个单元、同一起点、同样的批次，只差截断。训练前三行相同：截断改的是更新，不是梯度走的路。",
            "One cell, one start, the same batches; only the clipping differs. Before training the rows are equal: clipping changes the update, not the way of the gradient.",
        )
    )
    if message := pictures.out_of_range(live.race.configs, {name: live.snapshot(name) for name in live.race.configs}):
        st.info(message, icon=":material/memory:")
training = st.container()  # stands here, and comes last: it draws the picture below too
with st.expander(t("一个因子一个因子地乘：雅可比矩阵的乘积和它的界", "Factor by factor: the product of Jacobians and its bounds"), key="gradient_flow_chain", icon=":material/grid_on:", on_change="rerun") as part:  # fmt: skip
    if part.open:
        factors = time_steps(config) - 1
        controls.limits["back"] = range(1, factors + 1)
        controls.correct(back=min(controls.value("back"), factors))
        first, second = st.columns(2)
        with first:
            if factors > 1:
                controls.slider("back", t("从最后一步往前，乘几个因子", "Factors, from the last step backwards"))
        with second:
            if config.compare == "cells":
                unit = controls.choice("unit", t("哪一种单元", "Which cell"), UNITS)
        live.picture(partial(pictures.factors, back=controls.value("back")), run=pictures.name_of(config, controls.value("unit")))  # fmt: skip
        st.caption(pictures.verdict(config, controls.value("unit")))
with training:
    live.panel()

lesson.heading("谱半径小于 1，也会先长大", "A spectral radius below 1, and yet it grows first")
numbers, shown = lesson.columns(1, 3)
with numbers:
    controls.slider("diagonal", t("对角线 a", "Diagonal a"), format="%.2f")
    controls.slider("coupling", t("耦合 b", "Coupling b"))
    controls.slider("power", t("次方 t", "Power t"))
a, b = controls.value("diagonal"), controls.value("coupling")
with shown:
    scene.show(pictures.shear(a, b, controls.value("power")), "gradient_flow_shear")
found = pictures.shear_of(a, b)
st.markdown(
    t(
        f"$W=\\begin{{pmatrix}}{a:g}&{b:g}\\\\0&{a:g}\\end{{pmatrix}}$ 的谱半径是 **{found.radius:.3g}**，最大奇异值是 **{found.sigma:.3g}**；$\\|W^t\\|$ 在 $t={found.peak}$ 时最大，**{found.norms[found.peak]:.3g}**。谱半径管的是最后的去向，最大奇异值管的是每一步。",
        f"$W=\\begin{{pmatrix}}{a:g}&{b:g}\\\\0&{a:g}\\end{{pmatrix}}$ has spectral radius **{found.radius:.3g}** and largest singular value **{found.sigma:.3g}**; $\\|W^t\\|$ is largest at $t={found.peak}$, **{found.norms[found.peak]:.3g}**. The spectral radius decides where it ends, the largest singular value what a step may do.",
    )
)
with st.expander(t("float32 到哪里为止", "Where float32 ends"), key="gradient_flow_float", icon=":material/memory:", on_change="rerun") as part:  # fmt: skip
    if part.open:
        factor = controls.slider("factor", t("每一步乘的数", "The number multiplied at each step"), format="%.2f")
        scene.show(pictures.overflow(factor), "gradient_flow_overflow")
        st.caption(t("float32 没有比 3.4×10³⁸ 大的数，写成 inf；比 1.4×10⁻⁴⁵ 还小的写成 0。这不是数学里的无穷和零，是格子不够用。", "float32 has no number beyond 3.4×10³⁸ and writes inf; below 1.4×10⁻⁴⁵ it writes 0. These are not infinity and nothing: the format has run out of room."))  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("梯度每往回一步乘一个雅可比矩阵 $U^\\top\\operatorname{diag}(f')$。消失是 $\\partial L_T/\\partial\\mathbf h_t$ 随 $T-t$ 指数衰减：不需要哪个因子是 0，$\\partial L/\\partial U$ 也不趋于 0，只是其中来自远处的部分没有了。", "One step back multiplies the gradient by a Jacobian, $U^\\top\\operatorname{diag}(f')$. Vanishing is the exponential decay of $\\partial L_T/\\partial\\mathbf h_t$ with $T-t$: no factor has to be 0, and $\\partial L/\\partial U$ does not go to 0; what it loses is the share of distant steps."),
    t("$U$ 的最大奇异值小于 $1/\\gamma$（tanh 的 $\\gamma=1$，sigmoid 的 $\\gamma=\\tfrac14$）就一定消失；大于 $1/\\gamma$ 才可能爆炸，但不一定。", "A largest singular value of $U$ below $1/\\gamma$ ($\\gamma=1$ for tanh, $\\tfrac14$ for sigmoid) is enough to vanish; one above $1/\\gamma$ is needed to explode, but does not suffice."),
    t("LSTM 的记忆走单元状态：每步的因子大致是遗忘门，偏置大就接近 1。只看 $\\partial L/\\partial\\mathbf h_t$ 会漏掉这条路。", "An LSTM's memory travels along the cell state, whose factor is about the forget gate: near 1 with a large bias. Looking at $\\partial L/\\partial\\mathbf h_t$ alone misses that path."),
    t("截断治爆炸，不治消失：它缩短太长的梯度，不放大太小的。", "Clipping cures explosion, not vanishing: it shortens gradients that are too long and enlarges none."),
)  # fmt: skip
