"""Example statistics: numbers of an example within its data set, known before any network is trained. Lower is easier."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from metrics.versions import version

if TYPE_CHECKING:
    from metrics.shallow.examples import Examples
    from metrics.shallow.leave_one_out import Blocks

Images = np.ndarray | Sequence[np.ndarray]
POOL = 50_000  # examples among which neighbours are sought
STACKED = 500_000_000  # outputs, two bytes each
Progress = Callable[[int, int], object]


@version(1)
def shallow(images: Images, labels: np.ndarray, seed: int = 0, progress: Progress | None = None) -> np.ndarray:
    """How hard an example is to a shallow model that has seen all the others: float64 (N,) in 0..1, lower is easier.

    Ridge regression learns the classes from eight sets of features (``metrics.shallow.views``: responses to random
    patches of two sizes, kernels on these, directions of edges, colours), and once more from the outputs of these eight.
    The leave-one-out margin of an example is the output for its class of the regression on all *other* examples, less
    the largest output for another class; of an example with a set of classes, the least output for one of them. The
    value is the rank of the margins: half the mean rank of the eight, and half the rank of the last, which knows
    which of the eight to trust. Where the eight have more than 500 million outputs, the mean rank alone.

    Parameters
    ----------
    images : uint8, (N, H, W) or (N, H, W, 3), or a sequence of N such images of any sizes. All are brought to 32 x 32
        pixels.
    labels : (N,), one class each, of any type that numpy sorts; or bool (N, C), a set of classes each.
    seed : of the patches and of the random features. The same arguments give the same values, on one machine.
    progress : called as ``progress(done, total)``, with numbers of images, as work proceeds.

    Raises
    ------
    ValueError
        If there are fewer than two examples, the labels are of another shape, or an image is not uint8.

    Notes
    -----
    Patches as filters: Coates and Ng (ICML 2011). That shallow models know what networks learn first: Mangalam and
    Prabhu (2019). On the 50,000 images of CIFAR-10 it explains 71 % of the order in which DenseNet121 learns them
    (docs/scores.md). The time grows with N, memory stays under 2 GB.
    """
    from scipy.stats import rankdata  # here, because SciPy takes long to import

    from metrics.shallow.leave_one_out import leave_one_out_margins, moments

    examples, by_view, stacked = _by_views(images, labels, seed, progress)
    number = len(examples.labels)
    mean = np.mean([rankdata(-margin) for margin in by_view], axis=0)
    if stacked is not None:
        last = leave_one_out_margins(stacked, moments(stacked, examples.labels), examples.labels, 0.1 * number)
        mean = (mean + rankdata(-last)) / 2
    return (mean - 0.5) / number


@version(1)
def shallow_loss(images: Images, labels: np.ndarray, seed: int = 0, progress: Progress | None = None) -> np.ndarray:
    """The loss of an example to the last regression of `shallow`, which has seen all the others: float64 (N,) in nats.

    Its leave-one-out outputs, divided by a temperature, are taken for logits; the temperature is the one that makes the mean
    cross-entropy of all examples least (C. Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, section 4.2).
    Of a set of classes it is the mean binary cross-entropy over classes. It stands for the irreducible loss of
    ``curricula.dynamic.Rho``. Parameters and errors as for ``shallow``; ValueError where there are more than 500 million outputs.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    from metrics.shallow.leave_one_out import leave_one_out, moments

    examples, _, stacked = _by_views(images, labels, seed, progress)
    own = examples.labels
    if stacked is None:
        raise ValueError(f"shallow_loss of {len(own)} examples with {own.shape[1]} classes takes too much memory")
    parts = leave_one_out(stacked, moments(stacked, own), own, 0.1 * len(own))
    outputs = np.concatenate([found for _, found in parts])

    def losses(log_temperature: float) -> np.ndarray:
        logits = outputs / np.exp(log_temperature)
        if np.ndim(labels) == 2:
            return np.logaddexp(0, np.where(own, -logits, logits)).mean(axis=1)
        return logsumexp(logits, axis=1) - logits[own]

    return losses(minimize_scalar(lambda each: losses(each).mean(), bounds=(-5, 5), method="bounded").x)


@version(1)
def shallow_fast(images: Images, labels: np.ndarray, seed: int = 0, progress: Progress | None = None) -> np.ndarray:
    """`shallow` by the first of its eight sets of features only, responses to random patches of 8 pixels."""
    from scipy.stats import rankdata

    from metrics.shallow.leave_one_out import leave_one_out_margins
    from metrics.shallow.views import patch_views

    examples = _examples(images, labels, seed, 1, progress)
    blocks, found, ridge = next(patch_views(examples, side=8))
    margin = leave_one_out_margins(blocks, found, examples.labels, ridge)
    return (rankdata(-margin) - 0.5) / len(margin)


def difficulty_by_features(features: np.ndarray, labels: np.ndarray, ridge: float = 1000) -> np.ndarray:
    """How hard an example is to a ridge regression on given features that has seen all the others: float64 (N,) in 0..1, lower is easier.

    The rank of the leave-one-out margin, as of one of the sets of features of ``shallow``. features: float (N, D). labels: as
    for ``shallow``. Raises ValueError for other shapes, and where a feature is not finite.
    """
    from scipy.stats import rankdata

    from metrics.shallow.examples import classes_of
    from metrics.shallow.leave_one_out import Blocks, leave_one_out_margins, moments

    features = np.asarray(features, np.float64)
    if features.ndim != 2 or len(features) < 2 or not np.isfinite(features).all():
        raise ValueError(f"features must be finite numbers (examples, features), not of shape {features.shape}")
    classes = classes_of(labels, len(features))
    # blocks hold 16 bits, whose digits and range the features' own offset and unit would use up
    features = features - features.mean(axis=0)
    deviation = features.std(axis=0)
    standard = (features / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    blocks = Blocks(lambda rows: rows, standard)
    margin = leave_one_out_margins(blocks, moments(blocks, classes), classes, ridge)
    return (rankdata(-margin) - 0.5) / len(margin)


@version(1)
def neighbours(
    images: Images, labels: np.ndarray, seed: int = 0, progress: Progress | None = None, nearest: int = 30
) -> np.ndarray:
    """Share of the nearest neighbours that carry none of the example's classes: float64 (N,) in 0..1, lower is easier.

    Distances are between the first 256 principal components of the responses to random patches. Where there are more
    than 50,000 examples, neighbours are sought among 50,000 of them, drawn from the seed. Parameters and errors as for
    ``shallow``; nearest: how many neighbours, at most.
    """
    examples = _examples(images, labels, seed, 1, progress)
    components = _components(examples)
    pool = np.sort(np.random.default_rng([seed, 2]).permutation(len(components))[:POOL])
    known, lengths = components[pool], (components[pool] ** 2).sum(axis=1)
    wanted = min(nearest, len(pool) - 1)
    other = np.empty(len(components))
    for start in range(0, len(components), 1024):
        part = np.arange(start, min(start + 1024, len(components)))
        near = lengths - 2 * components[part] @ known.T
        itself = np.searchsorted(pool, part)
        row = np.flatnonzero(pool[np.minimum(itself, len(pool) - 1)] == part)
        near[row, itself[row]] = np.inf
        found = pool[np.argpartition(near, wanted - 1, axis=1)[:, :wanted]]
        other[part] = 1 - (examples.labels[found] & examples.labels[part][:, None]).any(axis=2).mean(axis=1)
    return other


@version(1)
def typicality(images: Images, labels: np.ndarray, seed: int = 0, progress: Progress | None = None) -> np.ndarray:
    """Distance to the mean of the other examples of the class: float64 (N,), lower is more typical. NaN for the only one of a class.

    Between principal components as in ``neighbours``; of several classes of its own, to the nearest. Parameters and
    errors as for ``shallow``.
    """
    examples = _examples(images, labels, seed, 1, progress)
    components = _components(examples).astype(np.float64)
    nearest = np.full(len(components), np.inf)
    for members in map(np.flatnonzero, examples.labels.T):
        if len(members) > 1:
            away = np.linalg.norm(components[members] - components[members].mean(axis=0), axis=1)
            away *= len(members) / (len(members) - 1)  # the mean without the example itself lies farther by this
            nearest[members] = np.minimum(nearest[members], away)
    return np.where(np.isinf(nearest), np.nan, nearest)


def clusters(images: Images, labels: np.ndarray, seed: int = 0, per_class: int = 20) -> np.ndarray:
    """A cluster of similar images for every example, int64 (N,): each class is cut into at most `per_class`.

    By k-means on the first 64 principal components of the responses to random patches. Of several classes of its own, an
    example counts to the rarest. An order that takes from all clusters in turn (``curricula.order``) begins with examples
    that are as varied as the whole. Parameters and errors as for ``shallow``.
    """
    from scipy.cluster.vq import kmeans2

    examples = _examples(images, labels, seed, 1, None)
    components = _components(examples)[:, :64].astype(np.float64)
    sizes = np.where(examples.labels, examples.labels.sum(axis=0), len(components) + 1)
    of_class = sizes.argmin(axis=1)
    found = np.empty(len(components), np.int64)
    begun = 0
    for members in (np.flatnonzero(of_class == each) for each in np.unique(of_class)):
        number = min(per_class, len(np.unique(components[members], axis=0)))
        found[members] = begun + kmeans2(components[members], number, minit="++", seed=seed)[1]
        begun += number
    return found


def _by_views(
    images: Images, labels: np.ndarray, seed: int, progress: Progress | None
) -> "tuple[Examples, list[np.ndarray], Blocks | None]":
    """The examples, leave-one-out margins (N,) of each set of features, and the outputs of all of them as features for a last regression.

    None for the latter where they are more than memory should hold.
    """
    from metrics.shallow.leave_one_out import Blocks, leave_one_out, margins
    from metrics.shallow.views import VIEWS

    sets = 2 * len(VIEWS)  # of features: every view has two
    examples = _examples(images, labels, seed, sets, progress)
    number, classes = examples.labels.shape
    stacking = sets * number * classes <= STACKED
    by_view, stacked = [], []
    for view in VIEWS.values():
        for blocks, found, ridge in view(examples):
            margin, kept = [], []
            for part, outputs in leave_one_out(blocks, found, examples.labels, ridge):
                margin.append(margins(outputs, examples.labels[part]))
                if stacking:
                    kept.append(outputs.astype(np.float16))
            by_view.append(np.concatenate(margin))
            if stacking:
                stacked.append(np.concatenate(kept))
    return examples, by_view, Blocks(lambda rows: rows, np.concatenate(stacked, axis=1)) if stacking else None


def _components(examples: "Examples") -> np.ndarray:
    from metrics.shallow.views import components_of, responses_of

    return components_of(*responses_of(examples), examples.seed)


def _examples(images: Images, labels: np.ndarray, seed: int, passes: int, progress: Progress | None) -> "Examples":
    from metrics.shallow.examples import Examples, classes_of, squares_of  # here, because SciPy takes long to import

    number, done = len(images), 0
    if number < 2:
        raise ValueError(f"an example statistic needs at least two examples, not {number}")

    def tick(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(min(done // passes, number), number)

    classes = classes_of(labels, number)
    tick(0)
    return Examples(squares_of(images), classes, seed, tick)
