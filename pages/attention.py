"""Attention: a query scores keys, softmax makes weights of it, and values are averaged with them."""

from functools import partial
from math import log

import streamlit as st

from core.attention import (
    BANDWIDTHS,
    PRESETS,
    RANDOM_KEYS,
    SCORINGS,
    AttentionConfig,
    dot_product_spread,
    leave_one_out,
    memory_of,
    race,
)
from core.config import Span
from pages.ui import challenges, lesson, own_series, predict, scene
from pages.ui import pictures_attention as pictures
from pages.ui import questions_attention as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term

REACH = Span(-2.0, 3.0, 0.1)  # of a query, in standard deviations

controls = lesson.begin("attention", AttentionConfig())
controls.view("before", 0.3, REACH)
controls.view("now", 1.0, REACH)
controls.view("draw", 0, range(100))
controls.view("dimension", 64, pictures.DIMENSIONS)
controls.view("bandwidth", 2.0, BANDWIDTHS)
controls.view("noise", 0.0, Span(0.0, 2.0, 0.1))
controls.view("at", 10, range(1, 401))
controls.view("all", False)
controls.view("learned", False)
formula = st.container()
lesson.presets(
    controls,
    {
        "distance": Preset(t("像的年份", "Years alike"), PRESETS["distance"], t("600 步后核变窄：有效键数从 165 到 21，训练损失从 0.51 到 0.17。", "In 600 steps the kernel narrows: from 165 attended keys to 21, training loss from 0.51 to 0.17.")),
        "additive": Preset(t("加性", "Additive"), PRESETS["additive"], t("小网络打分：600 步后训练损失 0.15，最低；没见过的年份却是 1.1，不如 0.59。", "A small network scores: training loss 0.15 after 600 steps, the lowest; yet 1.1 on held-out years, against 0.59.")),
        "bilinear": Preset(t("双线性", "Bilinear"), PRESETS["bilinear"], t("从随机的 W 出发，比全猜平均还差（2.1）；600 步后 0.22。", "Starts from a random W, worse than always the mean (2.1); 0.22 after 600 steps.")),
        "sampled": Preset(t("抽一个", "Draw one"), PRESETS["sampled"], t("抽到的键没有梯度，REINFORCE 也学得会：600 步后期望损失从 1.2 到 0.3。", "A drawn key has no gradient; REINFORCE learns all the same: expected loss from 1.2 to 0.3 in 600 steps.")),
        "learned_around": Preset(t("K = V 也行", "K = V, learned around"), PRESETS["learned_around"], t("K = V，但 W 学会去找“明年该有的样子”：600 步后 0.20。", "K = V, but W learns to look for what next year should be like: 0.20 after 600 steps.")),
        "plain": Preset("K = V", PRESETS["plain"], t("相像的年份本身不是下一年：600 步后停在 0.36，键值分开是 0.17。", "A year that looks alike is not what followed it: stuck at 0.36 after 600 steps, against 0.17 with values of their own."), breaks=True),
        "dot": Preset(t("点积", "Dot product"), PRESETS["dot"], t("点积不问像不像，大的键人人喜欢：600 步后停在 0.40。", "A dot product does not ask for likeness; large keys are everybody's favourites: stuck at 0.40 after 600 steps."), breaks=True),
        "hard": Preset(t("只取最大", "Best key only"), PRESETS["hard"], t("argmax 没有梯度：600 步后一个参数也没动，损失一直是 0.28。", "argmax has no gradient: after 600 steps no parameter has moved, and the loss is still 0.28."), breaks=True),
        "hot": Preset(t("太热", "Too hot"), PRESETS["hot"], t("温度 10：几乎均匀，梯度只剩十分之一。300 步后 0.39，温度 1 时 0.20。", "Temperature 10: nearly uniform, with a tenth of the gradient. 0.39 after 300 steps, against 0.20 at temperature 1."), breaks=True),
    },
)  # fmt: skip

first, second, third = st.columns(3, gap="medium")
with first:
    controls.choice("scoring", t("打分函数", "Scoring function"), {name: term(name) for name in SCORINGS})
    controls.slider("temperature", t("温度", "Temperature"), format="%.2f")
with second:
    choice = controls.choice("choice", t("怎样取", "How to take"), {"soft": t("软：期望", "Soft: mean"), "hard": t("硬：最大", "Hard: best"), "sampled": t("硬：抽一个", "Hard: drawn")})  # fmt: skip
    controls.choice("memory", t("拿走什么", "What is taken"), {"key_value": t("键值对 K ≠ V", "Key–value K ≠ V"), "plain": t("普通 K = V", "Plain K = V")})  # fmt: skip
with third:
    task = controls.choice("task", t("序列", "Series"), {"sunspots": t("太阳黑子", "Sunspots"), "own": t("自己的", "Your own")})  # fmt: skip
    learned = controls.toggle("learned", t("用学到的打分", "Score as learned"), help=t("关：训练前的参数。开：训练到现在的参数，见最下面。", "Off: the parameters before training. On: those of now, from the training below."))  # fmt: skip
    if choice == "sampled":
        controls.slider("draw", t("第几次抽", "Which draw"))
    if task == "own":
        own_series.panel(controls)
config = lesson.config(controls, own_series.explain)
sunspots, times = config.task == "sunspots", pictures.times_of(config.task)
picture = st.container()
left, right = st.columns(2, gap="medium")
with left:
    before = controls.slider("before", t(f"查询：{times.before}", f"Query: {times.before}"), format="%.1f")
with right:
    this_year = controls.slider("now", t(f"查询：{times.now}", f"Query: {times.now}"), format="%.1f")
query, seed = (before, this_year), controls.value("draw")

live = Live(controls, race(config) if controls.value("all") else {"attention": config})
focus = config.scoring if controls.value("all") else None
now = live.snapshot(focus) if learned else pictures.untrained(config)
with formula:
    st.latex(pictures.formula(config, pictures.steps_of(config, now, query, seed)))
with picture:
    live.picture(partial(pictures.lookup, query=query, seed=seed, learned=learned), focus)
    st.caption(
        t("键是相邻的两个数，值是下一个，都按平均 0、标准差 1 换算。灰线是序列一路走过的地方", "A key is two values in a row, its value the next; all in standard deviations from the mean. Grey: the way that the series takes")
        + (t("，转一圈约 11 年。", ", once round in about 11 years.") if sunspots else t("。", "."))
    )  # fmt: skip

lesson.heading("软、硬，键值、普通：谁有梯度", "Soft or hard, key–value or plain: which has a gradient?")
st.markdown(asked.gradient_table(config, now, query, seed))
st.caption(t("梯度是预报对查询两个数的导数；“差分”是把查询挪动 0.0001 量出来的。软注意力正好是抽样的期望，所以 REINFORCE 的平均逼近它的梯度。", "The gradient is that of the forecast with respect to the query's two numbers; the differences are measured by moving it by 0.0001. Soft attention is the expectation of drawing, so REINFORCE comes to its gradient in the mean."))  # fmt: skip

lesson.heading("点积为什么要除以 √d", "Why dot products are divided by √d")
dimension = controls.steps("dimension", t("维数 d", "Dimension d"), pictures.DIMENSIONS)
scene.show(pictures.spreads(dimension), "attention_spreads")
raw, scaled = dot_product_spread(dimension), dot_product_spread(dimension, "scaled_dot")
st.markdown(t(f"256 个查询、32 个键，分量都来自 N(0, 1)。点积的标准差量得 **{raw.deviation:.2f}**，理论 $\\sqrt{{{dimension}}}={dimension**0.5:.2f}$；除以 $\\sqrt d$ 后 **{scaled.deviation:.2f}**，理论 1。虚点线是键数 $n\\to\\infty$ 时高斯打分的熵 $\\ln n-\\sigma^2/2$，从 $d=2\\ln 32\\approx {2 * log(RANDOM_KEYS):.1f}$ 起为 0；32 个键没有这么快：不除，$d={dimension}$ 时熵平均 {raw.entropy:.2f}，最大的权重平均 {raw.largest:.2f}。越近 1，softmax 越只认一个键，梯度也越小。", f"256 queries and 32 keys of components N(0, 1). Dot products deviate by **{raw.deviation:.2f}**, in theory $\\sqrt{{{dimension}}}={dimension**0.5:.2f}$; divided by $\\sqrt d$ by **{scaled.deviation:.2f}**, in theory 1. Dotted: the entropy $\\ln n-\\sigma^2/2$ of Gaussian scores for $n\\to\\infty$ keys, 0 from $d=2\\ln 32\\approx {2 * log(RANDOM_KEYS):.1f}$ on. With 32 keys it falls more slowly: undivided it is {raw.entropy:.2f} in the mean at $d={dimension}$, the largest weight {raw.largest:.2f}. The nearer to 1, the more softmax knows one key alone, and the smaller is its gradient."))  # fmt: skip

lesson.heading("核回归：时间看时间", "Nadaraya–Watson: time attends to time")
left, right = st.columns(2)
with left:
    bandwidth = controls.steps("bandwidth", t("带宽 h（温度 = h²）", "Bandwidth h (temperature = h²)"), BANDWIDTHS, format=lambda h: f"{h:g}")  # fmt: skip
with right:
    noise = controls.slider("noise", t("加上的噪声：序列标准差的几倍", "Noise added, in deviations of the series"), format="%.1f")  # fmt: skip
scene.show(pictures.smoothing(config, bandwidth, noise), "attention_smoothing")
errors = leave_one_out(config.task, config.series, noise)
best = BANDWIDTHS[int(errors.argmin())]
st.caption(t(f"绿线是核：正中一处怎样分配注意力。绿点：留一误差最小在 h = {best:g}。太窄就跟着噪声走，太宽就把起伏抹平；数据越吵，最好的核越宽。", f"Green: the kernel, how the place in the middle shares out its attention. The green dot: leaving one out, h = {best:g} errs least. Too narrow follows the noise, too wide wipes out the ups and downs; the noisier the data, the wider the best kernel."))  # fmt: skip

lesson.heading("让它学：哪些年份和现在像", "Let it learn which years are like now")
test = memory_of(config)[1]
controls.limits["at"] = range(1, len(test.keys) + 1)
controls.correct(at=min(controls.value("at"), len(test.keys)))
left, right = st.columns([3, 2], vertical_alignment="bottom")
with left:
    at = controls.slider("at", t("看哪一次预报", "Which forecast to look at"))
with right:
    controls.toggle("all", t("五种打分函数一起跑", "Race all five scoring functions"))
live.picture(partial(pictures.looking_back, at=at), focus)
persistence = ((test.keys[:, 1] - test.following[:, 0]) ** 2).mean().item()
st.caption(
    t(f"蓝：实际；橙虚线：预报。损失以方差为单位，1 等于总猜平均；没见过的部分里“{times.after}和{times.now}一样”是 {persistence:.2f}。平均不会超过见过的最大值", f"Blue: measured; orange, dashed: forecast. The loss is in units of the variance: 1 is always guessing the mean; on the held-out end “{times.after} as {times.now}” has {persistence:.2f}. A mean never exceeds what was seen")
    + (t("，所以 1957 年那样的高峰它报不出来。", ", so a peak like that of 1957 is out of reach.") if sunspots else t("。", "."))
)  # fmt: skip
live.buttons()
live.panel()

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("注意力是软的查表：查询和键打分，softmax 变成加起来是 1 的权重，再平均值。", "Attention is a soft lookup: queries score keys, softmax makes weights that sum to 1, values are averaged."),
    t("软注意力是对所有候选的期望，处处可导；硬注意力只取一个，不可导，要靠抽样估计梯度。", "Soft attention is the expectation over all candidates and differentiable; hard attention takes one, is not, and its gradient has to be estimated from draws."),
    t("键决定看谁，值决定拿走什么；K = V 只是特例。", "Keys decide who is looked at, values what is taken; K = V is a special case."),
    t("d 维点积的方差是 d；除以 √d，softmax 才不会一开始就饱和。", "A dot product of d components has variance d; divided by √d, softmax is not saturated from the start."),
    t("温度低是硬，温度高是均匀；高斯核回归的带宽平方就是温度。", "Cold is hard, hot is uniform; the squared bandwidth of a Gaussian kernel is a temperature."),
)  # fmt: skip
