"""A learning record as others take it: a table by epoch, and labels with probabilities for cleanlab."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agreement.measures import (
    chance_agreement,
    excess_agreement,
    lower_bound,
    mean_accuracy,
    true_positive_agreement,
)
from agreement.record import LearningRecord

if TYPE_CHECKING:
    import pandas as pd


def summary(record: LearningRecord | Path | str, split: str = "train") -> "pd.DataFrame":
    """How far the networks of a record agree, a row per epoch: fractions named as in `agreement.Findings.curves`.

    record: a `LearningRecord` or its folder. Where an epoch lacked examples, `known` is the share that networks were shown;
    of the others their last prediction counts. Raises ValueError where there is no record or no finished epoch.
    """
    import pandas as pd  # here: see `agreement`

    record = finished(record)
    correct = record.correct(split)
    columns = {
        "accuracy": mean_accuracy(correct),
        "agreement": true_positive_agreement(correct),
        "chance_agreement": chance_agreement(correct),
        "excess_agreement": excess_agreement(correct),
        "lower_bound": lower_bound(correct),
    }
    if not record.is_complete(split):
        columns["known"] = record.known(split).mean(axis=(0, 2))
    return pd.DataFrame(columns, index=pd.RangeIndex(1, record.epochs + 1, name="epoch"))


def to_cleanlab(record: LearningRecord | Path | str, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Labels, int64 (N,), and probabilities of the classes, float64 (N, C), as cleanlab takes them.

        labels, pred_probs = agreement.to_cleanlab("record")
        cleanlab.filter.find_label_issues(labels, pred_probs)
        cleanlab.Datalab({"label": labels}, label_name="label").find_issues(pred_probs=pred_probs)

    The mean over networks and epochs; of epochs that had the example. A record does not keep all probabilities. It has that
    of the label, to 1/255. Where another class was predicted, margin and error tell the probability of that. A record without
    them, of earlier versions, leaves it open for more than two classes; the predicted class then
    gets all that the label has not, the most it can have. What is left is spread evenly over the other classes, so
    that the predicted class is the likeliest in every epoch.

    cleanlab asks for probabilities of networks that were not trained on the example. These were: their early epochs are what
    tells wrong labels, which is why all epochs count and not the last.

    Raises ValueError for sets of classes, and for examples that were never seen.
    """
    record = finished(record)
    if record.multi_label:
        raise ValueError(f"{record.folder}: its labels are sets of classes, of which it keeps no probability of each")
    labels, classes = record.labels(split), len(record.classes)
    known = record.known(split)
    unseen = np.flatnonzero(~known.any(axis=(0, 1)))
    if len(unseen):
        raise ValueError(
            f"{len(unseen)} of {len(labels)} {split} examples were never seen, example {unseen[0]} the first: leave them out"
        )
    rows, even = np.arange(len(labels)), np.zeros(len(labels))
    total = np.zeros((len(labels), classes))
    for k, (predictions, probability) in enumerate(
        zip(record.predictions(split), record.probability(split), strict=True)
    ):
        margins = (record.margin(split)[k], record.error(split)[k]) if record.has_margins(split) else None
        for t in range(record.epochs):
            seen = known[k, t]
            own = probability[t] / 255
            other = 1 - own if margins is None or classes == 2 else highest_other(own, *(each[t] for each in margins))
            wrong = seen & (predictions[t] != labels)
            other = np.where(wrong, other, 0)
            rest = np.where(seen, (1 - own - other) / np.maximum(classes - 1 - wrong, 1), 0)
            even += rest
            total[rows, labels] += np.where(seen, own, 0) - rest
            total[rows[wrong], predictions[t][wrong]] += other[wrong] - rest[wrong]
    total += even[:, None]
    return labels.astype(np.int64), total / total.sum(axis=1, keepdims=True)


def highest_other(own: np.ndarray, margin: np.ndarray, error: np.ndarray) -> np.ndarray:
    """The probability of the likeliest other class, (N,), from that of the label, known to 1/255, logit margin and error (N,).

    Their quotient is exp(-margin). Where the label has next to none, so that rounding counts for more: as much as
    the length of the error allows one class.
    """
    quotient = own * np.exp(-np.clip(margin.astype(float), -50, 50))
    alone = np.sqrt(np.clip(error.astype(float) ** 2 - (1 - own) ** 2, 0, None))
    return np.clip(np.where(own > 0.05, quotient, alone), 0, 1 - own)


def finished(record: LearningRecord | Path | str) -> LearningRecord:
    record = record if isinstance(record, LearningRecord) else LearningRecord(Path(record))
    if not record.epochs:
        raise ValueError(f"{record.folder}: no epoch is finished yet")
    return record
