"""Labels: corrected by a table, or drawn at random, a fixed draw, as many as asked for, in train and test."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lab.compose import compose
from lab.data import Data, Images, Split, load
from lab.data.labels import with_random_labels, wrong_labels
from lab.errors import UserError

CORRECTED = {
    "by id, of the train set": "id,label\ncat/1.png,dog\ndog/0.png,\ncat/0.png,cat\n",
    "by path": "path,label,mine\ntrain/cat/1.png,dog,x\ntrain/dog/0.png,,\n./train/cat/0.png,cat,\n",
    "the split named": "label,id,split\ndog,cat/1.png,train\n,dog/0.png,\ncat,cat/0.png,train\n",
}
REFUSED = {
    "id,label\ncat/9.png,dog\n": "line 2: there is no image 'cat/9.png'",
    "path,label\ncat/1.png,dog\n": "line 2: there is no image 'cat/1.png'",
    "id,label\ncat/1.png,dgo\n": "there is no class 'dgo'; did you mean dog?",
    "id,label\ncat/1.png,dog\ncat/1.png,\n": "lines 2 and 3 are of the same image",
    "name,label\ncat/1.png,dog\n": "id or path is needed",
    "id\ncat/1.png\n": "label is needed",
    "id,label\n" + "".join(f"cat/{i}.png,\n" for i in range(4)): "leaves no train image of the class 'cat'",
    "id,label,split\n" + "".join(f"{c}/0.png,,test\n" for c in ("cat", "dog")): "leaves no test image",
    "id,label\n"
    + "".join(f"{c}/{i}.png,\n" for c in ("cat", "dog") for i in range(4)): "leaves no train image of the class 'cat'",
}


@pytest.fixture
def pets(tmp_path) -> Path:
    draw = np.random.default_rng(0)
    for part, number in (("train", 4), ("test", 1)):
        for name in ("cat", "dog"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for i in range(number):
                image = Image.fromarray(draw.integers(0, 256, (8, 8), np.uint8))
                image.save(tmp_path / "pets" / part / name / f"{i}.png")
    return tmp_path / "pets"


def corrected(pets: Path, table: str) -> Data:
    (pets / "fixed.csv").write_text(table)
    return load(
        compose([f"root={pets}", f"labels={pets / 'fixed.csv'}", f"cache={pets.parent}", "batch_size=2", "resize=null"])
    )


@pytest.mark.parametrize("table", CORRECTED.values(), ids=list(CORRECTED))
def test_labels_of_a_table_take_the_place_of_the_folders(pets, table):
    data = corrected(pets, table)
    assert data.train.ids == ["cat/0.png", "cat/1.png", "cat/2.png", "cat/3.png", "dog/1.png", "dog/2.png", "dog/3.png"]
    assert data.train.labels.tolist() == [0, 1, 0, 0, 1, 1, 1] and data.test.labels.tolist() == [0, 1]
    assert [path.name for path in data.train.originals][4:] == ["1.png", "2.png", "3.png"]
    assert np.array_equal(data.train.images[4][..., 0], np.asarray(Image.open(pets / "train/dog/1.png")))
    assert f"labels={pets / 'fixed.csv'}: 1 label changed, 1 image left out, 1 of the table as before" in data.notes


def test_an_id_that_only_the_test_set_has_is_found_there(pets):
    (pets / "test/cat/0.png").rename(pets / "test/cat/tabby.png")
    data = corrected(pets, "id,label\ncat/tabby.png,dog\ncat/0.png,dog\n")
    assert data.test.labels.tolist() == [1, 1] and data.train.labels.tolist() == [1, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("table", REFUSED)
def test_a_table_of_labels_that_does_not_fit_is_refused(pets, table):
    with pytest.raises(UserError) as refused:
        corrected(pets, table)
    assert REFUSED[table] in str(refused.value) and str(refused.value).startswith("labels=")


def test_which_labels_are_wrong():
    clean = data()
    wrong, how = wrong_labels(clean.train, with_random_labels(clean, 0.5, 0).train)
    assert wrong.mean() == pytest.approx(0.45, abs=0.015) and how == "drawn at random"
    assert wrong_labels(clean.train, clean.train) == (None, "")


def data(multi_label: bool = False) -> Data:
    def split(n: int) -> Split:
        images = np.zeros((n, 2, 2, 1), np.uint8)
        return Split(Images.of(images), np.arange(n) % 10, [str(i) for i in range(n)], images[..., 0])

    return Data(split(20_000), split(10_000), [str(i) for i in range(10)], multi_label=multi_label)


def test_labels_are_drawn_from_all_classes_in_train_and_test():
    clean, noisy = data(), with_random_labels(data(), 0.5, 0)
    for a, b in ((clean.train, noisy.train), (clean.test, noisy.test)):
        assert (a.labels != b.labels).mean() == pytest.approx(0.5 * 0.9, abs=0.015)  # a tenth keeps its label by chance
        changed = b.labels[a.labels != b.labels]
        assert np.bincount(changed, minlength=10).min() > 0.08 * len(changed)
        assert a.ids == b.ids
    assert not np.array_equal(noisy.train.labels[:100], noisy.test.labels[:100])


def test_the_draw_is_fixed_by_the_seed_and_nothing_is_drawn_at_0():
    again = [with_random_labels(data(), 1, seed).train.labels for seed in (0, 0, 1)]
    assert np.array_equal(again[0], again[1]) and not np.array_equal(again[0], again[2])
    assert np.array_equal(with_random_labels(data(), 0, 0).train.labels, data().train.labels)


def test_sets_of_labels_are_refused():
    with pytest.raises(UserError, match="sets of labels"):
        with_random_labels(data(multi_label=True), 0.5, 0)
