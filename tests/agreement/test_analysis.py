"""The table of examples: against numbers worked out by hand, readable elsewhere, and as the documentation describes it."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from agreement.analysis import examples_table
from agreement.record import LearningRecord
from agreement.recorder import RecordWriter, begin_record

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "docs/columns.md").read_text().split("\n## ")[0]
PREDICTED = np.array([[[0, 1, 0], [1, 1, 0], [0, 1, 1]], [[0, 0, 0], [0, 1, 1], [0, 1, 1]]])  # (K, T, N)
PROBABILITY = np.array([[[1, 0.2, 0], [0.4, 0.6, 0], [1, 1, 1]], [[1, 0, 0], [1, 0.8, 1], [1, 1, 0.6]]])


def record(folder: Path, multi_label: bool = False) -> LearningRecord:
    labels = {"train": np.array([0, 1, 1]), "test": np.array([0, 1, 1])}
    ids = {"train": ["a", "b", "c"], "test": ["d", "e", "f"]}
    begin_record(folder, ["x", "y"], ["cat", "dog"], labels, ids, multi_label)
    for k in range(2):
        recorder = RecordWriter(folder / f"network-{k + 1}", {"train": 3, "test": 3}, 2)
        for predicted, probability in zip(PREDICTED[k], PROBABILITY[k], strict=True):
            recorder.update("train", np.arange(3), predicted, probability)
            recorder.update("test", np.arange(3), 1 - labels["test"], probability)
            recorder.end_epoch()
    return LearningRecord(folder)


def table_of(folder: Path, multi_label: bool = False) -> pd.DataFrame:
    statistics = {
        "train": pd.DataFrame({"entropy": [1.0, 2.0, 3.0], "c_score": [0.5, np.nan, 1]}),
        "test": pd.DataFrame({"entropy": [4.0, 5.0, 6.0]}),
    }
    return examples_table(record(folder, multi_label), statistics)


def test_every_number(tmp_path):
    table = table_of(tmp_path)
    assert table["id"].tolist() == ["a", "b", "c", "d", "e", "f"]
    assert table["split"].tolist() == ["train"] * 3 + ["test"] * 3
    assert table["label"].tolist() == ["cat", "dog", "dog"] * 2
    assert table["entropy"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table["c_score"].isna().tolist() == [False, True, False, True, True, True]
    np.testing.assert_allclose(table["learning_time"][:3], [1 / 6, 1 / 6, 1 / 2])
    assert table["first"][:3].tolist() == [1, 1.5, 2.5]
    assert table["last"][:3].tolist() == [3, 2, 3]
    assert table["last_1"][:3].tolist() == [3, 1, 3]
    assert table["last_2"][:3].tolist() == [1, 2, 2]
    assert table["last"][3:].isna().all() and table["still_wrong"].tolist() == [False] * 3 + [True] * 3
    np.testing.assert_allclose(table["agreement"][:3], [2 / 3, 2 / 3, 1 / 3])
    np.testing.assert_allclose(table["correctness"][:3], [5 / 6, 5 / 6, 1 / 2])
    np.testing.assert_allclose(table["forgetting"][:3], [0.5, 0, 0])
    np.testing.assert_allclose(table["confidence"][:3], PROBABILITY.mean(axis=(0, 1)), atol=1e-6)
    assert table["predicted"].tolist() == ["cat", "dog", "dog", "dog", "cat", "cat"]
    assert table["predicted_share"].tolist() == [1] * 6
    np.testing.assert_allclose(table["variability"][:3], PROBABILITY.std(axis=1).mean(axis=0), atol=1e-6)


def test_sets_of_labels_are_named(tmp_path):
    assert table_of(tmp_path, multi_label=True)["label"].tolist() == ["", "cat", "cat"] * 2


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_it_is_the_same_when_read_again(tmp_path, suffix):
    table = table_of(tmp_path / "record")
    if suffix == "parquet":
        table.to_parquet(tmp_path / "scores.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scores.parquet"), table)
    else:
        table.to_csv(tmp_path / "scores.csv", index=False)
        read = pd.read_csv(tmp_path / "scores.csv").astype(table.dtypes)
        pd.testing.assert_frame_equal(read, table, check_exact=False, rtol=1e-6)


def test_all_columns_are_documented(tmp_path):
    documented = re.findall(r"^\| `(\w+)` \|", TABLE, re.MULTILINE)
    assert [name for name in table_of(tmp_path) if name not in ("entropy", "c_score", "last_2")] == documented


@pytest.mark.parametrize("package", ["pandas", "polars", "datasets", "fiftyone"])
def test_the_documented_line_reads_it(tmp_path, monkeypatch, package):
    """Of FiftyOne the samples: to gather them in a data set it needs a database server."""
    text = (ROOT / "docs/columns.md").read_text()
    line = next(line for line in re.findall(r"`([^`\n]+)`", text) if line.startswith(f"{package}."))
    module = pytest.importorskip(package)
    table = table_of(tmp_path / "record")
    table.to_parquet(tmp_path / "scores.parquet")
    table.to_csv(tmp_path / "scores.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hub"))
    line = line.removeprefix('fiftyone.Dataset("mine").add_samples')
    read = eval(line, {package: module, "pandas": pd})
    assert len(read) == 6
    if package == "fiftyone":
        assert [Path(each.filepath).parts[-3:] for each in read][5] == ("ROOT", "test", "f")
        assert [each.entropy for each in read] == [1, 2, 3, 4, 5, 6]
    else:
        assert list(read["entropy"]) == [1, 2, 3, 4, 5, 6]


class Sample:
    """As FiftyOne's, which keeps what it is given."""

    def __init__(self, filepath: str, **fields: object):
        self.filepath, self.fields = filepath, fields


LINES = re.findall(r"`(\w+\.[^`\n]*scores\.[^`\n]+)`", (ROOT / "docs/columns.md").read_text())
LINES = [line for line in LINES if not line.startswith("datasets.")]  # not installed here


@pytest.mark.parametrize("line", LINES, ids=[re.split(r"[.(]", line)[0] + str(n) for n, line in enumerate(LINES)])
def test_the_documented_lines_keep_odd_names_as_they_are(tmp_path, monkeypatch, line):
    import polars

    monkeypatch.chdir(tmp_path)
    labels, ids, classes = {"train": np.array([0, 1, 2])}, ["null", "1e3", "007"], ["NA", "007", "null"]
    begin_record(tmp_path / "odd", ["x"], classes, labels, {"train": ids})
    writer = RecordWriter(tmp_path / "odd/network-1", {"train": 3}, 3)
    writer.update("train", np.arange(3), [0, 1, 1], [1, 1, 0])
    writer.end_epoch()
    table = examples_table(LearningRecord(tmp_path / "odd"), {"train": pd.DataFrame({"entropy": [1.0, np.nan, 3.0]})})
    table.to_parquet("scores.parquet")
    table.to_csv("scores.csv", index=False)
    line = line.removeprefix('fiftyone.Dataset("mine").add_samples')
    read = eval(line, {"pandas": pd, "polars": polars, "fiftyone": SimpleNamespace(Sample=Sample)})
    if isinstance(read, list):
        assert [each.filepath for each in read] == [f"ROOT/train/{name}" for name in ids]
        assert [each.fields["label"] for each in read] == classes
    else:
        assert list(read["id"]) == ids and list(read["label"]) == classes


def test_importing_it_takes_no_longer_than_numpy():
    """For training loops that only record."""
    code = "import sys, agreement; print(sorted({'numba', 'pandas', 'scipy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr
