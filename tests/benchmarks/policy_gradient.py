"""How fast the cart-pole is learned: `python tests/benchmarks/policy_gradient.py`, ratios measured in one run.

REINFORCE until a mean return of 195 over 100 episodes (CartPole-v0 counted as solved there), and DQN's updates per second:
the lesson's learners against the loops of every textbook, gymnasium's `env.step`, torch's layers, a forward pass and a
Categorical for each step, autograd and Adam. Both REINFORCE take a baseline off, the textbook's the mean return of the
episode, and have 32 hidden units; the textbook's has the learning rate that suits it best of 0.003, 0.005 and 0.01.
And the lesson's processor seconds until a mean of 475 over 100 episodes. Times are of this thread; seeds take turns.
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
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import gymnasium
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical

from core.policy_gradient import DQN, DQN_BATCH, RECENT, SOLVED, PolicyGradientConfig, PolicyLearner, ValueLearner

FIRST = 195


def layers() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))


def until(episode: Callable[[], int], wanted: float, most: int = 2_000) -> tuple[float, int]:
    """The seconds and episodes until the mean return of RECENT is as wanted; infinite if it takes too many."""
    recent: deque[int] = deque(maxlen=RECENT)
    began = time.thread_time()
    for count in range(1, most + 1):
        recent.append(episode())
        if count >= RECENT and sum(recent) >= wanted * RECENT:
            return time.thread_time() - began, count
    return float("inf"), most


def textbook(seed: int, rate: float) -> Callable[[], int]:
    """REINFORCE as textbooks write it."""
    torch.manual_seed(seed)
    env, policy = gymnasium.make("CartPole-v1"), layers()
    optimizer = torch.optim.Adam(policy.parameters(), lr=rate)
    env.reset(seed=seed)

    def episode() -> int:
        place, _ = env.reset()
        log_chances, rewards, over = [], [], False
        while not over:
            chances = Categorical(logits=policy(torch.as_tensor(place)))
            action = chances.sample()
            place, reward, ended, broken, _ = env.step(action.item())
            over = ended or broken
            log_chances.append(chances.log_prob(action))
            rewards.append(reward)
        returns, total = [], 0.0
        for reward in reversed(rewards):
            total = reward + 0.99 * total
            returns.insert(0, total)
        weights = torch.tensor(returns)
        weights = (weights - weights.mean()) / (weights.std() + 1e-8)
        loss = -(weights * torch.stack(log_chances)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return len(rewards)

    return episode


def ours(seed: int) -> Callable[[], int]:
    """The lesson's default."""
    config = PolicyGradientConfig(seed=seed)
    learner = PolicyLearner(config, torch.Generator().manual_seed(seed))

    def episode() -> int:
        learner.update(config.learning_rate)
        return int(learner.returns[-1])

    return episode


class TextbookValues:
    """DQN as textbooks write it."""

    def __init__(self):
        torch.manual_seed(0)
        self.env, self.online, self.frozen = gymnasium.make("CartPole-v1"), layers(), layers()
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=1e-3)
        self.memory, self.updates = deque(maxlen=DQN.memory), 0

    def run(self, updates: int) -> int:
        done = 0
        while done < updates:
            place, _ = self.env.reset()
            over = False
            while not over:
                with torch.no_grad():
                    greedy = int(self.online(torch.as_tensor(place)).argmax())
                action = random.randrange(2) if random.random() < 0.1 else greedy
                following, reward, ended, broken, _ = self.env.step(action)
                over = ended or broken
                self.memory.append((place, action, reward, following, ended))
                place = following
                if len(self.memory) < DQN_BATCH:
                    continue
                s, a, r, then, e = zip(*random.sample(self.memory, DQN_BATCH), strict=True)
                s, then = (torch.stack([torch.as_tensor(each) for each in places]) for places in (s, then))
                with torch.no_grad():
                    best = self.frozen(then).amax(1)
                    targets = torch.tensor(r) + 0.99 * best * (1 - torch.tensor(e).float())
                values = self.online(s).gather(1, torch.tensor(a)[:, None])[:, 0]
                loss = F.mse_loss(values, targets.float())
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                done += 1
                self.updates += 1
                if self.updates % DQN.target_every == 0:
                    self.frozen.load_state_dict(self.online.state_dict())
        return done


class OurValues:
    """The lesson's DQN."""

    def __init__(self):
        self.learner = ValueLearner(replace(DQN, seed=0), torch.Generator().manual_seed(0))

    def run(self, updates: int) -> int:
        before = self.learner.updates
        while self.learner.updates - before < updates:
            self.learner.update(DQN.learning_rate)
        return self.learner.updates - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=6)
    chosen, missed = parser.parse_args(), 0
    torch.set_num_threads(1)
    seeds = range(chosen.seeds)
    found = [until(ours(seed), FIRST) for seed in seeds]
    others = {rate: [until(textbook(seed, rate), FIRST) for seed in seeds] for rate in (0.003, 0.005, 0.01)}
    rate = min(others, key=lambda each: median(others[each]))
    mine, theirs = median(found), median(others[rate])
    ratio = theirs[0] / mine[0]
    missed += ratio < 20
    print(f"REINFORCE to {FIRST}: {mine[0]:.2f} s ({mine[1]} episodes), {ratio:.1f}× sooner than the textbook's {theirs[0]:.2f} s ({theirs[1]} episodes, rate {rate}); medians of {len(seeds)} seeds, wanted 20×")  # fmt: skip
    solved = [until(ours(seed), SOLVED)[0] for seed in seeds]
    missed += max(solved) > 60
    print(f"to {SOLVED}: {', '.join(f'{seconds:.2f}' for seconds in solved)} s of processor time, wanted within 60 s")
    contestants, best = {"ours": OurValues(), "textbook": TextbookValues()}, {"ours": 0.0, "textbook": 0.0}
    for _ in range(chosen.rounds):
        for name, contestant in contestants.items():
            began = time.thread_time()
            done = contestant.run(400)
            best[name] = max(best[name], done / (time.thread_time() - began))
    ratio = best["ours"] / best["textbook"]
    missed += ratio < 3
    print(f"DQN, batches of {DQN_BATCH}: {best['ours']:,.0f} updates/s, {ratio:.1f}× the textbook's, wanted 3×")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
