"""Self-attention: queries, keys and values all come from one sequence, in several heads at once.

`MultiHeadAttention` is torch's layer in a dozen lines, and gives the weights of every head away for free; `Transformer`
puts it between residual connections and learns small tasks on sequences of symbols. 自注意力: the 自 is that of "same
sequence"; what is learned are the projections, and the weights are computed anew for every input.

Sources: Vaswani et al. 2017, "Attention is all you need"; nndl "自注意力模型"; pre-normalisation, Xiong et al. 2020.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.config import Config, Limits, SettingError
from core.initialisation import Linear, draw
from core.optimizers import OPTIMIZERS, Optimizer
from core.rnn import RNN
from core.training import ACCURACY, LOSS, Metric, Scores

TRANSFORMER_TASKS = ("difference", "sum", "reverse", "sort", "brackets")
POSITIONS = ("sinusoidal", "learned", "none")
DIGITS = 6  # symbols 0…5 of all tasks but the brackets
FIRST, SECOND = 1, 3  # "difference" and "sum" look up the symbols so many places before
BRACKETS = "()[]"
PROBES = 256  # held-out sequences, and training sequences that are measured
LENGTHS = range(4, 21)


# ---- multi-head self-attention ---------------------------------------------------------------------------------------


class HeadsTrace(NamedTuple):
    """Every stage of a multi-head attention: d = D / K features a head."""

    query: Tensor  # (B, K, T, d)
    key: Tensor  # (B, K, T, d)
    value: Tensor  # (B, K, T, d)
    weights: Tensor  # (B, K, T, T) softmax of the scores over what may be attended to: rows ask, columns are asked
    mixed: Tensor  # (B, K, T, d) the values, averaged by the weights
    output: Tensor  # (B, T, D) all heads side by side, times W_O

    @property
    def scores(self) -> Tensor:
        """(B, K, T, T) query · key / √d, before any mask; for pictures, computed anew: training need not keep them."""
        return self.query @ self.key.mT / math.sqrt(self.query.shape[-1])


class MultiHeadAttention(nn.Module):
    """Self-attention in several heads. It loads the state dict of `torch.nn.MultiheadAttention` and agrees with it.

    Args:
        width: D, features of the input and of the output; the heads share it out.
        heads: K.
        generator: draws the weights as torch does: the projections' by Xavier, W_O's from U(−1/√D, 1/√D), biases 0.

    Raises:
        ValueError: the width cannot be shared out evenly.
    """

    def __init__(self, width: int, heads: int, generator: torch.Generator | None = None):
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"the width must be a multiple of the number of heads, got {width} and {heads}")
        self.width, self.heads = width, heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))  # W_Q, W_K and W_V of all heads, stacked
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight, generator=generator)
        bound = 1 / math.sqrt(width)
        nn.init.uniform_(self.out_proj.weight, -bound, bound, generator=generator)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None, causal: bool = False) -> tuple[Tensor, Tensor]:
        """Let every position attend to all positions.

        Args:
            x: (B, T, D)
            key_padding_mask: (B, T), True where a position is padding and is to be ignored, as in torch's layer.
            causal: whether a position may only attend to itself and to earlier ones.

        Returns:
            The output (B, T, D) and the weights (B, K, T, T). A position that may attend to nothing has weights 0, and
            its output is W_O's bias.
        """
        trace = self.trace(x, key_padding_mask, causal)
        return trace.output, trace.weights

    def trace(
        self,
        x: Tensor,
        key_padding_mask: Tensor | None = None,
        causal: bool = False,
        silent: Sequence[int] = (),
    ) -> HeadsTrace:
        """Every stage of `forward`; what the heads in `silent` have found is left out, as if it were 0."""
        B, T, D = x.shape
        K = self.heads
        projected = F.linear(x, self.in_proj_weight, self.in_proj_bias).view(B, T, 3, K, D // K)
        # From here on a position is a column, not a row: torch multiplies few rows by a large square three times as fast
        # as a large square by few columns, forwards and backwards.
        query, key, value = projected.permute(2, 0, 3, 4, 1).reshape(3, B * K, D // K, T)
        barred = barred_pairs(B, T, key_padding_mask, causal, x.device)
        weights = scaled_scores(query, key, B, barred).softmax(-2)
        if barred is not None and key_padding_mask is not None:  # the causal mask alone leaves everybody itself
            weights = weights.masked_fill(barred.all(-1)[:, None, :].repeat_interleave(K, 0), 0.0)
        mixed = torch.bmm(value, weights).view(B, K, D // K, T)
        for head in silent:
            mixed = mixed.index_fill(1, torch.tensor([head]), 0.0)
        output = self.out_proj(mixed.permute(0, 3, 1, 2).reshape(B, T, D))
        query, key, value, weights = (each.view(B, K, -1, T).mT for each in (query, key, value, weights))
        return HeadsTrace(query, key, value, weights, mixed.mT, output)


def barred_pairs(B: int, T: int, key_padding_mask: Tensor | None, causal: bool, device: torch.device) -> Tensor | None:
    """Which position may not attend to which: (B or 1, T, T), True where it may not; None where all may."""
    barred = None
    if causal:
        barred = torch.ones(T, T, dtype=torch.bool, device=device).triu(1)[None]
    if key_padding_mask is not None:
        padded = key_padding_mask[:, None, :].expand(B, T, T)
        barred = padded if barred is None else padded | barred
    return barred


def scaled_scores(query: Tensor, key: Tensor, B: int, barred: Tensor | None) -> Tensor:
    """key · query / √d (B·K, T, T), columns ask and rows are asked; where a pair is barred the lowest finite number is added.

    Not −∞: the softmax of a column that is all −∞ is NaN, and so would be its gradient.

    Args:
        query, key: (B·K, d, T)
        barred: as of `barred_pairs`.
    """
    scale = 1 / math.sqrt(query.shape[1])
    if barred is None:
        nothing = query.new_zeros(1, 1, 1)
        return torch.baddbmm(nothing, key.mT, query, beta=0, alpha=scale)
    lowest = torch.finfo(query.dtype).min / 2  # half of it: adding a score must not overflow
    bias = torch.zeros(barred.shape, dtype=query.dtype, device=query.device).masked_fill(barred, lowest).mT
    if len(bias) > 1:
        bias = bias.repeat_interleave(len(query) // B, 0)
    return torch.baddbmm(bias, key.mT, query, alpha=scale)


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class SelfAttentionConfig(Config):
    """A small transformer and the task that it learns."""

    task: str = "difference"
    length: int = 10  # symbols of a sequence
    heads: int = 4
    width: int = 32  # features of a position; the heads share it out
    layers: int = 1  # each: self-attention, and what follows
    feed_forward: bool = True  # after the attention two fully connected layers, the same at every position
    positions: str = "learned"  # how a position says where it stands
    causal: bool = False  # whether a position sees itself and earlier ones only
    batch_size: int = 64  # sequences per update
    optimizer: str = "adam"
    learning_rate: float = 0.005

    LIMITS: ClassVar[dict[str, Limits]] = {
        "task": TRANSFORMER_TASKS,
        "length": LENGTHS,
        "heads": (1, 2, 4, 8),
        "width": (8, 16, 32, 64),
        "layers": range(1, 4),
        "positions": POSITIONS,
        "batch_size": range(1, 257),
        "optimizer": OPTIMIZERS,
    }

    def __post_init__(self):
        super().__post_init__()
        if self.task == "brackets" and self.length % 2:
            raise SettingError("length", self.length, range(LENGTHS[0], LENGTHS[-1] + 1, 2))

    def build(self, generator: torch.Generator) -> TransformerLearner:
        return TransformerLearner(self, generator)


# ---- tasks -----------------------------------------------------------------------------------------------------------


def symbols_of(task: str) -> str:
    """The symbols of a task's sequences, in the order of their numbers."""
    return BRACKETS if task == "brackets" else "".join(map(str, range(DIGITS)))


def class_count(config: SelfAttentionConfig) -> int:
    """How many answers there are: symbols, or for "brackets" the places of a sequence."""
    return config.length if config.task == "brackets" else len(symbols_of(config.task))


def answers_of(task: str, tokens: Tensor) -> Tensor:
    """What is asked at every position of sequences (B, T), as the number of a class (B, T).

    "difference" (x[t−1] − x[t−3]) mod 6 and "sum" (x[t−1] + x[t−3]) mod 6, counting around the start; "reverse" the symbol
    as far from the other end; "sort" the symbol that stands here once they are sorted; "brackets" the place of the bracket
    that belongs to this one.

    Raises:
        ValueError: the task is none of TRANSFORMER_TASKS, or brackets that are not balanced.
    """
    if task in ("difference", "sum"):
        sign = 1 if task == "sum" else -1
        return (tokens.roll(FIRST, 1) + sign * tokens.roll(SECOND, 1)) % DIGITS
    if task == "reverse":
        return tokens.flip(1)
    if task == "sort":
        return tokens.sort(1).values
    if task != "brackets":
        raise ValueError(f"task must be one of {', '.join(TRANSFORMER_TASKS)}, got {task!r}")
    return torch.tensor([partners(row) for row in tokens.tolist()])


def partners(row: list[int]) -> list[int]:
    """For each bracket of a row (0 opens and 1 closes, so do 2 and 3) the place of the one that it belongs to.

    Raises:
        ValueError: some bracket has no partner, or one of the other kind.
    """
    open_places: list[int] = []
    found = [0] * len(row)
    for place, symbol in enumerate(row):
        if symbol % 2 == 0:
            open_places.append(place)
        elif not open_places or row[open_places[-1]] != symbol - 1:
            raise ValueError(f"the bracket at place {place} closes nothing")
        else:
            found[place] = open_places.pop()
            found[found[place]] = place
    if open_places:
        raise ValueError(f"the bracket at place {open_places[-1]} is never closed")
    return found


class TokensError(ValueError):
    """A sequence that the task does not have; `kind` is "symbol", "length" or "balance", `value` what is wrong."""

    def __init__(self, kind: str, value: str | int):
        self.kind, self.value = kind, value
        super().__init__(f"the sequence has a wrong {kind}: {value}")


def tokens_from(config: SelfAttentionConfig, text: str) -> Tensor:
    """A sequence (T,) that somebody has written, such as "310542" or "([])()"; spaces do not count, and digits and
    brackets may be as wide as a Chinese keyboard has them.

    Raises:
        TokensError: a symbol that the task does not have, another length than the config's, or unbalanced brackets.
    """
    symbols = symbols_of(config.task)
    written = "".join(unicodedata.normalize("NFKC", text).split()).translate(str.maketrans("【】", "[]"))
    for symbol in written:
        if symbol not in symbols:
            raise TokensError("symbol", symbol)
    if len(written) != config.length:
        raise TokensError("length", len(written))
    row = [symbols.index(symbol) for symbol in written]
    if config.task == "brackets":
        try:
            partners(row)
        except ValueError as error:
            raise TokensError("balance", written) from error
    return torch.tensor(row)


def draw_tokens(task: str, length: int, count: int, generator: torch.Generator) -> Tensor:
    """Random sequences (count, length); of "brackets" balanced ones, for which the length must be even."""
    if task != "brackets":
        return torch.randint(DIGITS, (count, length), generator=generator)
    return draw_brackets(length, count, generator)


def draw_brackets(length: int, count: int, generator: torch.Generator) -> Tensor:
    """Balanced sequences (count, length): a bracket opens or closes with equal chance wherever both are possible."""
    choices = torch.rand(count, length, generator=generator).tolist()
    kinds = torch.randint(2, (count, length), generator=generator).tolist()
    rows = []
    for choice, kind in zip(choices, kinds, strict=True):
        row: list[int] = []
        open_kinds: list[int] = []
        for place in range(length):
            left = length - place
            if not open_kinds or (choice[place] < 0.5 and len(open_kinds) < left):
                open_kinds.append(kind[place])
                row.append(2 * kind[place])
            else:
                row.append(2 * open_kinds.pop() + 1)
        rows.append(row)
    return torch.tensor(rows)


@lru_cache(maxsize=64)
def held_out_tokens(task: str, length: int) -> Tensor:
    """The sequences (PROBES, length) that nobody learns from, the same for all runs."""
    return draw_tokens(task, length, PROBES, torch.Generator().manual_seed(2**31 - 1))


# ---- the transformer -------------------------------------------------------------------------------------------------


class LayerTrace(NamedTuple):
    """One layer's stages."""

    before: Tensor  # (B, T, D) what comes in
    heads: HeadsTrace
    attended: Tensor  # (B, T, D) what came in, plus what the heads found
    after: Tensor  # (B, T, D) plus what the two fully connected layers add


class TransformerTrace(NamedTuple):
    """A pass with all that pictures need."""

    embedded: Tensor  # (B, T, D) symbols and positions
    layers: tuple[LayerTrace, ...]
    scores: Tensor  # (B, T, classes)


class Block(nn.Module):
    """One layer: x + attention(norm(x)), and then x + W₂ ReLU(W₁ norm(x)) if there are fully connected layers."""

    def __init__(self, config: SelfAttentionConfig, generator: torch.Generator):
        super().__init__()
        self.norm = nn.LayerNorm(config.width)  # begins with ones and zeros, so nothing is drawn
        self.attention = MultiHeadAttention(config.width, config.heads, generator)
        self.second_norm: nn.LayerNorm | None = None
        if config.feed_forward:
            self.second_norm = nn.LayerNorm(config.width)
            self.widen: nn.Module = draw(Linear(config.width, 2 * config.width), generator)
            self.narrow: nn.Module = draw(Linear(2 * config.width, config.width), generator)

    def forward(self, x: Tensor, causal: bool, silent: Sequence[int] = ()) -> LayerTrace:
        """(B, T, D) → every stage; the heads in `silent` are switched off."""
        heads = self.attention.trace(self.norm(x), causal=causal, silent=silent)
        attended = x + heads.output
        after = attended
        if self.second_norm is not None:
            after = attended + self.narrow(F.relu(self.widen(self.second_norm(attended))))
        return LayerTrace(x, heads, attended, after)


class Transformer(nn.Module):
    """Embedding, positions, layers, and a linear readout at every position."""

    def __init__(self, config: SelfAttentionConfig, generator: torch.Generator):
        super().__init__()
        self.config = config
        self.symbol = nn.Parameter(torch.randn(len(symbols_of(config.task)), config.width, generator=generator))
        if config.positions == "learned":
            self.position = nn.Parameter(torch.randn(config.length, config.width, generator=generator))
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.readout: nn.Module = draw(Linear(config.width, class_count(config)), generator)

    def forward(self, tokens: Tensor, silent: Sequence[tuple[int, int]] = ()) -> TransformerTrace:
        """Symbols (B, T) → every stage, and the scores of every class at every position.

        Args:
            silent: (layer, head) pairs that are switched off, counted from 0.
        """
        embedded = x = self.symbol[tokens] + self.places(tokens.shape[1])
        traces = []
        for number, block in enumerate(self.blocks):
            traces.append(block(x, self.config.causal, [head for layer, head in silent if layer == number]))
            x = traces[-1].after
        return TransformerTrace(embedded, tuple(traces), self.readout(self.norm(x)))

    def places(self, length: int) -> Tensor:
        """What is added to the symbols of the first `length` positions: (length, D), or 0."""
        if self.config.positions == "learned":
            return self.position[:length]
        if self.config.positions == "sinusoidal":
            return sinusoids(length, self.config.width)
        return self.symbol.new_zeros(())


@lru_cache(maxsize=16)
def sinusoids(length: int, width: int) -> Tensor:
    """The positional encoding (length, width) of Vaswani et al.: sines and cosines whose wavelengths grow to 10,000·2π."""
    wavelengths = 10_000 ** (torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] / wavelengths
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)


# ---- learning --------------------------------------------------------------------------------------------------------


def transformer_scores(scores: Tensor, answers: Tensor) -> dict[str, float]:
    """Mean cross-entropy of scores (B, T, classes), and the share of positions whose largest score is right."""
    return {
        LOSS.name: F.cross_entropy(scores.flatten(0, 1), answers.flatten()).item(),
        ACCURACY.name: (scores.argmax(-1) == answers).float().mean().item(),
    }


class TransformerLearner:
    """A transformer that learns its task from ever new random sequences."""

    metrics: tuple[Metric, ...] = (LOSS, ACCURACY)

    def __init__(self, config: SelfAttentionConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.model = Transformer(config, generator)
        self.parameters: list[Tensor] = list(self.model.parameters())
        self.optimizer = Optimizer(config.optimizer, self.parameters)
        self.measured = draw_tokens(config.task, config.length, PROBES, generator)

    def update(self, learning_rate: float) -> float:
        config = self.config
        tokens = draw_tokens(config.task, config.length, config.batch_size, self.generator)
        scores = self.model(tokens).scores
        loss = F.cross_entropy(scores.flatten(0, 1), answers_of(config.task, tokens).flatten())
        self.optimizer.step(list(torch.autograd.grad(loss, self.parameters)), learning_rate)
        return loss.item()

    @torch.no_grad()
    def evaluate(self) -> Scores:
        parts = {"train": self.measured, "test": held_out_tokens(self.config.task, self.config.length)}
        return {
            name: transformer_scores(self.model(tokens).scores, answers_of(self.config.task, tokens))
            for name, tokens in parts.items()
        }

    def state(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"a transformer cannot change {name!r} on its way")


# ---- looking into a trained transformer ------------------------------------------------------------------------------


def transformer_of(config: SelfAttentionConfig, state: dict[str, Tensor]) -> Transformer:
    """The model with the weights of a snapshot."""
    model = Transformer(config, torch.Generator())
    model.load_state_dict(state)
    return model


@torch.no_grad()
def look(
    config: SelfAttentionConfig, state: dict[str, Tensor], tokens: Tensor, silent: Sequence[tuple[int, int]] = ()
) -> TransformerTrace:
    """Every stage for sequences (B, T), with some (layer, head) pairs switched off."""
    return transformer_of(config, state)(tokens, silent)


@torch.no_grad()
def accuracy_without(
    config: SelfAttentionConfig, state: dict[str, Tensor], silent: Sequence[tuple[int, int]] = ()
) -> float:
    """The share of right answers on held-out sequences, measured with some (layer, head) pairs switched off."""
    tokens = held_out_tokens(config.task, config.length)
    scores = transformer_of(config, state)(tokens, silent).scores
    return transformer_scores(scores, answers_of(config.task, tokens))[ACCURACY.name]


def accuracy_of_each(config: SelfAttentionConfig, state: dict[str, Tensor]) -> dict[tuple[int, int], float]:
    """For every (layer, head): the accuracy without it."""
    pairs = [(layer, head) for layer in range(config.layers) for head in range(config.heads)]
    return {pair: accuracy_without(config, state, [pair]) for pair in pairs}


class Shuffled(NamedTuple):
    """What becomes of the scores when the symbols change places."""

    order: list[int]  # place t of the shuffled sequence has the symbol of place order[t]
    answers: Tensor  # (T,) the classes that are answered for the sequence as it is
    moved: Tensor  # (T,) those for the shuffled sequence, each put back to where its symbol came from
    gap: float  # the largest difference of a score, all put back to where they came from


@torch.no_grad()
def shuffled(config: SelfAttentionConfig, state: dict[str, Tensor], tokens: Tensor, seed: int = 0) -> Shuffled:
    """Shuffle one sequence (T,): without positions the scores are shuffled alike (equivariance), and the gap is 0.

    What position t may see under the causal mask depends on t: then there is a gap without positions as well.
    """
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    scores = transformer_of(config, state)(torch.stack([tokens, tokens[order]])).scores
    back = torch.empty_like(scores[1])
    back[order] = scores[1]
    gap = (back - scores[0]).abs().max().item()
    return Shuffled(order.tolist(), scores[0].argmax(-1), back.argmax(-1), gap)


# ---- what it costs ---------------------------------------------------------------------------------------------------


def attention_parameters(config: SelfAttentionConfig) -> int:
    """Parameters of one layer's multi-head attention: 4 D² + 4 D, whatever the number of heads."""
    return 4 * config.width * config.width + 4 * config.width


def rnn_width(config: SelfAttentionConfig) -> int:
    """Hidden units of the simple recurrent network for the same input whose parameters are nearest in number."""
    target = attention_parameters(config)
    return min(range(1, 4 * config.width), key=lambda hidden: abs(rnn_parameters(config.width, hidden) - target))


def rnn_parameters(input_size: int, hidden: int) -> int:
    """Of torch's recurrent layer, which has two biases."""
    return hidden * (input_size + hidden + 2)


def attention_products(length: int, width: int) -> int:
    """Multiplications of one self-attention over `length` positions: 4 T D² for the projections, and 2 T² D."""
    return 4 * length * width**2 + 2 * length**2 * width


def rnn_products(length: int, width: int, hidden: int) -> int:
    """Multiplications of a recurrent layer: T·hidden·(D + hidden), one step after the other."""
    return length * hidden * (width + hidden)


def measure_cost(
    width: int, heads: int, hidden: int, lengths: Sequence[int], clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Seconds of a pass over one sequence of each length, of self-attention and of a recurrent layer: the best of five.

    Args:
        clock: such as `time.thread_time`.
    """
    generator = torch.Generator().manual_seed(0)
    attention = MultiHeadAttention(width, heads, generator)
    recurrent = RNN(width, hidden, generator=generator)
    found: dict[str, list[float]] = {"attention": [], "rnn": []}
    with torch.no_grad():
        for length in lengths:
            x = torch.randn(1, length, width, generator=generator)
            for name, run in (
                ("attention", lambda x=x: attention(x)),
                ("rnn", lambda x=x: recurrent(x.transpose(0, 1))),
            ):
                times = []
                for _ in range(5):
                    began = clock()
                    run()
                    times.append(clock() - began)
                found[name].append(min(times))
    return found


# ---- presets ---------------------------------------------------------------------------------------------------------

PRESETS: dict[str, SelfAttentionConfig] = {
    "difference": SelfAttentionConfig(),
    "two_heads": SelfAttentionConfig(heads=2),
    "sum": SelfAttentionConfig(task="sum", heads=1),
    "reverse": SelfAttentionConfig(task="reverse", heads=1),
    "sort": SelfAttentionConfig(task="sort", heads=2),
    "brackets": SelfAttentionConfig(task="brackets", length=16, heads=4, layers=2),
    # These break, each for one reason:
    "one_head": SelfAttentionConfig(heads=1),  # it cannot tell which of the two symbols is taken from which
    "no_positions": SelfAttentionConfig(positions="none"),  # every order of the symbols looks the same
    "causal_reverse": SelfAttentionConfig(task="reverse", heads=1, causal=True),  # the first half asks for the future
    "no_feed_forward": SelfAttentionConfig(feed_forward=False),  # a difference modulo 6 is not linear
    "too_fast": SelfAttentionConfig(learning_rate=0.1),
}
