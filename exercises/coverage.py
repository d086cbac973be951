"""Do the 95 % intervals of a measurement cover what other networks would have given?

    uv run exercises/coverage.py                     trains 60 networks on the digits, a quarter of an hour on two cores
    uv run exercises/coverage.py --sets 4 --epochs 6 fewer, and shorter

Trains the networks of all sets in one measurement, kept in a folder for the next time, and analyses each set of five by
itself, as the program does. The sets have the same examples, so the truth that they estimate is the mean over sets; an
interval covers it or not. An interval over examples alone, which the program printed before, stands beside. The table is
that of docs/statistics.md.
"""

import argparse
import subprocess
import sys
from pathlib import Path

sys.path.remove(str(Path(__file__).resolve().parent))  # numba imports the package coverage, and would find this file

import numpy as np
import pandas as pd

from agreement import (
    correlation_table,
    explained_variance,
    orders_by_network,
    partial_correlations,
    reliability,
    spearman,
)
from agreement.record import LearningRecord

PROGRAM = Path(__file__).parents[1] / "train.py"
STATISTICS = ["entropy", "frequency", "segments"]
PER_SET = 5
QUANTITIES = ["rho", "within classes", "others fixed", "explained"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--folder", type=Path, default=Path("cache/coverage"), help="where the measurement is kept")
    options = parser.parse_args()
    artifacts = measured(options.folder / f"{options.sets}-{options.epochs}", options.sets * PER_SET, options.epochs)
    record = LearningRecord(artifacts / "record")
    table = pd.read_parquet(artifacts / "statistics-train.parquet")[STATISTICS]
    columns, labels = {name: table[name].to_numpy() for name in STATISTICS}, record.labels("train")
    order = orders_by_network(record.correct("train"))["learning_time"]
    sets = order.reshape(options.sets, PER_SET, -1)
    both = pd.concat([estimates(columns, each, labels) for each in sets])
    alone = pd.concat([estimates(columns, each.mean(axis=0), labels) for each in sets])
    print(f"{options.sets} sets of {PER_SET} networks, {len(labels)} examples, {options.epochs} epochs\n")
    print(
        "| quantity | of | mean | deviation over sets | covered | over examples alone |\n|---|---|---:|---:|---:|---:|"
    )
    truth = both.groupby(level=[0, 1], sort=False)["value"].transform("mean")
    covered, before = ((each["low"] <= truth) & (truth <= each["high"]) for each in (both, alone))
    for key, rows in both.groupby(level=[0, 1], sort=False):
        mean, deviation = rows["value"].mean(), rows["value"].std()
        print(f"| {key[0]} | {key[1]} | {mean:.3f} | {deviation:.3f} | {covered[key].sum()} of {len(rows)} | {before[key].sum()} |")  # fmt: skip
    print()
    for quantity in QUANTITIES:
        print(
            f"{quantity}: covered in {covered[quantity].mean():.1%}, over examples alone in {before[quantity].mean():.1%}"
        )
    print(f"all: {covered.mean():.1%} of {len(covered)}, over examples alone {before.mean():.1%}")
    times = sets.mean(axis=1)
    pairs = [spearman(times[a], times[b]) for a in range(len(times)) for b in range(a)]
    said = np.mean([reliability(each) for each in sets])
    print(f"reliability said of a set: {said:.3f}; the orders of two sets correlate at {np.mean(pairs):.3f}")
    return int(covered.groupby(level=0).mean().min() < 0.93)


def estimates(columns: dict[str, np.ndarray], order: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """value, low and high by quantity and what it is of, from an order (K, N) or (N,)."""
    table, fixed = correlation_table(columns, order, labels), partial_correlations(columns, order, labels)
    explained = explained_variance(columns, order, labels).rename(columns={"share": "rho"})
    parts = (
        table,
        table[["within_rho", "within_low", "within_high"]].rename(columns=lambda name: name[7:]),
        fixed,
        explained,
    )
    rows = [part[["rho", "low", "high"]].set_axis(["value", "low", "high"], axis=1) for part in parts]
    return pd.concat(dict(zip(QUANTITIES, rows, strict=True)))


def measured(folder: Path, networks: int, epochs: int) -> Path:
    """The artifacts of a measurement in the folder, made now where there is none."""
    if not (found := sorted(folder.glob("mlruns/**/statistics-train.parquet"))):
        folder.mkdir(parents=True, exist_ok=True)
        words = [f"networks={networks}", f"epochs={epochs}", f"statistics={','.join(STATISTICS)}"]
        subprocess.run([sys.executable, PROGRAM.resolve(), "--mode", "measure", *words], cwd=folder, check=True)
        found = sorted(folder.glob("mlruns/**/statistics-train.parquet"))
    return found[-1].parent


if __name__ == "__main__":
    sys.exit(main())
