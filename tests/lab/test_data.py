"""Data sets: real digits and photographs, as files where files are read, and every way in which a folder can be wrong."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from lab.data import DATASETS, load
from lab.data.cifar10 import read_reference
from lab.data.images import as_network_input
from lab.errors import UserError
from lab.settings import compose


def configuration(root: Path, *words: str):
    return compose(["data=folder", "resize=null", "crop=null", "batch_size=2", f"root={root}", *words])


@pytest.fixture
def pets(tmp_path) -> Path:
    """Two classes of 40×32 pieces of real photographs: 4 and 3 of each to train, 2 of each to test."""
    cat, astronaut = skimage.data.chelsea(), skimage.data.astronaut()
    for part, counts in (("train", (4, 3)), ("test", (2, 2))):
        for name, photograph, count in (("cat", cat, counts[0]), ("person", astronaut, counts[1])):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                top = 20 * i + (100 if part == "test" else 0)
                Image.fromarray(photograph[top : top + 40, 60:92]).save(folder / f"{i}.png")
    return tmp_path


# the digits


def test_mnist5k_is_4000_and_1000_digits_split_by_class(mnist):
    images, labels = mnist
    data = load(compose([]))
    assert data.classes == list("0123456789") and data.channels == 1 and data.notes == ()
    assert len(data.train) == 4000 and len(data.test) == 1000
    for split, count in ((data.train, 400), (data.test, 100)):
        assert Counter(split.labels.tolist()) == dict.fromkeys(range(10), count)
        assert split.labels.dtype == np.int64 and split.images.dtype == np.uint8
        index = np.array(split.ids, int)
        np.testing.assert_array_equal(split.labels, labels[index])
        np.testing.assert_array_equal(split.originals, images[index])
        assert split.images.shape[1:] == (32, 32, 1)
        np.testing.assert_array_equal(split.images[:, 2:-2, 2:-2, 0], split.originals)
        border = split.images.copy()
        border[:, 2:-2, 2:-2] = 0
        assert not border.any()
    assert sorted(map(int, data.train.ids + data.test.ids)) == list(range(5000))


def test_digits_in_another_size():
    as_they_are, data = load(compose([])), load(compose(["resize=48"]))
    assert data.train.images.shape == (4000, 48, 48, 1) and data.train.originals.shape == (4000, 28, 28)
    small = Image.fromarray(data.train.images[7, ..., 0]).resize((32, 32))
    assert np.abs(np.asarray(small, int) - as_they_are.train.images[7, ..., 0]).mean() < 8


def test_mnist5k_is_the_same_whatever_the_seed():
    """The split is part of the data set; these are its first test digits for good."""
    one, other = load(compose(["seed=0"])), load(compose(["seed=5"]))
    assert one.test.ids == other.test.ids
    assert one.test.ids[:8] == ["1", "2", "3", "6", "9", "12", "14", "16"]


# folders


def test_a_folder_of_images(pets):
    data = load(configuration(pets))
    assert data.classes == ["cat", "person"]
    assert data.train.ids == [*(f"cat/{i}.png" for i in range(4)), *(f"person/{i}.png" for i in range(3))]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    assert data.train.images.shape == (7, 40, 32, 3)
    np.testing.assert_array_equal(data.train.images[5], np.asarray(Image.open(pets / "train/person/1.png")))
    np.testing.assert_array_equal(data.train.originals, data.train.images)


def test_val_stands_for_test(pets):
    (pets / "test").rename(pets / "val")
    assert load(configuration(pets)).test.ids == ["cat/0.png", "cat/1.png", "person/0.png", "person/1.png"]


def test_images_lie_at_any_depth_and_other_files_are_passed_over(pets):
    deeper = pets / "train/cat/indoors/2020"
    deeper.mkdir(parents=True)
    (pets / "train/cat/3.png").rename(deeper / "A.PNG")
    (pets / "train/cat/notes.txt").write_text("not an image")
    (pets / "train/README.md").write_text("not a class")
    assert load(configuration(pets)).train.ids[:4] == ["cat/0.png", "cat/1.png", "cat/2.png", "cat/indoors/2020/A.PNG"]


def test_grey_images_alone_stay_grey_and_beside_colour_become_colour(pets):
    for path in pets.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    grey = load(configuration(pets))
    assert grey.channels == 1 and grey.train.images.shape == (7, 40, 32, 1)
    Image.open(pets / "train/cat/2.png").convert("RGB").save(pets / "train/cat/2.png")
    data = load(configuration(pets))
    assert data.channels == 3
    assert isinstance(data.train.originals, list)
    assert [image.ndim for image in data.train.originals] == [2, 2, 3, 2, 2, 2, 2]
    for channel in range(3):
        np.testing.assert_array_equal(data.train.images[..., channel], grey.train.images[..., 0])


def test_train_and_test_have_the_same_channels(pets):
    """Grey test images of a colour set are colour too, or the network could not take them."""
    for path in (pets / "test").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    data = load(configuration(pets))
    assert data.train.images.shape[-1] == data.test.images.shape[-1] == 3


def test_and_a_colour_test_set_makes_a_grey_train_set_colour(pets):
    for path in (pets / "train").rglob("*.png"):
        Image.open(path).convert("L").save(path)
    data = load(configuration(pets))
    assert data.train.images.shape[-1] == data.test.images.shape[-1] == 3


# sizes


def test_resize_and_crop(pets):
    data = load(configuration(pets, "resize=16", "crop=12"))
    assert data.train.images.shape == (7, 20, 16, 3)
    assert data.train.originals.shape == (7, 40, 32, 3)
    assert data.size(12) == 12


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70))
def test_resizing_equals_torchvisions(height, width, size):
    image = skimage.data.astronaut()[:height, :width]
    expected = np.asarray(transforms.Resize(size)(Image.fromarray(image)))
    np.testing.assert_array_equal(as_network_input(image, True, size), expected)


def test_images_that_are_no_squares_need_a_crop(pets):
    data = load(configuration(pets))
    with pytest.raises(
        UserError, match=r"^the train images are 32 to 40 pixels wide and high: give resize= and crop=.*$"
    ):
        data.size(None)
    assert data.size(32) == 32
    with pytest.raises(
        UserError, match=r"^crop=33 is larger than a train image with a side of 32 pixels.*at least 33$"
    ):
        data.size(33)


def test_test_images_too_small_for_the_crop(pets):
    Image.open(pets / "test/cat/0.png").resize((20, 50)).save(pets / "test/cat/0.png")
    data = load(configuration(pets))
    assert isinstance(data.test.images, list)
    with pytest.raises(UserError, match=r"^crop=32 is larger than a test image with a side of 20 pixels"):
        data.size(32)


# what can be wrong with a folder


def told(config) -> str:
    with pytest.raises(UserError) as raised:
        load(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_missing_folder(tmp_path):
    assert "nowhere: there is no such folder" in told(configuration(tmp_path / "nowhere"))


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").touch()
    assert "file: there is no such folder" in told(configuration(tmp_path / "file"))


def test_an_empty_folder(tmp_path):
    assert f"{tmp_path / 'train'}: there is no such folder" in told(configuration(tmp_path))


def test_no_test_images(pets):
    (pets / "test").rename(pets / "elsewhere")
    assert f"{pets / 'test'}: there is no such folder" in told(configuration(pets))


def test_no_class_folders(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "test").mkdir()
    assert "train: holds no class folders; expected train/<class>/<image>" in told(configuration(tmp_path))


def test_a_class_without_images(pets):
    (pets / "train/dog").mkdir()
    (pets / "train/dog/notes.txt").touch()
    (pets / "test/dog").mkdir()
    assert f"{pets / 'train/dog'}: a class without images" in told(configuration(pets))


def test_classes_that_differ(pets):
    (pets / "test/person").rename(pets / "test/human")
    message = told(configuration(pets))
    assert "train and test differ in their classes" in message and "human, person" in message


def test_a_train_set_smaller_than_a_batch(pets):
    assert "batch_size=8 is larger than the training set of 7 examples" in told(configuration(pets, "batch_size=8"))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def overwrite(path: Path) -> None:
    path.write_text("<html>404</html>")


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [truncate, overwrite, empty])
def test_an_image_that_cannot_be_read_is_named(pets, spoil):
    spoil(pets / "train/cat/2.png")
    message = told(configuration(pets))
    assert str(pets / "train/cat/2.png") in message and "skip_bad_images=true" in message
    assert "more)" not in message
    spoil(pets / "train/person/0.png")
    assert "(and 1 more)" in told(configuration(pets))


def test_bad_images_are_left_out_and_counted(pets):
    truncate(pets / "train/cat/2.png")
    overwrite(pets / "test/person/0.png")
    data = load(configuration(pets, "skip_bad_images=true"))
    assert len(data.train) == 6 and len(data.test) == 3
    assert "cat/2.png" not in data.train.ids and "person/0.png" not in data.test.ids
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1] and data.test.labels.tolist() == [0, 0, 1]
    (note,) = data.notes
    assert note.startswith("2 unreadable images left out") and str(pets / "train/cat/2.png") in note


def test_a_class_of_bad_images_alone(pets):
    for path in (pets / "test/cat").iterdir():
        empty(path)
    message = told(configuration(pets, "skip_bad_images=true"))
    assert f"{pets / 'test/cat'}: none of its images can be read" in message


# CIFAR-10 as a folder


@pytest.fixture
def cifar(tmp_path) -> Path:
    """`cifar10/<split>/<class>/<index>.png` as in cifar10.zip: the class follows from the index in no order at all."""
    photograph = skimage.data.astronaut()
    for part, count in (("train", 12), ("test", 6)):
        for i in range(count):
            folder = tmp_path / "cifar10" / part / ("frog", "airplane", "truck")[i * 7 % 3]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph[i * 30 : i * 30 + 32, 100:132]).save(folder / f"{i:05d}.png")
    return tmp_path


def cifar_configuration(root: Path, *words: str):
    return compose(["data=cifar10", "batch_size=4", f"root={root}", *words])


@pytest.mark.parametrize("below", ["", "cifar10"])
def test_cifar10_as_a_folder_keeps_the_original_order(cifar, below):
    data = DATASETS["cifar10"](cifar_configuration(cifar / below))
    assert data.classes == ["airplane", "frog", "truck"]
    assert data.train.ids == [str(i) for i in range(12)] and data.test.ids == [str(i) for i in range(6)]
    names = ("frog", "airplane", "truck")
    assert [data.classes[label] for label in data.train.labels] == [names[i * 7 % 3] for i in range(12)]
    for i in range(12):
        np.testing.assert_array_equal(data.train.images[i], skimage.data.astronaut()[i * 30 : i * 30 + 32, 100:132])
    np.testing.assert_array_equal(data.train.originals, data.train.images)


def test_names_that_are_no_index_keep_the_order_of_the_folder(cifar):
    for path in sorted(cifar.rglob("*.png")):
        path.rename(path.with_name(f"x{path.name}"))
    data = DATASETS["cifar10"](cifar_configuration(cifar))
    assert data.train.ids[0] == "airplane/x00001.png" and data.train.labels.tolist() == sorted(data.train.labels)


def test_numbers_that_begin_anew_in_each_class_are_no_index(cifar):
    """Ids must stay different."""
    for folder in [path for path in cifar.rglob("*") if path.is_dir() and not any(p.is_dir() for p in path.iterdir())]:
        for i, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"{i}.png")
    data = DATASETS["cifar10"](cifar_configuration(cifar))
    assert len(set(data.train.ids)) == 12
    assert data.train.ids[0] == "airplane/0.png"


def test_originals_of_different_sizes_are_ordered_too(cifar):
    path = next((cifar / "cifar10/train/truck").iterdir())
    Image.open(path).resize((64, 64)).save(path)
    data = DATASETS["cifar10"](cifar_configuration(cifar, "resize=32"))
    assert data.train.ids == [str(i) for i in range(12)]
    assert [len(image) for image in data.train.originals] == [64 if i == int(path.stem) else 32 for i in range(12)]


def test_cifar10_in_torchvisions_files(tmp_path, monkeypatch):
    """A tiny set in the form of `cifar-10-python.tar.gz`, unpacked; only the check of the published digest is left out."""
    import pickle

    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        content = {
            "data": draw.integers(256, size=(4, 3072), dtype=np.uint8),
            "labels": draw.integers(10, size=4).tolist(),
        }
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {c}" for c in range(10)]}))
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, digest: True)
    data = load(cifar_configuration(tmp_path))
    assert data.train.images.shape == (20, 32, 32, 3) and data.test.images.shape == (4, 32, 32, 3)
    assert data.train.ids == [str(i) for i in range(20)] and data.classes[3] == "class 3"
    assert data.train.labels.dtype == np.int64
    first = pickle.loads((folder / "data_batch_1").read_bytes())
    np.testing.assert_array_equal(data.train.images[0], first["data"][0].reshape(3, 32, 32).transpose(1, 2, 0))


def test_cifar10_that_cannot_be_downloaded(tmp_path, monkeypatch):
    import urllib.error

    def no_network(*arguments, **named):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    message = told(cifar_configuration(tmp_path / "data"))
    assert message.startswith(f"root={tmp_path / 'data'} holds no CIFAR-10, and downloading it failed")
    assert "no route to host" in message and "cifar10/train/<class>/*.png" in message


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 and no more", b"\x80\x04.", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8',"]
)
@pytest.mark.parametrize(("name", "array"), [("label_entropy", None), ("c_score", "scores"), ("label_noise", None)])
def test_a_damaged_reference_is_named(tmp_path, content, name, array):
    path = tmp_path / "reference.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"reference\.npz: cannot be read as published"):
        read_reference(path, name, array)


def test_train_and_test_of_different_sizes(tmp_path, monkeypatch):
    for part, side in (("train", 32), ("test", 48)):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(np.full((side, side, 3), i, np.uint8)).save(tmp_path / part / label / f"{i}.png")
    data = DATASETS["folder"](compose(["data=folder", "resize=null", "crop=null", "batch_size=2", f"root={tmp_path}"]))
    with pytest.raises(UserError, match="train and test images are 32 to 48 pixels wide and high: give resize="):
        data.size(None)
    assert data.size(32) == 32

    def offline(*arguments):
        raise OSError("no network in tests")

    monkeypatch.setattr("lab.data.cifar10.fetch", offline)
    with pytest.raises(UserError, match="holds no CIFAR-10"):  # whatever else lies in root
        DATASETS["cifar10"](cifar_configuration(tmp_path))


def test_a_preset_without_its_function(monkeypatch):
    config = compose(["data=voc"])
    monkeypatch.delitem(DATASETS, "voc")
    with pytest.raises(UserError, match=r"training\.data\.DATASETS has no function of that name"):
        load(config)
