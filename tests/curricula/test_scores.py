"""Scores from learning records and from files."""

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from agreement import LearningRecorder
from agreement.record import LearningRecord
from curricula.scores import SCORES, agreement_score, first_epoch, forgetting_score, loss_score, read_scores

# two networks, three epochs, four examples: learned at once; learned second; forgotten and learned again; never learned
CORRECT = np.array(
    [
        [[1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 1, 0]],
        [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]],
    ],
    bool,
)


def test_agreement_ranks_by_joint_learned_epoch_then_by_mean_correctness():
    assert agreement_score(CORRECT).tolist() == [0, 1, 2, 3]
    correct = CORRECT[:, :, [1, 1, 0]]
    correct[1, 0, 0] = False  # learned in the same epoch as its neighbour, but less often right
    assert agreement_score(correct).tolist() == [2, 1, 0]


LOGITS = np.array(
    [[[3.0, 1, 0], [0, 2, 0], [0, 0, 1]], [[4, 0, 0], [0, 2, 1], [1, 0, 0]]]
)  # two epochs, labels 0, 1, 2


@pytest.fixture
def record(tmp_path) -> LearningRecord:
    """Two networks of which the second has twice the logits."""
    for network in range(2):
        recorder = LearningRecorder(tmp_path, {"train": [0, 1, 2]}, network)
        for logits in LOGITS:
            recorder.update([0, 1, 2], logits * (network + 1))
            recorder.end_epoch()
    return LearningRecord(tmp_path)


def test_scores_of_a_record_by_hand(record):
    margins = 1.5 * np.array([[2, 2, 1], [4, 1, -1]])  # the mean over networks of once and twice
    probability = np.array([np.exp(f * LOGITS) / np.exp(f * LOGITS).sum(2, keepdims=True) for f in (1, 2)])
    of_label = probability[:, :, np.arange(3), np.arange(3)]
    expected = {
        "aum": margins.mean(axis=0),
        "margin": margins[1],
        "el2n": np.linalg.norm(probability[:, 0] - np.eye(3), axis=2).mean(axis=0),
        "confidence": of_label.mean(axis=(0, 1)),
        "variability": of_label.std(axis=1).mean(axis=0),
        "loss": -np.log(of_label).mean(axis=(0, 1)),
        "learning_time": [0, 0, 0.5],
        "first": [1, 1, 1],
        "last": [1, 1, np.inf],
        "agreement": [0, 0, 1],
        "forgetting": [0, 0, 2],
    }
    assert set(expected) == set(SCORES)
    for name, values in expected.items():
        np.testing.assert_allclose(SCORES[name].read(record), values, atol=0.02, err_msg=name)


@pytest.mark.parametrize("name", SCORES)
def test_every_score_calls_what_is_right_at_once_and_surely_easier_than_what_never_is(tmp_path, name):
    recorder = LearningRecorder(tmp_path, {"train": [0, 0]}, classes=["a", "b"])
    for sure in (2, 6):
        recorder.update([0, 1], [[sure, 0], [-0.5 * sure, 0]])
        recorder.end_epoch()
    easy, hard = SCORES[name].read(LearningRecord(tmp_path))
    assert (easy > hard) if SCORES[name].descending else (easy < hard) or name == "variability"


def test_a_score_of_some_networks(record):
    np.testing.assert_allclose(SCORES["aum"].read(record, [1]), np.mean([[4, 4, 2], [8, 2, -2]], axis=0))
    np.testing.assert_allclose(SCORES["margin"].read(record, [0]), [4, 1, -1])


def test_a_score_says_what_the_record_lacks(record):
    (record.folder / "network-2" / "train-margin.npy").unlink()
    with pytest.raises(ValueError, match="has no margin of its train examples: an earlier version made it"):
        SCORES["aum"].read(record)
    assert SCORES["confidence"].read(record).shape == (3,)


def test_what_is_never_right_has_its_first_epoch_after_the_last():
    assert first_epoch(CORRECT).tolist() == [1, 1.5, 1, 4]


def test_the_loss_of_a_byte_is_finite_and_falls():
    losses = loss_score([np.arange(256, dtype=np.uint8)[None]])
    assert (
        np.isfinite(losses).all() and (np.diff(losses) < 0).all() and losses[128] == pytest.approx(np.log(2), abs=0.01)
    )


def test_forgetting_counts_over_networks_and_never_learned_is_hardest():
    assert forgetting_score(CORRECT).tolist() == [0, 0, 1, np.inf]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_is_matched_by_id_and_what_it_lacks_is_nan(tmp_path, kind):
    path = tmp_path / f"scores.{kind}"
    table = pd.DataFrame({"id": ["007", "a/b.png", "other"], "score": [1.5, -2.0, 9.0]})
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    found, descending = read_scores(path, ["a/b.png", "7", "007"])
    np.testing.assert_array_equal(found, [-2.0, np.nan, 1.5])
    assert descending is None


@pytest.mark.parametrize(("column", "descending"), [("score", None), ("difficulty", False), ("easiness", True)])
def test_the_name_of_a_files_column_says_what_is_easy(tmp_path, column, descending):
    (tmp_path / "scores.csv").write_text(f"id,{column}\na,1\n")
    assert read_scores(tmp_path / "scores.csv", ["a"]) == (np.array([1.0]), descending)
    pd.DataFrame({"id": ["a"], column: [1.0]}).to_parquet(tmp_path / "scores.parquet")
    assert read_scores(tmp_path / "scores.parquet", ["a"]) == (np.array([1.0]), descending)
    (tmp_path / "both.csv").write_text("id,difficulty,easiness\na,1,2\n")
    assert "one of them), has 'id', 'difficulty', 'easiness'" in one_line(tmp_path / "both.csv")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_of_a_measurements_table(tmp_path, kind):
    """Rows of train; what is high for easy examples says so, and never learned is hardest."""
    table = pd.DataFrame({"id": ["a", "b", "a"], "split": ["train", "train", "test"], "confidence": [0.9, 0.2, 0.4], "last": pd.array([3, None, 7], "Int32")})  # fmt: skip
    path = tmp_path / f"scores.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    confidence, high_is_easy = read_scores(path, ["b", "a"], "confidence")
    assert confidence.tolist() == [0.2, 0.9] and high_is_easy
    learned, high_is_easy = read_scores(path, ["b", "a"], "last")
    assert learned.tolist() == [np.inf, 3] and high_is_easy is None
    with pytest.raises(ValueError, match="needs the columns id and margin, has 'id', 'split', 'confidence'"):
        read_scores(path, ["a"], "margin")


def test_an_empty_score_is_missing(tmp_path):
    (tmp_path / "scores.csv").write_text("id,score\na,1\nb,NaN\nc,\nd,N/A\ne,null\nf,-inf\n")
    found, _ = read_scores(tmp_path / "scores.csv", list("abcdef"))
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, np.nan, np.nan, -np.inf])


@pytest.mark.parametrize("text", ["1,5", "1,234.5", "12 %", "True", "=1+1", "easy", "0x1F", "1.2.3", "-"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_score_that_is_text_is_shown(tmp_path, kind, text):
    path = tmp_path / f"scores.{kind}"
    table = pd.DataFrame({"id": ["x", "a", "b", "c"], "score": ["other", "", text, text]})
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path)
    assert f"the score of 'b' is {text!r}, which is no number" in one_line(path, ("a", "b", "c"))


@pytest.mark.parametrize("value", [True, pd.Timestamp("2024-01-01")])
def test_a_score_of_another_type_is_shown(tmp_path, value):
    pd.DataFrame({"id": ["a", "b"], "score": [value, value]}).to_parquet(tmp_path / "scores.parquet")
    assert f"the score of 'a' is '{value}" in one_line(tmp_path / "scores.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,value\na,1\n", "needs the columns id and score .*, has 'id', 'value'"),
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


@contextmanager
def counted_memory():
    """The pool that pyarrow takes its memory from meanwhile, which knows the most that it held."""
    usual = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counting)
    try:
        yield counting
    finally:
        pa.set_memory_pool(usual)


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Many rows of which two count: what pyarrow holds at any time is some blocks, not the 33 MB of the file."""
    rows = 300_000
    path = tmp_path / "scores.csv"
    path.write_text(
        "other,id,score\n" + "".join(f"{'some text that nobody asked for ' * 3},{n},{n / 2}\n" for n in range(rows))
    )
    table = pd.DataFrame({"id": np.arange(rows).astype(str), "score": np.arange(rows) / 2, "other": "text" * 50})
    table.to_parquet(tmp_path / "scores.parquet", row_group_size=30_000)
    for name in ("scores.csv", "scores.parquet"):
        with counted_memory() as memory:
            found, _ = read_scores(tmp_path / name, ["299999", "7", "x"])
        np.testing.assert_array_equal(found, [149999.5, 3.5, np.nan])
        assert 0 < memory.max_memory() < 16e6, name


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


def test_a_text_that_stands_in_every_row_of_a_parquet_file_is_held_once(tmp_path):
    """A file of some kilobytes that would be 7.5 GB were each row's text a copy."""
    text = "x" * 150_000
    ids = pa.DictionaryArray.from_arrays(np.minimum(np.arange(50_000, dtype="int32"), 1), ["a", text])
    path = tmp_path / "scores.parquet"
    pq.write_table(pa.table({"id": ids, "score": np.ones(50_000)}), path, compression="zstd")
    assert path.stat().st_size < 10_000
    with counted_memory() as memory:
        assert "stands there twice" in one_line(path, ["a", text])
    assert 0 < memory.max_memory() < 16e6


@pytest.mark.parametrize(
    ("ids", "written", "message"),
    [
        (pa.array([str(n) * 1000 for n in range(2000)]), {"use_dictionary": False}, "it unpacks to 6,"),
        (pa.array(["a", "ab"]), {"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}}, "DELTA"),
        (pa.array([b"x" * 150_000], pa.binary(150_000)), {}, "the column id holds lists or blocks of bytes"),
        (pa.array([["a", "b"]]), {}, "the column id.list.element holds lists"),
    ],
)
def test_what_parquet_may_unpack_to_is_bounded(tmp_path, monkeypatch, ids, written, message):
    """A column that nobody asks for may be anything."""
    monkeypatch.setattr("curricula.scores.LARGEST_SCORE_FILE", 2**20)
    table = pa.table({"id": ids, "score": np.ones(len(ids))})
    pq.write_table(table, tmp_path / "scores.parquet", compression="zstd", **written)
    assert message in one_line(tmp_path / "scores.parquet")
    names = pa.array([str(n) for n in range(len(ids))])
    pq.write_table(table.rename_columns(["embedding", "score"]).append_column("id", names), tmp_path / "scores.parquet")
    assert read_scores(tmp_path / "scores.parquet", ["0"])[0] == 1


def test_names_that_a_table_program_would_change_stay_as_they_are(tmp_path):
    (tmp_path / "scores.csv").write_text('id,score\nNA,1\n=1+1,2\n"a\nb",3\n007,4\n')
    found, _ = read_scores(tmp_path / "scores.csv", ["NA", "=1+1", "a\nb", "007"])
    np.testing.assert_array_equal(found, [1, 2, 3, 4])
