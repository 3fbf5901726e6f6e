"""Two languages side by side, at the place where the words are shown."""

from __future__ import annotations

import threading

import streamlit as st

from pages.ui.glossary import BY_NAME, ENTRIES

LANGUAGES = {"zh": "中文", "en": "English"}
LANGUAGE_KEY = "lang"


_spoken = threading.local()  # a run of a page is a thread; asking the session for every word would cost a tenth of it


def speak(language: str) -> None:
    """The language of this viewer's run, from here on."""
    _spoken.language = language


def language() -> str:
    """The language of this viewer: "zh" or "en"."""
    return getattr(_spoken, "language", None) or st.session_state.get(LANGUAGE_KEY) or "en"


def t(zh: str, en: str) -> str:
    """The text in the viewer's language."""
    return zh if language() == "zh" else en


# Names of metrics, of settings and of what runs are made of: those of the glossary, and shorter ones for small places.
WORDS = {entry.name: (entry.zh, entry.en) for entry in ENTRIES}
WORDS |= {entry.en.capitalize(): (entry.zh, entry.en.capitalize()) for entry in ENTRIES}  # a metric: "Loss"
WORDS |= {
    "Step": ("步数", "Step"),
    "Steps/s": ("步/秒", "Steps/s"),
    "Kernel error": (f"{BY_NAME['kernel'].zh}误差", "Kernel error"),
    "Dead units": ("死亡神经元", "Dead units"),
    "Update-to-weight ratio": ("更新与权重之比", "Update-to-weight ratio"),
    "Gradient norm": ("各层的梯度范数", "Gradient norm of each layer"),
    "Distance": ("到最近极小点的距离", "Distance to minimum"),
    "Greedy return": ("贪心策略的回报", "Greedy return"),
    "Value error": ("值的误差", "Value error"),
    "Largest change": ("一遍里最大的变化", "Largest change"),
    "Latest return": ("每一回合的回报", "Return of each episode"),
    "Episode length": ("回合的步数", "Episode length"),
    "Exploration rate": ("探索率 ε", "Exploration rate ε"),
    "epsilon": ("探索率", "exploration rate"),
    "policy_evaluation": ("策略评估（随机策略）", "Policy evaluation, random policy"),
    "value_iteration": ("值迭代", "Value iteration"),
    "monte_carlo": ("蒙特卡罗", "Monte Carlo"),
    "sarsa": ("SARSA", "SARSA"),
    "expected_sarsa": ("期望 SARSA", "Expected SARSA"),
    "q_learning": ("Q 学习", "Q-learning"),
    "dqn": ("深度 Q 网络", "DQN"),
    "random": ("随机", "Random"),
    "reinforce": ("REINFORCE", "REINFORCE"),
    "baseline": ("有基线的 REINFORCE", "REINFORCE with baseline"),
    "actor_critic": (BY_NAME["actor_critic"].zh, "Actor–critic"),
    "Size of the weights": ("∇log π 前的权重（均方根）", "Weight of ∇log π, rms"),
    "Prediction error": ("值的预测误差", "Error of the values"),
    "sgd": ("随机梯度下降", "SGD"),
    "nesterov": ("Nesterov", "Nesterov"),
    "rmsprop": ("RMSProp", "RMSProp"),
    "adam": ("Adam", "Adam"),
    "adamw": ("AdamW", "AdamW"),
    "Attended keys": ("有效键数", "Attended keys"),
    "Largest weight": ("最大权重", "Largest weight"),
    "with_attention": ("有注意力", "with attention"),
    "no_attention": ("无注意力", "no attention"),
    "plain_attention": ("普通注意力 K = V", "plain attention, K = V"),
    "additive": ("加性", "additive"),
    "dot": ("点积", "dot product"),
    "scaled_dot": ("缩放点积", "scaled dot product"),
    "bilinear": ("双线性", "bilinear"),
    "distance": ("负平方距离", "minus squared distance"),
    "seq2seq": ("序列到序列", "sequence to sequence"),
    "train": WORDS["training_data"],
    "test": WORDS["held_out_data"],
    "max": (BY_NAME["max_pooling"].zh, "max"),
    "average": (BY_NAME["average_pooling"].zh, "average"),
    "none": (BY_NAME["strided_convolution"].zh, "strided conv"),
    "cnn": ("卷积网络", "CNN"),
    "full_lstm": ("完整的 LSTM", "full LSTM"),
    "changed_lstm": ("你的设置", "your settings"),
    "Largest gradient norm": ("最大梯度范数", "Largest gradient norm"),
    "First-step gradient": ("传到第 1 步的梯度", "Gradient that reaches step 1"),
    "simple_rnn": ("RNN", "RNN"),
    "lstm": ("LSTM", "LSTM"),
    "gru": ("GRU", "GRU"),
    "full_gru": ("门都能学的 GRU", "GRU, all learned"),
    "clip_none": ("不截断", "unclipped"),
    "clip_norm": ("按范数", "by norm"),
    "clip_value": ("按值", "by value"),
    "fully_connected": ("全连接网络", "fully connected"),
    "rnn": (BY_NAME["recurrent_network"].zh, "Recurrent network"),
    "tdnn": (BY_NAME["time_delay_network"].zh, "Time-delay network"),
}


def term(name: str) -> str:
    """A term of the field in the viewer's language; a name that no language knows is shown as it is."""
    words = WORDS.get(name)
    return name if words is None else t(*words)
