"""What tests of several packages share: real digits, and configurations composed as the program composes them."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import Phase, settings
from PIL import Image

from lab.data.digits import mnist as read_mnist
from lab.store import open_store

# shared machines stall now and then; how long an example takes is no property of the code
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# for a mutation run: that a test fails is enough, its smallest example takes too long to look for
settings.register_profile("mutation", phases=[Phase.explicit, Phase.generate], database=None, deadline=None)
os.environ.pop("MLFLOW_TRACKING_URI", None)  # the tests have a store of their own each


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many slow tests come first, so that none is left for one process when the others have nothing more to do."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def once(tmp_path_factory, worker_id) -> Callable[[str, Callable[[Path], None]], Path]:
    """Fills a folder of that name in the first process that asks for it, for all processes of this run of the tests."""
    root = tmp_path_factory.getbasetemp()
    root = root if worker_id == "master" else root.parent

    def made(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = root / name, root / f"{name}.done"
        with FileLock(root / f"{name}.lock"):
            if not done.exists():
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def mnist() -> tuple[np.ndarray, np.ndarray]:
    """5,000 MNIST digits, 500 of each: uint8 (5000, 28, 28), int64 (5000,)."""
    return read_mnist()


@pytest.fixture(scope="session")
def few_digits(mnist) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Digits padded to 32×32 as networks take them, 300 to train and 100 to test: uint8 (N, 32, 32, 1), int64 (N,)."""
    images, labels = mnist
    order = np.random.default_rng(1).permutation(len(labels))
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]
    return {
        "train": (padded[order[:300]], labels[order[:300]]),
        "test": (padded[order[300:400]], labels[order[300:400]]),
    }


@pytest.fixture(scope="session")
def digits(mnist, once) -> Path:
    """A folder of 150 digits to train and 50 to test, PNG files of 32×32 pixels."""

    def fill(root: Path) -> None:
        images, labels = mnist
        order = np.random.default_rng(3).permutation(len(labels))[:200]
        for part, chosen in (("train", order[:150]), ("test", order[150:])):
            for i in chosen:
                folder = root / part / str(labels[i])
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.pad(images[i], 2)).save(folder / f"{i:04d}.png")

    return once("digits", fill)


@pytest.fixture(scope="session")
def empty_database(once) -> Path:
    """A database with MLflow's tables in it, made by `open_store` where there was none; to be copied, as it takes seconds."""

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lab.store.STORE", folder / "not" / "yet" / "there")
            open_store()

    return once("empty-database", fill) / "not" / "yet" / "there" / "mlflow.db"


@pytest.fixture
def place(tmp_path, empty_database, monkeypatch) -> Path:
    """The current folder of the test, with an empty store in it."""
    folder = tmp_path / "current"
    (folder / "mlruns").mkdir(parents=True)
    shutil.copy(empty_database, folder / "mlruns")
    monkeypatch.chdir(folder)
    return folder
