import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from curricula import PACING, PacedSampler

plans = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 20),
        "steps": st.integers(1, 60),
        "pacing": st.sampled_from([None, *PACING]),
        "a": st.sampled_from([None, 0.3, 0.8, 1.6]),
        "b": st.sampled_from([None, 0.01, 0.2, 1.0]),
        "seed": st.integers(0, 9),
    }
)
sizes = st.integers(20, 70)


def an_order(n):
    """Some different indices, not 0..n-1."""
    return np.random.default_rng(n).permutation(3 * n)[:n]


def passes(sampler, batches):
    """The batches, pass by pass, and the prefix size of each."""
    sizes = sampler.prefix_sizes()
    begin = 0
    while begin < len(batches):
        end = begin - (-sizes[begin] // sampler.batch_size)
        yield sizes[begin], batches[begin:end]
        begin = end


@given(n=sizes, plan=plans)
def test_every_batch_is_full_distinct_and_from_the_prefix_that_pacing_allows(n, plan):
    order = an_order(n)
    sampler = PacedSampler(order, **plan)
    assert len(sampler) == plan["steps"]
    batches = list(sampler)
    assert len(batches) == plan["steps"] and len(sampler) == 0 and list(sampler) == []
    prefixes = sampler.prefix_sizes()
    assert prefixes.shape == (plan["steps"],)
    given_ = {name: plan[name] for name in ("a", "b") if plan[name] is not None}
    begin = 0
    for size, drawn in passes(sampler, batches):
        allowed = (
            n if plan["pacing"] is None else PACING[plan["pacing"]](np.array([begin]), plan["steps"], n, **given_)[0]
        )
        assert size == max(allowed, plan["batch_size"])
        assert (prefixes[begin : begin + len(drawn)] == size).all()
        for batch in drawn:
            assert len(batch) == len(set(batch)) == plan["batch_size"]
            assert set(batch) <= set(order[:size].tolist())
        begin += len(drawn)


@given(n=sizes, plan=plans)
def test_a_pass_draws_every_example_of_its_prefix_once_but_for_those_that_fill_the_last_batch(n, plan):
    order = an_order(n)
    sampler = PacedSampler(order, **plan)
    for size, drawn in passes(sampler, list(sampler)):
        whole = len(drawn) == -(-size // plan["batch_size"])
        counts = np.unique(np.concatenate(drawn), return_counts=True)
        if whole:  # the last pass may be cut short by the end of training
            assert set(counts[0]) == set(order[:size].tolist())
            assert (counts[1] == 2).sum() == -size % plan["batch_size"] and counts[1].max() <= 2


@given(n=sizes, plan=plans, ranks=st.integers(1, 4))
def test_arrays_lists_and_ranks_are_the_same_batches(n, plan, ranks):
    plan = plan | {"batch_size": plan["batch_size"] // ranks * ranks or ranks}
    batches = list(PacedSampler(an_order(n), **plan))
    assert all(type(index) is int for batch in batches for index in batch)
    arrays = list(PacedSampler(an_order(n), **plan).arrays())
    assert all(batch.dtype == np.int64 for batch in arrays)
    assert [batch.tolist() for batch in arrays] == batches
    shares = [list(PacedSampler(an_order(n), **plan, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert [[i for part in parts for i in part] for parts in zip(*shares, strict=True)] == batches


@given(n=sizes, plan=plans, stop=st.integers(0, 60), lists=st.booleans())
def test_a_restart_repeats_the_remaining_batches(n, plan, stop, lists):
    stop = min(stop, plan["steps"])
    whole = list(PacedSampler(an_order(n), **plan))
    first = PacedSampler(an_order(n), **plan)
    batches = iter(first) if lists else first.arrays()
    begun = [list(next(batches)) for _ in range(stop)]
    state = json.loads(json.dumps(first.state_dict()))
    second = PacedSampler(an_order(n), **(plan | {"seed": 77}))
    second.load_state_dict(state)
    assert len(second) == plan["steps"] - stop
    assert begun + list(second) == whole


def test_an_iterator_given_up_is_gone_on_with():
    whole, sampler = list(PacedSampler(np.arange(50), 8, 20)), PacedSampler(np.arange(50), 8, 20)
    parts = []
    for count in (3, 9, 8):
        batches = iter(sampler)
        parts += [next(batches) for _ in range(count)]
    assert parts == whole


def test_arrays_may_be_kept():
    kept = list(PacedSampler(np.arange(100), 10, 200).arrays())
    copies = [batch.copy() for batch in PacedSampler(np.arange(100), 10, 200).arrays()]
    assert all((a == b).all() for a, b in zip(kept, copies, strict=True))


def test_uniform_over_the_prefix_and_different_in_every_pass_and_seed():
    draws = np.zeros(64)
    for seed in range(50):
        for batch in PacedSampler(np.arange(64), 10, 70, pacing=lambda step: 23, seed=seed).arrays():
            draws[batch] += 1
    assert (draws[23:] == 0).all()
    # 35,000 draws of 23; within a pass they are nearly fixed, so that this bound is generous
    assert np.abs(draws[:23] - 35_000 / 23).max() < 5 * np.sqrt(35_000 / 23)
    batches = [tuple(batch) for batch in PacedSampler(np.arange(1000), 1000, 5, pacing=None)]
    batches += [tuple(PacedSampler(np.arange(1000), 1000, 1, pacing=None, seed=1).__iter__().__next__())]
    assert len(set(batches)) == 6


def test_the_first_examples_come_first():
    sampler = PacedSampler(np.arange(1000)[::-1], 10, 1000, pacing="linear", a=0.8, b=0.1)
    batches = np.array(list(sampler))
    assert batches[0].min() >= 900 and batches[:50].mean() > 800
    assert abs(batches[-100:].mean() - 499.5) < 40  # all are in; deviation 289/sqrt(1000) or less


def test_the_pacing_is_read_where_a_pass_begins():
    asked = []

    def pacing(step):
        asked.append(step)
        return 25 + step

    sampler = PacedSampler(np.arange(40), 10, 12, pacing=pacing)
    # 25 examples last 3 batches, 28 another 3, 31 four, 35 four
    assert asked == [0, 3, 6, 10]
    assert sampler.prefix_sizes().tolist() == [25] * 3 + [28] * 3 + [31] * 4 + [35] * 2


def test_with_a_plain_loader_and_with_workers():
    dataset = TensorDataset(torch.arange(60), torch.arange(60) * 2)
    expected = list(PacedSampler(np.arange(60), 7, 15))
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_sampler=PacedSampler(np.arange(60), 7, 15), num_workers=workers)
        assert len(loader) == 15
        seen = [(x.tolist(), y.tolist()) for x, y in loader]
        assert [x for x, _ in seen] == expected
        assert all(y == [2 * i for i in x] for x, y in seen)


def test_state_by_number_of_steps_trained():
    whole, sampler = list(PacedSampler(np.arange(50), 8, 20)), PacedSampler(np.arange(50), 8, 20)
    batches = iter(sampler)
    for _ in range(11):  # a loader that is six batches ahead of the training
        next(batches)
    sampler.load_state_dict(sampler.state_dict(5))
    assert list(sampler) == whole[5:]


def test_a_state_of_another_plan_is_refused():
    base = {"order": np.arange(50), "batch_size": 8, "steps": 20, "pacing": "linear", "b": 0.2}
    state = PacedSampler(**base).state_dict()
    changes = ({"order": np.arange(50)[::-1]}, {"batch_size": 9}, {"steps": 21}, {"pacing": "root"}, {"b": 0.7})
    for change in changes:
        with pytest.raises(ValueError, match="another order, pacing, batch size"):
            PacedSampler(**(base | change)).load_state_dict(state)
    with pytest.raises(ValueError, match="in 0 to 20, not 21"):
        PacedSampler(**base).load_state_dict(state | {"step": 21})


def test_jumping_ahead_costs_no_more_than_a_pass():
    order, steps = np.arange(100_000), 200_000
    sampler = PacedSampler(order, 100, steps)

    def jump(step):
        begun = time.perf_counter()
        sampler.load_state_dict(sampler.state_dict(step))
        next(sampler.arrays())
        return time.perf_counter() - begun

    early = min(jump(steps // 2) for _ in range(5))
    late = min(jump(steps - 1) for _ in range(5))
    assert late < 5 * early  # drawing all steps up to there would take a thousand passes


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"order": np.array([])}, "order must be indices"),
        ({"order": np.array([0.5, 1])}, "not float64"),
        ({"order": np.array([-1, 1])}, "order must be indices"),
        ({"order": np.array([3, 1, 3])}, "twice"),
        ({"batch_size": 51}, "1 to 50 examples, as many as there are, not 51"),
        ({"batch_size": 0}, "not 0"),
        ({"steps": 0}, "not 0"),
        ({"steps": 2.5}, "not 2.5"),
        ({"pacing": "quad"}, "unknown pacing function 'quad': did you mean quadratic"),
        ({"a": 0}, "not 0"),
        ({"b": 1.5}, "not 1.5"),
        ({"seed": -1}, "not -1"),
        ({"rank": 2, "ranks": 2}, "0 to 1, not 2"),
        ({"ranks": 3}, "3 ranks cannot share a batch of 8"),
    ],
)
def test_bad_arguments_are_named(change, complaint):
    arguments = {"order": np.arange(50), "batch_size": 8, "steps": 20} | change
    with pytest.raises(ValueError, match=complaint) as error:
        PacedSampler(**arguments)
    assert "\n" not in str(error.value)


def test_torch_is_imported_only_for_the_sampler():
    program = (
        "import sys, curricula; curricula.order; assert 'torch' not in sys.modules;"
        "from curricula import PacedSampler; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_is_an_attribute_error():
    import curricula

    with pytest.raises(AttributeError, match="no attribute 'Paced'"):
        curricula.Paced  # noqa: B018


def test_a_pacing_function_of_ones_own_may_give_one_number(monkeypatch):
    monkeypatch.setitem(PACING, "half", lambda t, T, N, a=1, b=1: N // 2)
    assert set(PacedSampler(an_order(20), 5, 8, "half").prefix_sizes()) == {10}
