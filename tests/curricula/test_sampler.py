import itertools
import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

from curricula import PACING, DynamicSampler, PacedSampler

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


def in_one_epoch(order, batch_size, steps, *arguments, **others):
    """A sampler whose one epoch is the whole plan."""
    return PacedSampler(order, batch_size, steps, *arguments, steps_per_epoch=steps, **others)


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
    sampler = in_one_epoch(order, **plan)
    assert len(sampler) == plan["steps"]
    batches = list(sampler)
    assert len(batches) == plan["steps"]
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
    sampler = in_one_epoch(order, **plan)
    for size, drawn in passes(sampler, list(sampler)):
        whole = len(drawn) == -(-size // plan["batch_size"])
        counts = np.unique(np.concatenate(drawn), return_counts=True)
        if whole:  # the last pass may be cut short by the end of training
            assert set(counts[0]) == set(order[:size].tolist())
            assert (counts[1] == 2).sum() == -size % plan["batch_size"] and counts[1].max() <= 2


@given(n=sizes, plan=plans, ranks=st.integers(1, 4))
def test_arrays_lists_and_ranks_are_the_same_batches(n, plan, ranks):
    plan = plan | {"batch_size": plan["batch_size"] // ranks * ranks or ranks}
    batches = list(in_one_epoch(an_order(n), **plan))
    assert all(type(index) is int for batch in batches for index in batch)
    arrays = list(in_one_epoch(an_order(n), **plan).arrays())
    assert all(batch.dtype == np.int64 for batch in arrays)
    assert [batch.tolist() for batch in arrays] == batches
    shares = [list(in_one_epoch(an_order(n), **plan, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert [[i for part in parts for i in part] for parts in zip(*shares, strict=True)] == batches


@given(n=sizes, plan=plans, stop=st.integers(0, 60), lists=st.booleans())
def test_a_restart_repeats_the_remaining_batches(n, plan, stop, lists):
    stop = min(stop, plan["steps"])
    whole = list(in_one_epoch(an_order(n), **plan))
    first = in_one_epoch(an_order(n), **plan)
    batches = iter(first) if lists else first.arrays()
    begun = [list(next(batches)) for _ in range(stop)]
    state = json.loads(json.dumps(first.state_dict()))
    second = in_one_epoch(an_order(n), **(plan | {"seed": 77}))
    second.load_state_dict(state)
    assert begun + [batch.tolist() for batch in second.arrays()] == whole
    second.load_state_dict(state)
    assert stop == plan["steps"] or begun + list(second) == whole


def test_arrays_may_be_kept():
    kept = list(in_one_epoch(np.arange(100), 10, 200).arrays())
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
    batches = [tuple(batch) for batch in in_one_epoch(np.arange(1000), 1000, 5, pacing=None)]
    batches += [tuple(PacedSampler(np.arange(1000), 1000, 1, pacing=None, seed=1).__iter__().__next__())]
    assert len(set(batches)) == 6


def test_the_first_examples_come_first():
    sampler = in_one_epoch(np.arange(1000)[::-1], 10, 1000, pacing="linear", a=0.8, b=0.1)
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
    expected = list(in_one_epoch(np.arange(60), 7, 15))
    for workers in (0, 2):
        loader = DataLoader(dataset, batch_sampler=in_one_epoch(np.arange(60), 7, 15), num_workers=workers)
        assert len(loader) == 15
        seen = [(x.tolist(), y.tolist()) for x, y in loader]
        assert [x for x, _ in seen] == expected
        assert all(y == [2 * i for i in x] for x, y in seen)


SIXTY = TensorDataset(torch.arange(60))


def epoch_of(loader, most=None):
    """The batches that a loader gives in an epoch, or the first of them."""
    return [index.tolist() for (index,) in itertools.islice(loader, most)]


@pytest.mark.parametrize("loading", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_every_epoch_of_a_loader_is_the_next_of_the_plan(loading):
    whole = list(in_one_epoch(np.arange(60), 6, 30))
    sampler = PacedSampler(np.arange(60), 6, 30)
    loader = DataLoader(SIXTY, batch_sampler=sampler, **loading)
    assert isinstance(sampler, BatchSampler) and len(loader) == 10
    assert [epoch_of(loader) for _ in range(3)] == [whole[:10], whole[10:20], whole[20:]]
    for _ in range(2):  # past the plan, each epoch is a pass through all examples
        assert sorted(itertools.chain(*epoch_of(loader))) == list(range(60))


@pytest.mark.parametrize("loading", [{}, {"num_workers": 2}, {"num_workers": 2, "persistent_workers": True}])
def test_an_epoch_that_is_left_early_costs_nothing(loading):
    whole = list(in_one_epoch(np.arange(60), 6, 30))
    by_fours = DataLoader(SIXTY, batch_sampler=PacedSampler(np.arange(60), 6, 30, steps_per_epoch=4), **loading)
    assert [epoch_of(by_fours, 4) for _ in range(5)] == [whole[4 * e : 4 * e + 4] for e in range(5)]
    sampler = PacedSampler(np.arange(60), 6, 30)
    loader = DataLoader(SIXTY, batch_sampler=sampler, **loading)
    assert epoch_of(loader, 4) == whole[:4]
    assert epoch_of(loader, 4) == whole[10:14]
    for epoch in (1, 0, 2):
        sampler.set_epoch(epoch)
        assert epoch_of(loader, 3) == whole[10 * epoch : 10 * epoch + 3]


def test_epochs_need_not_be_passes():
    sampler = PacedSampler(np.arange(60), 6, 30, steps_per_epoch=7)
    assert list(itertools.chain(*(list(sampler) for _ in range(4)))) == list(in_one_epoch(np.arange(60), 6, 30))[:28]


def test_past_the_plan_it_may_raise():
    sampler = PacedSampler(np.arange(60), 6, 12, after="raise")
    assert [len(list(sampler)) for _ in range(2)] == [10, 2]
    with pytest.raises(ValueError, match="all 12 steps of the plan are drawn; after='all' goes on"):
        list(sampler)


def test_the_share_of_the_data():
    sampler = PacedSampler(np.arange(100), 10, 40, "step", a=0.5, b=0.2)
    shares = [sampler.share for _ in sampler.arrays()]
    assert shares[0] == 0.2 and set(shares) == {0.2, 1.0} and sampler.share == 1
    sampler.set_epoch(0)
    assert sampler.share == 0.2
    sampler.set_epoch(100)
    assert sampler.share == 1


def test_a_state_within_an_epoch_is_gone_on_with_twice():
    whole = list(in_one_epoch(np.arange(60), 6, 30))
    sampler = PacedSampler(np.arange(60), 6, 30)
    list(sampler)
    first = list(itertools.islice(sampler, 3))
    for _ in range(2):
        state, sampler = sampler.state_dict(), PacedSampler(np.arange(60), 6, 30)
        sampler.load_state_dict(state)
        sampler.set_epoch(1)  # as frameworks do; the epoch goes on
        first += list(itertools.islice(sampler, 3))
    assert first == whole[10:19]
    sampler.load_state_dict(sampler.state_dict())
    assert list(sampler) == whole[19:20] and list(sampler) == whole[20:]


@pytest.mark.parametrize("workers", [0, 2])
def test_stateful_loaders_go_on_bit_for_bit(workers):
    loaders = pytest.importorskip("torchdata.stateful_dataloader")

    def a_loader():
        return loaders.StatefulDataLoader(SIXTY, batch_sampler=PacedSampler(np.arange(60), 6, 30), num_workers=workers)

    whole, loader, seen = list(in_one_epoch(np.arange(60), 6, 30)), a_loader(), []
    seen += epoch_of(loader)
    for count in (3, 2):
        seen += epoch_of(loader, count)
        state, loader = loader.state_dict(), a_loader()
        loader.load_state_dict(state)
    assert seen + epoch_of(loader) + epoch_of(loader) == whole


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda planned: planned, ""),
        (
            lambda planned: planned[::-1],
            "10 of 10 batches are not those planned, of the same examples: something shuffled",
        ),
        (lambda planned: planned[:8], "only 8 of 10 batches were trained, the others were dropped; steps_per_epoch="),
        (lambda planned: [], "only 0 of 10 batches were trained"),
        (lambda planned: planned[1::2], "only 5 of 10 batches were trained, one in 2: processes shared them out twice"),
        (
            lambda planned: [batch[:3] for batch in planned],
            "batches had 3 of 6 examples: processes shared them out twice",
        ),
        (
            lambda planned: np.arange(60).reshape(10, 6),
            "48 of 60 examples trained were not planned, and 48 of 60 planned",
        ),
    ],
    ids=["as planned", "shuffled", "dropped", "none", "every second", "halves", "all drawn"],
)
def test_what_was_trained_is_held_against_the_plan(change, told):
    sampler = PacedSampler(np.arange(60), 6, 30, pacing=lambda step: 12)
    assert sampler.verify([]) == ""  # no epoch has begun
    list(sampler)
    planned = list(sampler)
    seen = change(planned)
    if not told:
        assert sampler.verify(seen) == sampler.verify([torch.tensor(batch) for batch in seen]) == ""
        assert sampler.verify(planned[2:5], partial=True) == ""
        return
    with pytest.warns(UserWarning, match="the order of PacedSampler was not kept in steps 10 to 19: ") as warned:
        assert told in sampler.verify(seen)
    assert len(warned) == 1 and told in str(warned[0].message)


def draw_on_a_rank(rank, folder):
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    sampler = PacedSampler(np.arange(60), 6, 30)
    (folder / f"{rank}.json").write_text(
        json.dumps([epoch_of(DataLoader(SIXTY, batch_sampler=sampler)) for _ in "123"])
    )
    with pytest.raises(ValueError, match="2 ranks cannot share a batch of 5 equally"):
        list(PacedSampler(np.arange(60), 5, 30))
    torch.distributed.barrier()  # one that leaves while the other still connects would fail it
    torch.distributed.destroy_process_group()


def test_ranks_are_found_and_share_every_batch(tmp_path):
    torch.multiprocessing.spawn(draw_on_a_rank, (tmp_path,), 2)
    shares = [itertools.chain(*json.loads((tmp_path / f"{rank}.json").read_text())) for rank in range(2)]
    assert [a + b for a, b in zip(*shares, strict=True)] == list(in_one_epoch(np.arange(60), 6, 30))


def test_accelerate_splits_batches_and_nothing_is_shared_out_twice():
    shard = pytest.importorskip("accelerate.data_loader").BatchSamplerShard
    whole = list(in_one_epoch(np.arange(60), 6, 30))
    shares = [list(shard(PacedSampler(np.arange(60), 6, 30), 2, rank, split_batches=True)) for rank in range(2)]
    assert [a + b for a, b in zip(*shares, strict=True)] == whole[:10]
    with pytest.raises(ValueError, match="the pacing would run too fast: set split_batches=True"):
        list(shard(PacedSampler(np.arange(60), 6, 30), 2, 0))
    with pytest.raises(ValueError, match="accelerate shares the batches out too: leave out rank and ranks"):
        list(shard(PacedSampler(np.arange(60), 6, 30, rank=0, ranks=2), 2, 0, split_batches=True))
    three = shard(PacedSampler(np.arange(60), 10, 30), 3, 0)
    three.split_batches = True
    with pytest.raises(ValueError, match="3 ranks cannot share a batch of 10 equally"):
        list(three)
    assert list(shard(PacedSampler(np.arange(60), 6, 30), 1, 0)) == whole[:10]


def test_state_by_number_of_steps_trained():
    whole, sampler = list(in_one_epoch(np.arange(50), 8, 20)), in_one_epoch(np.arange(50), 8, 20)
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
        PacedSampler(**base, after="raise").load_state_dict(state | {"step": 21})
    with pytest.raises(ValueError, match="in 0 to 20, not -1"):
        PacedSampler(**base).load_state_dict(state | {"step": -1})


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
        ({"steps_per_epoch": 0}, "an epoch must have a whole number of steps, at least 1, not 0"),
        ({"after": "stop"}, "unknown choice of after 'stop'; there are all, raise"),
        ({"rank": 1}, "both rank and ranks, or neither"),
        ({"rank": 2, "ranks": 2}, "0 to 1, not 2"),
        ({"rank": 0, "ranks": 3}, "3 ranks cannot share a batch of 8"),
    ],
)
def test_bad_arguments_are_named(change, complaint):
    arguments = {"order": np.arange(50), "batch_size": 8, "steps": 20} | change
    with pytest.raises(ValueError, match=complaint) as error:
        PacedSampler(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pacing", "told"),
    [
        (lambda step: 0.2 + step / 100, "returns 0.2 to 0.39, which look like fractions"),
        (lambda step: float("nan"), "returns np.float64.nan., not numbers of examples from 1 to 50"),
        (lambda step: -3, "not numbers of examples from 1 to 50"),
        (lambda step: "all", "not numbers of examples from 1 to 50"),
    ],
)
def test_the_unit_of_a_pacing_function_of_ones_own_is_checked(monkeypatch, pacing, told):
    with pytest.raises(ValueError, match=told):
        PacedSampler(np.arange(50), 10, 20, pacing)
    monkeypatch.setitem(PACING, "own", lambda t, T, N, a=1, b=1: np.linspace(0.1, 1, len(t)))
    with pytest.raises(ValueError, match=r"'own' returns 0\.1 to 1, which look like fractions"):
        PacedSampler(np.arange(50), 10, 20, "own")
    assert PacedSampler(np.arange(50), 10, 20, lambda step: min(step, 50)).prefix_sizes()[0] == 10  # none at first


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


@pytest.mark.parametrize("watched", [False, True])
def test_accelerate_goes_on_where_a_restart_left(tmp_path, watched):
    """It counts its passes from 0 in every process, and tells the sampler so."""
    accelerate = pytest.importorskip("accelerate")
    plan = [batch.tolist() for batch in PacedSampler(np.arange(40), 4, 50, steps_per_epoch=10).arrays()]
    sampler = PacedSampler(np.arange(40), 4, 50, steps_per_epoch=10)
    sampler.load_state_dict({**sampler.state_dict(), "step": 25})
    data = torch.utils.data.TensorDataset(torch.arange(40))
    made, accelerator = torch.utils.data.DataLoader(data, batch_sampler=sampler), accelerate.Accelerator(cpu=True)
    if watched:
        from agreement.accelerate import watch

        loader, _ = watch(accelerator, made, tmp_path)
        assert [index.tolist() for (index,) in loader] == plan[25:30]
        next(iter(loader))  # a loop that leaves its epoch early: the next is the next
        assert [index.tolist() for (index,) in loader] == plan[40:50]
    else:
        loader = accelerator.prepare(made)
        with pytest.warns(
            UserWarning, match=r"set_epoch\(0\) goes elsewhere than to epoch 2, where load_state_dict went"
        ):
            next(iter(loader))


def test_accelerate_gives_each_process_its_part_of_a_dynamic_samplers_batches(monkeypatch):
    shard = pytest.importorskip("accelerate.data_loader").BatchSamplerShard
    monkeypatch.setattr("agreement.tensors.ranks", lambda: (0, 2))
    sampler = DynamicSampler("superloss", 40, 8, 10)
    assert [len(batch) for batch in shard(sampler, 2, 0, split_batches=True)] == [4] * 5
