"""Records from loops that are not this program's, with numbers by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from agreement import LearningRecorder, curves_of, examples_table, own_loop, tensors, true_positive_agreement
from agreement.record import LearningRecord

LABELS = np.array([0, 2, 1])
LOGITS = [[[2.0, 0, 0], [0, 0, 3], [9, 0, 0]], [[0, 1, 0], [0, 0, 1], [0, 1, 0]]]  # two epochs


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_predictions_and_probabilities_are_those_of_the_logits(tmp_path, kind):
    recorder = LearningRecorder(tmp_path / "record", {"train": LABELS})
    for logits in LOGITS:
        recorder.update(kind([2, 0]), kind([logits[2], logits[0]]))
        recorder.update(kind([1]), kind([logits[1]]))
        recorder.end_epoch(loss=1.5)
    record = LearningRecord(tmp_path / "record")
    assert record.classes == ["0", "1", "2"] and record.epochs == 2
    assert record.correct("train").tolist() == [[[True, True, False], [False, True, True]]]
    expected = torch.softmax(torch.tensor(LOGITS), dim=2)[:, torch.arange(3), torch.from_numpy(LABELS)]
    np.testing.assert_allclose(record.probability("train")[0] / 255, expected, atol=0.5 / 255 + 1e-6)
    assert record.series("loss").tolist() == [[1.5, 1.5]]


def test_networks_share_a_record(tmp_path):
    for k, right in enumerate((LOGITS[0], LOGITS[1])):
        recorder = LearningRecorder(tmp_path, {"train": LABELS, "test": LABELS}, network=k, name=f"net{k}")
        recorder.update([0, 1, 2], right)
        recorder.update([0, 1, 2], right, "test")
        recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.networks == ["net0", "net1"]
    assert true_positive_agreement(record.correct("test")).tolist() == [pytest.approx(1 / 3)]


def test_what_is_not_given_has_names_of_its_own(tmp_path):
    LearningRecorder(tmp_path / "in" / "folders that are new", {"train": LABELS})
    record = LearningRecord(tmp_path / "in" / "folders that are new")
    assert (record.networks, record.classes, record.ids("train")) == (["network"], ["0", "1", "2"], ["0", "1", "2"])


def test_logits_may_be_large_of_low_precision_and_part_of_a_graph(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS})
    logits = torch.tensor([[1e4, 0, 0], [0, 0, -1e4], [-1e4, -1e4, -1e4]], dtype=torch.bfloat16, requires_grad=True)
    recorder.update(torch.arange(3), logits)
    recorder.end_epoch()
    assert LearningRecord(tmp_path).probability("train")[0].tolist() == [[255, 0, 85]]


def test_other_labels_are_refused(tmp_path):
    LearningRecorder(tmp_path, {"train": LABELS})
    with pytest.raises(ValueError, match="the record of other train labels"):
        LearningRecorder(tmp_path, {"train": LABELS[::-1]}, network=1)
    (tmp_path / "train-labels.npy").write_bytes(b"\x80\x04.")
    with pytest.raises(ValueError, match=r"train-labels\.npy is damaged"):
        LearningRecorder(tmp_path, {"train": LABELS}, network=1)


@pytest.mark.parametrize(
    ("logits", "told"),
    [
        (np.zeros((3, 1000)), "logits of 1000 classes, where the record has 3: give classes="),
        (np.zeros(3), "logits of 1 classes, where the record has 3: give classes="),
        (np.zeros((3, 3, 2)), r"logits must be \(examples, classes\), not of shape \(3, 3, 2\)"),
        (
            np.full((3, 3), np.nan),
            "^logits are not finite: the training has diverged; a smaller learning rate may help$",
        ),
    ],
)
def test_logits_that_cannot_be_recorded(tmp_path, logits, told):
    with pytest.raises(ValueError, match=told):
        LearningRecorder(tmp_path, {"train": LABELS}).update([0, 1, 2], logits)


def test_what_an_epoch_lacks_is_known_as_such(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS, "test": LABELS})
    recorder.update([1], LOGITS[0][1:2])
    recorder.update([0, 1, 2], LOGITS[0], "test")
    recorder.end_epoch(**{"test/loss": 1.0})
    recorder.update([0, 0], [LOGITS[1][0], LOGITS[0][0]])  # as a padded sampler gives one: the last counts
    recorder.end_epoch(**{"test/loss": 1.0})
    with pytest.raises(ValueError, match="no example was noted in this epoch"):
        recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.known("train").tolist() == [[[False, True, False], [True, False, False]]]
    assert record.known("test").tolist() == [[[True] * 3, [False] * 3]]
    assert record.correct("train").tolist() == [[[False, True, False], [True, True, False]]]
    assert record.correct("test").tolist() == [[[True, True, False]] * 2]
    assert [record.label_name(p) for p in record.predictions("train")[0][1]] == ["0", "2", "not seen"]
    table = pd.DataFrame(index=range(3))
    assert curves_of(record, "test", record.correct("test"), table)["known"].tolist() == [1, 0]
    assert examples_table(record, {"train": table})["known"].tolist() == [0.5, 0.5, 0]


def test_a_complete_record_has_no_mask(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS})
    recorder.update([0, 1, 2], LOGITS[0])
    recorder.end_epoch()
    assert not list(tmp_path.glob("*/*-known.npy"))
    assert LearningRecord(tmp_path).is_complete("train") and LearningRecord(tmp_path).known("train").all()


def test_margins_are_of_the_label_against_the_best_other_and_errors_are_lengths(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS})
    recorder.update([0, 1], LOGITS[0][:2])
    recorder.end_epoch()
    recorder.update([2], LOGITS[0][2:])
    recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.margin("train")[0].dtype == np.float16
    np.testing.assert_array_equal(record.margin("train")[0], [[2, 3, np.nan], [2, 3, -9]])
    away = torch.softmax(torch.tensor(LOGITS[0]), dim=1) - torch.eye(3)[LABELS]
    np.testing.assert_allclose(record.error("train")[0][1], away.norm(dim=1), rtol=1e-3)


def test_a_margin_beyond_half_precision_is_the_largest(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS})
    recorder.update([0, 1, 2], np.array([[1e6, 0, 0], [1e6, 0, 0], [0, 0, 0]]))
    recorder.end_epoch()
    assert LearningRecord(tmp_path).margin("train")[0].tolist() == [[65504, -65504, 0]]


def test_a_record_of_an_earlier_version_says_that_it_has_no_margins(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS})
    recorder.update([0, 1, 2], LOGITS[0])
    recorder.end_epoch()
    (tmp_path / "network-1" / "train-margin.npy").unlink()
    record = LearningRecord(tmp_path)
    assert record.correct("train").shape == (1, 1, 3)
    with pytest.raises(ValueError, match="has no margin of its train examples: an earlier version made it"):
        record.margin("train")
    np.save(tmp_path / "network-1" / "train-error.npy", np.zeros((1, 3), np.int8))
    with pytest.raises(ValueError, match=r"train-error\.npy is not an array of fractions with 2 dimensions"):
        record.error("train")


def test_a_restart_goes_on_with_the_finished_epochs(tmp_path):
    def begun(**others):
        return LearningRecorder(tmp_path, {"train": LABELS}, **({"resume": True} | others))

    for epoch, seen in enumerate(([0, 1, 2], [1], [2])):
        recorder = begun()
        assert recorder.epochs == epoch
        recorder.update(seen, np.array(LOGITS[epoch % 2])[seen])
        recorder.end_epoch()
    recorder = begun()
    recorder.update([0], LOGITS[1][:1])  # lost: the process ends within the epoch
    for _ in range(2):
        record = LearningRecord(tmp_path)
        assert record.correct("train").astype(int).tolist() == [[[1, 1, 0]] * 3]
        assert record.known("train").astype(int).tolist() == [[[1, 1, 1], [0, 1, 0], [0, 0, 1]]]
        begun()
    assert begun(resume=False).epochs == 0 and LearningRecord(tmp_path).epochs == 0
    assert not list(tmp_path.glob("*/*-known.npy"))


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("labels", [[0, 1, 1, 0], [0.0, 1.0, 1.0, 0.0]])
def test_one_logit_tells_two_classes_apart(tmp_path, shape, labels):
    recorder = LearningRecorder(tmp_path, {"train": torch.tensor(labels)})
    recorder.update(torch.arange(4), torch.tensor([-1.0, 2.0, -3.0, 0.5]).reshape(shape))
    recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.predictions("train")[0].tolist() == [[0, 1, 0, 1]]
    expected = torch.sigmoid(torch.tensor([1.0, 2.0, -3.0, -0.5]))
    np.testing.assert_allclose(record.probability("train")[0][0] / 255, expected, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("indices", "told"),
    [
        ([0, -1], "^indices must be in 0 to 2, not -1$"),
        ([0, 3], "^indices must be in 0 to 2, not 3$"),
        (torch.tensor([0.0, 1.0]), "^indices must be whole numbers, not float32 such as "),
        (["a", "b"], "^indices must be whole numbers, not <U1 such as "),
        ([[0], [1]], r"^indices must be one whole number per example, not of shape \(2, 1\)$"),
        ([0, 1, 2], "^3 indices, but logits of 2 examples$"),
    ],
)
def test_indices_are_checked_when_they_come(tmp_path, indices, told):
    with pytest.raises(ValueError, match=told):
        LearningRecorder(tmp_path, {"train": LABELS}).update(indices, LOGITS[0][:2])


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, -1], "^train labels must be in 0 to 1, not -1; leave out what has no label$"),
        ([0, 4], "^train labels must be in 0 to 1, not 4; name all classes in classes=$"),
        ([1, 2], "^train labels must be in 0 to 1, not 2; number the classes from 0 on$"),
        ([0, 0.5], "^train labels must be whole numbers, not such as 0.5; for other tasks give the number of examples"),
        ([0, np.nan], "^train labels must be whole numbers, and 1 of 2 are missing or infinite"),
        (
            ["cat", "dog"],
            "^train labels must be whole numbers, not <U3 such as .*; number the names, such as by numpy.unique",
        ),
        (
            np.zeros((5, 20), int),
            r"^train labels must be one whole number .* not of shape \(5, 20\); give multi_label=True",
        ),
    ],
)
def test_labels_are_checked_when_they_come(tmp_path, labels, told):
    with pytest.raises(ValueError, match=told):
        LearningRecorder(tmp_path, {"train": labels}, classes=["cat", "dog"])


def test_labels_that_begin_at_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="the labels begin at 1: number the classes from 0 on, or name all of them"):
        LearningRecorder(tmp_path, {"train": [1, 2, 3]})


def test_a_split_that_was_not_named(tmp_path):
    with pytest.raises(ValueError, match="the record has the splits train, not 'test'"):
        LearningRecorder(tmp_path, {"train": LABELS}).update([0], LOGITS[0][:1], "test")


def test_other_classes_are_refused(tmp_path):
    LearningRecorder(tmp_path, {"train": LABELS})
    with pytest.raises(ValueError, match="the record of other classes; give another folder"):
        LearningRecorder(tmp_path, {"train": LABELS}, classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="the record of other test labels"):
        LearningRecorder(tmp_path, {"train": LABELS, "test": LABELS})


def test_sets_of_classes(tmp_path):
    """Right only where all classes are; the probability is that of the whole set, the margin the least logit that goes the right way."""
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    logits = np.array([[2.0, -1, 0.5], [-1, -2, 0.2], [-3, 1, -1]])
    recorder = LearningRecorder(tmp_path, {"train": labels}, classes=["a", "b", "c"], multi_label=True)
    recorder.update([0, 1, 2], torch.tensor(logits))
    recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.labels("train").tolist() == [5, 0, 2] and record.predictions("train")[0].tolist() == [[5, 4, 2]]
    assert [record.label_name(each) for each in record.labels("train")] == ["a, c", "", "b"]
    likely = 1 / (1 + np.exp(-logits))
    of = {s: np.prod([likely[:, c] if s >> c & 1 else 1 - likely[:, c] for c in range(3)], axis=0) for s in range(8)}
    true = np.array([of[label][i] for i, label in enumerate([5, 0, 2])])
    np.testing.assert_allclose(record.probability("train")[0][0] / 255, true, atol=0.5 / 255 + 1e-6)
    np.testing.assert_allclose(record.margin("train")[0][0], [0.5, -0.2, 1], atol=1e-3)
    np.testing.assert_allclose(record.error("train")[0][0], np.linalg.norm(likely - labels, axis=1), atol=1e-3)
    with pytest.raises(ValueError, match="must be 0 or 1 for each example and class"):
        LearningRecorder(tmp_path / "other", {"train": [[0, 0.5]]}, multi_label=True)


def test_many_classes_in_sets(tmp_path):
    labels = np.eye(62, dtype=int)[[61, 0, 60]]
    recorder = LearningRecorder(tmp_path, {"train": labels}, multi_label=True)
    recorder.update([0, 1], 9.0 * labels[:2] - 4)
    recorder.end_epoch()
    assert LearningRecord(tmp_path).correct("train").tolist() == [[[True, True, False]]]


def test_the_loop_says_what_is_right(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": 4})
    recorder.update_correct([0, 1], [True, False], [0.9, 0.4])
    recorder.update_correct(torch.tensor([2]), torch.tensor([True]))
    recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.correct("train").tolist() == [[[True, False, True, False]]]
    np.testing.assert_allclose(record.probability("train")[0][0] / 255, [0.9, 0.4, 1, 0], atol=0.5 / 255)
    assert record.known("train").tolist() == [[[True, True, True, False]]]
    with pytest.raises(ValueError, match=r"^value must be from 0 to 1 for each example$"):
        recorder.update_correct([0], [True], [1.5])
    with pytest.raises(ValueError, match=r"^correct must be in 0 to 1, not 2$"):
        recorder.update_correct([0], [2])
    with pytest.raises(ValueError, match="the record has no labels"):
        recorder.update([0], [[0.0, 1.0]])
    with pytest.raises(ValueError, match="the record has labels: give the logits to update"):
        LearningRecorder(tmp_path / "other", {"train": LABELS}).update_correct([0], [True])


@pytest.mark.parametrize("ids", [["a.png", "b.png", "c.png"], [70, 7, 30]])
def test_ids_of_ones_own(tmp_path, ids):
    recorder = LearningRecorder(tmp_path, {"train": LABELS}, ids={"train": ids})
    recorder.update([ids[2], ids[0]], [LOGITS[1][2], LOGITS[1][0]])
    if isinstance(ids[0], int):
        recorder.update(torch.tensor([7]), [LOGITS[1][1]])
    recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert record.ids("train") == [str(each) for each in ids]
    assert record.correct("train").tolist() == [[[False, isinstance(ids[0], int), True]]]
    with pytest.raises(ValueError, match=r"^no train example has the id 1$"):
        recorder.update([1], LOGITS[0][:1])
    with pytest.raises(ValueError, match="the record of other train ids; give another folder"):
        LearningRecorder(tmp_path, {"train": LABELS}, network=1)
    with pytest.raises(
        ValueError, match="train ids must be different for each of 3 examples; 2 different ones were given"
    ):
        LearningRecorder(tmp_path / "other", {"train": LABELS}, ids={"train": ["a", "a", "b"]})


def test_a_folder_used_again(tmp_path):
    """A notebook whose cell is run again must not go on in silence, nor mix networks of two measurements."""

    def begun(network=0, **others):
        recorder = LearningRecorder(tmp_path, {"train": LABELS}, network, **others)
        recorder.update([0, 1, 2], LOGITS[0])
        recorder.end_epoch()
        return recorder.epochs

    assert begun() == 1
    with pytest.raises(
        ValueError, match="holds 1 epochs of network=0 from earlier in this process: give another folder, "
    ):
        begun()
    assert begun(resume=True) == 2 and begun(resume=False) == 1 and begun(1) == 1
    with pytest.raises(
        ValueError, match="holds 2 networks of an earlier measurement, with which network=0 would be mixed"
    ):
        begun(resume=False)
    own_loop.BEGUN.clear()  # as in a process that starts again
    with pytest.warns(UserWarning, match=r"network=0 goes on after the 1 epochs there \(resume=True says so"):
        assert begun() == 2


@pytest.mark.parametrize("kind", ["labels", "one logit", "sets of classes", "outcomes"])
def test_another_device_is_waited_for_once_an_epoch(tmp_path, monkeypatch, kind):
    """Tensors count as lying elsewhere; whatever would wait for them is counted. The record is the same as from the CPU."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(30, {"labels": 4, "one logit": 1}.get(kind, 3), generator=draw)
    labels = torch.arange(30) % {"labels": 4}.get(kind, 2)
    given = {"sets of classes": (logits.roll(1, 0) > 0).long(), "outcomes": 30}.get(kind, labels)
    waited = []

    def count(name):
        method = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, *others: waited.append(name) or method(self, *others))

    records = []
    for lies in ("cpu", "elsewhere"):
        recorder = LearningRecorder(tmp_path / lies, {"train": given}, multi_label=kind == "sets of classes")
        if lies == "elsewhere":
            monkeypatch.setattr(own_loop, "elsewhere", lambda values: isinstance(values, torch.Tensor))
            for name in ("cpu", "item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__array__"):
                count(name)
        for _ in range(2):
            for index in torch.arange(30).split(7):
                if kind == "outcomes":
                    recorder.update_correct(index, logits[index, 0] > 0, logits[index, 1].sigmoid())
                else:
                    recorder.update(index, logits[index])
                assert not waited
            recorder.end_epoch()
            assert waited in ([], ["cpu", "numpy"])
            waited.clear()
        record = LearningRecord(tmp_path / lies)
        kinds = (record.predictions, record.probability, record.margin)
        records.append(np.concatenate([each("train")[0] for each in kinds]).astype(int))
    assert np.abs(records[0] - records[1]).max() <= 1 and (records[0][:2] == records[1][:2]).all()
    if kind != "outcomes":
        monkeypatch.setattr(torch.Tensor, "detach", torch.Tensor.clone)
        recorder.update(torch.tensor([31]), logits[:1])
        with pytest.raises(ValueError, match="indices must be in 0 to 29, not 31"):
            recorder.end_epoch()
        recorder.update(torch.tensor([3]), logits[:1] * torch.nan)
        with pytest.raises(ValueError, match="logits are not finite: the training has diverged"):
            recorder.end_epoch()


def test_numbers_of_an_epoch_may_be_of_numpy_or_torch(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": [0, 1]})
    for right, loss in ((False, np.float32(0.5)), (True, torch.tensor(0.25)), (True, 1)):
        recorder.update([0, 1], 5 * np.eye(2)[[0, 1] if right else [1, 0]])
        recorder.end_epoch(loss=loss, seldom=None)
    record = LearningRecord(tmp_path)
    assert record.series("loss").tolist() == [[0.5, 0.25, 1]]
    assert record.correct("train")[0].all(axis=1).tolist() == [False, True, True]


def test_a_number_that_is_none_leaves_the_record_as_it_was(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": [0, 1]})
    recorder.update([0, 1], 5 * np.eye(2))
    with pytest.raises(ValueError):
        recorder.end_epoch(loss="low")
    recorder.end_epoch(loss=1)
    assert LearningRecord(tmp_path).correct("train").shape == (1, 1, 2)


def test_ids_in_a_tensor_and_names_of_too_few_classes(tmp_path):
    recorder = LearningRecorder(tmp_path / "ids", {"train": [0, 1]}, ids={"train": torch.tensor([7, 9])})
    recorder.update(torch.tensor([9, 7]), 5 * np.eye(2)[[1, 0]])
    recorder.end_epoch()
    record = LearningRecord(tmp_path / "ids")
    assert record.ids("train") == ["7", "9"] and record.correct("train").all()
    with pytest.raises(ValueError, match="the labels have 5 columns, and classes= 3 names"):
        LearningRecorder(tmp_path / "sets", {"train": np.ones((4, 5), int)}, multi_label=True, classes=["a", "b", "c"])


def test_sets_of_forty_classes_of_which_an_epoch_lacks_examples(tmp_path):
    labels = np.random.default_rng(0).integers(0, 2, (20, 40))
    recorder = LearningRecorder(tmp_path, {"train": labels}, multi_label=True)
    for seen in (range(16), range(20)):
        recorder.update([*seen], 4.0 * labels[list(seen)] - 2)
        recorder.end_epoch()
    record = LearningRecord(tmp_path)
    assert all(network.dtype.kind in "iu" for network in record.noted("train"))
    assert record.correct("train")[0].sum(axis=1).tolist() == [16, 20]


@pytest.mark.parametrize(
    ("targets", "sets_of", "fits"),
    [
        ([0.0, 1.0], 0, [1, 1]),
        ([0.9, 1], 0, [-1, 1]),
        ([[0.9, 0], [1, 0]], 2, [-1, 1]),
        ([[2, 0], [0, 1]], 2, [-1, 1]),
        ([3, 0], 2, [1, 1]),
    ],
)
def test_what_lies_on_a_gpu_is_checked_as_on_the_cpu(targets, sets_of, fits):
    """Here on the CPU, by the function that a GPU runs."""
    rows = tensors.outcome(torch.arange(2), torch.zeros(2, 2), torch.tensor(targets), 2, sets_of)
    assert rows[-1].tolist() == fits
    assert tensors.right_or_wrong(torch.arange(2), torch.tensor([0.9, 1.0]), None)[-1].tolist() == [0, 1]
