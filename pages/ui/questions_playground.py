"""The questions and challenges of the playground."""

from __future__ import annotations

from dataclasses import replace

from core.config import Span
from core.playground import FEW_POINTS, PRESETS, PlaygroundConfig, confusion, is_regression, parameter_count
from core.training import ACCURACY, LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.pictures_playground import short
from pages.ui.predict import Line, Number, Question, curve, score
from pages.ui.text import t

WELL = 0.95  # a share of held-out points
SIZES = {f"n{count}": PlaygroundConfig(layers=(count,), learning_rate=0.1) for count in (1, 2, 3, 4)}
DEEP = {
    "sigmoid": PRESETS["deep_sigmoid"],
    "tanh": replace(PRESETS["deep_sigmoid"], activation="tanh"),
    "relu": PRESETS["deep"],
}
LINEAR = {"linear": replace(PRESETS["deep_sigmoid"], activation="identity")}
PULLS = {
    f"l2_{penalty:g}": replace(FEW_POINTS, regularisation="l2", penalty=penalty) for penalty in (0.0, 0.003, 0.03, 0.3)
}
WATCHED = (0, 20, 80, 320, 1_000)  # steps at which the loss is guessed
FEWEST = 13  # parameters of a challenge: three hidden neurons


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "fewest",
            t("圆，一个隐藏层，tanh。至少要几个神经元，测试准确率才到 95%？", "The circle, one hidden layer of tanh neurons. How many does it take for 95% of the held-out points?"),
            lambda runs: next((name for name, run in runs.items() if score(run, ACCURACY) >= WELL), None),
            lambda runs: t("；", "; ").join(f"{run.config.layers[0]}{t('：', ': ')}{score(run, ACCURACY):.1%}" for run in runs.values()),
            t(
                "每个神经元切一刀。两刀围不住一块有界的区域；三刀就能围成一个圆角三角形。",
                "Each neuron makes one cut. Two cannot enclose a bounded region; three make a rounded triangle.",
            ),
            options={name: str(config.layers[0]) for name, config in SIZES.items()},
            runs=SIZES,
            steps=3_000,
        ),
        Question(
            "linear",
            t("同一个圆，六个隐藏层各 8 个，但激活函数是恒等。1,500 步后测试准确率是多少？", "The same circle, six hidden layers of 8, but with the identity as activation. What is the held-out accuracy after 1,500 steps?"),
            lambda runs: score(runs["linear"], ACCURACY),
            lambda runs: t(
                f"{parameter_count(runs['linear'].config)} 个参数，{score(runs['linear'], ACCURACY):.1%}。",
                f"{score(runs['linear'], ACCURACY):.1%}, with {parameter_count(runs['linear'].config)} parameters.",
            ),
            t(
                "仿射映射接仿射映射还是仿射映射：整个网络只等于一条直线，圆分不开，只能乱猜。",
                "One affine map after another is an affine map: the whole network is one straight line. It cannot enclose a circle, and guesses.",
            ),
            number=Number((0.5, 0.6, 0.7, 0.8, 0.9, 1.0), near=0.05, unit="%"),
            runs=LINEAR,
            steps=1_500,
        ),
        Question(
            "deep",
            t("六个隐藏层学圆，学习率都是 0.03。1,500 步后，哪一种还停在 ln 2 ≈ 0.693？", "Six hidden layers learn the circle at rate 0.03. Whose loss is still ln 2 ≈ 0.693 after 1,500 steps?"),
            lambda runs: max(runs, key=lambda name: score(runs[name], LOSS)),
            lambda runs: t("；", "; ").join(f"{words()[name]}{t('：', ': ')}{score(run, LOSS):.3g}" for name, run in runs.items()),
            t(
                "反向传播每过一层都乘 f′：sigmoid 至多 ¼，六层就不到四千分之一，前面的层收不到梯度。tanh 和 ReLU 的斜率可以是 1。",
                "Each layer multiplies by f′ on the way back: at most ¼ with a sigmoid, so after six layers less than a four-thousandth is left. tanh and ReLU can have slope 1.",
            ),
            options=words(),
            runs=DEEP,
            steps=1_500,
        ),
        Question(
            "heart",
            t("只有 20 个训练点，却有 105 个参数。测试损失在 1,000 步里怎样走？", "Only 20 training points for 105 parameters. How does the held-out loss go over 1,000 steps?"),
            lambda runs: curve(runs["overfitting"], LOSS),
            lambda runs: t(
                f"最低 {min(curve(runs['overfitting'], LOSS).values()):.2f}，最后 {score(runs['overfitting'], LOSS):.2f}；训练损失最后是 {short(score(runs['overfitting'], LOSS, 'train'))}。",
                f"Lowest {min(curve(runs['overfitting'], LOSS).values()):.2f}, last {score(runs['overfitting'], LOSS):.2f}; the training loss ends at {short(score(runs['overfitting'], LOSS, 'train'))}.",
            ),
            t(
                "先学到一点规律，再把 20 个点背下来；越背越自信，错的测试点就罚得越重。准确率看不出这一点。",
                "First it learns something general, then the 20 points by heart. It grows ever surer, and a wrong answer costs ever more. Accuracy does not show it.",
            ),
            line=Line(WATCHED, t("步数", "Step"), t("测试损失", "Held-out loss"), Span(0.0, 4.0, 0.1), near=0.4),
            runs={"overfitting": FEW_POINTS},
            steps=1_000,
        ),
        Question(
            "pull",
            t("同样 20 个点，加上 L2。哪个强度在 600 步后测试损失最低？", "The same 20 points, with L2. Which strength has the lowest held-out loss after 600 steps?"),
            lambda runs: min(runs, key=lambda name: score(runs[name], LOSS)),
            lambda runs: t("；", "; ").join(f"{run.config.penalty:g}{t('：', ': ')}{score(run, LOSS):.2f}" for run in runs.values()),
            t(
                "太弱，照样背；太强，权重被拉到 0，什么也学不到。中间的那个只允许平缓的分界。",
                "Too weak, and it still learns by heart; too strong, and the weights are pulled to zero. In between only smooth boundaries are worth their price.",
            ),
            options={name: f"{config.penalty:g}" for name, config in PULLS.items()},
            runs=PULLS,
            steps=600,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("tiny", t(f"圆：不超过 {FEWEST} 个参数，只用 x₁、x₂，测试 97%", f"The circle from x₁ and x₂ alone: 97% held-out with at most {FEWEST} parameters"), tiny_circle),
        Challenge("by_hand", t("“一条线”：一步不训练，只动手改权重，测试 95%", "A line: no training at all, only edits by hand, and 95% held-out"), by_hand),
        Challenge("spiral", t("螺旋：只用 x₁、x₂，测试 90%", "The spiral from x₁ and x₂ alone: 90% held-out"), plain_spiral),
    )  # fmt: skip


def words() -> dict[str, str]:
    return {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU"}


def held_out(live: Live) -> tuple[Run, PlaygroundConfig, float]:
    """The run, its config, and the share of the held-out points that its weights of now have right."""
    run = live.race.leader
    config: PlaygroundConfig = run.config  # type: ignore[assignment]
    if is_regression(config):
        return run, config, 0.0
    counts = confusion(config, run.snapshot().state)
    return run, config, (counts.diag().sum() / counts.sum()).item()


def plain_inputs(config: PlaygroundConfig) -> bool:
    return set(config.inputs) <= {"x1", "x2"}


def tiny_circle(live: Live) -> tuple[bool, str]:
    _, config, right = held_out(live)
    count = parameter_count(config)
    if config.data != "circle" or not plain_inputs(config):
        return False, t("先选圆，输入只留 x₁、x₂", "choose the circle, and x₁ and x₂ alone")
    return count <= FEWEST and right >= 0.97, t(f"{count} 个参数，测试 {right:.1%}", f"{count} parameters, {right:.1%}")


def by_hand(live: Live) -> tuple[bool, str]:
    run, config, right = held_out(live)
    edits = sum(change.name != "learning_rate" for change in run.interventions)
    if config.data != "gaussians":
        return False, t("先选“一条线”预设", "choose the preset A line first")
    reached = run.steps == 0 and edits > 0 and right >= WELL
    return reached, t(
        f"训练了 {run.steps} 步，动手 {edits} 次，测试 {right:.1%}", f"{run.steps} steps, {edits} edits, {right:.1%}"
    )


def plain_spiral(live: Live) -> tuple[bool, str]:
    _, config, right = held_out(live)
    if config.data != "spiral" or not plain_inputs(config):
        return False, t("先选螺旋，输入只留 x₁、x₂", "choose the spiral, and x₁ and x₂ alone")
    return right >= 0.9, t(f"测试 {right:.1%}；要 ≥ 90%", f"{right:.1%}; wanted ≥ 90%")
