"""A record as a table by epoch, and as cleanlab takes it."""

import numpy as np
import pytest
import torch

import agreement
from agreement import LearningRecord, LearningRecorder
from agreement.recorder import begin_record

DRAW = np.random.default_rng(0)
SIZE, CLASSES, EPOCHS = 400, 4, 6
CENTRES = 4 * np.eye(CLASSES)
TRUE = np.arange(SIZE) % CLASSES
WRONG = np.flatnonzero(DRAW.random(SIZE) < 0.1)
LABELS = TRUE.copy()
LABELS[WRONG] = (TRUE[WRONG] + 1) % CLASSES


def logits_of(epoch):
    """Of a network that learns the true classes, whatever the labels say."""
    return (epoch + 1) / EPOCHS * CENTRES[TRUE] + DRAW.normal(size=(SIZE, CLASSES)) / 2


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder, probability = tmp_path_factory.mktemp("record"), []
    for k in range(2):
        recorder = LearningRecorder(folder, {"train": LABELS}, network=k)
        for epoch in range(EPOCHS):
            logits = logits_of(epoch)
            probability.append(torch.softmax(torch.tensor(logits), dim=1).numpy())
            recorder.update(np.arange(SIZE), logits)
            recorder.end_epoch()
    return folder, np.mean(probability, axis=0)


def test_a_row_per_epoch(recorded):
    table = agreement.summary(recorded[0])
    correct = LearningRecord(recorded[0]).correct("train")
    assert list(table) == ["accuracy", "agreement", "chance_agreement", "excess_agreement", "lower_bound"]
    assert table.index.tolist() == list(range(1, EPOCHS + 1)) and table.index.name == "epoch"
    assert table["agreement"].tolist() == agreement.true_positive_agreement(correct).tolist()
    assert table["accuracy"].tolist() == correct.mean(axis=(0, 2)).tolist()


def test_an_epoch_that_lacked_examples_says_so(tmp_path):
    recorder = LearningRecorder(tmp_path, {"train": LABELS})
    with pytest.raises(ValueError, match="no epoch is finished yet"):
        agreement.summary(tmp_path)
    recorder.update(np.arange(100), logits_of(0)[:100])
    recorder.end_epoch()
    assert agreement.summary(LearningRecord(tmp_path))["known"].tolist() == [0.25]
    with pytest.raises(ValueError, match="300 of 400 train examples were never seen, example 100 the first"):
        agreement.to_cleanlab(tmp_path)


def test_probabilities_for_cleanlab(recorded):
    labels, probability = agreement.to_cleanlab(recorded[0])
    assert labels.tolist() == LABELS.tolist() and probability.shape == (SIZE, CLASSES)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    rows = np.arange(SIZE)
    np.testing.assert_allclose(probability[rows, LABELS], recorded[1][rows, LABELS], atol=0.01)
    # of wrong labels the class that the networks see is known as well
    np.testing.assert_allclose(probability[WRONG, TRUE[WRONG]], recorded[1][WRONG, TRUE[WRONG]], atol=0.05)


@pytest.mark.slow
def test_cleanlab_finds_the_wrong_labels(recorded):
    cleanlab = pytest.importorskip("cleanlab")
    labels, probability = agreement.to_cleanlab(recorded[0])
    found = cleanlab.filter.find_label_issues(labels, probability, n_jobs=1)
    assert {*np.flatnonzero(found)} <= {*WRONG} and found.sum() > 0.9 * len(WRONG)
    lab = cleanlab.Datalab({"label": labels}, label_name="label", verbosity=0)
    lab.find_issues(pred_probs=probability, issue_types={"label": {}})
    found = lab.get_issues("label")["is_label_issue"].to_numpy()
    assert {*np.flatnonzero(found)} <= {*WRONG} and found.sum() > 0.9 * len(WRONG)


@pytest.mark.parametrize("margins", [True, False], ids=["with margins", "without"])
def test_probabilities_are_consistent_with_what_was_predicted(tmp_path, margins):
    recorder = LearningRecorder(tmp_path, {"train": [0, 0, 1]}, classes=["a", "b", "c"])
    recorder.update([0, 1, 2], np.log([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.2, 0.2, 0.6]]))
    recorder.end_epoch()
    if not margins:
        (tmp_path / "network-1" / "train-margin.npy").unlink()
    expected = [[0.6, 0.2, 0.2], [0.2, 0.7, 0.1], [0.2, 0.2, 0.6]]
    if not margins:
        expected[1:] = [[0.2, 0.8, 0], [0, 0.2, 0.8]]
    np.testing.assert_allclose(agreement.to_cleanlab(tmp_path)[1], expected, atol=0.008)


def test_sets_of_classes_are_refused(tmp_path):
    begin_record(tmp_path, ["a"], ["x", "y"], {"train": np.array([1, 3])}, {"train": ["0", "1"]}, multi_label=True)
    (tmp_path / "network-1").mkdir()
    (tmp_path / "network-1" / "epochs.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="its labels are sets of classes"):
        agreement.to_cleanlab(tmp_path)
