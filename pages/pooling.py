"""Pooling: shrink a map, keep one number of each window, and mind less where exactly a pattern sits."""

from functools import partial

import streamlit as st

from core.optimizers import OPTIMIZERS
from core.pooling import (
    CANVAS,
    POOLINGS,
    PRESETS,
    PoolingConfig,
    coverage,
    learnable_parameters,
    race,
    reduction,
)
from pages.ui import challenges, lesson, predict, scene
from pages.ui import pictures_pooling as pictures
from pages.ui import questions_pooling as asked
from pages.ui.charts import readable
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term


def choose_window() -> None:
    """A click on a pooled cell: remember where its window begins, so that it stays there when the stride changes."""
    _, row, column = st.session_state["pooling_drawn_maps"]["cell"]
    controls.put(row=row * config.stride, column=column * config.stride)


controls = lesson.begin("pooling", PoolingConfig())
controls.view("look", "maps", ("maps", "window", "gradient", "shift"))
controls.view("digit", 3, range(10))
controls.view("source", "digit", ("digit", "edges"))
controls.view("right", 1, range(4))
controls.view("down", 0, range(4))
row, column = controls.view("row", 8, range(CANVAS)), controls.view("column", 10, range(CANVAS))  # of a window
formula = st.container()

lesson.presets(
    controls,
    {
        "max": Preset(t("最大", "Max"), PRESETS["max"], t("900 步后，四个种子里四次都是最大池化的准确率最高：97%–98%。", "Highest of the three in four of four seeds after 900 steps: 97–98%.")),
        "average": Preset(t("平均", "Average"), PRESETS["average"], t("900 步后四个种子都在 96%–97%。", "96–97% in all four seeds after 900 steps.")),
        "strided_convolution": Preset(t("步长卷积", "Strided conv"), PRESETS["strided_convolution"], t("权重要自己学，种子之间差得最多：900 步后 91%–96%。", "It has to learn its weights, and seeds differ most: 91–96% after 900 steps.")),
        "overlapping": Preset(t("重叠", "Overlapping"), PRESETS["overlapping"], t("3×3 窗口、步长 2：相邻窗口共用一行。600 步后 96%，与不重叠差不多。", "3×3 windows, stride 2: neighbours share a row. 96% after 600 steps, much like without overlap.")),
        "no_reduction": Preset(t("不缩小", "No reduction"), PRESETS["no_reduction"], t("1×1 窗口什么也没做：准确率 96%，参数却多得多，每秒步数约三分之一。", "A 1×1 window does nothing: 96%, with many more parameters and about a third of the steps per second.")),
        "gaps": Preset(t("跳过", "Gaps"), PRESETS["gaps"], t("步长大于核：256 格里有 220 格没有窗口读到。600 步后 80%。", "The stride exceeds the kernel: 220 of 256 cells are in no window. 80% after 600 steps."), breaks=True),
        "one_cell": Preset(t("只剩一格", "One cell"), PRESETS["one_cell"], t("两次 4×4 平均把整张图压成一格，形状丢了。600 步后 76%。", "Averaging 4×4 twice leaves one cell of the whole picture; shape is lost. 76% after 600 steps."), breaks=True),
        "never_shifted": Preset(t("从不挪动", "Never shifted"), PRESETS["never_shifted"], t("只见过居中的数字：600 步后训练 100%，挪动过的测试数字只认出 16%。池化容忍一两个像素，容忍不了四个。", "It has seen centred digits only: 100% in training, 16% on shifted ones after 600 steps. Pooling tolerates a pixel or two, not four."), breaks=True),
        "too_fast": Preset(t("太快", "Too fast"), PRESETS["too_fast"], t("学习率 0.1：损失停在 2.3（= ln 10，瞎猜），600 步后 10%。", "Learning rate 0.1: the loss stays near 2.3 (= ln 10, guessing); 10% after 600 steps."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns()
with side:
    controls.slider("kernel", t("窗口大小 k", "Kernel size k"), help=t("方形窗口的边长（格）。", "Side of the square window, in cells."))  # fmt: skip
    controls.slider("stride", t("步长 s", "Stride s"), help=t("相邻两个窗口隔几格。", "Cells between two windows."))
    controls.slider("right", t("数字右移（像素）", "Digit moved right (pixels)"))
    controls.slider("down", t("数字下移（像素）", "Digit moved down (pixels)"))
    controls.slider("digit", t("数字", "Digit"))
    controls.choice("source", t("池化什么", "What is pooled"), {"digit": t("数字", "digit"), "edges": t("它的边缘", "its edges")})  # fmt: skip
config = controls.config()
digit, source, right, down = (controls.value(name) for name in ("digit", "source", "right", "down"))
still, moved = pictures.picture_of(digit, source), pictures.picture_of(digit, source, right, down)
size = reduction(CANVAS, CANVAS, config.kernel, config.stride)
row, column = (min(place // config.stride, size.height - 1) for place in (row, column))

k, s, n = config.kernel, config.stride, size.height
with formula, st.container(horizontal=True, gap="medium", vertical_alignment="center"):
    times = "" if s == 1 else s
    with st.container(horizontal=True, gap=None, vertical_alignment="center", width="content"):  # wraps between the two
        st.latex(r"n' = \left\lfloor\frac{n-k}{s}\right\rfloor + 1", width="content")
        st.latex(rf"\;= \left\lfloor\frac{{{CANVAS}-{k}}}{{{s}}}\right\rfloor + 1 = {n}", width="content")
    st.latex(rf"y_{{ij}} = \max_{{0 \le u,v < {k}}} x_{{{times}i+u,\;{times}j+v}}", width="content")
    st.latex(rf"y_{{ij}} = \frac{{1}}{{{k * k}}}\sum_{{u,v}} x_{{{times}i+u,\;{times}j+v}}", width="content")

with picture:
    look = controls.choice(
        "look",
        t("看什么", "Look at"),
        {
            "maps": t("池化图", "Maps"),
            "window": t("窗口", "Window"),
            "gradient": t("梯度", "Gradient"),
            "shift": t("平移", "Shift"),
        },
    )
    if look == "maps":
        scene.show(
            pictures.pooled_maps(moved, config),
            "pooling_drawn_maps",
            ("pooled_max", row, column),
            on_cell=choose_window,
        )
        st.caption(t("橙点：留下的那一格；步长卷积还没训练，先固定取一格。斜线：没有窗口读到。点一格看它的窗口。", "Orange: the cell that is kept; the strided convolution, untrained, keeps a fixed one. Hatched: in no window. Click a cell to see its window."))  # fmt: skip
    elif look == "window":
        scene.show(pictures.one_window(moved, config, row, column), "pooling_drawn_window")
        st.caption(t(f"第 {row + 1} 行第 {column + 1} 列的窗口；在“池化图”里点别的格。最大池化把梯度整个交给最大的一格，平均池化每格分 1/{k * k}。", f"The window in row {row + 1}, column {column + 1}; click another under “Maps”. Max hands the whole gradient to its largest cell, average 1/{k * k} to each."))  # fmt: skip
    elif look == "gradient":
        scene.show(pictures.gradient_maps(moved, config), "pooling_drawn_gradient")
        most = int(coverage(CANVAS, CANVAS, k, s).max())
        overlap = t(f"窗口重叠：一格最多在 {most} 个窗口里，梯度相加。", f"Windows overlap: a cell lies in up to {most} of them, and gradients add up.") if most > 1 else t("窗口不重叠：每格最多在 1 个窗口里。", "No overlap: a cell lies in one window at most.")  # fmt: skip
        st.caption(t("每个输出格送回梯度 1，下面是各输入格收到的总和。窗口里全相等时，最大池化取第一格。", "Every output cell sends back 1; below is the sum that each input cell receives. Where a window's cells are all equal, max takes the first.") + " " + overlap)  # fmt: skip
    else:
        scene.show(pictures.shift_maps(still, moved, config), "pooling_drawn_shift")
        st.caption(t("百分数：结果与数字居中时差多少，‖移动后 − 移动前‖ / ‖移动前‖。移动步长的整数倍时，池化图只是跟着挪，并没有不变。", "Percent: how far the map is from that of the centred digit, ‖moved − still‖ / ‖still‖. A move by a multiple of the stride moves the pooled map along: it does not stay the same."))  # fmt: skip

never = int((coverage(CANVAS, CANVAS, k, s) == 0).sum())
strided = learnable_parameters("none", config.channels, k)
c, cut = config.channels, max(size.dropped_rows, size.dropped_columns)
between = [t("窗口之间", "gaps")] if s > k else []
at_end = (
    [t(f"末尾 {cut} 行 {cut} 列", f"last {cut} rows and columns" if cut > 1 else "last row and column")] if cut else []
)
cells, kept, lost, learned = st.columns(4)
cells.metric(t("一张图的格数", "Cells of a map"), f"{size.before} → {size.after}")
kept.metric(t("留下", "Kept"), f"{100 * size.share:.3g}%")
lost.metric(
    t("没有窗口读到的格", "Cells in no window"),
    str(never),
    t("、", ", ").join(between + at_end) or None,
    delta_color="off",
    delta_arrow="off",
)
learned.metric(
    t("可学习的参数", "Learnable parameters"),
    str(learnable_parameters("max", c, k)),
    t(f"步长卷积：{strided:,}", f"strided conv: {strided:,}"),
    delta_color="off",
    delta_arrow="off",
)
st.caption(
    t(
        f"池化 0 个参数：取最大、取平均里没有一个数可学；{c} 个通道的步长卷积要学 {c}·({c}·{k}² + 1) = {strided:,} 个。",
        f"Pooling has 0 parameters: a maximum or a mean has no number to learn; a strided convolution of {c} channels learns {c}·({c}·{k}² + 1) = {strided:,}.",
    )
)

lesson.heading("三种办法比一比", "Race the three kinds")
st.markdown(t(f"同一个网络（卷积、池化、卷积、池化、全连接），只换池化的办法；测试数字最多随机挪动 {config.shift} 像素。", f"The same network (convolution, pooling, twice over, then a fully connected layer) with each kind; the held-out digits are shifted at random by up to {config.shift} pixels."))  # fmt: skip
inside, side = lesson.columns()
with side:
    controls.choice("pooling", t("看哪个网络", "Look into"), {"max": t("最大", "max"), "average": t("平均", "average"), "none": t("步长卷积", "strided")})  # fmt: skip
    controls.choice("train_on", t("训练数字", "Training digits"), {"shifted": t("随机挪动", "shifted"), "centred": t("都居中", "centred")}, help=t("测试数字总是挪动过的。", "The held-out digits are shifted in either case."))  # fmt: skip
    with st.expander(t("更多设置", "More settings"), key="pooling_more"):
        controls.slider("shift", t("最多挪动（像素）", "Largest shift (pixels)"))
        controls.slider("channels", t("通道数", "Channels"))
        controls.slider("hidden", t("全连接层单元数", "Fully connected units"))
        controls.slider("batch_size", t("批大小", "Batch size"))
        controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
config = controls.config()
live = Live(controls, race(config))
with inside:
    live.picture(partial(pictures.feature_maps, image=pictures.picture_of(digit, "digit", right, down)), config.pooling)
    st.caption(t("指着池化后的一格，看它在池化前的窗口。", "Point at a pooled cell to see its window before pooling."))
live.buttons()
live.panel()

lesson.heading("网络在意平移吗？", "Does the network mind the shift?")
st.markdown(t(f"数字右移 {right}、下移 {down} 像素（上面的滑块），每一级变了多少？训练暂停时，右图更新。", f"The digit moves {right} right, {down} down (sliders above): how much does each stage change? The right chart follows when you pause."))  # fmt: skip
layer, networks = st.columns(2, gap="large")
snapshots = {kind: live.snapshot(kind) for kind in POOLINGS}
layer.altair_chart(
    readable(pictures.layer_chart(pictures.layer_changes(still, config, down), right)),
    alt=t("一层池化的相对变化，随右移的像素数", "Relative change of one pooling layer against pixels moved right"),
    key="pooling_layer_chart",
)
networks.altair_chart(
    readable(
        pictures.network_chart(
            pictures.network_changes(live.race.configs, snapshots, pictures.picture_of(digit, "digit"), right, down),
            snapshots["max"].step,
        )
    ),
    alt=t("三个网络从输入到得分逐级的相对变化", "Relative change of the three networks from stage to stage"),
    key="pooling_network_chart",
)  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("池化在每个窗口里只留一个数：最大的，或平均。图变小，后面的计算和参数也变少。", "Pooling keeps one number of each window, the largest or the mean. The map shrinks, and so do the work and the parameters after it."),
    t("池化层没有可学习的参数；梯度照样穿过去：最大池化只给赢家，平均池化人人一份。", "It has nothing to learn, but gradients pass through it: max gives all to the winner, average the same to everyone."),
    t("它容忍一两个像素的小平移，不是“平移不变”，更不管旋转和缩放；其余要靠训练数据。", "It tolerates small shifts of a pixel or two. That is not invariance, least of all to rotation or scale; the rest comes from the training data."),
    t("“没有参数”说的是今天的池化；LeNet-5 的池化层有可训练的系数和偏置。", "“No parameters” is today's pooling; LeNet-5's had a trainable coefficient and bias."),
)  # fmt: skip
