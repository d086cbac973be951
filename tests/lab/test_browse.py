"""The store at the terminal: list, show, export and MLflow's UI, after a real measurement and a real comparison."""

import contextlib
import json
import re
import signal
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import train
from curricula.scores import read_scores
from docs.screenshots import mlflow_ui
from lab.settings import PROGRAM
from lab.store import experiment_id, open_store, tracking_uri

SMALL = ["data=folder", "resize=null", "crop=null", "network=lenet5", "batch_size=25", "epochs=2", "lr=0.004"]


@pytest.fixture(scope="module")
def filled(digits, empty_database, tmp_path_factory):
    """A folder with a store of one measurement and one comparison; what --json printed of each."""
    import io
    import shutil

    place = tmp_path_factory.mktemp("filled")
    (place / "mlruns").mkdir()
    shutil.copy(empty_database, place / "mlruns")
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("report.draw_curves", "measure.draw_examples"):
            patch.setattr(f"lab.{name}", lambda *arguments: None)
        for words in (
            ["--mode", "measure", *SMALL, "networks=2", "statistics=[segments]"],
            [
                "--mode",
                "curriculum",
                *SMALL,
                "metric=segments",
                "seeds=2",
                "evaluations=2",
                "arms=[shuffled,curriculum]",
            ],
        ):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                assert train.main([*words, f"root={digits}", "--json"]) == 0
            printed.append(json.loads(out.getvalue()))
    return place, printed


@pytest.fixture
def here(filled, monkeypatch):
    monkeypatch.chdir(filled[0])
    return filled[1]


def run_mode(capsys, *words: str) -> str:
    assert train.main(["--mode", *words]) == 0
    return capsys.readouterr().out


def test_json_is_one_object_with_the_runs_numbers(here):
    measured, compared = here
    assert measured["phase"] == "measure" and compared["phase"] == "curriculum"
    assert measured["status"] == compared["status"] == "FINISHED"
    assert 0 <= measured["metrics"]["train/agreement"] <= 1
    assert {"comparison/test_at_best_shuffled", "comparison/difference_curriculum"} <= set(compared["metrics"])
    assert "all networks get right" in measured["headline"]
    assert re.fullmatch(
        r"Too few seeds \(2\) to tell; curriculum came out ([\d.]+ points (lower|higher) than|equal to) shuffled training\.",
        compared["headline"],
    )


def test_list(here, capsys):
    said = run_mode(capsys, "list")
    for run in here:
        assert run["run"][:8] in said
    assert said.index(here[1]["run"][:8]) < said.index(here[0]["run"][:8])  # the newest first
    assert [run["run"] for run in json.loads(run_mode(capsys, "list", "--json"))] == [here[1]["run"], here[0]["run"]]


def test_show_prints_the_summary_again(here, capsys):
    assert "Does training in order of segments help?" in run_mode(capsys, "show")  # the newest
    assert "Do the networks learn the same examples?" in run_mode(capsys, "show", f"run={here[0]['run'][:6]}")
    assert json.loads(run_mode(capsys, "show", f"run={here[0]['run']}", "--json")) == here[0]


def test_the_report_page_is_named_and_opened(here, capsys, monkeypatch):
    said = run_mode(capsys, "show", f"run={here[0]['run']}")
    address = re.search(r"The report page: (file://\S+/report.html)\n", said)[1]
    assert here[0]["run"] in address and "<html" in urllib.request.urlopen(address).read().decode()
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: not opened.append(address))
    run_mode(capsys, "show", f"run={here[0]['run']}", "--open")
    assert opened == [address]
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert train.main(["--mode", "show", "--open"]) == 2
    assert "there is no browser to open" in capsys.readouterr().err


def test_export(here, capsys, tmp_path):
    run_mode(capsys, "export", f"run={here[0]['run']}", f"to={tmp_path / 'new'}")
    table = pd.read_parquet(tmp_path / "new/scores.parquet")
    assert len(table) == 200 and {"segments", "last_2"} <= set(table)
    assert "<html" in (tmp_path / "new/report.html").read_text()
    alone = pd.read_csv(
        tmp_path / "new/correlations.csv", index_col="statistic"
    )  # segments, with no other to hold fixed
    assert np.isfinite(alone.loc["segments", "within_rho"]) and np.isnan(alone.loc["segments", "others_fixed_rho"])
    run_mode(capsys, "export", f"run={here[1]['run']}", f"to={tmp_path}")
    assert list(pd.read_csv(tmp_path / "comparison.csv")["arm"]) == ["shuffled", "curriculum"]
    assert (tmp_path / "figures/validation-accuracy.png").is_file()


def test_scores_for_others_are_one_file_that_says_what_they_are(here, capsys, tmp_path):
    assert "scores-public.parquet" in run_mode(capsys, "export", f"run={here[0]['run']}", f"to={tmp_path}", "public=true").replace("\n", "")  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["scores-public.parquet"]
    text = (Path(__file__).parents[2] / "docs/scores.md").read_text()
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "scores-public" in code]
    given: dict = {}
    with contextlib.chdir(tmp_path):
        exec(compile(code, "docs/scores.md", "exec"), given)
    table, about, shared = given["table"], given["about"], given["scores"]
    assert table.column_names == ["id", "split", "label", *about["columns"]] and about["networks"] == ["lenet5"] * 2
    assert len(about["images"]["train"]) == 64
    assert about["columns"]["segments"] == {"kind": "statistic of images", "easy": None, "version": 1}
    assert about["columns"]["aum"]["easy"] == "high" and about["columns"]["el2n"]["epochs"] == 1
    assert -1 < about["columns"]["learning_time"]["reliability"] < 1 and about["columns"]["aum"]["interval"] is None
    run_mode(capsys, "export", f"run={here[0]['run']}", f"to={tmp_path / 'all'}")
    usual = pd.read_parquet(tmp_path / "all/scores.parquet")
    assert (shared[["id", "split", "label"]] == usual[["id", "split", "label"]]).all(axis=None)
    for name in ("segments", "learning_time", "first", "confidence"):
        np.testing.assert_allclose(shared[name], usual[name], rtol=1e-6)
    ids = list(usual.loc[usual["split"] == "train", "id"])
    scores, high_is_easy = read_scores(tmp_path / "scores-public.parquet", ids, "aum")
    assert len(scores) == len(ids) and np.isfinite(scores).all() and high_is_easy
    for words, told in (
        ([f"run={here[0]['run']}", "public=true", f"to={tmp_path}"], "scores-public.parquet is there"),
        ([f"run={here[1]['run']}", "public=true"], "is no measurement"),
        (["public=yes"], "expected true or false"),
    ):
        assert train_main(words) == 2 and told in capsys.readouterr().err


def test_the_most_suspect_labels_are_listed(here, capsys, tmp_path):
    run_mode(capsys, "export", f"run={here[0]['run']}", f"to={tmp_path}", "suspects=7")
    listed = pd.read_csv(tmp_path / "suspects.csv")
    known = pd.read_parquet(tmp_path / "scores.parquet").query("split == 'train'").set_index("id")
    assert list(listed["suspect"]) == [1, 2, 3, 4, 5, 6, 7]
    assert all(known.loc[row["id"], "suspect"] == row["suspect"] for _, row in listed.iterrows())
    assert all(known.loc[row["id"], "predicted"] == str(row["predicted"]) for _, row in listed.iterrows())
    page = (tmp_path / "suspects.html").read_text()
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])["examples"]
    assert [data["columns"]["id"][i] for i in data["suspects"]] == listed["id"].tolist() and len(page) < 100_000
    run_mode(capsys, "export", f"run={here[0]['run']}", f"to={tmp_path / 'all'}", "suspects=500")
    assert len(pd.read_csv(tmp_path / "all/suspects.csv")) == 150  # all there are
    (tmp_path / "suspects.csv").write_text("corrected by hand")
    assert train_main([f"run={here[0]['run']}", f"to={tmp_path}", "suspects=7"]) == 2
    assert "suspects.csv is there and is another table" in capsys.readouterr().err
    for words, told in (
        ([f"run={here[1]['run']}", "suspects=7"], "is no measurement"),
        (["suspects=x"], "such as suspects=200"),
    ):
        assert train_main(words) == 2 and told in capsys.readouterr().err


def train_main(words: list[str]) -> int:
    return train.main(["--mode", "export", *words])


def test_export_to_a_folder_of_its_own(here, capsys, tmp_path):
    for _ in range(2):
        run_mode(capsys, "export")
    assert (Path(f"export-{here[1]['run'][:8]}") / "comparison.csv").is_file()  # the newest


def test_export_overwrites_nothing(here, capsys, tmp_path):
    """`to=.` in a folder with a summary of one's own."""
    (tmp_path / "summary.txt").write_text("mine")
    assert train.main(["--mode", "export", f"to={tmp_path}"]) == 2
    assert "summary.txt is there and is another file; give another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["summary.txt"]
    assert (tmp_path / "summary.txt").read_text() == "mine"


def test_what_a_store_holds_does_not_steer_the_terminal(here, capsys, tmp_path):
    client = open_store()
    experiment = experiment_id(client, "measure-folder")
    tags = {"phase": "measure", "data": "\x1b]0;pwned\x07", "headline": "\x1b[2J[bold]all"}
    run = client.create_run(experiment, tags=tags, run_name="\x1b[31mred").info.run_id
    (tmp_path / "summary.txt").write_text("first\n\x1b[2Jlast\n")
    client.log_artifact(run, str(tmp_path / "summary.txt"))
    try:
        shown = run_mode(capsys, "list") + run_mode(capsys, "show", f"run={run}")
        assert "[31mred" in shown and "[bold]all" in shown and "first\n [2Jlast" in shown
        assert not {"\x1b", "\x07"} & {*shown}
    finally:
        client.delete_run(run)


def test_without_an_id_it_is_the_newest_that_has_finished(here, capsys):
    client = open_store()
    experiment = experiment_id(client, "measure-folder")
    run = client.create_run(experiment, tags={"phase": "measure"}, run_name="x").info.run_id
    client.set_terminated(run, "KILLED")
    try:
        assert "Does training in order of segments help?" in run_mode(capsys, "show")
    finally:
        client.delete_run(run)


def test_the_run_is_described_in_mlflow(here):
    client = MlflowClient(tracking_uri())
    run = client.get_run(here[0]["run"])
    assert "Do the networks learn the same examples?" in run.data.tags["mlflow.note.content"]
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == "digits" and json.loads(given.dataset.profile) == {"train": 150, "test": 50}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "run=zz"], "run=zz: there is no such run"),
        (["show", "runs=a"], "there is no setting 'runs' (run)"),
        (["list", "run=a"], "there is no setting 'run' (it takes none)"),
        (["ui", "port=many"], "port=many: expected a whole number"),
    ],
)
def test_what_cannot_be_meant_is_one_line(here, capsys, words, told):
    assert train.main(["--mode", *words]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_an_empty_store(place, capsys):
    assert f"{PROGRAM} --mode measure" in run_mode(capsys, "list")
    assert train.main(["--mode", "show"]) == 2
    assert "the store holds no runs of this program" in capsys.readouterr().err


def test_looking_makes_no_store(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "The store holds no runs of this program" in run_mode(capsys, "list")
    assert run_mode(capsys, "list", "--json") == "[]\n"
    for mode in ("show", "export", "ui"):
        assert train.main(["--mode", mode]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def ui(filled):
    """`--mode ui` on the filled store: the process, its port and the lines that it printed, once it answers."""
    with mlflow_ui(filled[0]) as (program, port):
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).read() == b"OK"
        yield program, port, [program.stdout.readline() for _ in range(3)]


@pytest.mark.slow
def test_the_views_in_mlflow(ui, filled, browser):
    """The addresses that are printed lead to the columns that matter, the description to its figure and to the curves by arm."""
    _, port, said = ui
    context = browser.new_context(viewport={"width": 2400, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    tables = [re.search("http://[^ ]*viewStateShareKey=curricula", line)[0] for line in said[1:]]
    seen = set()
    for table in tables:
        page.goto(table)
        page.get_by_role("columnheader", name="Run Name").first.wait_for()
        page.get_by_role("columnheader", name="headline").first.wait_for()
        seen |= {name.strip() for name in page.get_by_role("columnheader").all_inner_texts()}
    assert {"train/agreement", "order/reliability", "comparison/difference_curriculum"} <= seen

    compared = filled[1][1]["run"]
    experiment = MlflowClient(f"sqlite:///{filled[0]}/mlruns/mlflow.db").get_run(compared).info.experiment_id
    page.goto(f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs/{compared}")
    figure = page.locator("img[src*='comparison.png']")  # MLflow drops its alternative text
    figure.wait_for()
    assert figure.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Curves by arm").click()
    page = popup.value
    for arm in ("shuffled", "curriculum"):
        page.get_by_text(f"Group: {arm}").first.wait_for()
    page.locator(".js-plotly-plot .scatterlayer path").first.wait_for(state="attached")


@pytest.mark.slow
def test_the_ui_is_on_this_machine_alone_and_ends_with_ctrl_c(ui):
    program, port, said = ui
    assert f"http://127.0.0.1:{port} " in said[0]
    listening = {
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    }
    assert f"0100007F:{port:04X}" in listening and f"00000000:{port:04X}" not in listening
    program.send_signal(signal.SIGINT)
    assert program.wait(30) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)


@pytest.mark.slow
def test_the_ui_ends_with_a_program_that_is_killed(filled):
    """Nobody would know of it, and whoever has an account on this machine could delete the runs."""
    with mlflow_ui(filled[0]) as (program, port):
        program.kill()
        program.wait(30)
        deadline = time.monotonic() + 30
        with pytest.raises(OSError):
            while time.monotonic() < deadline:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                time.sleep(0.1)
