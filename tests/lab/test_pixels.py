"""Sets of image files are decoded once into a file, of which networks and processes get what the image files hold."""

import multiprocessing
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lab.batches import Batches
from lab.compose import compose
from lab.data import Images, load
from lab.data import images as files
from lab.data.images import as_network_input, decode, glance
from lab.errors import UserError
from metrics import read_image


@pytest.fixture
def photographs(tmp_path):
    """Two classes of pieces of photographs, of different sizes, one of them grey."""
    for part in ("train", "test"):
        for name, photograph in (("cat", skimage.data.chelsea()), ("person", skimage.data.astronaut())):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for i in range(4):
                Image.fromarray(photograph[20 * i : 20 * i + 60 + i, 60:130]).save(folder / f"{i}.png")
    Image.open(folder / "0.png").convert("L").save(folder / "0.png")
    return tmp_path / "images"


@pytest.fixture
def loaded(photographs, tmp_path):
    def load_with(*words: str):
        common = ["data=folder", "resize=40", "crop=32", "batch_size=2", f"root={photographs}", f"cache={tmp_path}"]
        return load(compose([*common, *words]))

    return load_with


def test_a_set_on_disk_holds_what_its_files_hold(loaded, tmp_path):
    data = loaded()
    for part in ("train", "test"):
        split = getattr(data, part)
        expected = [as_network_input(read_image(path), 3, 40) for path in split.originals]
        assert split.images.file and all(np.array_equal(*pair) for pair in zip(split.images, expected, strict=True))
        split.images.save(tmp_path / "on-disk")
        Images.of(expected).save(tmp_path / "in-memory")
        opened = [
            Batches(Images.open(tmp_path / kind), split.labels, torch.device("cpu"), 32)
            for kind in ("on-disk", "in-memory")
        ]
        places = opened[0].draws(3, torch.Generator().manual_seed(1))
        assert torch.equal(*(each.get(torch.tensor([3, 0, 5]), places)[0] for each in opened))


def test_images_in_memory_and_in_a_file_are_taken_alike(loaded, tmp_path):
    mapped = loaded().train.images
    in_memory = Images.of(list(mapped))
    assert in_memory.file is None and len(in_memory) == len(mapped) == 8
    index = np.array([6, 1, 6])
    for images in (mapped, in_memory):
        images.take(index).save(tmp_path / "part")
        again = Images.open(tmp_path / "part")
        for found in (images.take(index), again, again.take(np.array([0, 1, 2]))):
            assert all(np.array_equal(found[n], mapped[i]) for n, i in enumerate(index)) and len(found) == 3
        assert (tmp_path / "part-pixels.npy").is_symlink() == (images is mapped)  # a part of a file is not copied
    before = mapped[6].copy()
    again.pixels[:] = 0  # of this process alone
    assert np.array_equal(Images.open(tmp_path / "part")[0], before)


@pytest.mark.parametrize(("limit", "value"), [("WAITING", 2), ("MEMORY", 2.5 * 61 * 70 * files.BYTES_A_PIXEL)])
def test_no_more_is_decoded_at_once_than_fits(photographs, monkeypatch, limit, value):
    """Neither in number nor in bytes; and what waits is resized."""
    path, held = photographs / "train/cat/1.png", []

    def watched(path: Path, bits: int) -> np.ndarray:
        held.append(path)
        return read_image(path)

    monkeypatch.setattr(files, "read_image", watched)
    monkeypatch.setattr(files, limit, value)
    images = decode([glance(path)] * 5, 3, 20)
    image, _ = next(images)
    time.sleep(0.2)  # in which all five could be decoded
    assert min(image.shape[:2]) == 20 < min(read_image(path).shape[:2]) and len(held) == 2
    assert len(list(images)) == 4 and len(held) == 5


def test_images_of_one_size_need_no_crop(photographs, loaded, tmp_path):
    for path in photographs.rglob("*.png"):
        Image.open(path).resize((16, 16)).save(path)
    data = loaded("resize=null", "crop=null")
    assert data.size(None) == 16
    data.train.images.take(np.array([2, 0])).save(tmp_path / "part")
    found, _ = Batches(Images.open(tmp_path / "part"), np.array([0, 0]), torch.device("cpu")).get(torch.tensor([0, 1]))
    for one, i in zip(found, (2, 0), strict=True):
        assert np.array_equal((one * 255).round().byte().permute(1, 2, 0).numpy(), data.train.images[i])


def test_the_file_is_made_once_and_anew_when_an_image_changes(photographs, loaded, tmp_path):
    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pixels").glob("*.np[yz]")}

    first, before = loaded(), written()
    again = loaded()
    assert written() == before and again.digest == first.digest
    Image.fromarray(skimage.data.coffee()[:70, :70]).save(photographs / "train/cat/0.png")
    changed = loaded()
    assert changed.digest != first.digest
    assert changed.train.images[0].shape[:2] == (40, 40)


def test_a_file_of_the_same_size_and_date_is_another_file(photographs, loaded):
    """Copied over by a program that keeps dates: bitmaps of one shape are of one size as well."""
    for path in photographs.rglob("*.png"):
        Image.open(path).resize((40, 40)).save(path.with_suffix(".bmp"))
        path.unlink()
    one, other = photographs / "train/cat/1.bmp", photographs / "train/person/1.bmp"
    stat, first = one.stat(), loaded()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    changed = loaded()
    assert np.array_equal(changed.train.images[1], read_image(other))
    assert changed.digest != first.digest and changed.train.digest != first.train.digest


def test_images_are_known_by_their_content(photographs, loaded, tmp_path):
    """A folder that is copied elsewhere, at another time, holds the same images; what they are resized to does not count."""
    shutil.copytree(photographs, tmp_path / "elsewhere")
    copied = loaded(f"root={tmp_path / 'elsewhere'}")
    first = loaded()
    assert copied.digest == first.digest and copied.train.digest == first.train.digest != first.test.digest
    resized = loaded("resize=36")
    assert resized.digest != first.digest and resized.train.digest == first.train.digest


def test_an_image_of_one_long_side_is_not_blown_up(photographs, loaded):
    """One pixel high, resized to 40: 4 gigabytes."""
    Image.fromarray(np.zeros((1, 2**20), np.uint8)).save(photographs / "train/cat/2.png")
    with pytest.raises(UserError, match=r"1048576 x 1 pixels become 41943040 x 40 by resize=40"):
        loaded()


def test_a_bad_image_is_named_before_training_or_left_out(photographs, loaded):
    bad = photographs / "train/cat/2.png"
    bad.write_bytes(bad.read_bytes()[:200])
    for _ in range(2):  # the second time from the cache
        with pytest.raises(UserError, match=r"2\.png"):
            loaded()
        data = loaded("skip_bad_images=true")
        assert len(data.train) == 7 and "cat/2.png" not in data.train.ids
        assert "1 unreadable image left out" in data.notes[0]


def test_an_image_that_could_not_be_read_is_tried_again(photographs, loaded, monkeypatch):
    """A share that was away for a moment, say: the file itself has not changed."""

    def away(path: Path, bits: int) -> np.ndarray:
        if path.name == "2.png":
            raise OSError(f"{path}: stale file handle")
        return read_image(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_image", away)
        assert len(loaded("skip_bad_images=true").train) == 6
    data = loaded()
    assert len(data.train) == 8 and not any("unreadable" in note for note in data.notes)


def test_processes_at_once_decode_every_image_once(loaded, tmp_path, monkeypatch):
    """Whoever comes second waits, and reads what the first has made."""
    write = files.write_pixels

    def noted(*arguments):
        with (tmp_path / "decoded").open("a") as note:
            note.write("x")
        time.sleep(0.5)
        return write(*arguments)

    monkeypatch.setattr(files, "write_pixels", noted)

    def read() -> None:
        os._exit(0 if len(loaded().train.images) == 8 else 1)

    processes = [multiprocessing.get_context("fork").Process(target=read) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "decoded").read_text() == "xx"  # the train and the test images


def test_what_another_version_wrote_is_not_used(loaded, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_image", lambda path, bits: 255 - read_image(path))
        patch.setattr(files, "DECODING", 0)
        other = loaded().train.images[0]
    assert np.abs(loaded().train.images[0].astype(int) - (255 - other)).max() <= 1  # rounded in resizing


@pytest.mark.parametrize("content", [lambda whole: whole[:-1], lambda whole: b"", lambda whole: b"{" + whole[1:], None])
@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_a_damaged_cache_is_made_anew(loaded, content, kind):
    """As a full disk, a power failure or a careless hand leave it."""
    images = loaded().train.images
    pixels = images.pixels.copy()
    damaged = images.file.with_suffix(kind)
    if content:
        damaged.write_bytes(content(damaged.read_bytes()))
    else:
        damaged.unlink()
    again = loaded().train.images
    assert np.array_equal(again.pixels, pixels) and np.array_equal(again.shapes, images.shapes)
    assert loaded().train.images.file == images.file
