"""Arms compared on anyone's runs: a table with a row for each run, paired by seed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from curricula.comparison import Comparison, paired, pairs_of
from curricula.significance import mean_interval, smallest_p

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("baseline", "seeds", "difference", "low", "high", "p", "corrected_p", "effect_size", "detectable")


def compare_runs(
    runs: "pd.DataFrame", arm: str, seed: str, metric: str, baseline: str | None = None, level: float = 0.05
) -> tuple[dict[str, Comparison], "pd.DataFrame", list[str]]:
    """Every arm against the baseline over the seeds that both have, corrected over all comparisons.

    runs: a row per run; `arm`, `seed` and `metric` name its columns. baseline: an arm; by default that of the first row.
    Returns the comparisons by name (see `curricula.compare`); a table with a row per arm: how many runs, their mean with
    its interval, and the paired differences, with the smallest p that so many seeds could give; and notes, a line each, on
    what could not be used: rows that lack something, seeds that only one of two arms has, several runs of one arm and
    seed, of which the last counts. Raises ValueError for columns that are missing, and where nothing can be paired.

    >>> import pandas as pd
    >>> runs = pd.DataFrame({"lr": [1, 1, 1, 2, 2, 2], "seed": [0, 1, 2, 0, 1, 2], "loss": [3.0, 2.0, 4.0, 2.5, 1.0, 3.0]})
    >>> comparisons, table, notes = compare_runs(runs, "lr", "seed", "loss", baseline="1")
    >>> round(comparisons["2"].difference, 3), notes
    (-0.833, [])
    """
    missing = [name for name in (arm, seed, metric) if name not in runs.columns]
    if missing:
        raise ValueError(f"there is no column {', '.join(missing)}; there are {', '.join(map(str, runs.columns))}")
    values, notes = numbers_by_arm(runs, arm, seed, metric)
    chosen = next(iter(values), "") if baseline is None else str(baseline)
    if chosen not in values:
        raise ValueError(f"there is no arm {chosen!r} to compare with; there are {', '.join(values)}")
    if baseline is None:
        notes.append(f"compared with {chosen}, the arm of the first run; baseline= names another")
    shares: dict[str, tuple[str, str, np.ndarray, np.ndarray]] = {}
    pairs = (
        pairs_of(values, chosen)
        if chosen == "shuffled"
        else {each: (each, chosen) for each in values if each != chosen}
    )
    for name, (one, other) in pairs.items():
        shared = [each for each in values[one] if each in values[other]]
        left = [each for each in {**values[one], **values[other]} if each not in shared]
        if left:
            notes.append(f"{one} and {other}: {listed(left)} of one arm only, not used")
        if len(shared) < 2:
            notes.append(f"{one} and {other} share {len(shared)} of the two seeds that a comparison needs")
            continue
        first, second = (np.array([values[each][s] for s in shared]) for each in (one, other))
        shares[name] = one, other, first, second
    if not shares:
        raise ValueError("; ".join(["no two arms can be compared", *notes]))
    comparisons = paired(shares, level)
    return comparisons, runs_table(values, comparisons), notes


def numbers_by_arm(
    runs: "pd.DataFrame", arm: str, seed: str, metric: str
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Arm to seed to number, in the order of the rows; and notes on rows that are left out."""
    import pandas as pd  # here, because it takes long to import

    values: dict[str, dict[str, float]] = {}
    without, twice = 0, 0
    numbers = pd.to_numeric(runs[metric], errors="coerce").astype("Float64").to_numpy(float, na_value=np.nan)
    usable = runs[[arm, seed]].notna().all(axis=1) & np.isfinite(numbers)
    for which, of, number, use in zip(runs[arm], runs[seed], numbers, usable, strict=True):
        if not use:
            without += 1
            continue
        own = values.setdefault(str(which), {})
        twice += str(of) in own
        own[str(of)] = float(number)
    notes = [f"{without} rows lack {arm}, {seed} or a finite {metric}, not used"] * (without > 0)
    return values, notes + [f"{twice} runs have arm and seed of a later one, which counts"] * (twice > 0)


def runs_table(values: Mapping[str, Mapping[str, float]], comparisons: Mapping[str, Comparison]) -> "pd.DataFrame":
    """See `compare_runs`."""
    import pandas as pd  # here, because it takes long to import

    rows: dict[str, dict[str, float]] = {}
    for arm, numbers in values.items():
        found = np.array(list(numbers.values()))
        mean, low, high = mean_interval(found) if len(found) > 1 else (found[0], np.nan, np.nan)
        rows[arm] = {"runs": len(found), "mean": mean, "mean_low": low, "mean_high": high}
    for name, c in comparisons.items():
        rows.setdefault(name, {})
        rows[name] |= {column: getattr(c, column) for column in COLUMNS} | {"smallest_p": smallest_p(c.seeds)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("arm")


def listed(seeds: list[str], most: int = 5) -> str:
    return f"seeds {', '.join(seeds[:most])}{' ...' if len(seeds) > most else ''}"
