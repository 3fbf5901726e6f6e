"""A world of cells: planning with a known model, and learning from what happens on the way.

One step of a run is one episode, or one sweep over all states where the model is known. Sources: Sutton & Barto,
Reinforcement Learning (2nd ed. 2018): example 3.5 (the 5×5 world), 4.1 and 4.4 (sweeps), 5.4, 6.4, 6.5 and 6.6
(Monte-Carlo, SARSA, Q-learning, expected SARSA), example 6.6 (the cliff); Mnih et al. 2015 for DQN. The two worlds
that gymnasium has as well, FrozenLake and CliffWalking, agree with it transition for transition.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from core.config import Config, Limits, SettingError, Span, check
from core.optimizers import Optimizer
from core.training import Metric, Scores

ACTIONS = ("up", "right", "down", "left")  # their numbers are gymnasium's of CliffWalking
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows and columns
PLANNING = ("policy_evaluation", "value_iteration")
METHODS = (*PLANNING, "monte_carlo", "sarsa", "expected_sarsa", "q_learning", "dqn")

RETURN = Metric("Return", better="higher")  # sum of rewards, mean of the latest episodes, exploration included
GREEDY = Metric("Greedy return", better="higher")  # expected sum of rewards of one that always takes the best action
VALUE_ERROR = Metric("Value error")  # root mean square over the states that can be reached
CHANGE = Metric("Largest change", log=True)  # of a value in the latest sweep
LATEST = Metric("Latest return", better="higher", group="Latest return")
LENGTH = Metric("Episode length", better="neither", group="Episode length")
EXPLORATION = Metric("Exploration rate", better="neither", group="Exploration rate")

SIDES = range(2, 13)  # rows and columns
SMOOTHED = 50  # episodes that the return is a mean of
SWEEPS = 10_000  # after which values count as not converging
KEPT_MOVES, KEPT_RETURNS = 200, 200  # of the latest episode, and of the latest episodes, for the pictures
TIE = 1e-9  # action values closer than this are equally good

HIDDEN, BATCH, MEMORY, TARGET_EVERY = 48, 32, 5000, 100  # of DQN: units, transitions, transitions, updates


# ---- the map ---------------------------------------------------------------------------------------------------------

FREE, START, GOAL, HOLE, CLIFF, WALL = "_SGHCW"
KINDS = {"free": FREE, "wall": WALL, "start": START, "goal": GOAL, "hole": HOLE, "cliff": CLIFF}
SOURCES, TARGETS = "ABDE", "abde"  # teleports: from the capital to the small letter
SPELLINGS = {".": FREE, "F": FREE, "#": WALL, " ": FREE}  # other spellings, gymnasium's among them
DEFAULT_REWARDS = {GOAL: 1.0, HOLE: 0.0, CLIFF: -100.0}  # on arriving there; on all others the reward of a step
CELL = re.compile(r"([_SGHCWABDEabde.F# ])(-?\d+(?:\.\d+)?)?")
REWARDS = Span(-1000.0, 1000.0)
MAP_HINT = ("_ S G H C W A→a, 2–12 × 2–12",)  # what a map may be, for a note, in no language

MAPS = {
    "maze": "S_____W_____~_WWWW_W_WWW_~_W__W___W___~_W_WW_WWW_WW~___W____W___~WW_WWWW_WWW_~___W____W_G_~_WWW_WW_W_WW~_____W______",
    "textbook": "_A10_B5_~_____~___b_~_____~_a___",
    "lake4": "S___~_H_H~___H~H__G",
    "lake8": "S_______~________~___H____~_____H__~___H____~_HH___H_~_H__H_H_~___H___G",
    "cliff": "____________~____________~____________~SCCCCCCCCCCG-1",
    "empty": "________~________~_S____G_~________~________",
    "two_goals": "______G10~_WWWWWW~SG_____",
    "coin": "_____~_W_W_~S_1__G10~_W_W_~_____",
}


class Cell(NamedTuple):
    """One cell of a map: its letter, and the reward for arriving there if it has its own."""

    letter: str
    reward: float | None = None


class Layout(NamedTuple):
    """A map, read: its cells in rows."""

    rows: int
    columns: int
    cells: tuple[Cell, ...]

    @property
    def text(self) -> str:
        """The map in its shortest spelling, which an address can carry as it is."""
        words = [letter + ("" if reward is None else spelled(reward)) for letter, reward in self.cells]
        return "~".join("".join(words[at : at + self.columns]) for at in range(0, len(words), self.columns))

    def at(self, letter: str) -> list[int]:
        """The states whose cells have this letter."""
        return [state for state, cell in enumerate(self.cells) if cell.letter == letter]

    @property
    def starts(self) -> list[int]:
        """Where an episode begins, each as often: the starts, or without one every cell that one can stand on."""
        standing = (FREE, *SOURCES, *TARGETS)
        return self.at(START) or [state for state, cell in enumerate(self.cells) if cell.letter in standing]


def spelled(reward: float) -> str:
    """A reward as a map has it: to a millionth, and never as 1e-05."""
    return f"{round(reward, 6) + 0.0:.6f}".rstrip("0").rstrip(".")  # + 0.0: without a minus before nothing


@lru_cache(maxsize=512)
def read_map(text: str) -> Layout:
    """The cells of a map: `_` free, `S` start, `G` goal, `H` hole, `C` cliff (back to the start), `W` wall, `A`…`E` to
    `a`…`e` teleports. A number after a letter is the reward for arriving there, for a teleport the reward for leaving.
    Rows end with `~`, `/` or a new line.

    Raises:
        ValueError: it cannot be read, its rows are of different lengths, it has no cell to begin at, or half a teleport.
    """
    rows = [row for row in re.split(r"[~/\n]", text.strip("\n")) if row]
    found: list[list[Cell]] = []
    for row in rows:
        parts = CELL.findall(row)
        if "".join(letter + number for letter, number in parts) != row:
            raise ValueError(f"a map cannot have {row!r} for a row")
        found.append(
            [Cell(SPELLINGS.get(letter, letter), float(number) if number else None) for letter, number in parts]
        )
    layout = Layout(len(found), len(found[0]) if found else 0, tuple(cell for row in found for cell in row))
    if len({len(row) for row in found}) != 1 or layout.rows not in SIDES or layout.columns not in SIDES:
        raise ValueError("the rows of a map are of one length, 2 to 12")
    if any(cell.reward is not None and not REWARDS.low <= cell.reward <= REWARDS.high for cell in layout.cells):
        raise ValueError("a reward lies within −1000…1000")
    for source, target in zip(SOURCES, TARGETS, strict=True):
        if len(layout.at(source)) > 1 or len(layout.at(source)) != len(layout.at(target)):
            raise ValueError(f"a teleport has one {source} and one {target}")
    if not layout.starts:
        raise ValueError("a map has a cell to begin at")
    return layout


def painted(text: str, state: int, letter: str, reward: float | None = None) -> str:
    """The map with another cell; a teleport that loses an end goes altogether."""
    layout = read_map(text)
    cells, old = list(layout.cells), layout.cells[state].letter
    if letter.upper() != old.upper():
        for partner in layout.at(old.swapcase()) if old.upper() in SOURCES else ():
            cells[partner] = Cell(FREE)
    cells[state] = Cell(letter, reward)
    return layout._replace(cells=tuple(cells)).text


def edited(text: str, state: int, kind: str, reward: float | None = None) -> str:
    """The map with one of KINDS in a cell, free, goal, hole and cliff with their own reward; there is one start."""
    if kind == "start":
        for other in read_map(text).at(START):
            text = painted(text, other, FREE)
    return painted(text, state, KINDS[kind], None if kind in ("wall", "start") else reward)


def linked(text: str, source: int, target: int, reward: float | None = None) -> str:
    """The map with one more teleport, or as it was if it has no letter left for one."""
    cleared = text
    for state in (source, target):
        cleared = painted(cleared, state, FREE)
    layout = read_map(cleared)
    free = [letter for letter in SOURCES if not layout.at(letter)]
    if not free or source == target:
        return text
    cells = list(layout.cells)
    cells[source], cells[target] = Cell(free[0], reward), Cell(free[0].lower())
    return layout._replace(cells=tuple(cells)).text


def resized(text: str, rows: int, columns: int) -> str:
    """The map cut or widened with free cells at its right and its bottom; half a teleport goes."""
    layout = read_map(text)
    kept = {
        (row, column): layout.cells[row * layout.columns + column]
        for row in range(min(rows, layout.rows))
        for column in range(min(columns, layout.columns))
    }
    letters = [cell.letter for cell in kept.values()]
    cells = [kept.get((row, column), Cell(FREE)) for row in range(rows) for column in range(columns)]
    cells = [
        Cell(FREE) if cell.letter.upper() in SOURCES and cell.letter.swapcase() not in letters else cell
        for cell in cells
    ]
    resized_layout = Layout(rows, columns, tuple(cells))
    if not resized_layout.starts:
        resized_layout = resized_layout._replace(cells=(Cell(START), *cells[1:]))
    return resized_layout.text


# ---- the world -------------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What may come of an action, as gymnasium's tables have it."""

    probability: float
    state: int  # where it leads
    reward: float
    ends: bool  # the episode, there


class Grid:
    """A finite Markov decision process: for each of S states and A actions the outcomes.

    Args:
        table: state → action → outcomes, whose probabilities add up to 1.
        starts: the states where an episode begins, each as often as the others.
        columns: of the grid; its states are numbered row by row.

    Attributes:
        transition: (S, A, S) float64, the probability to go on in a state: endings are left out, their value is 0.
        reward: (S, A) float64, expected.
        outcomes: state → action → [(cumulated probability, state, reward, ends)], for drawing one.
    """

    def __init__(self, table: Sequence[Sequence[Sequence[Outcome]]], starts: Sequence[int] = (0,), columns: int = 0):
        self.table, self.starts = table, tuple(starts)
        self.states, self.actions = len(table), len(table[0])
        self.columns = columns or self.states
        self.transition = torch.zeros(self.states, self.actions, self.states, dtype=torch.float64)
        self.reward = torch.zeros(self.states, self.actions, dtype=torch.float64)
        self.outcomes: list[list[list[tuple[float, int, float, bool]]]] = []
        for state, actions in enumerate(table):
            self.outcomes.append([])
            for action, outcomes in enumerate(actions):
                if not math.isclose(sum(outcome.probability for outcome in outcomes), 1.0, abs_tol=1e-6):
                    raise ValueError(f"the probabilities of state {state}, action {action} do not add up to 1")
                bounds = accumulate(outcome.probability for outcome in outcomes)
                self.outcomes[-1].append(
                    [(bound, *outcome[1:]) for bound, outcome in zip(bounds, outcomes, strict=True)]
                )
                for outcome in outcomes:
                    self.reward[state, action] += outcome.probability * outcome.reward
                    if not outcome.ends:
                        self.transition[state, action, outcome.state] += outcome.probability
        self.slips = any(len(outcomes) > 1 for actions in table for outcomes in actions)

    @classmethod
    def from_text(cls, text: str, slip: float = 0.0, step_reward: float = 0.0, bump: float = 0.0) -> Grid:
        """The world of a map as `read_map` reads it; its actions are ACTIONS.

        Args:
            slip: the probability to go sideways instead, half of it to either side (FrozenLake: 2/3).
            step_reward: of every step to a cell without a reward of its own.
            bump: added to it where the edge or a wall stops the step.

        Raises:
            ValueError: the map cannot be read.
        """
        layout = read_map(text)
        first = layout.starts[0]

        def arrive(state: int, action: int) -> tuple[int, float, bool]:
            row, column = state // layout.columns + MOVES[action][0], state % layout.columns + MOVES[action][1]
            inside = 0 <= row < layout.rows and 0 <= column < layout.columns
            there = row * layout.columns + column
            if not inside or layout.cells[there].letter == WALL:
                return state, step_reward + bump, False
            letter, own = layout.cells[there]
            reward = DEFAULT_REWARDS.get(letter, step_reward) if own is None or letter in SOURCES else own
            return (first if letter == CLIFF else there), reward, letter in (GOAL, HOLE)

        def outcomes_of(state: int, action: int) -> list[Outcome]:
            letter, own = layout.cells[state]
            if letter in (WALL, GOAL, HOLE):  # as in gymnasium: what is over stays so
                return [Outcome(1.0, state, 0.0, True)]
            if letter in SOURCES:
                return [Outcome(1.0, layout.at(letter.lower())[0], own or 0.0, False)]
            ways = [((action - 1) % 4, slip / 2), (action, 1 - slip), ((action + 1) % 4, slip / 2)]
            return [Outcome(probability, *arrive(state, way)) for way, probability in ways if probability]

        table = [[outcomes_of(state, action) for action in range(4)] for state in range(len(layout.cells))]
        return cls(table, layout.starts, layout.columns)

    @classmethod
    def from_transitions(
        cls, transitions: Mapping[int, Mapping[int, Sequence[tuple]]], starts: Sequence[int] = (0,), columns: int = 0
    ) -> Grid:
        """The world of `env.unwrapped.P` of a gymnasium environment: {state: {action: [(p, state, reward, ends)]}}."""
        return cls(
            [
                [
                    [Outcome(float(p), int(to), float(reward), bool(ends)) for p, to, reward, ends in transitions[s][a]]
                    for a in range(len(transitions[s]))
                ]
                for s in range(len(transitions))
            ],
            starts,
            columns,
        )

    def step(self, state: int, action: int, chance: float) -> tuple[int, float, bool]:
        """One step, decided by `chance` in 0…1 as gymnasium does it: (state, reward, whether the episode ends)."""
        for bound, following, reward, ends in self.outcomes[state][action]:  # noqa: B007
            if bound > chance:
                break
        return following, reward, ends

    def endless(self, policy: Tensor | None = None) -> list[int]:
        """The states from which no episode ever ends, whatever one does, or under a policy (S, A)."""
        taken = torch.ones(self.states, self.actions, dtype=torch.bool) if policy is None else policy > 0
        goes = ((self.transition > 0) & taken[..., None]).any(1)  # (S, S)
        ending = (((self.transition.sum(2) < 1 - 1e-9) & taken).any(1)).clone()
        for _ in range(self.states):
            ending |= (goes & ending).any(1)
        return (~ending).nonzero().flatten().tolist()

    def is_over(self, state: int) -> bool:
        """Whether nothing is left to decide in a state: a goal, a hole, a wall."""
        return all(outcome.ends and outcome.state == state for outcomes in self.table[state] for outcome in outcomes)

    def reached(self) -> list[int]:
        """The states where one can stand and choose, coming from the starts."""
        seen, waiting = set(self.starts), list(self.starts)
        while waiting:
            for outcomes in self.table[waiting.pop()]:
                for outcome in outcomes:
                    if not outcome.ends and outcome.state not in seen:
                        seen.add(outcome.state)
                        waiting.append(outcome.state)
        return sorted(seen)


def from_gymnasium(name: str, **options: Any) -> Grid:
    """One of gymnasium's toy worlds, as "FrozenLake-v1" or "CliffWalking-v1"; its actions have gymnasium's numbers."""
    import gymnasium  # here: it takes half a second, and a viewer of the page does not need it

    environment: Any = gymnasium.make(name, **options).unwrapped
    starts = environment.initial_state_distrib.nonzero()[0].tolist()
    return Grid.from_transitions(environment.P, starts)


# ---- planning: the model is known ------------------------------------------------------------------------------------


class Unbounded(ValueError):
    """Values that grow without end: undiscounted rewards that are collected for ever."""


def look_ahead(grid: Grid, values: Tensor, discount: float) -> Tensor:
    """The action values (S, A) of one step and then `values` (S,): Σ p (r + γ v′)."""
    return grid.reward + discount * (grid.transition @ values)


def value_iteration(grid: Grid, discount: float, tolerance: float = 1e-9) -> Tensor:
    """The optimal values (S,), row by row: sweeps until no value changes by more than `tolerance`.

    Raises:
        Unbounded: without a discount an episode must be able to end from everywhere, and no rewards be there for ever.
    """
    if discount >= 1 and grid.endless():
        raise Unbounded("with a discount of 1 an episode must be able to end from every state")
    values = torch.zeros(grid.states, dtype=torch.float64)
    for _ in range(SWEEPS):
        before, values = values, look_ahead(grid, values, discount).amax(1)
        if (values - before).abs().max() <= tolerance:
            return values
    raise Unbounded(f"the values still grow after {SWEEPS} sweeps")


def policy_evaluation(grid: Grid, policy: Tensor, discount: float) -> Tensor:
    """The values (S,), row by row, of a policy (S, A) of probabilities, exactly: v = r + γ P v, solved.

    Raises:
        Unbounded: without a discount a policy must end from everywhere.
        ValueError: the policy has another shape, or its rows do not add up to 1.
    """
    policy = policy.double()
    if policy.shape != (grid.states, grid.actions) or not torch.allclose(policy.sum(1), policy.new_ones(grid.states)):
        raise ValueError(f"a policy is ({grid.states}, {grid.actions}) probabilities")
    if discount >= 1 and grid.endless(policy):
        raise Unbounded("with a discount of 1 the policy must end from every state")
    reward, transition = under(grid, policy)
    return torch.linalg.solve(torch.eye(grid.states, dtype=torch.float64) - discount * transition, reward)


def under(grid: Grid, policy: Tensor) -> tuple[Tensor, Tensor]:
    """The expected rewards (S,) and the transitions (S, S) of a policy (S, A)."""
    return (policy * grid.reward).sum(1), torch.einsum("sa,sat->st", policy, grid.transition)


def uniform(grid: Grid) -> Tensor:
    """The policy (S, A) that takes every action equally often."""
    return torch.full((grid.states, grid.actions), 1 / grid.actions, dtype=torch.float64)


def greedy(action_values: Tensor) -> Tensor:
    """The policy (S, A) that takes the best action; equally good ones equally often."""
    best = (action_values >= action_values.amax(1, keepdim=True) - TIE).double()
    return best / best.sum(1, keepdim=True)


def exploring(action_values: Tensor, epsilon: float) -> Tensor:
    """The ε-greedy policy (S, A)."""
    return (1 - epsilon) * greedy(action_values) + epsilon / action_values.shape[1]


def expected_return(grid: Grid, policy: Tensor, cap: int) -> float:
    """The expected sum of rewards, undiscounted, of an episode of at most `cap` steps from a start."""
    reward, transition = under(grid, policy)
    here = torch.zeros(grid.states, dtype=torch.float64)
    here[list(grid.starts)] = 1 / len(grid.starts)
    total, back = torch.zeros((), dtype=torch.float64), transition.T.contiguous()
    for _ in range(cap):
        total += here @ reward
        here = back @ here
        if here.sum() < 1e-12:
            break
    return total.item()


# ---- settings --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class GridworldConfig(Config):
    """A world, and how an agent finds out what its cells are worth."""

    map: str = MAPS["maze"]
    slip: float = 0.0  # probability to go sideways instead
    step_reward: float = 0.0  # of every step to a cell without a reward of its own
    bump: float = 0.0  # added where the edge or a wall stops the step
    cap: int = 500  # steps after which an episode is broken off
    discount: float = 0.95  # γ
    method: str = "q_learning"
    epsilon: float = 0.1  # how often the agent tries any action instead of the best
    epsilon_decay: float = 1.0  # what is left of ε after each episode
    learning_rate: float = 0.5

    LIMITS: ClassVar[dict[str, Limits]] = {
        "discount": Span(0.0, 1.0, 0.01),
        "slip": Span(0.0, 1.0, 0.01),
        "step_reward": Span(-10.0, 10.0, 0.01),
        "bump": Span(-100.0, 10.0, 0.1),
        "cap": range(5, 501),
        "method": METHODS,
        "epsilon": Span(0.0, 1.0, 0.01),
        "epsilon_decay": Span(0.9, 1.0, 0.001),
        "learning_rate": Span(0.0, 1.0, 0.001),
    }
    ADJUSTABLE: ClassVar[tuple[str, ...]] = ("learning_rate", "epsilon")

    def __post_init__(self):
        super().__post_init__()
        try:
            read_map(self.map)
        except ValueError:
            raise SettingError("map", self.map, MAP_HINT) from None
        if self.discount == 1:
            aims(self)

    @property
    def has_learning_rate(self) -> bool:
        return self.method not in PLANNING

    def build(self, generator: torch.Generator) -> SweepLearner | EpisodeLearner | NetworkLearner:
        if self.method in PLANNING:
            return SweepLearner(self)
        return NetworkLearner(self, generator) if self.method == "dqn" else EpisodeLearner(self)


def grid_of(config: GridworldConfig) -> Grid:
    """The world of a config."""
    return world(config.map, config.slip, config.step_reward, config.bump)


@lru_cache(maxsize=64)
def world(text: str, slip: float, step_reward: float, bump: float) -> Grid:
    return Grid.from_text(text, slip, step_reward, bump)


def aims(config: GridworldConfig) -> Tensor:
    """The values (S,) that the method is after: of the random policy for policy evaluation, the optimal ones otherwise.

    Raises:
        Unbounded: as of `value_iteration`.
    """
    random = config.method == "policy_evaluation"
    found = aims_in(config.map, config.slip, config.step_reward, config.bump, config.discount, random)
    if isinstance(found, Unbounded):
        raise Unbounded(*found.args)  # a new one: the cached one would gather the frames of all who raise it
    return found


@lru_cache(maxsize=64)
def aims_in(
    text: str, slip: float, step_reward: float, bump: float, discount: float, random: bool
) -> Tensor | Unbounded:
    """The values, or why there are none: finding that out takes its time as well."""
    grid = world(text, slip, step_reward, bump)
    try:
        return policy_evaluation(grid, uniform(grid), discount) if random else value_iteration(grid, discount, 1e-8)
    except Unbounded as error:
        return error


def value_error(config: GridworldConfig, values: Tensor) -> float:
    """How far values (S,) are from what the method is after: root mean square over the states that can be reached."""
    grid = grid_of(config)
    return (values - aims(config))[grid.reached()].square().mean().sqrt().item()


def action_values(config: GridworldConfig, state: Mapping[str, Tensor]) -> Tensor:
    """The action values (S, A) of a snapshot: learned, or one step ahead of the values of the latest sweep."""
    if "values" in state:
        return look_ahead(grid_of(config), state["values"], config.discount)
    return state["action_values"]


def state_values(config: GridworldConfig, state: Mapping[str, Tensor]) -> Tensor:
    """The values (S,) of a snapshot: of the latest sweep, or of the best learned action."""
    return state["values"] if "values" in state else state["action_values"].amax(1)


# ---- sweeps ----------------------------------------------------------------------------------------------------------


class SweepLearner:
    """Policy evaluation of the random policy, or value iteration: one update is one sweep over all states at once."""

    metrics: tuple[Metric, ...] = (GREEDY, VALUE_ERROR, CHANGE)
    memories = ("before",)  # of its state, beside what is found

    def __init__(self, config: GridworldConfig):
        self.config, self.grid = config, grid_of(config)
        self.policy = uniform(self.grid)
        self.values = torch.zeros(self.grid.states, dtype=torch.float64)
        self.before, self.change = self.values, 0.0

    def update(self, learning_rate: float) -> float:
        """One sweep; the largest change of a value. It has no learning rate."""
        ahead = look_ahead(self.grid, self.values, self.config.discount)
        evaluating = self.config.method == "policy_evaluation"
        self.before, self.values = self.values, (self.policy * ahead).sum(1) if evaluating else ahead.amax(1)
        self.change = (self.values - self.before).abs().max().item()
        return self.change

    def evaluate(self) -> Scores:
        """Before the first sweep there is no policy to speak of: its values are all equal."""
        scores = {VALUE_ERROR.name: value_error(self.config, self.values)}
        if self.before is not self.values:
            policy = greedy(look_ahead(self.grid, self.values, self.config.discount))
            scores |= {GREEDY.name: expected_return(self.grid, policy, self.config.cap), CHANGE.name: self.change}
        return {"train": scores}

    def state(self) -> dict[str, Tensor]:
        """{"values": (S,) of the latest sweep, "before": (S,) of the one before}"""
        return {"values": self.values, "before": self.before}

    def intervene(self, name: str, value: Any) -> None:
        """Exploration may be moved, but a sweep explores nothing."""
        check(name, value, {"epsilon": GridworldConfig.LIMITS["epsilon"]}.get(name, ()))


# ---- episodes --------------------------------------------------------------------------------------------------------

Table = list[list[float]]  # state → action → value; plain lists are ten times as fast as an array, one number at a time
Draw = Callable[[], float]  # of a number in 0…1


class Move(NamedTuple):
    """One step of an episode, and what was learned of it; a plain tuple of these while it runs."""

    state: int
    action: int
    reward: float
    following: int
    before: float  # Q(s, a)
    target: float  # what it was moved towards


def choose(values: list[float], epsilon: float, draw: Draw) -> int:
    """An ε-greedy action; equally good ones equally often."""
    if draw() < epsilon:
        return int(draw() * len(values))
    best = max(values)
    if values.count(best) == 1:
        return values.index(best)
    equal = [action for action, value in enumerate(values) if value == best]
    return equal[int(draw() * len(equal))]


def begin(grid: Grid, draw: Draw) -> int:
    return grid.starts[0] if len(grid.starts) == 1 else grid.starts[int(draw() * len(grid.starts))]


def q_learning(
    grid: Grid, table: Table, rate: float, discount: float, epsilon: float, draw: Draw, cap: int, mean: bool = False
) -> tuple[list[tuple], bool]:
    """An episode of Q-learning, whose target is the best action's value, or of expected SARSA (`mean`), whose target is
    the mean over the policy's actions. Returns its moves, and whether it ended by itself."""
    moves: list[tuple] = []
    outcomes, slips, keep, count = grid.outcomes, grid.slips, moves.append, grid.actions
    state, chance, ends = begin(grid, draw), 0.0, False
    for _ in range(cap):
        values = table[state]
        if draw() < epsilon:
            action = int(draw() * count)
        else:
            best = max(values)
            action = values.index(best) if values.count(best) == 1 else choose(values, 0.0, draw)
        if slips:
            chance = draw()
        for bound, following, reward, ends in outcomes[state][action]:  # noqa: B007
            if bound > chance:
                break
        future = table[following]  # zeros where the episode ends
        worth = (1 - epsilon) * max(future) + epsilon * sum(future) / count if mean else max(future)
        before, target = values[action], reward + discount * worth
        values[action] = before + rate * (target - before)
        keep((state, action, reward, following, before, target))
        if ends:
            break
        state = following
    return moves, ends


def expected_sarsa(
    grid: Grid, table: Table, rate: float, discount: float, epsilon: float, draw: Draw, cap: int
) -> tuple[list[tuple], bool]:
    """An episode of expected SARSA."""
    return q_learning(grid, table, rate, discount, epsilon, draw, cap, mean=True)


def sarsa(
    grid: Grid, table: Table, rate: float, discount: float, epsilon: float, draw: Draw, cap: int
) -> tuple[list[tuple], bool]:
    """An episode of SARSA, whose target is the value of the action that is taken next."""
    moves: list[tuple] = []
    outcomes, slips, keep, count = grid.outcomes, grid.slips, moves.append, grid.actions
    state, chance, ends = begin(grid, draw), 0.0, False
    action = choose(table[state], epsilon, draw)
    for _ in range(cap):
        if slips:
            chance = draw()
        for bound, following, reward, ends in outcomes[state][action]:  # noqa: B007
            if bound > chance:
                break
        future = table[following]
        if draw() < epsilon:
            next_action = int(draw() * count)
        else:
            best = max(future)
            next_action = future.index(best) if future.count(best) == 1 else choose(future, 0.0, draw)
        values = table[state]
        before, target = values[action], reward + discount * future[next_action]
        values[action] = before + rate * (target - before)
        keep((state, action, reward, following, before, target))
        if ends:
            break
        state, action = following, next_action
    return moves, ends


def monte_carlo(
    grid: Grid, table: Table, rate: float, discount: float, epsilon: float, draw: Draw, cap: int
) -> tuple[list[tuple], bool]:
    """An episode first, then from its end back: the target is the discounted return that followed, at every visit."""
    way: list[tuple[int, int, float, int]] = []
    state, ends = begin(grid, draw), False
    for _ in range(cap):
        action = choose(table[state], epsilon, draw)
        following, reward, ends = grid.step(state, action, draw() if grid.slips else 0.0)
        way.append((state, action, reward, following))
        if ends:
            break
        state = following
    followed, moves = 0.0, []
    for state, action, reward, following in reversed(way):
        followed = reward + discount * followed
        before = table[state][action]
        table[state][action] = before + rate * (followed - before)
        moves.append((state, action, reward, following, before, followed))
    return moves[::-1], ends


EPISODES: dict[str, Callable[..., tuple[list[tuple], bool]]] = {
    "monte_carlo": monte_carlo, "sarsa": sarsa, "expected_sarsa": expected_sarsa, "q_learning": q_learning,
}  # fmt: skip


class EpisodeLearner:
    """A table of action values that learns from what happens; one update is one episode, with an update at every step."""

    metrics: tuple[Metric, ...] = (RETURN, GREEDY, VALUE_ERROR, LATEST, LENGTH, EXPLORATION)
    memories: tuple[str, ...] = ("visits", "moves", "length", "returns")  # of its state, beside what is learned

    def __init__(self, config: GridworldConfig):
        self.config, self.grid = config, grid_of(config)
        self.random = Random(config.seed)
        self.epsilon = config.epsilon
        self.table: Table = [[0.0] * self.grid.actions for _ in range(self.grid.states)]
        self.visits = [0] * self.grid.states
        self.moves: list[tuple] = []
        self.returns: deque[float] = deque(maxlen=KEPT_RETURNS)

    def update(self, learning_rate: float) -> float:
        """One episode; the size of its last error."""
        config = self.config
        self.moves, _ = EPISODES[config.method](
            self.grid, self.table, learning_rate, config.discount, self.epsilon, self.random.random, config.cap
        )
        return self.count()

    def count(self) -> float:
        """Remember the episode that was just made."""
        visits, total = self.visits, 0.0
        for state, _, reward, _, _, _ in self.moves:
            visits[state] += 1
            total += reward
        self.returns.append(total)
        self.epsilon *= self.config.epsilon_decay
        return abs(self.moves[-1][5] - self.moves[-1][4])

    def learned(self) -> Tensor:
        """The action values (S, A)."""
        return torch.tensor(self.table, dtype=torch.float64)

    def evaluate(self) -> Scores:
        """Before the first episode there is no return, and no action that is better than the others."""
        values, recent = self.learned(), list(self.returns)[-SMOOTHED:]
        scores = {VALUE_ERROR.name: value_error(self.config, values.amax(1)), EXPLORATION.name: self.epsilon}
        if recent:
            scores |= {
                RETURN.name: sum(recent) / len(recent),
                GREEDY.name: expected_return(self.grid, greedy(values), self.config.cap),
                LATEST.name: recent[-1],
                LENGTH.name: float(len(self.moves)),
            }
        return {"train": scores}

    def state(self) -> dict[str, Tensor]:
        """{"action_values": (S, A), "visits": (S,), "moves": (M, 6) as Move, the last ones of "length" in all, "returns":
        (R,) of the latest episodes}"""
        moves = self.moves[-KEPT_MOVES:]
        return {
            "action_values": self.learned(),
            "visits": torch.tensor(self.visits, dtype=torch.int32),
            "moves": torch.tensor(moves, dtype=torch.float32).reshape(len(moves), 6),
            "length": torch.tensor(len(self.moves)),
            "returns": torch.tensor(self.returns, dtype=torch.float32),
        }

    def intervene(self, name: str, value: Any) -> None:
        """Move the exploration rate "epsilon"; from there it decays on.

        Raises:
            ValueError: another name, or a value outside 0…1.
        """
        check(name, value, {"epsilon": GridworldConfig.LIMITS["epsilon"]}.get(name, ()))
        self.epsilon = value


# ---- a network instead of a table ------------------------------------------------------------------------------------


class QNetwork:
    """Action values by a network with one hidden layer of ReLUs; a state is a one-hot vector, so its first product is a
    row of the first weights. All parameters lie in one vector, so that a copy, or an update, is a single operation.

    Args:
        states, actions: S and A.
        generator: draws the first weights, as torch's linear layers do.
    """

    def __init__(self, states: int, actions: int, generator: torch.Generator):
        self.shapes = {
            "weight1": (states, HIDDEN),
            "bias1": (HIDDEN,),
            "weight2": (HIDDEN, actions),
            "bias2": (actions,),
        }
        self.flat = torch.zeros(sum(math.prod(shape) for shape in self.shapes.values()))
        self.look()
        for name, fan_in in {"weight1": states, "bias1": states, "weight2": HIDDEN, "bias2": HIDDEN}.items():
            bound = 1 / math.sqrt(fan_in)
            self.weights[name].uniform_(-bound, bound, generator=generator)

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameters as views of one vector."""
        parts = flat.split([math.prod(shape) for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def look(self) -> None:
        """Name the parameters, and keep a place for their gradient."""
        self.gradient = torch.zeros_like(self.flat)
        self.weights, self.gradients = self.named(self.flat), self.named(self.gradient)

    def __getstate__(self) -> dict[str, Any]:  # put away, views would become tensors of their own
        return {"shapes": self.shapes, "flat": self.flat}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.look()

    def values(self, states: Tensor) -> Tensor:
        """The action values (B, A) of states (B,)."""
        w = self.weights
        return torch.addmm(w["bias2"], (w["weight1"][states] + w["bias1"]).relu_(), w["weight2"])

    def descend(self, states: Tensor, actions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of ½ mean (Q(s, a) − target)² by hand, for states, actions and targets (B,), into `gradients`.

        Returns the action values (B, A) and the errors (B,).
        """
        w, g = self.weights, self.gradients
        hidden = (w["weight1"][states] + w["bias1"]).relu_()
        values = torch.addmm(w["bias2"], hidden, w["weight2"])
        error = values.gather(1, actions[:, None]).squeeze(1) - targets
        d_values = torch.zeros_like(values).scatter_(1, actions[:, None], (error / len(error))[:, None])
        d_hidden = (d_values @ w["weight2"].T).mul_(hidden > 0)
        torch.mm(hidden.T, d_values, out=g["weight2"])
        torch.sum(d_values, 0, out=g["bias2"])
        torch.sum(d_hidden, 0, out=g["bias1"])
        g["weight1"].zero_().index_add_(0, states, d_hidden)
        return values, error


class NetworkLearner(EpisodeLearner):
    """DQN: a network instead of the table, a memory that batches are drawn from, and a frozen copy for the targets.

    One update is an episode, with a batch of BATCH remembered steps after every step; by Adam.
    """

    memories = (*EpisodeLearner.memories, "action_values")  # the network's answers, for the pictures

    def __init__(self, config: GridworldConfig, generator: torch.Generator):
        super().__init__(config)
        self.generator = generator
        self.network = QNetwork(self.grid.states, self.grid.actions, generator)
        self.optimizer = Optimizer("adam", [self.network.flat])
        self.whole = torch.zeros(MEMORY, 3, dtype=torch.long)  # state, action, following
        self.real = torch.zeros(MEMORY, 2)  # reward, and the discount, which is 0 where the episode ended
        self.look()
        self.remembered = self.updates = 0
        self.every = torch.arange(self.grid.states)
        self.over = [state for state in self.every.tolist() if self.grid.is_over(state)]
        self.freeze()

    def look(self) -> None:
        """Let NumPy see the memory: it is ten times as fast to write into."""
        self.notes = self.whole.numpy(), self.real.numpy()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "notes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.look()

    @torch.no_grad()
    def update(self, learning_rate: float) -> float:
        """One episode; the size of its last error."""
        grid, draw, moves = self.grid, self.random.random, []
        state, error = begin(grid, draw), 0.0
        for _ in range(self.config.cap):
            values = self.network.values(self.every[state : state + 1])[0].tolist()
            action = choose(values, self.epsilon, draw)
            following, reward, ends = grid.step(state, action, draw() if grid.slips else 0.0)
            target = reward if ends else reward + self.config.discount * self.best[following]
            moves.append((state, action, reward, following, values[action], target))
            self.remember(state, action, reward, following, ends)
            if self.remembered >= BATCH:
                error = self.replay(learning_rate)
            if ends:
                break
            state = following
        self.moves = moves
        self.count()
        return error

    def remember(self, state: int, action: int, reward: float, following: int, ends: bool) -> None:
        """Keep one step; in a full memory it takes the place of the oldest."""
        place = self.remembered % MEMORY
        self.notes[0][place] = state, action, following
        self.notes[1][place] = reward, 0.0 if ends else self.config.discount
        self.remembered += 1

    @torch.no_grad()
    def freeze(self) -> None:
        """Copy the network for the targets of the next updates: all that these need of it is each state's best value."""
        self.frozen = self.network.values(self.every).amax(1)
        self.best = self.frozen.tolist()

    def replay(self, learning_rate: float) -> float:
        """One update on BATCH steps of the memory; the size of the first error."""
        chosen = torch.randint(min(self.remembered, MEMORY), (BATCH,), generator=self.generator)
        state, action, following = self.whole[chosen].unbind(1)
        reward, discount = self.real[chosen].unbind(1)
        targets = torch.addcmul(reward, discount, self.frozen[following])
        _, error = self.network.descend(state, action, targets)
        self.optimizer.step([self.network.gradient], learning_rate)
        self.updates += 1
        if self.updates % TARGET_EVERY == 0:
            self.freeze()
        return abs(error[0].item())

    @torch.no_grad()
    def learned(self) -> Tensor:
        """The action values (S, A); 0 where nobody chooses."""
        values = self.network.values(self.every).double()
        values[self.over] = 0.0
        return values

    def state(self) -> dict[str, Tensor]:
        """As of the table, and the network's weights."""
        return super().state() | self.network.weights


# ---- comparing -------------------------------------------------------------------------------------------------------


def race(config: GridworldConfig) -> dict[str, GridworldConfig]:
    """The same world, learned from by SARSA and by Q-learning."""
    return {method: replace(config, method=method) for method in ("q_learning", "sarsa")}


class Contrast(NamedTuple):
    """The returns of several runs of one method, episode by episode."""

    mean: Tensor  # (episodes,) smoothed over SMOOTHED episodes
    low: Tensor  # a tenth of the runs is below, a tenth above, smoothed likewise
    high: Tensor


def contrast(
    config: GridworldConfig, runs: int, episodes: int, turn: Callable[[], AbstractContextManager] = nullcontext
) -> dict[str, Contrast]:
    """What Q-learning and SARSA earn online, while they explore: the mean over `runs` seeds, and the band of most.

    Args:
        turn: entered for each run, so that others have theirs between two.
    """
    found = {}
    for method, each in race(config).items():
        curves = []
        for seed in range(runs):
            learner, returns = EpisodeLearner(replace(each, seed=seed)), []
            with turn():
                for _ in range(episodes):
                    learner.update(config.learning_rate)
                    returns.append(learner.returns[-1])
            curves.append(smooth(torch.tensor(returns)))
        every = torch.stack(curves)
        found[method] = Contrast(every.mean(0), every.quantile(0.1, 0), every.quantile(0.9, 0))
    return found


def smooth(returns: Tensor, width: int = SMOOTHED) -> Tensor:
    """The mean of the latest `width` values, at every one (N,); of fewer at the beginning."""
    total = returns.double().cumsum(0)
    late = torch.cat([total[:width], total[width:] - total[:-width]])
    return late / torch.arange(1, len(returns) + 1).clamp(max=width)


# ---- presets ---------------------------------------------------------------------------------------------------------

LAKE = GridworldConfig(map=MAPS["lake4"], slip=2 / 3, cap=100, discount=0.99, epsilon=1.0, learning_rate=0.1)
CLIFF_WALK = GridworldConfig(map=MAPS["cliff"], step_reward=-1.0, cap=200, discount=1.0)

PRESETS: dict[str, GridworldConfig] = {
    "maze": GridworldConfig(),
    "cliff": CLIFF_WALK,
    "safe": replace(CLIFF_WALK, method="sarsa"),
    "sweeps": GridworldConfig(method="value_iteration"),
    "textbook": GridworldConfig(map=MAPS["textbook"], method="policy_evaluation", bump=-1.0, cap=100, discount=0.9),
    "lake4": replace(LAKE, method="value_iteration", discount=1.0),
    "lake8": replace(LAKE, map=MAPS["lake8"], cap=200, epsilon_decay=0.999),
    "network": GridworldConfig(method="dqn", cap=200, epsilon=1.0, epsilon_decay=0.97, learning_rate=0.002),
    "empty": GridworldConfig(map=MAPS["empty"], method="monte_carlo"),
    # These break, each for one reason:
    "settled": GridworldConfig(map=MAPS["two_goals"], epsilon=0.0, cap=100),  # the first goal it finds is good enough
    "short": GridworldConfig(cap=15),  # the goal is 20 steps away
    "blind": GridworldConfig(discount=0.0, method="value_iteration"),  # nothing but the next reward counts
    "hasty": replace(LAKE, epsilon_decay=0.998, learning_rate=1.0),  # the latest slip overwrites all experience
    "coin": GridworldConfig(map=MAPS["coin"], cap=100),  # walking in circles pays better than the goal
}
