"""Views of the images: features from which ridge regression learns the classes, each by itself."""

from collections.abc import Callable, Iterator

import numpy as np

from metrics.shallow.colours import histogram, layout
from metrics.shallow.directions import directions
from metrics.shallow.examples import Examples
from metrics.shallow.fourier import fourier
from metrics.shallow.leave_one_out import Blocks, Moments, moments
from metrics.shallow.patches import patches

COMPONENTS = 256
Features = tuple[Blocks, Moments, float]  # features, their moments, and the ridge


def patch_views(examples: Examples, side: int) -> Iterator[Features]:
    """Responses to random patches of `side` pixels; then a Gaussian kernel on their principal components."""
    responses, found = responses_of(examples, side)
    yield responses, found, 1000
    components = components_of(responses, found, examples.seed)
    yield kernel(examples, components, lambda rows: [rows])


def direction_views(examples: Examples) -> Iterator[Features]:
    """A Gaussian kernel on histograms of oriented gradients, in large cells; then in small ones."""
    yield kernel(examples, examples.squares, both(lambda squares: directions(squares, 8)))
    yield kernel(examples, examples.squares, both(lambda squares: directions(squares, 4)))


def colour_views(examples: Examples) -> Iterator[Features]:
    """A Gaussian kernel on where colours are; then on which there are."""
    yield kernel(examples, examples.squares, both(layout))
    yield kernel(examples, examples.squares, both(histogram))


VIEWS: dict[str, Callable[[Examples], Iterator[Features]]] = {
    "patches": lambda examples: patch_views(examples, 8),
    "wide patches": lambda examples: patch_views(examples, 12),
    "directions": direction_views,
    "colours": colour_views,
}


def responses_of(examples: Examples, side: int = 8) -> tuple[Blocks, Moments]:
    """The features of `patches`, and their moments."""
    responses = Blocks(patches(examples.squares, examples.seed, side), examples.squares, examples.tick)
    return responses, moments(responses, examples.labels)


def components_of(responses: Blocks, found: Moments, seed: int) -> np.ndarray:
    """The first 256 principal components of the standardised responses, float32 (N, at most 256)."""
    if found.rows is not None:
        products = found.rows @ found.rows.T
        vectors = principal_vectors(products, COMPONENTS, seed)
        return (vectors * np.linalg.norm(vectors.T @ found.rows, axis=1)).astype(np.float32)
    assert found.correlations is not None
    vectors = principal_vectors(found.correlations.astype(np.float32), COMPONENTS, seed)
    inwards = (vectors / found.deviation[:, None]).astype(np.float32)
    centre = (found.mean @ inwards).astype(np.float32)
    return np.concatenate([block @ inwards - centre for _, block in responses])


def principal_vectors(matrix: np.ndarray, number: int, seed: int) -> np.ndarray:
    """The eigenvectors of the largest eigenvalues of a symmetric matrix (D, D), largest first: (D, at most `number`).

    By subspace iteration, to some digits: N. Halko, P. Martinsson and J. Tropp, *Finding Structure with Randomness*
    (SIAM Review 2011), algorithm 4.4.
    """
    width = min(len(matrix), number + number // 4)
    space = np.random.default_rng([seed, 3]).standard_normal((len(matrix), width)).astype(matrix.dtype)
    for _ in range(6):
        space = np.linalg.qr(matrix @ space)[0]
    _, within = np.linalg.eigh(space.T @ matrix @ space)
    return space @ within[:, ::-1][:, :number]


def kernel(examples: Examples, rows: np.ndarray, vectors: Callable[[np.ndarray], list[np.ndarray]]) -> Features:
    """Features of a Gaussian kernel on the vectors of some rows, one row an example, see `fourier`."""
    blocks = Blocks(fourier(vectors, rows, examples.seed), rows, examples.tick)
    return blocks, moments(blocks, examples.labels), 3000


def both(vectors: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], list[np.ndarray]]:
    """The vectors of squares, and those of their mirror images."""
    return lambda squares: [vectors(squares), vectors(squares[:, :, ::-1])]
