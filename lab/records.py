"""The learning record that a score is read off: of a measurement in MLflow, or of a loop of one's own in a folder."""

from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import LearningRecord
from lab.browse import find
from lab.data import Split
from lab.errors import UserError
from lab.settings import PROGRAM, known_as
from lab.store import download, store_errors


def finished(client: Any, data: str) -> list[Any]:
    """The finished measurements of a data set, by what it is known as, the latest first."""
    names = dict.fromkeys((f"measure-{data}", "measure-folder"))  # older versions called all folders so
    experiments = [found for name in names if (found := client.get_experiment_by_name(name))]
    if not experiments:
        return []
    return client.search_runs(
        [experiment.experiment_id for experiment in experiments],
        "tags.phase = 'measure' and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=50,
    )


def record_of(
    measurement: str | None,
    folder: str | None,
    metric: str,
    train: Split,
    data: str,
    root: str,
    client: Any,
    noise: str = "",
) -> tuple[LearningRecord, str, list[str]]:
    """The learning record of the measurement asked for, or of the latest finished one of the same images; what it is; and notes
    on others whose files are gone or damaged.

    folder: in place of a measurement, that of a record, such as of a loop of one's own. data, root: of the train examples, as
    settings. noise: the settings that their wrong labels come from, as words.
    """
    if folder:
        return record_in(Path(folder).expanduser(), train, data), f"the record in {folder}", []
    elsewhere = "" if root == "data" else f" root={root}"
    command = f"{PROGRAM} --mode measure data={data}{elsewhere}{noise}"
    record, run, gone = matching_record(measurement, train, known_as(data, root), client, noise)
    if record is None:
        told = f" ({'; '.join(gone)})" if gone else ""
        raise UserError(f"metric={metric} needs a measurement of these examples; make one: {command}{told}")
    return record, f"measurement {run}", gone


def matching_record(
    measurement: str | None, train: Split, data: str, client: Any, noise: str = ""
) -> tuple[LearningRecord | None, str, list[str]]:
    """The record of the measurement asked for, or of the latest finished one of the same images, if there is one; its run; and notes on others whose files are gone or damaged. Raises UserError where the one asked for is not that."""
    with store_errors():
        if measurement:
            runs = [find(client, measurement, "measurement")]
            if runs[0].data.tags["phase"] != "measure":
                raise UserError(f"measurement={measurement}: that run is no measurement; --mode list shows which are")
        else:
            runs = finished(client, data)
    gone, others = [], []
    for run in runs:
        name = f"measurement={run.info.run_id}"
        try:
            record = LearningRecord(download(client, run, "record"))
            same = record.ids("train") == train.ids and np.array_equal(record.labels("train"), train.labels)
            if same and record.digest("train") in (None, train.digest):
                record.predictions("train"), record.probability("train")  # whose sizes are checked
                if not record.digest("train"):
                    gone.append(f"{name} does not tell which images it is of: it was made by an older version")
                return record, run.info.run_id, gone
            others.append(f"{name}: it measured other {'images under the same names' if same else 'examples'}")
        except (ValueError, UserError) as error:
            gone.append(f"{name} is passed over, its record cannot be read: {error}")
    if measurement:
        labels = f" with{noise}" if noise else ""
        raise UserError(f"{others[0]} than {data}{labels}" if others else gone[0].replace("is passed over, ", ""))
    return None, "", gone


def record_in(folder: Path, train: Split, data: str) -> LearningRecord:
    """The record in a folder. Raises UserError where it is of other examples."""
    record = LearningRecord(folder)
    try:
        ids, labels = record.ids("train"), record.labels("train")
        if not record.epochs:
            raise UserError(f"record={folder}: no epoch of it is finished yet")
    except (OSError, ValueError) as error:
        raise UserError(f"record={error}") from error
    named = are_named_as(ids, train)
    if not named or not np.array_equal(labels, train.labels):
        what = "labels" if named else "examples"
        raise UserError(f"record={folder}: it is of other {what} than the {len(train)} train examples of data={data}")
    return record


def are_named_as(ids: list[str], split: Split) -> bool:
    """Whether a record's ids are those of a split, or count its examples, as those of a loop do that gave none."""
    return ids in (split.ids, [str(i) for i in range(len(split))])
