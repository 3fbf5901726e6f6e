"""The map of the course, a card for every lesson, and a convolution to move at once."""

import streamlit as st

from core.convolution import ConvolutionConfig, convolve, kernel_preset
from core.data.pictures import picture
from pages.ui import frame, predict, scene
from pages.ui.controls import NARROW_ROOM, Controls
from pages.ui.course_map import draw_map
from pages.ui.lessons import GROUPS, LESSONS, find
from pages.ui.text import t

SIDE = 72  # pixels of the photo
SHOWN = {"gaussian_blur": ("模糊", "blur"), "sobel_x": ("竖边", "edges"), "sharpen": ("锐化", "sharpen"), "emboss": ("浮雕", "emboss")}  # fmt: skip


def draw_convolution(name: str, size: int) -> scene.Scene:
    """The photo, the kernel and what it makes of it."""
    photo, kernel = picture("flower", SIDE), kernel_preset(name, size)
    output = convolve(photo, kernel, padding=(size - 1) // 2).output
    signed = name == "sobel_x"
    before = scene.Figure(264, 290).map("photo", photo, 2, 26, 260, scale="gray", high=1.0, title=t("输入", "input"))
    middle = scene.Figure(170, 290)
    middle.map("kernel", kernel, 15, 76, 140, numbers=size <= 5, title=t("卷积核", "kernel"))
    middle.text("∗", 2, 20, size=1, ink="none")
    after = scene.Figure(264, 290).map(
        "output", output, 2, 26, 260, scale="diverging" if signed else "gray", high=None if signed else 1.0, title=t("输出", "output"),
    )  # fmt: skip
    words = t(
        f"一张照片、一个 {size}×{size} 的卷积核和卷积的结果。",
        f"A photo, a {size}×{size} kernel and the convolution of both.",
    )
    return scene.Scene((before, middle, after), words)


frame.enter("home")
st.title(t("拖动着学深度学习", "Deep learning by moving it"), anchor=False)
st.markdown(
    t(
        "每一页都是一个真正的 PyTorch 模型：拖动滑块，图立刻回答；按下播放，看它当场学会。",
        "Every page is a real PyTorch model: move a slider and the picture answers; press Play and watch it learn.",
    )
)

controls = Controls("home", ConvolutionConfig(hidden="sobel_x"), only=("kernel", "hidden"))
picture_place, side = st.columns([5, 2], gap="medium", vertical_alignment="center")
controls.offer("kernel", range(2, 8))  # one pixel has no edge
with side:
    size = controls.slider("kernel", t("卷积核大小", "Kernel size"))
    names = {code: t(*words) for code, words in SHOWN.items()}
    controls.offer("hidden", SHOWN)
    kernel = controls.choice("hidden", t("卷积核", "Kernel"), names, room=NARROW_ROOM)
    st.page_link(
        frame.page_of(find("convolution")), label=t("在课程中打开", "Open the lesson"), icon=":material/arrow_forward:"
    )
with picture_place:
    scene.show(draw_convolution(kernel, size), key="home_convolution")

st.header(t("课程地图", "Course map"), anchor=False)
done = {lesson.stem: predict.progress(lesson.stem) for lesson in LESSONS}
shares = {stem: answered / total for stem, (answered, total) in done.items() if total}
chosen = scene.show(draw_map(shares), key="home_map").go
if chosen in {lesson.stem for lesson in LESSONS}:
    st.switch_page(f"pages/{chosen}.py")

for group, words in GROUPS.items():
    lessons = [lesson for lesson in LESSONS if lesson.group == group]
    if not lessons:
        continue
    st.header(t(*words), anchor=False)
    for start in range(0, len(lessons), 3):
        for place, lesson in zip(st.columns(3), lessons[start : start + 3], strict=False):
            with place.container(border=True, height="stretch"):
                st.page_link(frame.page_of(lesson), label=f"**{lesson.title}**", icon=lesson.icon)
                st.markdown(lesson.sentence)
                answered, total = done[lesson.stem]
                if answered:
                    out_of = f"{answered} / {total}" if total else str(answered)
                    st.caption(t(f"已完成 {out_of} 个预测与挑战", f"{out_of} predictions and challenges done"))
