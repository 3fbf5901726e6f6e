"""The questions and challenges of the sequence-to-sequence lesson."""

from __future__ import annotations

import statistics
from itertools import pairwise

from core.config import Span
from core.seq2seq import PRESETS, Seq2SeqConfig, race
from core.training import ACCURACY, LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Line, Question, score
from pages.ui.text import t, term

LENGTHS = (4, 6, 8, 12, 16)
STEPS = 320
ALONE = {f"length{length}": Seq2SeqConfig(length=length, attention="none") for length in LENGTHS}
TASKS_ALONE = {task: Seq2SeqConfig(task=task, attention="none", length=8) for task in ("reverse", "sort", "copy")}
SCORINGS_RACED = race(Seq2SeqConfig(), "scorings")
HARD = race(Seq2SeqConfig(length=8), "soft_and_hard")
MEMORIES_RACED = race(PRESETS["recall"], "memories")


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "length",
            t(
                f"没有注意力，倒写，训练 {STEPS} 步。长度不同，写对的字各占多少？",
                f"Reversal without attention, {STEPS} steps of training. What share of the tokens is right, for each length?",
            ),
            lambda runs: {float(run.config.length): score(run, ACCURACY) for run in runs.values()},
            lambda runs: t("；", "; ").join(
                t(f"长度 {run.config.length}：{score(run, ACCURACY):.0%}", f"length {run.config.length}: {score(run, ACCURACY):.0%}")
                for run in runs.values()
            ),
            t(
                "整个序列要挤进编码器的最后一个状态。越长，挤得越少；有注意力时长度 10 用同样的步数几乎全对。",
                "The whole sequence has to fit into the encoder's last state: the longer it is, the less gets through. With attention length 10 is nearly all right after as many steps.",
            ),
            line=Line(LENGTHS, t("长度", "length"), t("对的份额", "Share right"), Span(0.0, 1.0, 0.01), near=0.12, unit="%"),
            runs=ALONE,
            steps=STEPS,
        ),
        Question(
            "task",
            t(
                f"没有注意力，长度 8，训练 {STEPS} 步。哪个任务学得最好？",
                f"Without attention, length 8, {STEPS} steps. Which task is learned best?",
            ),
            lambda runs: max(runs, key=lambda name: score(runs[name], ACCURACY)),
            lambda runs: t("；", "; ").join(f"{words()[name]}: {score(run, ACCURACY):.0%}" for name, run in runs.items()),
            t(
                "排序不用记住次序，只要记住有哪些字母；而且后一个字母不会小于前一个。",
                "To sort, one need not remember the order, only which letters there were; and the next is never before the last.",
            ),
            options=words(),
            runs=TASKS_ALONE,
            steps=STEPS,
        ),
        Question(
            "scoring",
            t(
                f"倒写，长度 10，K = V 是编码器的状态。{STEPS} 步后哪种打分函数看得最散？",
                f"Reversal, length 10, K = V are the encoder's states. Which scoring function looks least sharply after {STEPS} steps?",
            ),
            lambda runs: min(runs, key=lambda name: run_focus(runs[name])),
            lambda runs: t("最大权重：", "largest weight: ") + t("；", "; ").join(f"{term(name)} {run_focus(run):.2f}" for name, run in runs.items()),
            t(
                "除以 √d 是为方差为 1 的分量设计的。GRU 的状态都在 −1 到 1 之间，点积本来就小，再除以 √32 就更平了；双线性和加性有自己的参数，能把它放大。",
                "Dividing by √d is made for components of variance 1. A GRU's states lie within −1…1 and their dot products are small; over √32 they are flat. Bilinear and additive scores have parameters that can make them larger.",
            ),
            options={name: term(name) for name in SCORINGS_RACED},
            runs=SCORINGS_RACED,
            steps=STEPS,
        ),
        Question(
            "hard",
            t(
                f"倒写，长度 8，{STEPS} 步。硬注意力的训练损失比软注意力的抖多少？",
                f"Reversal, length 8, {STEPS} steps. How much rougher is the training curve of hard attention than that of soft?",
            ),
            lambda runs: "rough" if roughness(runs["hard_attention"]) > 1.5 * roughness(runs["soft_attention"]) else "alike",
            lambda runs: t(
                f"相邻两次测量平均差：硬 {roughness(runs['hard_attention']):.3f}，软 {roughness(runs['soft_attention']):.3f}；对的份额 {score(runs['hard_attention'], ACCURACY):.0%} 和 {score(runs['soft_attention'], ACCURACY):.0%}",
                f"mean change from one measurement to the next: hard {roughness(runs['hard_attention']):.3f}, soft {roughness(runs['soft_attention']):.3f}; right {score(runs['hard_attention'], ACCURACY):.0%} and {score(runs['soft_attention'], ACCURACY):.0%}",
            ),
            t(
                "硬注意力每步抽一个位置，抽到别处就猜错；梯度也是由抽样估计的。",
                "Hard attention draws one position a step: a draw elsewhere is a wrong guess, and its gradient is estimated from draws too.",
            ),
            options={"alike": t("差不多", "About the same"), "rough": t("至少 1.5 倍", "At least 1.5 times")},
            runs=HARD,
            steps=STEPS,
        ),
        Question(
            "recall",
            t(
                "联想回忆，8 对，缩放点积，240 步。哪一种写得最对？",
                "Associative recall of 8 pairs, scaled dot product, 240 steps. Which is right most often?",
            ),
            lambda runs: max(runs, key=lambda name: score(runs[name], ACCURACY)),
            lambda runs: t("；", "; ").join(f"{term(name)}: {score(run, ACCURACY):.0%}" for name, run in runs.items()),
            t(
                "键只管找得到，值只管有用。K = V 时同一个向量既要像字母又要装着数字，学得慢得多：这时它只知道出现过哪些数字，猜对约三成。",
                "Keys are for being found, values for being useful. With K = V one vector has to resemble the letter and hold the numeral, which takes far longer to learn: so far it only knows which numerals there were, and guesses three in ten.",
            ),
            options={name: term(name) for name in MEMORIES_RACED},
            runs=MEMORIES_RACED,
            steps=240,
        ),
    )  # fmt: skip


def words() -> dict[str, str]:
    return {"reverse": t("倒写", "Reverse"), "sort": t("排序", "Sort"), "copy": t("延迟抄写", "Delayed copy")}


def run_focus(run: Run) -> float:
    return run.history[-1].scores["test"]["Largest weight"]


def roughness(run: Run) -> float:
    """The mean change of the training loss from one measurement to the next, in the second half."""
    losses = [record.scores["train"][LOSS.name] for record in run.history if record.step >= run.steps / 2]
    return statistics.fmean(abs(after - before) for before, after in pairwise(losses))


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("long", t("长度 20，至少 98% 对", "Length 20, at least 98% right"), long_enough),
        Challenge("hard", t("用硬注意力倒写长度 10，至少 98% 对", "Hard attention: reverse length 10, at least 98% right"), by_hard_attention),
        Challenge("alone", t("没有注意力，倒写长度 6 以上，至少 95% 对", "No attention: reverse length 6 or more, at least 95% right"), without_attention),
    )  # fmt: skip


def best(live: Live, attention: tuple[str, ...]) -> tuple[Run | None, float]:
    """The run of such an attention that is right most often."""
    runs = [run for run in live.race.runs.values() if run.config.attention in attention]  # type: ignore[attr-defined]
    found = max(runs, key=lambda run: score(run, ACCURACY), default=None)
    return found, 0.0 if found is None else score(found, ACCURACY)


def judged(live: Live, attention: tuple[str, ...], fits: bool, wanted: float, first: str) -> tuple[bool, str]:
    run, share = best(live, attention)
    if run is None or not fits:
        return False, first
    return share >= wanted, t(f"{share:.1%}；要 ≥ {wanted:.0%}", f"{share:.1%}; wanted ≥ {wanted:.0%}")


def config_of(live: Live) -> Seq2SeqConfig:
    return next(iter(live.race.configs.values()))  # type: ignore[return-value]


def long_enough(live: Live) -> tuple[bool, str]:
    first = t("把长度调到 20", "set the length to 20")
    return judged(live, ("soft", "hard", "none"), config_of(live).length == 20, 0.98, first)


def by_hard_attention(live: Live) -> tuple[bool, str]:
    config = config_of(live)
    fits = config.task == "reverse" and config.length >= 10
    return judged(live, ("hard",), fits, 0.98, t("倒写，长度 ≥ 10，选硬注意力", "choose reversal, length ≥ 10 and hard attention"))  # fmt: skip


def without_attention(live: Live) -> tuple[bool, str]:
    config = config_of(live)
    fits = config.task == "reverse" and config.length >= 6
    return judged(live, ("none",), fits, 0.95, t("倒写，长度 ≥ 6，有一个没有注意力", "choose reversal, length ≥ 6, one of them without attention"))  # fmt: skip
