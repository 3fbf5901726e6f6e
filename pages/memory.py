"""A memory race: how long a delay each recurrent cell can learn to bridge, swept over delays and seeds."""

import math

import streamlit as st

from core.memory import (
    PRESETS,
    MemoryConfig,
    count,
    kept_by_gates,
    kept_by_rnn,
    measure,
    results_csv,
    trials,
    watched,
)
from core.optimizers import OPTIMIZERS
from pages.ui import challenges, lesson, predict, scene, share
from pages.ui import pictures_memory as pictures
from pages.ui import questions_memory as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.sweeps import SweepPanel
from pages.ui.text import language, t, term


def explain(error: ValueError) -> str:
    """Why these settings cannot be trained."""
    if "race" in str(error):
        return t("至少要有一种单元参加。", "At least one cell has to take part.")
    return t("这些设置不能一起用。", "These settings do not go together.")


controls = lesson.begin("memory", MemoryConfig())
formula = st.container()
lesson.presets(
    controls,
    {
        "recall": Preset(t("干扰下的回忆", "Among distractors"), PRESETS["recall"], t("三个种子：RNN 到 T = 10 都学会，20 只有一次；LSTM 到 40；GRU 到 80，160 有一次。", "Three seeds: the RNN always learns up to T = 10, at 20 once; the LSTM up to 40; the GRU up to 80, at 160 once.")),
        "silence": Preset(t("没有干扰", "In silence"), PRESETS["silence"], t("不必挡住什么：LSTM 在 T = 80 学会（48 步），GRU 在 160 也学会（192 步）；RNN 在 80 仍是瞎猜。", "Nothing to keep out: the LSTM learns T = 80 (48 updates), the GRU even 160 (192); the RNN still guesses at 80.")),
        "open_gates": Preset(t("门开得更大", "Gates wider open"), PRESETS["open_gates"], t("σ(5)¹⁶⁰ 还剩 34%：GRU 的三个种子在 T = 160 都学会，448 步；LSTM 在 80 还是不行。", "σ(5)¹⁶⁰ leaves 34%: three GRUs of three learn T = 160, in 448 updates; the LSTM still fails at 80.")),
        "digits": Preset(t("真的数字", "Real digits"), PRESETS["digits"], t("八行之后是空行，看完要记着。T = 40：RNN 10%，LSTM 72%，GRU 60%。", "After its eight rows a digit is followed by empty ones, and must be remembered. T = 40: RNN 10%, LSTM 72%, GRU 60%.")),
        "adding": Preset(t("加法任务", "Adding problem"), PRESETS["adding"], t("Hochreiter 的老题，T = 50，门的偏置 0：误差到 0.01 以下，GRU 640 步，LSTM 1,280 步；RNN 2,500 步后仍是 0.17，瞎猜是 1/6。", "Hochreiter's classic, T = 50, gate bias 0: below 0.01 after 640 updates of the GRU and 1,280 of the LSTM; the RNN is still at 0.17 after 2,500, and guessing gives 1/6.")),
        "no_start": Preset(t("门半开", "Gates half open"), PRESETS["no_start"], t("PyTorch 自己的开头：σ(0)²⁰ 只剩百万分之一。T = 20：LSTM 20%，GRU 23%，和瞎猜一样。", "PyTorch's own start: σ(0)²⁰ leaves a millionth. T = 20: LSTM 20%, GRU 23%, no better than guessing."), breaks=True),
        "too_fast": Preset(t("学习率 0.1", "Rate 0.1"), PRESETS["too_fast"], t("RNN 在 T = 10 也学不会了，LSTM 在 40 不行；GRU 却 40 步就学会 T = 40，平时要 256 步。", "The RNN no longer learns even T = 10, nor the LSTM 40; but the GRU learns T = 40 in 40 updates, which takes 256 at the usual rate."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(3, 2)
with side:
    task = controls.choice(
        "task",
        t("任务", "Task"),
        {
            "recall": t("回忆：第一个符号是什么", "Recall: which symbol came first"),
            "adding": t("加法：两个标出的数之和", "Adding: the sum of two marked numbers"),
            "copying": t("复制：十个符号，等一会再说出来", "Copying: repeat ten symbols after a wait"),
            "digits": t("真的：一行行看数字，看完再等", "Real: digits row by row, then a wait"),
        },
    )  # fmt: skip
    first, second = st.columns(2)
    with first:
        controls.slider("gate_bias", t("门的初始偏置 b", "Initial gate bias b"), help=t("加在“保留”那扇门上：LSTM 的遗忘门、GRU 的更新门。σ(b) 是一步之后留下的部分。", "Added to the gate that keeps: LSTM's forget gate, GRU's update gate. σ(b) is what is left after a step."))  # fmt: skip
        controls.slider("hidden", t("隐藏单元", "Hidden units"))
        controls.slider("shortest", t("最短 T", "Shortest T"))
        controls.slider("points", t("测几个长度", "Lengths measured"))
    with second:
        if task == "recall":
            controls.slider("distractors", t("干扰的概率", "Distractors"), help=t("以后每一步出现一个无关符号的概率。", "How likely each later step shows a symbol that means nothing."))  # fmt: skip
        controls.slider("limit", t("每次训练的步数", "Updates per run"))
        controls.slider("longest", t("最长 T", "Longest T"))
        controls.slider("seeds", t("种子数", "Seeds"), help=t("每个单元在每个长度上训练几次；图上是平均，带子从最差到最好。", "Runs of each cell at each length. The line is their mean, the band goes from worst to best."))  # fmt: skip
    with st.container(horizontal=True, gap="medium"):
        for kind in ("simple_rnn", "lstm", "gru"):
            controls.toggle(kind, term(kind))
    controls.slider("length", t("细看哪个长度 T", "Length T to watch"), help=t("下面的图和曲线训练这个长度，用同一个种子。", "The pictures and curves below train at this length, with the seed at hand."))  # fmt: skip
    more = st.expander(t("更多设置", "More settings"), key="memory_more", on_change="rerun")
    if more.open:
        with more:
            controls.slider("batch_size", t("批大小", "Batch size"))
            controls.slider("clip", t("梯度截断（范数，0 = 不截）", "Gradient clipping (norm; 0 = off)"))
            controls.choice("optimizer", t("优化器", "Optimizer"), {name: term(name) for name in OPTIMIZERS})
    config = lesson.config(controls, explain)

live = Live(controls, watched(config))
sweep = SweepPanel(live, measure, trials(config), cost=lambda trial: trial.config.length + 10)
a_step, steps = 1 / (1 + math.exp(-config.gate_bias)), config.length
with formula:
    first, second = st.columns(2, gap="medium")
    first.latex(pictures.power(rf"\sigma({config.gate_bias:g})", a_step, steps, kept_by_gates(config)))
    first.caption(t(f"“保留”门起初开到 σ(b)，{steps} 步之后状态还剩这么多。", f"The gate that keeps begins at σ(b): this much of a state is left after {steps} steps."))  # fmt: skip
    second.latex(pictures.power(r"(1/\sqrt 3)", 1 / math.sqrt(3), steps, kept_by_rnn(config)))
    second.caption(t("简单循环网络起初大约只剩这么多：权重的谱半径约为 1/√3。", "A simple RNN keeps about this much: its first weights have a spectral radius of about 1/√3."))  # fmt: skip
with picture:
    sweep.status()
    height = pictures.PRESENTED_HEIGHT if share.presenting() else pictures.HEIGHT
    sweep.chart(
        f"memory_race_{language()}_{'_'.join(map(str, (*config.kinds, *config.delays, config.task, height)))}",
        pictures.race_spec(config, height),
        lambda results: pictures.race_rows(config, results),
        t("每种单元的结果随序列长度的变化，灰虚线是瞎猜", "Score of each cell against the sequence length; the dashed grey line is guessing"),
        lambda results: pictures.race_in_words(config, results),
    )  # fmt: skip
    st.caption(t(f"测试集，每次训练 {config.limit} 步之后。线是 {config.seeds} 个种子的平均，带子从最差到最好；竖线是下面细看的长度。训练在别的进程里做；同样的设置别人测过，结果马上就有。", f"Held-out data, after {config.limit} updates of each run. The line is the mean of {config.seeds} seeds, the band goes from worst to best; the upright line is the length watched below. The runs train in other processes; what somebody has measured with equal settings is there at once."))  # fmt: skip

lesson.heading(f"细看一个长度：T = {steps}", f"One length closely: T = {steps}")
live.picture_all(pictures.strips)
live.panel()

lesson.heading("结果", "Results")
sweep.text("table", lambda results: pictures.table(config, results))
with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
    st.caption(t("每格：平均 · 学会的次数/训练的次数 · 学会平均用了几步。", "In each place: mean · runs that learned it / runs · updates that these needed on average."), width="content")  # fmt: skip
    st.download_button(
        t("全部结果 .csv", "All results .csv"),
        lambda: results_csv(sweep.results).encode("utf-8-sig"),
        file_name="memory_results.csv",
        icon=":material/table:",
        on_click="ignore",
        key="memory_results_csv",
    )

lesson.heading("三种单元", "Three cells")
for column, (kind, rule) in zip(st.columns(3, gap="large"), pictures.RULES.items(), strict=True):
    with column:
        scene.show(pictures.diagram(kind, pictures.words_of(kind)), f"memory_cell_{kind}")
        st.latex(rule)
        st.caption(t(f"{count(config, kind):,} 个参数（{config.hidden} 个隐藏单元，连同读出层）", f"{count(config, kind):,} parameters ({config.hidden} hidden units, the readout included)"))  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("记得久，要状态原样传下去：门让它乘一个接近 1 的数，普通循环网络每一步都把它压缩、混合。", "To remember is to hand the state on unchanged: a gate multiplies it by nearly 1, a simple RNN squashes and mixes it at every step."),
    t("有门还不够，门要一开始就开着：σ(b)ᵀ 太小，就没有梯度来教它开门。", "Gates alone do not do it, they must begin open: where σ(b)ᵀ is tiny there is no gradient that could teach them to open."),
    t("这里比的是在给定的步数内学不学得会，不是能不能表示；多训练、换学习率，界线会移动。", "What is measured is what a cell learns within so many updates, not what it could represent: more updates or another rate move the border."),
    t("一次训练说明不了什么：看几个种子的带子。", "One run says little: look at the band over the seeds."),
)  # fmt: skip
