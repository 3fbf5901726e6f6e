"""How fast the playground is: `python tests/benchmarks/playground.py`, figures as ratios measured in one run.

Against a plain loop of nn.Module and torch.optim.SGD on the same points, with the same weights and batches (250 training
points of the circle, batches of 10): training alone, and frames (one epoch, both losses, the 100×100 map of every neuron).
And an ensemble of K networks against K runs. Both sides take turns; of the times of this thread the smallest counts.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import nn

from core.playground import (
    Ensemble,
    PlaygroundConfig,
    PlaygroundLearner,
    grid_features,
    matrices,
    neuron_maps,
)
from core.training import Run

NETWORKS = {"2-4-2-1": (4, 2), "2-8-8-1": (8, 8), "2-8×6-1": (8,) * 6}
TRAINING = {"2-4-2-1": 10, "2-8-8-1": 10, "2-8×6-1": 8}  # what is wanted
FRAMES = {"2-4-2-1": 6, "2-8-8-1": 5, "2-8×6-1": 3}
SIDE = 100
CALLS = 4  # per turn


class Plain:
    """The loop as one would write it, beside a learner whose weights and batches it takes."""

    def __init__(self, learner: PlaygroundLearner):
        self.learner = learner
        squared = learner.config.loss == "squared"
        layers: list[nn.Module] = []
        parts = matrices(learner.config, learner.parameters)
        for number, matrix in enumerate(parts, start=1):
            linear = nn.Linear(matrix.shape[1] - 1, matrix.shape[0])
            linear.weight.data, linear.bias.data = matrix[:, :-1].clone(), matrix[:, -1].clone()
            layers.append(nn.Sequential(linear, nn.Tanh()) if squared or number < len(parts) else linear)
        self.layers = nn.ModuleList(layers)
        self.network = nn.Sequential(*layers)
        self.loss = nn.MSELoss() if squared else nn.BCEWithLogitsLoss()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.03)
        self.train, self.test = (
            tuple(torch.from_numpy(each.T.copy()) for each in (part.inputs[:-1], part.targets))
            for part in (learner.train, learner.test)
        )
        self.grid = grid_features(learner.config.inputs, SIDE).T.contiguous()

    def epoch(self) -> None:
        inputs, targets = self.train
        order = torch.randperm(len(inputs))
        for start in range(0, len(order), 10):
            chosen = order[start : start + 10]
            loss = self.loss(self.network(inputs[chosen]), targets[chosen])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def frame(self) -> None:
        with torch.enable_grad():
            self.epoch()
        for inputs, targets in (self.train, self.test):
            self.loss(self.network(inputs), targets).item()
        signal, maps = self.grid, []
        for layer in self.layers:
            signal = layer(signal)
            maps.append(signal.T.reshape(-1, SIDE, SIDE))


def fastest(*contestants: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each, the smallest of many turns; each turn is a few calls long, as training goes on for a while."""
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        for contestant, found in zip(contestants, times, strict=True):
            contestant()  # brings the other's code out of the cache
            began = time.thread_time()
            for _ in range(CALLS):
                contestant()
            found.append((time.thread_time() - began) / CALLS)
    return [min(found) for found in times]


def same_results(plain: Plain, learner: PlaygroundLearner) -> float:
    """The largest difference of a weight after one update of both on the same batch; puts the learner back."""
    before = learner.parameters.clone()
    learner.update(0.06 if learner.config.loss == "squared" else 0.03)  # ours is half the squared error, as in nn.ts
    batch = learner.batches.cut[learner.batches.at - 1]
    plain.optimizer.zero_grad()
    plain.loss(plain.network(torch.from_numpy(batch.inputs[:-1].T)), torch.from_numpy(batch.targets.T)).backward()
    plain.optimizer.step()
    linears = [module for module in plain.network.modules() if isinstance(module, nn.Linear)]
    theirs = torch.cat([torch.cat([each.weight, each.bias[:, None]], 1).flatten() for each in linears])
    difference = (theirs - learner.parameters).abs().max().item()
    learner.parameters.copy_(before)
    return difference


def one_network(name: str, layers: tuple[int, ...], loss: str, rounds: int) -> None:
    config = PlaygroundConfig(layers=layers, loss=loss)
    run = Run(config)
    learner: PlaygroundLearner = run.learner  # type: ignore[assignment]
    plain = Plain(learner)
    difference = same_results(plain, learner)

    def epoch() -> None:
        for _ in range(learner.batches.count):
            learner.update(0.03)

    def steps() -> None:
        for _ in range(learner.batches.count):
            run.step()

    def frame() -> None:
        epoch()
        learner.evaluate()
        neuron_maps(config, learner.state(), SIDE)

    while run.steps < 1_024:  # from here on one step in 64 is evaluated
        run.step()
    slow, fast, whole = fastest(plain.epoch, epoch, steps, rounds=rounds)
    slow_frame, fast_frame = fastest(plain.frame, frame, rounds=rounds)
    print(
        f"{name} {loss:13}: training {slow / fast:5.1f}× (target {TRAINING[name]}), with the run around it "
        f"{slow / whole:.1f}×, frames {slow_frame / fast_frame:.1f}× (target {FRAMES[name]}); "
        f"{fast / 25 * 1e6:.0f} µs per update; weights after one differ by {difference:.0e}"
    )


def ensembles(layers: tuple[int, ...], loss: str, rounds: int) -> None:
    config = PlaygroundConfig(layers=layers, loss=loss)
    alone = config.build(torch.Generator())
    found = []
    for members in (5, 16, 64):
        together = Ensemble([replace(config, seed=seed) for seed in range(members)])

        def epoch(together: Ensemble = together) -> None:
            for _ in range(25):
                together.update(0.03)

        def single() -> None:
            for _ in range(25):
                alone.update(0.03)

        one, many = fastest(single, epoch, rounds=rounds)
        found.append(f"K={members} {one * members / many:.1f}×")
    print(f"ensembles, 2-{'-'.join(map(str, layers))}-1 {loss}, against one run after the other:", ", ".join(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    for loss in ("squared", "cross_entropy"):
        for name, layers in NETWORKS.items():
            one_network(name, layers, loss, rounds)
    for loss in ("squared", "cross_entropy"):
        ensembles((8, 8), loss, max(5, rounds // 4))
