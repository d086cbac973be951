"""--mode scores: one table, from a measurement and without one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import train
from curricula import SCORES
from lab.browse import runs
from lab.store import open_store


@pytest.fixture
def scored(measured, tmp_path, monkeypatch):
    """A copy of the folder of a measurement; a function that runs the mode there and returns run and table."""
    place = tmp_path / "place"
    shutil.copytree(measured[0], place)
    monkeypatch.chdir(place)

    def run(*words: str):
        assert train.main(["--mode", "scores", "data=folder", "resize=null", "crop=null", "batch_size=25", *words]) == 0
        client = open_store()
        (found,) = [each for each in runs(client) if each.data.tags["phase"] == "scores"]
        return found, pd.read_csv(client.download_artifacts(found.info.run_id, "score-table.csv"), index_col=0)

    return run


@pytest.mark.slow
def test_one_table_of_what_can_be_had(scored, digits, capsys):
    run, table = scored(f"root={digits}", "statistics=entropy,shallow:fast,neighbours", "random_labels=0")
    assert list(table.index) == ["entropy", "shallow:fast", "neighbours", *SCORES]
    measured = table.loc[list(SCORES)]
    assert (measured["passes"] == [3 * 12] * (len(SCORES) - 1) + [3 * 1]).all() and (measured["seconds"] > 0).all()
    assert table.loc["aum", "easy"] == "high" and table.loc["loss", "easy"] == "low"
    assert table.loc["learning_time", "reliability"] > 0.5
    assert (table["low"] <= table["rho"]).all() and (table["rho"] <= table["high"]).all()
    assert table.loc[["confidence", "aum"], "rho"].min() > 0.2
    assert table.loc["shallow:fast", "seconds"] > 0 and 0 < table.loc["shallow:fast", "reliability"] < 1
    assert table["area"].isna().all()
    printed = " ".join(capsys.readouterr().out.split())
    assert "Which score to order by? Before training," in printed and f"in run {run.info.run_id}" in printed
    assert run.data.metrics["scores/rho_aum"] == pytest.approx(table.loc["aum", "rho"], rel=1e-5)
    client = open_store()
    page = Path(client.download_artifacts(run.info.run_id, "report.html")).read_text("utf-8")
    assert ">learning_time<" in page and "plot-scores" in page
    assert train.main(["--mode", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phase"] == "scores"


@pytest.mark.slow
def test_without_a_measurement_of_these_labels_it_says_so_and_finds_the_wrong_ones(scored, digits, capsys):
    _, table = scored(f"root={digits}", "statistics=shallow", "random_labels=0.3")
    assert list(table.index) == ["shallow"] and np.isnan(table.loc["shallow", "rho"])
    assert table.loc["shallow", "area"] > 0.8
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "There is no measurement of these examples to compare with. Wrong labels are found best by shallow" in printed
    )
