"""What the store holds, at the terminal: the runs with their headlines, one run again, and its results as files."""

import filecmp
import json
import shutil
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from rich import box
from rich.markup import escape
from rich.table import Table

from lab.errors import UserError, printable
from lab.help import BROWSING
from lab.settings import PROGRAM, nearest
from lab.store import begun_at, open_store, store_errors
from lab.ui import ui

PHASES = ("measure", "sweep", "curriculum", "scores")
NO_RUNS = "the store holds no runs of this program"
EXPORTED = ("scores.parquet", "scores.csv", "correlations.csv", "correlations-test.csv", "curves.csv", "comparison.csv", "classes.csv", "order-agreement.csv", "score-table.csv", "runs.csv", "report.html", "summary.txt", "verdict.txt", "figures", "record")  # fmt: skip


def browse(mode: str, words: list[str], console: Any, as_json: bool, opened: bool = False) -> None:
    """Run one of the modes in BROWSING with its key=value words. Raises UserError in one line.

    opened: whether to open the page of the run that is shown, or was made, in the browser.
    """
    given = dict(word.partition("=")[::2] for word in words)
    for key in given:
        if key not in BROWSING[mode]:
            known = ", ".join(BROWSING[mode]) or "it takes none"
            raise UserError(f"--mode {mode}: there is no setting '{key}' ({known})")
    if mode == "ui":
        return ui(given.get("port", "5000"), console)
    if mode == "compare-runs":
        from lab.compare_runs import compare_runs  # here: the comparison takes long to import

        return compare_runs(given, console, as_json)
    if mode == "report":
        from lab.own_record import report

        made = report(given, console)
        if as_json:
            print(json.dumps(described(open_store().get_run(made))))
        return show_page(made, console, opened)
    client = open_store(make=False)
    if mode == "list":
        return show_list(client, console, as_json)
    run = find(client, given.get("run", ""))
    if mode == "show":
        show(client, run, console, as_json)
        return show_page(run.info.run_id, console, opened)
    to = Path(given.get("to", f"export-{run.info.run_id[:8]}")).expanduser()
    number, shared = given.get("suspects", "0"), given.get("public", "false")
    if shared not in ("true", "false"):
        raise UserError(f"public={shared}: expected true or false")
    if not number.isdecimal():
        raise UserError(
            f"suspects={number}: expected how many of the most suspect labels to list, such as suspects=200"
        )
    if (int(number) or shared == "true") and run.data.tags["phase"] != "measure":
        word = f"suspects={number}" if int(number) else f"public={shared}"
        raise UserError(f"{word}: run {run.info.run_id[:8]} is no measurement; give run= one of --mode list")
    if shared == "true":
        return export_public(client, run, to, console)
    export(client, run, to, console)
    if int(number):
        from lab.report.about import About
        from lab.report.suspects import write_suspects  # here: nothing else in this file draws pages

        about = About(f"Labels to look at: {run.info.run_name}", {}, run.info.run_id, begun_at(run))
        listed, shown = write_suspects(to, int(number), about)
        console.print(
            f"{listed} labels to look at are in {to / 'suspects.csv'}; {to / 'suspects.html'} shows "
            f"{'them' if shown == listed else f'the first {shown}'}",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip


def runs(client: Any) -> list[Any]:
    """Measurements, sweeps and comparisons, the newest first; none where there is no store yet."""
    if client is None:
        return []
    with store_errors():
        experiments = [each.experiment_id for each in client.search_experiments()]
        found = []
        for phase in PHASES:
            found += client.search_runs(experiments, f"tags.phase = '{phase}'", max_results=1000)
    return sorted(found, key=lambda run: -run.info.start_time)


def described(run: Any) -> dict[str, Any]:
    """A run as scripts want it: what it is, and its numbers."""
    tags = {key: value for key, value in run.data.tags.items() if not key.startswith("mlflow.")}
    return {
        "run": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "started": begun_at(run, "seconds"),
        "headline": tags.pop("headline", ""),
        **tags,
        "metrics": dict(sorted(run.data.metrics.items())),
    }


def show_list(client: Any, console: Any, as_json: bool) -> None:
    found = runs(client)
    if as_json:
        print(json.dumps([described(run) for run in found]))
        return
    if not found:
        console.print(f"{NO_RUNS.capitalize()}. A first one: {PROGRAM} --mode measure", highlight=False, soft_wrap=True)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in ("run", "what", "status", "of, and headline"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("run", "status"))
    for run in found:
        tags = run.data.tags
        of = f"{tags['data']}: {run.info.run_name}"
        cells = (run.info.run_id[:8], tags["phase"], run.info.status.lower())
        about = "\n".join(escape(printable(each)) for each in (of, tags.get("headline", "")) if each)
        table.add_row(*(escape(printable(cell)) for cell in cells), about)
    console.print(table)
    console.print(f"One of them in full: {PROGRAM} --mode show run=<run>", highlight=False)


def find(client: Any, beginning: str, setting: str = "run") -> Any:
    """The run whose id begins so; for nothing the newest that has finished. setting: what named it, for the message."""
    known = runs(client)
    found = [r for r in known if (r.info.run_id.startswith(beginning) if beginning else r.info.status == "FINISHED")]
    if not found or (beginning and len(found) > 1):
        why = "several runs begin so" if found else "there is no such run" if beginning else "none has finished yet"
        ids = [run.info.run_id for run in known]
        raise UserError(f"{setting}={beginning}: {why}" + (nearest(beginning, ids) if ids else f"; {NO_RUNS}"))
    return found[0]


def show(client: Any, run: Any, console: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps(described(run)))
        return
    with store_errors():
        names = [file.path for file in client.list_artifacts(run.info.run_id)]
        if "summary.txt" not in names:
            raise without(run, "a summary")
        print(printable(Path(client.download_artifacts(run.info.run_id, "summary.txt")).read_text("utf-8")), end="")


def export_public(client: Any, run: Any, to: Path, console: Any) -> None:
    """Write scores-public.parquet, and nothing else of the run, into a folder."""
    import pandas as pd  # here, as below

    from agreement.record import LearningRecord
    from lab.public import write_public_scores

    target = to / "scores-public.parquet"
    if target.exists():
        raise UserError(f"to={to}: {target} is there; give another folder, or move it away")
    with store_errors():
        folder, table = (
            Path(client.download_artifacts(run.info.run_id, name)) for name in ("record", "scores.parquet")
        )
    to.mkdir(parents=True, exist_ok=True)
    made = write_public_scores(target, LearningRecord(folder), pd.read_parquet(table))
    console.print(f"{', '.join(made['columns'])} of every example are in {target}", highlight=False, markup=False)


def show_page(run: str, console: Any, opened: bool) -> None:
    """Say where the report page of a run lies, if on this machine, and open it in the browser where that is wanted."""
    client = open_store()
    with store_errors():
        uri = client.get_run(run).info.artifact_uri
    page = Path(url2pathname(urlparse(uri).path), "report.html")
    if not uri.startswith(("file:", "/")) or not page.is_file():
        if opened:
            raise UserError(
                f"--open: run {run[:8]} has no report page on this machine; {PROGRAM} --mode ui shows the run"
            )
        return
    console.print(
        f"The report page: {page.as_uri()}",
        style=f"link {page.as_uri()}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    if opened and not webbrowser.open(page.as_uri()):
        raise UserError(f"--open: there is no browser to open {page} with")


def without(run: Any, what: str) -> UserError:
    """What to say of a run that lacks something: one that has finished lacks it only where the store was moved."""
    moved = (
        f"; its files should lie in {run.info.artifact_uri}: was the store moved?"
        if run.info.status == "FINISHED"
        else ""
    )
    return UserError(f"run={run.info.run_id[:8]}: it is {run.info.status.lower()}, without {what}{moved}")


def export(client: Any, run: Any, to: Path, console: Any) -> None:
    """Copy the tables, the report, the summary and the figures of a run into a folder, in place of no other file there."""
    with store_errors():
        names = [file.path for file in client.list_artifacts(run.info.run_id) if file.path in EXPORTED]
        sources = [Path(client.download_artifacts(run.info.run_id, name)) for name in names]
    if not names:
        raise without(run, "tables to export")
    files = {to / file.relative_to(source.parent): file for source in sources for file in (source, *source.rglob("*"))}
    files = {target: file for target, file in files.items() if file.is_file()}
    for target, file in files.items():
        if target.exists() and not (target.is_file() and filecmp.cmp(target, file, shallow=False)):
            raise UserError(f"to={to}: {target} is there and is another file; give another folder, or move it away")
    for target, file in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    console.print(f"{', '.join(names)} of run {run.info.run_id[:8]} are in {to}", highlight=False, markup=False)
