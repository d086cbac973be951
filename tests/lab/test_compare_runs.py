"""`--mode compare-runs` on experiments that others wrote, in a database, on a server, and in a file."""

import gzip
import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import train
from curricula import compare
from lab.compare_runs import chosen, curves_of
from lab.store import open_store

VALUES = {
    arm: base + np.random.default_rng([3, k]).normal(0, 0.01, 6)
    for k, (arm, base) in enumerate((("sgd", 0.8), ("adam", 0.84)))
}


def tune(client: mlflow.MlflowClient, name: str = "tuning") -> str:
    """Six seeds of two optimisers, and three runs that cannot be used."""
    experiment = client.create_experiment(name)
    for arm, values in VALUES.items():
        for seed, value in enumerate(values):
            run = client.create_run(experiment).info.run_id
            client.log_param(run, "optimizer", arm)
            client.set_tag(run, "seed", str(seed))
            for step, part in ((0, 0.5), (10, 1.1), (20, 1.0)):
                client.log_metric(run, "accuracy", part * value, step=step)
            client.set_terminated(run)
    for status, keys in (("FAILED", ("optimizer",)), ("FINISHED", ()), ("FINISHED", ("optimizer",))):
        run = client.create_run(experiment).info.run_id
        for key in keys:
            client.log_param(run, key, "adam")
        client.log_metric(run, "accuracy", 0.5)
        client.set_terminated(run, status)
    return experiment


def compared(*words: str) -> int:
    return train.main(
        ["--mode", "compare-runs", "arm=params.optimizer", "seed=tags.seed", "metric=accuracy", "baseline=sgd", *words]
    )


def test_an_experiment_that_this_program_did_not_write(place, capsys):
    client = open_store()
    experiment = tune(client)
    assert compared("experiment=tuning") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "adam was 0.0" in text and "better than sgd" in text
    assert "Not used of 15 runs: 1 not finished, 1 without params.optimizer, 1 without tags.seed." in text
    own = client.search_runs([experiment], "tags.phase = 'compare-runs'")
    assert len(own) == 1 and own[0].info.status == "FINISHED"
    files = {file.path for file in client.list_artifacts(own[0].info.run_id)}
    assert {"report.html", "runs.csv", "verdict.txt", "summary.txt", "figures"} <= files
    table = pd.read_csv(client.download_artifacts(own[0].info.run_id, "runs.csv"), index_col="arm")
    c = compare(VALUES, "sgd")["adam"]
    found = table.loc["adam", ["difference", "low", "high", "p", "corrected_p"]].astype(float)
    np.testing.assert_allclose(found, [c.difference, c.low, c.high, c.p, c.corrected_p])
    # its own run is no run to compare
    assert compared("experiment=tuning", "log=false", "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert again["arms"]["adam"]["difference"] == pytest.approx(c.difference)
    assert len(client.search_runs([experiment], "tags.phase = 'compare-runs'")) == 1


def test_arms_of_any_name_and_numbers_that_are_none(place, capsys):
    """A metric may be NaN at a step of all runs, such as an AUC before there are two classes; MLflow takes no brackets in names."""
    client = open_store()
    experiment = client.create_experiment("betas")
    for arm in ("(0.9, 0.99)", "adam+ema"):
        for seed in range(6):
            run = client.create_run(experiment).info.run_id
            client.log_param(run, "betas", arm)
            client.set_tag(run, "seed", str(seed))
            for step, value in ((0, float("nan")), (1, 0.5), (2, 0.6 + seed / 100)):
                client.log_metric(run, "auc", value, step=step)
            client.set_terminated(run)
    words = ["experiment=betas", "arm=params.betas", "seed=tags.seed", "metric=auc", "baseline=adam+ema"]
    assert train.main(["--mode", "compare-runs", *words]) == 0
    (own,) = client.search_runs([experiment], "tags.phase = 'compare-runs'")
    assert own.info.status == "FINISHED" and own.data.metrics["comparison/difference__0.9_ 0.99_"] == 0
    nan = float("nan")
    good = [("a", {0: nan, 1: 1.0 + i, 2: 3.0}) for i in range(2)]
    steps, curves = curves_of([*good, ("a", {0: nan, 1: 1.0, 2: nan}), ("b", {0: nan, 1: nan, 2: nan})])  # diverged
    assert steps.tolist() == [1, 2] and curves.keys() == {"a"} and curves["a"].tolist() == [[1, 3], [2, 3]]


def test_the_best_of_what_is_a_number():
    nan = float("nan")
    assert chosen({1: nan, 2: 0.5, 3: 0.6}, "best", True) == 0.6 and chosen({1: 0.5, 2: nan}, "best", False) == 0.5
    assert np.isnan(chosen({1: nan}, "best", True))


def test_a_run_that_cannot_be_logged_has_failed(place, monkeypatch):
    client = open_store()
    experiment = tune(client)
    monkeypatch.setattr("lab.tracking.log_metrics", lambda *_: exec("raise OSError('no space')"))
    assert compared("experiment=tuning") == 2
    assert [run.info.status for run in client.search_runs([experiment], "tags.phase = 'compare-runs'")] == ["FAILED"]


@pytest.mark.parametrize(("at", "part"), [("last", 1.0), ("best", 1.1), ("step:0", 0.5)])
def test_which_value_of_a_run_counts(place, capsys, at, part):
    tune(open_store())
    assert compared("experiment=tuning", "log=false", f"at={at}", "--json") == 0
    arms = json.loads(capsys.readouterr().out)["arms"]
    assert arms["sgd"]["mean"] == pytest.approx(part * VALUES["sgd"].mean())


def test_a_comparison_of_this_program_comes_out_the_same(place, digits, capsys):
    tiny = ["data=folder", f"root={digits}", "network=lenet5", "resize=null", "crop=null", "batch_size=25", "lr=0.01",
            "epochs=1", "seeds=3", "device=cpu", "--quiet"]  # fmt: skip
    assert train.main(["--mode", "curriculum", "--metric", "entropy", *tiny]) == 0
    client = open_store()
    parent = client.search_runs(
        [each.experiment_id for each in client.search_experiments()], "tags.phase = 'curriculum'"
    )[0]
    name = client.get_experiment(parent.info.experiment_id).name
    table = pd.read_csv(client.download_artifacts(parent.info.run_id, "comparison.csv"), index_col=0)
    words = ["arm=tags.arm", "seed=tags.seed", "metric=test/accuracy_at_best", "baseline=shuffled", "log=false"]
    assert (
        train.main(["--mode", "compare-runs", f"experiment={name}", *words, "filter=tags.phase = 'arm'", "--json"]) == 0
    )
    arms = json.loads(capsys.readouterr().out)["arms"]
    for arm in ("curriculum", "anti", "random"):
        assert arms[arm]["difference"] == pytest.approx(table.loc[arm, "difference"], abs=1e-9)
        assert arms[arm]["mean"] == pytest.approx(table.loc[arm, "test_at_best"], abs=1e-9)


@pytest.mark.parametrize("file", ["results.csv", "results.parquet"])
def test_a_table_in_a_file(place, capsys, file):
    listed = [(arm, seed, value) for arm, values in VALUES.items() for seed, value in enumerate(values)]
    table = pd.DataFrame(listed, columns=["optimizer", "run", "accuracy"])
    table.to_csv("results.csv", index=False)
    table.to_parquet("results.parquet")
    words = ["--mode", "compare-runs", f"file={file}", "arm=optimizer", "seed=run", "metric=accuracy", "--json"]
    assert train.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arms"]["adam"]["difference"] == pytest.approx(compare(VALUES, "sgd")["adam"].difference)
    assert "compared with sgd, the arm of the first run" in found["notes"][0]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["experiment=tuning", "file=x.csv"], "give either experiment=NAME or file=results.csv"),
        ([], "give either experiment=NAME or file=results.csv"),
        (["experiment=tunning"], "experiment=tunning: there is no such experiment; did you mean tuning"),
        (["experiment=tuning", "metric=acc"], "15 runs: 1 not finished, 1 without params.optimizer, 1 without tags.seed, 12 without metric acc; its runs have accuracy, optimizer"),
        (["experiment=tuning", "at=first"], "at=first: expected last, best or step:N"),
        (["experiment=tuning", "higher=perhaps"], "higher=perhaps: expected true or false"),
        (["experiment=tuning", "baseline=rmsprop"], "there is no arm 'rmsprop'"),
        (["file=nothing.csv"], "nothing.csv"),
        (["file=nothing.csv", "at=best"], "at=best: a file has one number for each run"),
        (["file=packed.csv.gz"], "packed.csv.gz"),
        (["experiment=tuning", "metrik=accuracy"], "there is no setting 'metrik'"),
    ],
)  # fmt: skip
def test_errors_are_one_line(place, capsys, words, line):
    tune(open_store())
    Path("packed.csv.gz").write_bytes(gzip.compress(b"arm,seed,accuracy\na,1,0.5\n"))
    assert compared(*words) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1
