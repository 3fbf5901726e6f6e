"""The pictures of the policy-gradient lesson: pure functions of settings and a snapshot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor

from core.gridworld import smooth
from core.policy_gradient import (
    EDGE_AT,
    FALLEN_AT,
    HALF_LENGTH,
    RECENT,
    SOLVED,
    STEPS,
    TAU,
    CartNetwork,
    Credit,
    Episode,
    PolicyGradientConfig,
    credit,
    gradients_of,
    in_units,
    is_down,
    likeness,
    network_of,
    play,
    start,
)
from core.training import Snapshot
from pages.ui.palette import SERIES
from pages.ui.scene import Figure, Scene
from pages.ui.text import t, term

WIDTH, SIDE = 552, 267  # of the track, and of a square figure: two stand under it
METRE = 98  # units of the track
GROUND, POSES = 176, 9  # height of the rails, and how many small poses stand under them
CART, POLE, INK = "#56626e", "#b8860b", "#17212b"
CELLS = 36  # of the plane, along one side
LEAN, TURN = 15.0, 3.0  # the plane: degrees to either side, and radians a second
RIGHT, LEFT = "→", "←"
SPEED, LIVE_SECONDS = 2.0, 3.0  # how many times as fast as it is the cart moves; and how long at most while it trains
FRAMES = 150  # places of a way, at most
NOISE_EPISODES = 32
SHOWN = ("latest", "greedy")
LINES = {
    "reinforce": ("REINFORCE", "REINFORCE"),
    "baseline": ("有基线", "baseline"),
    "actor_critic": ("演员–评论员", "actor–critic"),
}


def short(value: float) -> str:
    """A number in a picture: three digits."""
    if not math.isfinite(value):
        return "∞" if value == value else "NaN"
    text = f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.1f}" if abs(value) >= 9.95 else f"{value:.2f}"
    return text.replace("-", "−") if float(text) else "0"


def formula(config: PolicyGradientConfig, bonus: float) -> tuple[str, ...]:
    """KaTeX: what an update follows, with the settings in it; then what is meant by it."""
    gamma = f"{config.discount:g}"
    if config.method == "random":
        return (r"\pi(\rightarrow \mid s) = \tfrac12",)
    if config.method == "dqn":
        return (rf"L = \tfrac12\big(r + {gamma}\max_{{a'}} Q^-(s',a') - Q(s,a)\big)^2",)
    weight = {"reinforce": "G_t", "baseline": r"\big(G_t - V(s_t)\big)", "actor_critic": r"\delta_t"}[config.method]
    entropy = rf" + {bonus:g}\,\nabla H(\pi)" if bonus else ""
    meant = (
        rf"\delta_t = r_t + {gamma}\,V(s_{{t+1}}) - V(s_t)"
        if config.method == "actor_critic"
        else rf"G_t = \textstyle\sum_k {gamma}^k\, r_{{t+k}}"
    )
    return rf"\nabla J \approx \frac1T\sum_t {{{weight}}}\,\nabla \log \pi(a_t \mid s_t){entropy}", meant


# ---- the episode that is shown ---------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """An episode, and the network that acts now."""

    episode: Episode
    network: CartNetwork
    at: int  # the step that is looked at


def seen(config: PolicyGradientConfig, snapshot: Snapshot, shown: str, at: int) -> Seen:
    """The latest episode of training, or one that the network of this moment plays without chance."""
    state = snapshot.state
    network = network_of(state, "online" if config.method == "dqn" else "policy")
    if shown == "greedy" and config.method != "random":
        episode = play(lambda place: int(network.at(place)[1] > network.at(place)[0]), start(Random(0).random))
    else:
        places = [tuple(row) for row in state["places"].tolist()]
        episode = Episode(places, state["actions"].int().tolist(), bool(state["fell"]))
    return Seen(episode, network, min(at, len(episode.actions)))


def leaning(config: PolicyGradientConfig, network: CartNetwork, places: Tensor) -> Tensor:
    """For places (B, 4): how much likelier than a half the push to the right is (B,), or how much more it is worth."""
    left, right = network(in_units(places)).unbind(1)
    return (right - left) * config.horizon if config.method == "dqn" else torch.sigmoid(right - left) - 0.5


def cart(
    config: PolicyGradientConfig, snapshot: Snapshot, shown: str, at: int, moving: bool, live: bool = False
) -> Scene:
    """The cart where it is at one step, small poses of the whole episode under it; while it is `live` an episode moves to
    its end before the next one does."""
    view = seen(config, snapshot, shown, at)
    episode, here = view.episode, view.at
    drawn = Figure(WIDTH, 300)
    rails(drawn)
    last, count = here == len(episode.actions), len(episode.actions)
    places = episode.places[: here + 1] if moving and last else episode.places[here : here + 1]
    seconds = TAU * count / SPEED if len(places) > 1 else 0.0
    places = places[:: max(1, math.ceil(len(places) / FRAMES))][:-1] + places[-1:]
    with drawn.held(config.method) if live else nullcontext():
        standing(drawn, places, METRE, GROUND, WIDTH / 2, min(seconds, LIVE_SECONDS) if live else seconds, limits=True)
        told(drawn, config, view, last, live and seconds > 0)
        for number in range(POSES if count else 0):
            step = round(number * count / (POSES - 1))
            middle = (number + 0.5) * WIDTH / POSES
            standing(drawn, [episode.places[step]], 34, 268, middle, 0.0, shift=7)
            near = abs(step - here) <= count / (POSES - 1) / 2
            drawn.text(str(step), middle, 295, size=18, anchor="middle", ink="text" if near else "muted", bold=near)
    ending = t("倒了", "it fell") if episode.fell else t("还站着", "still up")
    return Scene((drawn,), t(f"小车倒立摆的一个回合，{count} 步，{ending}。", f"One episode of the cart-pole: {count} steps, {ending}."))  # fmt: skip


def rails(drawn: Figure) -> None:
    """The track with its ends, in metres."""
    drawn.line(6, GROUND, WIDTH - 6, GROUND, ink="muted", width=2)
    for metre in (-EDGE_AT, -1, 0, 1, EDGE_AT):
        x = WIDTH / 2 + metre * METRE
        drawn.line(x, GROUND, x, GROUND + 6, ink="muted", width=2)
        drawn.text(f"{metre:g}".replace("-", "−") + (" m" if metre == EDGE_AT else ""), x, GROUND + 25, size=18, anchor="middle", ink="muted")  # fmt: skip
    for side in (-1, 1):
        x = WIDTH / 2 + side * EDGE_AT * METRE
        drawn.line(x, GROUND, x, GROUND - 46, ink="#c4608f", width=3, dash="5 4")


def standing(
    drawn: Figure, places: Sequence[tuple], metre: float, ground: float, middle: float, seconds: float,
    limits: bool = False, shift: float = 0.0,
) -> None:  # fmt: skip
    """Cart and pole at the last of these places, as long as they are; `shift` units per metre instead of `metre`."""
    length, wide, high = 2 * HALF_LENGTH * metre, 0.46 * metre, 0.2 * metre
    poses = [
        (round(middle + place[0] * (shift or metre), 1), round(ground - high, 1), round(math.degrees(place[2]), 2))
        for place in places
    ]
    upright = [(x, y, 0.0) for x, y, _ in poses]
    if limits:
        tip = 1.16 * length
        for side in (-1, 1):
            x, y = side * tip * math.sin(FALLEN_AT), -tip * math.cos(FALLEN_AT)
            drawn.path(f"M0 0L{x:.1f} {y:.1f}", ink="#c4608f", width=2, dash="5 4", opacity=0.9, way=upright, seconds=seconds)  # fmt: skip
    drawn.path(f"M{-wide / 2:.1f} 0h{wide:.1f}v{high:.1f}h{-wide:.1f}Z", ink=CART, fill=CART, width=1, way=upright, seconds=seconds)  # fmt: skip
    drawn.path(f"M0 0V{-length:.1f}", ink=POLE, width=0.09 * metre, way=poses, seconds=seconds)


def told(drawn: Figure, config: PolicyGradientConfig, view: Seen, last: bool, live: bool) -> None:
    """Where it is, in words, and the push that comes next; while it moves, what becomes of it."""
    episode, here = view.episode, view.at
    x, _, angle, _ = episode.places[here]
    count = len(episode.actions)
    if not count:
        drawn.text(
            t("还没有回合。按“单步”走一个。", "No episode yet. Press Step for one."), 4, 22, size=18, ink="muted"
        )
        return
    words = t(f"第 {here} / {count} 步", f"Step {here} of {count}")
    if live:
        drawn.text(t(f"训练中的一个回合：{count} 步", f"An episode of training: {count} steps"), 4, 22, size=18)
    else:
        drawn.text(f"{words}　x = {short(x)} m　θ = {short(math.degrees(angle))}°", 4, 22, size=18)
    if last:
        down = t("倒了", "down") if abs(angle) > FALLEN_AT else t("出界", "off the track")
        drawn.text(down if is_down(episode.places[here]) else t("时间到，还站着", "time is up, still standing"), WIDTH - 4, 22, size=18, anchor="end", bold=True)  # fmt: skip
        return
    action = episode.actions[here]
    lean = leaning(config, view.network, torch.tensor([episode.places[here]])).item()
    words = f"Q({RIGHT}) − Q({LEFT}) = {short(lean)}" if config.method == "dqn" else f"π({RIGHT}) = {short(0.5 + lean)}"
    drawn.text(
        f"{words}　{t('推', 'push')} {RIGHT if action else LEFT}", WIDTH - 4, 22, size=18, anchor="end", bold=True
    )
    side, centre = (1 if action else -1), WIDTH / 2 + x * METRE
    drawn.line(centre + side * 28, GROUND - 10, centre + side * 74, GROUND - 10, ink="orange" if action else "blue", width=5, arrow=True)  # fmt: skip


# ---- the plane of what the network says, and all returns -------------------------------------------------------------


def overview(
    configs: Mapping[str, PolicyGradientConfig], snapshots: Mapping[str, Snapshot], method: str, shown: str, at: int
) -> Scene:
    """The plane of one run's network, and the returns of all that are trained side by side."""
    return Scene(
        (plane(configs[method], snapshots[method], shown, at), returns(snapshots, method)),
        t("左：角度和角速度的平面上，策略往哪边推，和这一回合走过的路。右：每一回合的回报和平均。", "Left: which way it pushes over angle and angular velocity, with the way of the episode. Right: the return of each episode, and the mean."),
    )  # fmt: skip


def plane(config: PolicyGradientConfig, snapshot: Snapshot, shown: str, at: int) -> Figure:
    """What the network says, where the cart is at the step that is looked at, for every angle and angular velocity."""
    view = seen(config, snapshot, shown, at)
    x, speed, _, _ = view.episode.places[view.at]
    degrees, turns = torch.linspace(-LEAN, LEAN, CELLS), torch.linspace(TURN, -TURN, CELLS)
    grid = torch.stack(
        [
            torch.full((CELLS, CELLS), float(x)), torch.full((CELLS, CELLS), float(speed)),
            torch.deg2rad(degrees).expand(CELLS, CELLS), turns[:, None].expand(CELLS, CELLS),
        ],
        -1,
    )  # fmt: skip
    lean = leaning(config, view.network, grid.reshape(-1, 4)).reshape(CELLS, CELLS)
    high = 0.5 if config.method != "dqn" else max(1e-3, lean[lean.isfinite()].abs().max().item() if lean.isfinite().any() else 1.0)  # fmt: skip
    left, top, size = 40, 44, SIDE - 52
    drawn = Figure(SIDE, SIDE + 36)
    if config.method == "dqn":
        what = t(f"Q(→) − Q(←)：橙 {short(high)}，蓝 −{short(high)}", f"Q(→) − Q(←): orange {short(high)}, blue −{short(high)}")  # fmt: skip
    else:
        what = t("π(→ | s)：橙 1，白 ½，蓝 0", "π(→ | s): orange 1, white ½, blue 0")
    drawn.text(what, 4, 14, size=14, ink="muted")
    where = f"x = {short(x)} m, v = {short(speed)} m/s"
    drawn.text(t(f"切面：{where}", f"slice at {where}"), 4, 33, size=14, ink="muted")
    drawn.map("plane", lean, left, top, size, size, high=high, hover=False)

    def spot(place: tuple) -> tuple[float, float]:
        across, up = math.degrees(place[2]) / LEAN, place[3] / TURN
        return left + size * (1 + max(-1.0, min(1.0, across))) / 2, top + size * (1 - max(-1.0, min(1.0, up))) / 2

    for side in (-1, 1):
        edge = left + size * (1 + side * math.degrees(FALLEN_AT) / LEAN) / 2
        drawn.line(edge, top, edge, top + size, ink="#c4608f", width=2, dash="5 4")
    spots = [spot(place) for place in view.episode.places]
    if len(spots) > 1:
        drawn.path("M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in spots), ink=INK, width=1.3, opacity=0.7)
    drawn.circle(*spots[view.at], 6, ink="#ffffff", fill=INK, stroke=2)
    for degree in (-12, 0, 12):
        drawn.text(f"{degree}°".replace("-", "−"), left + size * (1 + degree / LEAN) / 2, top + size + 17, size=14, anchor="middle", ink="muted")  # fmt: skip
    drawn.text(t("角度 θ", "angle θ"), left + size / 2, top + size + 35, size=14, anchor="middle", ink="muted")
    for turn in (-2, 0, 2):
        drawn.text(str(turn).replace("-", "−"), left - 5, top + size * (1 - turn / TURN) / 2 + 5, size=14, anchor="end", ink="muted")  # fmt: skip
    drawn.text(t("角速度 rad/s", "angular velocity, rad/s"), 13, top + size / 2, size=14, anchor="middle", ink="muted", turn=-90)  # fmt: skip
    return drawn


def returns(snapshots: Mapping[str, Snapshot], method: str) -> Figure:
    """All kept returns of a method, a dot each, and the mean over the latest hundred of each method."""
    snapshot = snapshots[method]
    values = snapshot.state["returns"]
    inks = dict(zip(snapshots, ("blue", "orange", SERIES[2]), strict=False))  # as in the panel's curves
    drawn = Figure(SIDE, SIDE + 36)
    left, top, right, bottom = 40, 44, SIDE - 6, SIDE - 8
    drawn.text(t("每一回合的回报", "Return of each episode"), 4, 14, size=14, ink="muted")
    if len(snapshots) == 1:
        drawn.text(
            t(f"线：最近 {RECENT} 回合的平均", f"line: mean of the latest {RECENT}"), 4, 33, size=14, ink="muted"
        )
    else:
        for (name, ink), x in zip(inks.items(), (4, 96, 168), strict=False):
            drawn.text(t(*LINES[name]), x, 33, size=14, ink=ink, bold=name == method)

    def y(value: float) -> float:
        return bottom - value / STEPS * (bottom - top)

    for value in (0, 100, 200, 300, 400, 500):
        drawn.line(left, y(value), right, y(value), ink="line", width=1)
        drawn.text(str(value), left - 5, y(value) + 5, size=14, anchor="end", ink="muted")
    drawn.line(left, y(SOLVED), right, y(SOLVED), ink="text", width=1.6, dash="3 4")
    drawn.text(f"{SOLVED}", left + 4, y(SOLVED) + 17, size=14, bold=True)  # early returns are far below
    count = len(values)
    first = snapshot.step - count + 1
    drawn.text(str(first) if count > 1 else "", left, bottom + 17, size=14, ink="muted")
    drawn.text(str(snapshot.step) if count else "", right, bottom + 17, size=14, anchor="end", ink="muted")
    drawn.text(t("回合", "episode"), (left + right) / 2, bottom + 35, size=14, anchor="middle", ink="muted")
    if not count:
        return drawn
    xs = torch.linspace(left, right, count) if count > 1 else torch.tensor([float(left)])
    spots = torch.stack([xs, bottom - values / STEPS * (bottom - top)], 1)
    drawn.points(spots, "circle", 1.5 if count > 300 else 2.2, ink="none", fill="#7d8894")
    for name, ink in inks.items():
        mean = smooth(snapshots[name].state["returns"], RECENT)
        known = min(count, len(mean))  # a run that has diverged has fewer
        steps = sorted({*range(0, known, max(1, count // 150)), *range(max(0, known - 1), known)})
        line = [(xs[i].item(), y(mean[i].item())) for i in steps]
        drawn.path("M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in line or [(left, bottom)]), ink=ink, width=3.2 if name == method else 2.2, dash=None if name == method else "7 4")  # fmt: skip
    return drawn


# ---- what the update was made of -------------------------------------------------------------------------------------


def learned(config: PolicyGradientConfig, snapshot: Snapshot) -> Credit | None:
    """What the steps of the latest episode are told; of DQN the target instead of the return. None before the first."""
    state = snapshot.state
    count = len(state["actions"])
    if not count or config.method == "random":
        return None
    fell = bool(state["fell"])
    if config.method != "dqn":
        return credit(config.method, config.discount, fell, count, state["values"] if len(state["values"]) else None)
    places = in_units(state["places"])
    values = network_of(state, "online")(places[:-1]).gather(1, state["actions"].long()[:, None]).squeeze(1)
    following = network_of(state, "frozen")(places[1:]).amax(1)
    if fell:
        following[-1] = 0.0
    targets = 1.0 + config.discount * following * config.horizon
    values = values * config.horizon
    return Credit(targets, values, targets - values)


def update(config: PolicyGradientConfig, snapshot: Snapshot, at: int) -> Scene:
    """The latest episode step by step: what came of it, what was expected, and what is told to the network."""
    told = learned(config, snapshot)
    words = t("最近一回合里每一步的回报、值和权重。", "Return, value and weight at each step of the latest episode.")
    if told is None:
        drawn = Figure(WIDTH, 34)
        nothing = t("随机策略什么也不学。", "A random policy learns nothing.") if config.method == "random" else t("走一个回合（“单步”），这里写出它教了什么。", "Make an episode (Step): what it teaches is written out here.")  # fmt: skip
        return Scene((drawn.text(nothing, 4, 22, size=18, ink="muted"),), words)
    here = min(at, len(told.weights) - 1)
    left, right = Figure(SIDE, BOTTOM + 28), Figure(SIDE, BOTTOM + 28)
    dqn, plain = config.method == "dqn", config.method == "reinforce"
    first = t("目标 r + γ max Q⁻(s′)", "target r + γ max Q⁻(s′)") if dqn else t("回报 G", "return G")
    second = "Q(s, a)" if dqn else "V(s)"
    weight = {"reinforce": "G", "baseline": "G − V(s)", "actor_critic": "δ", "dqn": t("误差：目标 − Q", "error: target − Q")}[config.method]  # fmt: skip
    top = max(1.0, bounded(told.returns.max()), bounded(told.values.max()))
    low = min(0.0, bounded(told.values.min()))
    curve(left, told.returns, low, top, here, "blue")
    if not plain:
        curve(left, told.values, low, top, here, "orange", dash="7 4")
    left.text(first, 4, TOP - 15, size=14, ink="blue", bold=True)
    if not plain:
        left.text(f"┄ {second}", SIDE - 4, TOP - 15, size=14, anchor="end", ink="orange", bold=True)
    bars(right, told.weights, here)
    right.text(
        weight if dqn else t(f"∇log π 前的权重：{weight}", f"weight of ∇log π: {weight}"),
        4,
        TOP - 15,
        size=14,
        bold=True,
    )
    sums(left, right, config, snapshot, told, here)
    return Scene((left, right), words)


def bounded(value: Tensor) -> float:
    """For an axis: a finite number of drawable size."""
    found = value.item()
    return max(-1e6, min(1e6, found)) if math.isfinite(found) else 0.0


TOP, BOTTOM, START = 86, 226, 44  # of the small curves


def ticks(drawn: Figure, low: float, high: float, count: int, here: int) -> None:
    for value in dict.fromkeys((low, 0.0, high)):
        y = BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP)
        drawn.line(START, y, SIDE - 6, y, ink="line", width=1)
        drawn.text(short(value), START - 5, y + 5, size=14, anchor="end", ink="muted")
    drawn.text("0", START, BOTTOM + 19, size=14, ink="muted")
    drawn.text(t(f"第 {count - 1} 步", f"step {count - 1}"), SIDE - 6, BOTTOM + 19, size=14, anchor="end", ink="muted")
    x = across(here, count)
    drawn.line(x, TOP, x, BOTTOM, ink="text", width=1.5, dash="2 3")


def across(step: float, count: int) -> float:
    return START + (SIDE - 6 - START) * step / max(1, count - 1)


def curve(drawn: Figure, values: Tensor, low: float, high: float, here: int, ink: str, dash: str | None = None) -> None:
    if dash is None:
        ticks(drawn, low, high, len(values), here)
    heights = values.nan_to_num(0.0, high, low).clamp(low, high).tolist()
    steps = sorted({*range(0, len(heights), max(1, len(heights) // 140)), len(heights) - 1})
    spots = [(across(i, len(heights)), BOTTOM - (heights[i] - low) / (high - low) * (BOTTOM - TOP)) for i in steps]
    drawn.path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots), ink=ink, width=2.6, dash=dash)


def bars(drawn: Figure, values: Tensor, here: int) -> None:
    """Signed numbers over the steps: orange above the line, blue below."""
    count = len(values)
    reach = max(1.0, *(abs(bounded(each)) for each in (values.min(), values.max())))
    low, high = (-reach, reach) if (values < 0).any() else (0.0, reach)
    ticks(drawn, low, high, count, here)
    base = BOTTOM - (0.0 - low) / (high - low) * (BOTTOM - TOP)
    width = max(0.8, min(6.0, 0.8 * (SIDE - 6 - START) / count))
    stride = max(1, count // 220)
    for sign, ink in ((1, "orange"), (-1, "blue")):
        parts = [
            f"M{across(i, count):.1f} {base:.1f}V{BOTTOM - (value - low) / (high - low) * (BOTTOM - TOP):.1f}"
            for i, value in enumerate(values.nan_to_num(0.0, reach, -reach).clamp(low, high).tolist())
            if value * sign > 0 and i % stride == 0
        ]
        if parts:
            drawn.path("".join(parts), ink=ink, width=width)


def sums(
    left: Figure, right: Figure, config: PolicyGradientConfig, snapshot: Snapshot, told: Credit, here: int
) -> None:
    """The numbers of one step."""
    state = snapshot.state
    action, count, discount = int(state["actions"][here]), len(told.weights), f"{config.discount:g}"
    g, v, w = (float(each[here]) for each in (told.returns, told.values, told.weights))
    head = t(f"第 {here} / {count} 步，推{RIGHT if action else LEFT}", f"Step {here} of {count}, push {RIGHT if action else LEFT}")  # fmt: skip
    if config.method == "reinforce":
        line = f"G = Σ {discount}ᵏ · 1 = {exact(g)}"
    elif config.method == "baseline":
        line = f"G − V(s) = {exact(g)} − {bracketed(v)} = {exact(w)}"
    else:
        ahead = (g - 1) / config.discount if config.method == "dqn" and config.discount else 0.0
        if config.method == "actor_critic":
            ahead = (w + v - 1) / config.discount if config.discount else 0.0
        line = f"δ = 1 + {discount} · {bracketed(ahead)} − {bracketed(v)} = {exact(w)}"
    if config.method == "dqn":
        after = t("回放从记忆里另抽 64 步来学。", "Replay learns from 64 steps of the memory.")
    elif w > 0:
        after = t("正：以后更多这样推。", "Positive: this push becomes likelier.")
    else:
        after = t("负：以后更少这样推。", "Negative: this push gets less likely.") if w < 0 else ""
    left.text(head, 4, 18, size=15, bold=True)
    left.text(after, 4, 42, size=14, ink="muted")
    right.text(line, 4, 18, size=15 if len(line) < 34 else 14, bold=True)


def exact(value: float) -> str:
    """A number of a sum, which the reader may check."""
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) and abs(value) < 1e5 else short(value)


def bracketed(value: float) -> str:
    return f"({exact(value)})" if value < 0 else exact(value)


# ---- how noisy the gradient is ---------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def agreement(config: PolicyGradientConfig, policy: bytes, critic: bytes) -> dict[str, tuple[float, ...]]:
    """By method: how alike the gradient of each of some episodes is to the mean of the others."""
    state: dict[str, Tensor] = {}
    for name, packed, outputs in (("policy", policy, 2), ("critic", critic, 1)):
        if packed:
            made = CartNetwork(config.hidden, outputs, torch.Generator())
            weights = made.named(torch.frombuffer(bytearray(packed), dtype=torch.float32))
            state |= {f"{name}.{key}": weight for key, weight in weights.items()}
    _, found = gradients_of(config, state, NOISE_EPISODES)
    return {method: tuple(likeness(gradients).tolist()) for method, gradients in found.items()}


def agreement_of(config: PolicyGradientConfig, snapshot: Snapshot) -> dict[str, tuple[float, ...]]:
    packed = [
        network_of(snapshot.state, name).flat.numpy().tobytes() if f"{name}.weight1" in snapshot.state else b""
        for name in ("policy", "critic")
    ]
    return agreement(config, *packed)


def mean_of(values: tuple[float, ...]) -> float:
    return torch.tensor(values).nan_to_num().mean().item()


def noise(config: PolicyGradientConfig, snapshot: Snapshot) -> Scene:
    """How alike the gradients of single episodes are, by what multiplies ∇log π in them."""
    found = agreement_of(config, snapshot)
    drawn = Figure(400, 40 + 70 * len(found) + 30)
    left, right = 14, 338
    drawn.text(t(f"同一个策略，{NOISE_EPISODES} 个回合：各自的梯度有多一致", f"How each of {NOISE_EPISODES} gradients agrees with the rest"), 4, 18, size=15, ink="muted")  # fmt: skip
    bottom = 40 + 70 * len(found)
    for value in (-1, 0, 1):
        x = left + (right - left) * (value + 1) / 2
        drawn.line(x, 34, x, bottom, ink="line" if value else "muted", width=1.5)
        drawn.text(str(value).replace("-", "−"), x, bottom + 18, size=15, anchor="middle", ink="muted")
    for row, (method, values) in enumerate(found.items()):
        y, mean = 84 + 70 * row, mean_of(values)
        drawn.text(term(method), 4, y - 26, size=15)
        spots = torch.tensor([[left + (right - left) * (value + 1) / 2, y + 9 * ((i % 3) - 1)] for i, value in enumerate(values)])  # fmt: skip
        drawn.points(spots.nan_to_num(left), "circle", 4, ink="none", fill="#7d8894")
        x = left + (right - left) * (mean + 1) / 2
        drawn.line(x, y - 18, x, y + 18, ink="orange", width=4)
        drawn.text(short(mean), 396, y + 5, size=16, anchor="end", bold=True)
    words = "; ".join(f"{term(method)} {short(mean_of(values))}" for method, values in found.items())
    return Scene((drawn,), t(f"梯度的一致程度：{words}", f"How alike the gradients are: {words}"))
