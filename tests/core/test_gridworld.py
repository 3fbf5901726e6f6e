"""The grid world against gymnasium, the textbook's numbers, simulation, and its update rules written down again."""

import ast
import pickle
import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import inf
from pathlib import Path

import gymnasium
import pytest
import torch
from gymnasium.utils import seeding

import core.gridworld
from core.config import SettingError
from core.gridworld import (
    ACTIONS,
    BATCH,
    CLIFF_WALK,
    GREEDY,
    HIDDEN,
    KEPT_MOVES,
    LAKE,
    MAPS,
    MEMORY,
    METHODS,
    PLANNING,
    PRESETS,
    RETURN,
    SMOOTHED,
    TARGET_EVERY,
    VALUE_ERROR,
    EpisodeLearner,
    Grid,
    GridworldConfig,
    Move,
    NetworkLearner,
    Outcome,
    QNetwork,
    Unbounded,
    action_values,
    aims,
    choose,
    contrast,
    edited,
    expected_return,
    exploring,
    from_gymnasium,
    greedy,
    grid_of,
    linked,
    look_ahead,
    painted,
    policy_evaluation,
    read_map,
    resized,
    smooth,
    state_values,
    uniform,
    value_iteration,
)
from core.training import SNAPSHOT_BYTES, SNAPSHOTS, Intervention, Run, replay

LEARNING = tuple(method for method in METHODS if method not in PLANNING)
TABULAR = tuple(method for method in LEARNING if method != "dqn")
TEXTBOOK = Grid.from_text(MAPS["textbook"], bump=-1.0)
RANDOM_VALUES = [  # Sutton & Barto, figure 3.2
    [3.3, 8.8, 4.4, 5.3, 1.5],
    [1.5, 3.0, 2.3, 1.9, 0.5],
    [0.1, 0.7, 0.7, 0.4, -0.4],
    [-1.0, -0.4, -0.4, -0.6, -1.2],
    [-1.9, -1.3, -1.2, -1.4, -2.0],
]
OPTIMAL_VALUES = [  # figure 3.5
    [22.0, 24.4, 22.0, 19.4, 17.5],
    [19.8, 22.0, 19.8, 17.8, 16.0],
    [17.8, 19.8, 17.8, 16.0, 14.4],
    [16.0, 17.8, 16.0, 14.4, 13.0],
    [14.4, 16.0, 14.4, 13.0, 11.7],
]
LAKE_ACTIONS = ("left", "down", "right", "up")  # gymnasium numbers the two worlds differently
CLIFF_ACTIONS = ("up", "right", "down", "left")


def one_decimal(values: torch.Tensor) -> list[list[float]]:
    return [[round(value, 1) + 0.0 for value in row] for row in values.view(5, 5).tolist()]


# The textbook


def test_the_textbooks_values_of_the_random_policy():
    assert one_decimal(policy_evaluation(TEXTBOOK, uniform(TEXTBOOK), 0.9)) == RANDOM_VALUES
    run = Run(PRESETS["textbook"])
    run.advance(inf, limit=100)
    assert one_decimal(run.learner.values) == RANDOM_VALUES


def test_the_textbooks_optimal_values():
    assert one_decimal(value_iteration(TEXTBOOK, 0.9, 1e-9)) == OPTIMAL_VALUES


@pytest.mark.parametrize("made", ["text", "gymnasium"])
def test_the_frozen_lake_is_won_with_its_known_probability(made):
    grid = grid_of(PRESETS["lake4"]) if made == "text" else from_gymnasium("FrozenLake-v1")
    values = value_iteration(grid, 1.0, 1e-12)
    assert values.shape == (16,) and values[0] == pytest.approx(14 / 17, abs=1e-6)  # 0.8235
    hurried = greedy(look_ahead(grid, value_iteration(grid, 0.99), 0.99))
    assert expected_return(grid, hurried, 100) == pytest.approx(0.74, abs=0.01)


def test_the_cliff_is_thirteen_steps_long():
    for grid in (grid_of(CLIFF_WALK), from_gymnasium("CliffWalking-v1")):
        assert value_iteration(grid, 1.0)[36] == -13


# gymnasium, step for step


def world_of(name: str, slippery: bool) -> tuple[gymnasium.Env, Grid, tuple[str, ...]]:
    """gymnasium's world, ours from a map, and the order of gymnasium's actions."""
    if name == "cliff":
        grid = Grid.from_text(MAPS["cliff"], slip=2 / 3 if slippery else 0.0, step_reward=-1.0)
        return gymnasium.make("CliffWalking-v1", is_slippery=slippery).unwrapped, grid, CLIFF_ACTIONS
    size = name.removeprefix("lake")
    env = gymnasium.make("FrozenLake-v1", map_name=f"{size}x{size}", is_slippery=slippery).unwrapped
    return env, Grid.from_text(MAPS[name], slip=2 / 3 if slippery else 0.0), LAKE_ACTIONS


WORLDS = [(name, slippery) for name in ("lake4", "lake8", "cliff") for slippery in (False, True)]


@pytest.mark.parametrize(("name", "slippery"), WORLDS)
def test_transitions_are_gymnasiums(name, slippery):
    env, grid, names = world_of(name, slippery)
    assert grid.states == len(env.P)
    for state, actions in env.P.items():
        if name == "cliff" and state > 36:  # on the cliff and at its goal nobody ever chooses
            assert state not in grid.reached()
            continue
        for number, outcomes in actions.items():
            theirs, ours = Counter(), Counter()
            for probability, to, reward, ends in outcomes:
                theirs[int(to), float(reward), bool(ends)] += float(probability)
            for probability, to, reward, ends in grid.table[state][ACTIONS.index(names[number])]:
                ours[to, reward, ends] += probability
            assert ours.keys() == theirs.keys()
            assert all(ours[key] == pytest.approx(theirs[key], abs=1e-12) for key in ours)


@pytest.mark.parametrize(("name", "slippery"), WORLDS)
def test_episodes_go_as_gymnasiums_step_for_step(name, slippery):
    """The same actions and the same numbers from the same generator; where gymnasium lists the three ways of a slippery
    step the other way round, the number is mirrored."""
    env, grid, names = world_of(name, slippery)
    copied = Grid.from_transitions(env.P, [int(env.initial_state_distrib.argmax())])
    pick = random.Random(1)
    for seed in range(20):
        theirs, _ = env.reset(seed=seed)
        chances, _ = seeding.np_random(seed)
        chances.random()  # gymnasium draws where it begins
        state = grid.starts[0]
        assert state == theirs == copied.starts[0]
        for _ in range(60):
            number = pick.randrange(4)
            theirs, reward, ends, _, _ = env.step(number)
            chance = chances.random()
            assert copied.step(state, number, chance) == (theirs, reward, ends)
            mirrored = 1 - chance if name.startswith("lake") else chance
            assert grid.step(state, ACTIONS.index(names[number]), mirrored) == (theirs, reward, ends)
            state = theirs
            if ends:
                break


def test_gymnasiums_map_is_read_as_it_is():
    from gymnasium.envs.toy_text.frozen_lake import MAPS as THEIRS

    for size in (4, 8):
        assert read_map("\n".join(THEIRS[f"{size}x{size}"])).text == MAPS[f"lake{size}"]


def test_the_app_does_not_load_gymnasium_until_it_is_asked_for():
    top = ast.parse(Path(core.gridworld.__file__).read_text(encoding="utf-8")).body
    imported = [ast.unparse(node) for node in top if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported and not any("gymnasium" in line for line in imported)


# Planning


def random_grid(seed: int, slip: float = 0.3) -> Grid:
    pick = random.Random(seed)
    cells = [pick.choice("______WH") + pick.choice(["", "", "-2", "3"]) for _ in range(30)]
    cells[0], cells[-1] = "S", "G5"
    rows = ["".join(cells[at : at + 6]) for at in range(0, 30, 6)]
    return Grid.from_text("~".join(rows), slip=slip, step_reward=-0.3, bump=-0.5)


@pytest.mark.parametrize("seed", range(5))
def test_optimal_values_solve_bellmans_equation_and_no_policy_is_better(seed):
    grid = random_grid(seed)
    best = value_iteration(grid, 0.9, 1e-12)
    assert torch.allclose(best, look_ahead(grid, best, 0.9).amax(1), atol=1e-10)
    assert torch.allclose(policy_evaluation(grid, greedy(look_ahead(grid, best, 0.9)), 0.9), best, atol=1e-8)
    other = torch.rand(grid.states, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    other /= other.sum(1, keepdim=True)
    values = policy_evaluation(grid, other, 0.9)
    assert (values <= best + 1e-9).all()
    by_hand = [  # Bellman's equation from the table itself
        sum(
            other[s, a].item() * o.probability * (o.reward + (0 if o.ends else 0.9 * values[o.state].item()))
            for a in range(4)
            for o in grid.table[s][a]
        )
        for s in range(grid.states)
    ]
    assert values.tolist() == pytest.approx(by_hand, abs=1e-9)


def test_sweeps_spread_one_ring_at_a_time():
    run = Run(GridworldConfig(map="S____~_____~____G", method="value_iteration", discount=0.5))
    for ring in range(1, 7):
        run.step()
        known = run.learner.values.view(3, 5)
        for row in range(3):
            for column in range(5):
                distance = (2 - row) + (4 - column)
                expected = 0.5 ** (distance - 1) if 0 < distance <= ring else 0.0
                assert known[row, column] == expected


def test_the_expected_return_is_what_episodes_return():
    grid, cap = grid_of(LAKE), 40
    policy = exploring(look_ahead(grid, value_iteration(grid, 0.99), 0.99), 0.2)
    pick, total = random.Random(0), 0.0
    for _ in range(4000):
        state = 0
        for _ in range(cap):
            action = pick.choices(range(4), policy[state].tolist())[0]
            state, reward, ends = grid.step(state, action, pick.random())
            total += reward
            if ends:
                break
    assert total / 4000 == pytest.approx(expected_return(grid, policy, cap), abs=0.03)


@pytest.mark.parametrize(
    ("text", "step_reward"),
    [("S__~___", -1.0), ("SWG~_W_", -1.0), ("S_1G~___", 0.0)],  # no end; a walled room without; a coin for ever
)
def test_without_a_discount_values_that_never_end_are_refused(text, step_reward):
    grid = Grid.from_text(text, step_reward=step_reward)
    with pytest.raises(Unbounded):
        value_iteration(grid, 1.0)
    with pytest.raises(Unbounded):
        GridworldConfig(map=text, step_reward=step_reward, discount=1.0)
    assert value_iteration(grid, 0.9).isfinite().all()


def test_a_policy_that_never_ends_has_no_undiscounted_values():
    grid = Grid.from_text("SG~__")
    stays = torch.tensor([[1.0, 0, 0, 0]] * 4)
    with pytest.raises(Unbounded):
        policy_evaluation(grid, stays, 1.0)
    assert policy_evaluation(grid, stays, 0.5).tolist() == [0.0, 0.0, 0.0, 1.0]
    with pytest.raises(ValueError, match="probabilities"):
        policy_evaluation(grid, stays[:, :3], 0.5)
    with pytest.raises(ValueError, match="probabilities"):
        policy_evaluation(grid, 2 * stays, 0.5)


def test_probabilities_add_up():
    with pytest.raises(ValueError, match="add up"):
        Grid([[[Outcome(0.5, 0, 0.0, True)]]])


# Maps


@pytest.mark.parametrize("name", MAPS)
def test_a_map_reads_back(name):
    assert read_map(MAPS[name]).text == MAPS[name]
    assert all(letter.isalnum() or letter in "_~-." for letter in MAPS[name])  # an address has them as they are


@pytest.mark.parametrize(
    "text",
    ["", "S", "SG~_", "WW~WW", "S?~__", "SA~__", "Sa~__", "SAA~a__", "S_" * 7 + "~" + "S_" * 7, "S_99999~__", "3S~__"],
)
def test_a_bad_map_is_refused(text):
    with pytest.raises(ValueError):
        read_map(text)
    with pytest.raises(SettingError) as error:
        GridworldConfig(map=text)
    assert error.value.field == "map"


def test_cells_mean_what_they_say():
    grid = Grid.from_text("SA7G-2~W_3H~aC_", step_reward=-0.5, bump=-1.0)
    up, right, down = range(3)
    assert grid.table[0][up] == [Outcome(1.0, 0, -1.5, False)]  # the edge
    assert grid.table[0][down] == [Outcome(1.0, 0, -1.5, False)]  # a wall
    assert grid.table[0][right] == [Outcome(1.0, 1, -0.5, False)]  # a teleport pays when it is left
    assert all(grid.table[1][action] == [Outcome(1.0, 6, 7.0, False)] for action in range(4))
    assert grid.table[4][right] == [Outcome(1.0, 5, 0.0, True)]  # a hole
    assert grid.table[4][down] == [Outcome(1.0, 0, -100.0, False)]  # the cliff: back to the start
    assert grid.table[8][up] == [Outcome(1.0, 5, 0.0, True)]
    assert grid.table[7][up] == [Outcome(1.0, 4, 3.0, False)]
    slipping = Grid.from_text("SG~__", slip=0.2).table[0][right]
    assert [(o.probability, o.state) for o in slipping] == [(0.1, 0), (0.8, 1), (0.1, 2)]


@pytest.mark.parametrize(
    ("reward", "word"),
    [(1e-5, "0.00001"), (-2.5e-5, "-0.000025"), (123.4567, "123.4567"), (10.0, "10"), (-1e-9, "0"), (-1000.0, "-1000")],
)
def test_any_reward_can_be_painted_and_read_back(reward, word):
    text = painted("S_~_G", 1, "H", reward)
    assert text == f"SH{word}~_G" and read_map(text).text == text
    assert read_map(text).cells[1].reward == pytest.approx(reward, abs=5e-7)


def test_painting_keeps_a_map_whole():
    text = linked("S__~__G", 1, 3, 5.0)
    assert text == "SA5_~a_G"
    assert painted(text, 3, "W") == "S__~W_G"  # a teleport that loses an end goes
    assert painted(text, 1, "A", 2.0) == "SA2_~a_G"
    assert linked(text, 0, 0) == text
    full = "ABDE~abde~S__G"
    assert linked(full, 8, 11) == full, "no letter is left, and nothing is lost"
    assert linked(full, 0, 11) == "ABDE~_bde~S__a", "one that ends there makes room"
    assert (
        resized(text, 2, 2) == "SA5~a_"
        and resized(text, 3, 4) == "SA5__~a_G_~____"
        and resized("__~_G~SG", 2, 2) == "__~_G"
    )
    assert resized("GG_~GG_", 2, 2) == "SG~GG"
    assert edited("S__~__G", 4, "start") == "___~_SG" and edited("S__~__G", 1, "hole", -3.0) == "SH-3_~__G"
    assert edited("S__~__G", 1, "wall", 5.0) == "SW_~__G" and edited("S__~__G", 1, "free", 5.0) == "S_5_~__G"
    for letter in "_SGHCW":
        assert read_map(painted(MAPS["empty"], 9, letter)).cells[9].letter == letter


# Learning


def textbook_rule(method: str, config: GridworldConfig, episodes: list[tuple[list[Move], float]]) -> dict:
    """The table that the recorded steps lead to, by the textbook's formulas, each written down again."""
    rate, discount, q, actions = config.learning_rate, config.discount, Counter(), range(4)
    over = {state for state in range(grid_of(config).states) if grid_of(config).is_over(state)}
    for moves, epsilon in episodes:
        if method == "monte_carlo":
            for at in reversed(range(len(moves))):
                followed = sum(discount**k * move.reward for k, move in enumerate(moves[at:]))
                key = moves[at].state, moves[at].action
                q[key] += rate * (followed - q[key])
            continue
        for at, (state, action, reward, following, before, target) in enumerate(moves):
            future = [q[following, other] for other in actions]
            if following in over:
                worth = 0.0
            elif method == "q_learning":
                worth = max(future)
            elif method == "expected_sarsa":
                worth = (1 - epsilon) * max(future) + epsilon * sum(future) / 4
            elif at + 1 < len(moves):
                worth = q[following, moves[at + 1].action]
            else:
                worth = (target - reward) / discount  # broken off: the action that was chosen is not recorded
                assert min(future) - 1e-9 <= worth <= max(future) + 1e-9
            assert before == pytest.approx(q[state, action], abs=1e-9)
            assert target == pytest.approx(reward + discount * worth, abs=1e-9)
            q[state, action] += rate * (reward + discount * worth - q[state, action])
    return q


@pytest.mark.parametrize("preset", ["cliff", "lake4", "textbook"])
@pytest.mark.parametrize("method", TABULAR)
def test_every_method_follows_its_rule(method, preset):
    config = replace(
        PRESETS[preset], method=method, learning_rate=0.3, epsilon=0.4, epsilon_decay=0.95, bump=-0.5, cap=60
    )
    learner, episodes = EpisodeLearner(config), []
    for _ in range(60):
        epsilon = learner.epsilon
        learner.update(config.learning_rate)
        moves = [Move(*move) for move in learner.moves]
        assert moves[0].state in grid_of(config).starts and len(moves) <= 60
        for move, then in pairwise(moves):
            assert move.following == then.state
        for move in moves:
            possible = [o[1:] for o in grid_of(config).table[move.state][move.action]]
            assert (move.following, move.reward) in [(to, reward) for to, reward, _ in possible]
        assert learner.returns[-1] == sum(move.reward for move in moves)
        episodes.append((moves, epsilon))
    q = textbook_rule(method, config, episodes)
    assert any(q.values())
    for state, row in enumerate(learner.table):
        assert row == pytest.approx([q[state, action] for action in range(4)], abs=1e-9)
    assert sum(learner.visits) == sum(len(moves) for moves, _ in episodes)


def test_choices_are_epsilon_greedy_and_ties_are_broken_evenly():
    draw = random.Random(0).random
    found = Counter(choose([1.0, 3.0, 2.0, 3.0], 0.4, draw) for _ in range(20_000))
    expected = exploring(torch.tensor([[1.0, 3.0, 2.0, 3.0]]), 0.4)[0].tolist()
    assert [found[action] / 20_000 for action in range(4)] == pytest.approx(expected, abs=0.015)
    assert expected == pytest.approx([0.1, 0.4, 0.1, 0.4])


@pytest.mark.parametrize("method", TABULAR)
def test_learned_values_come_to_the_optimal_ones(method):
    """In a world without chance, begun everywhere, with exploration that fades."""
    config = GridworldConfig(map="____~__WG~_H__", method=method, epsilon=1.0, epsilon_decay=0.995, learning_rate=0.3)
    run = replay(config, (), 3000)
    run.evaluate()
    grid, values = grid_of(config), run.learner.learned().amax(1)
    assert (values - aims(config))[grid.reached()].abs().max() < 0.02
    assert run.history[-1].scores["train"][VALUE_ERROR.name] < 0.01


def test_on_the_cliff_q_learning_finds_the_edge_and_sarsa_earns_more():
    config = replace(CLIFF_WALK, seed=1)
    found = {}
    for method in ("q_learning", "sarsa"):
        run = replay(replace(config, method=method), (), 1000)
        run.evaluate()
        found[method] = run.history[-1].scores["train"]
    assert found["q_learning"][GREEDY.name] == -13 and found["sarsa"][GREEDY.name] == -17
    curves = contrast(CLIFF_WALK, runs=10, episodes=400)
    assert {name: each.mean.shape for name, each in curves.items()} == {"q_learning": (400,), "sarsa": (400,)}
    assert -60 < curves["q_learning"].mean[-1] < -38 and -32 < curves["sarsa"].mean[-1] < -20
    for each in curves.values():
        assert (each.low <= each.mean).all() and (each.mean <= each.high).all()


def test_smoothing_is_a_mean_of_the_latest():
    values = torch.arange(9.0)
    assert smooth(values, 3).tolist() == pytest.approx([0, 0.5, 1, 2, 3, 4, 5, 6, 7])
    assert smooth(values[:2], 3).tolist() == [0, 0.5]


def test_the_return_is_smoothed_and_counts_exploration():
    run = replay(CLIFF_WALK, (), 80)
    run.evaluate()
    learner = run.learner
    scores = run.history[-1].scores["train"]
    assert scores[RETURN.name] == pytest.approx(sum(list(learner.returns)[-SMOOTHED:]) / SMOOTHED)
    assert scores["Latest return"] == learner.returns[-1]


# Exploration


def test_exploration_decays_and_can_be_set_on_the_way():
    config = replace(PRESETS["lake8"], epsilon=0.8, epsilon_decay=0.9)
    run = Run(config)
    run.step()
    run.step()
    assert run.learner.epsilon == pytest.approx(0.8 * 0.81)
    run.intervene("epsilon", 0.5)
    run.intervene("epsilon", 0.2)
    run.step()
    assert run.learner.epsilon == pytest.approx(0.18)
    assert run.interventions == [Intervention(2, "epsilon", 0.2)]
    again = replay(config, run.interventions, 3)
    assert again.learner.table == run.learner.table and repr(again.history) == repr(run.history)
    for bad in (-0.1, 1.5, "much"):
        with pytest.raises(SettingError):
            run.intervene("epsilon", bad)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_refuses_other_changes(method):
    run = Run(replace(GridworldConfig(), method=method))
    run.intervene("epsilon", 0.3)
    with pytest.raises(ValueError):
        run.intervene("slip", 0.5)


# The network


def test_gradients_by_hand_are_autograds():
    generator = torch.Generator().manual_seed(0)
    network = QNetwork(12, 4, generator)
    states = torch.randint(12, (BATCH,), generator=generator)
    actions = torch.randint(4, (BATCH,), generator=generator)
    targets = torch.randn(BATCH, generator=generator)
    values, error = network.descend(states, actions, targets)
    leaves = {name: weight.clone().requires_grad_() for name, weight in network.weights.items()}
    hidden = torch.relu(torch.nn.functional.one_hot(states, 12).float() @ leaves["weight1"] + leaves["bias1"])
    output = hidden @ leaves["weight2"] + leaves["bias2"]
    loss = 0.5 * (output[torch.arange(BATCH), actions] - targets).square().mean()
    for name, gradient in zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True):
        assert torch.allclose(network.gradients[name], gradient, atol=1e-7), name
    assert torch.allclose(values, output, atol=1e-6)
    assert torch.allclose(network.values(states), output, atol=1e-6)
    assert 0.5 * error.square().mean() == pytest.approx(loss.item(), abs=1e-6)
    assert network.flat.numel() == 12 * HIDDEN + HIDDEN + HIDDEN * 4 + 4


def test_targets_are_frozen_between_copies():
    config = replace(PRESETS["network"], map=MAPS["empty"], cap=50)
    run = Run(config)
    learner = run.learner
    assert isinstance(learner, NetworkLearner)
    frozen = learner.frozen.clone()
    run.step()
    run.step()
    assert 0 < learner.updates < TARGET_EVERY
    assert torch.equal(learner.frozen, frozen)
    assert not torch.equal(learner.network.values(learner.every).amax(1), frozen)
    while learner.updates < TARGET_EVERY:
        run.step()
    assert not torch.equal(learner.frozen, frozen)
    for state, _, reward, following, _, _ in learner.moves[-3:]:
        remembered = [row[2] for row in learner.whole.tolist() if row[0] == state]
        assert following in remembered and reward in learner.real[:, 0].tolist()


def test_an_update_of_the_network_follows_the_textbooks_loss_on_what_was_drawn_from_the_memory():
    run = replay(replace(PRESETS["network"], map=MAPS["empty"], cap=50), (), 6)
    learner = run.learner
    learner.frozen += 0.5
    again = pickle.loads(pickle.dumps(learner))
    flat = again.network.flat.clone().requires_grad_()
    learner.replay(0.01)
    chosen = torch.randint(again.remembered, (BATCH,), generator=again.generator)
    state, action, following = again.whole[chosen].T
    reward, discount = again.real[chosen].T
    w = again.network.named(flat)
    values = (w["weight1"][state] + w["bias1"]).relu() @ w["weight2"] + w["bias2"]
    targets = reward + discount * again.frozen[following]
    again.optimizer.step(
        list(
            torch.autograd.grad(torch.nn.functional.mse_loss(values[torch.arange(BATCH), action], targets) / 2, [flat])
        ),
        0.01,
    )
    assert torch.allclose(learner.network.flat, again.network.flat, atol=1e-6)
    assert not torch.allclose(learner.network.flat, flat, atol=1e-3)


def test_the_network_remembers_what_happened_and_forgets_the_oldest():
    learner = replace(PRESETS["network"], map=MAPS["empty"]).build(torch.Generator().manual_seed(0))
    for number in range(MEMORY + 7):
        learner.remember(number % 40, number % 4, float(number), (number + 1) % 40, number % 5 == 0)
    for number in (*range(MEMORY, MEMORY + 7), *range(7, 12), MEMORY - 1):
        assert learner.whole[number % MEMORY].tolist() == [number % 40, number % 4, (number + 1) % 40]
        assert learner.real[number % MEMORY].tolist() == pytest.approx([number, 0.0 if number % 5 == 0 else 0.95])


def test_the_best_action_is_the_best_but_for_what_rounding_leaves():
    assert greedy(torch.tensor([[1.0, 1.0 + 1e-12, 0.9, 1.0 - 1e-6]], dtype=torch.float64)).tolist() == [
        [0.5, 0.5, 0, 0]
    ]


def test_the_network_learns_the_empty_world():
    config = replace(PRESETS["network"], map=MAPS["empty"], epsilon=0.3, epsilon_decay=1.0)
    run = replay(config, (), 60)
    run.evaluate()
    assert run.history[0].scores["train"][VALUE_ERROR.name] > 0.5
    assert run.history[-1].scores["train"][VALUE_ERROR.name] < 0.1
    assert run.history[-1].scores["train"][GREEDY.name] == 1.0
    goal = read_map(config.map).at("G")[0]
    assert run.learner.learned()[goal].tolist() == [0.0] * 4


# What the pictures get


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_put_away_goes_on_as_if_nothing_had_happened(method):
    run = replay(replace(PRESETS["network"], map=MAPS["empty"], cap=50, method=method), (), 6)
    copy = pickle.loads(pickle.dumps(run))
    for each in (run, copy):
        for _ in range(6):
            each.step(measure=True)
    assert copy.history == run.history
    state, other = run.snapshot().state, copy.snapshot().state
    assert all(torch.equal(value, other[name]) for name, value in state.items())


@pytest.mark.parametrize("method", METHODS)
def test_equal_configs_train_to_bit_equal_histories(method):
    config = replace(LAKE, method=method, seed=3, learning_rate=0.01)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, second = replay(config, (), 12), replay(config, (), 12)
    assert repr(first.history) == repr(second.history)
    assert torch.equal(torch.random.get_rng_state(), before), "the global generator is left alone"
    if method not in PLANNING:
        other = replay(replace(config, seed=4), (), 12)
        assert [*other.learner.visits] != [*first.learner.visits]


@pytest.mark.parametrize("method", METHODS)
def test_snapshots_are_small_and_tell_the_values(method):
    text = "~".join(["S" + "_" * 11, *["_" * 12] * 10, "_" * 11 + "G"])
    config = GridworldConfig(map=text, method=method, cap=300, learning_rate=0.01)
    run = replay(config, (), 3)
    state = run.snapshot().state
    size = sum(tensor.nbytes for tensor in state.values())
    assert size * (SNAPSHOTS if method != "dqn" else 20) < SNAPSHOT_BYTES
    assert action_values(config, state).shape == (144, 4) and state_values(config, state).shape == (144,)
    if method not in PLANNING:
        assert len(state["moves"]) == min(KEPT_MOVES, len(run.learner.moves))
        assert set(run.learner.memories) < set(state)
        assert torch.equal(state["action_values"], run.learner.learned())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_distinct_worlds_that_can_be_built(name):
    assert [each for each in PRESETS if PRESETS[each] == PRESETS[name]] == [name]
    assert grid_of(PRESETS[name]).endless() == [] or PRESETS[name].discount < 1
