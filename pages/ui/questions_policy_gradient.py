"""The questions and challenges of the policy-gradient lesson."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from core.policy_gradient import (
    CART_GREEDY,
    CART_RETURN,
    DQN,
    PRESETS,
    RECENT,
    SOLVED,
    PolicyGradientConfig,
    race,
)
from core.training import Run
from pages.ui import pictures_policy_gradient as pictures
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Number, Question, score
from pages.ui.text import t, term

EPISODES = 250
SIDE_BY_SIDE = race(PolicyGradientConfig())
RANDOM = {"random": PRESETS["random"]}
CRITICS = {f"critic{count}": replace(PRESETS["rash"], critic_steps=count) for count in (1, 5, 20)}
HALFWAY = {"baseline": PolicyGradientConfig()}
MEMORIES = {f"memory{count}": replace(DQN, memory=count) for count in (64, 10_000)}
SEED = {f"seed{seed}": PolicyGradientConfig(method="reinforce", seed=seed) for seed in range(4)}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "random",
            t(
                "每一步抛硬币决定往哪边推，杆子平均能站多少步？",
                "If a coin decides every push, for how many steps does the pole stand on average?",
            ),
            lambda runs: round(average(runs["random"])),
            lambda runs: t(f"200 回合平均 {average(runs['random']):.1f} 步，最长 {max(lengths(runs['random']))} 步。", f"A mean of {average(runs['random']):.1f} steps over 200 episodes, {max(lengths(runs['random']))} at most."),
            t(
                "一步 0.02 秒：不到半秒就倒了。学习的起点就是这里。",
                "A step is 0.02 s: it is down within half a second. This is where learning begins.",
            ),
            number=Number(range(1, 101), near=6),
            runs=RANDOM,
            steps=200,
        ),
        Question(
            "first",
            t(
                f"三种方法，策略网络、种子和学习率都相同。谁最先学会（{RECENT} 回合平均 {SOLVED}）？",
                f"Three kinds of credit, the same policy, seed and learning rate. Which is first to solve it (a mean of {SOLVED} over {RECENT} episodes)?",
            ),
            lambda runs: min(runs, key=lambda name: solved_at(runs[name]) or 10**6) if any(map(solved_at, runs.values())) else None,
            lambda runs: t("；", "; ").join(f"{term(name)}: {told(run)}" for name, run in runs.items()),
            t(
                "整段回报总是正的：每个动作都被夸，只是多少不同。减去 V(s)，比平常好的才夸，比平常差的要罚。",
                "Whole returns are always positive: every action is praised, some more, some less. With V(s) taken away only what is better than usual is praised, and what is worse is punished.",
            ),
            options={name: term(name) for name in SIDE_BY_SIDE},
            runs=SIDE_BY_SIDE,
            steps=EPISODES,
        ),
        Question(
            "agree",
            t(
                "有基线，学了 60 回合。同一个策略再走 32 回合，看一个回合的梯度与其余的平均有多一致（余弦）。减去 V(s) 之后是之前的几倍？",
                "With a baseline, after 60 episodes, the same policy plays 32 more. How alike is the gradient of one episode to the mean of the others (cosine)? By what factor does taking away V(s) raise it?",
            ),
            lambda runs: round(agreement(runs, "baseline") / agreement(runs, "reinforce")),
            lambda runs: t("；", "; ").join(f"{term(name)}: {agreement(runs, name):.2f}" for name in ("reinforce", "baseline")),
            t(
                "期望一样，噪声小了：同样多的回合，方向准得多。",
                "The expectation is the same and the noise is smaller: as many episodes, a far better direction.",
            ),
            number=Number(range(1, 11), near=1),
            runs=HALFWAY,
            steps=60,
        ),
        Question(
            "critic",
            t(
                "演员–评论员，学习率 0.01，每回合 V 更新 1、5 或 20 次。只更新 1 次会怎样？",
                "Actor–critic, learning rate 0.01, with 1, 5 or 20 updates of V per episode. What becomes of the one with a single update?",
            ),
            lambda runs: "never" if score(runs["critic1"], CART_GREEDY, "train") < 100 else "slow" if not solved_at(runs["critic1"]) else "same",
            lambda runs: t("；", "; ").join(f"{run.config.critic_steps}: {told(run)}" for run in runs.values()),  # type: ignore[attr-defined]
            t(
                "δ 里有评论员自己的估计。它还什么都不懂，评语就是错的，而策略照单全收。",
                "δ contains the critic's own estimates. While it knows nothing its judgement is wrong, and the policy believes all of it.",
            ),
            options={
                "same": t("也学会，差不多快", "It solves it about as fast"),
                "slow": t("慢一些，但在学", "It learns, only slower"),
                "never": t("根本学不会", "It does not learn at all"),
            },
            runs=CRITICS,
            steps=EPISODES,
        ),
        Question(
            "luck",
            t(
                "没有基线的 REINFORCE，4 个种子，各 300 回合。最好的一次与最差的一次，平均回报差多少？",
                "REINFORCE without a baseline, 4 seeds, 300 episodes each. How far apart are the mean returns of the best and the worst run?",
            ),
            lambda runs: round(spread(runs)),
            lambda runs: t("；", "; ").join(f"{run.config.seed}: {score(run, CART_RETURN, 'train'):.0f}" for run in runs.values()),
            t(
                "只换了随机数。所以强化学习的结果总要看多个种子。",
                "Nothing but the random numbers differs. So results in reinforcement learning are shown over several seeds.",
            ),
            number=Number(range(0, 501, 10), near=50),
            runs=SEED,
            steps=300,
        ),
        Question(
            "memory",
            t(
                "DQN 学 100 回合。只记得最近 64 步（一秒多一点）的，比记得 10,000 步的差多少？",
                "DQN, 100 episodes. One remembers the latest 64 steps, little more than a second, the other 10,000. Which returns do they come to?",
            ),
            lambda runs: "worse" if mean_of(runs, 64) < 0.5 * mean_of(runs, 10_000) else "better" if mean_of(runs, 64) > mean_of(runs, 10_000) else "near",
            lambda runs: t("；", "; ").join(f"{run.config.memory:,}: {score(run, CART_RETURN, 'train'):.0f}" for run in runs.values()),  # type: ignore[attr-defined]
            t(
                "一秒里的步几乎是同一步：网络只记得眼前，忘了别处该怎么推。",
                "The steps of one second are nearly the same step: the network learns what is before it and forgets the rest.",
            ),
            options={
                "worse": t("不到一半", "Short memory: less than half"),
                "near": t("差一些", "Somewhat less"),
                "better": t("反而更好", "Short memory is better"),
            },
            runs=MEMORIES,
            steps=100,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("fast", t(f"160 回合以内学会（{RECENT} 回合平均 {SOLVED}）", f"Solve it within 160 episodes (a mean of {SOLVED} over {RECENT})"), fast),
        Challenge("tiny", t("只用 4 个隐藏单元学会", "Solve it with 4 hidden units"), tiny),
        Challenge("plain", t("不用基线，REINFORCE 也到平均 400", "Bring REINFORCE to a mean of 400 without a baseline"), plain),
    )  # fmt: skip


def lengths(run: Run) -> list[int]:
    """The returns of the episodes that are kept."""
    return run.snapshot().state["returns"].tolist()


def average(run: Run) -> float:
    return fmean(lengths(run) or [0])


def solved_at(run: Run, wanted: float = SOLVED) -> int | None:
    """The first episode after which the mean of RECENT is as wanted; None where it is not, or no longer known."""
    found = lengths(run)
    first = run.steps - len(found)
    total = sum(found[: RECENT - 1])
    for end in range(RECENT, len(found) + 1):
        total += found[end - 1]
        if total >= wanted * RECENT:
            return first + end
        total -= found[end - RECENT]
    return None


def told(run: Run) -> str:
    at = solved_at(run)
    return (
        t(f"第 {at} 回合", f"episode {at}")
        if at
        else t(f"还没有（平均 {latest(run)}）", f"not yet (mean {latest(run)})")
    )


def latest(run: Run) -> str:
    """The mean of the latest RECENT returns; before the first episode there is none."""
    found = lengths(run)[-RECENT:]
    return f"{fmean(found):.0f}" if found else "–"


def agreement(runs: dict[str, Run], method: str) -> float:
    run = runs["baseline"]
    return fmean(pictures.agreement_of(run.config, run.snapshot())[method])  # type: ignore[arg-type]


def spread(runs: dict[str, Run]) -> float:
    found = [score(run, CART_RETURN, "train") for run in runs.values()]
    return max(found) - min(found)


def mean_of(runs: dict[str, Run], memory: int) -> float:
    return score(runs[f"memory{memory}"], CART_RETURN, "train")


def fast(live: Live) -> tuple[bool, str]:
    found = [at for run in live.race.runs.values() if (at := solved_at(run))]
    if not found:
        return False, t("还没学会。", "Not solved yet.")
    return min(found) <= 160, t(f"第 {min(found)} 回合学会。", f"Solved at episode {min(found)}.")


def tiny(live: Live) -> tuple[bool, str]:
    run = live.race.leader
    config: PolicyGradientConfig = run.config  # type: ignore[assignment]
    words = t(f"{config.hidden} 个隐藏单元：{told(run)}。", f"{config.hidden} hidden units: {told(run)}.")
    return config.hidden == 4 and solved_at(run) is not None, words


def plain(live: Live) -> tuple[bool, str]:
    run = next((each for each in live.race.runs.values() if each.config.method == "reinforce"), None)  # type: ignore[attr-defined]
    if run is None:
        return False, t("方法不是 REINFORCE。", "The method is not REINFORCE.")
    at = solved_at(run, 400)
    return at is not None, t(f"第 {at} 回合到了。", f"There at episode {at}.") if at else t(f"最近平均 {latest(run)}。", f"Latest mean {latest(run)}.")  # fmt: skip
