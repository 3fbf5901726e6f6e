"""Policy gradients on the cart-pole: a network that says how likely each push is, and is told by the return.

The cart-pole is gymnasium's CartPole-v1, step for step, in plain numbers: a reward of 1 for every step that the pole stands,
at most 500. One step of a run is one episode. The networks act in NumPy on the very memory of their torch parameters, and
learn by batched passes whose gradients are derived by hand. Sources: Barto, Sutton & Anderson 1983 (the cart-pole); Williams 1992 (REINFORCE); Sutton & Barto 2018, chapter 13;
Mnih et al. 2015 (DQN); nndl "深度强化学习".
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from core.config import Config, Limits, Span, check
from core.optimizers import Optimizer
from core.training import Metric, Scores

POLICY_METHODS = ("random", "reinforce", "baseline", "actor_critic", "dqn")
STEPS, SOLVED = 500, 475  # an episode ends after so many; solved is a mean return of so much over the latest 100
RECENT = 100
KEPT_EPISODES = 1_500  # returns kept for the pictures

CART_RETURN = Metric("Return", better="higher", goal=SOLVED)  # the mean of the latest episodes, exploration included
CART_GREEDY = Metric("Greedy return", better="higher")  # of the likelier push at every step, from fixed starts
CART_LATEST = Metric("Latest return", better="higher", group="Latest return")
CART_EXPLORATION = Metric("Exploration rate", better="neither", group="Exploration rate")
ENTROPY = Metric("Policy entropy", better="neither", group="Policy entropy")  # mean over the latest episode, in nats
SPREAD = Metric("Size of the weights", better="neither", group="Size of the weights")  # rms of what multiplies ∇log π
ERROR = Metric("Prediction error", group="Prediction error")  # of values, rms, in points of return

DQN_BATCH = 64  # remembered steps of one update
EPSILON, EPSILON_DECAY, EPSILON_LEAST = 1.0, 0.97, 0.02  # of DQN: at first, per episode, and never less


# ---- the cart-pole ---------------------------------------------------------------------------------------------------

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02  # m/s², kg, kg, m, N, s
EDGE_AT, FALLEN_AT = 2.4, 12 * 2 * math.pi / 360  # metres from the middle, and radians from upright
START = 0.05  # all four numbers of a start lie within ±

Place = tuple[float, float, float, float]  # x of the cart, its speed, the pole's angle to the right, its angular speed


def push(place: Place, action: int) -> Place:
    """Where the cart is 0.02 s after a push to the left (0) or to the right (1): one step of Euler's method."""
    x, speed, angle, turning = place
    force = FORCE if action == 1 else -FORCE
    cosine, sine = math.cos(angle), math.sin(angle)
    mass = CART + POLE
    pushed = (force + POLE * HALF_LENGTH * turning**2 * sine) / mass
    turned = (GRAVITY * sine - cosine * pushed) / (HALF_LENGTH * (4.0 / 3.0 - POLE * cosine**2 / mass))
    moved = pushed - POLE * HALF_LENGTH * turned * cosine / mass
    return x + TAU * speed, speed + TAU * moved, angle + TAU * turning, turning + TAU * turned


def is_down(place: Place) -> bool:
    """Whether the pole has fallen past 12° or the cart has left its 4.8 m."""
    return abs(place[0]) > EDGE_AT or abs(place[2]) > FALLEN_AT


def start(draw: Callable[[], float]) -> Place:
    """A random start near upright and standing still."""
    x, speed, angle, turning = (START * (2 * draw() - 1) for _ in range(4))
    return x, speed, angle, turning


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig(Config):
    """How the cart-pole is learned."""

    method: str = "baseline"
    discount: float = 0.99  # γ
    hidden: int = 32  # units of the policy, and of the values beside it
    entropy: float = 0.0  # β: points of return that a nat of indecision is worth
    critic_steps: int = 10  # updates of the values per episode, where a policy has them beside it
    memory: int = 10_000  # steps that DQN remembers and draws from
    target_every: int = 200  # updates until DQN's frozen copy follows
    learning_rate: float = 0.005

    LIMITS: ClassVar[dict[str, Limits]] = {
        "method": POLICY_METHODS,
        "discount": Span(0.0, 1.0, 0.01),
        "hidden": (4, 8, 16, 32, 64, 128),
        "entropy": Span(0.0, 20.0, 0.1),
        "critic_steps": range(1, 21),
        "memory": (64, 500, 2_000, 10_000, 50_000),
        "target_every": (1, 10, 50, 200, 1_000),
        "learning_rate": Span(0.0, 1.0, 0.0001),
    }
    ADJUSTABLE: ClassVar[tuple[str, ...]] = ("learning_rate", "entropy")

    @property
    def has_learning_rate(self) -> bool:
        return self.method != "random"

    def build(self, generator: torch.Generator) -> PolicyLearner | ValueLearner:
        return ValueLearner(self, generator) if self.method == "dqn" else PolicyLearner(self, generator)

    @property
    def horizon(self) -> float:
        """The largest return that there can be, about: values are learned in this unit."""
        return STEPS if self.discount == 1 else min(STEPS, 1 / (1 - self.discount))


# ---- a small network -------------------------------------------------------------------------------------------------

UNITS = (1 / EDGE_AT, 1 / 2.0, 1 / FALLEN_AT, 1 / 2.0)  # a place in numbers of about one, which is what tanh units read


class CartNetwork:
    """One hidden layer of tanh units over the four numbers of a place. All parameters lie in one vector, and NumPy sees the
    same memory: a single place costs a few microseconds there, and tens in torch.

    Args:
        outputs: how many numbers it gives.
        generator: draws the weights, as torch's linear layers do; the last layer begins at a tenth of that.
    """

    def __init__(self, hidden: int, outputs: int, generator: torch.Generator):
        self.shapes = {"weight1": (4, hidden), "bias1": (hidden,), "weight2": (hidden, outputs), "bias2": (outputs,)}
        self.flat = torch.zeros(sum(math.prod(shape) for shape in self.shapes.values()))
        weights = self.named(self.flat)
        for name, bound in (("weight1", 0.5), ("bias1", 0.5), ("weight2", 0.1 / math.sqrt(hidden))):
            weights[name].uniform_(-bound, bound, generator=generator)
        self.look()

    @classmethod
    def of(cls, weights: dict[str, Tensor]) -> CartNetwork:
        """One with these parameters, by name."""
        made = cls.__new__(cls)
        made.shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        made.flat = torch.cat([weight.flatten() for weight in weights.values()])
        made.look()
        return made

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameters as views of one vector."""
        parts = flat.split([math.prod(shape) for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def look(self) -> None:
        """Let NumPy see the parameters, and keep a place for their gradient."""
        self.weights = self.named(self.flat)
        self.seen = [weight.numpy() for weight in self.weights.values()]
        self.gradient = torch.zeros_like(self.flat)
        self.gradients = self.named(self.gradient)

    def __getstate__(self) -> dict[str, Any]:
        return {"shapes": self.shapes, "flat": self.flat}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.look()

    def at(self, place: Place) -> list[float]:
        """The outputs for one place."""
        weight1, bias1, weight2, bias2 = self.seen
        x, speed, angle, turning = place
        seen = np.array((x * UNITS[0], speed * UNITS[1], angle * UNITS[2], turning * UNITS[3]), dtype=np.float32)
        return (np.tanh(seen.dot(weight1) + bias1).dot(weight2) + bias2).tolist()

    def hidden(self, places: Tensor) -> Tensor:
        """The activations (B, hidden) for places (B, 4) that are measured in UNITS."""
        return torch.addmm(self.weights["bias1"], places, self.weights["weight1"]).tanh_()

    def out(self, hidden: Tensor) -> Tensor:
        return torch.addmm(self.weights["bias2"], hidden, self.weights["weight2"])

    def __call__(self, places: Tensor) -> Tensor:
        """The outputs (B, outputs) for places (B, 4) that are measured in UNITS."""
        return self.out(self.hidden(places))

    def backward(self, places: Tensor, hidden: Tensor, d_outputs: Tensor) -> list[Tensor]:
        """The gradient of all parameters, from that of the outputs (B, outputs): back-propagation by hand."""
        g = self.gradients
        d_hidden = (d_outputs @ self.weights["weight2"].T) * (1 - hidden * hidden)
        torch.mm(places.T, d_hidden, out=g["weight1"])
        torch.sum(d_hidden, 0, out=g["bias1"])
        torch.mm(hidden.T, d_outputs, out=g["weight2"])
        torch.sum(d_outputs, 0, out=g["bias2"])
        return [self.gradient]


def in_units(places: Tensor) -> Tensor:
    """Places (B, 4), in metres, radians and seconds, as networks read them."""
    return places * torch.tensor(UNITS)


# ---- episodes --------------------------------------------------------------------------------------------------------


class Episode(NamedTuple):
    """What happened, step by step."""

    places: list[Place]  # T + 1 of them, the last one included
    actions: list[int]  # T
    fell: bool  # whether it ended by falling, and not because its time was up


def play(choose: Callable[[Place], int], place: Place) -> Episode:
    """One episode from a place on."""
    places, fell = [place], False
    actions: list[int] = []
    while len(actions) < STEPS and not fell:
        action = choose(place)
        place = push(place, action)
        actions.append(action)
        places.append(place)
        fell = is_down(place)
    return Episode(places, actions, fell)


def discounted(rewards: Sequence[float], discount: float) -> list[float]:
    """G_t = r_t + γ G_{t+1}, for every step."""
    found, total = [], 0.0
    for reward in reversed(rewards):
        total = reward + discount * total
        found.append(total)
    return found[::-1]


class CartLearner:
    """What all methods share: episodes, their returns, and what the pictures need."""

    metrics: tuple[Metric, ...] = (CART_RETURN, CART_GREEDY, CART_LATEST)
    memories: tuple[str, ...] = (
        "returns",
        "places",
        "actions",
        "fell",
        "values",
    )  # of its state, beside what is learned

    def __init__(self, config: PolicyGradientConfig):
        self.config = config
        self.random = Random(config.seed)
        self.returns: deque[int] = deque(maxlen=KEPT_EPISODES)
        self.latest = Episode([start(Random(config.seed).random)], [], False)
        self.values = torch.zeros(0)  # of the latest episode's places, as they were when it was learned from

    def count(self, episode: Episode) -> None:
        self.latest = episode
        self.returns.append(len(episode.actions))

    def likelier(self, place: Place) -> int:
        """The push that the network thinks better."""
        left, right = self.network.at(place)
        return int(right > left)

    @property
    def network(self) -> CartNetwork:
        raise NotImplementedError

    def scores(self) -> dict[str, float]:
        """Before the first episode nothing was earned, and only the greedy policy can be measured."""
        found = {CART_GREEDY.name: greedy_return(self.likelier)}
        recent = [float(count) for count in self.returns][-RECENT:]
        if recent:
            found |= {CART_RETURN.name: sum(recent) / len(recent), CART_LATEST.name: recent[-1]}
        return found

    def evaluate(self) -> Scores:
        found = self.scores()
        return {"train": {metric.name: found[metric.name] for metric in self.metrics if metric.name in found}}

    def state(self) -> dict[str, Tensor]:
        """{"returns": (N,) of the latest episodes, "places": (T + 1, 4), "actions": (T,) and "values": (T + 1,) or (0,) of
        the latest, "fell": ()}, and the weights."""
        return {
            "returns": torch.tensor(self.returns, dtype=torch.int16),
            "places": torch.tensor(self.latest.places, dtype=torch.float32),
            "actions": torch.tensor(self.latest.actions, dtype=torch.uint8),
            "fell": torch.tensor(self.latest.fell),
            "values": self.values,
        }

    def intervene(self, name: str, value: Any) -> None:
        """Move the "entropy" bonus, which only a policy has use for.

        Raises:
            ValueError: another name, or a value outside its limits.
        """
        check(name, value, {"entropy": PolicyGradientConfig.LIMITS["entropy"]}.get(name, ()))
        self.entropy_bonus = value


def greedy_return(choose: Callable[[Place], int], starts: int = 3) -> float:
    """The mean return of a policy without chance, from so many fixed starts."""
    draw = Random(0).random
    return sum(len(play(choose, start(draw)).actions) for _ in range(starts)) / starts


# ---- learning a policy -----------------------------------------------------------------------------------------------


class Credit(NamedTuple):
    """What each step of an episode is told: ∇log π(action) is multiplied by `weights`, and values move by them, too."""

    returns: Tensor  # (T,) G_t
    values: Tensor  # (T,) V(s_t); 0 where the method has none
    weights: Tensor  # (T,) how much better it went than these values say


def credit(method: str, discount: float, fell: bool, count: int, values: Tensor | None) -> Credit:
    """What the steps of an episode are told that lasted `count` of them, with values V(s_0) … V(s_T) (T + 1,) where the
    method has them.

    What would still have come when the time was up is taken from V(s_T), where there is one.
    """
    beyond = 0.0 if fell or values is None else values[-1].item()
    rewards = [1.0] * count
    returns = torch.tensor(discounted([*rewards[:-1], 1.0 + discount * beyond], discount))
    if values is None:
        return Credit(returns, torch.zeros(count), returns)
    here = values[:-1]
    if method == "actor_critic":
        following = values[1:].clone()
        if fell:
            following[-1] = 0.0
        return Credit(returns, here, 1.0 + discount * following - here)
    return Credit(returns, here, returns - here)


class PolicyLearner(CartLearner):
    """A random policy, REINFORCE, REINFORCE with a baseline, or actor–critic; one update is one episode, by Adam.

    REINFORCE follows G_t ∇log π(a_t | s_t), averaged over the steps; the factor γᵗ of the textbook's is left out, as nearly
    everywhere, since with it late steps would hardly count. A baseline V(s), learned beside the policy, is taken from G_t;
    actor–critic goes by δ_t = r_t + γ V(s_{t+1}) − V(s_t) instead of G_t − V(s_t). All learn when the episode is over, so
    that only this factor differs. The values get `critic_steps` updates for each of the policy: the baseline its after
    the policy's, for V must not know the episode that it judges; the critic before, for δ is no judgement until V is sound.
    """

    def __init__(self, config: PolicyGradientConfig, generator: torch.Generator):
        super().__init__(config)
        self.entropy_bonus = config.entropy
        self.policy = CartNetwork(config.hidden, 2, generator)
        self.optimizer = Optimizer("adam", [self.policy.flat])
        self.critic: CartNetwork | None = None
        if config.method in ("baseline", "actor_critic"):
            self.critic = CartNetwork(config.hidden, 1, generator)
            self.critic_optimizer = Optimizer("adam", [self.critic.flat])
        if config.method == "random":
            self.policy.flat.zero_()
            self.metrics = (CART_RETURN, CART_LATEST)
        else:
            self.metrics = (*CartLearner.metrics, ENTROPY, SPREAD, *([ERROR] if self.critic else []))
        self.entropy, self.spread, self.error = math.log(2), 0.0, 0.0

    @property
    def network(self) -> CartNetwork:
        return self.policy

    def choose(self, place: Place) -> int:
        """A push, drawn by π(right | place)."""
        left, right = self.policy.at(place)
        return int(self.random.random() < 1 / (1 + math.exp(max(-700.0, min(left - right, 700.0)))))

    @torch.no_grad()
    def update(self, learning_rate: float) -> float:
        """One episode and what is learned of it; the size of what the policy descends."""
        episode = play(self.choose, start(self.random.random))
        self.count(episode)
        if self.config.method == "random":
            return 0.0
        places = in_units(torch.tensor(episode.places))
        if self.critic is not None and self.config.method == "actor_critic":
            self.criticise(places, learning_rate)
        told = self.judge(places)
        loss = self.descend(places[:-1], torch.tensor(episode.actions), told.weights)
        self.optimizer.step([self.policy.gradient], learning_rate)
        if self.critic is not None and self.config.method == "baseline":
            self.criticise(places, learning_rate)
        return abs(loss)

    def judge(self, places: Tensor) -> Credit:
        """What the steps of the latest episode are told now, its places (T + 1, 4) in UNITS."""
        config, episode = self.config, self.latest
        if self.critic is not None:
            self.values = self.critic(places).squeeze(1) * config.horizon
        told = credit(
            config.method, config.discount, episode.fell, len(episode.actions), self.values if self.critic else None
        )
        self.spread = told.weights.square().mean().sqrt().item()
        return told

    def descend(self, places: Tensor, actions: Tensor, weights: Tensor) -> float:
        """The gradient of −mean(weights · log π(actions)) − β · mean entropy, by hand, into the policy's; its value.

        For scores z the derivatives are ∂ log π(a) / ∂z_j = 1[j = a] − π_j and ∂H / ∂z_j = −π_j (log π_j + H).
        """
        hidden = self.policy.hidden(places)
        log_chances = self.policy.out(hidden).log_softmax(1)  # (T, 2)
        chances = log_chances.exp()
        entropy = -(chances * log_chances).sum(1, keepdim=True)  # (T, 1)
        taken = torch.zeros_like(chances).scatter_(1, actions[:, None], 1.0)
        d_scores = weights[:, None] * (chances - taken) + self.entropy_bonus * chances * (log_chances + entropy)
        self.policy.backward(places, hidden, d_scores / len(actions))
        self.entropy = entropy.mean().item()
        gained = (weights * (taken * log_chances).sum(1)).mean().item()
        return -gained - self.entropy_bonus * self.entropy

    def criticise(self, places: Tensor, learning_rate: float) -> None:
        """Move the values of an episode's places (T + 1, 4), in UNITS, towards their targets."""
        critic, config, episode = self.critic, self.config, self.latest
        assert critic is not None
        targets = torch.zeros(0)
        for _ in range(config.critic_steps):
            hidden = critic.hidden(places)
            values = critic.out(hidden).squeeze(1) * config.horizon
            if not len(targets) or config.method == "actor_critic":
                told = credit(config.method, config.discount, episode.fell, len(episode.actions), values)
                targets = told.values + told.weights
            error = (values[:-1] - targets) / config.horizon  # of ½ error²
            critic.backward(places[:-1], hidden[:-1], error[:, None] / len(error))
            self.critic_optimizer.step([critic.gradient], learning_rate)
        self.error = error.square().mean().sqrt().item() * config.horizon

    def scores(self) -> dict[str, float]:
        return super().scores() | {ENTROPY.name: self.entropy, SPREAD.name: self.spread, ERROR.name: self.error}

    def state(self) -> dict[str, Tensor]:
        """Its weights are {"policy.weight1": (4, hidden), …, "critic.weight1": … where there is one}."""
        named = {f"policy.{name}": weight for name, weight in self.policy.weights.items()}
        if self.critic is not None:
            named |= {f"critic.{name}": weight for name, weight in self.critic.weights.items()}
        return named | super().state()


# ---- learning values instead -----------------------------------------------------------------------------------------


class ValueLearner(CartLearner):
    """DQN: Q(s, a) of both pushes by a network, taught by remembered steps and a frozen copy; acts greedily but for a share
    ε of its steps. One update is one episode, with a batch of DQN_BATCH remembered steps after every step of it, by Adam.
    """

    metrics = (*CartLearner.metrics, CART_EXPLORATION, ERROR)
    memories = (*CartLearner.memories, *(f"frozen.{name}" for name in ("weight1", "bias1", "weight2", "bias2")))

    def __init__(self, config: PolicyGradientConfig, generator: torch.Generator):
        super().__init__(config)
        self.generator = generator
        self.online = CartNetwork(config.hidden, 2, generator)
        self.frozen = CartNetwork.of(self.online.weights)
        self.optimizer = Optimizer("adam", [self.online.flat])
        self.places = torch.zeros(config.memory, 9)  # before and after, in UNITS, and the discount: 0 where it fell
        self.actions = torch.zeros(config.memory, 1, dtype=torch.long)
        self.remembered = self.updates = 0
        self.epsilon, self.error, self.entropy_bonus = EPSILON, 0.0, config.entropy

    @property
    def network(self) -> CartNetwork:
        return self.online

    def choose(self, place: Place) -> int:
        draw = self.random.random
        return int(draw() < 0.5) if draw() < self.epsilon else self.likelier(place)

    @torch.no_grad()
    def update(self, learning_rate: float) -> float:
        """One episode, with an update at every step; the root mean square of its last errors."""
        place, fell = start(self.random.random), False
        places = [place]
        actions: list[int] = []
        notes, pushes = self.places.numpy(), self.actions.numpy()
        while len(actions) < STEPS and not fell:
            action = self.choose(place)
            following = push(place, action)
            fell = is_down(following)
            row = self.remembered % self.config.memory  # in a full memory the place of the oldest
            notes[row] = (*scaled(place), *scaled(following), 0.0 if fell else self.config.discount)
            pushes[row] = action
            self.remembered += 1
            places.append(following)
            actions.append(action)
            place = following
            if self.remembered >= DQN_BATCH:
                self.replay(learning_rate)
        self.count(Episode(places, actions, fell))
        self.epsilon = max(EPSILON_LEAST, self.epsilon * EPSILON_DECAY)
        return self.error

    def replay(self, learning_rate: float) -> None:
        """One update on DQN_BATCH steps of the memory."""
        chosen = torch.randint(min(self.remembered, self.config.memory), (DQN_BATCH,), generator=self.generator)
        error = self.descend(self.places[chosen], self.actions[chosen])
        self.optimizer.step([self.online.gradient], learning_rate)
        self.updates += 1
        if self.updates % self.config.target_every == 0:
            self.error = error.square().mean().sqrt().item() * self.config.horizon
            self.frozen.flat.copy_(self.online.flat)

    def descend(self, steps: Tensor, actions: Tensor) -> Tensor:
        """The gradient of ½ mean (Q(s, a) − r − γ max Q⁻(s′, ·))² by hand, into the network's, for remembered steps (B, 9)
        and actions (B, 1); returns the errors (B,). Values are in units of the horizon."""
        here, there, discount = steps.split((4, 4, 1), 1)
        targets = torch.addcmul(
            steps.new_full((1, 1), 1 / self.config.horizon), discount, self.frozen(there).amax(1, keepdim=True)
        )
        hidden = self.online.hidden(here)
        values = self.online.out(hidden)
        error = values.gather(1, actions) - targets  # (B, 1)
        self.online.backward(here, hidden, torch.zeros_like(values).scatter_(1, actions, error / len(error)))
        return error.squeeze(1)

    def scores(self) -> dict[str, float]:
        return super().scores() | {CART_EXPLORATION.name: self.epsilon, ERROR.name: self.error}

    def state(self) -> dict[str, Tensor]:
        """Its weights are {"online.weight1": (4, hidden), …, "frozen.weight1": …}."""
        named = {f"online.{name}": weight for name, weight in self.online.weights.items()}
        return named | {f"frozen.{name}": weight for name, weight in self.frozen.weights.items()} | super().state()


def scaled(place: Place) -> Place:
    """One place as networks read it."""
    x, speed, angle, turning = place
    return x * UNITS[0], speed * UNITS[1], angle * UNITS[2], turning * UNITS[3]


# ---- how noisy the gradient is ---------------------------------------------------------------------------------------


@torch.no_grad()
def gradients_of(
    config: PolicyGradientConfig, state: dict[str, Tensor], count: int, seed: int = 0
) -> tuple[list[Episode], dict[str, Tensor]]:
    """What each of `count` episodes of one policy would change, were it the next: by method the gradients (count, P).

    Args:
        state: as of a policy's learner; without a critic the only method is "reinforce".
    """
    learner = PolicyLearner(replace(config, entropy=0.0), torch.Generator())
    learner.policy, learner.random = network_of(state, "policy"), Random(seed)
    critic = network_of(state, "critic") if "critic.weight1" in state else None
    episodes: list[Episode] = []
    found: dict[str, list[Tensor]] = {}
    for _ in range(count):
        episode = play(learner.choose, start(learner.random.random))
        places, actions = in_units(torch.tensor(episode.places)), torch.tensor(episode.actions)
        values = None if critic is None else critic(places).squeeze(1) * config.horizon
        for method in ("reinforce",) if critic is None else ("reinforce", "baseline", "actor_critic"):
            known = None if method == "reinforce" else values
            told = credit(method, config.discount, episode.fell, len(actions), known)
            learner.descend(places[:-1], actions, told.weights)
            found.setdefault(method, []).append(-learner.policy.gradient)
        episodes.append(episode)
    return episodes, {method: torch.stack(gradients) for method, gradients in found.items()}


def network_of(state: dict[str, Tensor], name: str) -> CartNetwork:
    """The network of this name from a learner's state."""
    start = f"{name}."
    return CartNetwork.of({key.removeprefix(start): value for key, value in state.items() if key.startswith(start)})


def likeness(gradients: Tensor) -> Tensor:
    """The cosine of each gradient (N, P) with the mean of the others (N,): 1 if all agree, 0 if they are noise."""
    others = (gradients.sum(0) - gradients) / (len(gradients) - 1)
    return torch.cosine_similarity(gradients, others, dim=1)


# ---- comparing -------------------------------------------------------------------------------------------------------


def race(config: PolicyGradientConfig) -> dict[str, PolicyGradientConfig]:
    """The same policy, learned by three kinds of credit."""
    return {method: replace(config, method=method) for method in ("reinforce", "baseline", "actor_critic")}


# ---- presets ---------------------------------------------------------------------------------------------------------

DQN = PolicyGradientConfig(method="dqn", learning_rate=0.001)

PRESETS: dict[str, PolicyGradientConfig] = {
    "baseline": PolicyGradientConfig(),
    "reinforce": PolicyGradientConfig(method="reinforce"),
    "actor_critic": PolicyGradientConfig(method="actor_critic"),
    "dqn": DQN,
    "random": PolicyGradientConfig(method="random"),
    # These break, each for one reason:
    "rash": PolicyGradientConfig(method="actor_critic", critic_steps=1, learning_rate=0.01),  # δ of a critic that lags
    "blind": PolicyGradientConfig(discount=0.0),  # every push is told 1, whatever comes of it
    "undecided": PolicyGradientConfig(entropy=20.0),  # indecision pays better than standing
    "hasty": PolicyGradientConfig(learning_rate=0.1),
    "forgetful": replace(DQN, memory=64),  # a batch is the latest second, and nothing else
}
