"""Whole measurements on real digits in files, with a real MLflow store: what they leave behind, and every accident."""

import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import agreement
import train
from agreement.record import LearningRecord, read_epochs
from conf import PROGRAM
from metrics import STATISTICS
from metrics import table as statistics_of
from phases.measure import drawn_beside
from training.parallel import PROCESSES, warm_up

ROOT = Path(__file__).parents[2]
EPOCHS = 12  # enough that the accidents below happen in the middle
RECIPE = [
    "data=folder", "resize=null", "crop=null", "network=lenet5", "networks=3", f"epochs={EPOCHS}", "batch_size=25",
    "lr=0.004", "schedule=cosine", "min_lr=0.001", "resamples=50", "device=cpu",
    "statistics=[entropy,frequency,segments]",
]  # fmt: skip

MEASURED = ["entropy", "frequency", "segments"]  # edges takes too long here


@pytest.fixture
def without_figures(monkeypatch):
    """Drawing takes most of a tiny measurement's time."""
    monkeypatch.setattr("phases.draw.draw_measurement", lambda *arguments: None)
    monkeypatch.setattr("phases.measure.write_page", lambda *arguments: None)


def words(digits: Path, *others: str) -> list[str]:
    return ["--mode", "measure", *RECIPE, f"root={digits}", *others]


def program(place: Path, arguments: list[str]) -> subprocess.Popen:
    """The program as a user starts it in a terminal: a process group of its own, which Ctrl-C reaches as a whole."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "MLFLOW"))}
    return subprocess.Popen(
        [sys.executable, ROOT / "train.py", *arguments], cwd=place, env=environment, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@dataclass
class Store:
    """What MLflow holds of the only measurement in a folder."""

    place: Path

    def __post_init__(self):
        self.client = mlflow.MlflowClient(f"sqlite:///{self.place}/mlruns/mlflow.db")
        experiments = self.client.search_experiments()
        runs = [run for e in experiments for run in self.client.search_runs([e.experiment_id])]
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert len(parents) == 1
        self.parent = parents[0]
        self.children = sorted((run for run in runs if run is not self.parent), key=lambda run: run.info.run_name)
        assert {run.data.tags["mlflow.parentRunId"] for run in self.children} <= {self.parent.info.run_id}

    @property
    def statuses(self) -> list[str]:
        return [run.info.status for run in [self.parent, *self.children]]

    @property
    def artifacts(self) -> Path:
        return Path(self.parent.info.artifact_uri.removeprefix("file://"))

    @property
    def record(self) -> LearningRecord:
        return LearningRecord(self.artifacts / "record")

    def series(self, run, key: str) -> dict[int, float]:
        """Value by step; a step that was logged twice fails."""
        history = self.client.get_metric_history(run.info.run_id, key)
        assert max(Counter(metric.step for metric in history).values(), default=1) == 1, key
        return {metric.step: metric.value for metric in history}

    def assert_logged_once_and_fully(self) -> None:
        for run in [self.parent, *self.children]:
            for key in run.data.metrics:
                steps = sorted(self.series(run, key))
                if run is self.parent and key.split("/")[0] not in ("train", "test"):
                    assert steps == [EPOCHS], key
                elif "agreed_" in key:  # left out where the networks agree on nothing
                    assert set(steps) <= set(range(1, EPOCHS + 1)), key
                else:
                    assert steps == list(range(1, EPOCHS + 1)), key


def assert_same_record(one: LearningRecord, other: LearningRecord) -> None:
    """Bit for bit, but for the seconds that the epochs took."""
    names = sorted(path.relative_to(one.folder).as_posix() for path in one.folder.rglob("*") if path.is_file())
    assert names == sorted(p.relative_to(other.folder).as_posix() for p in other.folder.rglob("*") if p.is_file())
    for name in names:
        if not name.endswith("epochs.jsonl"):
            assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
    for k in range(len(one.networks)):
        lines, others = (read_epochs(record.network_folder(k)) for record in (one, other))
        assert [line | {"seconds": 0} for line in lines] == [line | {"seconds": 0} for line in others]


def nothing_unfinished(place: Path) -> bool:
    return not [path for path in (place / "mlruns" / "unfinished").glob("*") if path.is_dir()]


# a measurement from beginning to end


@pytest.fixture(scope="module")
def measured(digits, empty_database, tmp_path_factory) -> Iterator[tuple[Path, str]]:
    """One undisturbed measurement by the program itself: its folder and what it printed."""
    place = tmp_path_factory.mktemp("measured")
    (place / "mlruns").mkdir()
    shutil.copy(empty_database, place / "mlruns")
    process = program(place, words(digits))
    output, error = process.communicate(timeout=400)
    assert (process.returncode, error) == (0, ""), error
    yield place, output


@pytest.fixture(scope="module")
def store(measured) -> Store:
    return Store(measured[0])


@pytest.mark.slow
def test_runs_and_parameters(store, digits):
    assert store.statuses == ["FINISHED"] * 4
    assert [run.info.run_name for run in store.children] == [f"network {k}: lenet5" for k in (1, 2, 3)]
    parameters = store.parent.data.params
    assert parameters["root"] == str(digits) and parameters["networks"] == "3" and parameters["seed"] == "0"
    assert parameters["lr"] == "0.004" and parameters["record"] == "during"
    assert store.parent.data.tags["data"] == "folder"
    assert store.client.get_experiment(store.parent.info.experiment_id).name == "measure-folder"


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
            assert list(store.series(child, f"{split}/accuracy").values()) == pytest.approx(accuracy.tolist())
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
            assert store.series(store.parent, f"{split}/{name}") == pytest.approx(dict(enumerate(values, 1)))


@pytest.mark.slow
def test_statistics_and_correlations_equal_what_the_images_give(store, digits):
    record = store.record
    learned = agreement.learned_epoch(record.correct("train"))
    for split in ("train", "test"):
        table = pd.read_parquet(store.artifacts / f"statistics-{split}.parquet")
        assert table.index.tolist() == record.ids(split) and list(table.columns) == MEASURED
        for i in (0, 17, 42):
            image = np.asarray(Image.open(digits / split / table.index[i]))
            assert table.iloc[i].tolist() == [STATISTICS[name](image) for name in table.columns]
        agreed = record.correct(split).all(axis=0)
        for name in MEASURED:
            curve = {t + 1: table[name][agreed[t]].mean() for t in range(EPOCHS) if agreed[t].any()}
            assert store.series(store.parent, f"{split}/agreed_{name}") == pytest.approx(curve)
    correlations = pd.read_csv(store.artifacts / "correlations.csv", index_col=0)
    assert correlations.index.tolist() == MEASURED
    train_table = pd.read_parquet(store.artifacts / "statistics-train.parquet")
    for name, rho in correlations["rho"].items():
        expected = train_table[name].rank().corr(pd.Series(learned, train_table.index).rank())
        assert rho == pytest.approx(expected)
        assert store.series(store.parent, f"correlation/{name}") == pytest.approx({EPOCHS: rho})
    explained = json.loads((store.artifacts / "explained_variance.json").read_text())
    assert {"statistics", "classes", "classes_and_statistics"} <= set(explained)
    never = store.series(store.parent, "learned/never")[EPOCHS]
    assert never == pytest.approx(np.isinf(learned).mean())


@pytest.mark.slow
def test_every_artifact_is_there_and_nothing_else(store):
    found = artifacts_of(store)
    figures = {f"{split}-agreement{'' if name is None else f'-{name}'}" for split in ("train", "test") for name in (None, *MEASURED)}  # fmt: skip
    figures |= {"false-positive-agreement", "train-examples", "test-examples", "train-statistics", "test-statistics"}
    figures |= {f"{split}-histogram-{name}" for split in ("train", "test") for name in MEASURED}
    arrays = {f"record/network-{k}/{split}-{kind}.npy" for k in (1, 2, 3) for split in ("train", "test") for kind in ("predictions", "probability")}  # fmt: skip
    assert found == {
        *(f"figures/{name}.{suffix}" for name in figures for suffix in ("png", "svg")),
        *arrays, *(f"record/network-{k}/epochs.jsonl" for k in (1, 2, 3)), "record/record.json",
        *(f"record/{split}-{what}" for split in ("train", "test") for what in ("labels.npy", "ids.json")),
        *(f"statistics-{split}.parquet" for split in ("train", "test")),
        "correlations.csv", "correlations-test.csv", "explained_variance.json", "config.yaml",
        "scores.csv", "scores.parquet", "report.html", "summary.txt",
    }  # fmt: skip
    for name in figures:
        with Image.open(store.artifacts / "figures" / f"{name}.png") as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
        assert "</svg>" in (store.artifacts / "figures" / f"{name}.svg").read_text()


@pytest.mark.slow
def test_what_is_printed(store, measured):
    place, output = measured
    for text in ("agreement", "lower bound", "chance", "entropy", "frequency", "segments", "Kendall's W"):
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
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.parquet")}
    assert len(before) == 2 * len(MEASURED)
    computed = []
    compute = statistics_of._compute
    monkeypatch.setattr(statistics_of, "_compute", lambda *a: computed.append(list(a[2])) or compute(*a))
    assert train.main(words(digits, "networks=1", "epochs=1", f"cache={cache}")) == 0
    assert computed == [[], []]
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.parquet")} == before


# variants


@pytest.mark.slow
def test_different_networks_side_by_side(digits, place, capsys, without_figures):
    assert train.main(words(digits, "network=[lenet5,resnet18]", "epochs=1", "record=after", "name=of two kinds")) == 0
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


# accidents


def one_line(capsys) -> str:
    error = capsys.readouterr().err
    assert error.startswith("train.py: ") and error.count("\n") == 1 and error.endswith("\n"), error
    return error


@pytest.mark.slow
def test_a_loss_that_is_no_number(digits, place, capsys):
    """Two sound epochs, then a learning rate that is absurd."""
    recipe = ["schedule=step", "step_epochs=2", "step_factor=1e12", "networks=2"]
    assert train.main(words(digits, *recipe)) == 2
    assert re.search(r"network [12] \(lenet5\): the loss is no longer a number in epoch 3", one_line(capsys))
    store = Store(place)
    assert store.statuses == ["FAILED"] * 3
    lines = [read_epochs(store.record.network_folder(k)) for k in (0, 1)]
    assert max(map(len, lines)) == 2
    assert len(store.series(store.children[0], "train/accuracy")) == len(lines[0])
    assert nothing_unfinished(place)


def epochs_done(place: Path) -> list[int]:
    folders = sorted((place / "mlruns" / "unfinished").glob("*/record/network-*"))
    return [len(read_epochs(folder)) for folder in folders]


def wait_for_training(place: Path, beyond: int = 0) -> None:
    """Until every network has finished more epochs than so many."""
    end = time.monotonic() + 900
    while len(epochs_done(place)) < 3 or min(epochs_done(place)) <= beyond:
        assert time.monotonic() < end, "the training does not begin"
        time.sleep(0.005)


@pytest.mark.slow
def test_ctrl_c_and_the_same_command_again(measured, store, digits, place, capsys, without_figures):
    arguments = words(digits, f"cache={measured[0] / 'cache'}")
    process = program(place, arguments)
    wait_for_training(place)
    os.kill(grandchild_of(process.pid), signal.SIGKILL)  # as the kernel does when memory runs out
    _, error = process.communicate(timeout=400)
    assert process.returncode == 2
    assert error.strip() == (
        "train.py: a training process died (killed, perhaps for want of memory: try workers=1); "
        "the same command resumes from its last epoch"
    )
    assert Store(place).statuses == ["FAILED"] * 4

    process, before = program(place, arguments), min(epochs_done(place))
    wait_for_training(place, before)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=400)
    assert process.returncode == 130
    assert error.strip() == "interrupted; the same command continues where this one stopped"
    interrupted = Store(place)
    assert interrupted.statuses == ["KILLED"] * 4
    kept = interrupted.record
    assert 1 <= kept.epochs < EPOCHS
    np.testing.assert_array_equal(kept.correct("train"), store.record.correct("train")[:, : kept.epochs])

    assert train.main(arguments) == 0
    resumed = Store(place)
    assert resumed.parent.info.run_id == interrupted.parent.info.run_id
    assert [run.info.run_id for run in resumed.children] == [run.info.run_id for run in interrupted.children]
    assert resumed.statuses == ["FINISHED"] * 4
    assert_same_record(store.record, resumed.record)
    resumed.assert_logged_once_and_fully()
    assert nothing_unfinished(place)


def grandchild_of(program: int) -> int:
    """A training process: child of the server that is a child of the program."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return next(pid for pid, parent in parents.items() if parents.get(parent) == program)


def wait_for_finding(place: Path, file: str) -> None:
    end = time.monotonic() + 900
    while not list(place.glob(f"mlruns/unfinished/*/findings/{file}")):
        assert time.monotonic() < end, f"{file} is not made"
        time.sleep(0.002)


def test_figures_are_not_waited_for_when_the_program_is_stopped(monkeypatch):
    def draw(*arguments):
        while arguments[-1]():
            time.sleep(0.001)

    monkeypatch.setattr("phases.draw.draw_measurement", draw)
    with pytest.raises(KeyboardInterrupt), drawn_beside():
        raise KeyboardInterrupt


def artifacts_of(store: Store) -> set[str]:
    return {path.relative_to(store.artifacts).as_posix() for path in store.artifacts.rglob("*") if path.is_file()}


def measure_in(place: Path, arguments: list[str]) -> None:
    os.chdir(place)
    train.main(arguments)


@pytest.mark.slow
def test_killed_outright_at_several_moments_and_the_same_command_again(measured, store, digits, place, capsys):
    arguments = words(digits, f"cache={measured[0] / 'cache'}")
    warm_up("training.loop")

    def begun(wait: Callable[[Path], None]) -> multiprocessing.process.BaseProcess:
        process = PROCESSES.Process(target=measure_in, args=(place, arguments))
        process.start()
        wait(place)
        return process

    process = begun(wait_for_training)
    os.kill(process.pid, signal.SIGSTOP)  # it holds its place, however fast it would be
    assert train.main(arguments) == 2
    assert "the same measure" in (line := one_line(capsys)) and "already running" in line
    process.kill()
    process.join()
    killed = Store(place)
    assert killed.statuses == ["RUNNING"] * 4  # nobody was left to say otherwise
    for file in ("figures", "figures/train-examples.png", "config.yaml"):  # drawing begins, goes on, is over
        process = begun(partial(wait_for_finding, file=file))
        process.kill()
        process.join()
    assert train.main(arguments) == 0
    resumed = Store(place)
    assert resumed.parent.info.run_id == killed.parent.info.run_id
    assert resumed.statuses == ["FINISHED"] * 4
    assert_same_record(store.record, resumed.record)
    resumed.assert_logged_once_and_fully()
    assert artifacts_of(resumed) == artifacts_of(store)
    assert nothing_unfinished(place)


@pytest.mark.slow
def test_interrupted_while_the_findings_are_logged(
    measured, store, digits, place, capsys, monkeypatch, without_figures
):
    """After the curves went into the store, before the summary: resuming must not log them a second time."""
    arguments = words(digits, f"cache={measured[0] / 'cache'}")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("phases.measure.describe", interrupt)
        assert train.main(arguments) == 130
    assert Store(place).statuses == ["KILLED"] * 4
    assert train.main(arguments) == 0
    resumed = Store(place)
    assert resumed.statuses == ["FINISHED"] * 4
    resumed.assert_logged_once_and_fully()
    assert_same_record(store.record, resumed.record)


@pytest.mark.slow
def test_other_images_under_the_same_name_are_not_resumed(digits, place, capsys, monkeypatch, without_figures):
    """The record of an interrupted run is of its images; changed ones begin anew."""
    shutil.copytree(digits, place / "copy")

    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("phases.measure.analyse", interrupt)
        assert train.main(words(place / "copy", "networks=1", "epochs=2")) == 130
    for path in (place / "copy" / "train").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert train.main(words(place / "copy", "networks=1", "epochs=2")) == 0
    parents = all_parents(place)
    assert Counter(run.info.status for run in parents) == {"KILLED": 1, "FINISHED": 1}
    records = [Path(run.info.artifact_uri.removeprefix("file://")) / "record/network-1" for run in parents]
    one, other = (np.load(record / "train-probability.npy") for record in records)
    assert (one != other).any()


@pytest.fixture
def small_disk(place):
    """A disk of 6 MB, mounted where the store is; needs to be root."""
    disk = place / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    try:
        shutil.copytree(place / "mlruns", disk / "mlruns")
        yield disk
    finally:
        os.chdir(place)
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize("free", [60_000, 400_000, 1_000_000])
def test_a_full_disk(measured, store, digits, small_disk, monkeypatch, capsys, free, without_figures):
    """One line wherever the space ends: the shared images, the record, a checkpoint or the store; with space, it resumes."""
    monkeypatch.chdir(small_disk)
    ballast = small_disk / "ballast"
    state = os.statvfs(small_disk)
    ballast.write_bytes(b"\1" * (state.f_bavail * state.f_frsize - free))
    arguments = words(digits, f"cache={measured[0] / 'cache'}")
    assert train.main(arguments) == 2
    line = one_line(capsys)
    assert (
        re.search(r"No space left|disk (is )?full|disk I/O error", line)
        and "make space" in line
        and "the same command" in line
    )
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert train.main(arguments) == 0
    finished = [run for run in all_parents(small_disk) if run.info.status == "FINISHED"]
    assert len(finished) == 1
    kept = LearningRecord(Path(finished[0].info.artifact_uri.removeprefix("file://")) / "record")
    assert_same_record(store.record, kept)


def all_parents(place: Path) -> list:
    client = mlflow.MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
