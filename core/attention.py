"""Attention: a query is compared with keys, and values are averaged with the weights that come of it.

The mechanism stands first; it serves every lesson that attends. After it comes this lesson's own network: a forecast
of the next year's sunspots (or of somebody's own series) that looks up the years which resembled the last two, and
averages what followed them. That is Nadaraya–Watson regression whose kernel is learned.

Sources: nndl "注意力机制"; Bahdanau 2015 (additive), Luong 2015 (dot, bilinear), Vaswani 2017 (scaled dot product);
Nadaraya 1964 and Watson 1964; the score function estimator, Williams 1992.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from core.config import Config, Limits, Span
from core.data.sequences import check_series, raw_series, split_at, standard_of, standardised
from core.optimizers import Optimizer
from core.training import LOSS, Metric, Scores

SCORINGS = ("additive", "dot", "scaled_dot", "bilinear", "distance")
CHOICES = ("soft", "hard", "sampled")  # the expectation, the best key alone, one key drawn by the weights
MEMORIES = ("key_value", "plain")  # values of their own, or K = V
SERIES = ("sunspots", "own")
YEARS = 2  # of the series in a query, and in a key
ADDITIVE_SIZE = 8  # hidden units of the additive score
ATTENDED = Metric(
    "Attended keys", better="neither"
)  # e to the power of the entropy: as spread as so many equal weights


# ---- the mechanism ---------------------------------------------------------------------------------------------------


def score(
    query: Tensor, keys: Tensor, kind: str = "scaled_dot", parameters: Mapping[str, Tensor] | None = None
) -> Tensor:
    """How well each query fits each key: (…, Tq, D), (…, Tk, D) → (…, Tq, Tk).

    With a query q and a key x: "additive" vᵀtanh(Wx + Uq), "dot" xᵀq, "scaled_dot" xᵀq/√D, "bilinear" xᵀWq, and
    "distance" −‖x − q‖²/2, the exponent of a Gaussian kernel.

    Args:
        parameters: of "additive" W (A, Dk), U (A, Dq) and v (A,); of "bilinear" W (Dk, Dq). Only in these two may
            queries and keys differ in size.

    Raises:
        ValueError: `kind` is none of SCORINGS, or its parameters are missing.
    """
    if kind == "dot":
        return query @ keys.mT
    if kind == "scaled_dot":
        return query @ keys.mT / math.sqrt(query.shape[-1])
    if kind == "distance":
        return -(query[..., :, None, :] - keys[..., None, :, :]).square().sum(-1) / 2
    if kind not in SCORINGS:
        raise ValueError(f"kind must be one of {', '.join(SCORINGS)}, got {kind!r}")
    if parameters is None:
        raise ValueError(f"{kind} scores need parameters")
    if kind == "bilinear":
        return query @ parameters["W"].mT @ keys.mT
    W, U, v = parameters["W"], parameters["U"], parameters["v"]
    return torch.tanh((keys @ W.mT)[..., None, :, :] + (query @ U.mT)[..., :, None, :]) @ v


def attend(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    kind: str = "scaled_dot",
    parameters: Mapping[str, Tensor] | None = None,
    mask: Tensor | None = None,
    temperature: float = 1.0,
    hard: bool = False,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Average the values by how well their keys fit each query.

    Args:
        query: (…, Tq, D); keys: (…, Tk, D); values: (…, Tk, V).
        kind, parameters: of `score`.
        mask: (…, Tq, Tk), True where a query may attend to a key, as in torch's `scaled_dot_product_attention`.
        temperature: scores are divided by it: large is uniform, small is hard.
        hard: all the weight on one key, the best, or with a generator one drawn by the weights. No gradient then
            reaches queries and keys.

    Returns:
        The output (…, Tq, V) and the weights (…, Tq, Tk). A query that may attend to nothing has weights and output 0.

    Raises:
        ValueError: an unknown kind, missing parameters, or a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature!r}")
    scores = score(query, keys, kind, parameters)
    weights = attention_weights(scores if temperature == 1 else scores / temperature, mask)
    if hard:
        weights = one_of(weights, generator)
    return weights @ values, weights


def attention_weights(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """The softmax of scores (…, Tq, Tk) over the keys, 0 where `mask` is False; a row of zeros where all of it is."""
    if mask is None:
        return scores.softmax(-1)
    lowest = torch.finfo(scores.dtype).min  # not −∞, whose softmax over a whole row is NaN, and so is its gradient
    return scores.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0.0)


def one_of(weights: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """All the weight (…, Tk) on the largest, or with a generator on one drawn by the weights; zeros stay zeros."""
    weights = weights.detach()
    best = weights.argmax(-1) if generator is None else drawn_by(weights, generator)
    chosen = torch.zeros_like(weights).scatter_(-1, best[..., None], 1.0)
    return chosen * (weights.sum(-1, keepdim=True) > 0)


def drawn_by(weights: Tensor, generator: torch.Generator) -> Tensor:
    """An index (…) of the last dimension, drawn by weights (…, Tk): where a uniform number falls in their running sum."""
    running = weights.cumsum(-1)
    place = torch.rand(*weights.shape[:-1], 1, generator=generator, dtype=weights.dtype) * running[..., -1:]
    return (running <= place).sum(-1).clamp(max=weights.shape[-1] - 1)


def entropy(weights: Tensor) -> Tensor:
    """−Σ p ln p over the last dimension: ln Tk if all weights are equal, 0 if one has it all."""
    return -torch.xlogy(weights, weights).sum(-1)


def score_parameters(
    kind: str, size: int, generator: torch.Generator, hidden: int = ADDITIVE_SIZE, query_size: int | None = None
) -> dict[str, Tensor]:
    """The parameters that `score` needs for keys of this size, drawn from U(−1/√fan_in, 1/√fan_in)."""
    query_size = size if query_size is None else query_size
    shapes: dict[str, tuple[int, ...]] = {}
    if kind == "bilinear":
        shapes = {"W": (size, query_size)}
    elif kind == "additive":
        shapes = {"W": (hidden, size), "U": (hidden, query_size), "v": (hidden,)}
    return {
        name: (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(shape[-1]) for name, shape in shapes.items()
    }


# ---- why dot products are scaled -------------------------------------------------------------------------------------

RANDOM_KEYS, RANDOM_QUERIES = 32, 256


class Spread(NamedTuple):
    """What random queries and keys of one dimension do to a softmax over RANDOM_KEYS keys."""

    deviation: float  # of the scores
    largest: float  # weight, in the mean over the queries
    entropy: float  # of the weights, in the mean
    weights: Tensor  # (RANDOM_KEYS,) of the first query, in falling order


@lru_cache(maxsize=128)
def dot_product_spread(dimension: int, kind: str = "dot", seed: int = 0) -> Spread:
    """Queries and keys of N(0, 1): a dot product is a sum of `dimension` products of variance 1, so its variance is d."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(RANDOM_QUERIES, 1, dimension, generator=generator)
    keys = torch.randn(RANDOM_QUERIES, RANDOM_KEYS, dimension, generator=generator)
    scores = score(query, keys, kind)
    weights = attention_weights(scores)[:, 0]
    return Spread(
        scores.std().item(),
        weights.amax(-1).mean().item(),
        entropy(weights).mean().item(),
        weights[0].sort(descending=True).values,
    )


def expected_entropy(variance: float, keys: int = RANDOM_KEYS) -> float:
    """The entropy of a softmax over many independent Gaussian scores: ln n − σ²/2, and 0 from σ² = 2 ln n on.

    Exact for n → ∞ (Derrida's random energy model, 1981): past σ² = 2 ln n a few keys have all the weight.
    """
    return max(0.0, math.log(keys) - variance / 2)


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class AttentionConfig(Config):
    """A forecast by attention: which score, how soft, what is averaged."""

    scoring: str = "distance"
    temperature: float = 1.0
    choice: str = "soft"
    memory: str = "key_value"
    batch_size: int = 32  # queries per update
    task: str = "sunspots"
    series: tuple[float, ...] = ()  # of "own": its values, in order
    learning_rate: float = 0.03

    OWN_DATA: ClassVar = {"series": ("task", ("own",))}
    LIMITS: ClassVar[dict[str, Limits]] = {
        "temperature": Span(0.05, 10.0, 0.05),
        "scoring": SCORINGS,
        "choice": CHOICES,
        "memory": MEMORIES,
        "batch_size": range(1, 129),
        "task": SERIES,
        "learning_rate": Span(0.0, 10.0, 0.0001),
    }

    def __post_init__(self):
        super().__post_init__()
        check_series(self.task, self.series)

    def build(self, generator: torch.Generator) -> ForecastLearner:
        return ForecastLearner(self, generator)


# ---- the memory: years that were, and what followed ------------------------------------------------------------------


class Memory(NamedTuple):
    """Keys and what followed them; each key is a pair (the year before, the year)."""

    keys: Tensor  # (N, 2) standardised
    following: Tensor  # (N, 1) the next year, standardised
    first: int  # the place in the series of the first key's second value


@lru_cache(maxsize=8)
def memories(source: str, series: tuple[float, ...] = ()) -> tuple[Memory, Memory]:
    """The years to look up, and the later ones that are held out; to be read and never written."""
    shown = standardised(source, series)
    border = split_at(len(shown))
    parts = []
    for first, values in ((0, shown[:border]), (border - YEARS, shown[border - YEARS :])):
        windows = values.unfold(0, YEARS + 1, 1)  # (N, 3)
        parts.append(Memory(windows[:, :YEARS], windows[:, YEARS:], first + YEARS - 1))
    return parts[0], parts[1]


TABLE_KEYS = 6  # that the page shows with all their numbers
TABLE_RADIUS = 1.2  # how far out they lie, about


@lru_cache(maxsize=8)
def table_memory(source: str, series: tuple[float, ...] = ()) -> tuple[Memory, tuple[int, ...]]:
    """A few years that lie round about, as on a clock face, and their places among all keys, in the order of time."""
    memory = memories(source, series)[0]
    chosen: list[int] = []
    for hour in range(TABLE_KEYS):
        angle = 2 * math.pi * (hour + 0.5) / TABLE_KEYS
        aim = TABLE_RADIUS * torch.tensor([math.cos(angle), math.sin(angle)])
        distance = (memory.keys - aim).norm(dim=1)
        distance[chosen] = math.inf
        chosen.append(int(distance.argmin()))
    chosen.sort()
    return Memory(memory.keys[chosen], memory.following[chosen], memory.first), tuple(chosen)


def memory_of(config: AttentionConfig) -> tuple[Memory, Memory]:
    return memories(config.task, config.series)


def values_of(config: AttentionConfig, memory: Memory) -> Tensor:
    """What is averaged: what followed each key (N, 1), or the keys themselves (N, 2)."""
    return memory.following if config.memory == "key_value" else memory.keys


def parameters_of(config: AttentionConfig, generator: torch.Generator) -> dict[str, Tensor]:
    """What is learned: W, U and v of the additive and bilinear scores; of the others the logarithm of a scale for each
    of the two numbers, which for "distance" is one over the kernel's bandwidth."""
    learned = score_parameters(config.scoring, YEARS, generator)
    return learned or {"log_scale": torch.zeros(YEARS)}


def look_up(
    config: AttentionConfig,
    state: Mapping[str, Tensor],
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    choice: str | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """`attend` with the lesson's learned parameters: output (Q, V) and weights (Q, N) for queries (Q, 2)."""
    scale = state["log_scale"].exp() if "log_scale" in state else 1.0
    choice = choice or config.choice
    return attend(
        query * scale, keys * scale, values, config.scoring, state, mask, config.temperature,
        hard=choice != "soft", generator=generator,
    )  # fmt: skip


class Steps(NamedTuple):
    """One query's way through attention, step by step, for N keys."""

    scores: Tensor  # (N,) as the scoring function gives them, of "scaled_dot" before the division
    scaled: Tensor  # (N,) divided by √D and by the temperature
    weights: Tensor  # (N,)
    values: Tensor  # (N, V)
    products: Tensor  # (N, V) weight times value
    output: Tensor  # (V,) their sum


def step_by_step(
    config: AttentionConfig, state: Mapping[str, Tensor], query: Tensor, memory: Memory, seed: int = 0
) -> Steps:
    """The way of a query (2,) through the keys of a memory; "sampled" draws with this seed."""
    scale = state["log_scale"].exp() if "log_scale" in state else torch.ones(YEARS)
    values = values_of(config, memory)
    generator = torch.Generator().manual_seed(seed) if config.choice == "sampled" else None
    kind = "dot" if config.scoring == "scaled_dot" else config.scoring
    scores = score(query[None] * scale, memory.keys * scale, kind, state)[0]
    divisor = config.temperature * (math.sqrt(YEARS) if config.scoring == "scaled_dot" else 1.0)
    output, weights = look_up(config, state, query[None], memory.keys, values, generator=generator)
    return Steps(scores, scores / divisor, weights[0], values, weights[0, :, None] * values, output[0])


def forecast(output: Tensor) -> Tensor:
    """The forecast (Q,) in an output: the average of what followed; of averaged keys the later year, for want of more."""
    return output[:, -1]


# ---- which of them has a gradient -----------------------------------------------------------------------------------


class Slope(NamedTuple):
    """How the forecast changes with the query."""

    forecast: float
    autograd: Tensor | None  # (2,) None: no path leads back from the output to the query
    difference: Tensor  # (2,) measured by moving the query a little


NUDGE = 1e-4


def slope_of(
    config: AttentionConfig, state: Mapping[str, Tensor], query: Tensor, memory: Memory, seed: int = 0
) -> Slope:
    """The slope at a query (2,), by autograd and by central differences with the same draws."""
    exact = {name: value.detach().double() for name, value in state.items()}
    memory = Memory(memory.keys.double(), memory.following.double(), memory.first)

    def answer(at: Tensor) -> Tensor:
        return forecast(step_by_step(config, exact, at, memory, seed).output[None])[0]

    leaf = query.detach().double().requires_grad_()
    output = answer(leaf)
    gradient = torch.autograd.grad(output, leaf)[0] if output.requires_grad else None
    nudges = NUDGE * torch.eye(YEARS, dtype=torch.float64)
    moved = [(answer(leaf.detach() + nudge) - answer(leaf.detach() - nudge)) / (2 * NUDGE) for nudge in nudges]
    return Slope(output.item(), gradient, torch.stack(moved))


def estimated_slopes(
    config: AttentionConfig, state: Mapping[str, Tensor], query: Tensor, memory: Memory, draws: int, seed: int = 0
) -> Tensor:
    """The slope (draws, 2) of the expected forecast, each from one drawn key: its value · ∇ ln of its probability.

    Each of them is right in the mean (REINFORCE), whatever the noise.
    """
    leaf = query.detach().clone().requires_grad_()
    soft = replace(config, choice="soft")
    weights = step_by_step(soft, state, leaf, memory).weights
    surprise = torch.stack([torch.autograd.grad(weights[key].log(), leaf, retain_graph=True)[0] for key in range(len(weights))])  # fmt: skip
    taken = drawn_by(weights.detach().expand(draws, -1), torch.Generator().manual_seed(seed))
    return forecast(values_of(config, memory))[taken, None] * surprise[taken]


# ---- Nadaraya–Watson regression --------------------------------------------------------------------------------------

SMOOTHED = 400  # values of a series that are smoothed at most: its last ones
BANDWIDTHS = (
    *(
        0.25,
        0.3,
        0.35,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        1.0,
        1.2,
        1.5,
        1.8,
        2.0,
        2.5,
        3.0,
        3.5,
        4.0,
        5.0,
        6.0,
        7.0,
        8.0,
        10.0,
    ),
    *(12.0, 15.0, 18.0, 20.0, 25.0, 30.0, 40.0),
)  # in steps of the series


class Smooth(NamedTuple):
    """A series and its smooth curve."""

    values: Tensor  # (N,) as they were measured
    curve: Tensor  # (N,)
    weights: Tensor  # (N, N) of the values (columns) at each place of the curve (rows)
    first: int  # the place of the first of them in the whole series


def noisy_series(source: str, series: tuple[float, ...], noise: float) -> Tensor:
    """The last values (N,) of a series, with noise added, always the same, of so many of the series' deviations."""
    values = torch.tensor(raw_series(source, series))[-SMOOTHED:]
    return values + noise * standard_of(source, series).deviation * torch.randn(
        len(values), generator=torch.Generator().manual_seed(0)
    )


def smooth(source: str, series: tuple[float, ...], bandwidth: float, noise: float = 0.0) -> Smooth:
    """Nadaraya–Watson regression: time attends to time. A Gaussian kernel of bandwidth h is attention whose score is
    −(distance)²/2 and whose temperature is h²."""
    values = noisy_series(source, series, noise)
    time = torch.arange(len(values), dtype=torch.float32)[:, None]
    curve, weights = attend(time, time, values[:, None], "distance", temperature=bandwidth**2)
    return Smooth(values, curve[:, 0], weights, len(raw_series(source, series)) - len(values))


@lru_cache(maxsize=8)
def leave_one_out(source: str, series: tuple[float, ...] = (), noise: float = 0.0) -> Tensor:
    """The root mean squared error (len(BANDWIDTHS),) of the curve at each value from which that value is left out."""
    values = noisy_series(source, series, noise)[:, None]
    time = torch.arange(len(values), dtype=torch.float32)[:, None]
    others = ~torch.eye(len(values), dtype=torch.bool)
    scores = score(time, time, "distance")
    errors = [attention_weights(scores / h**2, others) @ values - values for h in BANDWIDTHS]
    return torch.stack(errors).square().mean((1, 2)).sqrt()


# ---- learning --------------------------------------------------------------------------------------------------------


class ForecastLearner:
    """Attention that learns what makes two years alike.

    Each year of a batch is forecast from all other years (it may not look itself up), and the squared error goes down
    its gradient. Attention to one drawn key has no gradient of its own: the score function estimator makes up for it,
    with the batch's mean error as its baseline. Attention to the best key has none at all, and nothing is learned.
    """

    metrics: tuple[Metric, ...] = (LOSS, ATTENDED)

    def __init__(self, config: AttentionConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.train, self.test = memory_of(config)
        self.parameters = parameters_of(config, generator)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.optimizer = Optimizer("adam", list(self.parameters.values()))

    def update(self, learning_rate: float) -> float:
        config, memory = self.config, self.train
        chosen = torch.randint(len(memory.keys), (config.batch_size,), generator=self.generator)
        others = torch.arange(len(memory.keys)) != chosen[:, None]  # (B, N)
        query, wanted = memory.keys[chosen], memory.following[chosen, 0]
        values = values_of(config, memory)
        if config.choice == "sampled":
            _, weights = look_up(config, self.parameters, query, memory.keys, values, others, "soft")
            taken = one_of(weights, self.generator)
            errors = (forecast(taken @ values) - wanted) ** 2
            surprise = (weights * taken).sum(-1).clamp(min=1e-9).log()
            loss, descended = errors.mean(), ((errors - errors.mean()) * surprise).mean()
        else:
            output, _ = look_up(config, self.parameters, query, memory.keys, values, others)
            loss = descended = ((forecast(output) - wanted) ** 2).mean()
        if descended.requires_grad:  # of the best key alone there is no gradient
            gradients = torch.autograd.grad(descended, list(self.parameters.values()))
            self.optimizer.step(list(gradients), learning_rate)
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> Scores:
        """The mean squared error in units of the variance, and how many keys are attended to. Of a key drawn by chance
        the error is the expected one, over all that could be drawn."""
        scores: Scores = {}
        itself = torch.eye(len(self.train.keys), dtype=torch.bool)
        choice = "hard" if self.config.choice == "hard" else "soft"
        values = values_of(self.config, self.train)
        for part, memory, mask in (("train", self.train, ~itself), ("test", self.test, None)):
            output, weights = look_up(self.config, self.parameters, memory.keys, self.train.keys, values, mask, choice)
            if self.config.choice == "sampled":
                error = (weights * (forecast(values) - memory.following) ** 2).sum(-1)
            else:
                error = (forecast(output) - memory.following[:, 0]) ** 2
            scores[part] = {LOSS.name: error.mean().item(), ATTENDED.name: entropy(weights).exp().mean().item()}
        return scores

    def state(self) -> dict[str, Tensor]:
        """{"log_scale": (2,)}, or the parameters of `score`."""
        return {name: parameter.detach() for name, parameter in self.parameters.items()}

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"a forecast cannot change {name!r} on its way")


def race(config: AttentionConfig) -> dict[str, AttentionConfig]:
    """The same forecast with each scoring function."""
    return {kind: replace(config, scoring=kind) for kind in SCORINGS}


PRESETS: dict[str, AttentionConfig] = {
    "distance": AttentionConfig(),
    "additive": AttentionConfig(scoring="additive"),
    "bilinear": AttentionConfig(scoring="bilinear"),
    "sampled": AttentionConfig(choice="sampled"),
    "learned_around": AttentionConfig(scoring="bilinear", memory="plain"),
    # These break, each for one reason:
    "dot": AttentionConfig(scoring="dot"),  # the largest keys are everybody's favourites
    "plain": AttentionConfig(memory="plain"),  # a year that looks the same is not what followed it
    "hard": AttentionConfig(choice="hard"),  # no gradient
    "hot": AttentionConfig(scoring="additive", temperature=10.0),  # nearly uniform, and its gradient is a tenth
}
