"""The cart-pole against gymnasium's, and each method against loops and autograd that write it down again."""

import math
import pickle
import random
from dataclasses import replace

import gymnasium
import numpy
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Categorical

from core.config import SettingError
from core.policy_gradient import (
    CART_EXPLORATION,
    CART_GREEDY,
    CART_LATEST,
    CART_RETURN,
    DQN_BATCH,
    EPSILON_DECAY,
    EPSILON_LEAST,
    POLICY_METHODS,
    PRESETS,
    RECENT,
    SOLVED,
    START,
    STEPS,
    UNITS,
    CartNetwork,
    Episode,
    PolicyGradientConfig,
    PolicyLearner,
    ValueLearner,
    credit,
    discounted,
    gradients_of,
    greedy_return,
    in_units,
    is_down,
    likeness,
    play,
    push,
    race,
    start,
)
from core.training import Intervention, Run, replay

POLICIES = ("reinforce", "baseline", "actor_critic")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(count: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, generator=generator(seed))


def trained(method: str, episodes: int = 5, **settings) -> PolicyLearner | ValueLearner:
    config = PolicyGradientConfig(method=method, **settings)
    learner = config.build(generator(config.seed))
    for _ in range(episodes):
        learner.update(config.learning_rate)
    return learner


# ---- the cart-pole ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_cart_pole_is_gymnasiums_step_for_step(seed):
    """One half of the rollouts is random, the other balances for long, so that all kinds of places are met."""
    env, pick = gymnasium.make("CartPole-v1"), random.Random(seed)
    env.reset(seed=seed)
    place = tuple(float(value) for value in env.unwrapped.state)
    assert all(abs(value) <= START for value in place)
    for step in range(1, STEPS + 1):
        lean = place[2] + 0.5 * place[3] + 0.02 * place[0] + 0.05 * place[1]
        action = pick.randrange(2) if seed % 2 or pick.random() < 0.05 else int(lean > 0)
        place = push(place, action)
        seen, reward, terminated, truncated, _ = env.step(action)
        assert numpy.allclose(seen, place, rtol=1e-6, atol=1e-7)
        assert (is_down(place), step >= STEPS, reward) == (terminated, truncated, 1.0)
        if terminated or truncated:
            break
    assert (step == STEPS) == (seed in (0, 2, 4)), "some stand to the end, some fall"


def test_the_cart_may_leave_its_track_as_in_gymnasium():
    env = gymnasium.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    env.state = place = (2.37, 1.0, 0.0, 0.0)
    ended = []
    while not ended or not ended[-1][1]:
        place = push(place, 1)
        ended.append((is_down(place), env.step(1)[2]))
    assert ended == [(False, False), (True, True)] and abs(place[2]) < 0.1


def test_episodes_end_in_time_or_by_falling():
    down = play(lambda place: 1, (0.0, 0.0, 0.0, 0.0))
    assert down.fell and is_down(down.places[-1]) and not any(map(is_down, down.places[:-1]))
    assert len(down.places) == len(down.actions) + 1
    held = play(
        lambda place: int(place[2] + 0.5 * place[3] + 0.02 * place[0] + 0.05 * place[1] > 0), (0.0, 0.0, 0.01, 0.0)
    )
    assert len(held.actions) == STEPS and not held.fell
    draws = iter((0.0, 1.0, 0.5, 0.25))
    assert start(lambda: next(draws)) == (-START, START, 0.0, -START / 2)


# ---- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 2])
def test_one_place_and_many_are_the_same_function_as_torchs_layers(outputs):
    network = CartNetwork(8, outputs, generator())
    layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, outputs))
    named = [network.weights[name].T if "weight" in name else network.weights[name] for name in network.shapes]
    layers.load_state_dict(dict(zip(layers.state_dict(), named, strict=True)))
    raw = places() / torch.tensor(UNITS)
    assert torch.allclose(network(in_units(raw)), layers(in_units(raw)), atol=1e-6)
    for row, wanted in zip(raw.tolist(), layers(in_units(raw)).tolist(), strict=True):
        assert network.at(tuple(row)) == pytest.approx(wanted, abs=1e-6)
    copy = CartNetwork.of(network.weights)
    network.flat.add_(1.0)
    assert torch.allclose(copy(in_units(raw)), layers(in_units(raw)), atol=1e-6), "a copy does not follow"
    assert network.at(tuple(raw[0].tolist())) == pytest.approx(network(in_units(raw))[0].tolist(), abs=1e-5)


def test_the_gradient_by_hand_is_autograds():
    network = CartNetwork(8, 2, generator(1))
    seen, towards = places(9, 2), torch.randn(9, 2, generator=generator(3))
    leaf = network.flat.clone().requires_grad_()
    w = network.named(leaf)
    wanted = torch.autograd.grad(
        ((torch.tanh(seen @ w["weight1"] + w["bias1"]) @ w["weight2"] + w["bias2"]) * towards).sum(), leaf
    )
    found = network.backward(seen, network.hidden(seen), towards)
    assert torch.allclose(found[0], wanted[0], atol=1e-5)


# ---- what steps are told ---------------------------------------------------------------------------------------------


def test_returns_are_sums_of_what_follows():
    rewards = [1.0, -2.0, 0.5, 3.0]
    for discount in (0.0, 0.7, 1.0):
        wanted = [sum(discount ** (k - t) * rewards[k] for k in range(t, 4)) for t in range(4)]
        assert discounted(rewards, discount) == pytest.approx(wanted)
    assert discounted([], 0.9) == []


VALUES = torch.tensor([4.0, 3.0, 1.0, 8.0])  # of s_0 … s_3


@pytest.mark.parametrize(
    ("method", "fell", "weights", "targets"),
    [
        ("reinforce", True, [1.75, 1.5, 1.0], None),
        ("reinforce", False, [1.75, 1.5, 1.0], None),
        ("baseline", True, [1.75 - 4, 1.5 - 3, 1.0 - 1], [1.75, 1.5, 1.0]),
        ("baseline", False, [2.75 - 4, 3.5 - 3, 5.0 - 1], [2.75, 3.5, 5.0]),  # and half of the 8 that would still come
        ("actor_critic", True, [1 + 1.5 - 4, 1 + 0.5 - 3, 1 - 1], [2.5, 1.5, 1.0]),
        ("actor_critic", False, [1 + 1.5 - 4, 1 + 0.5 - 3, 1 + 4 - 1], [2.5, 1.5, 5.0]),
    ],
)
def test_credit_by_hand(method, fell, weights, targets):
    told = credit(method, 0.5, fell, 3, None if method == "reinforce" else VALUES)
    assert told.weights.tolist() == weights
    assert told.values.tolist() == ([4.0, 3.0, 1.0] if targets else [0.0] * 3)
    assert not targets or (told.values + told.weights).tolist() == targets


def test_the_errors_of_an_actor_critic_add_up_to_the_baselines_advantage():
    """G_t − V(s_t) = Σ γᵏ δ_{t+k}: one looks a step ahead, the other to the end."""
    values = 50 * torch.rand(41, generator=generator())
    for fell in (True, False):
        errors = credit("actor_critic", 0.9, fell, 40, values).weights.tolist()
        advantages = credit("baseline", 0.9, fell, 40, values).weights.tolist()
        assert discounted(errors, 0.9) == pytest.approx(advantages, abs=1e-3)


def test_the_best_constant_baseline_leaves_the_deviation_of_the_returns():
    returns = torch.tensor(discounted([1.0] * 60, 0.97))
    constant = torch.full((61,), returns.mean().item())
    weights = credit("baseline", 0.97, True, 60, constant).weights
    assert weights.mean().item() == pytest.approx(0, abs=1e-4)
    assert weights.square().mean().sqrt().item() == pytest.approx(returns.std(correction=0).item(), rel=1e-4)
    assert weights.square().mean() < returns.square().mean()


# ---- policies --------------------------------------------------------------------------------------------------------


def loss_of(learner: PolicyLearner, flat: torch.Tensor, seen, actions, weights, bonus: float) -> torch.Tensor:
    """As a textbook has it: step by step, by Categorical."""
    w, total = learner.policy.named(flat), 0.0
    for place, action, weight in zip(seen, actions, weights, strict=True):
        chances = Categorical(logits=torch.tanh(place @ w["weight1"] + w["bias1"]) @ w["weight2"] + w["bias2"])
        total = total - (weight * chances.log_prob(action) + bonus * chances.entropy()) / len(actions)
    return total


@pytest.mark.parametrize("bonus", [0.0, 3.0])
def test_the_policys_gradient_is_the_textbooks(bonus):
    learner = PolicyGradientConfig(method="reinforce", hidden=8, entropy=bonus).build(generator(2))
    learner.policy.flat.mul_(3.0)  # no longer undecided
    seen, weights = places(6, 4), torch.tensor([3.0, -1.0, 0.5, 2.0, 0.0, -4.0])
    actions = torch.tensor([1, 0, 0, 1, 1, 0])
    leaf = learner.policy.flat.clone().requires_grad_()
    loss = loss_of(learner, leaf, seen, actions, weights, bonus)
    found = learner.descend(seen, actions, weights)
    assert found == pytest.approx(loss.item(), abs=1e-5)
    assert torch.allclose(learner.policy.gradient, torch.autograd.grad(loss, leaf)[0], atol=1e-5)


def test_the_policys_gradient_is_the_slope_of_its_loss():
    learner = PolicyGradientConfig(method="reinforce", hidden=4, entropy=2.0).build(generator(2))
    seen, weights, actions = places(6, 4), 5 * torch.randn(6, generator=generator(5)), torch.tensor([1, 0, 0, 1, 1, 0])
    learner.descend(seen, actions, weights)
    gradient = learner.policy.gradient.clone()
    flat = learner.policy.flat.double()
    for at in range(0, len(flat), 3):
        nudge = torch.zeros_like(flat)
        nudge[at] = 1e-5
        up, down = (
            loss_of(learner, flat + sign * nudge, seen.double(), actions, weights.double(), 2.0) for sign in (1, -1)
        )
        assert gradient[at].item() == pytest.approx((up - down).item() / 2e-5, abs=2e-4)


@pytest.mark.parametrize("method", POLICIES)
def test_an_update_is_one_episode_and_what_it_tells(method):
    """The whole update again, by autograd and torch's Adam, from the same episode."""
    learner = trained(method, 2, hidden=8, critic_steps=3)
    config, horizon = learner.config, learner.config.horizon
    again = pickle.loads(pickle.dumps(learner))
    learner.update(0.01)
    episode = learner.latest
    seen, actions = in_units(torch.tensor(episode.places)), torch.tensor(episode.actions)

    def critic(flat):
        w = again.critic.named(flat)
        return (torch.tanh(seen @ w["weight1"] + w["bias1"]) @ w["weight2"] + w["bias2"]).squeeze(1) * horizon

    def criticise():
        targets = None
        for _ in range(3):
            leaf = again.critic.flat.clone().requires_grad_()
            values = critic(leaf)
            if targets is None or method == "actor_critic":
                told = credit(method, config.discount, episode.fell, len(actions), values.detach())
                targets = told.values + told.weights
            loss = F.mse_loss(values[:-1] / horizon, targets / horizon) / 2
            again.critic_optimizer.step(list(torch.autograd.grad(loss, [leaf])), 0.01)

    if method == "actor_critic":
        criticise()
    values = critic(again.critic.flat) if again.critic else None
    weights = credit(method, config.discount, episode.fell, len(actions), values).weights
    if again.critic:
        assert torch.allclose(learner.values, values, atol=1e-3)
    leaf = again.policy.flat.clone().requires_grad_()
    loss = loss_of(again, leaf, seen[:-1], actions, weights, 0.0)
    again.optimizer.step(list(torch.autograd.grad(loss, [leaf])), 0.01)
    if method == "baseline":
        criticise()
    assert torch.allclose(learner.policy.flat, again.policy.flat, atol=2e-4)
    if again.critic:
        assert torch.allclose(learner.critic.flat, again.critic.flat, atol=2e-4)


def test_pushes_come_as_often_as_the_policy_says():
    learner = trained("reinforce", 3)
    place = (0.1, -0.2, 0.05, 0.3)
    wanted = learner.policy(in_units(torch.tensor([place]))).softmax(1)[0, 1].item()
    pushes = [learner.choose(place) for _ in range(4000)]
    assert sum(pushes) / 4000 == pytest.approx(wanted, abs=0.03)
    learner.policy.flat[-1] = 5000.0  # so sure that an exponential would overflow
    assert learner.choose(place) == 1 == learner.likelier(place)


def test_random_pushes_left_and_right_alike_and_learns_nothing():
    learner = trained("random", 300)
    assert not learner.policy.flat.any()
    assert CART_GREEDY not in learner.metrics and CART_GREEDY.name not in learner.evaluate()["train"]
    assert sum(learner.returns) / 300 == pytest.approx(22, abs=3), "what random play of CartPole is known for"


def test_the_return_is_the_mean_of_the_latest_hundred():
    learner = trained("random", 130)
    returns = [*learner.returns]
    assert learner.scores()[CART_RETURN.name] == pytest.approx(sum(returns[30:]) / 100)
    assert sum(returns[30:]) / 100 != pytest.approx(sum(returns) / 130, abs=1e-6)


def test_greedy_return_is_of_the_likelier_push():
    assert greedy_return(lambda place: int(place[2] + 0.5 * place[3] + 0.02 * place[0] + 0.05 * place[1] > 0)) == STEPS
    assert greedy_return(lambda place: 1) < 12
    learner = trained("baseline", 30)
    lengths = []
    for seed in range(3):
        draw = random.Random(0).random
        begins = [start(draw) for _ in range(3)]
        lengths.append(
            len(play(lambda place: int(learner.policy(in_units(torch.tensor([place]))).argmax()), begins[seed]).actions)
        )
    assert learner.scores()[CART_GREEDY.name] == pytest.approx(sum(lengths) / 3)


# ---- DQN -------------------------------------------------------------------------------------------------------------


def test_dqns_gradient_is_autograds_and_the_frozen_copy_stands_still():
    learner = trained("dqn", 8, hidden=8, discount=0.9)
    learner.frozen.flat.add_(torch.randn(len(learner.frozen.flat), generator=generator(6)))
    steps, actions = learner.places[:20].clone(), learner.actions[:20].clone()
    steps[3, 8] = 0.0
    leaf = learner.online.flat.clone().requires_grad_()
    w, horizon = learner.online.named(leaf), 10.0
    values = (torch.tanh(steps[:, :4] @ w["weight1"] + w["bias1"]) @ w["weight2"] + w["bias2"]).gather(1, actions)
    best = learner.frozen(steps[:, 4:8]).max(1).values
    targets = torch.stack([1 / horizon + steps[i, 8] * best[i] * (i != 3) for i in range(20)])
    loss = F.mse_loss(values.squeeze(1), targets) / 2
    error = learner.descend(steps, actions)
    assert torch.allclose(error, values.squeeze(1) - targets, atol=1e-5)
    assert torch.allclose(learner.online.gradient, torch.autograd.grad(loss, leaf)[0], atol=1e-5)


def test_dqn_remembers_what_happened_and_forgets_the_oldest():
    learner = PolicyGradientConfig(method="dqn", memory=64, discount=0.5).build(generator())
    seen = []
    for _ in range(6):
        learner.update(0.001)
        episode = learner.latest
        for t, action in enumerate(episode.actions):
            over = episode.fell and t == len(episode.actions) - 1
            seen.append(([*episode.places[t]], [*episode.places[t + 1]], action, 0.0 if over else 0.5))
    assert len(seen) == learner.remembered > 64
    for number, (here, there, action, discount) in list(enumerate(seen))[-64:]:
        row = learner.places[number % 64]
        assert torch.allclose(row[:8], in_units(torch.tensor([here, there])).flatten(), atol=1e-6)
        assert row[8] == discount and learner.actions[number % 64].item() == action
    assert learner.updates == len(seen) - DQN_BATCH + 1


def test_an_update_of_dqn_follows_the_textbooks_loss_on_what_was_drawn_from_the_memory():
    learner = trained("dqn", 20, hidden=8, target_every=1_000)
    learner.frozen.flat.mul_(1.5)
    again = pickle.loads(pickle.dumps(learner))
    flat = again.online.flat.clone().requires_grad_()
    learner.replay(0.01)
    chosen = torch.randint(min(again.remembered, 10_000), (DQN_BATCH,), generator=again.generator)
    steps, actions = again.places[chosen], again.actions[chosen]
    w = again.online.named(flat)
    values = (torch.tanh(steps[:, :4] @ w["weight1"] + w["bias1"]) @ w["weight2"] + w["bias2"]).gather(1, actions)
    targets = 1 / again.config.horizon + steps[:, 8:] * again.frozen(steps[:, 4:8]).amax(1, keepdim=True)
    again.optimizer.step(list(torch.autograd.grad(F.mse_loss(values, targets) / 2, [flat])), 0.01)
    assert torch.allclose(learner.online.flat, again.online.flat, atol=1e-5)
    assert not torch.allclose(learner.online.flat, flat, atol=1e-3)


def test_the_frozen_copy_follows_when_its_time_has_come():
    learner = PolicyGradientConfig(method="dqn", target_every=50).build(generator())
    first = learner.frozen.flat.clone()
    while learner.updates < 50:
        before = learner.updates
        learner.update(0.001)
        if learner.updates < 50:
            assert torch.equal(learner.frozen.flat, first) and before <= learner.updates
    assert not torch.equal(learner.frozen.flat, first)


def test_exploration_fades():
    learner = trained("dqn", 3)
    assert learner.epsilon == pytest.approx(EPSILON_DECAY**3)
    assert learner.evaluate()["train"][CART_EXPLORATION.name] == learner.epsilon
    learner.epsilon = 1.01 * EPSILON_LEAST
    for _ in range(3):
        learner.update(0.001)
    assert learner.epsilon == EPSILON_LEAST, "a little exploration stays"
    learner.epsilon = 0.0
    place = (0.0, 0.1, 0.02, -0.3)
    assert {learner.choose(place) for _ in range(30)} == {learner.likelier(place)}
    learner.epsilon = 1.0
    assert sum(learner.choose(place) for _ in range(2000)) / 2000 == pytest.approx(0.5, abs=0.04)


# ---- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_equal_configs_train_to_bit_equal_histories(method):
    config = PolicyGradientConfig(method=method, seed=3)
    first, second = replay(config, (), 12), replay(config, (), 12)
    assert first.history == second.history
    assert all(torch.equal(first.learner.state()[name], value) for name, value in second.learner.state().items())
    other = replay(replace(config, seed=4), (), 12)
    assert [*other.learner.returns] != [*first.learner.returns]


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_a_run_that_was_put_away_goes_on_as_if_nothing_had_happened(method):
    run = replay(PolicyGradientConfig(method=method), (), 9)
    copy = pickle.loads(pickle.dumps(run))
    for each in (run, copy):
        for _ in range(8):
            each.step(measure=True)
    assert copy.history == run.history
    assert torch.equal(copy.learner.network.flat, run.learner.network.flat)
    assert copy.learner.network.at((0.1, 0.0, 0.1, 0.0)) == run.learner.network.at((0.1, 0.0, 0.1, 0.0))


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_the_global_generator_is_left_alone(method):
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    replay(PolicyGradientConfig(method=method), (), 3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_state_is_what_pictures_need_and_small():
    for method in POLICY_METHODS:
        learner = trained(method, 60, hidden=32)
        state = learner.state()
        count = len(learner.latest.actions)
        assert state["places"].shape == (count + 1, 4) and state["actions"].shape == (count,)
        assert state["returns"].tolist() == [*learner.returns] and state["returns"][-1] == count
        assert set(learner.memories) < set(state)
        assert sum(value.nbytes for value in state.values()) < 22_000


def test_an_entropy_bonus_keeps_a_policy_undecided():
    config = PolicyGradientConfig(method="reinforce", discount=0.5)
    plain = replay(config, (), 120)
    eager = replay(config, (Intervention(10, "entropy", 20.0),), 120)
    assert eager.learner.entropy_bonus == 20.0 and eager.interventions == [(10, "entropy", 20.0)]
    assert eager.learner.entropy > plain.learner.entropy + 0.05
    assert eager.config == plain.config
    with pytest.raises(ValueError):
        plain.intervene("entropy", -1.0)
    with pytest.raises(ValueError):
        plain.intervene("memory", 100)


@pytest.mark.parametrize(
    "wrong",
    [{"method": "sarsa"}, {"discount": 1.1}, {"hidden": 5}, {"memory": 1}, {"critic_steps": 0}, {"entropy": -1}],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError):
        PolicyGradientConfig(**wrong)


def test_the_horizon_is_the_largest_return():
    assert PolicyGradientConfig(discount=0.9).horizon == pytest.approx(10)
    assert PolicyGradientConfig(discount=0.0).horizon == 1
    assert PolicyGradientConfig(discount=1.0).horizon == STEPS


def test_a_run_that_blows_up_is_stopped_and_keeps_its_history():
    run = replay(PolicyGradientConfig(method="baseline", learning_rate=1.0), (), 30)
    assert all(math.isfinite(value) for value in run.history[-1].scores["train"].values()) or run.diverged


# ---- how noisy the gradient is ---------------------------------------------------------------------------------------


def test_the_gradients_of_episodes_are_those_of_an_update():
    learner = trained("baseline", 40)
    episodes, found = gradients_of(learner.config, learner.state(), 6)
    assert set(found) == {"reinforce", "baseline", "actor_critic"}
    for number, episode in enumerate(episodes):
        seen, actions = in_units(torch.tensor(episode.places)), torch.tensor(episode.actions)
        values = learner.critic(seen).squeeze(1) * learner.config.horizon
        for method, gradients in found.items():
            told = credit(method, 0.99, episode.fell, len(actions), None if method == "reinforce" else values)
            leaf = learner.policy.flat.clone().requires_grad_()
            loss = loss_of(learner, leaf, seen[:-1], actions, told.weights, 0.0)
            wanted = -torch.autograd.grad(loss, leaf)[0]
            assert torch.allclose(gradients[number], wanted, atol=1e-3 * wanted.abs().max().item() + 1e-5)


def test_likeness_is_the_cosine_with_the_mean_of_the_others():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert likeness(rows).tolist() == pytest.approx([0.5**0.5, 0.0, 0.5**0.5], abs=1e-6)
    assert likeness(torch.ones(4, 3)).tolist() == pytest.approx([1.0] * 4)


# ---- what is promised ------------------------------------------------------------------------------------------------


def test_the_default_solves_the_cart_pole():
    config = next(iter(PRESETS.values()))
    assert config == PolicyGradientConfig()
    run = Run(config)
    while run.steps < 300 and (run.steps < RECENT or sum([*run.learner.returns][-RECENT:]) / RECENT < SOLVED):
        run.step()
    assert run.steps < 250
    run.evaluate()
    assert run.history[-1].scores["train"][CART_RETURN.name] >= SOLVED
    assert run.history[-1].scores["train"][CART_GREEDY.name] >= SOLVED


def test_a_race_differs_in_its_method_alone():
    config = PolicyGradientConfig(seed=5, hidden=16)
    assert list(race(config)) == list(POLICIES)
    assert all(replace(each, method="baseline") == config for each in race(config).values())
    first = [Run(each).learner.policy.flat for each in race(config).values()]
    assert all(torch.equal(first[0], other) for other in first), "they begin with the same policy"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_trained(name):
    run = replay(PRESETS[name], (), 2)
    assert len(run.learner.returns) == 2 and isinstance(run.learner.latest, Episode)


@pytest.mark.parametrize("method", ["reinforce", "dqn", "random"])
def test_before_the_first_episode_nothing_was_earned(method):
    run = Run(PolicyGradientConfig(method=method))
    assert not {CART_RETURN.name, CART_LATEST.name} & run.history[0].scores["train"].keys()
    run.step()
    earned = len(run.learner.latest.actions)
    assert [run.history[1].scores["train"][each.name] for each in (CART_RETURN, CART_LATEST)] == [earned, earned]
