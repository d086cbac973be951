"""Scores from learning records and from files."""

import numpy as np
import pandas as pd
import pytest

from curricula.scores import agreement_score, confidence_score, forgetting_score, read_scores

# two networks, three epochs, four examples: learned at once; learned second; forgotten and learned again; never learned
CORRECT = np.array(
    [
        [[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]],
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]],
    ],
    bool,
)
PROBABILITY = np.array([[[255, 51, 102, 0]] * 3] * 2, np.uint8)


def test_agreement_ranks_by_joint_learned_epoch_then_by_mean_correctness():
    assert agreement_score(CORRECT, PROBABILITY).tolist() == [0, 1, 2, 3]
    correct = CORRECT[:, :, [1, 1, 0]]
    correct[1, 0, 0] = False  # learned in the same epoch as its neighbour, but less often right
    assert agreement_score(correct, PROBABILITY).tolist() == [2, 1, 0]


def test_confidence_is_the_mean_probability_of_the_true_class_and_low_is_hard():
    np.testing.assert_allclose(confidence_score(CORRECT, PROBABILITY), [-1, -0.2, -0.4, 0])


def test_forgetting_counts_over_networks_and_never_learned_is_hardest():
    assert forgetting_score(CORRECT, PROBABILITY).tolist() == [0, 0, 1, np.inf]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_matched_by_id_and_what_it_lacks_is_nan(tmp_path, kind):
    path = tmp_path / f"scores.{kind}"
    table = pd.DataFrame({"id": ["007", "a/b.png", "other"], "score": [1.5, -2.0, 9.0]})
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    np.testing.assert_array_equal(read_scores(path, ["a/b.png", "7", "007"]), [-2.0, np.nan, 1.5])


def test_a_score_that_is_no_number_is_missing(tmp_path):
    (tmp_path / "scores.csv").write_text("id,score\na,1\nb,=1+1\nc,\n")
    np.testing.assert_array_equal(read_scores(tmp_path / "scores.csv", ["a", "b", "c"]), [1, np.nan, np.nan])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,value\na,1\n", "needs the columns id and score, has id, value"),
        ("id,score\na,1\na,2\n", "the id a stands there twice"),
        ("id,score\nx,1\n", "none of its ids"),
        ("", "not readable"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, text, message):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_scores(tmp_path / "scores.csv", ["a", "b"])
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.csv: there is no such file"):
        read_scores(tmp_path / "nothing.csv", ["a"])
