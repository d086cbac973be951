"""Sets too large for the memory: decoded once into a file, of which networks and statistics get what they would from memory."""

import multiprocessing
import os
import time

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lab.batches import Batches
from lab.data import images as files
from lab.data import load
from lab.data.pixels import PixelFile, share, take
from lab.errors import UserError
from lab.settings import compose


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


def configuration(root, cache, *words: str):
    return compose(["data=folder", "resize=40", "crop=32", "batch_size=2", f"root={root}", f"cache={cache}", *words])


def test_a_large_set_is_the_same_on_disk_as_in_memory(photographs, tmp_path):
    small = load(configuration(photographs, tmp_path))
    large = load(configuration(photographs, tmp_path, "memory=0"))
    assert isinstance(large.train.images, PixelFile)
    for split in ("train", "test"):
        a, b = getattr(small, split), getattr(large, split)
        assert a.ids == b.ids and a.labels.tolist() == b.labels.tolist()
        assert all(np.array_equal(x, y) for x, y in zip(a.images, b.images, strict=True))
        assert [str(path) for path in b.originals] == [str(photographs / split / name) for name in a.ids]
        share(a.images, tmp_path / f"small-{split}")
        share(b.images, tmp_path / f"large-{split}")
        batches = [
            Batches.open(tmp_path / f"{size}-{split}", a.labels, torch.device("cpu"), 32) for size in ("small", "large")
        ]
        index = torch.tensor([3, 0, 5])
        drawn = [each.get(index, torch.Generator().manual_seed(1))[0] for each in batches]
        assert torch.equal(*drawn)


def test_images_are_resized_before_the_next_block_is_decoded(photographs, tmp_path, monkeypatch):
    """Of a set too large for memory no more is held than a block of small images."""
    waiting, shapes = [], []
    decoded = files.decoded

    def watched(*arguments):
        for image, why in decoded(*arguments):
            shapes.append(image.shape)
            yield image, why

    monkeypatch.setattr(files, "write_pixels", lambda path, images, channels: waiting.extend(images) or path.touch())
    monkeypatch.setattr(files, "save_array", lambda path, shapes: None)
    (original,) = {image.shape for image, _ in files.decoded([photographs / "train/cat/1.png"])}
    monkeypatch.setattr(files, "decoded", watched)
    files.decode_into(tmp_path / "x.npy", tmp_path / "x.json", [photographs / "train/cat/1.png"], 20)
    assert min(waiting[0].shape[:2]) == 20 < min(original[:2])
    assert shapes == [waiting[0].shape]
    ((image, _),) = files.decoded([photographs / "train/cat/1.png"], lambda image: image[:3, :4])
    assert image.shape == (3, 4, 3)


def test_a_part_of_a_file_is_not_copied(photographs, tmp_path):
    images = load(configuration(photographs, tmp_path, "memory=0")).train.images
    part = take(images, np.array([6, 1]))
    share(part, tmp_path / "part")
    assert (tmp_path / "part-pixels.npy").is_symlink()
    batches = Batches.open(tmp_path / "part", np.array([0, 1]), torch.device("cpu"), 32)
    found, _ = batches.get(torch.tensor([0]))
    top, left = ((side - 32) // 2 for side in images[6].shape[:2])
    expected = images[6][top : top + 32, left : left + 32]
    assert np.array_equal((found[0] * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_images_of_one_size_on_disk_need_no_crop(photographs, tmp_path):
    for path in photographs.rglob("*.png"):
        Image.open(path).resize((16, 16)).save(path)
    words = ("memory=0", "resize=null", "crop=null")
    data = load(configuration(photographs, tmp_path, *words))
    assert data.size(None) == 16
    share(take(data.train.images, np.array([2, 0])), tmp_path / "part")
    found, _ = Batches.open(tmp_path / "part", np.array([0, 0]), torch.device("cpu")).get(torch.tensor([0, 1]))
    for one, i in zip(found, (2, 0), strict=True):
        assert np.array_equal((one * 255).round().byte().permute(1, 2, 0).numpy(), data.train.images[i])


def test_the_file_is_made_once_and_anew_when_an_image_changes(photographs, tmp_path):
    def written() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "pixels").glob("*.npy")}

    first = load(configuration(photographs, tmp_path, "memory=0"))
    before = written()
    again = load(configuration(photographs, tmp_path, "memory=0"))
    assert written() == before and again.digest == first.digest
    Image.fromarray(skimage.data.coffee()[:70, :70]).save(photographs / "train/cat/0.png")
    changed = load(configuration(photographs, tmp_path, "memory=0"))
    assert changed.digest != first.digest
    assert changed.train.images[0].shape[:2] == (40, 40)


def test_a_bad_image_is_named_before_training_or_left_out(photographs, tmp_path):
    bad = photographs / "train/cat/2.png"
    bad.write_bytes(bad.read_bytes()[:200])
    with pytest.raises(UserError, match=r"2\.png"):
        load(configuration(photographs, tmp_path, "memory=0"))
    data = load(configuration(photographs, tmp_path, "memory=0", "skip_bad_images=true"))
    assert len(data.train) == 7 and "cat/2.png" not in data.train.ids
    assert "1 unreadable image left out" in data.notes[0]


def test_two_processes_at_once_decode_every_image_once(photographs, tmp_path, monkeypatch):
    """Whoever comes second waits, and reads what the first has made."""
    decode = files.decode_into

    def noted(*arguments):
        with (tmp_path / "decoded").open("a") as note:
            note.write("x")
        time.sleep(0.5)
        decode(*arguments)

    monkeypatch.setattr(files, "decode_into", noted)
    config = configuration(photographs, tmp_path, "memory=0")
    expected = len(load(configuration(photographs, tmp_path)).train.images)

    def read() -> None:
        os._exit(0 if len(load(config).train.images) == expected else 1)

    processes = [multiprocessing.get_context("fork").Process(target=read) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "decoded").read_text() == "xx"  # the train and the test images


def test_what_another_version_or_a_full_disk_left_is_made_anew(photographs, tmp_path, monkeypatch):
    """Of another version: what it wrote is not what this one would. Of a full disk: a part of the pixels."""

    def inverted(image, colour, resize):
        return 255 - as_network_input(image, colour, resize)

    config = configuration(photographs, tmp_path, "memory=0")
    as_network_input = files.as_network_input
    with monkeypatch.context() as patch:
        patch.setattr(files, "as_network_input", inverted)
        patch.setattr(files, "DECODING", 0)
        other = load(config).train.images[0].copy()
    images = load(config).train.images
    assert np.array_equal(images[0], 255 - other)
    whole = images.path.read_bytes()
    images.path.write_bytes(whole[:-1])
    assert load(config).train.images.path.read_bytes() == whole
