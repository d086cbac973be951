"""Which labels are the most suspect, by hand."""

import numpy as np
import pytest

from agreement import LearningRecorder, suspicion
from agreement.record import LearningRecord
from agreement.suspicion import suspects


def test_it_is_the_rank_of_the_mean_rank():
    assert suspicion([np.array([0.1, 0.9, 0.5])]).tolist() == [3, 1, 2]
    assert suspicion([np.array([1.0, 2, 3]), np.array([1.0, 2, 9])]).tolist() == [3, 2, 1]
    assert suspicion([np.array([np.nan, 1, 1])]).tolist() == [3, 1, 2]


@pytest.mark.parametrize("margins", [True, False])
def test_a_wrong_label_is_suspect_by_whatever_is_known(tmp_path, margins):
    """The third example looks like class 1, and is labelled 0."""
    recorder = LearningRecorder(tmp_path, {"train": [0, 1, 0, 1]})
    for _ in range(2):
        recorder.update(np.arange(4), [[3, 0], [0, 2], [0, 4], [0, 1]])
        recorder.end_epoch()
    if not margins:
        (tmp_path / "network-1" / "train-margin.npy").unlink()
    record = LearningRecord(tmp_path)
    assert record.has_margins("train") == margins
    assert suspects(record, "train", {}).tolist() == [4, 3, 1, 2]
    # shallow counts as much as the networks together: to them the first is the least suspect, to it the most
    assert suspects(record, "train", {"shallow": np.array([0.9, 0.0, 0.8, 0.1])}).tolist() == [1, 4, 2, 3]
