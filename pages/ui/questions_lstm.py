"""The questions and challenges of the LSTM lesson."""

from __future__ import annotations

import torch
from torch import nn

from core.config import Span
from core.lstm import LSTM, LSTM_GATES, PRESETS, LSTMConfig, clamped_scores
from core.training import ACCURACY, LOSS, Run
from pages.ui.challenges import Challenge
from pages.ui.live import Live
from pages.ui.pictures_lstm import clamp_names, scored
from pages.ui.predict import Line, Number, Question, curve, score, steps_to
from pages.ui.text import t, term

SOLVED = 0.01  # error of the adding problem
BIASES = (0.0, 2.0, 3.0, 4.0, 6.0)
RECALLING = {f"bias{bias:g}": LSTMConfig(task="recall", forget_bias=bias) for bias in BIASES}
RACING = {
    "full_lstm": LSTMConfig(),
    "coupled": LSTMConfig(coupled=True),
    "forget_open": LSTMConfig(forget_gate="open"),
}


def questions() -> tuple[Question, ...]:
    return (
        Question(
            "clamp",
            t("完整的 LSTM 学会了加法问题。现在把一道门掰到全开，不再训练：掰哪一道，误差涨得最多？", "A full LSTM has learned the adding problem. Now one gate is held open, without more training: which one hurts most?"),
            lambda runs: max(LSTM_GATES, key=lambda gate: held_open(runs["adding"])[gate]),
            lambda runs: t("；", "; ").join(f"{clamp_names()[name]}: {scored(value, False)}" for name, value in clamps_of(runs["adding"]).items()),
            t("输入门一直开，没有标记的数也都写进来。遗忘门本来就近乎全开，掰开它损失最小。", "With the input gate open every number is written, marked or not. The forget gate was nearly open anyway, so holding it there costs least."),
            options={gate: term(f"{gate}_gate").capitalize() for gate in LSTM_GATES},
            runs={"adding": PRESETS["adding"]},
            steps=1000,
        ),
        Question(
            "bias",
            t("延迟回忆：第 1 步出现的字母，50 步后要说出来。遗忘门偏置不同，训练 300 步后各有多准？", "Delayed recall: name the first letter after 50 steps. How accurate after 300 updates, for each forget bias?"),
            lambda runs: {run.config.forget_bias: score(run, ACCURACY) for run in runs.values()},  # type: ignore[attr-defined]
            lambda runs: t("；", "; ").join(f"b = {run.config.forget_bias:g}: {score(run, ACCURACY):.0%}" for run in runs.values()),  # type: ignore[attr-defined]
            t("50 步后还剩 σ(b)⁵⁰：b = 2 时 0.2%，4 时 40%，6 时 88%。剩得太少，误差传不回第 1 步。乱猜是 25%。", "After 50 steps σ(b)⁵⁰ is left: 0.2% with b = 2, 40% with 4, 88% with 6. Where too little is left no error reaches step 1. Guessing gives 25%."),
            line=Line(BIASES, t("偏置", "Bias"), t("留出准确率", "Held-out accuracy"), Span(0.0, 1.0, 0.05), near=0.12, unit="%"),
            runs=RECALLING,
            steps=300,
        ),
        Question(
            "fastest",
            t("加法问题，50 步。三种 LSTM 里，哪一种最先把误差降到 0.01？", "The adding problem over 50 steps. Which of three LSTMs is first to bring the error down to 0.01?"),
            lambda runs: min(runs, key=lambda name: solved_at(runs[name])),
            lambda runs: t("；", "; ").join(f"{variants()[name]}: {arrival(run)}" for name, run in runs.items()),
            t("f = 1 − i 一开始就约为一半，但“不写就保留”：学会不写，也就学会了记。少一道门不一定是坏事。", "With f = 1 − i not writing is keeping: who learns not to write has learned to remember. One gate fewer need not be a loss."),
            options=variants(),
            runs=RACING,
            steps=650,
        ),
        Question(
            "frozen",
            t("遗忘门开（f = 1）、输入门关（i = 0）。训练 300 步后，加法问题的误差是多少？", "Forget gate open (f = 1), input gate shut (i = 0). What is the error on the adding problem after 300 updates?"),
            lambda runs: score(runs["frozen"], LOSS),
            lambda runs: t(f"误差 {score(runs['frozen'], LOSS):.3f}；总说 1 的理论值是 1/6 ≈ 0.167。", f"Error {score(runs['frozen'], LOSS):.3f}; always saying 1 would give 1/6 ≈ 0.167 on average."),
            t("单元状态一直是 0，隐状态也是 0：只剩读出层的偏置可学，最好就是说平均值 1。", "The cell state stays 0, and so does the hidden state. Only the readout's bias is left to learn: the mean, 1."),
            number=Number(Span(0.0, 1.0, 0.01), near=0.03),
            runs={"frozen": PRESETS["frozen"]},
            steps=300,
        ),
        Question(
            "simple",
            t("f = 0、i = 1、o = 1：这就是简单循环网络吗？用同一组权重比一比输出。", "f = 0, i = 1, o = 1: is that the simple recurrent network? Compare the outputs for the same weights."),
            lambda runs: "same" if distance_to_rnn(True) < 1e-6 else "other",
            lambda runs: t(f"输出最多相差 {distance_to_rnn(True):.2f}；去掉输出的 tanh 后相差 {distance_to_rnn(False):.0e}。", f"Outputs differ by up to {distance_to_rnn(True):.2f}; without the tanh on the way out by {distance_to_rnn(False):.0e}."),
            t("h = tanh(tanh(·))：多了一个 tanh。关掉“输出的 tanh”，才正好是简单循环网络。", "h = tanh(tanh(·)): one tanh too many. Only without the tanh of the output is it the simple recurrent network."),
            options={"same": t("正好是", "Yes, exactly"), "other": t("不是", "No")},
        ),
    )  # fmt: skip


def challenges() -> tuple[Challenge, ...]:
    return (
        Challenge("far", t("延迟回忆，长度 100：500 步以内，留出准确率 ≥ 99%", "Delayed recall over 100 steps: held-out accuracy of at least 99% within 500 updates"), remembers_far),
        Challenge("one_gate", t("加法问题，长度 ≥ 20，只学一道门（另两道保持）：误差 < 0.01", "Adding over at least 20 steps with one gate learned, two held: error below 0.01"), one_gate),
        Challenge("faster", t("和完整的 LSTM 赛跑：你的误差 < 0.01 时，它还在 0.1 以上", "Race the full LSTM: your error is below 0.01 while its is still above 0.1"), faster),
    )  # fmt: skip


def variants() -> dict[str, str]:
    return {
        "full_lstm": t("完整的 LSTM", "The full LSTM"), "coupled": t("耦合：f = 1 − i", "Coupled: f = 1 − i"),
        "forget_open": t("没有遗忘门：f = 1", "No forget gate: f = 1"),
    }  # fmt: skip


def clamps_of(run: Run) -> dict[str, float]:
    """The loss as trained, and with each gate held."""
    scores = clamped_scores(run.config, run.snapshot().state)  # type: ignore[arg-type]
    return {clamp: score[LOSS.name] for clamp, score in scores.items()}


def held_open(run: Run) -> dict[str, float]:
    return {gate: clamps_of(run)[f"{gate}_open"] for gate in LSTM_GATES}


def solved_at(run: Run) -> float:
    return steps_to(run, LOSS, SOLVED) or float("inf")


def arrival(run: Run) -> str:
    step = steps_to(run, LOSS, SOLVED)
    if step is None:
        return t(f"{run.steps} 步内没到（{score(run, LOSS):.3f}）", f"not within {run.steps} ({score(run, LOSS):.3f})")
    return t(f"{step} 步", f"{step} updates")


def distance_to_rnn(output_activation: bool) -> float:
    """The largest difference between the outputs of torch's simple network and of an LSTM with f = 0, i = o = 1."""
    draws = torch.Generator().manual_seed(0)
    gates = {"forget": "shut", "input": "open", "output": "open"}
    cell = LSTM(2, 16, gates, generator=draws, output_activation=output_activation).double()
    simple, rows = nn.RNN(2, 16, device="meta").to_empty(device="cpu").double(), cell.rows("candidate")
    simple.load_state_dict({name: value[rows] for name, value in cell.state_dict().items()})
    x = torch.randn(50, 8, 2, generator=draws, dtype=torch.float64)
    with torch.no_grad():
        return (cell(x)[0] - simple(x)[0]).abs().max().item()


def your_run(live: Live) -> Run:
    return next(iter(live.race.runs.values()))


def remembers_far(live: Live) -> tuple[bool, str]:
    run = your_run(live)
    if run.config.task != "recall" or run.config.length != 100:  # type: ignore[attr-defined]
        return False, t("先选“延迟回忆”，长度 100", "choose delayed recall, length 100, first")
    best = max((value for step, value in curve(run, ACCURACY).items() if step <= 500), default=0.0)
    return best >= 0.99, t(
        f"前 500 步里最好 {best:.0%}；要 ≥ 99%", f"best within 500 updates: {best:.0%}; wanted ≥ 99%"
    )


def one_gate(live: Live) -> tuple[bool, str]:
    run = your_run(live)
    config: LSTMConfig = run.config  # type: ignore[assignment]
    learned = sum(config.gates[gate] == "learned" for gate in LSTM_GATES)
    if config.task != "adding" or config.length < 20 or learned != 1:
        return False, t(
            "先选加法问题，长度 ≥ 20，保持两道门", "choose adding, at least 20 steps, and hold two gates first"
        )
    value = score(run, LOSS)
    return value < SOLVED, t(f"误差 {value:.3f}；要 < 0.01", f"error {value:.3f}; wanted < 0.01")


def faster(live: Live) -> tuple[bool, str]:
    runs = live.race.runs
    if "changed_lstm" not in runs or runs["changed_lstm"].config.task != "adding":  # type: ignore[attr-defined]
        return False, t("先在加法问题上改动一道门或一个开关", "change a gate or a switch on the adding problem first")
    mine, full = curve(runs["changed_lstm"], LOSS), curve(runs["full_lstm"], LOSS)
    reached = any(value < SOLVED and full.get(step, 0.0) > 0.1 for step, value in mine.items())
    return reached, t(
        f"现在：你 {score(runs['changed_lstm'], LOSS):.3f}，完整的 {score(runs['full_lstm'], LOSS):.3f}",
        f"now: yours {score(runs['changed_lstm'], LOSS):.3f}, full {score(runs['full_lstm'], LOSS):.3f}",
    )
