"""The gated recurrent unit: one gate keeps, one gate listens. Hold either of them, before training and after it."""

from functools import partial

import streamlit as st

from core.data.sequences import steps_of
from core.gru import PRESETS, GRUConfig, clamped_scores, gates_race, race
from pages.ui import challenges, gated, lesson, own_series, predict, scene
from pages.ui import pictures_gru as pictures
from pages.ui import questions_gru as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t

RACES = {"cells": race, "gates": gates_race, "alone": lambda config: {"gru": config}}


def look_at(cell: tuple[str, int, int]) -> None:
    """A click on a map over time: that unit at that step; on the bars of one step: that unit."""
    name, row, column = cell
    controls.put(**({"unit": row + 1, "at": column + 1} if name in pictures.MAPS else {"unit": column + 1}))


controls = lesson.begin("gru", GRUConfig())
controls.view("beside", "cells", tuple(RACES))
controls.view("example", 1, pictures.EXAMPLES)
formula = st.container()
lesson.presets(
    controls,
    {
        "adding": Preset(t("加法问题", "Adding problem"), PRESETS["adding"], t("50 步里有两个数带记号，求和。总说 1 的误差是 1/6。GRU 约 400 步到 0.01 以下，LSTM 约 750 步，简单 RNN 停在 0.17。", "Add the two marked numbers of 50; always saying 1 has an error of 1/6. GRU is below 0.01 after about 400 updates, LSTM after about 750; the simple RNN stays at 0.17.")),
        "sunspots": Preset(t("太阳黑子", "Sunspots"), PRESETS["sunspots"], t("真实数据，猜下一年，600 步后的测试误差：GRU 0.27，LSTM 0.28，RNN 0.37。", "Real data, the next year is asked. Held-out error after 600 updates: GRU 0.27, LSTM 0.28, RNN 0.37.")),
        "digits": Preset(t("手写数字", "Digits"), PRESETS["digits"], t("一行一行地看，只有 8 步：门帮不上多少。600 步后 GRU 95%，RNN 94%，LSTM 91%。", "Read row by row, eight steps only: gates help little. After 600 updates GRU 95%, RNN 94%, LSTM 91%.")),
        "recall": Preset(t("延迟回忆", "Delayed recall"), PRESETS["recall"], t("门不总有用：简单 RNN 100 步全对，GRU 200 步，LSTM 600 步还只有一半。", "Gates are no help everywhere: the simple RNN is all right after 100 updates, GRU after 200, and LSTM still half wrong after 600.")),
        "long": Preset(t("一百步", "A hundred steps"), PRESETS["long"], t("序列加倍，学习率加倍：GRU 300 步就到 0.01 以下，这时 LSTM 和 RNN 还没开始学。", "Twice the length and twice the rate: GRU is below 0.01 after 300 updates, when LSTM and RNN have not begun to learn.")),
        "textbook": Preset(t("先重置再乘", "Textbook"), PRESETS["textbook"], t("重置门放在乘 U 之前：权重同样多，学得同样好，400 步到 0.01 以下。", "The reset gate acts before U: as many weights, and as good; below 0.01 after 400 updates.")),
        "no_reset": Preset(t("没有重置门", "No reset gate"), PRESETS["no_reset"], t("r = 1，少三分之一参数：550 步也到 0.01 以下。", "r = 1, a third fewer parameters: below 0.01 after 550 updates all the same.")),
        "deaf": Preset(t("候选听不见过去", "Deaf candidate"), PRESETS["deaf"], t("r = 0：候选只看输入，记忆全靠更新门。550 步也到 0.01 以下。", "r = 0: the candidate sees the input alone, and the update gate does all the remembering. Below 0.01 after 550 updates.")),
        "ungated": Preset(t("就是 RNN", "It is an RNN"), PRESETS["ungated"], t("z = 0，r = 1：与简单 RNN 是同一个函数，初始权重也相同，两条曲线重合，都停在 0.17。", "z = 0, r = 1: the same function as the simple RNN with the same initial weights. Both curves are one, and stay at 0.17."), breaks=True),
        "always_new": Preset(t("从不保留", "Never keeps"), PRESETS["always_new"], t("z = 0：旧状态只能经过候选，400 步后仍是 0.17。", "z = 0: the old state survives through the candidate alone. Still 0.17 after 400 updates."), breaks=True),
        "memoryless": Preset(t("没有记忆", "No memory"), PRESETS["memoryless"], t("z = 0，r = 0：每一步只看当前的输入，误差停在 1/6 上下。", "z = 0, r = 0: each step sees its own input only. The error stays near 1/6."), breaks=True),
        "frozen": Preset(t("冻住", "Frozen"), PRESETS["frozen"], t("z = 1：状态永远是 0，能学的只有读出层的偏置，误差 0.176。", "z = 1: the state is 0 forever. Only the readout's bias learns, and the error ends at 0.176."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(2, 1)
with side:
    task = controls.choice("task", t("任务", "Task"), pictures.task_names())
    if task == "own":
        own_series.panel(controls, length=min(controls.value("length"), 8))
    left, right = st.columns(2)
    with left:
        controls.slider("length", t("序列长度", "Sequence length"))
    with right:
        controls.slider("hidden", t("隐藏单元", "Hidden units"))
    gated.gate(controls, "update_gate", t("更新门 z：保留多少旧状态", "Update gate z: how much of the old is kept"))
    gated.gate(controls, "reset_gate", t("重置门 r：候选听见多少过去", "Reset gate r: how much the candidate hears"))
    controls.choice("reset_place", t("重置在乘 U 之前还是之后", "Reset before or after U"), {"after": t("之后", "after"), "before": t("之前", "before")}, help=t("之后：PyTorch。之前：教科书。", "After: PyTorch. Before: the textbook."))  # fmt: skip
    config = lesson.config(controls, own_series.explain)
    steps = steps_of(config.task, config.length)
    at, unit = gated.within(controls, "at", 25, steps), gated.within(controls, "unit", 1, config.hidden)
with picture:
    diagram = st.container()
    left, middle, right = st.columns([3, 3, 4], vertical_alignment="bottom")
    with left:
        controls.slider("at", t("看第几步", "Step to look at"))
    with middle:
        if config.hidden > 1:
            controls.slider("unit", t("看第几个单元", "Unit to look at"))
    with right:
        gated.walk(controls, steps)

live = Live(controls, RACES[controls.value("beside")](config), log=True)
example = controls.value("example")
with formula:
    first, second = st.columns(2, vertical_alignment="center")
    first.latex(pictures.general(config))
    if not live.playing:
        second.latex(pictures.formula(config, live.snapshot().state, example, at, unit))
with diagram:
    live.picture(partial(pictures.cell, example=example, at=at, unit=unit))
    st.caption(t("一个单元走一步。绿线是门放过去的：越粗越多；盒子里的绿色是门开了多少。⊙ 是逐个分量相乘。Chung 2014 把 z 和 1 − z 对调，PyTorch 和本页都写 z 保留旧的。", "One unit, one step. What a gate lets through is green, and thicker the more it is; the level in a box shows how far the gate is open. ⊙ multiplies component by component. Chung 2014 swaps z and 1 − z; here, as in PyTorch, z keeps the old."))  # fmt: skip

lesson.heading("门随时间怎样开关", "The gates over time")
live.picture(partial(pictures.whole, example=example, at=at, unit=unit), on_click=look_at)
left, right = st.columns([1, 2], vertical_alignment="center", gap="medium")
with left:
    controls.slider("example", t("看第几条序列", "Sequence to look at"), help=t("都是测试数据：训练时没见过。", "All are held out: never trained on."))  # fmt: skip
right.caption(t("**点一格，就看那一步、那个单元。** 每行一个单元；门：暗是 0，亮是 1；状态：蓝负橙正。每根柱子下面 z 那一段是旧状态的颜色，上面 1 − z 是候选的颜色，合起来就是新状态。", "**Click a cell to look at that step and unit.** One row per unit; gates: dark is 0, bright is 1; states: blue negative, orange positive. Each bar has the old state's colour over z, from below, and the candidate's over 1 − z: together they are the new state."))  # fmt: skip

lesson.heading("训练", "Training")
panel = st.container()
comparison, beside = lesson.columns(2, 1)
with comparison:
    live.picture_all(partial(pictures.table, race=live.race))
with beside:
    st.caption(t("更新/秒：这一页上每次更新实际用的处理器时间，不含测量。固定的门没有参数。", "Updates/s: by the processor time that the updates on this page took, measurements aside. A held gate has no parameters."))  # fmt: skip
with panel:
    first, second = st.columns([3, 2], vertical_alignment="bottom", gap="medium")
    with first:
        controls.choice("beside", t("和谁一起训练", "Train it beside"), {"cells": t("LSTM 和简单 RNN", "LSTM and RNN"), "gates": t("门都能学的 GRU", "all gates learned"), "alone": t("单独", "alone")})  # fmt: skip
    with second, st.popover(t("怎样训练", "How it trains"), icon=":material/settings:", width="stretch"):
        gated.training(controls, task)
    if pictures.are_twins(live.race):
        st.info(t(f"z = 0、r = 1 的 GRU 和简单 RNN：两条曲线至今相差不超过 **{pictures.apart(live.race):.1g}**，只是舍入误差。", f"A GRU at z = 0 and r = 1 and a simple RNN: so far their curves are at most **{pictures.apart(live.race):.1g}** apart: rounding errors."), icon=":material/join:")  # fmt: skip
    live.panel()

clamping = st.expander(t("训练之后再固定门：分数还剩多少？", "Hold the gates after training: what is left of the score?"), icon=":material/lock:", key="gru_clamping", on_change="rerun")  # fmt: skip
if clamping.open:
    with clamping:
        snapshot = live.snapshot()
        scene.show(pictures.clamps(clamped_scores(live.race.leader.config, snapshot.state)), "gru_clamps")
        st.caption(t(f"第 {snapshot.step} 步的权重，不重新训练，每种组合在测试数据上重新测。", f"The weights of step {snapshot.step}, not trained again; each combination is measured on held-out data."))  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("$\\mathbf h_t=\\mathbf z\\odot\\mathbf h_{t-1}+(1-\\mathbf z)\\odot\\tilde{\\mathbf h}_t$：同一个门管旧的和新的，两份加起来总是 1。", "$\\mathbf h_t=\\mathbf z\\odot\\mathbf h_{t-1}+(1-\\mathbf z)\\odot\\tilde{\\mathbf h}_t$: one gate decides on old and new, and the two shares add up to 1."),
    t("z = 1 照抄旧状态，记忆和误差都能走很远；z = 0、r = 1 就是简单 RNN，一点不多。", "z = 1 copies the old state, so memories and errors travel far. z = 0 and r = 1 is the simple RNN and nothing more."),
    t("加法问题靠的是更新门；重置门在这里可有可无。", "The adding problem takes the update gate; here one can do without the reset gate."),
    t("GRU 没有单元状态和输出门：参数是同样大小的 LSTM 的四分之三，谁好要看任务。", "A GRU has no cell state and no output gate: three quarters of the parameters of an LSTM of that size. Which is better depends on the task."),
    t("先重置再乘 U（教科书）与先乘再重置（PyTorch）是两个不同的函数，权重不能通用，学得一样好。", "Reset before U (textbook) and after U (PyTorch) are two functions: weights of one do not fit the other, and they learn equally well."),
)  # fmt: skip
