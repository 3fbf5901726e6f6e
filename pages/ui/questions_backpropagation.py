"""The questions and challenges of the backpropagation lesson."""

from __future__ import annotations

from dataclasses import replace

import torch

from core.backpropagation import (
    PRESETS,
    BackpropagationConfig,
    Pass,
    forward_backward,
    initial_network,
    parameter_names,
    paths,
    shown_sample,
)
from core.config import Span
from core.training import LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.predict import Number, Question, score
from pages.ui.text import t

SEEDS = {f"seed{seed}": replace(PRESETS["xor"], seed=seed) for seed in (1, 2, 4, 5)}
STUCK = 500  # steps after which the local minimum counts as one
FAST = 10  # steps of the fast challenge


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "largest",
            t(
                "Mazur 的 2-2-2 网络，第一步之前。哪个参数的梯度最大（绝对值）？",
                "Mazur's 2-2-2 network before its first step. Which parameter has the largest gradient (in size)?",
            ),
            lambda runs: max(parameter_names(2), key=lambda name: abs(gradient(name))),
            lambda runs: t("；", "; ").join(f"{name}: {gradient(name):+.4f}" for name in ("w1", "w5", "w8", "b1", "b2")),
            t(
                "b₂ 是两个输出共用的：两个误差项都直接加到它上面，因子是 1；权重还要再乘上小于 1 的信号。",
                "Both outputs share b₂: both error terms reach it with factor 1, while a weight's is multiplied by a signal below 1.",
            ),
            options={name: name for name in ("w1", "w5", "w8", "b1", "b2")},
        ),
        Question(
            "paths",
            t(
                "在 Mazur 的网络里，从 b₁ 到总误差有几条路？",
                "In Mazur's network, how many paths lead from b₁ to the total error?",
            ),
            lambda runs: len(paths(mazur(), "b1")),
            lambda runs: t("；", "; ").join(f"{name}: {len(paths(mazur(), name))}" for name in ("w5", "w1", "b1")),
            t(
                "b₁ 进入两个隐藏神经元，每个隐藏神经元通向两个输出：2 × 2。",
                "b₁ enters both hidden neurons, and each of them leads to both outputs: 2 × 2.",
            ),
            number=Number(range(1, 9)),
        ),
        Question(
            "one_step",
            t(
                "Mazur 的损失从 0.2984 开始；偏置不动，一步后是 0.2910。偏置也学，一步后是多少？",
                "Mazur's loss starts at 0.2984; with fixed biases one step makes it 0.2910. And if the biases learn too?",
            ),
            lambda runs: score(runs["biases"], LOSS, part="train"),
            lambda runs: t("；", "; ").join(
                f"{name}: {score(run, LOSS, part='train'):.5f}"
                for name, run in zip(
                    (t("偏置也学", "biases learn"), t("偏置不动", "biases fixed")), runs.values(), strict=True
                )
            ),
            t(
                "梯度最大的参数是 b₂；以前它不动，现在它走的一步也让损失下降。",
                "The largest gradient is that of b₂; its step now adds to the descent.",
            ),
            number=Number(Span(0.27, 0.3, 0.001), near=0.001),
            runs={"biases": PRESETS["mazur_biases"], "fixed": PRESETS["mazur"]},
            steps=1,
        ),
        Question(
            "linear",
            t(
                "2-2-1 网络，激活函数换成恒等，学异或。损失最后停在哪里？",
                "A 2-2-1 with the identity for its activation learns XOR. Where does the loss end?",
            ),
            lambda runs: score(runs["linear"], LOSS, part="train"),
            lambda runs: t(
                f"第 {runs['linear'].steps} 步：{score(runs['linear'], LOSS, part='train'):.4f}",
                f"at step {runs['linear'].steps}: {score(runs['linear'], LOSS, part='train'):.4f}",
            ),
            t(
                "两层线性合起来还是线性；对异或最好的线性答案是处处 ½，每行误差 ½·(½)² = 0.125。",
                "Two linear layers are one linear layer, whose best answer to XOR is ½ everywhere: ½·(½)² = 0.125 per line.",
            ),
            number=Number(Span(0.0, 0.5, 0.005), near=0.01),
            runs={"linear": PRESETS["linear"]},
            steps=300,
        ),
        Question(
            "seed",
            t(
                "异或，tanh，四个随机初始权重各训练 500 步。有一个学不会，是哪个种子？",
                "XOR with tanh from four random starts, 500 steps each. One does not learn it: which seed?",
            ),
            lambda runs: max(runs, key=lambda name: score(runs[name], LOSS, part="train")),
            lambda runs: t("；", "; ").join(
                f"{run.config.seed}: {score(run, LOSS, part='train'):.4f}" for run in runs.values()
            ),
            t(
                "没人能事先看出来：同一张误差曲面，不同的起点走进不同的谷。",
                "Nobody can tell beforehand: it is one error surface, and different starts descend into different valleys.",
            ),
            options={name: str(config.seed) for name, config in SEEDS.items()},
            runs=SEEDS,
            steps=500,
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("escape", t(f"“局部极小”：{STUCK} 步之后，只手动改一个权重一次，让损失降到 0.01 以下", f"“Local minimum”: after step {STUCK} one edit of one weight by hand, then a loss below 0.01"), escape),
        Challenge("unlucky", t("“异或”：找一个种子，1,000 步后损失仍大于 0.05", "“XOR”: find a seed whose loss is still above 0.05 after 1,000 steps"), unlucky),
        Challenge("fast", t(f"“Mazur”：只用学习率，{FAST} 步以内把损失降到 0.01", f"“Mazur”: by the learning rate alone, a loss of 0.01 within {FAST} steps"), fast),
    )  # fmt: skip


def mazur() -> Pass:
    """Mazur's network before its first step."""
    config = BackpropagationConfig()
    return forward_backward(initial_network(config, torch.Generator()), *shown_sample(config))


def gradient(name: str) -> float:
    return mazur().nodes[name].gradient.item()


def loss_of(live: Live) -> tuple[Run, float]:
    """The run, and its loss at the last measure."""
    run = live.race.leader
    return run, score(run, LOSS, part="train")


def alike(run: Run, preset: str, **changed) -> bool:
    """Whether a run has the settings of a preset, but for the learning rate or what else is given."""
    wanted = replace(PRESETS[preset], learning_rate=run.config.learning_rate, **changed)
    return run.config == wanted


def escape(live: Live) -> tuple[bool, str]:
    run, loss = loss_of(live)
    if not alike(run, "local_minimum"):
        return False, t("先选“局部极小”，种子 0", "first choose “Local minimum”, seed 0")
    edits = [change for change in run.interventions if change.name != "learning_rate"]
    counted = len(edits) == 1 and edits[0].step >= STUCK and run.steps > edits[0].step
    return counted and loss < 0.01, t(
        f"第 {run.steps} 步，改了 {len(edits)} 次，损失 {loss:.4f}；要 1 次、< 0.01",
        f"step {run.steps}, {len(edits)} edits, loss {loss:.4f}; wanted 1 and < 0.01",
    )


def unlucky(live: Live) -> tuple[bool, str]:
    run, loss = loss_of(live)
    if (
        not alike(run, "xor", seed=run.config.seed)
        or run.interventions
        or run.learning_rate != PRESETS["xor"].learning_rate
    ):
        return False, t("先选“异或”；只改种子", "first choose “XOR”; change the seed only")
    return run.steps >= 1000 and loss > 0.05, t(
        f"种子 {run.config.seed}，第 {run.steps} 步，损失 {loss:.4f}；要 ≥ 1,000 步、> 0.05",
        f"seed {run.config.seed}, step {run.steps}, loss {loss:.4f}; wanted ≥ 1,000 steps and > 0.05",
    )  # fmt: skip


def fast(live: Live) -> tuple[bool, str]:
    run, loss = loss_of(live)
    if not alike(run, "mazur", seed=run.config.seed) or any(
        change.name != "learning_rate" for change in run.interventions
    ):
        return False, t("先选“Mazur”；只改学习率", "first choose “Mazur”; change the learning rate only")
    reached = next((record.step for record in run.history if record.scores["train"][LOSS.name] <= 0.01), None)
    now = t(f"第 {run.steps} 步损失 {loss:.4f}", f"loss {loss:.4f} at step {run.steps}")
    if reached is not None:
        now = t(f"用了 {reached} 步", f"took {reached} steps")
    return reached is not None and reached <= FAST, now + t(
        f"；要 {FAST} 步以内 ≤ 0.01", f"; wanted ≤ 0.01 within {FAST} steps"
    )
