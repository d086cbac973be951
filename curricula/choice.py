"""What a score is worth, by which to choose one: how reliable it is, how it goes along with the order of learning, what it finds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agreement.correlation import correlation_table, spearman

if TYPE_CHECKING:
    import pandas as pd

SPLITS = 10  # of the networks into halves


@dataclass(frozen=True)
class Candidate:
    """A score (N,), where it is from ("images", "examples", "published" or "measured"), and whether high is easy.

    seconds, passes: what it cost, NaN where that is not known; passes are over the data, in training. reliability: as a
    correlation, NaN where it is not known. half: the same score of half the networks, where it is of a measurement.
    """

    name: str
    source: str
    values: np.ndarray
    descending: bool
    seconds: float = np.nan
    passes: float = np.nan
    reliability: float = np.nan
    half: np.ndarray | None = None

    def hard(self, values: np.ndarray) -> np.ndarray:
        """Values such that high is hard."""
        return -values if self.descending else values


def reliability(read: Callable[[Sequence[int]], np.ndarray], networks: int, seed: int = 0) -> float:
    """How a score of so many networks would correlate with that of as many others, by split halves; NaN for one network.

    read: the score (N,) of some of the networks. Spearman's correlation between the scores of two halves, mean over
    SPLITS random splits, `stepped_up` to all networks.
    """
    half = networks // 2
    if half == 0:
        return float("nan")
    draw, found = np.random.default_rng(seed), []
    for _ in range(SPLITS if networks > 2 else 1):
        chosen = draw.permutation(networks)
        found.append(spearman(read(chosen[:half].tolist()), read(chosen[half : 2 * half].tolist())))
    return stepped_up(float(np.mean(found)), networks / half)


def stepped_up(rho: float, times: float) -> float:
    """The reliability of a score of so many times as many networks, from that of one, `rho` (Spearman 1910; Brown 1910)."""
    return times * rho / (1 + (times - 1) * rho)


def reliability_interval(
    read: Callable[[Sequence[int]], np.ndarray], networks: int, seed: int = 0
) -> tuple[float, float, float]:
    """`reliability`, and the ends of its 95 % interval over networks; NaN ends for fewer than four networks.

    The jackknife: each network is left out once. Differences are taken in Fisher's z of the correlation of one network
    with another, and Student's t has networks - 1 degrees of freedom (Efron 1982; Fisher 1921).
    """
    from scipy.stats import t

    known: dict[tuple[int, ...], np.ndarray] = {}

    def score(chosen: Sequence[int]) -> np.ndarray:
        key = tuple(sorted(chosen))
        if key not in known:
            known[key] = read(key)
        return known[key]

    def z_of_one(kept: list[int]) -> float:
        found, many = reliability(lambda chosen: score([kept[k] for k in chosen]), len(kept), seed), len(kept)
        return float(np.arctanh(np.clip(found / (many - (many - 1) * found), -1 + 1e-9, 1 - 1e-9)))

    whole = reliability(score, networks, seed)
    if networks < 4 or np.isnan(whole):
        return whole, float("nan"), float("nan")
    without = [z_of_one([k for k in range(networks) if k != left_out]) for left_out in range(networks)]
    half_width = t.ppf(0.975, networks - 1) * np.sqrt((networks - 1) * np.var(without))
    ends = np.tanh(z_of_one([*range(networks)]) + np.array([-1, 1]) * half_width)
    low, high = networks * ends / (1 + (networks - 1) * ends)
    return whole, float(low), float(high)


def area(suspicion: np.ndarray, wrong: np.ndarray) -> float:
    """Area under the curve of wrong labels found over right labels suspected: the chance that a wrong one is suspected more than a right one.

    suspicion: (N,), high is suspect; NaN is left out. wrong: bool (N,). NaN where no label is wrong, or none right.
    """
    from scipy.stats import rankdata  # here, because it takes long to import

    known = ~np.isnan(suspicion)
    wrong, number = wrong[known], int(wrong[known].sum())
    if number in (0, len(wrong)):
        return float("nan")
    ranks = rankdata(suspicion[known])
    return float((ranks[wrong].sum() - number * (number + 1) / 2) / (number * (len(wrong) - number)))


def choice_table(
    candidates: Sequence[Candidate],
    labels: np.ndarray,
    order: np.ndarray | None = None,
    of_other_half: np.ndarray | None = None,
    wrong: np.ndarray | None = None,
) -> "pd.DataFrame":
    """One row per score, by name, with what there is to choose by; numbers are NaN where they are not known.

    order (K, N): epochs in which each network of a measurement is wrong (see `agreement.epochs_wrong`); of_other_half: the same
    of the half that no candidate's `half` has seen. A score of the measurement is set against the latter, for with its own networks it would share their chance. wrong: bool
    (N,), which labels are wrong.

    Columns: source; easy, "high" or "low"; seconds, passes, reliability; rho, low, high and within_rho, within_low,
    within_high as in `agreement.correlation_table`, positive where what the score calls hard is learned late; area, see
    `area`; rho_NAME with each published difficulty, positive where both call the same hard; published, the mean of these.
    """
    import pandas as pd  # here, because it takes long to import

    table = pd.DataFrame(index=pd.Index([each.name for each in candidates], name="score"))
    table["source"] = [each.source for each in candidates]
    table["easy"] = ["high" if each.descending else "low" for each in candidates]
    for column in ("seconds", "passes", "reliability"):
        table[column] = [getattr(each, column) for each in candidates]
    columns = ["rho", "low", "high", "within_rho", "within_low", "within_high"]
    table[columns] = np.nan
    before = {each.name: each.hard(each.values) for each in candidates if each.source != "measured"}
    halves = {each.name: each.hard(each.half) for each in candidates if each.half is not None}
    for several, target in ((before, order), (halves, of_other_half)):
        if several and target is not None:
            found = correlation_table(several, target, labels)
            table.loc[found.index, columns] = found[columns]
    hard = {each.name: each.hard(each.values) for each in candidates}
    table["area"] = [np.nan if wrong is None else area(values, wrong) for values in hard.values()]
    published = [each.name for each in candidates if each.source == "published"]
    for other in published:
        table[f"rho_{other}"] = [
            np.nan if name == other else spearman(values, hard[other]) for name, values in hard.items()
        ]
    table["published"] = table[[f"rho_{name}" for name in published]].mean(axis=1) if published else np.nan
    return table
