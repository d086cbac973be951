"""Sweeps and the paper's annotated data sets, measured whole: small images, a real MLflow store."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
from mlflow import MlflowClient
from PIL import Image

import train
from agreement.record import LearningRecord
from agreement.recorder import begin_record
from lab import sweep
from lab.data import Data, Images, Split
from lab.settings import CompareSettings
from lab.store import open_store

SMALL = [
    "network=lenet5",
    "networks=2",
    "batch_size=16",
    "lr=0.004",
    "schedule=constant",
    "device=cpu",
    "statistics=[entropy,frequency,segments]",
]


def measure(*words: str) -> int:
    return train.main(["--mode", "measure", *SMALL, *words])


def runs(client: MlflowClient, phase: str) -> list:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(experiments, f"tags.phase = '{phase}'", order_by=["attributes.start_time ASC"])


def artifact(client: MlflowClient, run, name: str) -> Path:
    return Path(client.download_artifacts(run.info.run_id, name))


@pytest.mark.slow
def test_a_sweep_is_one_run_of_measurements_and_goes_on_where_it_stopped(place, digits, capsys, monkeypatch):
    words = ["data=folder", f"root={digits}", "epochs=3", "sweep.batch_size=[16,50]", "sweep.seed=[0,1]"]
    for name in ("report.draw_curves", "measure.draw_examples"):
        monkeypatch.setattr(f"lab.{name}", lambda *arguments: None)
    monkeypatch.setattr("lab.report.write_page", lambda *arguments: None)
    calls = []

    def until_the_third(config, *arguments):
        calls.append(config.batch_size)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return measured(config, *arguments)

    measured = sweep.measure
    monkeypatch.setattr(sweep, "measure", until_the_third)
    assert measure(*words) == 130
    client = open_store()
    assert [run.info.status for run in runs(client, "sweep")] == ["KILLED"]
    assert measure(*words) == 0
    assert calls == [16, 16, 50, 50, 50]  # the first two are not measured again

    (parent,) = runs(client, "sweep")
    assert parent.info.status == "FINISHED"
    children = runs(client, "measure")
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    names = ["batch_size=16, seed=0", "batch_size=16, seed=1", "batch_size=50, seed=0", "batch_size=50, seed=1"]
    assert [run.data.tags["sweep_value"] for run in children] == names
    assert [run.data.params["batch_size"] for run in children] == ["16", "16", "50", "50"]
    orders = pd.read_csv(artifact(client, parent, "order-agreement.csv"), index_col=0)
    assert list(orders) == list(orders.index) == names
    np.testing.assert_allclose(np.diag(orders), 1)
    np.testing.assert_allclose(orders, orders.T)
    assert artifact(client, parent, "figures/agreement.svg").stat().st_size > 5000
    assert "Do the measurements agree on the order?" in capsys.readouterr().out


def test_other_examples_have_no_common_order(tmp_path):
    from agreement import compare_orders
    from agreement.recorder import RecordWriter

    records = {}
    for name, ids in (("a", ["0", "1"]), ("b", ["0", "2"])):
        labels = {split: np.array([0, 1]) for split in ("train", "test")}
        begin_record(tmp_path / name, ["x"], ["cat", "dog"], labels, {split: ids for split in labels})
        recorder = RecordWriter(tmp_path / name / "network-1", {"train": 2, "test": 2}, 2)
        for split in labels:
            recorder.update(split, [0, 1], [0, 0], [1, 1])
        recorder.end_epoch()
        records[name] = LearningRecord(tmp_path / name)
    _, orders = compare_orders(records)
    assert np.isnan(orders.loc["a", "b"]) and orders.loc["a", "a"] == 1


@pytest.mark.slow
def test_other_images_under_the_same_names_have_no_common_order(place, digits, capsys):
    shutil.copytree(digits, place / "others")
    for path in (place / "others").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    shutil.copytree(digits, place / "copy")
    roots = ",".join(map(str, (digits, place / "copy", place / "others")))
    assert measure("data=folder", "epochs=2", f"sweep.root={roots}") == 0
    (run,) = runs(open_store(), "sweep")
    orders = pd.read_csv(artifact(open_store(), run, "order-agreement.csv"), index_col=0).to_numpy()
    assert orders[0, 1] == pytest.approx(1) and np.isnan(orders[:2, 2]).all()


@pytest.mark.slow
def test_kinds_and_numbers_of_kth_tips2b_reach_tables_metrics_and_figures(place, tmp_path):
    photographs = {"brick": skimage.data.brick(), "grass": skimage.data.grass(), "gravel": skimage.data.gravel()}
    for material, photograph in photographs.items():
        for sample in "ab":
            folder = tmp_path / "KTH-TIPS2-b" / material / f"sample_{sample}"
            folder.mkdir(parents=True)
            for scale in (2, 5, 9):
                for image in range(1, 13):
                    top, left = 30 * image + (15 if sample == "a" else 0), 20 * scale
                    Image.fromarray(photograph[top : top + 40, left : left + 40]).save(
                        folder / f"9{sample}-scale_{scale}_im_{image}_col.png"
                    )
    words = [f"root={tmp_path}", "resize=36", "crop=32", "epochs=6", "weight_decay=0.0005"]
    assert measure("data=kth_tips2b", *words, "optimizer=sgd") == 0
    client = open_store()
    (run,) = runs(client, "measure")
    table = pd.read_csv(artifact(client, run, "correlations.csv"), index_col=0)
    assert list(table.index) == ["entropy", "frequency", "segments", "scale"]
    assert table.loc["scale", "n"] == 108
    names = {path.name for path in artifact(client, run, "figures").glob("*.png")}
    assert {"train-agreement-illumination.png", "test-agreement-rotation.png", "train-agreement-scale.png"} <= names
    assert {"train-examples.png", "false-positive-agreement.png"} <= names


@pytest.mark.slow
def test_references_of_cifar10_are_annotations_and_can_order_a_curriculum(place, digits, tmp_path, capsys):
    (tmp_path / "cifar10").symlink_to(digits)  # digits stand in for the images: their names are numbers too
    draw = np.random.default_rng(0)
    labels = {
        name: draw.integers(10, size=50_000)
        for name in ("clean_label", "random_label1", "random_label2", "random_label3")
    }
    for folder in ("cifar10h", "cscores", "cifar10n", "difficulty"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "cifar10h/cifar10h-probs.npy", draw.dirichlet(np.ones(10), size=10_000))
    np.savez(tmp_path / "cscores/cifar10-cscores-orig-order.npz", scores=draw.random(50_000))
    np.savez(tmp_path / "cifar10n/cifar10n_labels.npz", **labels)
    np.save(tmp_path / "difficulty/el2n_epoch20_cifar10.npy", draw.random(50_000, np.float32))
    words = [f"root={tmp_path}", "data=cifar10", "epochs=2"]
    assert measure(*words, "random_labels=0.2") == 0
    client = open_store()
    (run,) = runs(client, "measure")
    train_table, test_table = (
        pd.read_csv(artifact(client, run, name), index_col=0) for name in ("correlations.csv", "correlations-test.csv")
    )
    assert list(train_table.index)[3:] == ["c_score", "label_noise", "el2n_published"]
    assert list(test_table.index)[3:] == ["label_entropy"]
    printed = capsys.readouterr().out
    assert "label_entropy" in printed and "(test)" in printed  # below each other where the line has no room

    shared = [word for word in SMALL if word.partition("=")[0] in CompareSettings.__dataclass_fields__]
    curriculum = ["--mode", "curriculum", *shared, *words, "seeds=2", "evaluations=1", "arms=[shuffled,curriculum]"]
    assert train.main([*curriculum, "metric=c_score"]) == 0
    assert "easy is high c_score" in capsys.readouterr().out
    assert train.main([*curriculum, "metric=box_area"]) == 2
    assert "no such annotation; it has c_score, label_noise, el2n_published" in capsys.readouterr().err

    np.save(tmp_path / "cifar10h/cifar10h-probs.npy", np.ones((9_999, 10)) / 10)
    assert measure(*words) == 2
    assert "cifar10h-probs.npy: holds 9999 examples, not the 10000" in capsys.readouterr().err


def test_a_measurement_of_other_labels_is_measured_again(tmp_path):
    images, labels = np.zeros((4, 9, 9), np.uint8), np.array([0, 1, 0, 1])
    split = Split(Images.of(images[..., None]), labels, list("abcd"), images)
    data = Data(split, split, ["0", "1"])
    digests = {name: split.digest for name in ("train", "test")}
    begin_record(
        tmp_path,
        ["x"],
        ["0", "1"],
        {name: labels for name in digests},
        {name: list("abcd") for name in digests},
        False,
        digests,
        {},
    )
    assert sweep.is_of(LearningRecord(tmp_path), data)
    other = dataclasses.replace(split, labels=1 - labels)
    assert not sweep.is_of(LearningRecord(tmp_path), dataclasses.replace(data, train=other))
    assert not sweep.is_of(LearningRecord(tmp_path), dataclasses.replace(data, test=other))
