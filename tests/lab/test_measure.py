"""Whole measurements on real digits in files, with a real MLflow store: what they leave behind."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from measurement import EPOCHS, MEASURED, Store, artifacts_of, assert_same_record, nothing_unfinished, words
from PIL import Image

import agreement
import train
from agreement.record import KINDS
from lab.settings import PROGRAM
from metrics import STATISTICS
from metrics import table as statistics_of

# a measurement from beginning to end


@pytest.mark.slow
def test_runs_and_parameters(store, digits):
    assert store.statuses == ["FINISHED"] * 4
    assert [run.info.run_name for run in store.children] == [f"network {k}: lenet5" for k in (1, 2, 3)]
    parameters = store.parent.data.params
    assert parameters["root"] == str(digits) and parameters["networks"] == "3" and parameters["seed"] == "0"
    assert parameters["lr"] == "0.004" and parameters["record"] == "during"
    assert store.parent.data.tags["data"] == digits.name
    assert store.client.get_experiment(store.parent.info.experiment_id).name == f"measure-{digits.name}"


@pytest.mark.slow
def test_the_record_is_what_the_networks_did(store, digits):
    record = store.record
    assert record.epochs == EPOCHS and record.networks == ["lenet5"] * 3 and record.classes == list("0123456789")
    files = sorted(path.relative_to(digits / "train").as_posix() for path in (digits / "train").rglob("*.png"))
    assert record.ids("train") == files
    assert record.labels("train").tolist() == [int(name[0]) for name in files]
    for k, child in enumerate(store.children):
        for split in ("train", "test"):
            accuracy = record.correct(split)[k].mean(axis=1)
            assert list(store.series(child, f"{split}/accuracy").values()) == pytest.approx(accuracy.tolist(), rel=1e-5)
            assert len(store.series(child, f"{split}/loss")) == EPOCHS
        assert store.series(child, "lr")[1] == 0.004
    assert record.correct("train")[:, -1].mean() > 0.5  # it learns something
    assert not (record.predictions("train")[0] == record.predictions("train")[1]).all()


@pytest.mark.slow
def test_metrics_equal_what_the_record_gives(store):
    store.assert_logged_once_and_fully()
    for split in ("train", "test"):
        correct = store.record.correct(split)
        accuracies = correct.mean(axis=2)
        every, any_of_them = correct.all(axis=0).sum(axis=1), correct.any(axis=0).sum(axis=1)
        right = accuracies.prod(axis=0)
        chance = right / (1 - (1 - accuracies).prod(axis=0))
        expected = {
            "accuracy": accuracies.mean(axis=0),
            "agreement": every / any_of_them,
            "lower_bound": 1 - np.minimum((1 - accuracies).sum(axis=0), 1),
            "chance_agreement": chance,
            "excess_agreement": (every / any_of_them - chance) / (1 - chance),
        }
        for name, values in expected.items():
            assert store.series(store.parent, f"{split}/{name}") == pytest.approx(dict(enumerate(values, 1)), rel=1e-5)


@pytest.mark.slow
def test_statistics_and_correlations_equal_what_the_images_give(store, digits):
    record = store.record
    times, learned = (of(record.correct("train")) for of in (agreement.learning_time, agreement.learned_epoch))
    for split in ("train", "test"):
        table = pd.read_parquet(store.artifacts / f"statistics-{split}.parquet")
        assert table.index.tolist() == record.ids(split) and list(table.columns) == MEASURED
        for i in (0, 17, 42):
            image = np.asarray(Image.open(digits / split / table.index[i]))
            assert table.iloc[i].tolist() == [STATISTICS[name](image) for name in table.columns]
        agreed = record.correct(split).all(axis=0)
        for name in MEASURED:
            curve = {t + 1: table[name][agreed[t]].mean() for t in range(EPOCHS) if agreed[t].any()}
            assert store.series(store.parent, f"{split}/agreed_{name}") == pytest.approx(curve, rel=1e-5)
        curves = pd.read_csv(store.artifacts / "curves.csv", index_col="epoch")
        assert curves[f"{split} agreement"].to_dict() == pytest.approx(
            store.series(store.parent, f"{split}/agreement"), rel=1e-5
        )
    correlations = pd.read_csv(store.artifacts / "correlations.csv", index_col=0)
    assert correlations.index.tolist() == MEASURED
    train_table = pd.read_parquet(store.artifacts / "statistics-train.parquet")
    for name, rho in correlations["rho"].items():
        expected = train_table[name].rank().corr(pd.Series(times, train_table.index).rank())
        assert rho == pytest.approx(expected)
        assert store.series(store.parent, f"correlation/{name}") == pytest.approx({0: rho}, rel=1e-5)
        within = correlations.loc[name, "within_rho"]
        assert store.series(store.parent, f"correlation_within/{name}") == pytest.approx({0: within}, rel=1e-5)
    explained = json.loads((store.artifacts / "explained_variance.json").read_text())
    assert {"statistics", "classes", "classes_and_statistics"} <= set(explained)
    wrong = store.series(store.parent, "order/still_wrong")[0]
    assert wrong == pytest.approx(np.isinf(learned).mean(), rel=1e-5)


@pytest.mark.slow
def test_every_artifact_is_there_and_nothing_else(store):
    found = artifacts_of(store)
    figures = {f"{split}-agreement{'' if name is None else f'-{name}'}" for split in ("train", "test") for name in (None, *MEASURED)}  # fmt: skip
    figures |= {"false-positive-agreement", "train-examples", "test-examples", "train-statistics", "test-statistics"}
    figures |= {f"{split}-histogram-{name}" for split in ("train", "test") for name in MEASURED}
    arrays = {f"record/network-{k}/{split}-{kind}.npy" for k in (1, 2, 3) for split in ("train", "test") for kind in KINDS}  # fmt: skip
    assert found == {
        *(f"figures/{name}.{suffix}" for name in figures for suffix in ("png", "svg")),
        *arrays, *(f"record/network-{k}/epochs.jsonl" for k in (1, 2, 3)), "record/record.json",
        *(f"record/{split}-{what}" for split in ("train", "test") for what in ("labels.npy", "ids.json")),
        *(f"statistics-{split}.parquet" for split in ("train", "test")),
        "correlations.csv", "classes.csv", "correlations-test.csv", "explained_variance.json", "config.yaml",
        "scores.csv", "scores.parquet", "curves.csv", "report.html", "summary.txt",
    }  # fmt: skip
    for name in figures:
        with Image.open(store.artifacts / "figures" / f"{name}.png") as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
        assert "</svg>" in (store.artifacts / "figures" / f"{name}.svg").read_text()


@pytest.mark.slow
def test_what_is_printed(store, measured):
    place, output = measured
    for text in ("agreement", "lower bound", "chance", "entropy", "frequency", "segments", "Spearman-Brown"):
        assert text in output
    accuracy = store.series(store.parent, "train/accuracy")[EPOCHS]
    (last,) = re.findall(rf"^\W*{EPOCHS}\s+([\d.]+)\s", output, re.MULTILINE)
    assert float(last) == pytest.approx(100 * accuracy, abs=0.051)
    assert store.parent.info.run_id in output
    assert f"{PROGRAM} --mode ui" in output and (place / "mlruns/mlflow.db").is_file()
    assert "0 of 0" not in output
    assert nothing_unfinished(place)
    assert sorted(path.name for path in place.iterdir()) == ["cache", "mlruns"]


@pytest.mark.slow
def test_a_second_run_takes_the_statistics_from_the_cache(
    measured, digits, place, monkeypatch, capsys, without_figures
):
    cache = measured[0] / "cache"
    before = {path: path.stat().st_mtime_ns for path in (cache / "statistics").glob("*.npz")}
    assert len(before) == 2 * len(MEASURED)
    monkeypatch.setattr(statistics_of, "_values", None)  # nothing is computed
    assert train.main(words(digits, "networks=1", "epochs=1", f"cache={cache}")) == 0
    assert {path: path.stat().st_mtime_ns for path in (cache / "statistics").glob("*.npz")} == before


# variants


@pytest.mark.slow
def test_different_networks_side_by_side(digits, place, capsys, without_figures):
    assert (
        train.main(
            words(digits, "network=[lenet5,resnet18]", "networks=2", "epochs=1", "record=after", "name=of two kinds")
        )
        == 0
    )
    store = Store(place)
    assert store.parent.info.run_name == "of two kinds"
    assert [run.data.params["network"] for run in store.children] == ["lenet5", "resnet18"]
    assert store.record.networks == ["lenet5", "resnet18"]
    assert store.parent.data.params["network"] == "['lenet5', 'resnet18']"
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_few_examples_few_epochs_one_network(mnist, place, capsys, without_figures):
    """The least that can be measured: undefined numbers are left out, nothing fails."""
    images, _ = mnist
    for part in ("train", "test"):
        for c in (0, 1):
            folder = place / "few" / part / str(c)
            folder.mkdir(parents=True)
            for i in range(2):
                Image.fromarray(np.pad(images[500 * c + i], 2)).save(folder / f"{i}.png")
    assert train.main(words(place / "few", "networks=1", "epochs=1", "batch_size=2", "workers=1")) == 0
    assert Store(place).statuses == ["FINISHED"] * 2
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(measured, store, digits, place, capsys, without_figures):
    assert train.main(words(digits, "workers=1", f"cache={measured[0] / 'cache'}")) == 0
    assert_same_record(store.record, Store(place).record)


def test_a_statistic_that_fails_is_one_line(digits, place, capsys, monkeypatch):
    monkeypatch.setitem(STATISTICS, "broken", lambda image: 1 / 0)
    assert train.main(words(digits, "statistics=[broken]")) == 2
    error = capsys.readouterr().err
    assert "statistic 'broken' of image '0/" in error and error.count("\n") == 1
