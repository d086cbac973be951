"""The README's picture of MLflow's UI: `uv run docs/screenshots.py [run id of a comparison]`.

Opens the charts of the comparison, or of the newest in the store, as a user would, and groups them by arm. Needs
Chromium (`apt-get install chromium`).
"""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

FIGURES = Path(__file__).parent / "figures"
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
def mlflow_ui(store: str) -> Iterator[str]:
    """MLflow's UI on a free port of this machine. Yields its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "mlflow", "ui", "--backend-store-uri", store, "--port", str(port), "--workers", "1"]
    server = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                if time.monotonic() > deadline or server.poll() is not None:
                    raise
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def charts_by_arm(page: Page, address: str, experiment: str, run: str, search: str) -> None:
    """Open the charts of a comparison's trainings, grouped by arm, narrowed to the metrics that `search` finds."""
    words = quote(f"tags.mlflow.parentRunId = '{run}'")
    page.goto(f"{address}/#/experiments/{experiment}/runs?searchFilter={words}", timeout=120_000)
    group = page.get_by_role("button", name="Group by")
    group.wait_for(timeout=120_000)
    close = page.get_by_role("button", name="Close")
    if close.count():  # an assistant that opens by itself
        close.first.click()
    page.get_by_text("Model training", exact=True).click()
    group.click()
    page.get_by_role("menuitemcheckbox", name="arm", exact=True).first.click()
    page.keyboard.press("Escape")
    page.locator("label:has(input[name=runs-view-mode][value=CHART])").click()
    page.get_by_placeholder("Search metric charts").fill(search)
    page.locator(".js-plotly-plot .scatterlayer path").first.wait_for(state="attached", timeout=120_000)
    for name in ("random", "anti", "curriculum", "shuffled"):  # close the groups, so that the four arms are seen
        box = page.get_by_text(f"Group: {name}").first.bounding_box()
        page.mouse.click(box["x"] - 36, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)
    page.mouse.move(800, 30)  # off the list: what is pointed at there dims the rest
    page.wait_for_timeout(3000)  # the curves come in one by one


def main() -> None:
    from mlflow import MlflowClient

    from reports import tracking

    client = MlflowClient(tracking.tracking_uri())
    experiments = [each.experiment_id for each in client.search_experiments()]
    words = "tags.phase = 'curriculum' and attributes.status = 'FINISHED'"
    if len(sys.argv) > 1:
        words += f" and attributes.run_id = '{sys.argv[1]}'"
    found = client.search_runs(experiments, words, max_results=1)
    if not found:
        sys.exit("there is no such comparison: uv run train.py --mode curriculum --metric entropy")
    run = found[0]
    with mlflow_ui(tracking.tracking_uri()) as address, browser_page(1300, 730) as page:
        charts_by_arm(page, address, run.info.experiment_id, run.info.run_id, "validation/")
        page.screenshot(path=FIGURES / "mlflow-by-arm.png")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
