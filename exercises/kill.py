"""Kill a measurement, a comparison and a sweep again and again, and compare what they end with with undisturbed ones.

    uv run exercises/kill.py --kills 30
    uv run exercises/kill.py --kills 30 --signal SIGTERM    and how long the program takes to end
    uv run exercises/kill.py --kills 30 --fork              the same in a fraction of the time

Each is the program itself in a process group of its own, with an empty store and cache. It is killed at random moments
of every stage, the whole group or only the main process by turns, and given again until it is done. With --fork, it is
forked from a process that has imported what it needs, and its training processes are ended by its death alone. Exit
status 1 where anything differs from the undisturbed run.
"""

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
TINY = [
    "data=folder", "resize=null", "crop=null", "network=lenet5", "batch_size=25", "lr=0.004", "device=cpu",
]  # fmt: skip
EPOCHS = 6
MEASURE = ["--mode", "measure", *TINY, "networks=2", f"epochs={EPOCHS}", "statistics=[entropy]"]
COMMANDS = {
    "measure": MEASURE,
    "curriculum": [
        "--mode", "curriculum", *TINY, "metric=frequency", "epochs=6", "evaluations=3", "seeds=2", "arms=[shuffled,anti]",
    ],
    "sweep": [*MEASURE, "epochs=4", "sweep.batch_size=[25,50]"],
}  # fmt: skip
STAGES = ["before the store", "making the store", "reading images", "beginning runs, statistics", "training",
          "after training", "figures and tables", "logging what was found", "ending"]  # fmt: skip


def write_digits(root: Path) -> None:
    """150 digits to train and 50 to test, PNG files."""
    from PIL import Image

    from lab.data.digits import mnist

    images, labels = mnist()
    for part, chosen in (("train", range(0, 5000, 33)), ("test", range(7, 5000, 100))):
        for i in chosen:
            folder = root / part / str(labels[i])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.pad(images[i], 2)).save(folder / f"{i:04d}.png")


class Program:
    """train.py at work, in a place of its own, where its output goes into files."""

    def __init__(self, place: Path, words: list[str], fork: bool):
        place.mkdir(exist_ok=True)
        self.began = time.time()
        self.errors, output = place.with_suffix(".err"), place.with_suffix(".out")
        if fork:
            self.process = multiprocessing.get_context("fork").Process(
                target=forked, args=(place, words, output, self.errors)
            )
            self.process.start()
        else:
            with output.open("w") as out, self.errors.open("w") as err:
                self.process = subprocess.Popen(
                    [sys.executable, ROOT / "train.py", *words],
                    cwd=place,
                    start_new_session=True,
                    stdout=out,
                    stderr=err,
                )
        self.pid = self.process.pid

    def status(self) -> int | None:
        return self.process.poll() if isinstance(self.process, subprocess.Popen) else self.process.exitcode

    def wait(self) -> tuple[int, str]:
        """Exit status and standard error."""
        while self.status() is None:
            time.sleep(0.01)
        return self.status(), self.errors.read_text().strip()


def prepare_forks() -> None:
    """Import what the program will, and start the server of its training processes, for all programs to come."""
    for module in ("mlflow.store.tracking.sqlalchemy_store", "lab.compare", "lab.sweep"):
        importlib.import_module(module)
    importlib.import_module("lab.processes").start_server(importlib.import_module("lab.compared").Compared)


def forked(place: Path, words: list[str], output: Path, errors: Path) -> None:
    os.setsid()
    os.chdir(place)
    for descriptor, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    from multiprocessing import forkserver

    from lab import command

    # it runs, but is not this process's child
    forkserver.ensure_running = forkserver._forkserver.ensure_running = lambda: None
    for each in command.STOPPING:
        signal.signal(each, command.stop)
    status = command.main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def stage_of(place: Path, since: float = 0) -> str:
    """What the program is doing, from the files it has written; those from before `since` (unix time) are of a killed one."""

    def fresh(path: Path) -> bool:
        return path.exists() and path.lstat().st_mtime >= since

    store = place / "mlruns"
    if not store.is_dir():
        return STAGES[0]
    if not (store / "mlflow.db").is_file() and not (store / "unfinished").is_dir():  # which a server's store has alone
        return STAGES[1]
    works = [work for work in (store / "unfinished").glob("*-folder-*") if work.is_dir()]
    works = [work for work in works if not work.name.startswith("sweep")] or works
    if not works:  # before the work, or after it
        return STAGES[8] if list(store.glob("artifacts/*/*/artifacts/report.html")) else STAGES[2]
    work = works[0]
    if work.name.endswith(".done"):
        return STAGES[8]
    if since and not any(map(fresh, store.glob("mlflow.db*"))):
        return STAGES[0]  # it has found neither its runs nor its work yet
    trainings = [*work.glob("record/network-*"), *work.glob("training-*")]
    if not trainings or not any(fresh(path) for path in work.glob("test*")):  # images, which are shared before training
        return STAGES[3]
    if fresh(work / "findings" / "config.yaml"):
        return STAGES[7]
    if fresh(work / "findings"):
        return STAGES[6]
    done = [(folder / "result.json").is_file() or lines(folder / "epochs.jsonl") == EPOCHS for folder in trainings]
    return STAGES[5] if all(done) else STAGES[4]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def progress_of(place: Path) -> dict[str, tuple[int, int]]:
    """Rounds (epochs or evaluations) that each network has finished, and those that its checkpoint would resume from."""
    found = {}
    for folder in [*place.glob("mlruns/unfinished/*/record/network-*"), *place.glob("mlruns/unfinished/*/training-*")]:
        if ".done/" in folder.as_posix():
            continue  # all is logged; it is being removed, file by file
        checkpoint = folder / "checkpoint.pt"
        state = torch.load(checkpoint, weights_only=True) if checkpoint.is_file() else {}
        rounds = max(lines(folder / "epochs.jsonl"), lines(folder / "evaluations.jsonl"))
        found[folder.relative_to(place).as_posix()] = (rounds, state.get("epoch", state.get("done", 0)))
    return found


def snapshot(place: Path) -> dict[str, Any]:
    """All that MLflow holds, but for ids, times and what names the machine's speed; read in a process of its own."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(read_store(place)))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def read_store(place: Path) -> dict[str, Any]:
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient(f"sqlite:///{place}/mlruns/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, run_view_type=ViewType.ALL, max_results=1000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    found: dict[str, Any] = {}
    for run in runs:
        tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
        parent = names.get(run.data.tags.get("mlflow.parentRunId"), "")
        name = f"{parent} > {run.info.run_name} {tags.get('sweep_value', '')}"
        while name in found:
            name += " again"
        metrics = {}
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            metrics[key] = sorted((at.step, at.value if key != "seconds" else 0) for at in history)
        inputs = [(given.dataset.name, given.dataset.digest) for given in run.inputs.dataset_inputs]
        artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
        files = [path for path in artifacts.rglob("*") if path.is_file()]
        found[name] = {
            "status": run.info.status,
            "params": run.data.params,
            "tags": tags,
            "metrics": metrics,
            "inputs": inputs,
            "artifacts": {p.relative_to(artifacts).as_posix(): content(p, run.info.run_id, parent) for p in files},
        }
    return found


def content(path: Path, run: str, parent: str) -> str:
    """A digest of a file; lines of rounds without their times, and files that have a run's id or a date in them by name only."""
    if path.suffix == ".jsonl":
        kept = [{**json.loads(line), "seconds": 0, "time": 0} for line in path.read_text().splitlines()]
        return hashlib.sha256(json.dumps(kept).encode()).hexdigest()
    if path.suffix in (".svg", ".html", ".txt"):
        return "there"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                yield f"{path}/{key}: only {'disturbed' if key in other else 'undisturbed'}"
            else:
                yield from differences(one[key], other[key], f"{path}/{key}")
    elif one != other:
        yield f"{path}: {one!s:.200} != {other!s:.200}"


class Soak:
    def __init__(self, options: argparse.Namespace, folder: Path):
        self.folder, self.draw = folder, random.Random(options.seed)
        self.signal = signal.Signals[options.signal]
        self.fork = options.fork
        self.killed: Counter[tuple[str, str]] = Counter()
        self.wrong: list[str] = []
        self.seconds_to_end: list[float] = []

    def undisturbed(self, what: str, words: list[str]) -> tuple[dict[str, Any], float]:
        began = time.monotonic()
        status, error = Program(self.folder / f"{what}-undisturbed", words, self.fork).wait()
        assert status == 0, error
        return snapshot(self.folder / f"{what}-undisturbed"), time.monotonic() - began

    def disturb(self, what: str, words: list[str], kills: int) -> None:
        expected, seconds = self.undisturbed(what, words)
        print(f"{what}: undisturbed {seconds:.0f} s", flush=True)
        left, rounds = kills, 0
        while left > 0:
            rounds += 1
            place = self.folder / f"{what}-{rounds}"
            left -= self.until_done(what, place, words, left, seconds)
            found = list(differences(expected, snapshot(place)))
            remains = [
                path.name
                for path in (place / "mlruns" / "unfinished").glob("*")
                if path.suffix not in (".lock", ".done")
            ]
            found += [f"left behind: {name}" for name in remains]
            self.wrong += [f"{what}, round {rounds}: {line}" for line in found]
            print(f"{what}, round {rounds}: {'; '.join(found) if found else 'as undisturbed'}", flush=True)
            shutil.rmtree(place)

    def until_done(self, what: str, place: Path, words: list[str], most: int, seconds: float) -> int:
        """Kill in one stage after the other, some of them left out, until the command is done. Returns how often."""
        kills, before = 0, {}
        stages = iter([stage for stage in STAGES if self.draw.random() < 0.8]) if what != "sweep" else None
        while True:
            program = Program(place, words, self.fork)
            if kills < most:
                self.wait(program, place, next(stages, "never") if stages else None, seconds)
            if kills >= most or program.status() is not None:
                status, error = program.wait()
                if status != 0:
                    self.wrong.append(f"{what}: exit status {status}: {error.splitlines()[-1:]}")
                    print(error, flush=True)
                return max(kills, 1)
            kills += 1
            stage, alone = stage_of(place, program.began), kills % 2 == 0
            self.end(program, alone, what)
            self.killed[what, stage] += 1
            after = progress_of(place)
            for name, (rounds, resumed) in after.items():
                if resumed < rounds - 1 or resumed < before.get(name, (0, 0))[1]:
                    self.wrong.append(f"{what}: {name} goes back from {rounds} rounds to {resumed}")
            before = after
            took = f"{self.seconds_to_end[-1]:.1f} s until it ended"
            print(f"  killed while {stage}{' (main process alone)' if alone else ''}, {took}", flush=True)
            if stage == STAGES[8]:  # all is done and told; the same command would measure another time
                return kills

    def wait(self, program: Program, place: Path, stage: str | None, seconds: float) -> None:
        """Until a random moment of a stage, or a random moment at all, or the program ends."""
        end = time.monotonic() + (self.draw.uniform(0, seconds) if stage is None else 10 * seconds)
        while program.status() is None and time.monotonic() < end:
            if stage in STAGES and STAGES.index(stage_of(place, program.began)) >= STAGES.index(stage):
                longest = {STAGES[0]: 5.0, STAGES[4]: 2.0, STAGES[6]: 4.0, STAGES[8]: 0.0}.get(stage, 1.0)
                end = time.monotonic() + self.draw.uniform(0, longest)
                stage = None
            time.sleep(0.002)

    def end(self, program: Program, alone: bool, what: str) -> None:
        began = time.monotonic()
        os.kill(program.pid, self.signal) if alone else os.killpg(program.pid, self.signal)
        status, error = program.wait()
        self.seconds_to_end.append(time.monotonic() - began)
        if self.signal == signal.SIGKILL:
            return
        early = status == -self.signal  # before the program could say anything
        if not early and (status != 128 + self.signal or error.count("\n")):
            self.wrong.append(f"{what}: exit status {status} and told: {error[-500:]}")
        for _ in range(100):  # nobody of the group is left
            try:
                os.killpg(program.pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
        self.wrong.append(f"{what}: processes are left after {self.signal.name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="of each command")
    parser.add_argument("--only", choices=COMMANDS, help="one command")
    parser.add_argument("--signal", default="SIGKILL", choices=["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"])
    parser.add_argument("--fork", action="store_true", help="do not import everything again every time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.fork:
        prepare_forks()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(options, Path(folder))
        write_digits(Path(folder) / "digits")
        for what, words in COMMANDS.items():
            if options.only in (None, what):
                soak.disturb(what, [*words, f"root={folder}/digits"], options.kills)
    for (what, stage), count in sorted(soak.killed.items(), key=lambda each: (each[0][0], STAGES.index(each[0][1]))):
        print(f"{what:<12}{stage:<30}{count:>4}")
    times = np.array(soak.seconds_to_end)
    print(
        f"{len(times)} × {soak.signal.name}, the program ended within {times.max():.1f} s, median {np.median(times):.1f} s"
    )
    print("\n".join(soak.wrong) or "all ended as the undisturbed ones")
    return bool(soak.wrong)


if __name__ == "__main__":
    sys.exit(main())
