"""Sequence to sequence: an encoder reads, a decoder writes, and attention tells the decoder where to look.

The encoder is a GRU; so is the decoder, which begins with the encoder's last state. Without attention this one state is
all that it gets of the input. With attention each of its states is a query to all states of the encoder, and the readout
sees what was found. As the query is the state before attention (Luong 2015), all decoder steps attend at once.

Sources: Sutskever, Vinyals & Le 2014; Bahdanau 2015; Luong 2015; hard attention by REINFORCE, Xu 2015; associative
recall, Graves 2014.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.attention import attend, one_of, score_parameters
from core.config import Config, Limits
from core.initialisation import Linear, draw, empty
from core.optimizers import Optimizer
from core.sequence_learner import clip_norm
from core.training import ACCURACY, LOSS, Metric, Scores

TASKS = ("reverse", "sort", "copy", "recall")
ATTENTION = ("soft", "hard", "none")
MEMORY = ("plain", "key_value")  # keys and values are the encoder's states, or two projections of them
SCORES = ("additive", "dot", "scaled_dot", "bilinear")
LETTERS, NUMERALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
VOCABULARY = LETTERS + NUMERALS + "·"  # the last is nothing: what is said while a copy waits
BLANK_TOKEN, START_TOKEN = len(VOCABULARY) - 1, len(VOCABULARY)  # the start is read and never written
EMBEDDING = 16  # numbers for a token
CLIP = 1.0  # the gradient's norm is at most this
HELD_OUT = 128  # sequences that nobody trains on
HELD_OUT_DRAW = 1_000_003  # no run has this seed
SHARPNESS = Metric("Largest weight", better="neither")  # of the attention, in the mean


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Seq2SeqConfig(Config):
    """A task on sequences of tokens, and how the decoder looks at the input."""

    length: int = 10  # letters that are shown; of "recall" pairs of a letter and a numeral
    task: str = "reverse"
    delay: int = 3  # of "copy": blanks before the first token is repeated
    attention: str = "soft"
    scoring: str = "bilinear"
    memory: str = "plain"
    hidden: int = 32  # units of either GRU
    batch_size: int = 64
    baseline: bool = True  # of "hard": whether the batch's mean reward is taken off
    learning_rate: float = 0.005

    LIMITS: ClassVar[dict[str, Limits]] = {
        "length": range(4, 21),
        "task": TASKS,
        "delay": range(11),
        "attention": ATTENTION,
        "scoring": SCORES,
        "memory": MEMORY,
        "hidden": range(8, 65, 8),
        "batch_size": range(1, 129),
    }

    def build(self, generator: torch.Generator) -> Seq2SeqLearner:
        return Seq2SeqLearner(self, generator)


# ---- tasks -----------------------------------------------------------------------------------------------------------


class Examples(NamedTuple):
    """Sequences of tokens, time first."""

    source: Tensor  # (T, B); of "recall" pairs (T, B, 2)
    fed: Tensor  # (U, B) what the decoder reads at each step: the target one step late, or the questions of "recall"
    target: Tensor  # (U, B)


def draw_examples(config: Seq2SeqConfig, count: int, generator: torch.Generator) -> Examples:
    """`count` new examples of the task."""
    length = config.length
    if config.task != "recall":
        return answered(config, torch.randint(len(LETTERS), (length, count), generator=generator))
    keys = torch.rand(len(LETTERS), count, generator=generator).argsort(0)[:length]  # each letter at most once
    values = len(LETTERS) + torch.randint(len(NUMERALS), (length, count), generator=generator)
    order = torch.rand(length, count, generator=generator).argsort(0)
    return Examples(torch.stack([keys, values], -1), keys.gather(0, order), values.gather(0, order))


def answered(config: Seq2SeqConfig, source: Tensor) -> Examples:
    """The examples of "reverse", "sort" or "copy" for letters (T, B)."""
    if config.task == "reverse":
        target = source.flip(0)
    elif config.task == "sort":
        target = source.sort(0).values
    else:
        target = torch.cat([source.new_full((config.delay, source.shape[1]), BLANK_TOKEN), source])
    return Examples(source, one_step_late(target), target)


def one_step_late(target: Tensor) -> Tensor:
    """What a decoder has written before each step (U, B), the start token first."""
    return torch.cat([target.new_full((1, target.shape[1]), START_TOKEN), target[:-1]])


@lru_cache(maxsize=32)
def held_out_examples(config: Seq2SeqConfig) -> Examples:
    """Examples that nobody trains on, the same for every seed; to be read and never written."""
    return draw_examples(config, HELD_OUT, torch.Generator().manual_seed(HELD_OUT_DRAW))


def as_words(tokens: Tensor) -> list[str]:
    """Tokens (T,) as letters, or pairs (T, 2) as A3."""
    return ["".join(VOCABULARY[token] for token in step) for step in tokens.reshape(len(tokens), -1).tolist()]


def as_examples(config: Seq2SeqConfig, text: str) -> Examples:
    """The one example of a text: letters, or for "recall" pairs such as A3F7, which are asked in alphabetical order.

    Raises:
        ValueError: a character or a length that the task does not have, or a letter that is paired twice.
    """
    text = text.upper()
    recall = config.task == "recall"
    letters, numerals = (text[::2], text[1::2]) if recall else (text, "")
    fitting = len(letters) == config.length and len(numerals) == config.length * recall
    if not fitting or set(letters) - set(LETTERS) or set(numerals) - set(NUMERALS):
        raise ValueError(f"{config.task} needs {config.length} {'pairs' if recall else 'letters'}, got {text!r}")
    source = torch.tensor([[VOCABULARY.index(each)] for each in letters])
    if not recall:
        return answered(config, source)
    if len(set(letters)) < len(letters):
        raise ValueError(f"a letter has two numerals in {text!r}")
    values = torch.tensor([[VOCABULARY.index(each)] for each in numerals])
    order = source[:, 0].argsort()
    return Examples(torch.stack([source, values], -1), source[order], values[order])


# ---- model -----------------------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """What a decoder says, and where it looked."""

    logits: Tensor  # (U, B, tokens)
    weights: Tensor | None  # (B, U, T); None without attention
    expected: Tensor | None  # (B, U, T) the weights before one position was drawn; None unless it was


class Seq2Seq(nn.Module):
    """Encoder, attention, decoder, readout. Its weights are drawn from the generator."""

    def __init__(self, config: Seq2SeqConfig, generator: torch.Generator):
        super().__init__()
        hidden, self.config = config.hidden, config
        self.embedding = drawn_embedding(len(VOCABULARY) + 1, generator)
        self.encoder = drawn_gru(EMBEDDING, hidden, generator)
        self.decoder = drawn_gru(EMBEDDING, hidden, generator)
        attending = config.attention != "none"
        self.readout = draw(Linear(2 * hidden if attending else hidden, len(VOCABULARY)), generator)
        self.scoring = nn.ParameterDict()
        if attending:
            drawn = score_parameters(config.scoring, hidden, generator, hidden=hidden)
            self.scoring.update({name: nn.Parameter(value) for name, value in drawn.items()})
        if attending and config.memory == "key_value":
            self.to_key = draw(Linear(hidden, hidden, bias=False), generator)
            self.to_value = draw(Linear(hidden, hidden, bias=False), generator)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """All states (T, B, hidden) over a source (T, B), and the last one as the decoder takes it (1, B, hidden).

        Of pairs (T, B, 2) both embeddings are added.
        """
        embedded = self.embedding(source)  # (T, B, embedding) or (T, B, 2, embedding)
        return self.encoder(embedded.sum(2) if embedded.dim() == 4 else embedded)

    def decode(
        self, fed: Tensor, state: Tensor, memory: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Written, Tensor]:
        """Write after each token fed (U, B), from a state (1, B, hidden), with the encoder's states (T, B, hidden).

        Hard attention takes the best position, or with a generator one drawn by the weights.
        """
        states, state = self.decoder(self.embedding(fed), state)
        if self.config.attention == "none":
            return Written(self.readout(states), None, None), state
        query, keys = states.transpose(0, 1), memory.transpose(0, 1)  # (B, U, hidden), (B, T, hidden)
        keys, values = (self.to_key(keys), self.to_value(keys)) if self.config.memory == "key_value" else (keys, keys)
        found, weights = attend(query, keys, values, self.config.scoring, dict(self.scoring))
        expected = None
        if self.config.attention == "hard":
            expected, weights = weights, one_of(weights, generator)
            found = weights @ values
        seen = torch.cat([states, found.transpose(0, 1)], -1)
        return Written(self.readout(seen), weights, expected), state

    def forward(self, source: Tensor, fed: Tensor, generator: torch.Generator | None = None) -> Written:
        """Write with the tokens fed (U, B) at hand: in training the right ones (teacher forcing)."""
        memory, state = self.encode(source)
        return self.decode(fed, state, memory, generator)[0]

    @torch.no_grad()
    def write(self, examples: Examples) -> Written:
        """Write by itself: it reads what it has written, and never the target. Questions of "recall" are given."""
        if self.config.task == "recall":
            return self(examples.source, examples.fed)
        memory, state = self.encode(examples.source)
        token, parts = examples.fed[:1], []
        for _ in range(len(examples.target)):
            part, state = self.decode(token, state, memory)
            token = part.logits.argmax(-1)
            parts.append(part)
        weights, expected = (
            [each for each in of if each is not None] for of in zip(*(part[1:] for part in parts), strict=True)
        )
        return Written(
            torch.cat([part.logits for part in parts]),
            torch.cat(weights, 1) if weights else None,
            torch.cat(expected, 1) if expected else None,
        )


@torch.no_grad()
def drawn_embedding(tokens: int, generator: torch.Generator) -> nn.Embedding:
    """N(0, 1), as torch draws an embedding."""
    layer: nn.Embedding = empty(nn.Embedding, tokens, EMBEDDING)  # type: ignore[assignment]
    layer.weight.normal_(generator=generator)
    return layer


@torch.no_grad()
def drawn_gru(size: int, hidden: int, generator: torch.Generator) -> nn.GRU:
    """A GRU drawn as torch does: U(−1/√hidden, 1/√hidden)."""
    layer: nn.GRU = empty(nn.GRU, size, hidden)  # type: ignore[assignment]
    for parameter in layer.parameters():
        parameter.uniform_(-1 / math.sqrt(hidden), 1 / math.sqrt(hidden), generator=generator)
    return layer


def model_of_state(config: Seq2SeqConfig, state: Mapping[str, Tensor]) -> Seq2Seq:
    """The model with the weights of a snapshot, for pictures."""
    model = Seq2Seq(config, torch.Generator())
    model.load_state_dict(state)
    return model


# ---- learning --------------------------------------------------------------------------------------------------------


class Seq2SeqLearner:
    """One update with teacher forcing on a batch of new examples.

    Hard attention draws one position a step. What follows from a position is descended as usual; which position to
    draw is learned by REINFORCE: the reward of a draw is the logarithm of the probability that the right token then
    has, less its mean over the batch where the config asks for that baseline.
    """

    def __init__(self, config: Seq2SeqConfig, generator: torch.Generator):
        self.config, self.generator = config, generator
        self.model = Seq2Seq(config, generator)
        self.parameters: list[Tensor] = list(self.model.parameters())
        self.optimizer = Optimizer("adam", self.parameters)
        self.metrics: tuple[Metric, ...] = (LOSS, ACCURACY)
        if config.attention != "none":
            self.metrics += (SHARPNESS,)
        self.last_loss = math.nan  # of the batch that was trained on last

    def update(self, learning_rate: float) -> float:
        examples = draw_examples(self.config, self.config.batch_size, self.generator)
        hard = self.config.attention == "hard"
        written = self.model(examples.source, examples.fed, self.generator if hard else None)
        loss, descended = losses_of(written, examples.target, self.config.baseline)
        gradients = list(torch.autograd.grad(descended, self.parameters))
        clip_norm(gradients, CLIP)
        self.optimizer.step(gradients, learning_rate)
        self.last_loss = loss.item()
        return self.last_loss

    @torch.no_grad()
    def evaluate(self) -> Scores:
        """On held-out sequences the loss with teacher forcing, the share of right tokens of what it writes by itself,
        and how sharply it looks; in training the loss of the last batch."""
        examples = held_out_examples(self.config)
        told = self.model(examples.source, examples.fed)
        written = self.model.write(examples)
        right = written.logits.argmax(-1) == examples.target
        scores = {LOSS.name: token_loss(told.logits, examples.target).mean().item(), ACCURACY.name: right.float().mean().item()}  # fmt: skip
        looked = written.weights if written.expected is None else written.expected
        if looked is not None:
            scores[SHARPNESS.name] = looked.amax(-1).mean().item()
        last = scores[LOSS.name] if math.isnan(self.last_loss) else self.last_loss
        return {"train": {LOSS.name: last}, "test": scores}

    def state(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def intervene(self, name: str, value: Any) -> None:
        raise ValueError(f"this model cannot change {name!r} on its way")


def losses_of(written: Written, target: Tensor, baseline: bool) -> tuple[Tensor, Tensor]:
    """The mean loss, and what is to be descended: the same, but for positions that were drawn plus −reward · ln p."""
    surprise = token_loss(written.logits, target)  # (U, B)
    loss = surprise.mean()
    if written.expected is None or written.weights is None:
        return loss, loss
    reward = -surprise.detach()
    if baseline:
        reward = reward - reward.mean(1, keepdim=True)
    probability = (written.expected * written.weights).sum(-1).clamp(min=1e-9)  # (B, U) of what was drawn
    return loss, loss - (reward.T * probability.log()).mean()


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy (U, B) of each token."""
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view(target.shape)


# ---- races -----------------------------------------------------------------------------------------------------------

RACES = ("with_and_without", "scorings", "soft_and_hard", "memories", "alone")


def race(config: Seq2SeqConfig, kind: str = "with_and_without") -> dict[str, Seq2SeqConfig]:
    """The same task learned in several ways, or in one."""
    attending = replace(config, attention="soft" if config.attention == "none" else config.attention)
    return {
        "with_and_without": {"with_attention": attending, "no_attention": replace(config, attention="none")},
        "scorings": {kind: replace(attending, scoring=kind) for kind in SCORES},
        "soft_and_hard": {"soft_attention": replace(config, attention="soft"), "hard_attention": replace(config, attention="hard")},
        "memories": {"key_value_attention": replace(attending, memory="key_value"), "plain_attention": replace(attending, memory="plain"), "no_attention": replace(config, attention="none")},
        "alone": {"seq2seq": config},
    }[kind]  # fmt: skip


PRESETS: dict[str, Seq2SeqConfig] = {
    "reverse": Seq2SeqConfig(),
    "long": Seq2SeqConfig(length=20),
    "sort": Seq2SeqConfig(task="sort"),
    "copy": Seq2SeqConfig(task="copy"),
    "recall": Seq2SeqConfig(task="recall", length=8, scoring="scaled_dot", memory="key_value"),
    "reinforce": Seq2SeqConfig(attention="hard"),
    # These break, each for one reason:
    "one_state": Seq2SeqConfig(length=20, attention="none"),  # all of it has to fit into one state
    "one_memory": Seq2SeqConfig(task="recall", length=8, scoring="scaled_dot"),  # what is looked for is what is found
    "blurred": Seq2SeqConfig(scoring="scaled_dot"),  # states within −1…1 need no scaling: the scores are too small
    "too_fast": Seq2SeqConfig(learning_rate=0.1),
}
