"""What a record and a table of statistics say: the findings of a measurement, which every report reads."""

from collections.abc import Collection, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agreement.correlation import correlation_table, partial_correlations, spearman, statistic_curve
from agreement.explained import explained_variance
from agreement.learning_order import (
    agreed,
    confidence_and_variability,
    forgetting_events,
    learned_epoch,
    mean_correctness,
    rank_concordance,
)
from agreement.measures import (
    accuracy_deviation,
    agreement_by_kind,
    beats_commonest,
    chance_agreement,
    commonest,
    excess_agreement,
    false_positive_agreement,
    hacohen_agreement,
    hacohen_true_positive_agreement,
    lower_bound,
    mean_accuracy,
    true_positive_agreement,
)
from agreement.record import LearningRecord
from agreement.suspicion import suspects

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Findings:
    """What a measurement found, as plain arrays and tables.

    curves: name -> (T,) for each split. statistics: one row per example for each split. correlations: for each split, see
    `agreement.correlation_table`, and as `others_fixed_...` `agreement.partial_correlations`; explained: see
    `agreement.explained_variance`; explained_before: example statistic -> share of the variance of the learning time's
    rank that it explains alone. by_kind: for each split, annotation -> kind -> (T,). concordance: Kendall's W of the
    networks' learned epochs. never_learned: fraction of the train examples. commonest: the share of the commonest class in
    the test set (the train set where there is none), and beaten: whether some network is shown to be right more often, see `agreement.beats_commonest`.
    """

    curves: dict[str, dict[str, np.ndarray]]
    statistics: dict[str, "pd.DataFrame"]
    correlations: dict[str, "pd.DataFrame"]
    by_kind: dict[str, dict[str, dict[Hashable, np.ndarray]]]
    explained: dict[str, float]
    explained_before: dict[str, float]
    concordance: float
    never_learned: float
    commonest: float
    beaten: bool


def analyse(
    record: LearningRecord,
    statistics: dict[str, "pd.DataFrame"],
    kinds: dict[str, dict[str, np.ndarray]],
    causes: Collection[str],
    resamples: int = 1000,
    seed: int = 0,
    before: Collection[str] = (),
) -> Findings:
    """All measures of a learning record and their relation to the statistics; arrays in, arrays out.

    causes: the statistics of images, which explain together what they can. before: the statistics of examples, which are
    known before training and know the labels: each explains by itself.
    """
    curves, learned, correlations, by_kind = {}, {}, {}, {}
    for split in record.splits:
        correct = record.correct(split)
        curves[split] = curves_of(record, split, correct, statistics[split])
        columns, labels = {name: column.to_numpy() for name, column in statistics[split].items()}, record.labels(split)
        learned[split] = learned_epoch(correct)
        table = correlation_table(columns, learned[split], labels, resamples, seed)
        # what others found of the examples, such as a C-score, does not count as a cause among others
        images = {name: column for name, column in columns.items() if name in causes}
        partial = partial_correlations(columns, learned[split], labels, fixed=images).drop(columns="n")
        if len(images) == 1:  # no others
            partial.loc[list(images)] = np.nan
        correlations[split] = table.join(partial.add_prefix("others_fixed_"))
        by_kind[split] = {name: agreement_by_kind(correct, values) for name, values in kinds[split].items()}
        if split == "train":
            explained = explained_variance(images, learned[split], labels, seed=seed)
            learning_time = 1 - mean_correctness(correct)
            alone = {
                name: explained_variance({name: columns[name]}, learning_time, labels, seed=seed) for name in before
            }
            explained_before = {name: found["statistics"] for name, found in alone.items()}
            concordance = rank_concordance(learned_epoch(correct, per_network=True))
        guess, beaten = commonest(labels), beats_commonest(correct, labels)  # of test in the end, where there is one
    never = float(np.isinf(learned["train"]).mean())
    return Findings(
        curves, statistics, correlations, by_kind, explained, explained_before, concordance, never, guess, beaten
    )


def curves_of(
    record: LearningRecord, split: str, correct: np.ndarray, statistics: "pd.DataFrame"
) -> dict[str, np.ndarray]:
    """What changes over the epochs, name to (T,). correct: boolean (K, T, N), as from `record.correct(split)`.

    Where a network was not shown all examples in every epoch, `known` is the share that was.
    """
    predictions = record.noted(split)
    curves = {
        "accuracy": mean_accuracy(correct),
        "accuracy_deviation": accuracy_deviation(correct),
        "agreed": agreed(correct).mean(axis=1),
        "agreement": true_positive_agreement(correct),
        "lower_bound": lower_bound(correct),
        "chance_agreement": chance_agreement(correct),
        "chance_within_classes": chance_agreement(correct, None if record.multi_label else record.labels(split)),
        "excess_agreement": excess_agreement(correct),
        "false_positive_agreement": false_positive_agreement(predictions, record.labels(split)),
        "hacohen_agreement": hacohen_agreement(predictions),
        "hacohen_true_positive_agreement": hacohen_true_positive_agreement(correct),
    } | {f"agreed_{name}": statistic_curve(correct, column.to_numpy()) for name, column in statistics.items()}
    with suppress(ValueError):  # a loop of one's own need not note a loss
        curves["loss"] = record.series(f"{split}/loss").mean(axis=0)
    if not record.is_complete(split):
        curves["known"] = record.known(split).mean(axis=(0, 2))
    return curves


def examples_table(record: LearningRecord, statistics: Mapping[str, "pd.DataFrame"]) -> "pd.DataFrame":
    """All examples of a record, train first, with the columns that docs/columns.md explains. statistics: split to one row per example."""
    import pandas as pd  # here: see `agreement`

    return pd.concat([split_table(record, split, table) for split, table in statistics.items()], ignore_index=True)


def split_table(record: LearningRecord, split: str, statistics: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd  # here: see `agreement`

    correct = record.correct(split)
    learned, alone = learned_epoch(correct), learned_epoch(correct, per_network=True)
    confidence, variability = confidence_and_variability(record.probability(split))
    columns = {
        "id": record.ids(split),
        "split": split,
        "label": [record.label_name(label) for label in record.labels(split)],
    }
    columns |= {name: column.to_numpy() for name, column in statistics.items()}
    columns |= {"learned_epoch": epochs_or_missing(learned)}
    columns |= {f"learned_epoch_{k + 1}": epochs_or_missing(epochs) for k, epochs in enumerate(alone)}
    if not record.is_complete(split):
        columns |= {"known": record.known(split).mean(axis=(0, 1))}
    return pd.DataFrame(
        columns
        | {
            "never_learned": np.isinf(learned),
            "agreement": agreed(correct).mean(axis=0),
            "correctness": mean_correctness(correct),
            "confidence": confidence,
            "variability": variability,
            "forgetting": forgetting_events(correct).mean(axis=0),
            "suspect": suspects(record, split, statistics),
        }
    )


def epochs_or_missing(epochs: np.ndarray) -> "pd.arrays.IntegerArray":
    """Learned epochs (N,) as whole numbers, missing where they are infinite."""
    import pandas as pd  # here: see `agreement`

    return pd.array(np.where(np.isinf(epochs), np.nan, epochs), dtype="Int32")


def compare_orders(records: dict[str, LearningRecord]) -> tuple[dict[str, dict[str, np.ndarray]], "pd.DataFrame"]:
    """Curves (T,) of each record's train set, and how far the records agree on the order of learning.

    The latter is Spearman's correlation of the joint learned epochs of the train examples, a row and a column per record;
    NaN where two have not the same examples.
    """
    import pandas as pd  # here: see `agreement`

    curves, learned = {}, {}
    for name, record in records.items():
        correct = record.correct("train")
        curves[name] = {
            "accuracy": mean_accuracy(correct),
            "agreement": true_positive_agreement(correct),
            "lower_bound": lower_bound(correct),
            "chance_agreement": chance_agreement(correct),
        }
        learned[name] = learned_epoch(correct)

    def agree(a: str, b: str) -> float:
        return spearman(learned[a], learned[b]) if records[a].same_examples(records[b], "train") else np.nan

    orders = pd.DataFrame(
        [[agree(a, b) for b in records] for a in records],
        index=pd.Index(list(records), name="measurement"),
        columns=list(records),
    )  # fmt: skip
    return curves, orders
