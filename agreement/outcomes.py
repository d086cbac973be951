"""What a network made of a batch, from its logits: prediction, probability of the label, margin, error; and checks of what comes in."""

from typing import Any

import numpy as np

MOST_SETS = 62  # classes whose sets are whole numbers of 64 bits, one more than there are sets among them


Outcome = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def outcome(logits: np.ndarray, labels: np.ndarray, sets_of: int = 0) -> Outcome:
    """The predicted labels, the probability of the true ones, margin and error, see `LearningRecord`; each (B,).

    logits: float (B, C). labels: (B,) classes; with sets_of > 0 sets of that many classes, whose bit c says whether class c is
    there. A set is predicted where the logits are above 0; its probability is that of all its classes at once.
    """
    if sets_of:
        there = as_sets(labels, sets_of)
        right_way = np.where(there, logits, -logits.astype(np.float64))
        likely = 1 / (1 + np.exp(-right_way))  # of what is true for each class
        predicted = ((logits > 0) * (1 << np.arange(sets_of))).sum(axis=1)
        return predicted, likely.prod(axis=1), right_way.min(axis=1), np.linalg.norm(1 - likely, axis=1)
    rows = np.arange(len(labels))
    away = np.exp(logits - logits.max(axis=1, keepdims=True))
    away /= away.sum(axis=1, keepdims=True)
    true = away[rows, labels]
    away[rows, labels] -= 1
    others = logits.copy()
    others[rows, labels] = -np.inf
    return logits.argmax(axis=1), true, logits[rows, labels] - others.max(axis=1), np.linalg.norm(away, axis=1)


def as_sets(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels (N,) that are sets of classes, a bit each, as bool (N, classes)."""
    return (labels[:, None] >> np.arange(classes) & 1).astype(bool)


def check_shape(shape: tuple[int, ...], classes: int) -> None:
    """Raise ValueError unless logits of that shape are of (B, classes); of two classes one may do, (B,) or (B, 1)."""
    if len(shape) not in (1, 2):
        raise ValueError(f"logits must be (examples, classes), not of shape {tuple(shape)}")
    found = shape[1] if len(shape) == 2 else 1
    if found != classes and not (found == 1 and classes == 2):
        raise ValueError(f"logits of {found} classes, where the record has {classes}: give classes=")


def check_logits(logits: Any, classes: int) -> np.ndarray:
    """Logits as finite float32 (B, classes). One logit, (B,) or (B, 1), is that of class 1 against 0."""
    logits = logits.detach().float().numpy() if hasattr(logits, "detach") else np.asarray(logits, np.float32)
    check_shape(logits.shape, classes)
    logits = logits[:, None] if logits.ndim == 1 else logits
    if logits.shape[1] < classes:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    check_finite(np.isfinite(logits).all())
    return logits


def check_finite(finite: Any) -> None:
    if not finite:
        raise ValueError("logits are not finite: the training has diverged; a smaller learning rate may help")


def whole_numbers(values: Any, limit: int | None, what: str, kinds: str) -> np.ndarray:
    """Whole numbers from 0 to below a limit, int64 (n,), of arrays, tensors or lists whose dtype is one of `kinds`."""
    array = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{what} must be one whole number per example, not of shape {array.shape}")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind not in kinds:
        raise ValueError(f"{what} must be whole numbers, not {array.dtype} such as {array[0]!r}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"{what} must be whole numbers, and {(~np.isfinite(array)).sum()} of {len(array)} are missing or infinite"
        )
    if array.dtype.kind == "f" and (np.trunc(array) != array).any():
        raise ValueError(f"{what} must be whole numbers, not such as {array[np.trunc(array) != array][0]}")
    if array.min() < 0 or (limit is not None and array.max() >= limit):
        raise ValueError(f"{what} must be {bounds(limit)}, not {array.min() if array.min() < 0 else array.max()}")
    return array.astype(np.int64)


def bounds(limit: int | None) -> str:
    return "0 or more" if limit is None else f"in 0 to {limit - 1}"


def sets_of_classes(values: Any, what: str) -> np.ndarray:
    """Sets of classes, int64 (n,), whose bit c says whether class c is there, from 0 and 1 (n, C)."""
    array = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if array.ndim != 2 or array.shape[1] > MOST_SETS:
        raise ValueError(
            f"{what} must be 0 or 1 for each example and class, of at most {MOST_SETS}, not of shape {array.shape}"
        )
    if array.dtype.kind not in "iubf" or not np.isin(array, (0, 1)).all():
        raise ValueError(f"{what} must be 0 or 1 for each example and class")
    return (array.astype(np.int64) << np.arange(array.shape[1])).sum(axis=1)
