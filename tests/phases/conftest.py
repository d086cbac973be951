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
def measured(digits, empty_database, once) -> tuple[Path, str]:
    """One undisturbed measurement by the program itself: its folder and what it printed."""

    def fill(folder: Path) -> None:
        place = folder / "place"
        (place / "mlruns").mkdir(parents=True)
        shutil.copy(empty_database, place / "mlruns")
        process = program(place, words(digits))
        output, error = process.communicate(timeout=400)
        assert (process.returncode, error) == (0, ""), error
        (folder / "printed").write_text(output)

    folder = once("measured", fill)
    return folder / "place", (folder / "printed").read_text()


@pytest.fixture(scope="session")
def store(measured) -> Store:
    return Store(measured[0])
