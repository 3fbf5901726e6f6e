"""The cart-pole: a policy that says how likely each push is, and is told by what came of it."""

from functools import partial

import streamlit as st

from core.policy_gradient import (
    DQN,
    POLICY_METHODS,
    PRESETS,
    RECENT,
    SOLVED,
    STEPS,
    PolicyGradientConfig,
    race,
)
from pages.ui import challenges, lesson, predict, scene
from pages.ui import pictures_policy_gradient as pictures
from pages.ui import questions_policy_gradient as asked
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term

controls = lesson.begin("policy_gradient", PolicyGradientConfig())
controls.view("at", STEPS, range(STEPS + 1))
controls.view("shown", "latest", pictures.SHOWN)
controls.view("together", False)
formula = st.container()
lesson.presets(
    controls,
    {
        "baseline": Preset(t("有基线", "Baseline"), PRESETS["baseline"], t("最近 100 回合的平均在第 184 回合到 475。头 40 回合平均只有 22，和抛硬币一样；然后很快。", "The mean of 100 episodes reaches 475 at episode 184. The first 40 have a mean of 22, no better than a coin; then it goes fast.")),
        "reinforce": Preset("REINFORCE", PRESETS["reinforce"], t("只用回报，噪声很大：500 回合后平均爬到 185，到 800 回合又掉回 80。换个种子，可能学会，也可能不会。", "Whole returns alone are noisy: the mean creeps up to 185 soon after episode 500 and is back at 80 by 800. Another seed may solve it, or not.")),
        "actor_critic": Preset(t("演员–评论员", "Actor–critic"), PRESETS["actor_critic"], t("权重只看一步：δ。第 205 回合学会，平均 475。", "The weight looks one step ahead, δ. Solved at episode 205, with a mean of 475.")),
        "dqn": Preset("DQN", PRESETS["dqn"], t("学动作的值，旧经验反复用：100 回合时平均约 200；此后差一点舍入就走上另一条路：有的处理器上到 475，有的不到。每走一步更新一次，所以一个回合慢得多。", "Learns what actions are worth, from old steps again and again: a mean of about 200 after 100 episodes. Then rounding leads it one way or another: on some processors to 475, on others not. It updates at every step, so an episode takes far longer.")),
        "random": Preset(t("随机", "Random"), PRESETS["random"], t("抛硬币：平均站 22 步，不到半秒。", "A coin for every push: 22 steps on average, less than half a second.")),
        "rash": Preset(t("外行评论员", "Clueless critic"), PRESETS["rash"], t("V 每回合只更新一次，δ 总在乱评：300 回合后平均 21，和抛硬币一样。", "One update of V per episode, so δ is guesswork: a mean of 21 after 300 episodes, as good as a coin."), breaks=True),
        "blind": Preset(t("短视", "Short-sighted"), PRESETS["blind"], t("γ = 0：每一步得到的都是 1，推得好坏没有区别；300 回合后平均 16。", "γ = 0: every push is told 1, whatever comes of it. A mean of 16 after 300 episodes."), breaks=True),
        "hasty": Preset(t("太急", "Hasty"), PRESETS["hasty"], t("学习率 0.1：几回合就认定一个方向，再也不试另一边；300 回合后平均 9。", "Learning rate 0.1: within a few episodes it is certain of one side and never tries the other. A mean of 9 after 300."), breaks=True),
        "forgetful": Preset(t("健忘", "Forgetful"), PRESETS["forgetful"], t("DQN 只记得最近 64 步：100 回合时平均 25；记 10,000 步的约 200。", "DQN that remembers the latest 64 steps: a mean of 25 after 100 episodes, against about 200 with 10,000."), breaks=True),
        "undecided": Preset(t("犹豫不决", "Undecided"), PRESETS["undecided"], t("熵奖励 20：犹豫比站住更划算，π 一直是一半对一半；300 回合后平均 25。", "An entropy bonus of 20: indecision pays better than standing, and π stays even. A mean of 25 after 300."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(5, 3)
with side:
    method = controls.choice("method", t("方法", "Method"), {name: term(name) for name in POLICY_METHODS}, help=t("前四种学策略，DQN 学动作的值。", "The first four learn a policy; DQN learns what actions are worth."))  # fmt: skip
    before = st.session_state.get("policy_gradient_method_seen", method)
    if (before == "dqn") != (method == "dqn") and controls.value("learning_rate") in (DQN.learning_rate, PolicyGradientConfig.learning_rate):  # fmt: skip
        controls.put(learning_rate=DQN.learning_rate if method == "dqn" else PolicyGradientConfig.learning_rate)
    st.session_state["policy_gradient_method_seen"] = method
    if method != "random":
        controls.slider("discount", t("折扣率 γ", "Discount γ"), format="%.2f")
        controls.steps("hidden", t("隐藏单元", "Hidden units"), controls.limits["hidden"])
    if method == "dqn":
        controls.steps("memory", t("经验回放存多少步", "Replay size, steps"), controls.limits["memory"], format=lambda count: f"{count:,}", help=t("每一步从中随机抽 64 步来学。", "64 of them are drawn for each update."))  # fmt: skip
        controls.steps("target_every", t("目标网络的更新间隔", "Target update interval"), controls.limits["target_every"], format=lambda count: f"{count:,}", help=t("算目标用的网络副本，隔这么多次更新才抄一次。", "The network that computes targets is renewed every so many updates."))  # fmt: skip
    elif method != "random":
        controls.slider("entropy", t("熵奖励 β", "Entropy bonus β"), format="%.1f", help=t("犹豫值多少分：大了，策略不敢下决心。训练中也能改。", "What indecision is worth, in points of return. Can be moved while it trains."))  # fmt: skip
        if method != "reinforce":
            controls.slider("critic_steps", t("V 每回合更新几次", "Updates of V per episode"))
    if method in race(PolicyGradientConfig()):
        controls.toggle("together", t("三种方法一起跑", "Three kinds of credit side by side"), help=t("REINFORCE、有基线、演员–评论员，其余设置都相同。", "REINFORCE, with a baseline, and actor–critic; all else is equal."))  # fmt: skip
    if method != "random":
        controls.choice("shown", t("看哪一回合", "Episode"), {"latest": t("训练中的", "of training"), "greedy": t("贪心走一遍", "greedy, now")}, help=t("刚学的那一回合；或者用现在的策略、总取更可能的动作走一回合。", "The one just learned from; or one that the policy of now plays by its likelier push."))  # fmt: skip
    controls.slider("at", t("看第几步", "Step to look at"), help=t("拉到最右：看到回合结束，暂停时小车会动起来。", "All the way right: to the end of the episode; when paused the cart moves."))  # fmt: skip
    config = lesson.config(controls, lambda error: t("这些设置不能一起用。", "These settings do not go together."))

together = controls.value("together") and method in race(config)
live = Live(controls, race(config) if together else {config.method: config}, speed="10")
run = live.race.runs[config.method]
look = {"shown": controls.value("shown"), "at": controls.value("at")}
with side:
    live.limit_slider(t("最多几个回合", "Episodes, at most"))
with formula, st.container(horizontal=True, gap="medium", vertical_alignment="center"):
    for part in pictures.formula(config, run.learner.entropy_bonus):
        st.latex(part, width="content")
with picture:
    live.picture(partial(pictures.cart, **look, moving=live.replayed is None, live=live.playing), run=config.method)
    live.picture_all(partial(pictures.overview, method=config.method, **look))
    live.picture(partial(pictures.update, at=look["at"]), run=config.method)
with side:
    st.caption(t(f"训练的一步 = 一个回合。每站住一步得 1 分，最多 {STEPS}；最近 {RECENT} 回合平均 {SOLVED} 分算学会。", f"One training step is one episode. Every step that the pole stands earns 1, up to {STEPS}; a mean of {SOLVED} over {RECENT} episodes counts as solved."))  # fmt: skip
live.panel()

if config.method in race(config):
    with st.expander(t("梯度的噪声有多大：为什么要减去基线", "How noisy the gradient is: why a baseline is taken away"), icon=":material/graphic_eq:", key="policy_gradient_noise", on_change="rerun") as part:  # fmt: skip
        if part.open and live.playing:
            st.caption(t("暂停后测量。", "Measured when you pause."))
        elif part.open:
            scene.show(pictures.noise(config, live.snapshot(config.method)), key="policy_gradient_noise_picture")
            st.caption(t("每个点是一个回合单独给出的梯度方向（余弦，1 = 与其余一致）。减去只看状态的 V(s)，期望不变：$\\sum_a \\nabla\\pi(a|s)\\,V(s) = 0$；但“人人有赏”的那部分没有了，剩下的噪声小得多。$\\delta$ 更一致，但一致不等于对：V 不准时，大家一起偏。", "Each dot is the direction of the gradient that one episode alone gives (cosine; 1 is all agree). Taking away a V(s) that sees the state alone leaves the expectation as it is, $\\sum_a \\nabla\\pi(a|s)\\,V(s) = 0$, but removes the praise that every action gets, and much of the noise with it. $\\delta$ agrees more still, but to agree is not to be right: while V is wrong it is biased."))  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("策略梯度：结果好的动作，以后概率调高；$\\nabla\\log\\pi$ 说往哪边调，它前面的权重说调多少。", "The policy gradient makes what went well more likely: $\\nabla\\log\\pi$ says how, the weight before it how much."),
    t("REINFORCE 的权重是整段回报，无偏，但噪声大。减去基线 V(s) 仍然无偏，噪声小得多。（教科书里每一项还乘 $\\gamma^t$；实践中通常省去，这里也省去。）", "REINFORCE's weight is the whole return: unbiased and noisy. Taking away a baseline V(s) keeps it unbiased and much quieter. (The textbook also multiplies by $\\gamma^t$; practice mostly leaves that out, and so does this page.)"),
    t("演员–评论员只看一步，用 $\\delta$ 作权重：噪声更小，但 V 不准时有偏；V 没学好，策略就跟着学坏。", "Actor–critic looks one step ahead and weighs by $\\delta$: quieter still, but biased while V is wrong; a poor V misleads the policy."),
    t("策略梯度是同策略的：一个回合用一次就扔。DQN 是异策略的：旧的步存起来反复用，目标网络让靶子不乱跑。", "Policy gradients are on-policy: an episode is used once and thrown away. DQN is off-policy: it keeps old steps and learns from them again and again, with a frozen network to hold the target still."),
    t("熵奖励让策略晚一点下决心。", "An entropy bonus keeps a policy from making up its mind too early."),
)  # fmt: skip
