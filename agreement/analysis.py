"""What a record and a table of statistics say: the findings of a measurement, which every report reads."""

from collections.abc import Collection, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agreement.correlation import Combine, correlation_table, spearman, statistic_curve
from agreement.explained import explained_variance
from agreement.learning_order import (
    COMBINED,
    agreed,
    confidence_and_variability,
    first_epoch,
    forgetting_events,
    learned_epoch,
    learning_time,
    mean_correctness,
    orders_by_network,
    rank_correlation_of_two,
    reliability,
)
from agreement.measures import (
    accuracy_deviation,
    agreement_by_kind,
    beats_commonest,
    chance_agreement,
    class_accuracy,
    commonest,
    excess_agreement,
    false_positive_agreement,
    hacohen_agreement,
    hacohen_true_positive_agreement,
    lower_bound,
    majority,
    mean_accuracy,
    true_positive_agreement,
)
from agreement.partial import partial_correlations
from agreement.record import LearningRecord
from agreement.suspicion import suspects

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Findings:
    """What a measurement found, as plain arrays and tables.

    networks: how many were trained. curves: name -> (T,) for each split. statistics: one row per example for each split.
    correlations: for each split, of the learning time, see `agreement.correlation_table`, and as `others_fixed_...`
    `agreement.partial_correlations`; then all of it again by the other orders, as `first_...` and `last_...`. explained: of
    the learning time, see `agreement.explained_variance`; a row more for each example statistic alone; `of_reproducible` is
    the share over the reliability. by_kind: for each split, annotation -> kind -> (T,). reliability, two_networks: of the
    learning time, see `agreement.reliability` and `agreement.rank_correlation_of_two`. still_wrong: fraction of the train
    examples that some network has wrong in the end. one_class: whether each network gives all test examples one class in the end. commonest: the share of the
    commonest class in the test set (the train set where there is none), and beaten: whether some network is shown to be right more often, see
    `agreement.beats_commonest`.
    """

    networks: int
    curves: dict[str, dict[str, np.ndarray]]
    statistics: dict[str, "pd.DataFrame"]
    correlations: dict[str, "pd.DataFrame"]
    by_kind: dict[str, dict[str, dict[Hashable, np.ndarray]]]
    explained: "pd.DataFrame"
    reliability: float
    two_networks: float
    still_wrong: float
    one_class: bool
    commonest: float
    beaten: bool


def analyse(
    record: LearningRecord,
    statistics: dict[str, "pd.DataFrame"],
    kinds: dict[str, dict[str, np.ndarray]],
    causes: Collection[str],
    before: Collection[str] = (),
) -> Findings:
    """All measures of a learning record and their relation to the statistics; arrays in, arrays out.

    causes: the statistics of images, which explain together what they can. before: the statistics of examples, which are
    known before training and know the labels: each explains by itself.
    """
    import pandas as pd  # here: see `agreement`

    curves, correlations, by_kind = {}, {}, {}
    for split in record.splits:
        correct = record.correct(split)
        curves[split] = curves_of(record, split, correct, statistics[split])
        columns, labels = {name: column.to_numpy() for name, column in statistics[split].items()}, record.labels(split)
        orders = orders_by_network(correct)
        # what others found of the examples, such as a C-score, does not count as a cause among others
        images = {name: column for name, column in columns.items() if name in causes}
        by_order = [
            relations(columns, orders[name], labels, images, COMBINED[name]).add_prefix(
                "" if name == "learning_time" else f"{name}_"
            )
            for name in orders
        ]
        correlations[split] = pd.concat(by_order, axis=1).drop(columns=["first_n", "last_n"])
        by_kind[split] = {name: agreement_by_kind(correct, values) for name, values in kinds[split].items()}
        if split == "train":
            times = orders["learning_time"]
            explained = [explained_variance(images, times, labels)]
            for name in before:
                alone = explained_variance({name: columns[name]}, times, labels)
                explained.append(alone.loc[["statistics"]].rename({"statistics": name}))
            shares, reproducible = pd.concat(explained), reliability(times)
            shares["of_reproducible"] = shares["share"] / reproducible if reproducible > 0 else np.nan
            two, wrong = (
                rank_correlation_of_two(times) if len(times) > 1 else np.nan,
                np.isinf(orders["last"]).any(axis=0),
            )
        # of test in the end, where there is one
        guess, beaten = commonest(labels), beats_commonest(correct, labels)
        in_the_end = [network[-1] for network in record.predictions(split)]
    return Findings(
        len(correct),
        curves,
        statistics,
        correlations,
        by_kind,
        shares,
        reproducible,
        two,
        float(wrong.mean()),
        all((each == each[0]).all() for each in in_the_end),
        guess,
        beaten,
    )


def relations(
    columns: Mapping[str, np.ndarray],
    order: np.ndarray,
    labels: np.ndarray,
    images: Collection[str],
    combine: Combine,
) -> "pd.DataFrame":
    """Correlations of the columns with an order (K, N), overall, within classes, and with other image statistics fixed."""
    partial = partial_correlations(columns, order, labels, fixed=images, combine=combine).drop(columns="n")
    if len(images) == 1:  # no others
        partial.loc[list(images)] = np.nan
    return correlation_table(columns, order, labels, combine).join(partial.add_prefix("others_fixed_"))


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
        "excess_within_classes": excess_agreement(correct, None if record.multi_label else record.labels(split)),
        "false_positive_agreement": false_positive_agreement(predictions, record.labels(split)),
        "hacohen_agreement": hacohen_agreement(predictions),
        "hacohen_true_positive_agreement": hacohen_true_positive_agreement(correct),
    } | {f"agreed_{name}": statistic_curve(correct, column.to_numpy()) for name, column in statistics.items()}
    with suppress(ValueError):  # a loop of one's own need not note a loss
        curves["loss"] = record.series(f"{split}/loss").mean(axis=0)
    if not record.multi_label:
        curves["balanced_accuracy"] = class_accuracy(correct, record.labels(split)).mean(axis=1)
    if not record.is_complete(split):
        curves["known"] = record.known(split).mean(axis=(0, 2))
    return curves


def examples_table(record: LearningRecord, statistics: Mapping[str, "pd.DataFrame"]) -> "pd.DataFrame":
    """All examples of a record, train first, with the columns that docs/columns.md explains. statistics: split to one row per example."""
    import pandas as pd  # here: see `agreement`

    return pd.concat([split_table(record, split, table) for split, table in statistics.items()], ignore_index=True)


def classes_table(record: LearningRecord) -> "pd.DataFrame":
    """The accuracy in every class after every epoch, averaged over networks: columns split, class, examples, epoch, accuracy.

    Without rows where examples have sets of labels.
    """
    import pandas as pd  # here: see `agreement`

    tables = []
    for split in () if record.multi_label else record.splits:
        labels, counts = np.unique(record.labels(split), return_counts=True)
        found = class_accuracy(record.correct(split), record.labels(split))
        columns = {
            "class": np.repeat([record.label_name(label) for label in labels], len(found)),
            "examples": np.repeat(counts, len(found)),
            "epoch": np.tile(np.arange(1, len(found) + 1), len(labels)),
            "accuracy": found.T.ravel(),
        }
        tables.append(pd.DataFrame({"split": split, **columns}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def split_table(record: LearningRecord, split: str, statistics: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd  # here: see `agreement`

    correct = record.correct(split)
    learned, alone = learned_epoch(correct), learned_epoch(correct, per_network=True)
    confidence, variability = confidence_and_variability(record.probability(split), record.gaps(split))
    predicted, share = majority([network[-1] for network in record.predictions(split)])
    columns = {
        "id": record.ids(split),
        "split": split,
        "label": [record.label_name(label) for label in record.labels(split)],
    }
    columns |= {name: column.to_numpy() for name, column in statistics.items()}
    order = {"learning_time": learning_time(correct), "first": first_epoch(correct), "last": epochs_or_missing(learned)}
    order |= {f"last_{k + 1}": epochs_or_missing(epochs) for k, epochs in enumerate(alone)}
    if not record.is_complete(split):
        order |= {"known": record.known(split).mean(axis=(0, 1))}
    return pd.DataFrame(
        columns
        | order
        | {
            "still_wrong": np.isinf(learned),
            "agreement": agreed(correct).mean(axis=0),
            "correctness": mean_correctness(correct),
            "confidence": confidence,
            "variability": variability,
            "forgetting": forgetting_events(correct).mean(axis=0),
            "suspect": suspects(record, split, statistics),
            "predicted": [record.label_name(label) for label in predicted],
            "predicted_share": share,
        }
    )


def epochs_or_missing(epochs: np.ndarray) -> "pd.arrays.IntegerArray":
    """Learned epochs (N,) as whole numbers, missing where they are infinite."""
    import pandas as pd  # here: see `agreement`

    return pd.array(np.where(np.isinf(epochs), np.nan, epochs), dtype="Int32")


def compare_orders(records: dict[str, LearningRecord]) -> tuple[dict[str, dict[str, np.ndarray]], "pd.DataFrame"]:
    """Curves (T,) of each record's train set, and how far the records agree on the order of learning.

    The latter is Spearman's correlation of the learning times of the train examples, a row and a column per record;
    NaN where two have not the same examples.
    """
    import pandas as pd  # here: see `agreement`

    curves, times = {}, {}
    for name, record in records.items():
        correct = record.correct("train")
        curves[name] = {
            "accuracy": mean_accuracy(correct),
            "agreement": true_positive_agreement(correct),
            "lower_bound": lower_bound(correct),
            "chance_agreement": chance_agreement(correct),
        }
        times[name] = learning_time(correct)

    def agree(a: str, b: str) -> float:
        return spearman(times[a], times[b]) if records[a].same_examples(records[b], "train") else np.nan

    orders = pd.DataFrame(
        [[agree(a, b) for b in records] for a in records],
        index=pd.Index(list(records), name="measurement"),
        columns=list(records),
    )  # fmt: skip
    return curves, orders
