"""The recurrent lesson against torch's own RNN, its cell and finite differences."""

import pytest
import torch
from torch import nn

from core.rnn import RNN, RNN_ACTIVATIONS

DOUBLE = torch.float64


def pair(activation: str, inputs: int = 3, hidden: int = 5, seed: int = 0) -> tuple[nn.RNN, RNN]:
    """torch's network, and ours with its state dict."""
    ours = RNN(inputs, hidden, activation, torch.Generator().manual_seed(seed), DOUBLE)
    theirs = nn.RNN(inputs, hidden, nonlinearity=activation, dtype=DOUBLE)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(-0.7, 0.7, generator=torch.Generator().manual_seed(seed + parameter.numel()))
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def some(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed)).requires_grad_()


# ---- the cell


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 40])
@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_values_and_gradients_are_torchs(activation, steps, given):
    theirs, ours = pair(activation)
    x, start = some(steps, 4, 3), some(1, 4, 5, seed=2)
    found = []
    for network in (theirs, ours):
        outputs, state = network(x, start) if given else network(x)
        loss = (outputs.sin() * torch.linspace(-1, 1, outputs.numel(), dtype=DOUBLE).view_as(outputs)).sum()
        loss = loss + (state**3).sum()
        wanted = [x, *([start] if given else []), *network.parameters()]
        found.append([outputs, state, *torch.autograd.grad(loss, wanted)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_gradients_are_finite_differences(activation):
    _, ours = pair(activation)
    assert torch.autograd.gradcheck(lambda x, start: ours(x, start), (some(4, 2, 3), some(1, 2, 5, seed=2)))


@pytest.mark.parametrize("activation", RNN_ACTIVATIONS)
def test_the_trace_is_the_pass(activation):
    _, ours = pair(activation)
    x, start = some(6, 4, 3), some(1, 4, 5, seed=2)
    seen, (outputs, state) = ours.trace(x, start), ours(x, start)
    torch.testing.assert_close(seen.hidden[1:], outputs, atol=1e-12, rtol=0)
    torch.testing.assert_close(seen.hidden[-1:], state, atol=1e-12, rtol=0)
    assert torch.equal(seen.hidden[0], start[0])
    total = seen.from_input + seen.from_past + ours.bias_ih_l0 + ours.bias_hh_l0
    torch.testing.assert_close(seen.net_input, total, atol=1e-12, rtol=0)
    torch.testing.assert_close(seen.from_past, seen.hidden[:-1] @ ours.weight_hh_l0.T, atol=1e-12, rtol=0)


def test_halves_of_a_sequence_are_the_whole():
    _, ours = pair("tanh")
    x = some(9, 2, 3)
    first, state = ours(x[:4])
    second, end = ours(x[4:], state)
    whole, last = ours(x)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    torch.testing.assert_close(end, last)


def test_weights_come_from_the_generator_alone_and_lie_where_torchs_do():
    before = torch.random.get_rng_state()
    first, again = (RNN(4, 16, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    for mine, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(mine, other)
        assert 0.15 < mine.abs().max() <= 0.25
    assert [(name, value.shape) for name, value in first.state_dict().items()] == [
        (name, value.shape) for name, value in nn.RNN(4, 16).state_dict().items()
    ]


def test_no_other_activation():
    with pytest.raises(ValueError, match="tanh, relu"):
        RNN(2, 3, "sigmoid")
