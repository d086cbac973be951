"""Pascal VOC in torchvision's layout, real photographs with annotations written here, and every way in which these can be wrong."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from lab.compose import compose
from lab.data import load
from lab.data.voc import CLASSES
from lab.errors import UserError

OBJECT = "<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"


def annotate(kit: Path, year: str, name: str, *objects: tuple) -> Path:
    """An image of 100×80 pixels and its annotation: objects (name, box, difficult)."""
    folder = kit / f"VOC{year}"
    for sub in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    Image.fromarray(skimage.data.chelsea()[:80, :100]).save(folder / f"JPEGImages/{name}.jpg")
    inside = "".join(OBJECT.format(name=what, box=box, difficult=int(hard)) for what, box, hard in objects)
    path = folder / f"Annotations/{name}.xml"
    path.write_text(f"<annotation><size><width>100</width><height>80</height></size>{inside}</annotation>")
    return path


def listed(kit: Path, year: str, part: str, *names: str) -> None:
    (kit / f"VOC{year}/ImageSets/Main/{part}.txt").write_text("\n".join(names) + "\n")


@pytest.fixture
def root(tmp_path) -> Path:
    kit = tmp_path / "VOCdevkit"
    annotate(
        kit,
        "2012",
        "2008_000001",
        ("cat", (1, 1, 50, 40), False),
        ("cat", (51, 1, 100, 80), False),
        ("dog", (1, 41, 10, 80), False),
    )
    annotate(kit, "2012", "2008_000002", ("person", (1, 1, 100, 80), False), ("car", (1, 1, 10, 10), True))
    annotate(kit, "2012", "2008_000003", ("boat", (1, 1, 10, 10), True))
    annotate(kit, "2012", "2008_000004", ("dog", (11, 11, 20, 20), False))
    listed(kit, "2012", "train", "2008_000001", "2008_000002", "2008_000003")
    listed(kit, "2012", "val", "2008_000004")
    listed(kit, "2012", "trainval", "2008_000001", "2008_000002", "2008_000003", "2008_000004")
    (tmp_path / "VSD_dataset.csv").write_text("2008_000001,3.5\n2008_000004,2.25\n")
    return tmp_path


def configuration(root: Path, *words: str):
    return compose(["data=voc", "batch_size=2", f"root={root}", f"cache={root}", *words])


def test_labels_are_sets_and_objects_are_counted_and_summed(root):
    data = load(configuration(root))
    assert data.multi_label and data.classes == list(CLASSES)
    bit = {name: 1 << CLASSES.index(name) for name in CLASSES}
    assert data.train.labels.tolist() == [
        bit["cat"] | bit["dog"],
        bit["person"],
    ]  # without the one of difficult objects alone
    assert data.train.ids == ["VOC2012/JPEGImages/2008_000001.jpg", "VOC2012/JPEGImages/2008_000002.jpg"]
    found = data.train.annotations
    assert found["instances"].tolist() == [3, 1]
    np.testing.assert_allclose(found["box_area"], [(50 * 40 + 50 * 80 + 10 * 40) / 8000, 1])
    np.testing.assert_array_equal(found["search_difficulty"], [3.5, np.nan])
    assert "holds no VOC2007" in data.notes[0]


def test_with_2007_the_sets_are_the_papers(root):
    kit = root / "VOCdevkit"
    annotate(kit, "2007", "000001", ("sofa", (1, 1, 10, 10), False))
    annotate(kit, "2007", "000002", ("bus", (1, 1, 10, 10), False))
    listed(kit, "2007", "trainval", "000001")
    listed(kit, "2007", "test", "000002")
    data = load(configuration(root))
    assert [Path(name).stem for name in data.train.ids] == ["000001", "2008_000001", "2008_000002", "2008_000004"]
    assert [Path(name).stem for name in data.test.ids] == ["000002"]
    (note,) = data.notes  # no longer of VOC2007
    assert "exact copies" in note


def test_without_search_difficulty_a_note_says_where_it_goes(root):
    (root / "VSD_dataset.csv").unlink()
    data = load(configuration(root))
    assert "search_difficulty" not in data.train.annotations
    assert any("VSD_dataset.csv" in note for note in data.notes)


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([], "names no object"),
        ([("cat", (1, 1, 101, 80), False)], "outside the image of 100 × 80"),
        ([("cat", (30, 1, 20, 80), False)], "outside the image"),
        ([("cat", ("", 1, 20, 80), False)], "not four numbers"),
        ([("unicorn", (1, 1, 20, 80), False)], "'unicorn' is no class"),
    ],
)
def test_a_wrong_annotation_is_named(root, objects, told):
    annotate(root / "VOCdevkit", "2012", "2008_000002", *objects)
    with pytest.raises(UserError, match=r"2008_000002\.xml") as error:
        load(configuration(root))
    assert told in str(error.value) and "\n" not in str(error.value)


def test_missing_files_are_named(root):
    (root / "VOCdevkit/VOC2012/JPEGImages/2008_000002.jpg").unlink()
    with pytest.raises(UserError, match=r"2008_000002.jpg: there is no such image"):
        load(configuration(root))
    (root / "VOCdevkit/VOC2012/Annotations/2008_000001.xml").write_text("<annotation>")
    with pytest.raises(UserError, match=r"2008_000001.xml: is not an annotation"):
        load(configuration(root))
    (root / "VOCdevkit/VOC2012/ImageSets/Main/val.txt").unlink()
    with pytest.raises(UserError, match="needs VOC2007"):
        load(configuration(root))


def test_a_bad_difficulty_file_is_named(root):
    (root / "VSD_dataset.csv").write_text("2008_000001,quick\n")
    with pytest.raises(UserError, match=r"VSD_dataset\.csv: expected lines"):
        load(configuration(root))


LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'<!DOCTYPE a [<!ENTITY a0 "ha">{LAUGHS}]><annotation>&a9;</annotation>', "document type"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>', "document type"),
        ("<annotation>" * 300_000, "not an annotation"),
        ("<annotation/>", "states a size of 0 × 0"),
        ("<annotation><size><width>0</width><height>0</height></size><object/></annotation>", "a size of 0 × 0"),
        (f"<annotation><size><width>{'9' * 400}</width><height>1</height></size></annotation>", "states a size"),
        (f"<annotation><size><width>{'9' * 5000}</width></size></annotation>", "not an annotation"),
        (" " * 2**25, "cannot be meant"),
        ("caf\xe9".encode("latin-1"), "cannot be read"),
    ],
)
def test_an_annotation_that_is_no_annotation_is_refused(root, text, told):
    path = root / "VOCdevkit/VOC2012/Annotations/2008_000002.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"2008_000002\.xml") as error:
        load(configuration(root))
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "caf\udce9", "a\0b"])
def test_a_list_that_leads_out_of_the_folder_is_refused(root, name):
    (root / "VOCdevkit/VOC2012/ImageSets/Main/train.txt").write_bytes(name.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"VOC2012"):
        load(configuration(root))


@pytest.mark.parametrize("content", [b"2008_000001," + b"1" * 200_000, b"2008_000001,\xff\n", b"a,1,2\n", b'"'])
def test_a_damaged_difficulty_file_is_named(root, content):
    (root / "VSD_dataset.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"VSD_dataset\.csv"):
        load(configuration(root))
