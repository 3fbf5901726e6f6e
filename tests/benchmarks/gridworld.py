"""How fast an agent learns in the grid world: `python tests/benchmarks/gridworld.py`, ratios measured in one run.

Updates of a table: the lesson's learner against the loop of every tutorial, gymnasium's `env.step` and a NumPy table.
Updates of a network: the lesson's DQN against the textbook's, torch's layers, autograd and Adam, and a deque to sample
from. The contestants take turns; of the times of this thread the smallest counts.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gymnasium
import numpy
import torch
import torch.nn.functional as F
from torch import nn

from core.gridworld import BATCH, CLIFF_WALK, HIDDEN, LAKE, MEMORY, TARGET_EVERY, EpisodeLearner, NetworkLearner

WORLDS = {"CliffWalking": (CLIFF_WALK, "CliffWalking-v1"), "FrozenLake": (LAKE, "FrozenLake-v1")}


class TutorialTable:
    """Q-learning or SARSA as tutorials write it."""

    def __init__(self, name: str, sarsa: bool):
        self.env, self.sarsa = gymnasium.make(name), sarsa
        self.table = numpy.zeros((self.env.observation_space.n, self.env.action_space.n))
        self.pick = numpy.random.default_rng(0)

    def act(self, state: int) -> int:
        if self.pick.random() < 0.1:
            return int(self.pick.integers(4))
        return int(numpy.argmax(self.table[state]))

    def run(self, updates: int) -> int:
        done, table = 0, self.table
        while done < updates:
            state, _ = self.env.reset()
            action, over = self.act(state), False
            while not over:
                following, reward, ended, broken, _ = self.env.step(action)
                over = ended or broken
                then = self.act(following)
                worth = table[following, then] if self.sarsa else numpy.max(table[following])
                table[state, action] += 0.5 * (reward + 0.99 * worth * (not ended) - table[state, action])
                state, action = following, then
                done += 1
        return done


class Table:
    """The lesson's learner, with all that it remembers for its pictures."""

    def __init__(self, config, method: str):
        self.learner = EpisodeLearner(replace(config, method=method, epsilon=0.1))

    def run(self, updates: int) -> int:
        done, learner = 0, self.learner
        while done < updates:
            learner.update(0.5)
            done += len(learner.moves)
        return done


class TutorialNetwork:
    """DQN as textbooks write it."""

    def __init__(self, name: str):
        self.env = gymnasium.make(name)
        self.states = self.env.observation_space.n
        self.network, self.target = (
            nn.Sequential(nn.Linear(self.states, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 4)) for _ in range(2)
        )
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.memory, self.updates = deque(maxlen=MEMORY), 0

    def one_hot(self, states) -> torch.Tensor:
        return F.one_hot(torch.tensor(states), self.states).float()

    def run(self, updates: int) -> int:
        done = 0
        while done < updates:
            state, _ = self.env.reset()
            over = False
            while not over:
                with torch.no_grad():
                    greedy = int(self.network(self.one_hot(state)).argmax())
                action = random.randrange(4) if random.random() < 0.1 else greedy
                following, reward, ended, broken, _ = self.env.step(action)
                over = ended or broken
                self.memory.append((state, action, reward, following, ended))
                state = following
                if len(self.memory) < BATCH:
                    continue
                s, a, r, then, e = zip(*random.sample(self.memory, BATCH), strict=True)
                with torch.no_grad():
                    best = self.target(self.one_hot(then)).amax(1)
                    targets = torch.tensor(r, dtype=torch.float32) + 0.99 * best * (1 - torch.tensor(e).float())
                values = self.network(self.one_hot(s)).gather(1, torch.tensor(a)[:, None])[:, 0]
                loss = F.mse_loss(values, targets)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                done += 1
                self.updates += 1
                if self.updates % TARGET_EVERY == 0:
                    self.target.load_state_dict(self.network.state_dict())
        return done


class Network:
    """The lesson's DQN."""

    def __init__(self, config):
        config = replace(config, method="dqn", epsilon=0.1, discount=0.99)
        self.learner = NetworkLearner(config, torch.Generator().manual_seed(0))

    def run(self, updates: int) -> int:
        before = self.learner.updates
        while self.learner.updates - before < updates:
            self.learner.update(1e-3)
        return self.learner.updates - before


def rates(contestants: dict[str, Callable], updates: dict[str, int], rounds: int) -> dict[str, float]:
    """Updates per second of each contestant."""
    built = {name: build() for name, build in contestants.items()}
    best = dict.fromkeys(built, 0.0)
    for _ in range(rounds):
        for name, contestant in built.items():
            start = time.thread_time()
            done = contestant.run(updates[name])
            best[name] = max(best[name], done / (time.thread_time() - start))
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    rounds, missed = parser.parse_args().rounds, 0
    for world, (config, name) in WORLDS.items():
        for method in ("q_learning", "sarsa"):
            found = rates(
                {"ours": lambda c=config, m=method: Table(c, m), "tutorial": lambda n=name, m=method: TutorialTable(n, m == "sarsa")},
                {"ours": 40_000, "tutorial": 4_000}, rounds,
            )  # fmt: skip
            missed += report(f"{method}, {world}", found, 10.0)
        found = rates(
            {"ours": lambda c=config: Network(c), "tutorial": lambda n=name: TutorialNetwork(n)},
            {"ours": 900, "tutorial": 300}, rounds,
        )  # fmt: skip
        missed += report(f"DQN, {world}", found, 3.0)
    return int(missed > 0)


def report(what: str, found: dict[str, float], wanted: float) -> bool:
    ratio = found["ours"] / found["tutorial"]
    print(f"{what}: {ratio:.1f}× the tutorial's loop ({found['ours']:,.0f} updates/s), wanted {wanted}×")
    return ratio < wanted


if __name__ == "__main__":
    sys.exit(main())
