"""What tests of whole phases share."""

import shutil
from pathlib import Path

import pytest
from measurement import Store, program, words

from training.parallel import warm_up


@pytest.fixture(scope="session", autouse=True)
def warm() -> None:
    """What tests fork has imported everything; the program itself warms up less."""
    warm_up("phases.measure", "phases.draw", "curricula.arm", "training.loop")


@pytest.fixture
def without_figures(monkeypatch):
    """Drawing takes most of a tiny run's time."""
    written = ("phases.measure.write_page", "phases.outcome.write_page", "reports.figures.save")
    for name in ("phases.draw.draw_measurement", *written):
        monkeypatch.setattr(name, lambda *arguments: None)


@pytest.fixture(scope="session")
def measured(digits, empty_database, tmp_path_factory) -> tuple[Path, str]:
    """One undisturbed measurement by the program itself: its folder and what it printed."""
    place = tmp_path_factory.mktemp("measured")
    (place / "mlruns").mkdir()
    shutil.copy(empty_database, place / "mlruns")
    process = program(place, words(digits))
    output, error = process.communicate(timeout=400)
    assert (process.returncode, error) == (0, ""), error
    return place, output


@pytest.fixture(scope="session")
def store(measured) -> Store:
    return Store(measured[0])
