"""How soon the reversal of ten letters is learned, in processor time of training on one core.

python tests/benchmarks/attention.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.seq2seq import SCORES, Seq2SeqConfig
from core.training import ACCURACY, Run

WANTED, WITHIN = 0.99, 30.0  # of the tokens; seconds
LOOK = 50  # steps from one measurement to the next, which is not counted


def learning_time(config: Seq2SeqConfig) -> tuple[int, float, float]:
    """Steps, seconds of training and the share right when WANTED is reached, or the time is up."""
    run, spent, share = Run(config), 0.0, 0.0
    while share < WANTED and spent < WITHIN:
        began = time.process_time()
        for _ in range(LOOK):
            run.step()
        spent += time.process_time() - began
        share = run.learner.evaluate()["test"][ACCURACY.name]
    return run.steps, spent, share


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    cases = {f"seed {seed}": Seq2SeqConfig(seed=seed) for seed in seeds}
    cases |= {scoring: Seq2SeqConfig(scoring=scoring) for scoring in SCORES}
    cases |= {"hard": Seq2SeqConfig(attention="hard"), "without attention": Seq2SeqConfig(attention="none")}
    for name, config in cases.items():
        steps, spent, share = learning_time(config)
        print(f"{name:18} {steps:6} steps {spent:5.1f} s {share:7.1%}  (target {WANTED:.0%} within {WITHIN:.0f} s)")
