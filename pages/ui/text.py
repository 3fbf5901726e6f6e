"""Two languages side by side, at the place where the words are shown."""

from __future__ import annotations

import streamlit as st

LANGUAGES = {"zh": "中文", "en": "English"}
LANGUAGE_KEY = "lang"


def language() -> str:
    """The language of this viewer: "zh" or "en"."""
    return st.session_state.get(LANGUAGE_KEY) or "en"


def t(zh: str, en: str) -> str:
    """The text in the viewer's language."""
    return zh if language() == "zh" else en


TERMS = {
    "Step": "步数",
    "Steps/s": "步/秒",
    "Loss": "损失",
    "Accuracy": "准确率",
    "Kernel error": "卷积核误差",
    "learning_rate": "学习率",
    "train": "训练集",
    "test": "测试集",
    "max": "最大池化",
    "average": "平均池化",
    "none": "步长卷积",
    "cnn": "卷积网络",
    "fully_connected": "全连接网络",
}
ENGLISH = {
    "learning_rate": "learning rate",
    "train": "training data",
    "test": "held-out data",
    "max": "max",
    "average": "average",
    "none": "strided conv",
    "cnn": "CNN",
    "fully_connected": "fully connected",
}


def term(name: str) -> str:
    """A term of the field in the viewer's language; a name that no language knows is shown as it is."""
    return TERMS.get(name, name) if language() == "zh" else ENGLISH.get(name, name)
