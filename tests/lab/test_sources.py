"""Images in the shapes that people have them in: tables, arrays, sets of torchvision and Hugging Face, folders without splits."""

import csv
import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lab.compose import compose
from lab.data import Data, load
from lab.data.split import TEST_NAMES, halves, taken
from lab.errors import UserError
from metrics import STATISTICS, statistics_table


def loaded(data: str, root: Path, *words: str) -> Data:
    cache = f"cache={root.parent / 'cache'}"
    return load(compose([f"data={data}", f"root={root}", "resize=null", "crop=null", "batch_size=2", cache, *words]))


def told(data: str, root: Path, *words: str) -> str:
    with pytest.raises(UserError) as raised:
        loaded(data, root, *words)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def pictures(number: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(number).integers(256, size=(number, *(shape or (9, 9))), dtype=np.uint8)


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")


@given(st.lists(st.integers(0, 5), min_size=2, max_size=200))
def test_halves_have_every_class_in_both_by_its_share(labels):
    labels = np.array(labels)
    if len(np.unique(labels)) == len(labels):
        with pytest.raises(UserError, match="no class has two"):
            halves(labels)
        return
    train, test, note = halves(labels)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert all(np.array_equal(one, other) for one, other in zip(halves(labels)[:2], (train, test), strict=True))
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        number = int((labels[test] == label).sum())
        assert number == 0 if count == 1 else number == min(max(1, round(0.2 * count)), count - 1)
    assert f"{len(test)} of {len(labels)} examples" in note


def test_which_part_is_which():
    assert taken(["validation", "training"], "x") == ("training", "validation", ())
    assert taken(["train", "val", "test"], "x") == ("train", "test", ("val is left out; the test set is test",))
    assert taken(["all"], "x") == ("all", None, ())
    for names in (["a", "b"], ["test"], ["train", "holdout"]):
        with pytest.raises(UserError, match="one called train and one called test"):
            taken(names, "x")


# folders


def test_a_folder_of_classes_is_split_and_says_so(tmp_path):
    for name, count in (("cat", 20), ("dog", 10)):
        write(tmp_path / "pets" / name, pictures(count))
    data = loaded("folder", tmp_path / "pets")
    assert (len(data.train), len(data.test), data.classes) == (24, 6, ["cat", "dog"])
    assert np.bincount(data.test.labels).tolist() == [4, 2]
    assert {*data.train.ids} | {*data.test.ids} == {
        f"{name}/{i}.png" for name, count in (("cat", 20), ("dog", 10)) for i in range(count)
    }
    assert data.notes == (
        "the data come without a test set: 6 of 30 examples, 20% of each class by a fixed draw, are held out as one",
    )


@pytest.mark.parametrize("name", TEST_NAMES)
def test_names_of_the_test_folder(tmp_path, name):
    for part in ("training", name):
        for label in ("cat", "dog"):
            write(tmp_path / "pets" / part / label, pictures(3))
    assert len(loaded("folder", tmp_path / "pets").test) == 6


def test_a_folder_that_is_left_out_is_told(tmp_path):
    for part in ("train", "val", "test"):
        for label in ("cat", "dog"):
            write(tmp_path / "pets" / part / label, pictures(3))
    assert loaded("folder", tmp_path / "pets").notes[0] == "val is left out; the test set is test"


# traps


def test_copies_are_counted_within_and_across_splits_and_with_other_labels(tmp_path):
    images = pictures(8)
    for part, label, which in (("train", "a", [0, 1, 1]), ("train", "b", [0, 2, 3]), ("test", "a", [1, 4]), ("test", "b", [5, 6])):  # fmt: skip
        write(tmp_path / "pets" / part / label, images[which])
    assert loaded("folder", tmp_path / "pets").notes == (
        "5 images are exact copies of one another, in 2 groups; 1 of the test set is in the train set too; "
        "1 group has different labels; the first: a/0.png",
    )


@pytest.mark.parametrize(("bits", "suffix"), [(8, "png"), (10, "tif"), (12, "png"), (16, "tif")])
def test_sixteen_bit_files_are_scaled_by_the_range_that_the_set_uses(tmp_path, bits, suffix):
    """Networks, statistics and pictures see the same 8 bits, and so does whoever comes again; the brightest is in one file alone."""
    wide = np.random.default_rng(0).integers(2**bits // 5, size=(12, 9, 9)).astype(np.uint16)
    wide[11, 0, 0] = 2**bits - 1
    for part, which in (("train", slice(0, 8)), ("test", slice(8, 12))):
        for label in range(2):
            folder = tmp_path / "cells" / part / str(label)
            folder.mkdir(parents=True)
            for i, image in enumerate(wide[which][label::2]):
                Image.fromarray(image).save(folder / f"{i}.{suffix}")
    for _ in range(2):
        data = loaded("folder", tmp_path / "cells")
        told = [note for note in data.notes if "16-bit" in note]
        assert [f"12 16-bit files hold no value above {2**bits - 1:,}" in note for note in told] == [True] * (bits < 16)
        for i, name in enumerate(data.train.ids):
            label, _, number = name.removesuffix(f".{suffix}").partition("/")
            expected = wide[:8][int(label) :: 2][int(number)] >> (bits - 8)
            np.testing.assert_array_equal(data.train.images[i][..., 0], expected)
            np.testing.assert_array_equal(data.train.original(i), expected)
        means = statistics_table(data.train.originals, data.train.ids, ["brightness"])["brightness"]
        assert means.iloc[0] == STATISTICS["brightness"](data.train.original(0))
        taken_part = data.train.take(np.array([2, 0]))
        np.testing.assert_array_equal(taken_part.original(1), data.train.original(0))


def test_images_of_different_sizes_are_told(tmp_path):
    for part in ("train", "test"):
        for label, side in (("a", 9), ("b", 20)):
            write(tmp_path / "set" / part / label, pictures(2, side, side))
    notes = loaded("folder", tmp_path / "set", "resize=9").notes
    assert any(note.startswith("the images have 81 to 400 pixels") for note in notes)


# tables


def write_table(path: Path, rows: list[list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_table_of_files(tmp_path):
    write(tmp_path / "a", pictures(6))
    rows = [[f"../a/{i}.png", ("NA", "007")[i % 2], ("train", "valid")[i >= 4]] for i in range(6)]
    data = loaded("csv", write_table(tmp_path / "b" / "labels.csv", [["path", "label", "split"], *rows]))
    assert data.classes == ["007", "NA"]
    assert data.train.ids == [f"{i}.png" for i in range(4)] and data.train.labels.tolist() == [1, 0, 1, 0]
    np.testing.assert_array_equal(data.test.original(1), pictures(6)[5])
    unsplit = loaded("csv", write_table(tmp_path / "b" / "labels.csv", [["path", "label"], *(row[:2] for row in rows)]))
    assert len(unsplit.test) == 2 and "without a test set" in unsplit.notes[0]


def test_shards_of_webdataset_become_such_a_table(tmp_path, monkeypatch):
    """As docs/recipes.md says."""
    text = (Path(__file__).parents[2] / "docs/recipes.md").read_text()
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "tarfile" in code]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "made", pictures(6))
    for n, shard in enumerate(("train-000.tar", "train-001.tar", "test-000.tar")):
        with tarfile.open(shard, "w") as packed:
            for i in (2 * n, 2 * n + 1):
                (tmp_path / "made" / f"{i}.cls").write_text(str(i % 2))
                packed.add(f"made/{i}.png", f"{i}.png")
                packed.add(f"made/{i}.cls", f"{i}.cls")
    exec(compile(code, "docs/recipes.md", "exec"), {})
    data = loaded("csv", tmp_path / "labels.csv")
    assert data.train.labels.tolist() == [0, 1, 0, 1] and data.classes == ["0", "1"] and len(data.test) == 2
    np.testing.assert_array_equal(data.test.original(1), pictures(6)[5])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([["file", "label"], ["0.png", "a"]], "has columns file, label; path and label are needed"),
        ([["path", "label"], ["0.png", "a"], ["9.png", "b"]], "line 3: there is no file"),
        ([["path", "label"], ["0.png", ""]], "line 2: has no label"),
        ([["path", "label"], ["0.png", "a"], ["./0.png", "b"]], "stands there twice"),
        ([["path", "label"]], "lists no images"),
        ([["path", "label", "split"], ["0.png", "a", "x"], ["1.png", "b", "train"]], "one called train and one called"),
    ],
)
def test_tables_that_do_not_serve(tmp_path, rows, message):
    write(tmp_path, pictures(2))
    assert message in told("csv", write_table(tmp_path / "labels.csv", rows))


# arrays


def test_arrays_as_medmnist_ships_them(tmp_path):
    arrays = {}
    for part, count in (("train", 8), ("val", 2), ("test", 4)):
        arrays |= {f"{part}_images": pictures(count, 9, 9, 3), f"{part}_labels": (np.arange(count) % 2)[:, None] + 3}
    np.savez(tmp_path / "some.npz", **arrays)
    data = loaded("npz", tmp_path / "some.npz")
    assert (len(data.train), len(data.test), data.classes) == (8, 4, ["3", "4"])
    assert data.train.labels.tolist() == [0, 1] * 4 and data.channels == 3
    np.testing.assert_array_equal(data.test.original(2), arrays["test_images"][2])
    np.testing.assert_array_equal(data.test.images[2], arrays["test_images"][2])
    assert data.notes == ("val is left out; the test set is test",)


def test_grey_arrays_of_sets_of_classes_and_arrays_without_splits(tmp_path):
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    named = dict(train_images=pictures(4), train_labels=labels, test_images=pictures(4), test_labels=labels)
    np.savez(tmp_path / "sets.npz", **named)
    data = loaded("npz", tmp_path / "sets.npz")
    assert data.multi_label and data.train.labels.tolist() == [5, 0, 2, 7] and data.channels == 1
    assert "label_smoothing=0.1" in told("npz", tmp_path / "sets.npz", "label_smoothing=0.1")
    many = np.random.default_rng(0).integers(0, 2, (50, 9))  # sets of which few occur twice
    np.savez(tmp_path / "unsplit-sets.npz", images=pictures(50), labels=many)
    data = loaded("npz", tmp_path / "unsplit-sets.npz", "label_smoothing=0")
    assert (len(data.train), len(data.test)) == (40, 10) and "20% by a fixed draw" in data.notes[0]
    np.savez(tmp_path / "unsplit.npz", images=pictures(10)[..., None], labels=np.array(list("ab") * 5))
    data = loaded("npz", tmp_path / "unsplit.npz")
    assert (len(data.train), data.classes, data.channels) == (8, ["a", "b"], 1)
    np.savez(tmp_path / "keras.npz", x_train=pictures(4), y_train=[0, 1, 0, 1], x_test=pictures(2), y_test=[0, 1])
    assert len(loaded("npz", tmp_path / "keras.npz").test) == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": pictures(2)}, "holds a; train_images and train_labels"),
        ({"images": pictures(2).astype(float), "labels": [0, 1]}, "images of all are float64 (2, 9, 9), not uint8"),
        ({"images": pictures(2), "labels": [0]}, "labels (1,) for 2 images"),
        ({"images": pictures(2), "labels": 3}, "labels () for 2 images"),
        (
            {
                "train_images": pictures(2),
                "train_labels": [[0, 1]] * 2,
                "test_images": pictures(1),
                "test_labels": [[0, 1, 1]],
            },
            "the labels of its parts have 2 and 3 columns",
        ),
        ({"images": pictures(2), "labels": np.array([None, 1], object)}, "cannot be read as .npz"),
        ({"images": pictures(2), "labels": [[0, 2], [1, 1]]}, "must be 0 and 1"),
    ],
)
def test_arrays_that_do_not_serve(tmp_path, arrays, message):
    np.savez(tmp_path / "some.npz", **arrays)
    assert message in told("npz", tmp_path / "some.npz")


# libraries


def test_fashion_mnist_of_torchvision(tmp_path):
    """Its files as torchvision unpacks them, of a few images."""
    for part, count in (("train", 20), ("t10k", 10)):
        folder = tmp_path / "FashionMNIST" / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        header = struct.pack(">iiii", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + pictures(count, 28, 28).tobytes())
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 0x801, count) + labels.tobytes())
    data = loaded("torchvision:FashionMNIST", tmp_path)
    assert (len(data.train), len(data.test), data.channels) == (20, 10, 1)
    assert data.classes[data.train.labels[9]] == "Ankle boot"
    np.testing.assert_array_equal(data.test.original(3), pictures(10, 28, 28)[3])


def test_a_set_with_named_splits_and_one_without(tmp_path):
    for part in ("train", "valid", "test"):
        for name in ("negative", "positive"):
            write(tmp_path / "rendered-sst2" / part / name, pictures(3, 9, 9, 3))
    data = loaded("torchvision:RenderedSST2", tmp_path)
    assert (len(data.train), len(data.test), data.classes) == (6, 6, ["negative", "positive"])
    for name in ("Forest", "River"):
        write(tmp_path / "eurosat" / "2750" / name, pictures(5, 9, 9, 3))
    data = loaded("torchvision:EuroSAT", tmp_path)
    assert (len(data.train), data.classes) == (8, ["Forest", "River"]) and "without a test set" in data.notes[0]


def test_sets_of_torchvision_that_do_not_serve(tmp_path, monkeypatch):
    assert "did you mean FashionMNIST" in told("torchvision:FashionMnist", tmp_path)
    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", lambda *_, **__: exec("raise OSError('no route')"))  # fmt: skip
    assert "torchvision cannot open it" in told("torchvision:KMNIST", tmp_path)


def test_sets_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})

    def part(count: int):
        images = [Image.fromarray(image) for image in pictures(count, 9, 9, 3)]
        return datasets.Dataset.from_dict({"image": images, "label": [i % 2 for i in range(count)]}, features=features)

    datasets.DatasetDict(train=part(6), validation=part(4)).save_to_disk(str(tmp_path / "pets"))
    data = loaded("hf:pets", tmp_path)
    assert (len(data.train), len(data.test), data.classes) == (6, 4, ["cat", "dog"])
    np.testing.assert_array_equal(data.test.original(3), pictures(4, 9, 9, 3)[3])
    part(10).save_to_disk(str(tmp_path / "unsplit"))
    assert len(loaded("hf:own/unsplit", tmp_path / "unsplit").train) == 8
    refused = {
        "sets": ([[0, 1], [1, 0]], datasets.Sequence(datasets.Value("int64")), "column label holds"),
        "gaps": (["a", None], datasets.Value("string"), "some examples have no label"),
    }
    for name, (labels, kind, message) in refused.items():
        images = [Image.fromarray(image) for image in pictures(2, 9, 9, 3)]
        columns = datasets.Features({"image": datasets.Image(), "label": kind})
        datasets.Dataset.from_dict({"image": images, "label": labels}, features=columns).save_to_disk(
            str(tmp_path / name)
        )
        assert message in told(f"hf:{name}", tmp_path)
    for name, image, message in (
        ("none", None, "image 1 of all is missing"),
        ("real", Image.new("F", (9, 9)), "image 1 of all: floating"),
    ):
        images = [Image.fromarray(pictures(1, 9, 9)[0]), image]
        datasets.Dataset.from_dict({"image": images, "label": [0, 1]}, features=features).save_to_disk(
            str(tmp_path / name)
        )
        assert message in told(f"hf:{name}", tmp_path)
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).save_to_disk(str(tmp_path / "text"))
    assert "has columns text, label; one of images" in told("hf:text", tmp_path)


def test_a_set_that_the_hub_does_not_give(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: exec("raise ConnectionError('no\\nroute')"))
    message = told("hf:owner/pets", tmp_path)
    assert "cannot be loaded (no route)" in message and "save_to_disk" in message
