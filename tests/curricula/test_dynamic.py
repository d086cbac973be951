"""Arms that decide while training: a case of each by hand, and the sampler that is told, in loops, restarts and ranks."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.utils.data import DataLoader

from curricula import DYNAMIC, DynamicSampler
from curricula.dynamic import Dihcl, HardFirst, InfoBatch, Rho, SelfPaced, SuperLoss

LOSSES = np.array([0.1, 3.0, 0.2, 1.0, 0.4, 2.0, 0.3, 5.0])  # of 8 examples; their mean is 1.5


def draw() -> np.random.Generator:
    return np.random.default_rng(0)


def told(arm, index=None, losses=LOSSES):
    index = np.arange(8) if index is None else np.array(index)
    return arm.update(index, losses[index], np.ones(len(index)))


def test_self_paced_takes_the_lowest_losses_as_many_as_the_pacing_lets_in():
    arm = SelfPaced(8, steps=10, batch_size=2, pacing="linear", a=1.0, b=0.25)
    assert sorted(arm.choose(0, draw())[0]) == [*range(8)]  # nobody has a loss yet
    told(arm)
    assert sorted(arm.choose(0, draw())[0]) == [0, 2]  # a quarter
    index, weight = arm.choose(4, draw())  # 0.25 + 0.75 · 0.4 of 8 is 4.4
    assert sorted(index) == [0, 2, 4, 6] and (weight == 1).all()
    told(arm, [0], np.array([9.0]))
    assert sorted(arm.choose(4, draw())[0]) == [2, 3, 4, 6]
    assert sorted(arm.choose(99, draw())[0]) == [*range(8)]


def test_infobatch_leaves_out_half_of_what_is_below_the_mean_and_lets_the_other_half_count_twice():
    arm = InfoBatch(8, steps=16, batch_size=2)
    assert (arm.choose(0, draw())[1] == 1).all()
    told(arm)
    index, weight = arm.choose(4, draw())
    below = np.isin(index, [0, 2, 3, 4, 6])
    assert {1, 5, 7} < {*index} and below.sum() == 2 and len(index) == 5  # int(5 / 2) of the five below 1.5
    assert (weight[below] == 2).all() and (weight[~below] == 1).all()
    index, weight = arm.choose(14, draw())  # 0.875 of 16
    assert sorted(index) == [*range(8)] and (weight == 1).all()


def test_infobatch_keeps_as_many_as_the_released_code():
    """NUS-HPC-AI-Lab/InfoBatch, 8bbb012: `prune()` with the scores (i/1000)² kept 711 of 1000, 288 of them with weight 2."""
    arm = InfoBatch(1000, steps=100, batch_size=10)
    arm.update(np.arange(1000), (np.arange(1000) / 1000) ** 2, np.ones(1000))
    index, weight = arm.choose(10, draw())
    assert len(index) == 711 and (weight == 2).sum() == 288 and (index >= 577).sum() == 423


def test_hard_first_and_rho_train_on_the_batch_of_highest_loss_above_what_cannot_be_reduced():
    candidates = np.array([7, 1, 0, 3])
    assert HardFirst(8, 10, batch_size=2).candidates == 2
    assert told(HardFirst(8, 10, batch_size=2), candidates).tolist() == [2, 2, 0, 0]
    irreducible = np.array([0, 2.9, 0, 0.1, 0, 0, 0, 5.5])  # 7 is wrong, 1 is hard for everyone
    arm = Rho(8, 10, batch_size=2, irreducible=irreducible)
    # reducible: −0.5, 0.1, 0.1, 0.9
    assert arm.candidates == 10 and told(arm, candidates).tolist() == [0, 2, 0, 2]
    with pytest.raises(ValueError, match=r"a loss per example, \(8,\), not \(3,\)"):
        Rho(8, 10, 2, irreducible=np.zeros(3))


def test_superloss_counts_what_minimises_the_papers_loss():
    arm = SuperLoss(8, 10, batch_size=8, lam=0.5)
    weights = told(arm)
    for loss, weight in zip(LOSSES, weights, strict=True):
        of_log = minimize_scalar(lambda s, loss=loss: (loss - 1.5) * np.exp(s) + 0.5 * s**2, bounds=(-3, 1), method="bounded")  # fmt: skip
        assert weight == pytest.approx(np.exp(of_log.x), abs=1e-4)
    told(arm, losses=LOSSES + 1)
    assert arm.tau[0] == pytest.approx(0.9 * 1.5 + 0.1 * 2.5)
    assert told(arm, losses=np.full(8, arm.tau[0])).tolist() == [1] * 8
    assert told(SuperLoss(8, 10, 8), losses=-99.0 * LOSSES).max() <= np.e  # at β = −2/e and below


def test_dihcl_keeps_a_running_mean_of_changes_and_draws_in_proportion():
    arm = Dihcl(8, steps=300, batch_size=2, gamma=0.5)
    told(arm)
    assert not arm.hardness.any() and len(arm.choose(4, draw())[0]) == 8
    told(arm, losses=np.zeros(8))  # each changed by what it was, halved
    np.testing.assert_allclose(arm.hardness, LOSSES / 2)
    told(arm, [7], np.full(8, 50.0))  # by 50, which counts 10
    assert arm.hardness[7] == 0.5 * 10 + 0.5 * 2.5 and arm.hardness[0] == 0.05
    assert len(arm.choose(4, draw())[0]) == 8  # warm
    assert len(arm.choose(10, draw())[0]) == 5  # 0.85² of 8
    assert len(arm.choose(299, draw())[0]) == 2  # no less than a batch
    firsts = [arm.choose(299, np.random.default_rng(seed))[0] for seed in range(400)]
    assert np.mean([7 in each for each in firsts]) > np.mean([5 in each for each in firsts]) > 0.2
    assert np.mean([0 in each for each in firsts]) < 0.1


def options(name: str, examples: int) -> dict:
    return {"irreducible": np.linspace(0, 1, examples)} if name == "rho" else {}


def run(sampler: DynamicSampler, steps: int) -> list[tuple[list[int], list[float]]]:
    """Batches and weights, with losses that follow from step and example."""
    found = []
    batches = sampler.arrays()
    for _ in range(steps):
        index = next(batches)
        weight = sampler.update(index, 1 + np.sin(index * 7.3 + sampler.step))
        found.append((index.tolist(), weight.tolist()))
    return found


@given(
    name=st.sampled_from([*DYNAMIC]),
    examples=st.integers(4, 60),
    batch_size=st.integers(1, 4),
    stop=st.integers(0, 40),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_batches_are_full_and_a_restart_goes_on_the_same(name, examples, batch_size, stop, seed):
    def made():
        return DynamicSampler(name, examples, batch_size, steps=40, seed=seed, **options(name, examples))

    sampler = made()
    whole = run(sampler, 40)
    drawn = min(examples, sampler.arm.candidates * batch_size)
    assert all(len(index) == drawn and 0 <= min(index) <= max(index) < examples for index, _ in whole)
    assert all(min(weight) >= 0 and max(weight) > 0 for _, weight in whole)
    parts = made()
    assert run(parts, stop) == whole[:stop]
    file = io.BytesIO()
    torch.save(parts.state_dict(), file)
    file.seek(0)
    again = made()
    again.load_state_dict(torch.load(file, weights_only=True))
    assert run(again, 40 - stop) == whole[stop:]


def test_three_lines_in_a_loop_with_workers_that_draw_ahead_and_a_restart_in_the_middle():
    labels = torch.arange(40) % 2

    def loop(sampler, network, stop=None):
        for step, index in enumerate(DataLoader(torch.arange(40), batch_sampler=sampler, num_workers=1)):
            losses = (network * (1 + index)).sigmoid() * (1 + labels[index])
            weights = sampler.update(index, losses)
            assert weights.dtype == losses.dtype and not weights.requires_grad
            (weights * losses).mean().backward()
            with torch.no_grad():
                network -= 0.1 * network.grad
                network.grad = None
            if step + 1 == stop:
                return

    def made():
        return DynamicSampler("infobatch", 40, batch_size=4, steps=30), torch.ones(1, requires_grad=True)

    sampler, network = made()
    assert len(sampler) == 10
    for _ in range(3):
        loop(sampler, network)
    assert sampler.step == 30
    stopped, other = made()
    loop(stopped, other)
    loop(stopped, other, stop=3)  # the worker has drawn further
    state = stopped.state_dict()
    assert state["step"] == 13
    again, _ = made()
    again.load_state_dict(state)
    loop(again, other)
    loop(again, other)
    assert again.step == 30 and torch.equal(other, network)


RANK = """
import sys
import numpy as np, torch, torch.distributed as dist
from curricula import DynamicSampler
rank = int(sys.argv[1])
dist.init_process_group("gloo", f"file://{sys.argv[2]}", rank=rank, world_size=2)
sampler = DynamicSampler("hard_first", 24, batch_size=4, steps=12)
found = []
for index in sampler.arrays():
    weight = sampler.update(torch.from_numpy(index), torch.from_numpy(1 + np.sin(index * 7.3 + sampler.step)))
    found.append([index.tolist(), weight.tolist()])
print(found)
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_ranks_draw_their_parts_and_come_to_the_same_state(tmp_path):
    command = [sys.executable, "-c", RANK]
    ranks = [
        subprocess.Popen(
            [*command, str(k), str(tmp_path / "meet")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        for k in (0, 1)
    ]
    first, second = (eval(each.communicate(timeout=120)[0]) for each in ranks)
    whole = run(DynamicSampler("hard_first", 24, batch_size=4, steps=12), 12)
    assert [(a + b, x + y) for (a, x), (b, y) in zip(first, second, strict=True)] == whole


def test_what_a_loop_does_wrong_is_told():
    sampler = DynamicSampler("infobatch", 20, batch_size=5, steps=400)
    batches = sampler.arrays()
    with pytest.raises(ValueError, match="told no losses of 260 batches"):
        [next(batches) for _ in range(300)]
    index = next(DynamicSampler("infobatch", 20, batch_size=5, steps=40).arrays())
    with pytest.raises(ValueError, match="not the examples that were drawn"):
        sampler.update(index[::-1] + 1, np.ones(5))
    with pytest.raises(ValueError, match="one loss per example"):
        sampler.update(index, np.ones(()))
    with pytest.raises(ValueError, match="unknown arm 'selfpaced': did you mean self_paced"):
        DynamicSampler("selfpaced", 20, 5, 40)
    with pytest.raises(ValueError, match="1 to 20 examples"):
        DynamicSampler("infobatch", 20, 50, 40)
    with pytest.raises(ValueError, match="saved with another arm"):
        DynamicSampler("dihcl", 20, 5, 40).load_state_dict(sampler.state_dict())


@pytest.mark.parametrize(("arm", "cost"), [("infobatch", 1), ("hard_first", 1 + 2 / 3), ("rho", 1 + 10 / 3)])
def test_a_forward_pass_over_candidates_costs_a_third(arm, cost):
    assert DynamicSampler(arm, 400, 10, 50, **options(arm, 400)).cost == pytest.approx(cost)
