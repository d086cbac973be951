"""Time of the agreement measures and correlations for 5 networks, 60 epochs and 50,000 examples, against plain forms.

    uv run benchmarks/measures.py [--examples 50000] [--networks 5] [--epochs 60]

The data are made up to look like CIFAR-10: ten classes, examples and classes of different difficulty, networks that
learn and forget. The plain form of each part is a direct restatement with numpy and scipy; where that would take long
it runs on a share of the work, its time is scaled up, and the share is printed. Both forms are checked to agree.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import rankdata, spearmanr

begun = time.perf_counter()
import agreement  # noqa: E402

IMPORT_TIME = time.perf_counter() - begun
CLASSES = 10


def make_up(networks: int, epochs: int, examples: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Predictions uint8 (K, T, N), labels (N,) and four statistics, one of them a count, two related to difficulty."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, examples, dtype=np.uint8)
    difficulty = rng.normal(size=examples) + rng.normal(scale=0.5, size=CLASSES)[labels]
    confused_with = ((labels + rng.integers(1, CLASSES, examples)) % CLASSES).astype(np.uint8)
    predictions = np.empty((networks, epochs, examples), np.uint8)
    for network in predictions:
        taste = difficulty + rng.normal(scale=0.5, size=examples)
        for epoch, row in enumerate(network):
            skill = 3.0 * np.sqrt((epoch + 1) / epochs) - 1.5
            right = taste + rng.normal(scale=0.3, size=examples) < skill
            other = np.where(rng.random(examples) < 0.7, confused_with, rng.integers(0, CLASSES, examples))
            row[:] = np.where(right, labels, other)
    statistics = {
        "entropy": 0.3 * difficulty + rng.normal(size=examples),
        "frequency": 0.1 * difficulty + rng.normal(size=examples),
        "segments": rng.poisson(np.exp(1.5 + 0.1 * difficulty)).astype(float),
        "edges": rng.gamma(2.0, size=examples),
    }
    return predictions, labels, statistics


# ---- plain forms ----


def plain_measures(predictions: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The paper's own way: whole arrays of integers; and the other measures in the same manner."""
    hits = (predictions == np.tile(labels, (*predictions.shape[:2], 1))).astype(int)
    by_any = np.sum(np.max(hits, axis=0), axis=1)
    accuracy = np.sum(hits, axis=2) / hits.shape[2]
    wrong_alike = np.all(predictions == predictions[:1], axis=0) & ~hits[0].astype(bool)
    agreed = np.sum(np.prod(hits, axis=0), axis=1) / np.where(by_any == 0, 1, by_any)
    chance = np.prod(accuracy, axis=0) / (1 - np.prod(1 - accuracy, axis=0))
    return {
        "true_positive_agreement": agreed,
        "lower_bound": 1 - np.minimum(np.sum(1 - accuracy, axis=0), 1),
        "chance_agreement": chance,
        "excess_agreement": (agreed - chance) / (1 - chance),
        "mean_accuracy": np.mean(accuracy, axis=0),
        "accuracy_deviation": np.std(accuracy, axis=0),
        "false_positive_agreement": np.sum(wrong_alike, axis=1) / np.sum(np.min(hits, axis=0) == 0, axis=1),
        "hacohen_true_positive_agreement": np.mean(np.mean(hits, axis=0), axis=1),
    }


def plain_hacohen(predictions: np.ndarray) -> np.ndarray:
    return np.array(
        [np.mean([np.bincount(votes).max() for votes in epoch.T]) for epoch in predictions.swapaxes(0, 1)]
    ) / len(predictions)


def plain_order(correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learned epochs, joint and per network, and forgetting events, example by example."""

    def for_good(right: np.ndarray) -> float:
        wrong = np.flatnonzero(~right)
        return 1.0 if not wrong.size else wrong[-1] + 2.0 if wrong[-1] + 1 < len(right) else np.inf

    joint = np.array([for_good(example) for example in correct.all(axis=0).T])
    own = np.array([[for_good(example) for example in network.T] for network in correct])
    forgotten = np.array([[np.sum(example[:-1] & ~example[1:]) for example in network.T] for network in correct])
    return joint, own, forgotten


def plain_two_networks(learned: np.ndarray) -> float:
    """Mean Spearman's rho of two networks, pair by pair."""
    pairs = [(a, b) for a in range(len(learned)) for b in range(a)]
    return float(np.mean([spearmanr(learned[a], learned[b]).statistic for a, b in pairs]))


def plain_curve(correct: np.ndarray, values: np.ndarray) -> np.ndarray:
    agreed = [np.flatnonzero(np.prod(correct[:, epoch].astype(int), axis=0)) for epoch in range(correct.shape[1])]
    return np.array([np.nanmean(values[chosen]) if len(chosen) else np.nan for chosen in agreed])


def plain_correlations(x: np.ndarray, y: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Spearman's rho, overall and of ranks within classes."""
    u, v = np.empty(len(x)), np.empty(len(x))
    for label in range(CLASSES):
        own = labels == label
        for values, ranks in ((x, u), (y, v)):
            ranks[own] = (rankdata(values[own]) - (own.sum() + 1) / 2) / own.sum()
    return spearmanr(x, y).statistic, np.corrcoef(u, v)[0, 1]


def plain_explained_variance(statistics: dict[str, np.ndarray], learned: np.ndarray, labels: np.ndarray) -> list[float]:
    """R² corrected for the number of coefficients, by least squares with a column per class."""
    x, y, dummies = np.array(list(statistics.values())), rankdata(learned), np.eye(CLASSES)[labels]
    ranks = [2 * rankdata(row) / len(row) - 1 for row in x]
    quadratic = np.column_stack([*ranks, *(a * b for i, a in enumerate(ranks) for b in ranks[i:])])
    shares = []
    for design in (np.column_stack((np.ones(len(y)), quadratic)), dummies, np.hstack((dummies, quadratic))):
        left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        shares.append(1 - (left @ left) / (len(y) - design.shape[1]) / y.var(ddof=1))
    return shares


# ---- the comparison ----


class Comparison:
    """Times both forms of each part, prints a line, and adds up."""

    def __init__(self) -> None:
        self.ours = self.plain = 0.0

    def part(self, name: str, ours: Callable, plain: Callable, times: float = 1, share: str = "") -> tuple:
        """Both results. The plain form does one part in `times` of the work, described by `share`."""
        our_time, result = seconds(ours, repeats=3)
        plain_time, expected = seconds(plain)
        self.ours, self.plain = self.ours + our_time, self.plain + plain_time * times
        self.line(name, our_time, plain_time * times, f"plain form timed on {share}" if share else "")
        return result, expected

    def line(self, name: str, ours: float, plain: float, note: str) -> None:
        print(f"{name:36s} {ours:7.3f} s   plain {plain:8.2f} s   ratio {plain / ours:5.0f}   {note}".rstrip())


def seconds(work: Callable, repeats: int = 1) -> tuple[float, Any]:
    """Median time of a few runs, and the result."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - begun)
    return float(np.median(times)), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("networks", 5), ("epochs", 60), ("examples", 50_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = parser.parse_args()
    predictions, labels, statistics = make_up(sizes.networks, sizes.epochs, sizes.examples)
    correct = predictions == labels
    learned = agreement.learned_epoch(correct)
    own = agreement.learned_epoch(correct, per_network=True)
    order = agreement.orders_by_network(correct)["learning_time"]
    times = order.mean(axis=0)
    print(f"{sizes.networks} networks, {sizes.epochs} epochs, {sizes.examples:,} examples, {os.cpu_count()} cores")
    print(f"accuracy {agreement.mean_accuracy(correct)[-1]:.0%}, never learned jointly {np.isinf(learned).mean():.0%}")
    tiny = {"x": np.arange(9.0)}, np.arange(9.0), np.zeros(9)
    compiled, _ = seconds(lambda: agreement.correlation_table(*tiny))
    print(f"first use, not in the total: import {IMPORT_TIME:.2f} s, compile or load compiled code {compiled:.2f} s\n")

    comparison = Comparison()

    def measures() -> dict[str, np.ndarray]:
        names = ("true_positive_agreement", "lower_bound", "chance_agreement", "excess_agreement", "mean_accuracy")
        names += ("accuracy_deviation", "hacohen_true_positive_agreement")
        curves = {name: getattr(agreement, name)(correct) for name in names}
        return curves | {"false_positive_agreement": agreement.false_positive_agreement(predictions, labels)}

    result, expected = comparison.part("eight measures", measures, lambda: plain_measures(predictions, labels))
    for name, curve in expected.items():
        np.testing.assert_allclose(result[name], curve, atol=1e-9)

    result, expected = comparison.part(
        "agreement of Hacohen et al.",
        lambda: agreement.hacohen_agreement(predictions),
        lambda: plain_hacohen(predictions[:, :1]),
        sizes.epochs,
        f"1 of {sizes.epochs} epochs",
    )
    np.testing.assert_allclose(result[:1], expected)

    few = max(sizes.examples // 50, 1)
    result, expected = comparison.part(
        "learned epochs, forgetting events",
        lambda: (
            agreement.learned_epoch(correct),
            agreement.learned_epoch(correct, per_network=True),
            agreement.forgetting_events(correct),
        ),
        lambda: plain_order(correct[:, :, :few]),
        sizes.examples / few,
        f"{few:,} examples",
    )
    for array, wanted in zip(result, expected, strict=True):
        np.testing.assert_array_equal(array[..., :few], wanted)

    result, expected = comparison.part(
        "two networks, mean correctness",
        lambda: (agreement.rank_correlation_of_two(own), agreement.mean_correctness(correct)),
        lambda: (plain_two_networks(own), correct.astype(int).mean(axis=(0, 1))),
    )
    for ours, wanted in zip(result, expected, strict=True):
        np.testing.assert_allclose(ours, wanted)

    result, expected = comparison.part(
        "curves of 4 statistics",
        lambda: [agreement.statistic_curve(correct, values) for values in statistics.values()],
        lambda: [plain_curve(correct, values) for values in statistics.values()],
    )
    np.testing.assert_allclose(result, expected)

    def plain_left_out() -> None:
        for i in range(3):
            kept = np.arange(sizes.examples) != i
            for values in statistics.values():
                plain_correlations(values[kept], times[kept], labels[kept])

    table, _ = comparison.part(
        "correlation table",
        lambda: agreement.correlation_table(statistics, order, labels),
        plain_left_out,
        sizes.examples / 3,
        "3 examples left out",
    )
    for name, values in statistics.items():
        expected = plain_correlations(values, times, labels)
        np.testing.assert_allclose(table.loc[name, ["rho", "within_rho"]].astype(float), expected, atol=1e-3)

    result, expected = comparison.part(
        "explained variance",
        lambda: agreement.explained_variance(statistics, order, labels),
        lambda: plain_explained_variance(statistics, times, labels),
    )
    np.testing.assert_allclose(result["share"], expected, atol=1e-9)
    comparison.part(
        "partial correlations",
        lambda: agreement.partial_correlations(statistics, order, labels),
        lambda: None,
    )

    comparison.line("total", comparison.ours, comparison.plain, "target: under 2 s on 2 cores")
    print(f"\n{table.round(3).to_string()}")
    print(result.round(3).to_string())


if __name__ == "__main__":
    main()
