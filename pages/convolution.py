"""Convolution: a small window slides over the picture with the same weights everywhere."""

import streamlit as st
import torch.nn.functional as F

from core.convolution import (
    PRESETS,
    WEIGHT,
    ConvolutionConfig,
    GeometryError,
    dropped,
    hidden_kernel,
    input_picture,
    output_size,
    spare,
    trace,
    transposed_size,
    window,
)
from core.data.pictures import PictureError, from_bytes
from pages.ui import lesson, scene
from pages.ui import pictures_convolution as pictures
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t

UPLOAD_SIDE = 96  # pixels that are kept of an upload; larger than any input here


def explain(error: ValueError) -> str:
    """Why nothing fits, with the numbers."""
    if not isinstance(error, GeometryError):
        return t("这些设置不能一起用。", "These settings do not go together.")
    return t(
        f"放不下：窗口展开有 **{error.reach}** 像素宽，填充后的输入只有 **{error.room}**。调小卷积核或膨胀率，或调大输入或填充。",
        f"It does not fit: the window spans **{error.reach}** pixels, the padded input only **{error.room}**. Lower the kernel size or the dilation, or raise the input size or the padding.",
    )


def choose_cell() -> None:
    _, row, column = st.session_state["convolution_sliding"]["cell"]
    controls.put(row=row, column=column)


def walk(steps: int) -> None:
    """The next output cell in reading order, round and round."""
    place = (row * side + column + steps) % side**2
    controls.put(row=place // side, column=place % side)


def choose_weight() -> None:
    _, row, column = st.session_state["convolution_products"]["cell"]
    place = row * config.kernel + column
    controls.put(weight=config.kernel**2 - 1 - place if config.flip else place)


def edit_weight() -> None:
    weights = [round(value, 6) for value in kernel.flatten().tolist()]
    weights[weight] = round(st.session_state["convolution_edit"], 6)
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
weight = min(controls.view("weight", 4, range(49)), controls.value("kernel") ** 2 - 1)
formula = st.container()
lesson.presets(
    controls,
    {
        "edges": Preset(t("边缘", "Edges"), PRESETS["edges"], t("Sobel 核找竖直的边；大约 80 步就能学到误差 0.01 以内。", "Sobel finds upright edges. Learnt to an error below 0.01 in about 80 steps.")),
        "blur": Preset(t("模糊", "Blur"), PRESETS["blur"], t("5×5 高斯核；填充 2 使输出与输入一样大。", "A 5×5 Gaussian; padding 2 keeps the output as large as the input.")),
        "sharpen": Preset(t("锐化", "Sharpen"), PRESETS["sharpen"], t("照片里相邻像素很像：学习率 0.1 约 80 步，用 0.01 要 1,300 多步。", "A photo's neighbouring pixels are alike: about 80 steps at learning rate 0.1, over 1,300 at 0.01.")),
        "true_convolution": Preset(t("真卷积", "True convolution"), PRESETS["true_convolution"], t("卷积核先转 180°。学习不在乎：权重照样学得到。", "The kernel is turned by 180° first. Learning does not mind: the weights are found all the same.")),
        "dilated": Preset(t("空洞", "Dilated"), PRESETS["dilated"], t("9 个权重看到 5×5 的范围，隔一个像素取一个。", "Nine weights span 5×5 pixels by leaving out every other one.")),
        "strided": Preset(t("大步长", "Strided"), PRESETS["strided"], t("步长 3：向下取整丢掉最后两行两列。", "Stride 3: the floor drops the last two rows and columns.")),
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
    controls.slider("stride", t("步长 s", "Stride s"), help=t("相邻两个窗口隔几个像素。", "Pixels between two windows."))
    controls.slider("padding", t("填充 p", "Padding p"), help=t("四周各补几圈 0。", "Rings of zeros around the picture."))
    controls.slider("dilation", t("膨胀率 d", "Dilation d"), help=t("相邻两个权重隔几个像素；1 是不隔。", "Pixels between two weights; 1 leaves no gap."))  # fmt: skip
    message = st.container()
    controls.toggle("flip", t("真卷积（翻转卷积核）", "True convolution (flip the kernel)"))
    controls.choice(
        "hidden",
        t("卷积核", "Kernel"),
        {
            "identity": t("恒等", "Identity"),
            "box_blur": t("方框模糊", "Box blur"),
            "gaussian_blur": t("高斯模糊", "Gaussian blur"),
            "sharpen": t("锐化", "Sharpen"),
            "sobel_x": t("Sobel x（竖边）", "Sobel x (upright edges)"),
            "sobel_y": t("Sobel y（横边）", "Sobel y (level edges)"),
            "laplacian": t("拉普拉斯", "Laplacian"),
            "emboss": t("浮雕", "Emboss"),
        },
    )
    chosen = controls.value("hidden"), controls.value("kernel")
    if st.session_state.setdefault("convolution_chosen", chosen) != chosen:  # another kernel: the edits belong to the old
        controls.put(weights=())
    st.session_state["convolution_chosen"] = chosen
    with message:
        config = lesson.config(controls, explain)
