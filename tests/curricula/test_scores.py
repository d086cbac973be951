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


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_of_a_measurements_table(tmp_path, kind):
    """Rows of train; what is high for easy examples is turned round, and never learned is hardest."""
    table = pd.DataFrame({"id": ["a", "b", "a"], "split": ["train", "train", "test"], "confidence": [0.9, 0.2, 0.4], "learned_epoch": pd.array([3, None, 7], "Int32")})  # fmt: skip
    path = tmp_path / f"scores.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert read_scores(path, ["b", "a"], "confidence").tolist() == [-0.2, -0.9]
    assert read_scores(path, ["b", "a"], "learned_epoch").tolist() == [np.inf, 3]
    with pytest.raises(ValueError, match="needs the columns id and margin, has 'id', 'split', 'confidence'"):
        read_scores(path, ["a"], "margin")


def test_an_empty_score_is_missing(tmp_path):
    (tmp_path / "scores.csv").write_text("id,score\na,1\nb,NaN\nc,\nd,N/A\ne,null\nf,-inf\n")
    found = read_scores(tmp_path / "scores.csv", list("abcdef"))
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, np.nan, np.nan, -np.inf])


@pytest.mark.parametrize("text", ["1,5", "1,234.5", "12 %", "True", "=1+1", "easy", "0x1F", "1.2.3", "-"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_score_that_is_text_is_shown(tmp_path, kind, text):
    path = tmp_path / f"scores.{kind}"
    table = pd.DataFrame({"id": ["x", "a", "b", "c"], "score": ["other", "", text, text]})
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert f"the score of 'b' is {text!r}, which is no number" in one_line(path, ("a", "b", "c"))


def test_a_score_that_is_true_or_false_is_shown(tmp_path):
    pd.DataFrame({"id": ["a", "b"], "score": [True, False]}).to_parquet(tmp_path / "scores.parquet")
    assert "the score of 'a' is 'True', which is no number" in one_line(tmp_path / "scores.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,value\na,1\n", "needs the columns id and score, has 'id', 'value'"),
        ("id,score\na,1\na,2\n", "the id 'a' stands there twice"),
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


def one_line(path, ids=("a", "b")) -> str:
    with pytest.raises(ValueError) as error:
        read_scores(path, list(ids))
    assert "\n" not in str(error.value) and path.name in str(error.value)
    return str(error.value)


def test_ten_gigabytes_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "scores.csv"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)  # sparse: takes no room
    assert "10,737,418,240 bytes are more than the 1,073,741,824 allowed" in one_line(path)


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Many rows of which two count: what pyarrow holds at any time is some blocks, not the 33 MB of the file."""
    import pyarrow as pa

    rows = 300_000
    path = tmp_path / "scores.csv"
    path.write_text(
        "other,id,score\n" + "".join(f"{'some text that nobody asked for ' * 3},{n},{n / 2}\n" for n in range(rows))
    )
    table = pd.DataFrame({"id": np.arange(rows).astype(str), "score": np.arange(rows) / 2, "other": "text" * 50})
    table.to_parquet(tmp_path / "scores.parquet")
    for name in ("scores.csv", "scores.parquet"):
        usual = pa.default_memory_pool()
        counting = pa.proxy_memory_pool(usual)
        pa.set_memory_pool(counting)
        try:
            found = read_scores(tmp_path / name, ["299999", "7", "x"])
        finally:
            pa.set_memory_pool(usual)
        np.testing.assert_array_equal(found, [149999.5, 3.5, np.nan])
        assert 0 < counting.max_memory() < 16e6, name


@pytest.mark.parametrize(
    "content",
    [
        b"," * 2**22,  # a table of four million columns
        b'id,score\na,1\n"' + b"x" * 2**22,  # a quotation that does not end
        b"id,score\na,1\n" + b"7" * 2**22,
        b"\0" * 2**22,
        b"id,score\n\xff,1\n",
    ],
)
def test_a_row_without_end_is_refused(tmp_path, content):
    (tmp_path / "scores.csv").write_bytes(content)
    assert "not readable" in one_line(tmp_path / "scores.csv")


def test_what_is_packed_is_not_unpacked(tmp_path):
    """A thousand bytes can unpack to a million times as many."""
    import gzip

    (tmp_path / "scores.csv.gz").write_bytes(gzip.compress(b"id,score\na,1\n"))
    assert "not readable" in one_line(tmp_path / "scores.csv.gz")


def test_names_that_a_table_program_would_change_stay_as_they_are(tmp_path):
    (tmp_path / "scores.csv").write_text('id,score\nNA,1\n=1+1,2\n"a\nb",3\n007,4\n')
    np.testing.assert_array_equal(read_scores(tmp_path / "scores.csv", ["NA", "=1+1", "a\nb", "007"]), [1, 2, 3, 4])
