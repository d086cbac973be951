"""The labels to look at, as files: a table to correct, and a page that shows them and saves the corrections."""

import json
from pathlib import Path

import pandas as pd

from lab.errors import UserError
from lab.report.about import About
from lab.report.page import render

COLUMNS = ["id", "label", "suspect", "predicted", "predicted_share", "confidence", "learning_time"]


def write_suspects(folder: Path, number: int, about: About) -> tuple[int, int]:
    """Write suspects.csv and suspects.html beside the scores.parquet and report.html of a measurement.

    The first has the columns that `labels=` reads; one that was corrected is not overwritten (UserError). Returns how many labels are in the table and how many images on the page, which
    holds as many as the report does.
    """
    table = pd.read_parquet(folder / "scores.parquet", filters=[("split", "==", "train")]).sort_values("suspect")
    chosen = table.head(number).reindex(columns=COLUMNS)  # older measurements lack what was predicted
    listed, text = folder / "suspects.csv", chosen.to_csv(index=False)
    if listed.exists() and listed.read_text("utf-8") != text:  # corrected by hand
        raise UserError(f"{listed} is there and is another table; give another folder, or move it away")
    listed.write_text(text, "utf-8")
    report = (folder / "report.html").read_text("utf-8")
    data = json.loads(report.split('<script type="application/json" id="data">')[1].split("</script>")[0])
    examples = data["examples"]
    shown = examples["suspects"][:number]
    columns = {name: [column[i] for i in shown] for name, column in examples["columns"].items()}
    examples |= {"sample": 0, "mistakes": {}, "suspects": list(range(len(shown))), "columns": columns}
    data |= {"plots": {}, "points": {}, "overview": [], "examples": examples}
    (folder / "suspects.html").write_text(render("suspects.html", about, data=data, found_wrong=""), encoding="utf-8")
    return len(chosen), len(shown)
