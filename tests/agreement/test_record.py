"""The learning record on disk: readable at any moment, cut off on resuming, compact, and honest about what it is."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agreement.record import KINDS, LearningRecord, read_epochs, replace_text
from agreement.recorder import GrowingArray, RecordWriter, begin_record

SIZES = {"train": 7, "test": 3}


def arrays(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.glob("*.npy")}


def epoch_of(recorder: RecordWriter, epoch: int, classes: int = 10) -> dict[str, np.ndarray]:
    """Write an epoch of made-up predictions, in two batches out of order. Returns what the arrays should hold."""
    draw = np.random.default_rng(epoch)
    row = {}
    for split, size in SIZES.items():
        predictions, probability = draw.integers(classes, size=size), draw.random(size, np.float32)
        margin, error = draw.normal(0, 4, size).astype(np.float16), draw.random(size).astype(np.float16)
        for part in np.array_split(draw.permutation(size), 2):
            recorder.update(split, part, predictions[part], probability[part], margin[part], error[part])
        row[f"{split}-predictions"], row[f"{split}-probability"] = predictions, np.round(probability * 255.0)
        row[f"{split}-margin"], row[f"{split}-error"] = margin, error
    recorder.end_epoch(epoch=epoch, loss=1 / epoch)
    return row


def begun(folder: Path, networks: int = 2, classes: int = 10) -> dict[str, np.ndarray]:
    labels = {split: np.arange(size) % classes for split, size in SIZES.items()}
    names = {split: [f"{split}/ä {i}.png" for i in range(size)] for split, size in SIZES.items()}
    begin_record(folder, ["lenet5"] * networks, [f"class {c}" for c in range(classes)], labels, names)
    return labels


def test_it_grows_row_by_row_and_numpy_reads_it_at_any_moment(tmp_path):
    """Past 10 and 100 rows, where the count in the header takes another digit."""
    recorder = RecordWriter(tmp_path, SIZES, 10)
    early = arrays(tmp_path)
    shapes = {f"{split}-{kind}": (0, size) for split, size in SIZES.items() for kind in KINDS}
    assert {name: array.shape for name, array in early.items()} == shapes
    written = []
    for epoch in range(1, 103):
        written.append(epoch_of(recorder, epoch))
        for name, array in arrays(tmp_path).items():
            assert array.dtype == (np.float16 if name.endswith(("margin", "error")) else np.uint8)
            np.testing.assert_array_equal(array, [row[name] for row in written])
        assert len(read_epochs(tmp_path)) == epoch
    assert read_epochs(tmp_path)[4] == {"epoch": 5, "loss": 0.2}


def test_a_reader_of_an_earlier_moment_keeps_what_it_saw(tmp_path):
    recorder = RecordWriter(tmp_path, SIZES, 10)
    first = epoch_of(recorder, 1)
    early = arrays(tmp_path)
    epoch_of(recorder, 2)
    np.testing.assert_array_equal(early["train-predictions"], [first["train-predictions"]])


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 20))
def test_resuming_cuts_off_what_lies_beyond(tmp_path_factory, kept, more, torn):
    """An earlier attempt wrote `more` epochs than count, or died with part of the next row written."""
    folder = tmp_path_factory.mktemp("record")
    recorder = RecordWriter(folder, SIZES, 10)
    written = [epoch_of(recorder, epoch) for epoch in range(1, kept + min(more, 1) + 1)]
    for path in folder.glob("train-*.npy"):
        with path.open("ab") as file:
            file.write(b"\7" * torn)
    resumed = RecordWriter(folder, SIZES, 10, finished=kept)
    assert len(read_epochs(folder)) == kept
    for name, array in arrays(folder).items():
        assert array.shape == (kept, SIZES[name.split("-")[0]])
        np.testing.assert_array_equal(array, [row[name] for row in written[:kept]] or np.zeros(array.shape))
    written[kept:] = [epoch_of(resumed, 99)]
    for name, array in arrays(folder).items():
        np.testing.assert_array_equal(array, [row[name] for row in written])
    assert read_epochs(folder)[-1]["epoch"] == 99


def test_a_death_in_the_middle_of_an_epochs_end_loses_that_epoch_alone(tmp_path, monkeypatch):
    """Some arrays have the row, others not; the line of numbers, written last, decides."""
    labels = begun(tmp_path, networks=1)
    recorder = RecordWriter(tmp_path / "network-1", SIZES, 10)
    first = epoch_of(recorder, 1)
    append, calls = GrowingArray.append, []

    def die_at_third(array):
        calls.append(array)
        if len(calls) == 3:
            raise KeyboardInterrupt
        append(array)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(GrowingArray, "append", die_at_third)
        epoch_of(recorder, 2)
    record = LearningRecord(tmp_path)
    assert record.epochs == 1
    assert sorted(len(array) for array in arrays(tmp_path / "network-1").values()) == [1] * 6 + [2] * 2
    np.testing.assert_array_equal(record.correct("train")[0, 0], first["train-predictions"] == labels["train"])
    second = epoch_of(RecordWriter(tmp_path / "network-1", SIZES, 10, finished=1), 2)
    np.testing.assert_array_equal(arrays(tmp_path / "network-1")["test-predictions"][1], second["test-predictions"])


@pytest.mark.parametrize("tail", ['{"epoch": 3, "lo', '{"epoch": 3, "loss": 0.3}', "{"])
def test_a_last_line_still_being_written_is_not_counted(tmp_path, tail):
    recorder = RecordWriter(tmp_path, SIZES, 10)
    epoch_of(recorder, 1)
    epoch_of(recorder, 2)
    with (tmp_path / "epochs.jsonl").open("a") as file:
        file.write(tail)
    assert [line["epoch"] for line in read_epochs(tmp_path)] == [1, 2]
    epoch_of(RecordWriter(tmp_path, SIZES, 10, finished=2), 3)
    assert [line["epoch"] for line in read_epochs(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize(("classes", "dtype"), [(2, np.uint8), (256, np.uint8), (257, np.uint16), (1000, np.uint16)])
def test_classes_beyond_256_take_two_bytes(tmp_path, classes, dtype):
    folder = tmp_path / "not" / "there yet"
    recorder = RecordWriter(folder, {"test": 2}, classes)
    recorder.update("test", np.arange(2), np.array([0, classes - 1]), np.zeros(2))
    recorder.end_epoch(epoch=1)
    predictions = arrays(folder)["test-predictions"]
    assert predictions.dtype == dtype
    assert predictions.tolist() == [[0, classes - 1]]


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_probabilities_are_kept_to_half_a_255th(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("record")
    recorder = RecordWriter(folder, {"test": len(values)}, 10)
    recorder.update("test", np.arange(len(values)), np.zeros(len(values), int), np.float32(values))
    recorder.end_epoch(epoch=1)
    np.testing.assert_allclose(arrays(folder)["test-probability"][0] / 255, values, rtol=0, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    ("sizes", "classes", "finished"),
    [
        ({"train": 8, "test": 3}, 10, 2),  # other examples
        ({"train": 7, "test": 3}, 300, 2),  # other type
        ({"train": 7, "test": 3}, 10, 3),  # epochs that are not there
        ({"train": 7, "test": 3}, 10, 1),  # more epochs than one attempt leaves behind its checkpoint
        ({"train": 7, "valid": 3}, 10, 2),  # other split
    ],
)
def test_a_record_of_something_else_is_refused_and_left_as_it_is(tmp_path, sizes, classes, finished):
    recorder = RecordWriter(tmp_path, SIZES, 10)
    for epoch in range(1, 4 if finished == 1 else 3):
        epoch_of(recorder, epoch)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises((ValueError, FileNotFoundError), match=r"to resume from|No such file"):
        RecordWriter(tmp_path, sizes, classes, finished)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_header_of_fewer_epochs_than_finished_is_refused(tmp_path):
    recorder = RecordWriter(tmp_path, SIZES, 10)
    for epoch in (1, 2):
        epoch_of(recorder, epoch)
    with (tmp_path / "test-probability.npy").open("r+b") as file:
        file.write(recorder.rows["test", "probability"].header(1))
    with pytest.raises(ValueError, match="not the array of 2 epochs of 3 examples to resume from"):
        RecordWriter(tmp_path, SIZES, 10, finished=2)


def test_numbers_of_fewer_epochs_than_finished_are_refused(tmp_path):
    epoch_of(RecordWriter(tmp_path, SIZES, 10), 1)
    (tmp_path / "epochs.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"epochs\.jsonl holds 0 epochs, not the 1 to resume from"):
        RecordWriter(tmp_path, SIZES, 10, finished=1)


def test_batches_of_the_wrong_size_are_refused(tmp_path):
    recorder = RecordWriter(tmp_path, SIZES, 10)
    with pytest.raises(ValueError):
        recorder.update("train", np.arange(3), np.zeros(2, int), np.zeros(3))
    with pytest.raises(IndexError):
        recorder.update("train", np.array([7]), np.zeros(1, int), np.zeros(1))


def test_the_reader_gives_what_was_written(tmp_path):
    labels = begun(tmp_path)
    rows = [epoch_of(RecordWriter(tmp_path / f"network-{k}", SIZES, 10), k) for k in (1, 2)]
    record = LearningRecord(tmp_path)
    assert record.networks == ["lenet5", "lenet5"]
    assert record.classes[9] == "class 9"
    assert record.epochs == 1
    for split in SIZES:
        np.testing.assert_array_equal(record.labels(split), labels[split])
        assert record.ids(split)[-1] == f"{split}/ä {SIZES[split] - 1}.png"
        correct = record.correct(split)
        assert correct.dtype == bool and correct.shape == (2, 1, SIZES[split])
        for k in (0, 1):
            assert isinstance(record.predictions(split)[k], np.memmap)
            np.testing.assert_array_equal(record.predictions(split)[k], [rows[k][f"{split}-predictions"]])
            np.testing.assert_array_equal(record.probability(split)[k], [rows[k][f"{split}-probability"]])
            np.testing.assert_array_equal(correct[k, 0], rows[k][f"{split}-predictions"] == labels[split])
    np.testing.assert_array_equal(record.series("loss"), [[1.0], [0.5]])


def test_only_epochs_that_all_networks_finished_count(tmp_path):
    begun(tmp_path)
    for k, epochs in ((1, 3), (2, 2)):
        recorder = RecordWriter(tmp_path / f"network-{k}", SIZES, 10)
        for epoch in range(1, epochs + 1):
            epoch_of(recorder, epoch)
    record = LearningRecord(tmp_path)
    assert record.epochs == 2
    assert record.correct("train").shape == (2, 2, 7)
    assert record.series("loss").shape == (2, 2)
    assert record.series("epoch").dtype == float


def test_a_record_whose_networks_have_not_all_begun_has_no_epochs(tmp_path):
    """Networks queue; a run interrupted before the last began leaves such a record."""
    begun(tmp_path)
    epoch_of(RecordWriter(tmp_path / "network-1", SIZES, 10), 1)
    record = LearningRecord(tmp_path)
    assert record.epochs == 0
    assert record.correct("train").shape == (2, 0, 7)
    assert [(part.shape, part.dtype) for part in record.predictions("test")] == [((0, 3), np.uint8)] * 2
    assert record.series("loss").shape == (2, 0)


def test_a_label_may_be_a_set_of_classes(tmp_path):
    """As many kinds of label as sets of two classes; one label alone, in a split, is as good as any."""
    labels = {"train": np.array([0, 2, 3]), "test": np.array([2, 2, 2])}
    begin_record(tmp_path / "a" / "b", ["x"], ["cat", "dog"], labels, dict.fromkeys(labels, "abc"), multi_label=True)
    record = LearningRecord(str(tmp_path / "a" / "b"))
    assert record.multi_label and record.number_of_labels == 4
    assert [record.label_name(label) for label in record.labels("train")] == ["", "dog", "cat, dog"]
    assert record.labels("test").tolist() == [2, 2, 2]
    labels["test"][0] = 4
    begin_record(tmp_path, ["x"], ["cat", "dog"], labels, dict.fromkeys(labels, "abc"), multi_label=True)
    with pytest.raises(ValueError, match="labels from 2 to 4, the record 4"):
        LearningRecord(tmp_path).labels("test")


def test_a_label_in_words(tmp_path):
    begun(tmp_path)
    record = LearningRecord(tmp_path)
    assert not record.multi_label and record.label_name(np.int64(3)) == "class 3"


def test_labels_above_256_classes_compare_rightly(tmp_path):
    """Class 256 is not class 0."""
    begin_record(tmp_path, ["lenet5"], [str(c) for c in range(300)], {"test": np.array([256, 0])}, {"test": ["a", "b"]})
    recorder = RecordWriter(tmp_path / "network-1", {"test": 2}, 300)
    recorder.update("test", np.arange(2), np.array([256, 256]), np.ones(2))
    recorder.end_epoch(epoch=1)
    assert LearningRecord(tmp_path).correct("test").tolist() == [[[True, False]]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "holds no learning record"),
        ("{", "holds no learning record"),
        ('{"format": 2}', "of format 2, .* reads 1"),
    ],
)
def test_what_is_no_record_is_told(tmp_path, content, told):
    if content is not None:
        (tmp_path / "record.json").write_text(content)
    with pytest.raises(ValueError, match=told):
        LearningRecord(tmp_path).networks  # noqa: B018


def test_it_is_as_small_as_promised(tmp_path):
    """CIFAR-10, 5 networks, 60 epochs: predictions under 25 MB, with probabilities under 45 MB."""
    sizes = {"train": 500, "test": 100}
    sums = {"predictions": 0.0, "probability": 0.0}
    headers = 0
    for epochs in (2, 6):
        folder = tmp_path / str(epochs)
        recorder = RecordWriter(folder, sizes, 10)
        for epoch in range(1, epochs + 1):
            for split, size in sizes.items():
                recorder.update(split, np.arange(size), np.zeros(size, int), np.zeros(size))
            recorder.end_epoch(epoch=epoch)
        for kind in sums:
            size = sum(path.stat().st_size for path in folder.glob(f"*-{kind}.npy"))
            sums[kind] += size if epochs == 6 else -size
    values = 4 * 600
    headers = sum(path.stat().st_size for path in (tmp_path / "2").glob("*.npy")) - 2 * 2 * 600
    per_value = {kind: total / values for kind, total in sums.items()}
    cifar = 5 * 60 * 60_000
    assert per_value["predictions"] * cifar + 5 * headers < 25e6
    assert (per_value["predictions"] + per_value["probability"]) * cifar + 5 * headers < 45e6


def test_replacing_a_text_leaves_nothing_half_written(tmp_path):
    path = tmp_path / "runs.json"
    replace_text(path, json.dumps([1]))
    replace_text(path, json.dumps([2]))
    assert json.loads(path.read_text()) == [2]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("record.json", b"[1]"),
        ("record.json", b'{"format": 1, "networks": [], "classes": ["a"]}'),
        ("record.json", b'{"format": 1, "networks": ["a"]}'),
        ("record.json", b"[" * 100_000),
        ("train-ids.json", b'{"a": 1}'),
        ("train-ids.json", b'["one"]'),
        ("train-ids.json", b"\xff"),
        ("train-labels.npy", b""),
        ("train-labels.npy", b"\x80\x04."),  # a pickle
        ("train-labels.npy", np.array([0, 1, 2, 3, 4, 5, 10])),
        ("train-labels.npy", np.array([0, 1, 2, 3, 4, 5, -1])),
        ("train-labels.npy", np.zeros(7)),
        ("train-labels.npy", np.zeros((7, 1), int)),
        ("train-labels.npy", np.zeros(6, int)),
        ("network-2/train-predictions.npy", np.zeros((2, 6), np.uint8)),
        ("network-2/train-predictions.npy", np.zeros((1, 7), np.uint8)),
        ("network-2/train-probability.npy", np.zeros((2, 7))),
        ("network-1/epochs.jsonl", b"[]\n[]\n"),
        ("network-1/epochs.jsonl", b"{\n{\n"),
        ("network-1/epochs.jsonl", b"{}\n{}\n"),
        ("network-1/epochs.jsonl", b'{"loss": [1]}\n{"loss": 1}\n'),
    ],
)
def test_a_damaged_file_is_named(tmp_path, file, content):
    begun(tmp_path)
    for k in (1, 2):
        recorder = RecordWriter(tmp_path / f"network-{k}", SIZES, 10)
        for epoch in (1, 2):
            epoch_of(recorder, epoch)
    read_all(tmp_path)
    (tmp_path / file).unlink()
    np.save(tmp_path / file, content) if isinstance(content, np.ndarray) else (tmp_path / file).write_bytes(content)
    with pytest.raises(ValueError) as error:
        read_all(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_why_a_file_is_damaged_is_told(tmp_path):
    begun(tmp_path)
    path = tmp_path / "train-labels.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train-labels\.npy is damaged \(Failed to read all data for array\. "):
        LearningRecord(tmp_path).labels("train")


def test_objects_in_an_array_are_never_made(tmp_path):
    """numpy would pickle them, and a pickle calls what it likes."""
    begun(tmp_path)
    np.save(tmp_path / "train-labels.npy", np.array([Calls(tmp_path / "called")], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"train-labels\.npy is damaged \(Object arrays cannot be loaded"):
        LearningRecord(tmp_path).labels("train")
    assert not (tmp_path / "called").exists()


class Calls:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def read_all(folder: Path) -> None:
    record = LearningRecord(folder)
    record.ids("train")
    record.correct("train")
    record.probability("train")
    record.series("loss")
