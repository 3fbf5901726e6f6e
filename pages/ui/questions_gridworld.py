"""The questions and challenges of the grid world."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from core.gridworld import (
    CLIFF_WALK,
    GREEDY,
    LAKE,
    MAPS,
    PLANNING,
    PRESETS,
    RETURN,
    Grid,
    GridworldConfig,
    aims,
    greedy,
    grid_of,
    look_ahead,
    race,
    world,
)
from core.training import Metric, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Number, Question, score
from pages.ui.text import t, term

SEEDS = range(5)
WALKS = {f"{name}{seed}": replace(each, seed=seed) for seed in SEEDS for name, each in race(CLIFF_WALK).items()}
EPSILONS = (0.0, 0.1, 0.5, 0.9)
SETTLING = {f"epsilon{epsilon:g}": replace(PRESETS["settled"], epsilon=epsilon) for epsilon in EPSILONS}
RATES = (0.01, 0.3, 1.0)
SKATING = {f"rate{rate:g}": replace(LAKE, epsilon_decay=0.998, learning_rate=rate) for rate in RATES}
DISCOUNTS = (0.8, 0.9, 0.95, 0.99)
FEW_SWEEPS = 60


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "sweeps",
            t(
                "值迭代，迷宫：终点离起点 20 步。扫到第几遍，起点的值才第一次大于 0？",
                "Value iteration in the maze, whose goal is 20 steps from the start. After how many sweeps is the start worth more than 0 for the first time?",
            ),
            lambda runs: first_sweep(),
            lambda runs: t(f"第 {first_sweep()} 遍。", f"After sweep {first_sweep()}."),
            t(
                "每一遍用上一遍的值，好消息一遍只走一格。",
                "A sweep computes from the values of the sweep before: good news travels by one cell a sweep.",
            ),
            number=Number(range(1, 41), near=1),
        ),
        Question(
            "cliff",
            t(
                "悬崖，ε = 0.1，300 回合，5 次运行。边学边走，哪种方法每回合挣得多？",
                "The cliff, ε = 0.1, 300 episodes, 5 runs. Which method earns more per episode while it learns?",
            ),
            lambda runs: max(race(CLIFF_WALK), key=lambda method: mean_of(runs, method, RETURN)),
            lambda runs: both(runs, RETURN),
            t(
                "Q 学习贴着崖边，一探索就掉下去。SARSA 的值里算进了自己的失足，离崖边远一行。",
                "Q-learning keeps to the edge, and exploring falls off. SARSA's values count its own missteps, so it stays a row away.",
            ),
            options={method: term(method) for method in race(CLIFF_WALK)},
            runs=WALKS,
            steps=300,
        ),
        Question(
            "greedy",
            t(
                "同样 5 次运行之后不再探索，只走最好的动作。Q 学习的回报是多少？（每步 −1）",
                "After the same 5 runs nothing is explored any more. What return does Q-learning get by its best actions? (−1 a step)",
            ),
            lambda runs: round(mean_of(runs, "q_learning", GREEDY)),
            lambda runs: both(runs, GREEDY),
            t(
                "最短的路：上一步，右 11 步，下一步，共 13 步。学的是最好的做法，挣的却少：差的是探索。",
                "The shortest way: up, 11 to the right, down, 13 steps. It knows the best way and yet earned less: exploring made the difference.",
            ),
            number=Number(range(-40, 1), near=1),
            runs=WALKS,
            steps=300,
        ),
        Question(
            "settled",
            t(
                "起点旁有 +1，绕一圈有 +10。300 回合后，哪些 ε 的贪心策略会去拿 +10？",
                "There is a +1 next to the start and a +10 around the corner. After 300 episodes, with which ε does the greedy policy go for the 10?",
            ),
            lambda runs: {0: "none", 1: "largest", 4: "all"}.get(found_ten(runs), "some"),
            lambda runs: t("；", "; ").join(f"ε = {run.config.epsilon:g}: {score(run, GREEDY, 'train'):g}" for run in runs.values()),  # type: ignore[attr-defined]
            t(
                "每走一步都可能拐进 +1 而结束。要一连十来步都在乱试，才碰得到 +10；碰到一次就忘不了。",
                "At every step the +1 is near and ends the episode. Only many random steps in a row come upon the 10; once found it is not forgotten.",
            ),
            options={
                "none": t("一个也没有", "None"), "largest": t("只有 0.9", "0.9 alone"),
                "some": t("0.5 和 0.9", "0.5 and 0.9"), "all": t("全都会", "All of them"),
            },
            runs=SETTLING,
            steps=300,
        ),
        Question(
            "rate",
            t(
                "冰湖会打滑。Q 学习 1,500 回合，学习率取多少，贪心策略赢得最多？",
                "The lake is slippery. Q-learning, 1,500 episodes: with which learning rate does the greedy policy win most?",
            ),
            lambda runs: max(runs, key=lambda name: score(runs[name], GREEDY, "train")),
            lambda runs: t("；", "; ").join(f"{run.config.learning_rate:g}: {score(run, GREEDY, 'train'):.0%}" for run in runs.values()),
            t(
                "同一个动作有三种结果，要平均很多次。太小学得慢，1 则只记得最近一次。",
                "One action has three outcomes, so many must be averaged. Too small a rate is slow; 1 remembers the latest alone.",
            ),
            options={f"rate{rate:g}": f"{rate:g}" for rate in RATES},
            runs=SKATING,
            steps=1500,
        ),
        Question(
            "coin",
            t(
                "硬币格每进一次得 1 分，终点得 10 分（3 步外）。γ 到多大，最好的做法变成永远不去终点？",
                "A coin pays 1 at every visit, the goal 3 steps on pays 10. From which γ on is it best never to go to the goal?",
            ),
            lambda runs: next((f"{discount:g}" for discount in DISCOUNTS if never_ends(discount)), "never"),
            lambda runs: t("；", "; ").join(f"γ = {discount:g}: {t('不去', 'never') if never_ends(discount) else t('去', 'goes')}" for discount in DISCOUNTS),
            t(
                "来回捡值 1/(1−γ²)，去终点值 1 + 10γ³。越有耐心，小钱积得越多。",
                "To and fro is worth 1/(1−γ²), the goal 1 + 10γ³. The more patient, the more small change adds up.",
            ),
            options={f"{discount:g}": f"{discount:g}" for discount in DISCOUNTS} | {"never": t("总会去", "It always goes")},
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("safe_and_short", t("悬崖，从 ε ≥ 0.1 开始：最近 50 回合平均 ≥ −15，贪心回报 −13", "The cliff, begun with ε ≥ 0.1: a mean of at least −15 over 50 episodes, and a greedy return of −13"), fades),
        Challenge("ice", t("冰湖 8×8：用一种不知道规则的方法，让贪心策略赢到 85%", "Frozen lake 8×8: a method without the rules wins at least 85%, greedily"), wins),
        Challenge("long_way", t("画一个最短也要 30 步的世界，让智能体学会它", "Paint a world whose shortest way takes at least 30 steps, and let an agent learn it"), far),
    )  # fmt: skip


def first_sweep() -> int:
    """The sweep at which the start of the maze is worth more than 0."""
    run = Run(PRESETS["sweeps"])
    while run.steps < FEW_SWEEPS and run.learner.state()["values"][0] <= 0:
        run.step()
    return run.steps


def mean_of(runs: dict[str, Run], method: str, metric: Metric) -> float:
    return fmean(score(runs[f"{method}{seed}"], metric, "train") for seed in SEEDS)


def both(runs: dict[str, Run], metric: Metric) -> str:
    means = {method: f"{mean_of(runs, method, metric):.1f}".replace("-", "−") for method in race(CLIFF_WALK)}
    return t("；", "; ").join(f"{term(method)}: {mean}" for method, mean in means.items())


def found_ten(runs: dict[str, Run]) -> int:
    return sum(score(run, GREEDY, "train") > 5 for run in runs.values())


def never_ends(discount: float) -> bool:
    """Whether the optimal policy of the coin world never ends from the start."""
    config = replace(PRESETS["coin"], discount=discount)
    grid = grid_of(config)
    return grid.starts[0] in grid.endless(greedy(look_ahead(grid, aims(config), discount)))


def seen(live: Live) -> Run:
    """The run of the method that is chosen."""
    return live.race.runs.get(live.controls.value("method"), live.race.leader)


def latest(run: Run, metric: Metric) -> float | None:
    return run.history[-1].scores["train"].get(metric.name)


def settings(run: Run) -> GridworldConfig:
    assert isinstance(run.config, GridworldConfig)
    return run.config


def fades(live: Live) -> tuple[bool, str]:
    run = seen(live)
    config, earned, best = settings(run), latest(run, RETURN), latest(run, GREEDY)
    if world_of(config) != world_of(CLIFF_WALK) or earned is None or best is None:
        return False, t("先选“悬崖”预设", "choose the preset Cliff first")
    words = t(f"平均 {earned:.1f}，贪心 {best:.0f}", f"mean {earned:.1f}, greedy {best:.0f}").replace("-", "−")
    return config.epsilon >= 0.1 and run.steps >= 50 and earned >= -15 and round(best) == -13, words


def world_of(config: GridworldConfig) -> Grid:
    return world(config.map, config.slip, config.step_reward, config.bump)


def wins(live: Live) -> tuple[bool, str]:
    run = seen(live)
    config, best = settings(run), latest(run, GREEDY)
    if config.map != MAPS["lake8"] or config.slip < 0.6 or config.cap > 200 or config.method in PLANNING:
        return False, t("先选“冰湖 8×8”预设", "choose the preset Frozen lake 8×8 first")
    if best is None:
        return False, t("还没有学", "nothing is learned yet")
    return best >= 0.85, t(f"现在赢 {best:.0%}", f"wins {best:.0%} now")


def far(live: Live) -> tuple[bool, str]:
    run = seen(live)
    config = settings(run)
    steps = shortest(grid_of(config))
    if steps is None:
        return False, t("从起点到不了终点", "no way leads from the start to an end")
    if config.method in PLANNING:
        return False, t("选一个不知道规则的方法", "choose a method without the rules")
    walked = int(run.snapshot().state["length"])
    arrived = 0 < walked <= 1.2 * steps
    words = t(f"最短 {steps} 步，最近一回合走了 {walked} 步", f"shortest way {steps} steps; the latest episode took {walked}")  # fmt: skip
    return steps >= 30 and arrived, words


def shortest(grid: Grid) -> int | None:
    """The fewest steps from a start to an end."""
    here, seen_states, steps = set(grid.starts), set(grid.starts), 0
    while here:
        steps += 1
        outcomes = [outcome for state in here for actions in grid.table[state] for outcome in actions]
        if any(outcome.ends for outcome in outcomes):
            return steps
        here = {outcome.state for outcome in outcomes} - seen_states
        seen_states |= here
    return None
