"""From the record of a loop of one's own to page, tables and a run in MLflow; and to the order of a comparison."""

import json
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import metrics
import train
from agreement import LearningRecorder
from lab.data.folder import folder as read_folder
from lab.ordering import file_and_column

SMALL = ["data=folder", "resize=null", "crop=null", "network=lenet5", "batch_size=25", "epochs=1", "lr=0.004"]


@pytest.fixture(scope="module")
def examples(digits, tmp_path_factory):
    """Labels, ids and classes of the digits that the program reads from their folder."""
    data = read_folder(digits, None, tmp_path_factory.mktemp("cache"), False)
    return data.train.labels, data.train.ids, data.classes


def record(folder, labels, epochs=3, networks=2, **others):
    """What networks that learn the even classes first, and see all but ten examples in each epoch, would leave."""
    draw = np.random.default_rng(0)
    for k in range(networks):
        recorder = LearningRecorder(folder, {"train": labels}, network=k, classes=[str(c) for c in range(10)], **others)
        for epoch in range(epochs):
            seen = draw.permutation(len(labels))[:-10]
            right = np.where(labels % 2 == 0, 0.8, 0.3) + epoch / 10 > draw.random(len(labels))
            names = np.array(others["ids"]["train"])[seen] if "ids" in others else seen
            recorder.update(names, 5 * np.eye(10)[np.where(right, labels, (labels + 1) % 10)][seen])
            recorder.end_epoch()
    return folder


def run(capsys, *words):
    status = train.main([*map(str, words), "--json"])
    out, error = capsys.readouterr()
    assert status == 0, error
    return json.loads(out)


def refused(capsys, *words):
    assert train.main([*map(str, words), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_record_without_images_or_test_set(place, examples, capsys):
    record(place / "record", examples[0])
    found = run(capsys, "--mode", "report", "record=record", "name=mine")
    assert (found["phase"], found["name"], found["status"]) == ("measure", "mine", "FINISHED")
    assert 0 < found["metrics"]["train/agreement"] < 1 and not any(name.startswith("test") for name in found["metrics"])
    assert train.main(["--mode", "export", "to=out"]) == 0
    assert {path.name for path in (place / "out").iterdir()} >= {
        "scores.parquet",
        "report.html",
        "summary.txt",
        "record",
    }
    assert (place / "out/record/network-2/train-predictions.npy").is_file()
    table = pd.read_parquet(place / "out/scores.parquet")
    assert len(table) == len(examples[0]) and set(table["split"]) == {"train"} and table["known"].max() <= 1
    assert "Which statistics" not in (place / "out/summary.txt").read_text()
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    assert len(client.get_metric_history(found["run"], "train/known")) == 3


@pytest.mark.slow
def test_with_images_it_is_related_to_statistics(place, digits, examples, capsys, without_figures):
    """Files are found in the order of ImageFolder, and images also in an array."""
    record(place / "record", examples[0])
    words = ("--mode", "report", "record=record", "statistics=entropy,shallow:fast")
    found = run(capsys, *words, f"images={digits}")
    paths = [digits / "train" / name for name in examples[1]]
    (place / "arrays").mkdir()
    np.save(place / "arrays/train.npy", np.stack([np.asarray(Image.open(path)) for path in paths]))
    again = run(capsys, *words, "images=arrays")
    assert found["metrics"] == again["metrics"] and np.isfinite(found["metrics"]["correlation/entropy"])
    of_data = run(capsys, *words, "data=folder", f"root={digits}")
    assert found["metrics"] == of_data["metrics"]
    whole = np.load(place / "arrays/train.npy")
    np.save(place / "arrays/train.npy", whole[..., None])  # grey, with a channel
    assert run(capsys, *words, "images=arrays")["metrics"] == found["metrics"]
    np.save(place / "arrays/train.npy", np.repeat(whole[..., None], 4, axis=3))
    assert "is uint8 (150, 32, 32, 4); uint8 (150, height, width[, 3]) are" in refused(capsys, *words, "images=arrays")
    np.save(place / "arrays/train.npy", np.zeros((7, 8, 8), np.uint8))
    assert "uint8 (150, height, width[, 3]) are needed" in refused(capsys, *words, "images=arrays")
    record(place / "other", examples[0][::-1])
    assert "have not the labels of the record" in refused(capsys, *words[:2], "record=other", f"images={digits}")
    other = refused(capsys, *words[:2], "record=other", "data=folder", f"root={digits}")
    assert "data=folder: its train examples are not those of the record" in other


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name the folder of a record"),
        (["record=nothing"], "nothing holds no learning record"),
        (["record=begun"], "not every network has finished an epoch yet"),
        (["record=record", "statistics=entropy"], "they are measured on images; give images=DIR, or data=NAME"),
        (["record=record", "images=none"], "there is neither a folder none nor a file none/train.npy"),
        (["record=record", "images=.", "statistics=entropi"], "did you mean entropy?"),
    ],
)
def test_what_cannot_be_reported_is_told_in_a_line(place, capsys, words, told, examples):
    record(place / "record", examples[0], epochs=1)
    record(place / "begun", examples[0], epochs=0)
    assert told in refused(capsys, "--mode", "report", *words)


def test_an_image_that_cannot_be_read_is_told_in_a_line(place, digits, examples, capsys):
    record(place / "record", examples[0])
    shutil.copytree(digits / "train", place / "images/train")
    broken = place / "images/train" / examples[1][3]
    broken.write_bytes(broken.read_bytes()[:40])
    assert examples[1][3] in refused(capsys, "--mode", "report", "record=record", "images=images")


def test_with_few_examples_and_a_statistic_of_ones_own(place, examples, capsys, without_figures, monkeypatch):
    """No batch has to be filled. Modules of one's own are read as in the other modes."""
    images, labels = np.random.default_rng(0).integers(0, 256, (6, 9, 9), np.uint8), np.array([0, 1] * 3)
    np.savez(place / "few.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    recorder = LearningRecorder(place / "record", {"train": labels})
    recorder.update(range(6), 5 * np.eye(2)[labels])
    recorder.end_epoch()
    monkeypatch.setitem(metrics.STATISTICS, "darkest", None)  # goes at the end, whoever sets it
    (place / "own.py").write_text("import metrics\nmetrics.STATISTICS['darkest'] = lambda image: float(image.min())\n")
    words = ("--mode", "report", "record=record", "data=npz", "root=few.npz", "statistics=darkest")
    assert run(capsys, *words, "--import", place / "own.py")["status"] == "FINISHED"
    assert "there is no 'darkish'" in refused(capsys, *words[:-1], "statistics=darkish")
    assert "statistics: entropy stands there twice" in refused(capsys, *words[:-1], "statistics=entropy,entropy")
    assert "--config: --mode list does not read it" in refused(capsys, "--mode", "list", "--config", "some.yaml")


@pytest.mark.slow
def test_scores_of_a_record_without_times(place, digits, examples, capsys, without_figures):
    """A loop need not say how long its epochs took."""
    record(place / "record", examples[0], ids={"train": examples[1]})
    words = ("data=folder", f"root={digits}", "statistics=entropy")
    measurement = run(capsys, "--mode", "report", "record=record", *words)["run"]
    again = (*words, "resize=null", "crop=null", "batch_size=25", f"measurement={measurement}", "random_labels=0")
    found = run(capsys, "--mode", "scores", *again)["metrics"]
    assert found["scores/rho_confidence"] > 0 and "scores/seconds_confidence" not in found


@pytest.mark.slow
def test_it_orders_a_comparison(place, digits, examples, capsys, without_figures):
    record(place / "record", examples[0])
    few = ["seeds=2", "evaluations=1", "arms=[shuffled,curriculum]", f"root={digits}"]
    table = pd.DataFrame({"id": examples[1], "split": "train", "confidence": np.linspace(0, 1, 150)})
    pd.concat([table, table.assign(split="test")]).to_parquet("scores.parquet")
    metric = "agreement+file:scores.parquet:confidence"
    found = run(capsys, "--mode", "curriculum", "--metric", metric, *SMALL, *few, "record=record")
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    summary = " ".join(Path(client.download_artifacts(found["run"], "summary.txt")).read_text().split())
    assert "agreement is that of the record in record (2 × network; 3 epochs)" in summary
    assert "easy is high file:scores.parquet:confidence" in summary
    record(place / "other", examples[0][::-1])
    words = ["--mode", "curriculum", "--metric", "agreement", *SMALL, *few]
    assert "it is of other labels than the 150 train examples" in refused(capsys, *words, "record=other")
    assert "metric=entropy reads none" in refused(capsys, *words[:2], "--metric", "entropy", "record=other")


def test_the_column_of_a_file_of_scores(tmp_path):
    (tmp_path / "a:b.csv").touch()
    assert file_and_column(f"file:{tmp_path}/a:b.csv") == (tmp_path / "a:b.csv", None)
    assert file_and_column("file:a.csv:margin")[1] == "margin" and file_and_column("file:a.csv")[1] is None
