"""The questions and challenges of the self-attention lesson."""

from __future__ import annotations

from dataclasses import replace

from core.config import Span
from core.self_attention import PRESETS, SelfAttentionConfig, accuracy_of_each, accuracy_without, shuffled
from core.training import ACCURACY, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.pictures_self_attention import example, head_name
from pages.ui.predict import Line, Number, Question, curve, score, steps_to
from pages.ui.text import t

HEADS = {f"heads{heads}": replace(PRESETS["difference"], heads=heads) for heads in (1, 2, 4)}
ONE_HEAD = {"sum": PRESETS["sum"], "difference": PRESETS["one_head"]}
SHUFFLED = {"none": replace(PRESETS["no_positions"], task="sort"), "learned": replace(PRESETS["sort"], heads=4)}
CAUSAL = {"causal": PRESETS["causal_reverse"]}
LONGER = {f"length{length}": replace(PRESETS["reverse"], length=length) for length in (5, 10, 15, 20)}
WITHOUT = {"reverse": replace(PRESETS["reverse"], heads=4)}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "one_head",
            t(
                "只有一个头，600 步。哪个任务学得会：前一个加前三个，还是前一个减前三个？",
                "One head only, 600 steps. Which task does it learn: one place before plus three before, or minus?",
            ),
            lambda runs: winner(runs),
            lambda runs: t("；", "; ").join(
                f"{t('和', 'sum') if name == 'sum' else t('差', 'difference')}: {score(run, ACCURACY):.1%}"
                for name, run in runs.items()
            ),
            t(
                "一个头给出的是平均。和不分先后，平均就够了；差要知道谁减谁，一个平均里看不出来。",
                "What a head hands on is an average. A sum does not ask which is which; a difference does, and an average cannot tell.",
            ),
            options={
                "sum": t("只有和", "The sum alone"),
                "difference": t("只有差", "The difference alone"),
                "both": t("两个都行", "Both"),
                "neither": t("都不行", "Neither"),
            },
            runs=ONE_HEAD,
            steps=600,
        ),
        Question(
            "heads",
            t("“差”的任务，600 步。1、2、4 个头，测试准确率各是多少？", "The difference, 600 steps. What accuracy on held-out sequences with 1, 2 and 4 heads?"),
            lambda runs: {float(run.config.heads): score(run, ACCURACY) for run in runs.values()},
            lambda runs: t("；", "; ").join(
                t(f"{run.config.heads} 个头 {score(run, ACCURACY):.1%}", f"{run.config.heads} heads {score(run, ACCURACY):.1%}")
                for run in runs.values()
            ),
            t(
                "两次查找至少要两个头；多出来的头让它更容易找到分工，参数却一个也不多。",
                "Two lookups need two heads at least. More heads make it easier to find who does what, at no parameter more.",
            ),
            line=Line((1, 2, 4), t("头数", "heads"), t("准确率", "accuracy"), Span(0.0, 1.0, 0.05), near=0.12, unit="%"),
            runs=HEADS,
            steps=600,
        ),
        Question(
            "shuffle",
            t(
                "没有位置编码，训练排序 150 步，再把输入打乱。输出会怎样？",
                "Without positions, trained to sort for 150 steps; then the input is shuffled. What becomes of the output?",
            ),
            lambda runs: "same" if gap(runs["none"]) < 1e-4 else "changed",
            lambda runs: t(
                f"每个答案跟着它的符号走：得分最多差 {gap(runs['none']):.1g}；有位置编码时差 {gap(runs['learned']):.2g}。准确率 {score(runs['none'], ACCURACY):.1%} 对 {score(runs['learned'], ACCURACY):.1%}。",
                f"Compared where each symbol has gone, a score differs by {gap(runs['none']):.1g} at most; with positions by {gap(runs['learned']):.2g}. Accuracy {score(runs['none'], ACCURACY):.1%} against {score(runs['learned'], ACCURACY):.1%}.",
            ),
            t(
                "自注意力是置换等变的：输入怎么打乱，输出就怎么打乱。所以没有位置，它连排序也学不会：它不知道自己站在第几位。",
                "Self-attention is permutation-equivariant: the output is shuffled just as the input. So without positions it cannot even sort, as no place knows which one it is.",
            ),
            options={
                "same": t("照样打乱，一个数也不变", "It is shuffled alike, and no number changes"),
                "changed": t("变成别的答案", "It turns into other answers"),
            },
            runs=SHUFFLED,
            steps=150,
        ),
        Question(
            "causal",
            t(
                "倒序，长度 10，加上因果掩码（不看后面），300 步。测试准确率是多少？瞎猜是 17%。",
                "Reversal, length 10, with the causal mask (no looking ahead), 300 steps. What accuracy on held-out sequences? Guessing gives 17%.",
            ),
            lambda runs: score(runs["causal"], ACCURACY),
            lambda runs: t(f"测得 {score(runs['causal'], ACCURACY):.1%}。", f"It is {score(runs['causal'], ACCURACY):.1%}."),
            t(
                "后五个位置要的符号已经来过，能全对；前五个要的还没来，只能猜：½·1 + ½·⅙ ≈ 58%。",
                "The last five places ask for symbols that have come, and can be right; the first five can only guess: ½·1 + ½·⅙ ≈ 58%.",
            ),
            number=Number(Span(0.0, 1.0, 0.01), near=0.05, unit="%"),
            runs=CAUSAL,
            steps=300,
        ),
        Question(
            "redundant",
            t(
                "倒序只要一次查找。给它四个头，训练 100 步，再关掉一个头。测试准确率最多掉多少？",
                "A reversal takes one lookup. It gets four heads and 100 steps; then one head is switched off. How much accuracy does that cost at most?",
            ),
            lambda runs: worst_loss(runs["reverse"]),
            lambda runs: t("；", "; ").join(
                t(f"没有{head_name(runs['reverse'].config, *pair)} {accuracy:.1%}", f"without {head_name(runs['reverse'].config, *pair).lower()} {accuracy:.1%}")
                for pair, accuracy in accuracy_of_each(runs["reverse"].config, runs["reverse"].snapshot().state).items()
            ),
            t(
                "各个头学了同一件事，少一个也无妨：多出来的头往往可以剪掉。",
                "The heads have learned the same thing, and one can be spared: many heads of large models can be pruned as well.",
            ),
            number=Number(Span(0.0, 1.0, 0.01), near=0.1, unit="%"),
            runs=WITHOUT,
            steps=100,
        ),
        Question(
            "length",
            t(
                "倒序，一个头。长度 5、10、15、20 时，要多少步才到 99%？",
                "Reversal with one head. How many steps to 99% at lengths 5, 10, 15 and 20?",
            ),
            lambda runs: {float(run.config.length): float(steps_to(run, ACCURACY, 0.99) or run.steps) for run in runs.values()},
            lambda runs: t("；", "; ").join(
                t(f"长度 {run.config.length}：{steps_to(run, ACCURACY, 0.99)} 步", f"length {run.config.length}: {steps_to(run, ACCURACY, 0.99)} steps")
                for run in runs.values()
            ),
            t(
                "步数增加得比长度慢：最远的两个位置也只隔一步。循环网络要把它一步步背过去。",
                "The steps grow less than the length: even the farthest places are one step apart. A recurrent network would have to carry it along.",
            ),
            line=Line((5, 10, 15, 20), t("长度", "length"), t("步数", "steps"), Span(0.0, 200.0, 5.0), near=25.0),
            runs=LONGER,
            steps=200,
        ),
    )  # fmt: skip


def winner(runs: dict[str, Run]) -> str:
    """Which of the tasks is learned: 90 % or better."""
    learned = [name for name, run in runs.items() if score(run, ACCURACY) >= 0.9]
    return {0: "neither", 2: "both"}.get(len(learned), learned[0] if learned else "neither")


def gap(run: Run) -> float:
    """How much the scores of a held-out sequence change when it is shuffled, each looked at where its symbol went."""
    return shuffled(run.config, run.snapshot().state, example(run.config, 0)).gap


def worst_loss(run: Run) -> float:
    """The accuracy that the most important head is worth."""
    return score(run, ACCURACY) - min(accuracy_of_each(run.config, run.snapshot().state).values())


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("difference", t("“差”的任务：500 步内达到 99%", "The difference: 99% within 500 steps"), learned_fast),
        Challenge("small", t("括号配对，长度至少 12：只用一层达到 95%", "Brackets of length 12 or more: 95% with a single layer"), one_layer),
        Challenge("spare", t("至少四个头，只留一个，准确率仍有 90%", "Of four heads or more keep one alone, and still have 90%"), one_left),
    )  # fmt: skip


def config_of(live: Live) -> SelfAttentionConfig:
    return live.race.leader.config  # type: ignore[return-value]


def accuracy_now(live: Live) -> float:
    return score(live.race.leader, ACCURACY)


def learned_fast(live: Live) -> tuple[bool, str]:
    config, run = config_of(live), live.race.leader
    reached = steps_to(run, ACCURACY, 0.99)
    best = max(curve(run, ACCURACY).values())
    told = t(f"最好 {best:.1%}" + (f"，第 {reached} 步" if reached else ""), f"best {best:.1%}" + (f", at step {reached}" if reached else ""))  # fmt: skip
    if config.task != "difference":
        return False, t("任务不是“差”", "the task is not the difference")
    return reached is not None and reached <= 500, told


def one_layer(live: Live) -> tuple[bool, str]:
    config, accuracy = config_of(live), accuracy_now(live)
    if config.task != "brackets":
        return False, t("任务不是括号", "the task is not the brackets")
    told = t(f"长度 {config.length}，{config.layers} 层，{accuracy:.1%}", f"length {config.length}, layers: {config.layers}, {accuracy:.1%}")  # fmt: skip
    return config.length >= 12 and config.layers == 1 and accuracy >= 0.95, told


def one_left(live: Live) -> tuple[bool, str]:
    config = config_of(live)
    pairs = [(layer, head) for layer in range(config.layers) for head in range(config.heads)]
    silent = [pairs[number - 1] for number in live.controls.value("silent") if number <= len(pairs)]
    accuracy = accuracy_without(config, live.snapshot().state, silent)
    told = t(f"{len(pairs)} 个头，关掉 {len(silent)} 个：{accuracy:.1%}", f"{len(pairs)} heads, {len(silent)} switched off: {accuracy:.1%}")  # fmt: skip
    return len(pairs) >= 4 and len(silent) == len(pairs) - 1 and accuracy >= 0.9, told
