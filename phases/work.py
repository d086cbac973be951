"""Work in progress: a folder that the same command finds again, so that it resumes what was interrupted."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from agreement.record import replace_text
from conf import settings_of
from reports import tracking
from training.examples import Data
from training.loop import TrainingError

# settings that change where or how fast a phase runs, not what it finds
WITHOUT_EFFECT = {"workers", "engine", "scheduler", "cache", "name", "resamples"}


@contextmanager
def unfinished(mode: str, config: Any, data: Data) -> Iterator[Path]:
    """The folder of this work, the same for the same settings and examples; the caller removes it when all is done.

    Raises TrainingError where another process works there. After a TrainingError inside, the folder is removed: the
    work would fail again in the same way, and what there is of it is in MLflow.
    """
    settings = {key: value for key, value in settings_of(config, mode).items() if key not in WITHOUT_EFFECT}
    key = hashlib.sha256(json.dumps([settings, data.digest], sort_keys=True).encode()).hexdigest()[:16]
    # the whole path: workers on other machines have other current folders
    work = tracking.STORE.absolute() / "unfinished" / f"{mode}-{config.data}-{key}"
    work.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{work}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise TrainingError(f"the same {mode} is already running ({work}); wait for it, or change a setting") from error
    try:
        work.mkdir(exist_ok=True)
        yield work
    except TrainingError:
        shutil.rmtree(work)
        raise
    finally:
        lock.release()


def resumed_runs(client: Any, work: Path) -> list[str] | None:
    """The MLflow runs of an interrupted attempt, marked as running again; None where there are none to go on with."""
    noted = work / "runs.json"
    if not noted.is_file():
        return None
    runs = json.loads(noted.read_text())
    try:
        with tracking.store_errors():
            for run in runs:
                client.set_terminated(run, "RUNNING")
    except tracking.StoreError:  # another store, or a deleted run: begin again, keeping what was trained
        return None
    return runs


def note_runs(work: Path, runs: list[str]) -> list[str]:
    replace_text(work / "runs.json", json.dumps(runs))
    return runs
