"""Our optimizers against the classes of torch.optim."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

from core.optimizers import MOMENTUM, OPTIMIZERS, Optimizer

RATE = 0.02
THEIRS = {
    "sgd": lambda p, decay: torch.optim.SGD(p, RATE, weight_decay=decay),
    "momentum": lambda p, decay: torch.optim.SGD(p, RATE, momentum=MOMENTUM, weight_decay=decay),
    "nesterov": lambda p, decay: torch.optim.SGD(p, RATE, momentum=MOMENTUM, nesterov=True, weight_decay=decay),
    "rmsprop": lambda p, decay: torch.optim.RMSprop(p, RATE, weight_decay=decay),
    "adam": lambda p, decay: torch.optim.Adam(p, RATE, weight_decay=decay),
    "adamw": lambda p, decay: torch.optim.AdamW(p, RATE, weight_decay=decay),
}


def problem(dtype: torch.dtype) -> tuple[list[Tensor], Tensor, Tensor]:
    """Parameters of a small nonlinear regression, its inputs and its targets."""
    generator = torch.Generator().manual_seed(3)
    weights = [torch.randn(shape, generator=generator, dtype=dtype) for shape in ((4, 5), (5,), (5, 1))]
    inputs, targets = (torch.randn(shape, generator=generator, dtype=dtype) for shape in ((16, 4), (16, 1)))
    return [w.requires_grad_() for w in weights], inputs, targets


def loss_of(parameters: list[Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
    w1, b, w2 = parameters
    return ((torch.tanh(inputs @ w1 + b) @ w2 - targets) ** 2).mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_twenty_steps_agree_with_torch(kind, decay, dtype):
    ours, inputs, targets = problem(dtype)
    theirs, *_ = problem(dtype)
    mine, other = Optimizer(kind, ours, weight_decay=decay), THEIRS[kind](theirs, decay)
    for step in range(20):
        rate = RATE if step < 10 else RATE / 4  # changed on the way, as a person does
        gradients = torch.autograd.grad(loss_of(ours, inputs, targets), ours)
        mine.step(list(gradients), rate)
        other.param_groups[0]["lr"] = rate
        other.zero_grad()
        loss_of(theirs, inputs, targets).backward()
        other.step()
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6 if dtype == torch.float32 else 1e-12, rtol=0)
    start = problem(dtype)[0]
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(ours, start, strict=True))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_every_momentum_agrees_with_torch(kind, momentum):
    ours, inputs, targets = problem(torch.float64)
    theirs, *_ = problem(torch.float64)
    mine = Optimizer(kind, ours, momentum=momentum)
    other = torch.optim.SGD(theirs, RATE, momentum=momentum, nesterov=kind == "nesterov" and momentum > 0)
    for _ in range(10):
        mine.step(list(torch.autograd.grad(loss_of(ours, inputs, targets), ours)), RATE)
        other.zero_grad()
        loss_of(theirs, inputs, targets).backward()
        other.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_the_kinds_differ():
    ends = []
    for kind in OPTIMIZERS:
        parameters, inputs, targets = problem(torch.float64)
        optimizer = Optimizer(kind, parameters, weight_decay=0.1)
        for _ in range(3):
            optimizer.step(list(torch.autograd.grad(loss_of(parameters, inputs, targets), parameters)), RATE)
        ends.append(parameters[0].detach())
    assert all(not torch.allclose(a, b) for i, a in enumerate(ends) for b in ends[:i])


def test_the_first_momentum_step_does_not_keep_the_gradient_itself():
    parameters, inputs, targets = problem(torch.float64)
    optimizer = Optimizer("momentum", parameters)
    gradients = list(torch.autograd.grad(loss_of(parameters, inputs, targets), parameters))
    before = copy.deepcopy(gradients)
    optimizer.step(gradients, RATE)
    optimizer.step([torch.zeros_like(g) for g in gradients], RATE)
    assert all(torch.equal(a, b) for a, b in zip(gradients, before, strict=True))


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_pickling_carries_the_memory_of_past_gradients(kind):
    parameters, inputs, targets = problem(torch.float32)
    optimizer = Optimizer(kind, parameters)

    def steps(optimizer: Optimizer, parameters: list[Tensor]) -> list[Tensor]:
        for _ in range(5):
            optimizer.step(list(torch.autograd.grad(loss_of(parameters, inputs, targets), parameters)), RATE)
        return parameters

    steps(optimizer, parameters)
    copied = pickle.loads(pickle.dumps(optimizer))
    for a, b in zip(steps(optimizer, parameters), steps(copied, copied.parameters), strict=True):
        assert torch.equal(a, b)


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="'lion'"):
        Optimizer("lion", [])


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_gradient_that_lies_otherwise_in_memory_moves_the_same_weights(kind, channels_last):
    generator = torch.Generator().manual_seed(0)
    weight, gradient = (torch.randn(4, 3, 2, 5, generator=generator) for _ in range(2))
    other = weight.clone(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    turned = gradient.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    assert turned.stride() not in (gradient.stride(), other.stride())
    for each, found in ((weight, gradient), (other, turned)):
        optimizer = Optimizer(kind, [each])
        for _ in range(3):
            optimizer.step([found], 0.1)
    assert torch.equal(weight, other)
