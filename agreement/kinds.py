"""Agreement apart for each kind of example, where an annotation sorts examples into kinds (illumination, rotation)."""

from collections.abc import Hashable

import numpy as np

from agreement.measures import check_correct


def agreement_by_kind(correct: np.ndarray, kinds: np.ndarray) -> dict[Hashable, np.ndarray]:
    """Fraction of the examples of each kind that all networks get right in each epoch, kind to (T,), kinds sorted.

    `correct` is boolean (K, T, N); `kinds` (N,) holds names or numbers, of which None and NaN belong to no kind. Counted
    against all examples of the kind, not only those that some network gets right: the paper's illumination and rotation
    in figures 5 and 7. Raises ValueError if shapes differ or `correct` is not boolean (K, T, N).

    >>> agreement_by_kind(np.array([[[True, False, True]]]), np.array(["top", "top", "side"]))
    {'side': array([1.]), 'top': array([0.5])}
    """
    import pandas as pd  # here: see `agreement`

    correct = check_correct(correct)
    kinds = np.asarray(kinds, None if isinstance(kinds, np.ndarray) else object)  # NaN among names would become one
    if kinds.shape != correct.shape[2:]:
        raise ValueError(f"kinds must have shape {correct.shape[2:]}, one per example, not {kinds.shape}")
    codes, names = pd.factorize(kinds, sort=True)
    known = codes >= 0
    sizes = np.bincount(codes[known], minlength=len(names))
    shared = [
        np.bincount(codes[known & correct[:, epoch].all(axis=0)], minlength=len(names))
        for epoch in range(correct.shape[1])
    ]
    return dict(zip(names.tolist(), np.transpose(shared) / sizes[:, None], strict=True))
