"""Arbitrary bytes given as each other kind of file, or word, that a user gives: a value, or the error that is documented.

    uv run --with atheris exercises/fuzz_files.py csv --inputs 100000

csv, parquet: a file of scores. annotation, listing, difficulties: of Pascal VOC. reference: what others published of CIFAR-10.
word, preset: the configuration. record: one file of a learning record. cache: a column of statistics.
"""

import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
import numpy as np
import pandas as pd
from fuzzing import fuzz, options

from lab.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[1]))
READERS = ["agreement.record", "conf", "curricula.scores", "metrics.table", "lab.data.cifar10", "lab.data.voc"]
with atheris.instrument_imports(include=[*READERS, "omegaconf"]):
    import lab.compose as conf
    from agreement.record import LearningRecord
    from agreement.recorder import RecordWriter, begin_record
    from curricula.scores import read_scores
    from lab.data import voc
    from lab.data.cifar10 import read_reference
    from lab.errors import UserError
    from metrics import table

FOLDER = Path(tempfile.mkdtemp())
LARGEST_FILE = 4096  # bytes
IDS = ["a", "b", "c/d.png", "7"]


def scores(suffix: str) -> Callable[[bytes], str]:
    path = FOLDER / f"scores.{suffix}"

    def one_input(data: bytes) -> str:
        path.write_bytes(data)
        try:
            found = read_scores(path, IDS)
        except ValueError as error:
            return named(error, path.name)
        assert found.shape == (4,) and found.dtype == float
        return "scores"

    return one_input


def score_files(suffix: str) -> list[bytes]:
    tables = [
        pd.DataFrame({"id": IDS, "score": [1.5, -2, np.inf, np.nan]}),
        pd.DataFrame({"id": [7, 8], "label": ["x", "y"], "score": [1, 2]}),
        pd.DataFrame({"id": ["a", "b"], "score": ["=1+1", "0.5"]}).set_index("id"),
    ]
    if suffix == "csv":
        return [each.to_csv(index=each.index.name == "id").encode() for each in tables] + [
            b'"id","score"\r\n"a","1"\r\n'
        ]
    files = []
    for each, compression in zip([*tables, tables[0]], ["snappy", None, "gzip", "zstd"], strict=True):
        buffer = io.BytesIO()
        each.to_parquet(buffer, compression=compression)
        files.append(buffer.getvalue())
    return files


def annotation(data: bytes) -> str:
    path = FOLDER / "annotation.xml"
    path.write_bytes(data)
    try:
        present, instances, area = voc.read_objects(path)
    except UserError as error:
        return named(error, path.name)
    assert present <= set(voc.CLASSES) and instances >= len(present) and np.isfinite(area) and area >= 0
    return "objects"


def kit() -> Path:
    folder = FOLDER / "VOCdevkit" / "VOC2012"
    for below in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    for name in ("2008_1", "2008_2"):
        (folder / f"Annotations/{name}.xml").write_bytes(ANNOTATIONS[0])
        (folder / f"JPEGImages/{name}.jpg").touch()
    return folder.parent


def listing(data: bytes) -> str:
    (kit() / "VOC2012/ImageSets/Main/train.txt").write_bytes(data)
    try:
        found = voc.files_of(FOLDER / "VOCdevkit", [("2012", "train")], None)
    except UserError as error:
        return named(error, "VOC2012")
    assert len(found.paths) == len(found.labels)
    return "files"


def difficulties(data: bytes) -> str:
    (FOLDER / voc.DIFFICULTIES).write_bytes(data)
    try:
        found = voc.read_difficulties(FOLDER)
    except UserError as error:
        return named(error, voc.DIFFICULTIES)
    assert all(isinstance(seconds, float) for seconds in found.values())
    return "numbers"


def reference(data: bytes) -> str:
    """The first byte chooses which."""
    kind = data[0] % 3 if data else 0
    path = FOLDER / ("reference.npy" if kind == 0 else "reference.npz")
    path.write_bytes(data[1:])
    try:
        found = read_reference(path, ["label_entropy", "c_score", "label_noise"][kind], "scores")
    except UserError as error:
        return named(error, path.name)
    assert isinstance(found, np.ndarray)
    return "numbers"


def references() -> list[bytes]:
    array, scores, noise = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, np.full((4, 10), 0.1))
    np.savez_compressed(scores, scores=np.linspace(0, 1, 8))
    np.savez(noise, clean_label=np.arange(4), **{f"random_label{i}": np.arange(4) for i in (1, 2, 3)})
    return [b"\0" + array.getvalue(), b"\1" + scores.getvalue(), b"\2" + noise.getvalue()]


def word(data: bytes) -> str:
    return composed([data.decode(errors="replace").replace("\0", "")])


def preset(data: bytes) -> str:
    conf.PRESETS = FOLDER
    (FOLDER / "fuzzed.yaml").write_bytes(data)
    return composed(["data=fuzzed"])


def presets() -> list[bytes]:
    own = b"a: &a [1, 2]\nb: [*a, *a]\nc: !!python/object/apply:os.system [ls]\n"
    return [*(path.read_bytes() for path in sorted(conf.PRESETS.glob("*.yaml"))), own]


def composed(words: list[str]) -> str:
    try:
        conf.compose(words)
        return "settings"
    except conf.UserError as error:
        assert str(error)
        return "refused"


def record_of(folder: Path) -> None:
    labels = {"train": np.arange(6) % 3, "test": np.arange(3)}
    begin_record(folder, ["lenet5"] * 2, ["cat", "dog", "emu"], labels, {s: [f"{s}{i}" for i in range(len(n))] for s, n in labels.items()})  # fmt: skip
    for k in range(2):
        recorder = RecordWriter(folder / f"network-{k + 1}", {split: len(n) for split, n in labels.items()}, 3)
        for epoch in (1, 2):
            for split, n in labels.items():
                recorder.update(split, np.arange(len(n)), n, np.full(len(n), 0.5))
            recorder.end_epoch(epoch=epoch, lr=0.1)


PARTS = ("record.json", "train-ids.json", "train-labels.npy", "network-1/epochs.jsonl", "network-2/train-predictions.npy", "network-1/train-probability.npy")  # fmt: skip


def record(data: bytes) -> str:
    """The first byte chooses which file the others stand in for."""
    folder = FOLDER / "record"
    part = folder / PARTS[data[0] % len(PARTS) if data else 0]
    before = part.read_bytes()
    part.write_bytes(data[1:])
    try:
        read = LearningRecord(folder)
        correct = read.correct("train")
        assert correct.shape == (len(read.networks), read.epochs, 6) and correct.dtype == bool
        assert len(read.ids("train")) == 6
        assert all(array.shape == (read.epochs, 6) for array in read.probability("train"))
        assert all(isinstance(read.label_name(label), str) for label in read.labels("train"))
        assert read.series("lr").shape == (len(read.networks), read.epochs)
    except ValueError as error:
        return named(error, str(folder))
    finally:
        part.write_bytes(before)
    return "record"


def record_files() -> list[bytes]:
    record_of(FOLDER / "record")
    return [bytes([number]) + (FOLDER / "record" / part).read_bytes() for number, part in enumerate(PARTS)]


def cache(data: bytes) -> str:
    path = FOLDER / "column.npz"
    path.write_bytes(data)
    column = table._load(path, len(IDS))
    assert column.values.shape == column.known.shape == (4,)
    return "column" if column.known.any() else "refused"


def cached_files() -> list[bytes]:
    path = FOLDER / "column.npz"
    table._save(table._Column(np.array([1, 2.5, np.nan, 4]), np.array([True, True, True, False]), path))
    return [path.read_bytes()]


def named(error: ValueError, file: str) -> str:
    assert file in str(error) and "\n" not in str(error), str(error)
    return "refused"


OBJECT = "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"
ANNOTATIONS = [
    f"<annotation><size><width>100</width><height>80</height></size>{OBJECT.format('cat', 0)}{OBJECT.format('dog', 1)}</annotation>".encode(),
    b'<?xml version="1.0" encoding="latin-1"?><!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>',
    b"<annotation><size><width>0</width><height>0</height></size><!-- --><![CDATA[ ]]></annotation>",
]
WORDS = [b"epochs=3", b"network=[lenet5,vgg16]", b"lr=1e-3", b"name=${data}", b"root=~/x", b"crop=null", b"arms=[shuffled,{a: b}]", b"data=cifar10", b"statistics=[entropy]", b"name='${oc.env:HOME}'"]  # fmt: skip
TARGETS: dict[str, tuple[Callable[[bytes], str], Callable[[], list[bytes]]]] = {
    "csv": (scores("csv"), lambda: score_files("csv")),
    "parquet": (scores("parquet"), lambda: score_files("parquet")),
    "annotation": (annotation, lambda: ANNOTATIONS),
    "listing": (listing, lambda: [b"2008_1\n2008_2\n", b"../2008_1 2008_2"]),
    "difficulties": (difficulties, lambda: [b"2008_1,3.5\n2008_2,2\n", b'"2008_1","1e3"\r\n']),
    "reference": (reference, references),
    "word": (word, lambda: WORDS),
    "preset": (preset, presets),
    "record": (record, record_files),
    "cache": (cache, cached_files),
}


def main() -> None:
    given = options(__doc__, list(TARGETS))
    warnings.simplefilter("ignore")
    one_input, seeds = TARGETS[given.target]
    fuzz(one_input, seeds(), LARGEST_FILE, given)


if __name__ == "__main__":
    main()
