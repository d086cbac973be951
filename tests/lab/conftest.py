"""What tests of the lab share: whole runs of the program, a record begun on digits, a real browser."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from measurement import Store, program, words
from playwright.sync_api import sync_playwright

from agreement.recorder import begin_record
from docs.screenshots import FLAGS
from lab.data import Images


@pytest.fixture
def without_figures(monkeypatch):
    """Drawing takes most of a tiny run's time."""
    for name in ("report.draw_curves", "measure.draw_examples", "report.write_page", "report.plots.save"):
        monkeypatch.setattr(f"lab.{name}", lambda *arguments: None)


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


@pytest.fixture
def begun(tmp_path, few_digits) -> Callable[..., Path]:
    """Begins a record of the digits in a new folder, with the images shared beside it. Returns the record's folder."""

    def begin(name: str = "work", networks: tuple[str, ...] = ("lenet5",), digits=few_digits) -> Path:
        folder = tmp_path / name / "record"
        labels = {split: part[1] for split, part in digits.items()}
        ids = {split: [str(i) for i in range(len(part[1]))] for split, part in digits.items()}
        begin_record(folder, networks, list("0123456789"), labels, ids)
        for split, (images, _) in digits.items():
            Images.of(images).save(folder.parent / split)
        return folder

    return begin


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield opened
        opened.close()
