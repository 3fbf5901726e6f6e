import streamlit as st
from protocnn import CNNConfig

from pages.ui import frame
from pages.ui.controls import Controls
from pages.ui.live import Live
from pages.ui.scene import Figure, Scene
from pages.ui.text import t

frame.enter("cnn")
controls = Controls("cnn", CNNConfig())
left, right = st.columns([2, 1])
with right:
    controls.slider("kernel", t("核", "Kernel size"))
    controls.slider("channels", t("通道", "Channels"))
live = Live(controls, {"CNN": controls.config()})


def filters(config, snapshot):
    f = Figure(700, 120)
    w = next(v for v in snapshot.state.values() if v.ndim == 4)
    for i in range(min(8, len(w))):
        f.map(f"k{i}", w[i, 0], 10 + i * 85, 30, 75, title=f"{i + 1}")
    return Scene((f,), "filters")


with left:
    live.picture(filters)
live.panel()
