"""Work in progress: a folder that the same command finds again, so that it resumes what was interrupted."""

import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab import tracking
from lab.data import Data
from lab.errors import Diverged, UserError
from lab.settings import Settings, with_effect
from lab.store import STORE

TERMS = 4  # raise it when a change to the code changes what a training with the same settings gives


@contextmanager
def unfinished(mode: str, config: Settings, data: Data, terms: Sequence[str] = ()) -> Iterator[Path]:
    """The folder of this work, the same for the same settings, examples and terms; the caller discards it when all is done.

    Raises UserError where another process works there. After Diverged inside, the folder is removed: the
    work would fail again in the same way, and what there is of it is in MLflow.
    """
    with work_folder(mode, config.data, [with_effect(config), data.digest, TERMS, *terms, *digests_of(config)]) as work:
        try:
            yield work
        except Diverged:
            discard(work)
            raise


def digests_of(settings: Any) -> list[str]:
    """A digest of each file whose content changes what is found: weights, and modules of one's own."""
    paths = [Path(name).expanduser() for name in (settings.weights or "", *settings.imports)]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()]


@contextmanager
def work_folder(mode: str, data: str, what: Any) -> Iterator[Path]:
    """A folder for work that `what` (for JSON) determines, held for this process."""
    data = re.sub(r"[^\w.-]", "-", data)  # of hf:owner/name
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    # the whole path: workers on other machines have other current folders
    work = STORE.absolute() / "unfinished" / f"{mode}-{data}-{key}"
    work.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work.with_name(f"{work.name}.lock"), timeout=0):
            for done in work.parent.glob("*.done"):  # killed while it was removed
                shutil.rmtree(done, ignore_errors=True)
            work.mkdir(exist_ok=True)
            yield work
    except Timeout as error:
        raise UserError(f"the same {mode} is already running ({work}); wait for it, or change a setting") from error


def discard(work: Path) -> None:
    """Remove a folder of work: at one stroke, so that what is left of it after a kill is not taken for work to resume."""
    done = work.with_name(f"{work.name}.{uuid.uuid4().hex[:8]}.done")
    work.rename(done)
    shutil.rmtree(done, ignore_errors=True)  # another process that starts may be removing it as well


def keep_training(folder: Path, kept: Path, run: str) -> None:
    """Copy the result of a training, if it is done, to where other comparisons look for it. run: its id in MLflow."""
    if kept.is_dir() or not (folder / tracking.RESULT_FILES[-1]).is_file():
        return
    draft = kept.with_name(f"{kept.name}.{run}.tmp")
    draft.mkdir(parents=True, exist_ok=True)
    for name in tracking.RESULT_FILES:
        shutil.copy(folder / name, draft)
    (draft / tracking.REUSED_FROM).write_text(run)
    try:
        draft.rename(kept)
    except OSError:  # another comparison was quicker
        shutil.rmtree(draft)


def take_training(kept: Path, folder: Path) -> str:
    """Make a kept result that of a training which has not begun. Returns the id of the run it is from, or nothing."""
    if kept.is_dir() and not folder.is_dir():
        draft = folder.with_suffix(".tmp")
        shutil.copytree(kept, draft, dirs_exist_ok=True)
        draft.rename(folder)
    origin = folder / tracking.REUSED_FROM
    return origin.read_text() if origin.is_file() else ""
