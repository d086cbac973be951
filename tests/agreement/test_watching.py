"""A loop of one's own, watched: the loop stays as it was, and the table says what happened."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, Subset, TensorDataset

import agreement
from agreement import Indexed, LearningRecord, LearningRecorder, examples_table, learned_epoch
from agreement.suspicion import suspects
from agreement.watching import Watch
from curricula import SCORES, PacedSampler, order

SIZE = 40
IMAGES = torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(0))
TARGETS = (IMAGES[:, 0] > 0).long()
DATA = TensorDataset(IMAGES, TARGETS)
COLUMNS = ["learning_time", "first", "last", "confidence", "margin", "forgetting", "suspect"]


class Words:
    """A data set of dictionaries, as for Hugging Face."""

    def __len__(self):
        return SIZE

    def __getitem__(self, index):
        return {"input": IMAGES[index], "label": int(TARGETS[index])}


def logits_of(images, epoch):
    """Better with every epoch."""
    return torch.stack([torch.zeros(len(images)), images[:, 0] + 1 - epoch / 2], dim=1)


def train(loader, watch, epochs=3):
    for epoch in range(epochs):
        for images, targets in loader:
            watch(logits_of(images, epoch), targets)


@pytest.mark.parametrize(
    "loading",
    [
        {"shuffle": True},
        {"num_workers": 2},
        {"num_workers": 1, "multiprocessing_context": "spawn", "persistent_workers": True},
    ],
)
def test_three_lines_record_a_loop(tmp_path, loading):
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=7, **loading), tmp_path)
    assert isinstance(loader, DataLoader) and (len(loader), loader.batch_size) == (6, 7)
    train(loader, watch)
    record = LearningRecord(tmp_path)
    assert record.classes == ["0", "1"] and record.labels("train").tolist() == TARGETS.tolist()
    expected = np.array([logits_of(IMAGES, epoch).argmax(dim=1) == TARGETS for epoch in range(3)])
    assert (record.correct("train")[0] == expected).all() and watch.epochs == 3
    table = watch.table()
    assert list(table) == ["id", "known", *COLUMNS]
    assert table["id"].tolist() == list(range(SIZE)) and (table["known"] == 1).all()
    np.testing.assert_allclose(table["learning_time"], 1 - expected.mean(axis=0))
    assert table["last"].fillna(np.inf).tolist() == learned_epoch(expected[None]).tolist()
    probability = torch.stack([torch.softmax(logits_of(IMAGES, epoch), dim=1) for epoch in range(3)])
    true = probability[:, torch.arange(SIZE), TARGETS].mean(dim=0)
    np.testing.assert_allclose(table["confidence"], true, atol=0.003)
    logits = torch.stack([logits_of(IMAGES, epoch) for epoch in range(3)])
    margins = logits[:, torch.arange(SIZE), TARGETS] - logits[:, torch.arange(SIZE), 1 - TARGETS]
    np.testing.assert_allclose(table["margin"], margins.mean(dim=0), rtol=2e-3, atol=2e-3)
    assert (table["suspect"] == (table["margin"] < 0)).all()


def test_batches_come_as_they_were():
    torch.manual_seed(0)
    plain = list(DataLoader(DATA, batch_size=7, shuffle=True))
    torch.manual_seed(0)
    loader, _ = agreement.watch(DataLoader(DATA, batch_size=7, shuffle=True), "nothing is written")
    for (a, b), (c, d) in zip(plain, loader, strict=True):
        assert (a == c).all() and (b == d).all()
    dropped, _ = agreement.watch(DataLoader(Words(), batch_size=7, drop_last=True), "nothing is written")
    assert [sorted(batch) for batch in dropped] == [["input", "label"]] * 5


def test_an_indexed_data_set():
    assert Indexed(DATA)[3][0] == 3 and len(Indexed(DATA)) == SIZE
    assert Indexed(Subset(DATA, [5, 6])).__getitems__([1])[0][1][0].tolist() == IMAGES[6].tolist()
    index, (images, _) = next(iter(DataLoader(Indexed(DATA), batch_size=5, shuffle=True)))
    assert (images == IMAGES[index]).all()


def test_a_curriculum_from_scores_and_its_own_record(tmp_path):
    """In the first epochs of the curriculum not all examples are in."""
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=8), tmp_path / "first")
    train(loader, watch)
    easy_first = order(watch.scores("confidence"), "curriculum")
    assert watch.table()["confidence"][easy_first[0]] == watch.table()["confidence"].max()
    sampler = PacedSampler(easy_first, 8, 20, "step", b=0.2)
    loader, watch = agreement.watch(DataLoader(DATA, batch_sampler=sampler), tmp_path / "second")
    train(loader, watch, 1)
    table = watch.table()
    assert table["known"].sum() == 8 and set(table.index[table["known"] == 1]) == set(easy_first[:8])
    unseen = table[table["known"] == 0]
    assert unseen.drop(columns=["id", "known"]).isna().all(axis=None)
    assert np.isnan(watch.scores("confidence")).sum() == SIZE - 8
    assert not LearningRecord(tmp_path / "second").correct("train")[0, :, unseen.index].any()
    train(loader, watch, 4)
    table = watch.table()
    assert (table["known"] > 0).all() and table["known"].min() < 1
    assert LearningRecord(tmp_path / "second").labels("train").tolist() == TARGETS.tolist()


def test_a_table_within_an_epoch_and_a_loop_that_leaves_early(tmp_path):
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=10), tmp_path)
    with pytest.raises(ValueError, match="nothing was noted yet"):
        watch.table()
    for step, (images, targets) in enumerate(loader):
        watch(logits_of(images, 9), targets)
        assert watch.table()["known"].sum() == 10 * (step + 1)
        if step == 1:
            break
    assert watch.epochs == 0
    train(loader, watch, 1)
    assert watch.epochs == 2 and watch.table()["known"].tolist() == [1] * 20 + [0.5] * 20
    watch.end_epoch()
    assert watch.epochs == 2


def test_scores_are_lower_where_easier(tmp_path):
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=10), tmp_path)
    train(loader, watch)
    table = watch.table()
    assert (watch.scores() == -table["confidence"]).all() and (watch.scores("margin") == -table["margin"]).all()
    assert (watch.scores("learning_time") == table["learning_time"]).all()
    last = watch.scores("last")
    assert (np.isinf(last) == table["last"].isna()).all() and not np.isnan(last).any()
    with pytest.raises(ValueError, match="no scores 'id'; there are learning_time, first, last, confidence"):
        watch.scores("id")


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_logit_with_its_targets(tmp_path, shape):
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=10), tmp_path)
    for images, targets in loader:
        watch(images[:, 0].reshape(shape), targets.float().reshape(shape))
    assert LearningRecord(tmp_path).correct("train").all() and (watch.table()["first"] == 1).all()


def test_a_restart_and_a_second_network(tmp_path):
    for begun in range(2):
        loader, watch = agreement.watch(DataLoader(DATA, batch_size=10), tmp_path, resume=True)
        assert watch.epochs == begun
        train(loader, watch, 1)
    loader, second = agreement.watch(DataLoader(DATA, batch_size=10), tmp_path, network=1, name="other")
    train(loader, second, 2)
    record = LearningRecord(tmp_path)
    assert record.networks == ["network", "other"] and record.correct("train").shape == (2, 2, SIZE)
    assert watch.epochs == second.epochs == 2


def test_other_data_are_refused(tmp_path):
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=10), tmp_path)
    train(loader, watch, 1)
    loader, watch = agreement.watch(
        DataLoader(TensorDataset(IMAGES, 1 - TARGETS), batch_size=10), tmp_path, resume=True
    )
    with pytest.raises(ValueError, match=r"example 0 had another target before: .* the record of other data, or"):
        train(loader, watch, 1)
    loader, watch = agreement.watch(DataLoader(Subset(DATA, range(20)), batch_size=10), tmp_path)
    with pytest.raises(ValueError, match="the record of 40 examples, not 20"):
        train(loader, watch, 1)


def a_watch(folder):
    watch = Watch(SIZE, folder, 0, None, "network", True)
    watch.index = torch.arange(4)
    return watch


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ([0, 1, -1, 0], "^targets must be in 0 to 2, not -1$"),
        ([0, 1, 3, 0], "^targets must be in 0 to 2, not 3$"),
        ([0, 1, 0.3, 0], "^targets must be whole numbers, not such as 0.3"),
        (["a", "b", "a", "b"], "^targets must be whole numbers, not <U1"),
        (
            np.zeros((4, 3)),
            r"^targets must be one whole number per example, not of shape \(4, 3\); give watch multi_label=",
        ),
        ([0, 1], "^2 targets, but the loader gave a batch of 4 examples$"),
    ],
)
def test_targets_are_checked_in_the_first_batch(tmp_path, targets, told):
    with pytest.raises(ValueError, match=told):
        a_watch(tmp_path)(np.zeros((4, 3)), targets)


def test_it_is_called_once_a_step(tmp_path):
    watch = a_watch(tmp_path)
    watch(np.zeros((4, 3)), [0, 1, 2, 0])
    with pytest.raises(ValueError, match="watch is called once a step, after its loader gave the batch"):
        watch(np.zeros((4, 3)), [0, 1, 2, 0])


def on_a_rank(rank, folder):
    """Two epochs of 41 examples on two processes, the last of them padded, and a restart for the second."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    data = TensorDataset(torch.cat([IMAGES, IMAGES[:1]]), torch.cat([TARGETS, TARGETS[:1]]))
    sampler = DistributedSampler(data)
    for epoch in range(2):
        loader, watch = agreement.watch(
            DataLoader(data, batch_size=10, sampler=sampler), folder / "record", resume=True
        )
        assert watch.epochs == epoch
        sampler.set_epoch(epoch)
        for images, targets in loader:
            watch(logits_of(images, epoch), targets)
        table = watch.table()
        assert watch.epochs == epoch + 1 and (table["known"] == 1).all()
    # with the index, and examples that only one of them has, or both
    recorder = LearningRecorder(folder / "indexed", {"train": TARGETS})
    own = [0, 1, 2] if rank == 0 else [2, 3]
    recorder.update(own, logits_of(IMAGES, 5)[own])
    recorder.end_epoch(loss=1.0)
    table.to_pickle(folder / f"{rank}.pickle")
    torch.distributed.destroy_process_group()


def test_several_processes_record_together(tmp_path):
    torch.multiprocessing.spawn(on_a_rank, (tmp_path,), 2)
    record = LearningRecord(tmp_path / "record")
    images, targets = torch.cat([IMAGES, IMAGES[:1]]), torch.cat([TARGETS, TARGETS[:1]])
    expected = [(logits_of(images, epoch).argmax(dim=1) == targets).tolist() for epoch in range(2)]
    assert record.correct("train").tolist() == [expected] and record.labels("train").tolist() == targets.tolist()
    assert record.is_complete("train")
    assert pd.read_pickle(tmp_path / "0.pickle").equals(pd.read_pickle(tmp_path / "1.pickle"))
    indexed = LearningRecord(tmp_path / "indexed")
    assert indexed.known("train").sum() == 4 and indexed.known("train")[0, 0, :4].all()
    assert indexed.series("loss").tolist() == [[1.0]]


def test_sets_of_classes_and_other_tasks_in_three_lines(tmp_path):
    sets = torch.stack([TARGETS, 1 - TARGETS, torch.ones_like(TARGETS)], dim=1).float()
    names = [f"{i}.png" for i in range(SIZE)]
    loader = DataLoader(TensorDataset(IMAGES, sets), batch_size=9, shuffle=True)
    loader, watch = agreement.watch(loader, tmp_path / "sets", ids=names, multi_label=True)
    for _, targets in loader:
        watch(4 * targets - 2, targets)
    record = LearningRecord(tmp_path / "sets")
    assert record.multi_label and record.correct("train").all() and record.ids("train") == names
    assert watch.table()["id"].tolist() == names and (watch.table()["first"] == 1).all()
    loader, watch = agreement.watch(DataLoader(DATA, batch_size=9), tmp_path / "told")
    for images, targets in loader:
        watch.update_correct(targets == 1, images[:, 0].sigmoid())
    np.testing.assert_allclose(watch.table()["confidence"], IMAGES[:, 0].sigmoid(), atol=0.003)
    assert LearningRecord(tmp_path / "told").correct("train")[0, 0].tolist() == (TARGETS == 1).tolist()


def test_other_kinds_of_loaders_are_refused(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(DATA)

    for loader in (DataLoader(Stream()), DataLoader(DATA, batch_size=None), [1, 2]):
        with pytest.raises(
            TypeError, match=r"watch takes a torch DataLoader .* wrap the data set in agreement\.Indexed"
        ):
            agreement.watch(loader, tmp_path)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'wach'"):
        agreement.wach  # noqa: B018


def test_a_loader_of_a_batch_sampler(tmp_path):
    draws = torch.utils.data.RandomSampler(DATA)
    made = DataLoader(DATA, batch_sampler=torch.utils.data.BatchSampler(draws, 8, False))
    loader, watch = agreement.watch(made, tmp_path)
    assert len(loader) == 5
    train(loader, watch, 1)
    assert (watch.table()["known"] == 1).all()


def test_sets_of_classes_need_targets_that_are_sets(tmp_path):
    watch = Watch(SIZE, tmp_path, multi_label=True)
    watch.index = torch.arange(4)
    with pytest.raises(ValueError, match=r"^targets must be 0 or 1 for each example and class"):
        watch(torch.zeros(4, 3), torch.tensor([1, 2, 0, 1]))


def test_scores_are_over_the_epochs_in_which_an_example_was_drawn(tmp_path):
    """A paced loop brings examples in late: before, there is nothing to average."""
    watch = Watch(SIZE, tmp_path)
    for epoch in range(4):
        drawn = torch.arange(SIZE - 1 - 10 * (epoch == 0))  # the last ones come in later, the very last never
        watch.index = drawn
        watch(8 * torch.nn.functional.one_hot(TARGETS[drawn], 2).float(), TARGETS[drawn])
        watch.end_epoch()
    record, table = LearningRecord(tmp_path), watch.table()
    for name in ("confidence", "aum", "loss", "variability", "margin"):
        values = SCORES[name].read(record)
        assert np.isnan(values[-1]) and np.ptp(values[:-1]) < 1e-6, name
    np.testing.assert_allclose(SCORES["confidence"].read(record), table["confidence"], rtol=1e-6)
    assert suspects(record, "train", {}).argmax() == SIZE - 1  # of what was never drawn nothing is doubted
    assert examples_table(record, {"train": pd.DataFrame(index=range(SIZE))})["confidence"][30] > 0.99
