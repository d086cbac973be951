"""What a run found, in sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from agreement import Findings, commonest
from curricula import Comparison, Outcome, verdict
from curricula.comparison import orders_of, others_of
from curricula.sentences import costs_until
from lab.report.rows import correlation

FIRST = 100  # suspects that are counted


def headline(findings: Findings) -> str:
    """Agreement against chance within classes at the end, and where the gap is widest; and what stands against it."""
    curves = findings.curves["train"]
    agreement, chance = curves["agreement"], curves["chance_within_classes"]
    excess = agreement - chance
    warning, tested = "", "test" if "test" in findings.curves else "training"
    if findings.one_class:
        warning = (
            f"In the end each network gives all {tested} images one and the same class: there is no order to speak of. "
        )
    elif not findings.beaten:
        guess = f"always naming the commonest class ({findings.commonest:.1%} of the {tested} set)"
        warning = f"No network is shown to beat {guess}, so agreement says little here. "
    if findings.networks == 1:
        right = f"it gets {curves['accuracy'][-1]:.0%} of the training examples right"
        return f"{warning}One network has no other to agree with; after the last epoch {right}."
    if np.isnan(excess).all():
        return warning.strip()
    t = int(np.nanargmax(excess))
    shared = "of the examples that any of them gets right"
    if not excess[t] > 1e-9:
        never = f"No more than by chance: in no epoch do all networks get right more {shared} than if they erred independently"
        return f"{warning}{never} within each class. After the last epoch it is {agreement[-1]:.0%} against {chance[-1]:.0%}."
    end = f"After the last epoch all networks get right {agreement[-1]:.0%} {shared}"
    end = f"{end}; if they erred independently within each class, it would be {chance[-1]:.0%}"
    below = ", which is more" if excess[-1] < -1e-9 else ""
    if t == len(excess) - 1:
        return f"{warning}{end}."
    return f"{warning}{end}{below}. The gap is widest after epoch {t + 1} ({agreement[t]:.0%} against {chance[t]:.0%})."


def measurement_words(findings: Findings) -> dict[str, Any]:
    """The headline, the shares of variance explained, how far the networks' orders agree, and what to beware of, as text."""
    rows = {name: row for name, row in findings.explained.iterrows()}
    models = ("statistics", "classes", "classes_and_statistics")
    table = findings.correlations["train"]
    return {
        "headline": headline(findings),
        "explained": [share(rows[name]) for name in models],
        "less": bool(rows[models[2]]["share"] < rows[models[1]]["share"]),
        "before": [(name, share(row)) for name, row in rows.items() if name not in models],
        "trained": findings.networks,
        "reliability": None if np.isnan(findings.reliability) else f"{findings.reliability:.2f}",
        "two_networks": None if np.isnan(findings.two_networks) else f"{findings.two_networks:.2f}",
        "wrong": f"{findings.still_wrong:.1%}",
        "reversed": list(reversed_signs(table)),
        "noisy": "edges" in table.index,
        "balanced": balanced_words(findings),
        "few": bool((table["low"].isna() & table["rho"].notna()).any()),
        "small": bool((table["within_rho"].isna() & table["rho"].notna()).any()),
    }


def found_wrong(ranks: np.ndarray, wrong: np.ndarray) -> str:
    """How many of the most suspect labels are wrong, in a sentence. ranks: (N,) of suspicion, from 1. wrong: bool (N,)."""
    first = wrong[np.argsort(ranks)[:FIRST]]
    return f"Of the first {len(first)} labels to look at {first.sum()} are wrong; of all {len(wrong):,} it is {wrong.sum():,}."


def learned_little(accuracy: float, labels: np.ndarray) -> str:
    """What to say of the labels to look at where networks learned little. accuracy: on the train images (N,), in the end."""
    share = commonest(labels)
    if (accuracy - share) > (1 - share) / 4:
        return ""
    return (
        f"The networks learned little (train accuracy {accuracy:.1%}, the commonest class has {share:.1%}): their doubts about "
        "labels say little."
    )


def balanced_words(findings: Findings) -> str:
    """A sentence on the balanced accuracy in the end, where it is not the accuracy: classes are unequal, and not learned alike."""
    split = "test" if "test" in findings.curves else "train"
    curves = findings.curves[split]
    if "balanced_accuracy" not in curves or abs(curves["accuracy"][-1] - curves["balanced_accuracy"][-1]) < 0.01:
        return ""
    found = f"{curves['balanced_accuracy'][-1]:.1%}, against {curves['accuracy'][-1]:.1%} over examples"
    return f"Classes are unequal: in the end the {split} accuracy, as the mean over classes, is {found}; classes.csv has each class."


def reversed_signs(table: pd.DataFrame) -> Iterator[str]:
    """A sentence for each correlation whose sign depends on the definition of the order.

    It does where both intervals leave out 0, on different sides.
    """
    words = {"": "learning time", "first_": "first", "last_": "last"}
    kinds = {"": "overall", "within_": "within classes", "others_fixed_": "with the others fixed"}
    for name, row in table.iterrows():
        for kind, where in kinds.items():
            shown = {
                order: row[f"{order}{kind}rho"]
                for order in words
                if row[f"{order}{kind}low"] > 0 or row[f"{order}{kind}high"] < 0
            }
            if len({value > 0 for value in shown.values()}) == 2:
                each = ", ".join(f"{correlation(value)} by {words[order]}" for order, value in shown.items())
                yield f"{name} {where}: {each}"


def share(row: Any) -> str:
    """A share of the variance, its interval, and what it is of the reproducible."""
    if np.isnan(row["share"]):
        return "an unknown part"
    words = f"{max(row['share'], 0):.1%} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    part = row["of_reproducible"]
    return words if np.isnan(part) else f"{words} ({min(max(part, 0), 1):.0%} of the reproducible)"


def sweep_headline(orders: pd.DataFrame) -> str:
    """How far the measurements agree on the order, two by two."""
    pairs = orders.to_numpy()[np.triu_indices(len(orders), 1)]
    if np.isnan(pairs).all():
        return "The measurements are of different examples."
    return f"The orders of any two measurements correlate with rho {np.nanmin(pairs):.2f} to {np.nanmax(pairs):.2f}."


def comparison_words(outcome: Outcome, arms: pd.DataFrame, comparisons: Mapping[str, Comparison]) -> dict[str, Any]:
    """The verdicts, what it cost to be as good as the baseline, and what the table's intervals and tests are over, as text."""
    results = outcome.at_best["shuffled"]
    chance, test = f"{len(results)} seeds", "exact sign-flip test over seeds"
    if results.ndim == 2:
        chance += f" and {results.shape[1]:,} test examples"
        test += ", or t-test over seeds and test examples where that is larger"
    verdicts = [verdict(comparison) for comparison in comparisons.values()]
    steps, matters = int(outcome.steps[-1]), any(c.matters for c in comparisons.values())
    own = outcome.own_steps.items()
    fewer = ", ".join(f"{arm} {number:,}" for arm, number in own if number < steps)
    longer = ", ".join(f"{arm} {number:,}" for arm, number in own if number > steps)
    others = f" ({fewer}, which cost as much: the losses of their candidates take forward passes)" if fewer else ""
    others += f" ({longer})" if longer else ""
    # the answer names each arm then, and the table has its numbers
    many = len(orders_of(outcome.at_best)) + len(others_of(outcome.at_best)) > 1
    words = {"verdicts": verdicts, "costs": costs_until(arms), "chance": chance, "test": test, "steps": steps}
    return words | {"matters": matters, "other_steps": others, "many": many}
