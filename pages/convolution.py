"""Convolution: a small window slides over the picture with the same weights everywhere."""

import streamlit as st

from core.convolution import (
    PRESETS,
    WEIGHT,
    ConvolutionConfig,
    GeometryError,
    dropped,
    hidden_kernel,
    input_picture,
    spare,
    trace,
    transposed_size,
    window,
)
from core.data.pictures import PictureError, from_bytes
from core.optimizers import OPTIMIZERS
from pages.ui import challenges, lesson, predict, scene
from pages.ui import pictures_convolution as pictures
from pages.ui import questions_convolution as asked
from pages.ui.controls import field_of, stands
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term

UPLOAD_SIDE = 96  # pixels that are kept of an upload; larger than any input here


def explain(error: ValueError) -> str:
    """Why nothing fits, with the numbers."""
    if not isinstance(error, GeometryError):
        return t("这些设置不能一起用。", "These settings do not go together.")
    return t(
        f"放不下：窗口展开有 **{error.reach}** 像素宽，填充后的输入只有 **{error.room}**。调小卷积核或膨胀率，或调大输入或填充。",
        f"It does not fit: the window spans **{error.reach}** pixels, the padded input only **{error.room}**. Lower the kernel size or the dilation, or raise the input size or the padding.",
    )


def refusal(reason: str) -> str:
    """Why an upload is not shown."""
    return {
        "empty": t("这个文件是空的。", "This file is empty."),
        "type": t("这不是 PNG、JPEG 或 WebP 图片。", "This is no PNG, JPEG or WebP picture."),
        "corrupt": t("这个图片文件已损坏，打不开。", "This picture file is damaged and cannot be opened."),
        "huge": t("图片太大：最多 2000 万像素。", "This picture is too large: 20 megapixels at most."),
    }[reason] + t("仍显示原来的图。", " The former picture stays.")


def choose_cell() -> None:
    _, row, column = st.session_state["convolution_sliding"]["cell"]
    controls.put(row=row, column=column)


def walk(steps: int) -> None:
    """The next output cell in reading order, round and round."""
    place = (row * side + column + steps) % side**2
    controls.put(row=place // side, column=place % side)


def choose_weight() -> None:
    _, row, column = st.session_state["convolution_products"]["cell"]
    down, right = pictures.laid_on(config, row * config.kernel + column)
    controls.put(weight=down * config.kernel + right)


def edit_weight(key: str) -> None:
    if stands("convolution_edit", key):
        weights = [round(value, 6) for value in kernel.flatten().tolist()]
        weights[weight] = round(st.session_state[key], 6)
        controls.put(weights=tuple(weights))


def take_upload() -> None:
    """Keep an upload that is a picture; of one that is none, only the reason, and the former picture stays."""
    file = st.session_state["convolution_upload"]
    st.session_state.pop("convolution_refused", None)
    if file is None:
        return
    try:
        st.session_state["convolution_own_picture"] = from_bytes(file.getvalue(), UPLOAD_SIDE)
        st.session_state["convolution_own"] = True
    except PictureError as error:
        st.session_state["convolution_refused"] = error.reason


controls = lesson.begin("convolution", ConvolutionConfig())
controls.unlinked["convolution_own"] = False
weight = controls.view("weight", 4, range(49))
formula = st.container()
lesson.presets(
    controls,
    {
        "edges": Preset(t("边缘", "Edges"), PRESETS["edges"], t("Sobel 核找竖直的边；大约 80 步就能学到误差 0.01 以内。", "Sobel finds vertical edges. Learned to an error below 0.01 in about 80 steps.")),
        "blur": Preset(t("模糊", "Blur"), PRESETS["blur"], t("5×5 高斯核；填充 2 使输出与输入一样大。", "A 5×5 Gaussian; padding 2 keeps the output as large as the input.")),
        "sharpen": Preset(t("锐化", "Sharpen"), PRESETS["sharpen"], t("照片里相邻像素很像：学习率 0.1 约 80 步，用 0.01 要 1,300 多步。", "A photo's neighbouring pixels are alike: about 80 steps at learning rate 0.1, over 1,300 at 0.01.")),
        "true_convolution": Preset(t("真卷积", "True convolution"), PRESETS["true_convolution"], t("卷积核先转 180°。学习不在乎：权重照样学得到。", "The kernel is turned by 180° first. Learning does not mind: the weights are found all the same.")),
        "dilated": Preset(t("空洞", "Dilated"), PRESETS["dilated"], t("9 个权重看到 5×5 的范围，隔一个像素取一个。", "Nine weights span 5×5 pixels by leaving out every other one.")),
        "strided": Preset(t("步长卷积", "Strided"), PRESETS["strided"], t("步长 3：向下取整丢掉最后两行两列。", "Stride 3: the floor drops the last two rows and columns.")),
        "too_fast": Preset(t("太快", "Too fast"), PRESETS["too_fast"], t("学习率 0.5：每步都冲过头，一次比一次远，不到 20 步就发散。", "Learning rate 0.5: each step overshoots farther than the last; diverges within 20 steps."), breaks=True),
        "too_slow": Preset(t("太慢", "Too slow"), PRESETS["too_slow"], t("学习率 0.001：1,000 步后误差仍约 0.16；默认设置 100 步就到 0.004。", "Learning rate 0.001: the error is still 0.16 after 1,000 steps; the default is at 0.004 after 100."), breaks=True),
        "alike": Preset(t("太像", "Too alike"), PRESETS["alike"], t("照片一角几乎一片平：1,000 步后损失降了 99%，卷积核误差仍有 0.13。", "A crop of a photo is nearly flat: after 1,000 steps the loss is down by 99%, the kernel still off by 0.13."), breaks=True),
        "blind": Preset(t("看不见", "Blind"), PRESETS["blind"], t("49 个权重里 40 个只碰到填充的 0，没有梯度：损失为 0，误差却停在 0.18。", "40 of the 49 weights meet only padding, so no gradient: the loss reaches 0, the error stays at 0.18."), breaks=True),
    },
)  # fmt: skip

picture, side_bar = lesson.columns()
with side_bar:
    controls.slider("size", t("输入大小 n", "Input size n"))
    controls.slider("kernel", t("卷积核大小 k", "Kernel size k"))
    controls.slider(
        "stride", t("步长 s", "Stride s"), help=t("相邻两个窗口隔几个像素。", "Pixels between two windows.")
    )
    controls.slider(
        "padding", t("填充 p", "Padding p"), help=t("四周各补几圈 0。", "Rings of zeros around the picture.")
    )
    controls.slider("dilation", t("膨胀率 d", "Dilation d"), help=t("相邻两个权重隔几个像素；1 是不隔。", "Pixels between two weights; 1 leaves no gap."))  # fmt: skip
    message = st.container()
    controls.toggle("flip", t("真卷积（翻转卷积核）", "True convolution (flip the kernel)"))
    controls.choice(
        "hidden",
        t("卷积核", "Kernel"),
        {
            "identity": t("恒等", "Identity"),
            "box_blur": t("均值模糊", "Box blur"),
            "gaussian_blur": t("高斯模糊", "Gaussian blur"),
            "sharpen": t("锐化", "Sharpen"),
            "sobel_x": t("Sobel x（竖边）", "Sobel x (vertical edges)"),
            "sobel_y": t("Sobel y（横边）", "Sobel y (horizontal edges)"),
            "laplacian": t("拉普拉斯", "Laplacian"),
            "emboss": t("浮雕", "Emboss"),
        },
    )
    if st.session_state.setdefault("convolution_edits_of", controls.value("hidden")) != controls.value("hidden"):
        controls.put(weights=())  # another kernel: what was edited is gone
    st.session_state["convolution_edits_of"] = controls.value("hidden")
    edit, restore = st.columns([3, 2], vertical_alignment="bottom")
    names = {f"digit{label}": t(f"数字 {label}", f"Digit {label}") for label in range(10)}
    controls.choice("picture", t("图像", "Picture"), names | {"china": t("照片：颐和园", "Photo: palace"), "flower": t("照片：花", "Photo: flower")})  # fmt: skip
    if st.session_state.setdefault("convolution_own_over", controls.value("picture")) != controls.value("picture"):
        st.session_state["convolution_own"] = False  # another picture is to be seen
    st.session_state["convolution_own_over"] = controls.value("picture")
    with st.expander(t("自己的图片", "Your own picture"), icon=":material/upload:"):
        file = st.file_uploader(
            t("PNG、JPEG 或 WebP", "PNG, JPEG or WebP"), key="convolution_upload", on_change=take_upload,
            label_visibility="collapsed",
        )  # fmt: skip
        if file is not None and (reason := st.session_state.get("convolution_refused")):
            st.error(refusal(reason), icon=":material/broken_image:")
        own = st.session_state.get("convolution_own_picture")
        st.toggle(t("显示我的图片", "Show my picture"), key="convolution_own", persist_state="session", disabled=own is None)  # fmt: skip
        st.caption(t("只改变这里看到的图，不参与训练；不会写进链接。", "Changes only what is shown here, not the training; it is not part of the link."))  # fmt: skip
    with message:
        config = lesson.config(controls, explain)

kernel = hidden_kernel(config)
weight = min(weight, config.kernel**2 - 1)
allowed = controls.access("weights", t("卷积核的权重", "Weights of the kernel"))
if allowed != "hide":
    key = field_of("convolution_edit", round(kernel.flatten()[weight].item(), 6), (config.kernel, weight))
    shown_now = all(controls.value(field) == value for field, value in vars(config).items())
    edit.number_input(
        t("框住的权重", "The framed weight"), WEIGHT.low, WEIGHT.high, step=0.5, format="%g", key=key,
        on_change=edit_weight, args=(key,), disabled=allowed == "lock" or not shown_now,
        help=t("在左边的卷积核里点另一格来选。", "Click another cell of the kernel on the left to choose it."),
    )  # fmt: skip
    restore.button(
        t("还原", "Restore"), key="convolution_restore", on_click=controls.put, kwargs={"weights": ()},
        disabled=allowed == "lock" or not config.weights, width="stretch",
    )  # fmt: skip

own = st.session_state.get("convolution_own_picture") if st.session_state["convolution_own"] else None
image = input_picture(config) if own is None else pictures.fitted(own, config.size)
shown = trace(config, kernel, image)
side = shown.output.shape[0]
row, column = (min(controls.view(name, 5, range(44)), side - 1) for name in ("row", "column"))
found = window(shown.padded, kernel, row, column, config.stride, config.dilation, config.flip)

with formula:
    room = spare(config.size, config.kernel, config.stride, config.padding, config.dilation)
    st.latex(
        r"o=\left\lfloor\frac{n+2p-d(k-1)-1}{s}\right\rfloor+1"
        rf"=\left\lfloor\frac{{{config.size}+2\cdot {config.padding}-{config.dilation}\cdot({config.kernel}-1)-1}}{{{config.stride}}}\right\rfloor+1"
        rf"=\left\lfloor {room / config.stride:.4g}\right\rfloor+1=\mathbf{{{side}}}"
    )

with picture:
    scene.show(
        pictures.sliding_window(config, shown, row, column), key="convolution_sliding", pinned=("output", row, column), on_cell=choose_cell
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            t("上一个", "Previous"), key="convolution_previous", icon=":material/arrow_back:", on_click=walk, args=(-1,)
        )
        st.button(
            t("下一个", "Next"), key="convolution_next", icon=":material/arrow_forward:", on_click=walk, args=(1,)
        )
        st.markdown(t(f"输出第 {row + 1} 行第 {column + 1} 列", f"output row {row + 1}, column {column + 1}"))
    scene.show(
        pictures.products(config, found),
        key="convolution_products",
        pinned=("weights", *pictures.laid_on(config, weight)),
        on_cell=choose_weight,
    )
    with st.container(height=150, border=False):
        st.latex(pictures.sum_formula(found, row, column))

lesson.heading("为什么权重这么少", "Why so few weights")
reach = config.dilation * (config.kernel - 1) + 1
everywhere, local, shared = pictures.sharing(config)
rim = t("，边上更少", ", fewer at the rim") if config.padding else ""
for place, (label, number, why) in zip(
    st.columns(3),
    (
        (t("全连接层", "Fully connected"), everywhere, t(f"{side**2:,} 个输出各连 {config.size**2:,} 个像素，加偏置", f"each of {side**2:,} outputs sees all {config.size**2:,} pixels, plus a bias")),
        (t("只有局部连接", "Local connectivity"), local, t(f"感受野 {reach}×{reach}：每个输出只读其中 {config.kernel**2} 个像素{rim}", f"receptive field {reach}×{reach}: each output reads {config.kernel**2} pixels of it{rim}")),
        (t("再加权重共享：卷积层", "And weight sharing: convolution"), shared, t("处处同一个卷积核、同一个偏置", "one kernel and one bias for all places")),
    ),
    strict=True,
):  # fmt: skip
    with place:
        st.metric(label, f"{number:,}", border=True)
        st.caption(why)

lesson.heading("往回走：转置卷积", "The way back: transposed convolution")
extra = dropped(config.size, config.kernel, config.stride, config.padding, config.dilation)
back = transposed_size(side, config.kernel, config.stride, config.padding, extra, config.dilation)
st.latex(
    r"n=s(o-1)+d(k-1)+1-2p+p_{\text{out}}"
    rf"={config.stride}\cdot({side}-1)+{config.dilation}\cdot({config.kernel}-1)+1-2\cdot {config.padding}+{extra}=\mathbf{{{back}}}"
)
st.markdown(
    t(
        f"尺寸回到 {back}×{back}；$p_{{\\text{{out}}}}$ 补上向下取整丢掉的行列（{extra}）。**它不是逆运算**：卷积是乘矩阵 $C$，它乘的是 $C^\\top$，数值回不来。",
        f"The size is {back}×{back} again; $p_{{\\text{{out}}}}$ (output padding) makes up for the rows and columns that the floor dropped ({extra}). **It is no inverse**: where the convolution multiplies by a matrix $C$, it multiplies by $C^\\top$. The values do not come back.",
    )
)
scene.show(pictures.there_and_back(config, image, shown.output), key="convolution_back")

lesson.heading("学出这个卷积核", "Learn the kernel")
st.markdown(
    t(
        "给网络看图像和隐藏的卷积核处理后的结果，不给它看卷积核。梯度下降能把卷积核找出来吗？全速一眨眼就学完；速度调到 30/秒 看得清。",
        "The network sees pictures and what a hidden kernel made of them, never the kernel. Can gradient descent find it? At full speed it is over in a blink: 30/s shows how.",
    )
)
live = Live(controls, {"convolution": config}, limit=1_000_000)
live.picture(pictures.learned_kernel)
live.buttons()
live.panel()
with st.expander(t("优化器与批大小", "Optimizer and batch size"), icon=":material/tune:"):
    controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
    controls.slider("batch_size", t("批大小", "Batch size"), help=t("每步用几张图。", "Pictures per update."))

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t(
        "**互相关与卷积。** 深度学习里的“卷积”是互相关 $y_{ij}=\\sum_{u,v} w_{uv}\\,x_{i+u,\\,j+v}$；数学上的卷积先把卷积核转 180°。权重是学出来的，所以两者能力相同。",
        "**Cross-correlation and convolution.** What deep learning calls convolution is the cross-correlation $y_{ij}=\\sum_{u,v} w_{uv}\\,x_{i+u,\\,j+v}$; the true convolution turns the kernel by 180° first. As the weights are learned, both can do the same.",
    ),
    t(
        "**向下取整。** 最后一个窗口放不下的行和列被丢掉，网络看不到它们。",
        "**The floor.** Trailing rows and columns that no window reaches are dropped: the layer never sees them.",
    ),
    t(
        "**局部连接、权重共享。** 每个输出只看自己的感受野，处处用同一组权重；参数个数与图像大小无关。",
        "**Local connectivity, weight sharing.** Each output sees only its receptive field, with the same weights everywhere; the number of parameters does not depend on the picture's size.",
    ),
    t(
        "**等变，不是不变。** 图案移动，特征图跟着移动（步长为 1、远离边界时）。",
        "**Equivariant, not invariant.** Move the pattern and its feature map moves along (at stride 1, away from the borders).",
    ),
    t(
        "**填充。** 步长 1 时，$p=(k-1)/2$ 使尺寸不变（等宽），$p=0$ 是窄卷积，$p=k-1$ 是宽卷积。",
        "**Padding.** At stride 1, $p=(k-1)/2$ keeps the size, $p=0$ is the narrow convolution, $p=k-1$ the wide one.",
    ),
)
