"""The convolutional network: blocks of convolution, ReLU and pooling that learn real digits while one watches."""

from functools import partial

import streamlit as st

from core.architectures import ARCHITECTURES, BlockGeometryError
from core.cnn import PRESETS, CNNConfig, layers, parameter_count, race, rival
from core.data.digits import CLASSES, load
from core.optimizers import OPTIMIZERS
from pages.ui import challenges, lesson, predict, scene
from pages.ui import pictures_cnn as pictures
from pages.ui import questions_cnn as asked
from pages.ui.canvas import canvas
from pages.ui.controls import WIDE_ROOM
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term


def explain(error: ValueError) -> str:
    """Which layer does not fit, with the numbers."""
    if not isinstance(error, BlockGeometryError):
        return t("这些设置不能一起用。", "These settings do not go together.")
    padded, window = error.size + 2 * error.padding, f"{error.kernel}×{error.kernel}"
    rim = t(f"（填充后 {padded}×{padded}）", f" (with padding {padded}×{padded})") if error.padding else ""
    if error.kind == "convolution":
        return t(
            f"放不下：第 {error.block} 块的卷积窗口 **{window}**，特征图只有 **{error.size}×{error.size}**{rim}。调小卷积核或步长，加大填充，或减少块数。",
            f"It does not fit: the **{window}** window of block {error.block}'s convolution, on a map of **{error.size}×{error.size}**{rim}. Lower the kernel size or the stride, raise the padding, or use fewer blocks.",
        )
    return t(
        f"放不下：第 {error.block} 块的池化窗口 **{window}**，特征图只剩 **{error.size}×{error.size}**。调小步长，加大填充，不池化，或减少块数。",
        f"It does not fit: the **{window}** pooling window of block {error.block}, on a map of **{error.size}×{error.size}**. Lower the stride, raise the padding, do not pool, or use fewer blocks.",
    )


def look_at_mistake(cell: list) -> None:
    """A click on a digit that was read wrongly makes it the digit of all pictures."""
    controls.put(digit=int(cell[0].removeprefix("m")))


def choose_class() -> None:
    """A click on the small picture of a class."""
    if (place := st.session_state["cnn_classes"]["go"]) is not None:
        controls.put(digit=int(place))


def own_values(block: int) -> None:
    """The settings of one block alone."""
    st.markdown(t(f"**第 {block} 块**", f"**Block {block}**"))
    controls.slider(f"channels_{block}", t("通道", "Channels"))
    controls.slider(f"kernel_{block}", t("卷积核大小", "Kernel size"))
    controls.slider(f"stride_{block}", t("步长", "Stride"))
    controls.slider(f"padding_{block}", t("填充", "Padding"))
    names = {"shared": t("同上", "as all")} | poolings
    controls.steps(f"pooling_{block}", t("池化", "Pooling"), tuple(names), format=names.get)


controls = lesson.begin("cnn", CNNConfig())
controls.view("digit", 0, range(len(load().test_labels)))
controls.view("label", 3, range(CLASSES))
controls.view("rival", False)
controls.view("look", "evidence", ("evidence", "excitement", "errors"))
controls.view("block", 1, range(1, 4))
controls.view("group", 1, range(1, 5))
controls.view("network", "LeNet-5", tuple(ARCHITECTURES))
poolings = {"max": t("最大", "max"), "average": t("平均", "average"), "none": t("无", "none")}

formula = st.container()
lesson.presets(
    controls,
    {
        "default": Preset(t("默认", "Default"), PRESETS["default"], t("994 个参数，96 步达到 97%，576 步 99.2%（种子 0）。", "994 parameters: 97% after 96 steps, 99.2% after 576 (seed 0).")),
        "tiny": Preset(t("极小", "Tiny"), PRESETS["tiny"], t("只有 358 个参数，448 步也能到 97%（种子 0）。", "Only 358 parameters, and still 97%, after 448 steps (seed 0).")),
        "lenet": Preset(t("LeNet 式", "LeNet style"), PRESETS["lenet"], t("6 和 16 个 5×5 滤波器、平均池化、隐藏层：128 步 97%（种子 0）。", "6 and 16 filters of 5×5, average pooling, a hidden layer: 97% after 128 steps (seed 0).")),
        "strided": Preset(t("不池化", "No pooling"), PRESETS["strided"], t("步长 2 代替池化，参数一样多，却学得慢：512 步 97%，默认只要 96 步（种子 0）。", "Stride 2 instead of pooling, as many parameters, but slower: 97% after 512 steps; the default needs 96 (seed 0).")),
        "three_blocks": Preset(t("移动的数字", "Shifted digits"), PRESETS["three_blocks"], t("数字位置随机：3 块、16 通道，576 步 91.9%；默认的 2 块 8 通道只有 79.4%（种子 0）。", "Digits at random places: three blocks of 16 reach 91.9% in 576 steps, two of 8 only 79.4% (seed 0).")),
        "pointwise": Preset(t("1×1 核", "1×1 kernels"), PRESETS["pointwise"], t("不看邻居就看不见笔画：576 步后 39%（种子 0）。", "A filter without neighbours sees no strokes: 39% after 576 steps (seed 0)."), breaks=True),
        "one_channel": Preset(t("单通道", "One channel"), PRESETS["one_channel"], t("只剩 4 个数区分 10 类：576 步后 67%（种子 0）。", "Four numbers are left to tell ten classes apart: 67% after 576 steps (seed 0)."), breaks=True),
        "slow": Preset(t("太慢", "Too slow"), PRESETS["slow"], t("SGD，学习率 0.001：576 步后才 17.5%（种子 0）。", "SGD at learning rate 0.001: 17.5% after 576 steps (seed 0)."), breaks=True),
        "dying": Preset(t("死亡 ReLU", "Dying ReLUs"), PRESETS["dying"], t("学习率 1：头几步把第 2 块的 ReLU 全推到 0 以下，再无梯度，停在 10%（种子 0）。", "Learning rate 1: the first steps push every ReLU of block 2 below 0, no gradient returns, 10% for good (seed 0)."), breaks=True),
        "diverging": Preset(t("发散", "Diverging"), PRESETS["diverging"], t("SGD，学习率 10：到第 5 步损失已超过 10⁸（种子 0）。", "SGD at learning rate 10: by step 5 the loss is past 10⁸ (seed 0)."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns()
with side:
    controls.choice("data", t("数据", "Data"), {"plain": "8×8", "upsampled": t("放大 16×16", "16×16"), "shifted": t("移动", "shifted")}, help=t("8×8 的真实手写数字；放大到 16×16；或放在 16×16 里的随机位置。", "Real digits of 8×8 pixels; enlarged to 16×16; or each at a random place on 16×16."))  # fmt: skip
    half, other_half = st.columns(2, gap="small")
    with half:
        controls.slider("blocks", t("块数", "Blocks"), help=t("每块：卷积、ReLU、池化。", "Each: convolution, ReLU, pooling."))  # fmt: skip
        controls.slider("kernel", t("卷积核大小", "Kernel size"))
    with other_half:
        controls.slider("channels", t("通道", "Channels"), help=t("每层的滤波器个数。", "Filters, hence maps, of every layer."))  # fmt: skip
        controls.slider("stride", t("步长", "Stride"))
    controls.slider("padding", t("填充（−1：⌊k/2⌋）", "Padding (−1: ⌊k/2⌋)"), help=t("四周补几圈 0。−1 按核大小取 ⌊k/2⌋：步长 1 时奇数核不改变大小。", "Rings of zeros. −1 takes ⌊k/2⌋ for every kernel size k: at stride 1 an odd kernel keeps the map's size."))  # fmt: skip
    controls.choice("pooling", t("池化 2×2", "Pooling 2×2"), poolings)
    controls.toggle("rival", t("与全连接网络比赛", "Race a fully connected network"), help=t("参数个数尽量接近。在“移动”的数字上差别最大。", "Of as nearly the same size as its layers allow. Shifted digits show the difference best."))  # fmt: skip

blocks_place, head_place = st.columns(2, gap="medium")
own = any(
    controls.value(field) != getattr(controls.default_config, field) for field in CNNConfig.LIMITS if field[-1] in "123"
)
with blocks_place, st.expander(t("每块各自的值", "Own values per block"), expanded=own, key="cnn_own_values", on_change="rerun") as expander:  # fmt: skip
    if expander.open:
        st.caption(t("0（填充：−2）：与所有块相同。", "0 (padding: −2): as all blocks."))
        for block, place in enumerate(st.columns(controls.value("blocks")), start=1):
            with place:
                own_values(block)
with head_place, st.expander(t("全连接层与优化", "Head and optimizer"), key="cnn_training", on_change="rerun") as expander:  # fmt: skip
    if expander.open:
        controls.slider("hidden", t("隐藏单元（0：无此层）", "Hidden units (0: no such layer)"))
        controls.steps("batch_size", t("批大小", "Batch size"), (1, 4, 16, 32, 64, 128, 256))
        controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
panel = st.container()

with side:
    config = lesson.config(controls, explain)
    if controls.value("rival"):
        st.caption(t(f"{parameter_count(config):,} 对 {parameter_count(rival(config)):,} 个参数。", f"{parameter_count(config):,} against {parameter_count(rival(config)):,} parameters."))  # fmt: skip
        if controls.value("data") != "shifted":
            st.button(t("换成移动的数字", "Shift the digits"), key="cnn_shift", icon=":material/open_with:", on_click=controls.put, kwargs={"data": "shifted"})  # fmt: skip

with formula:
    st.latex(pictures.chain_formula(config))

live = Live(controls, race(config) if controls.value("rival") else {"cnn": config})
parts = pictures.groups(config)
controls.offer("group", parts)
controls.offer("block", range(1, config.blocks + 1))
digit, group = controls.value("digit"), controls.value("group")
with picture:
    live.picture(partial(pictures.flow, digit=digit, group=group))
    controls.slider("digit", t("看哪个测试数字", "Which held-out digit"))
    if (allowed := controls.access("digit", t("看哪个测试数字", "Which held-out digit"))) != "hide":
        scene.show(pictures.held_out_classes(config.data, digit, allowed == "lock"), "cnn_classes", on_go=choose_class)
    if len(parts) > 1:
        controls.choice("group", t("看哪些通道", "Which channels"), parts)

lesson.heading("画一个数字", "Draw a digit")
pad, answer = st.columns([1, 2], gap="medium")
with pad:
    drawing = canvas("cnn_canvas")
with answer:
    live.picture(partial(pictures.reading, drawing=drawing))

lesson.heading("看得更细", "A closer look")
looks = {"evidence": t("类别的权重", "Class weights"), "excitement": t("什么最激活", "What excites"), "errors": t("错在哪里", "Errors")}  # fmt: skip
look = controls.choice("look", t("看什么", "Look at"), looks, room=WIDE_ROOM)
if look == "evidence":
    label = controls.slider("label", t("关注的类别", "Class looked at"))
    st.caption(t(f"类别 {label} 的权重放回它们所读的特征图；乘起来求和就是得分。", f"The weights of class {label}, back on the maps that they read; weight times map adds up to the score."))  # fmt: skip
    live.picture(partial(pictures.evidence, digit=digit, label=label, group=group))
if look == "excitement":
    st.caption(t("每个通道最强的测试数字；框里是激活它的窗口。", "The held-out digits that excite each channel most; framed is the window that does."))  # fmt: skip
    if config.blocks > 1:
        controls.choice("block", t("块", "Block"), {block: str(block) for block in range(1, config.blocks + 1)})
    live.picture(partial(pictures.excitement, block=controls.value("block"), group=group))
if look == "errors":
    st.caption(t("点一个认错的数字，就能在上面的网络里看它。", "Click a wrong digit to follow it through the network above."))  # fmt: skip
    live.picture(pictures.errors, on_click=look_at_mistake)

lesson.heading("逐层的账", "Layer by layer")
st.markdown(pictures.layer_markdown(layers(config)))
other = rival(config)
st.caption(
    t(
        f"感受野：一格看到的输入像素；间隔：相邻两格的感受野相距多少像素。参数最接近的全连接网络：{other.width} 个隐藏单元，{parameter_count(other):,} 个参数。",
        f"Receptive field: the input pixels that one cell sees; jump: pixels between two neighbours' fields. The fully connected network nearest in size: {other.width} hidden units, {parameter_count(other):,} parameters.",
    )
)

lesson.heading("三个著名的网络", "Three famous networks")
network = controls.choice("network", t("网络", "Network"), pictures.network_names(), room=WIDE_ROOM)
st.markdown(pictures.layer_markdown(ARCHITECTURES[network].table(), named=True))
st.caption(pictures.about(network))

with panel:
    live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())

lesson.takeaways(
    t(
        "**由局部到整体。** 每层只看一小块，叠起来感受野越来越大：$r \\leftarrow r + (k-1)\\,j$，$j \\leftarrow j\\,s$。",
        "**From local to global.** Each layer sees a small window; stacked, the receptive field grows: $r \\leftarrow r + (k-1)\\,j$, then $j \\leftarrow j\\,s$.",
    ),
    t(
        "**参数与计算不在一处。** 全连接层占了大部分参数，卷积层占了大部分乘加：看 AlexNet 的表。",
        "**Parameters and work lie apart.** The fully connected layers hold most parameters, the convolutions do most multiply-adds: see AlexNet's table.",
    ),
    t(
        "**展平只是改变形状。** 一个数也没变；此后每个位置有了自己的权重，平移不再自由。",
        "**Flattening only reshapes.** No number changes; from here on every place has weights of its own, and a shift is no longer free.",
    ),
    t(
        "**softmax 不是可信度。** $p_k = e^{z_k} / \\sum_j e^{z_j}$ 只比较得分；认错的数字常常“把握”很大。",
        "**A softmax is no certainty.** $p_k = e^{z_k} / \\sum_j e^{z_j}$ compares scores; wrong digits are often read with a high share.",
    ),
)
