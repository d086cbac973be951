"""How much of the order of learning the statistics explain on examples held out."""

from collections.abc import Mapping

import numpy as np

from agreement._ranks import ordinal_codes, rank_residuals, rank_within
from agreement.correlation import check_table


def explained_variance(
    statistics: Mapping[str, np.ndarray],
    learned: np.ndarray,
    labels: np.ndarray,
    folds: int = 5,
    seed: int = 0,
) -> dict[str, float]:
    """Share of the variance of the learned epoch's rank that is explained on examples held out, by three models.

    - `statistics`: all statistics together, by least squares on their ranks, the squares and the products of these;
    - `classes`: the mean of each class;
    - `classes_and_statistics`: both (one intercept per class). Less `classes`, it is what the statistics add.

    and `n`, the number of examples that have every statistic; the others are left out. Ranks of statistics are the
    probability-scale residuals among the *training* examples, so a held-out image has no part in its own
    prediction, and they stay in -1..1, so none is far out. The folds are drawn at random within classes. R² is one
    minus the squared error of all held-out predictions over the squared deviation from the overall mean: 0 or slightly
    less where a model knows nothing, NaN where nothing varies or `n` is under `folds`.

    Shapes and errors as in `correlation_table`; ValueError also if `folds` is under 2.
    """
    values, learned, labels = check_table(statistics, learned, labels)
    if folds < 2:
        raise ValueError(f"folds must be at least 2, not {folds}")
    complete = ~np.isnan(values).any(axis=0)
    classes = ordinal_codes(labels[complete])
    n = len(classes)
    one_class = np.zeros(n, int)
    target = rank_residuals(rank_within(ordinal_codes(learned[complete]), one_class))
    codes = [ordinal_codes(column[complete]) for column in values]

    fold = _stratified_folds(classes, folds, seed)

    squared_error = np.zeros(3)
    for held_out in range(folds):
        train, test = np.flatnonzero(fold != held_out), np.flatnonzero(fold == held_out)
        if not (len(train) and len(test)):
            return {"n": n, "statistics": np.nan, "classes": np.nan, "classes_and_statistics": np.nan}
        columns = np.column_stack([target, *_quadratic([_residuals_among(code, train) for code in codes])])
        models = ((columns, one_class), (columns[:, :1], classes), (columns, classes))
        for model, (known, groups) in enumerate(models):
            predicted = _least_squares(known[train], groups[train], known[test, 1:], groups[test], groups.max() + 1)
            squared_error[model] += ((target[test] - predicted) ** 2).sum()
    spread = (target**2).sum()  # residuals have mean 0
    r2 = 1 - squared_error / spread if spread > 0 else np.full(3, np.nan)
    return {"n": n, "statistics": float(r2[0]), "classes": float(r2[1]), "classes_and_statistics": float(r2[2])}


def _stratified_folds(classes: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """A fold 0..folds-1 for each example, (n,): random, each class spread as evenly as it goes."""
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    by_class = shuffled[np.argsort(classes[shuffled], kind="stable")]
    fold = np.empty(len(classes), int)
    fold[by_class] = np.arange(len(classes)) % folds
    return fold


def _residuals_among(codes: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Probability-scale residual of every example among the training examples, (n,), from dense integer codes."""
    size = np.bincount(codes[train], minlength=codes.max() + 1)
    return ((2 * size.cumsum() - size - len(train)) / len(train))[codes]


def _quadratic(columns: list[np.ndarray]) -> list[np.ndarray]:
    """The columns, then their squares and products."""
    return columns + [a * b for i, a in enumerate(columns) for b in columns[i:]]


def _least_squares(
    columns: np.ndarray, group: np.ndarray, new: np.ndarray, new_group: np.ndarray, groups: int
) -> np.ndarray:
    """Predictions, (M,), of least squares with an intercept per group.

    Fitted to `columns` (n, 1 + P), the target first, and `group` (n,) in 0..groups-1; predicted for `new` (M, P) and
    `new_group` (M,). Centring within groups gives the same fit as one column per group, without the columns (Frisch,
    Waugh and Lovell). A group that the fit has not seen takes the overall mean.
    """
    from scipy.sparse import csr_array  # here: see `agreement`

    member = csr_array((np.ones(len(group)), group, np.arange(len(group) + 1)), shape=(len(group), groups))
    size, sums = member.sum(axis=0)[:, None], member.T @ columns
    means = np.where(size > 0, sums / np.maximum(size, 1), columns.mean(axis=0))
    centred = columns.T @ columns - means.T @ (size * means)
    # what is constant within groups leaves rounding noise there
    constant = np.flatnonzero(centred.diagonal() <= 1e-12 * (columns**2).sum(axis=0))
    centred[constant] = centred[:, constant] = 0
    # the normal equations do here: columns lie in -1..1; rcond because statistics may repeat each other
    slopes = np.linalg.lstsq(centred[1:, 1:], centred[1:, 0], rcond=1e-10)[0]
    intercept = means[:, 0] - means[:, 1:] @ slopes
    return intercept[new_group] + new @ slopes
