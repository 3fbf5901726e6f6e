"""The grid world: what cells are worth, by sweeps that know the world and by agents that only walk in it."""

from functools import partial
from random import Random

import streamlit as st

from core.gridworld import (
    KINDS,
    METHODS,
    PLANNING,
    PRESETS,
    REWARDS,
    SIDES,
    SOURCES,
    GridworldConfig,
    Unbounded,
    edited,
    grid_of,
    linked,
    race,
    read_map,
    resized,
)
from pages.ui import challenges, lesson, predict, scene
from pages.ui import pictures_gridworld as pictures
from pages.ui import questions_gridworld as asked
from pages.ui.charts import readable
from pages.ui.lesson import Preset
from pages.ui.live import Live
from pages.ui.text import t, term

VIEWS = ("values", "actions", "policy", "visits")
TOOLS = ("look", *KINDS, "teleport")
LARGEST = SIDES[-1]
WORLD = ("map", "slip", "step_reward", "bump", "cap")
WORLDS = 100  # that Undo can go back through


def explain(error: ValueError) -> str:
    """Why nothing fits."""
    if isinstance(error, Unbounded):
        return t("γ = 1 时回报不打折：从每个格子出发，回合都必须能结束，也不能有永远捡不完的奖励。放一个终点，或把 γ 调到 1 以下。", "With γ = 1 returns are not discounted: an episode must be able to end from every cell, and no reward be collected for ever. Add a goal, or set γ below 1.")  # fmt: skip
    return t("这些设置不能一起用。", "These settings do not go together.")


def begun() -> int | None:
    """Where a teleport was begun, if the map is still that one."""
    text, state = st.session_state.get("gridworld_teleport", ("", None))
    return state if text == controls.value("map") else None


def touch(cell: tuple[str, int, int]) -> None:
    """A cell is clicked: look at it, or paint it."""
    text, tool = controls.value("map"), st.session_state.get("gridworld_tool") or "look"
    layout = read_map(text)
    if cell[1] >= layout.rows or cell[2] >= layout.columns:
        return  # of a picture that is older than the map
    state = cell[1] * layout.columns + cell[2]
    source = begun()
    if tool != "look":  # which the keyboard needs to come to where the teleport leads
        st.session_state.pop("gridworld_teleport", None)
    reward = st.session_state.get("gridworld_reward")
    if tool == "look" or not controls.free("map"):
        controls.put(cell=state)
    elif tool != "teleport":
        paint(edited(text, state, tool, reward))
    elif source is None:
        st.session_state["gridworld_teleport"] = text, state
        controls.put(cell=state)
    elif source != state and linked(text, source, state, reward) == text:
        st.toast(
            t(f"最多 {len(SOURCES)} 个传送。", f"There are at most {len(SOURCES)} teleports."), icon=":material/block:"
        )
    else:
        paint(linked(text, source, state, reward))


def paint(text: str) -> None:
    """Another map, if one can begin somewhere on it."""
    try:
        read_map(text)
    except ValueError:
        st.toast(t("至少要留一个可以站的格子。", "At least one cell to stand on must stay."), icon=":material/block:")
    else:
        controls.put(map=text)


def touch_framed() -> None:
    """For the keyboard, whose arrows move the frame."""
    layout = read_map(controls.value("map"))
    framed = min(controls.value("cell"), len(layout.cells) - 1)
    touch(("map", *divmod(framed, layout.columns)))


def resize() -> None:
    paint(resized(controls.value("map"), st.session_state["gridworld_rows"], st.session_state["gridworld_columns"]))


def remember() -> bool:
    """Keep the world at hand, for Undo; whether there was another before it, such as one's own before a preset."""
    worlds = st.session_state.setdefault("gridworld_worlds", [])
    world = {field: controls.value(field) for field in WORLD}
    if not worlds or worlds[-1] != world:
        worlds.append(world)
    del worlds[:-WORLDS]
    return len(worlds) > 1


def undo() -> None:
    worlds = st.session_state["gridworld_worlds"]
    worlds.pop()
    controls.put(**worlds[-1])


def look_back(by: int) -> None:
    st.session_state["gridworld_back"] = max(0, st.session_state.get("gridworld_back", 0) + by)


def begin_game() -> None:
    pick = Random(config.seed + 1)
    begin = pick.choice(grid_of(config).starts)
    st.session_state["gridworld_game"] = {"of": config, "way": [begin], "total": 0.0, "over": False, "random": pick}


def move(action: int) -> None:
    game = st.session_state["gridworld_game"]
    state, reward, game["over"] = grid_of(game["of"]).step(game["way"][-1], action, game["random"].random())
    game["way"] = [*game["way"], state]
    game["total"] += reward


def measure_contrast(world: GridworldConfig) -> None:
    """From the button, before the page is drawn: nobody else's page waits for it."""
    st.session_state["gridworld_contrasts"] = {world: pictures.contrasted(world)}


controls = lesson.begin("gridworld", GridworldConfig())
cell = controls.view("cell", 0, range(LARGEST * LARGEST))
controls.view("view", "values", VIEWS)
controls.view("way", True)
controls.view("together", False)
can_undo = remember()
formula = st.container()
lesson.presets(
    controls,
    {
        "maze": Preset(t("迷宫", "Maze"), PRESETS["maze"], t("Q 学习。最初几乎全靠乱走；找到终点后，值一格一格往回传：60 回合后贪心策略七成能到，100 回合后走最短的 20 步。", "Q-learning. At first it only stumbles; once the goal is found, value creeps back cell by cell: after 60 episodes the greedy policy arrives 7 times in 10, after 100 always.")),
        "cliff": Preset(t("悬崖", "Cliff"), PRESETS["cliff"], t("Q 学习走崖边最短的路：贪心回报 −13。但它还在探索，常掉下去：500 回合时平均 −53。", "Q-learning takes the shortest way, along the edge: greedy return −13. But exploring it keeps falling: a mean of −53 after 500 episodes.")),
        "safe": Preset(t("悬崖 · SARSA", "Cliff · SARSA"), PRESETS["safe"], t("SARSA 把自己的失足也算进去，绕远路：贪心回报 −17，可 1,000 回合时平均 −21，比 Q 学习好得多。", "SARSA counts its own missteps and keeps away: greedy return −17, yet a mean of −21 after 1,000 episodes, far better than Q-learning.")),
        "sweeps": Preset(t("值迭代", "Value iteration"), PRESETS["sweeps"], t("已知模型，不用走：值每一遍向外传一格，20 遍传到起点，25 遍后不再变。", "The model is known and nobody walks: value spreads by one cell a sweep, reaches the start in 20, and stands still after 25.")),
        "textbook": Preset(t("教科书 5×5", "Textbook 5×5"), PRESETS["textbook"], t("Sutton 和 Barto 的例 3.5：随机策略的值，第一行 3.3 8.8 4.4 5.3 1.5。A 的值不到 10：它通向会撞墙的底边。", "Sutton & Barto's example 3.5: values of the random policy, first row 3.3 8.8 4.4 5.3 1.5. A is worth less than its 10: it leads to the edge, where one bumps.")),
        "lake4": Preset(t("冰湖 4×4", "Frozen lake 4×4"), PRESETS["lake4"], t("三次有两次滑向旁边。γ = 1：起点值 0.82，即最终能走到的概率；可是不着急，100 步内只赢 53%。γ = 0.99 时赢 74%。", "Two steps in three go sideways. γ = 1: the start is worth 0.82, the chance to arrive ever; but there is no hurry, and within 100 steps it wins 53%. With γ = 0.99 it wins 74%.")),
        "lake8": Preset(t("冰湖 8×8", "Frozen lake 8×8"), PRESETS["lake8"], t("Q 学习，ε 从 1 每回合减千分之一：1,000 回合还几乎没赢过，4,000 回合后贪心策略赢 85%。请用全速。", "Q-learning, ε from 1 down by a thousandth per episode: hardly a win in 1,000 episodes; after 4,000 the greedy policy wins 85%. Best at full speed.")),
        "network": Preset("DQN", PRESETS["network"], t("同一个迷宫，用小网络代替表格：没去过的格子也会有值。150 回合后走最短的路。", "The same maze with a small network in place of the table: cells it never saw get values, too. After 150 episodes it takes the shortest way.")),
        "empty": Preset(t("空地", "Empty"), PRESETS["empty"], t("蒙特卡罗：回合结束才学，一次学整条路。点格子，画你自己的世界。", "Monte Carlo: it learns when the episode is over, from the whole way. Click cells and paint a world of your own.")),
        "settled": Preset(t("见好就收", "Settled"), PRESETS["settled"], t("ε = 0：找到旁边的 +1 就再也不去找 +10 了；300 回合后仍是 1。ε = 0.9 才找到。", "ε = 0: having found the +1 next door it never looks for the +10; still 1 after 300 episodes. ε = 0.9 finds it."), breaks=True),
        "short": Preset(t("太短", "Too short"), PRESETS["short"], t("每回合 15 步，终点在 20 步外：一次也到不了，2,000 回合后值全是 0。", "15 steps an episode, and the goal is 20 away: it never arrives; all values are 0 after 2,000 episodes."), breaks=True),
        "blind": Preset(t("短视", "Short-sighted"), PRESETS["blind"], t("γ = 0：只看下一步的奖励，值传不出终点旁的格子；贪心回报停在 0.22。", "γ = 0: only the next reward counts, and value never leaves the cells beside the goal; greedy return stays at 0.22."), breaks=True),
        "hasty": Preset(t("太急", "Hasty"), PRESETS["hasty"], t("冰湖，学习率 1：最近一次打滑抹掉全部经验。1,500 回合后赢不到 15%；学习率 0.1 赢 73%。", "Ice with learning rate 1: the latest slip wipes out all experience. After 1,500 episodes it wins under 15%; with 0.1 it wins 73%."), breaks=True),
        "coin": Preset(t("捡硬币", "Coin"), PRESETS["coin"], t("每进一次硬币格得 1 分：来回捡比去终点拿 10 分划算，它就再也不去终点。奖励写什么，它就做什么。", "Every visit to the coin pays 1: going to and fro beats the 10 at the goal, so it never finishes. You get what you reward."), breaks=True),
    },
)  # fmt: skip

picture, side = lesson.columns(5, 3)
with side:
    method = controls.choice("method", t("方法", "Method"), {name: term(name) for name in METHODS}, help=t("前两种知道世界的规则；其余的只能走走看。", "The first two know the rules of the world; the others have to try."))  # fmt: skip
    before = st.session_state.setdefault("gridworld_method_seen", method)
    small = controls.value("learning_rate") <= 0.02
    if (before == "dqn") != (method == "dqn") and small != (method == "dqn"):  # a network needs far smaller steps
        controls.put(learning_rate=0.002 if method == "dqn" else 0.5)
    st.session_state["gridworld_method_seen"] = method
    controls.slider("discount", t("折扣率 γ", "Discount γ"), format="%.2f")
    if method not in PLANNING:
        first, second = st.columns(2)
        with first:
            controls.slider("epsilon", t("探索率 ε", "Exploration ε"), format="%.2f", help=t("多少比例的步子随便走。训练中也能改。", "How often it takes any action at all. Can be moved while it trains."))  # fmt: skip
        with second:
            controls.slider("epsilon_decay", t("ε 的衰减", "Decay of ε"), format="%.3f", help=t("每回合后 ε 乘上它；1 是不变。", "ε is multiplied by it after each episode; 1 keeps it."))  # fmt: skip
    names = {"values": t("值", "Values"), "actions": t("动作", "Actions"), "policy": t("策略", "Policy"), "visits": t("访问", "Visits")}  # fmt: skip
    if method in PLANNING:
        names.pop("visits")
        if controls.value("view") == "visits":
            controls.correct(view="values")
    view = controls.choice(
        "view",
        t("看什么", "Show"),
        names,
        help=t(
            "状态值；每个动作的值，一格四个三角；最好的动作；去过几次。",
            "State values; the value of each action, four triangles a cell; the best action; how often it was there.",
        ),
    )
    if method not in PLANNING:
        controls.toggle("way", t("最近一回合走的路", "Way of the latest episode"))
    if method in race(GridworldConfig()):
        controls.toggle("together", t("Q 学习与 SARSA 一起跑", "Q-learning and SARSA side by side"))
    with st.expander(t("世界的规则", "Rules of the world"), icon=":material/public:", key="gridworld_rules"):
        controls.slider("slip", t("打滑的概率", "Probability to slip"), format="%.2f", help=t("滑向左右两旁，各一半。", "To either side, half of it each."))  # fmt: skip
        controls.number("step_reward", t("每一步的奖励", "Reward of a step"), step=0.1)
        controls.number("bump", t("撞墙另加", "Added for a bump"), step=1.0)
        controls.slider("cap", t("一回合最多几步", "Steps per episode, at most"))
    if controls.access("map", t("网格", "The grid")) != "hide":
        with st.expander(t("画网格", "Paint the grid"), icon=":material/brush:", key="gridworld_paint"):
            tools = {"look": t("只看", "Look"), "free": t("空", "Free"), "wall": t("墙", "Wall"), "start": t("起点", "Start"), "goal": t("终点", "Goal"), "hole": t("洞", "Hole"), "cliff": t("悬崖", "Cliff"), "teleport": t("传送", "Teleport")}  # fmt: skip
            locked = not controls.free("map")
            tool = st.pills(t("点格子会画上", "A click paints"), TOOLS, format_func=tools.get, key="gridworld_tool", default="look", disabled=locked)  # fmt: skip
            if tool in ("free", "goal", "hole", "cliff", "teleport"):
                st.number_input(t("到达它的奖励", "Reward for arriving") if tool != "teleport" else t("传送的奖励", "Reward of the jump"), REWARDS.low, REWARDS.high, value=None, step=1.0, key="gridworld_reward", placeholder=t("按规则", "as the rules say"))  # fmt: skip
            if tool == "teleport":
                st.caption(t("再点它通向哪里。", "Now click where it leads.") if begun() is not None else t("先点从哪里走，再点到哪里。", "Click where it begins, then where it leads."))  # fmt: skip
            if tool not in (None, "look"):
                words = t("画在框住的格子上", "Paint the framed cell")
                if tool == "teleport":
                    words = t("从框住的格子走", "From the framed cell") if begun() is None else t("到框住的格子", "To the framed cell")  # fmt: skip
                st.button(words, key="gridworld_paint_here", icon=":material/format_paint:", on_click=touch_framed, disabled=locked, width="stretch")  # fmt: skip
            st.button(t("撤销", "Undo"), key="gridworld_undo", icon=":material/undo:", on_click=undo, disabled=locked or not can_undo, width="stretch", help=t("回到上一个世界：它的网格和规则，也包括选预设之前画的。", "Back to the world before, its grid and its rules: also to your own after a preset."))  # fmt: skip
            layout = read_map(controls.value("map"))
            st.session_state["gridworld_rows"], st.session_state["gridworld_columns"] = layout.rows, layout.columns
            first, second = st.columns(2)
            first.number_input(t("行", "Rows"), SIDES[0], LARGEST, key="gridworld_rows", on_change=resize, disabled=locked)  # fmt: skip
            second.number_input(t("列", "Columns"), SIDES[0], LARGEST, key="gridworld_columns", on_change=resize, disabled=locked)  # fmt: skip
    config = lesson.config(controls, explain)

together = controls.value("together") and method in race(config)
live = Live(controls, race(config) if together else {config.method: config}, limit=5_000_000, speed="10")
run = live.race.runs.get(config.method, live.race.leader)
cell = min(cell, grid_of(config).states - 1)
if st.session_state.get("gridworld_back_at") != (run.steps, live.replayed):
    st.session_state["gridworld_back_at"], st.session_state["gridworld_back"] = (run.steps, live.replayed), 0
back = 0 if live.playing else st.session_state["gridworld_back"]
with side:
    live.limit_slider(
        t("最多几遍", "Sweeps, at most") if method in PLANNING else t("最多几个回合", "Episodes, at most")
    )
with formula:
    st.latex(pictures.formula(config, pictures.rate_at(run, live.replayed)))
with picture:
    live.picture(partial(pictures.world, view=view, cell=cell, way=controls.value("way"), back=back, live=live.playing), run=config.method, on_click=touch)  # fmt: skip
    if config.method in PLANNING:
        st.caption(t("橙色是好地方，蓝色是坏地方；小三角指向最好的动作。**点一个格子**，下面写出它的算式；“单步”就是一遍。", "Orange is good, blue is bad; small triangles point to the best action. **Click a cell** and its sum is written out below; Step makes one sweep."))  # fmt: skip
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(t("前一步", "Earlier"), key="gridworld_earlier", icon=":material/chevron_left:", on_click=look_back, args=(1,), disabled=live.playing, help=t("回合里的前一步", "The step before, within the episode"))  # fmt: skip
            st.button(t("后一步", "Later"), key="gridworld_later", icon=":material/chevron_right:", on_click=look_back, args=(-1,), disabled=live.playing or not back)  # fmt: skip
            st.caption(t("一步训练 = 一个回合。紫红的点是走完这一回合的智能体，下面是它这一步学到的。**点一个格子**，看它四个动作的值。", "One training step is one episode. The crimson dot is the agent; below: what it learned at this step of its way. **Click a cell** for the values of its four actions."))  # fmt: skip
    live.picture(partial(pictures.update, cell=cell, back=back, rate=pictures.rate_at(run, live.replayed)), run=config.method)  # fmt: skip
live.panel()

with st.expander(t("自己走走看", "Walk yourself"), icon=":material/sports_esports:", key="gridworld_play_yourself", on_change="rerun") as part:  # fmt: skip
    if part.open:
        if "gridworld_game" not in st.session_state or st.session_state["gridworld_game"]["of"] != config:
            begin_game()
        game = st.session_state["gridworld_game"]
        over = game["over"] or len(game["way"]) > config.cap
        board, keys = lesson.columns(3, 2)
        with board:
            scene.show(pictures.played(config, game["way"]), key="gridworld_board")
        with keys:
            for row in ((0,), (3, 2, 1)):
                with st.container(horizontal=True, horizontal_alignment="center", gap="xsmall"):
                    for action in row:
                        st.button(pictures.actions()[action].capitalize(), key=f"gridworld_go{action}", shortcut=pictures.KEYS[action], on_click=move, args=(action,), disabled=over, width=88)  # fmt: skip
            st.button(t("再来一回合", "Another episode"), key="gridworld_again", icon=":material/replay:", on_click=begin_game, type="primary" if over else "secondary", width="stretch")  # fmt: skip
            yours, greedy = st.columns(2)
            best = run.history[-1].scores["train"].get("Greedy return")
            yours.metric(t("你的回报", "Your return"), pictures.short(game["total"]), t(f"{len(game['way']) - 1} 步", f"{len(game['way']) - 1} steps"), delta_color="off", delta_arrow="off")  # fmt: skip
            greedy.metric(t("智能体（贪心）", "The agent, greedy"), pictures.short(best) if best is not None else "–")  # fmt: skip
            st.caption(t("方向键也行。数字藏起来了：智能体开始时也看不见。", "Arrow keys work, too. No numbers here: the agent had none either."))  # fmt: skip
with st.expander(t("SARSA 与 Q 学习：许多次运行的平均", "SARSA against Q-learning, the mean of many runs"), icon=":material/stacked_line_chart:", key="gridworld_contrast", on_change="rerun") as part:  # fmt: skip
    if part.open:
        found = st.session_state.get("gridworld_contrasts", {}).get(pictures.comparable(config))
        if found is None:
            st.button(t(f"训练 2×{pictures.RUNS} 次（几秒）", f"Train 2×{pictures.RUNS} runs (some seconds)"), key="gridworld_measure", icon=":material/timer:", on_click=measure_contrast, args=(pictures.comparable(config),))  # fmt: skip
        else:
            st.altair_chart(readable(pictures.contrast_chart(found)), alt=t("两种方法每回合的回报", "Returns per episode of both methods"), key="gridworld_contrast_chart")  # fmt: skip
        st.caption(t(f"线：{pictures.RUNS} 次运行的平均；色带：中间的八成。就在上面的世界里，用上面的 ε、γ 和学习率，边探索边算。在悬崖上：Q 学习的贪心路更短，SARSA 挣得更多。", f"Line: the mean of {pictures.RUNS} runs; band: the middle 80%. In the world above, with its ε, γ and learning rate, exploration included. On the cliff Q-learning has the shorter greedy way, and SARSA earns more."))  # fmt: skip

predict.ask(controls, asked.questions())
challenges.board(controls, live, asked.challenges())
lesson.takeaways(
    t("值是从这里起的折扣回报的期望；贝尔曼方程把一格的值写成邻格的值。", "A value is the expected discounted return from here on; Bellman's equation writes it by the values of the neighbours."),
    t("知道模型，就扫遍所有状态（值迭代）；不知道，就从走过的路上学。", "With a known model sweep over all states (value iteration); without one, learn from the ways you walk."),
    t("时序差分误差 $\\delta$ 是“刚看到的”减“原以为的”；每一步都能学，不必等回合结束。", "The temporal-difference error $\\delta$ is what was just seen minus what was expected: it teaches at every step, without waiting for the end."),
    t("SARSA 的目标用真正要走的动作（同策略），Q 学习的目标用最好的动作（异策略）：所以一个绕开悬崖，一个贴着走。", "SARSA's target uses the action that is taken (on-policy), Q-learning's the best one (off-policy): so one keeps off the cliff and the other walks along it."),
    t("不探索就找不到更好的；一直探索就一直付代价。让 ε 慢慢变小。", "Without exploring nothing better is found; exploring for ever costs for ever. Let ε fade."),
)  # fmt: skip
