"""The scores of a data set as one file for others: a row per example, and in its metadata what each score is and is worth."""

import json
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from agreement.record import LearningRecord
from curricula.choice import reliability_interval
from curricula.scores import SCORES
from lab.data import ANNOTATIONS
from metrics import EXAMPLE_STATISTICS, STATISTICS
from metrics.versions import version_of

KEY = "learnorder"  # of the metadata
OTHER_MEANING = "agreement"  # of SCORES, a rank, where tables of this program have a fraction of epochs
COMPRESSION: dict[str, Any] = {"compression": "zstd", "compression_level": 19}


def write_public_scores(to: Path, record: LearningRecord, examples: pd.DataFrame) -> dict[str, Any]:
    """Write a parquet file of id, split, label, the statistics in `examples`, and the scores of the record. Returns the metadata.

    examples: of `agreement.examples_table`. Annotations, which others published, are left out. Numbers are float32.
    What each column is stands as JSON under KEY in the file's metadata: `kind`; which end is `easy`, "low", "high" or null
    where that is not known; of a statistic the `version` of its definition; of a score the `epochs` it reads, its `paper`,
    and its `reliability` over networks with the `interval`, see `curricula.choice.reliability_interval`, null where it cannot be told.
    """
    statistics = examples.columns[3 : examples.columns.get_loc("learning_time")].drop(ANNOTATIONS, errors="ignore")
    columns: dict[str, Any] = {name: examples[name] for name in ("id", "split", "label")}
    columns |= {name: examples[name].to_numpy(np.float32) for name in statistics}
    about = {name: about_statistic(name) for name in statistics}
    for name, score in SCORES.items():
        if name == OTHER_MEANING:
            continue
        try:
            values = [score.read(record, split=split) for split in examples["split"].unique()]
        except ValueError:  # the record, of an earlier version, has not the numbers for it
            continue
        found = reliability_interval(partial(score.read, record), len(record.networks))
        whole, *ends = [None if np.isnan(number) else round(number, 4) for number in found]
        columns[name] = np.concatenate(values).astype(np.float32)
        about[name] = {
            "kind": "score of networks",
            "easy": "high" if score.descending else "low",
            "epochs": score.trained(record.epochs),
            "reliability": whole,
            "interval": None if None in ends else ends,
            "paper": score.paper,
        }
    made = {
        "program": f"learnorder {version('learnorder')}",
        "networks": record.networks,
        "epochs": record.epochs,
        "images": {split: record.digest(split) for split in record.splits},  # digests, null of a loop that gave none
        "columns": about,
    }
    table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(made)}), to, **COMPRESSION)
    return made


def about_statistic(name: str) -> dict[str, Any]:
    base = name.partition(":")[0]
    if base in EXAMPLE_STATISTICS:
        return {"kind": "statistic of examples", "easy": "low", "version": version_of(EXAMPLE_STATISTICS[base])}
    return {"kind": "statistic of images", "easy": None, "version": version_of(STATISTICS[base]) if base in STATISTICS else None}  # fmt: skip
