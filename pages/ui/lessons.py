"""The registry of lessons: navigation, the home page and the tests all read it. One line, one lesson."""

from __future__ import annotations

from typing import NamedTuple

from pages.ui.text import t


class Lesson(NamedTuple):
    stem: str  # core/<stem>.py, pages/<stem>.py, tests/core/test_<stem>.py, the address, the prefix of every key
    group: str
    icon: str
    zh: str
    en: str
    zh_sentence: str
    en_sentence: str
    builds_on: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return t(self.zh, self.en)

    @property
    def sentence(self) -> str:
        return t(self.zh_sentence, self.en_sentence)


GROUPS = {
    "foundations": ("基础", "Foundations"),
    "convolution": ("卷积", "Convolution"),
    "recurrent": ("循环", "Recurrent"),
    "attention": ("注意力", "Attention"),
    "reinforcement": ("强化学习", "Reinforcement"),
}

# fmt: off
LESSONS = (
    Lesson("neuron", "foundations", ":material/scatter_plot:", "神经元与前向传播", "The neuron", "加权求和，再激活：一个神经元在平面上画一条线，并学会把它放对。", "Sum with weights, then activate: a neuron draws a line through the plane and learns where to put it."),
    Lesson("backpropagation", "foundations", ":material/undo:", "反向传播", "Backpropagation", "沿着计算图往回走，每条边乘一个导数，就得到每个权重的梯度。", "Walk the graph backwards, multiply by one derivative per edge, and every weight has its gradient.", ("neuron",)),
    Lesson("gradient_descent", "foundations", ":material/terrain:", "梯度下降", "Gradient descent", "五种方法从同一点出发，看谁先走到谷底。", "Five methods start at the same place: which one is first at the bottom?", ("backpropagation",)),
    Lesson("playground", "foundations", ":material/hub:", "多层感知机", "Multilayer perceptron", "几十个神经元，每一个都看得见：自己搭网络，自己放点，看它怎样把平面弯开。", "A few dozen neurons, every one in view: build the network, place the points, and watch it bend the plane.", ("gradient_descent",)),
    Lesson("convolution", "convolution", ":material/grid_on:", "卷积层", "Convolution", "一个小窗口滑过图像，处处用同一组权重。", "A small window slides over the picture with the same weights everywhere.", ("neuron",)),
    Lesson("pooling", "convolution", ":material/compress:", "池化层", "Pooling", "缩小特征图，也让网络不那么在意图案挪动一两个像素。", "Shrink the maps, and care less where exactly a pattern sits.", ("convolution",)),
    Lesson("cnn", "convolution", ":material/layers:", "卷积神经网络", "Convolutional network", "把卷积层叠起来，看它当场学会认手写数字。", "Stack convolutions and watch the network learn real handwritten digits.", ("convolution", "pooling")),
    Lesson("rnn", "recurrent", ":material/all_inclusive:", "循环神经网络", "Recurrent network", "把上一步的状态送回来，网络就有了记忆；一扇固定的窗做不到。", "Feed the last state back in and a network has a memory, which no fixed window gives.", ("neuron", "gradient_descent")),
    Lesson("gradient_flow", "recurrent", ":material/trending_down:", "梯度消失与爆炸", "Vanishing and exploding gradients", "梯度沿时间往回走，每一步乘一个矩阵：越乘越小，或越乘越大；门控给它修了一条路。", "Back through time, every step multiplies the gradient by a matrix: it fades, or it blows up. Gates build it a road.", ("backpropagation", "rnn")),
    Lesson("lstm", "recurrent", ":material/memory:", "长短期记忆网络", "Long short-term memory", "三道门管一条记忆：写入、保留、给出。每道门都可以掰开、关死，看少了它会怎样。", "Three gates guard one memory: write, keep, show. Hold any of them open or shut and see what it was good for.", ("rnn", "gradient_flow")),
    Lesson("gru", "recurrent", ":material/valve:", "门控循环单元", "Gated recurrent unit", "一道门决定旧的留多少、新的要多少，另一道门决定要不要听过去。", "One gate decides how much of the old stays and how much of the new comes in, another whether to listen to the past.", ("rnn", "lstm")),
    Lesson("memory", "recurrent", ":material/timer:", "记忆竞赛", "The memory race", "隔多久还记得？三种循环单元、许多长度、几个种子，一条条线当场长出来。", "How long can it remember? Three recurrent cells, many lengths, several seeds: the lines grow before your eyes.", ("rnn", "lstm", "gru")),
    Lesson("attention", "attention", ":material/center_focus_strong:", "注意力机制", "Attention", "查询和键打分，softmax 变成权重，再按权重平均值：用过去相像的年份预报太阳黑子。", "A query scores keys, softmax turns scores into weights, values are averaged: past years that look alike forecast sunspots."),
    Lesson("seq2seq", "attention", ":material/swap_horiz:", "序列到序列", "Sequence to sequence", "边写边回头看：对齐图从一片灰云变成一条对角线。", "A decoder that looks back while it writes: its map sharpens from a cloud to a diagonal.", ("attention", "gru")),
    Lesson("self_attention", "attention", ":material/hub:", "多头与自注意力", "Self-attention", "同一个序列里，每个位置向所有位置提问；几个头同时问不同的事。", "Every position asks all positions of its own sequence; several heads ask for different things at once.", ("attention",)),
    Lesson("gridworld", "reinforcement", ":material/grid_4x4:", "网格世界", "Grid world", "从终点往回传：每个格子值多少，该往哪走；知道规则就算，不知道就走走看。", "Value creeps back from the goal: what each cell is worth and where to go, computed from the rules or learned by walking."),
    Lesson("policy_gradient", "reinforcement", ":material/balance:", "策略梯度", "Policy gradient", "让杆子立住：推完才知道好坏，好的推法以后多用一点。", "Balance a pole: what a push was good for shows later, and what went well becomes likelier.", ("gridworld", "gradient_descent")),
)
# fmt: on


def find(stem: str) -> Lesson:
    """The lesson with this stem; KeyError where there is none."""
    for lesson in LESSONS:
        if lesson.stem == stem:
            return lesson
    raise KeyError(stem)
