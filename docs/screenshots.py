"""The README's pictures: `uv run docs/screenshots.py [run of a comparison [run of a measurement]]`, the newest by default.

MLflow's table of comparisons, the curves of one by arm, and the report page of a measurement. Needs Chromium
(`apt-get install chromium`). Those of docs/examples.md: `uv run docs/screenshots.py page file:///.../report.html#overview NAME`,
with the address that a measurement prints.
"""

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs/figures"
WAIT = 120_000  # milliseconds
# as root in a container; and nothing that asks the network
FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"


@contextmanager
def browser_page(width: int = 1400, height: int = 900) -> Iterator[Page]:
    """A page in a fresh Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS.split())
        yield chromium.new_page(viewport={"width": width, "height": height})
        chromium.close()


@contextmanager
def mlflow_ui(place: Path | None = None) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`--mode ui` in a folder on a free port of this machine. Yields the process and the port once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, str(ROOT / "train.py"), "--mode", "ui", f"port={port}"]
    program = subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                if time.monotonic() > deadline or program.poll() is not None:
                    raise
                time.sleep(0.2)
        yield program, port
    finally:
        program.send_signal(signal.SIGINT)
        program.communicate(timeout=60)  # closes the pipe as well


def take(page: Page, address: str, shows: str, name: str) -> None:
    """A picture of the page at an address once it shows something, a CSS selector or text=..."""
    page.goto(address, timeout=WAIT)
    page.locator(shows).first.wait_for(state="attached", timeout=WAIT)
    close = page.get_by_role("button", name="Close", exact=True)
    if close.count():  # an assistant that opens by itself
        close.first.click()
    page.wait_for_timeout(3000)  # figures and curves come in one by one
    page.screenshot(path=FIGURES / f"{name}.png")


def newest(client: Any, phase: str, chosen: str) -> Any:
    """The finished run of a phase that is chosen, by the beginning of its id, or the newest."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    words = f"tags.phase = '{phase}' and attributes.status = 'FINISHED'"
    found = client.search_runs(experiments, words, order_by=["attributes.start_time DESC"])
    found = [run for run in found if run.info.run_id.startswith(chosen)]
    if not found:
        sys.exit(f"there is no such run: uv run train.py --mode {phase} makes one")
    return found[0]


def page_picture(address: str, name: str) -> None:
    """A small picture of a report page from an anchor on."""
    with browser_page(1000, 690) as page:
        take(page, address, "h2", name)
    path = FIGURES / f"{name}.png"
    Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)


def main() -> None:
    from lab import views
    from lab.store import open_store

    client = open_store()
    comparison, measurement = (
        newest(client, phase, dict(enumerate(sys.argv)).get(place, ""))
        for place, phase in enumerate(("curriculum", "measure"), 1)
    )
    experiment, run = comparison.info.experiment_id, comparison.info.run_id
    report = Path(client.download_artifacts(measurement.info.run_id, "report.html"))
    with mlflow_ui() as (_, port), browser_page(1300, 730) as page:
        address = f"http://127.0.0.1:{port}"
        take(page, f"{address}/{views.table_address(experiment)}", f"text={comparison.info.run_name}", "mlflow-table")
        take(
            page,
            f"{address}/{views.arms_address(experiment, run)}",
            ".js-plotly-plot .scatterlayer path",
            "mlflow-by-arm",
        )
    with browser_page(1000, 1400) as page:
        take(page, f"{report.as_uri()}#overview", "#overview-rows img", "report")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    page_picture(*sys.argv[2:]) if sys.argv[1:2] == ["page"] else main()
