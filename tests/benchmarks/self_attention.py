"""How fast a training step of self-attention is that also gives the weights: ratios in one run, medians of pairs.

    python tests/benchmarks/self_attention.py

Width 32, 4 heads, batches of 32: forward, backward, and Adam on its parameters. Beside it `torch.nn.MultiheadAttention`
with and without its weights, and `scaled_dot_product_attention`, which has none to give. All keep the memory that they
free, as it would otherwise be measured how often glibc takes it from the system anew: up to half of the time.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from core.optimizers import Optimizer
from core.self_attention import MultiHeadAttention

WIDTH, HEADS, BATCH, ROUNDS = 32, 4, 32, 120


def by_sdpa(layer: MultiHeadAttention, x: Tensor) -> Tensor:
    """The same layer by torch's fused kernel."""
    B, T, D = x.shape
    projected = F.linear(x, layer.in_proj_weight, layer.in_proj_bias).view(B, T, 3, HEADS, D // HEADS)
    query, key, value = projected.permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(query, key, value)
    return layer.out_proj(mixed.transpose(1, 2).reshape(B, T, D))


def step_of(module: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    parameters = list(module.parameters())
    optimizer = Optimizer("adam", parameters)

    def step() -> None:
        loss = forward(x).square().mean()
        optimizer.step(list(torch.autograd.grad(loss, parameters)), 1e-3)

    return step


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    for length in (16, 32, 64):
        x = torch.randn(BATCH, length, WIDTH, generator=generator)
        ours, same = (MultiHeadAttention(WIDTH, HEADS, torch.Generator().manual_seed(1)) for _ in range(2))
        theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        blind = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        steps = {
            "ours": step_of(ours, lambda x, layer=ours: layer(x)[0], x),
            "weights": step_of(theirs, lambda x, layer=theirs: layer(x, x, x, average_attn_weights=False)[0], x),
            "blind": step_of(blind, lambda x, layer=blind: layer(x, x, x, need_weights=False)[0], x),
            "sdpa": step_of(same, lambda x, layer=same: by_sdpa(layer, x), x),
        }
        spent: dict[str, list[float]] = {name: [] for name in steps}
        for round_ in range(ROUNDS + 10):
            for name, step in steps.items():
                began = time.thread_time()
                step()
                if round_ >= 10:
                    spent[name].append(time.thread_time() - began)
        ratio = {
            name: statistics.median(other / mine for other, mine in zip(spent[name], spent["ours"], strict=True))
            for name in steps
        }
        print(
            f"T = {length:2}: {ratio['weights']:.2f} × nn.MultiheadAttention with weights (target ≥ 1.3 from T = 32), "
            f"{ratio['blind']:.2f} × without; {ratio['sdpa']:.2f} × scaled_dot_product_attention (≥ 0.95)"
        )


KEPT = {"MALLOC_TRIM_THRESHOLD_": str(1 << 26), "MALLOC_MMAP_THRESHOLD_": str(1 << 25)}  # read when a process begins

if __name__ == "__main__":
    if not os.environ.keys() >= KEPT.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | KEPT)
    main()
