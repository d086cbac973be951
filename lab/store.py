"""The MLflow store: `mlruns/mlflow.db` (SQLite) with artifacts beside it, unless MLFLOW_TRACKING_URI names another."""

import logging
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from lab.errors import UserError
from lab.processes import environment

STORE = Path("mlruns")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # beginnings of addresses
ADVICE = {  # by what an error says
    "locked": "another program holds the database; wait for it or stop it, then give the same command again",
    "No space left|disk is full": "make space, then give the same command again",
    "disk I/O error": "make space, or see to the disk, then give the same command again",  # of a full disk as well
    "": "check that it can be reached and written to, or set MLFLOW_TRACKING_URI to another store",
}

# before MLflow is imported: no telemetry and no chatter unless the user asks for it
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")  # a server is asked for half a minute, not for four


def tracking_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STORE}/mlflow.db"


def open_store(make: bool = True) -> Any:
    """An MlflowClient on the store. Raises UserError where it cannot be read or written.

    make: whether to make a store that is missing; else there is none, and nothing is changed.
    """
    from mlflow import MlflowClient
    from sqlalchemy import make_url

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(os.environ["MLFLOW_LOGGING_LEVEL"].upper())
    uri = os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(STORE / "mlflow.db")
    with store_errors(), little_patience():
        if uri.startswith("sqlite:"):
            path = Path(make_url(uri).database or "")
            if path.is_dir():
                raise UserError(
                    f"MLflow store {path}: it is a folder; move it away, or set MLFLOW_TRACKING_URI to another store"
                )
            if not make and not path.is_file():
                return None
            make_database(path)
        if uri.startswith(DATABASES):
            check_version(uri)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    return client


def sqlite_uri(path: Path) -> str:
    """The address of a database in a file."""
    from sqlalchemy import URL, make_url

    # the whole path: MLflow keeps a connection per address as long as a process lives, whatever the current folder
    whole = f"sqlite:///{path.absolute()}"
    # but where it holds %2F or ?, MLflow would make a folder with the quoted name
    return whole if make_url(whole).database == str(path.absolute()) else str(URL.create("sqlite", database=str(path)))


def check_version(uri: str) -> None:
    """Raise UserError where another MLflow made the tables of a database. MLflow itself would migrate those of an older one
    unasked, which locks out all who use it with the older one.
    """
    import mlflow
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import NullPool, create_engine

    with create_engine(uri, poolclass=NullPool).connect() as connection:
        version = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    known = [revision.revision for revision in script.walk_revisions()]  # the newest first
    if version in (None, known[0]):
        return
    if version in known:
        advice = (
            f"to bring it up to date, take a backup, then run `mlflow db upgrade {shlex.quote(uri)}`, after which the "
        )
        advice += "older MLflow cannot open it; or set MLFLOW_TRACKING_URI to another store"
    else:
        advice = "install that MLflow, or set MLFLOW_TRACKING_URI to another store"
    age = "an older" if version in known else "a newer"
    raise UserError(
        f"MLflow store {tracking_uri()}: {age} MLflow than {mlflow.__version__} made it (version {version}); {advice}"
    )


def make_database(path: Path) -> None:
    """MLflow's tables in a new file, where there is none; whole or not at all, and by one process at a time.

    MLflow makes them in dozens of steps: two processes would disturb each other, and a killed one would leave a
    database that MLflow can neither use nor repair.
    """
    if path.exists():
        return
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        for left in (draft, draft.with_name(f"{draft.name}-journal")):
            left.unlink(missing_ok=True)
        SqlAlchemyStore(sqlite_uri(draft), DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
        draft.replace(path)


def little_patience() -> AbstractContextManager[None]:
    """Within, a server that does not answer is known after seconds."""
    most = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": 1, "MLFLOW_HTTP_REQUEST_TIMEOUT": 10}
    return environment(**{name: str(min(int(os.environ.get(name, value)), value)) for name, value in most.items()})


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what MLflow and its database raise into a UserError of one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        root: BaseException = error  # becomes what the database or the network said, beneath what was made of it
        while below := root.__cause__ or root.__context__:
            if below is not root.__cause__ and not isinstance(below, OSError | HTTPError):
                break
            root = below
        text = str(root).strip() or type(error).__name__
        advice = next(advice for pattern, advice in ADVICE.items() if re.search(pattern, text))
        raise UserError(f"MLflow store {tracking_uri()}: {text.splitlines()[0]} ({advice})") from error


def begun_at(run: Any, to: str = "minutes") -> str:
    """When a run began, in local time."""
    return datetime.fromtimestamp(run.info.start_time / 1000).isoformat("T" if to == "seconds" else " ", to)


def experiment_id(client: Any, name: str) -> str:
    """The experiment of that name, made when missing, with its artifacts below the local store."""
    from mlflow.exceptions import MlflowException

    here = None if os.environ.get("MLFLOW_TRACKING_URI") else (STORE.absolute() / "artifacts" / name).as_uri()
    with store_errors():
        found = client.get_experiment_by_name(name)
        if found is None:
            tags = {"mlflow.experimentKind": "custom_model_development"}  # the UI shows runs first, not traces
            try:
                return client.create_experiment(name, artifact_location=here, tags=tags)
            except MlflowException:
                found = client.get_experiment_by_name(name)  # another process may have been quicker
                if found is None:
                    raise
    if found.lifecycle_stage == "deleted":
        command = f"mlflow experiments restore --experiment-id {found.experiment_id}"
        store = f"MLFLOW_TRACKING_URI={tracking_uri()}"
        raise UserError(f"the experiment {name} was deleted; `{store} {command}` brings it back")
    if here and found.artifact_location.startswith("file:") and found.artifact_location != here:
        elsewhere = f"its files are looked for there ({found.artifact_location})"
        raise UserError(f"this store was made elsewhere and {elsewhere}: move the folder back, or work in another one")
    return found.experiment_id


def download(client: Any, run: Any, name: str) -> Path:
    """A file or folder that a run has. Raises UserError where it is not to be had."""
    from mlflow.exceptions import MlflowException

    try:
        return Path(client.download_artifacts(run.info.run_id, name))
    except (MlflowException, OSError) as error:
        raise UserError(f"there is no {name} in {run.info.artifact_uri}, or it cannot be reached") from error
