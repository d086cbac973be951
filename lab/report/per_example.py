"""One row per example: what is known of its image, and how networks learned it. The table that leaves the program."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

import agreement
from agreement.record import LearningRecord
from lab.report.page_examples import confidence_and_variability

COLUMNS = {  # as docs/columns.md explains them; statistics and annotations stand between `label` and `learned_epoch`
    "id": "name of the example: its index in the original order, or its path below the split's folder",
    "split": "train or test",
    "label": "its class, or its classes joined by commas",
    "learned_epoch": "first epoch from which all networks have it right to the end; empty: never",
    "learned_epoch_1": "the same of network 1 alone; and so on for every network",
    "never_learned": "whether some network has it wrong after the last epoch",
    "agreement": "fraction of the epochs in which all networks have it right",
    "correctness": "fraction of networks and epochs in which it is right",
    "confidence": "mean probability of the true class over networks and epochs (Swayamdipta et al. 2020)",
    "variability": "standard deviation over epochs of that probability, mean over networks (Swayamdipta et al. 2020)",
    "forgetting": "how often a network went from right to wrong, mean over networks (Toneva et al. 2019)",
}


def examples_table(record: LearningRecord, statistics: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """All examples of a record, train first, with the columns of COLUMNS. statistics: split to one row per example."""
    return pd.concat([of_split(record, split, table) for split, table in statistics.items()], ignore_index=True)


def of_split(record: LearningRecord, split: str, statistics: pd.DataFrame) -> pd.DataFrame:
    correct = record.correct(split)
    learned, alone = agreement.learned_epoch(correct), agreement.learned_epoch(correct, per_network=True)
    confidence, variability = confidence_and_variability(record.probability(split))
    columns = {
        "id": record.ids(split),
        "split": split,
        "label": [record.in_words(label) for label in record.labels(split)],
    }
    columns |= {name: column.to_numpy() for name, column in statistics.items()}
    columns |= {"learned_epoch": whole(learned)}
    columns |= {f"learned_epoch_{k + 1}": whole(epochs) for k, epochs in enumerate(alone)}
    return pd.DataFrame(
        columns
        | {
            "never_learned": np.isinf(learned),
            "agreement": agreement.agreed(correct).mean(axis=0),
            "correctness": agreement.mean_correctness(correct),
            "confidence": confidence,
            "variability": variability,
            "forgetting": agreement.forgetting_events(correct).mean(axis=0),
        }
    )


def whole(epochs: np.ndarray) -> pd.arrays.IntegerArray:
    """Learned epochs (N,) as whole numbers, missing where they are infinite."""
    return pd.array(np.where(np.isinf(epochs), np.nan, epochs), dtype="Int32")
