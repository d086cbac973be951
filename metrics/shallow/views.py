"""Views of an image: each a set of features, from which ridge regression learns the classes by itself."""

from collections.abc import Callable

import numpy as np

from metrics.shallow.bank import Bank
from metrics.shallow.fourier import fourier
from metrics.shallow.layout import layout
from metrics.shallow.leave_one_out import Blocks, Moments, moments
from metrics.shallow.orientation import orientation

View = Callable[[Bank], tuple[Blocks, Moments, float]]  # features, their moments, and the ridge


def filters(bank: Bank) -> tuple[Blocks, Moments, float]:
    """Responses to random patches, as they are."""
    return bank.responses, bank.moments, 1000


def kernel(bank: Bank) -> tuple[Blocks, Moments, float]:
    """A Gaussian kernel on the principal components of these responses."""
    return _kernel(bank, lambda components: [components], bank.components)


def directions(bank: Bank) -> tuple[Blocks, Moments, float]:
    """A Gaussian kernel on histograms of oriented gradients, of the image and its mirror image."""
    return _kernel(bank, lambda squares: [orientation(squares), orientation(squares[:, :, ::-1])], bank.squares)


def colours(bank: Bank) -> tuple[Blocks, Moments, float]:
    """A Gaussian kernel on the layout of colours, of the image and its mirror image."""
    return _kernel(bank, lambda squares: [layout(squares), layout(squares[:, :, ::-1])], bank.squares)


def _kernel(
    bank: Bank, vectors: Callable[[np.ndarray], list[np.ndarray]], examples: np.ndarray
) -> tuple[Blocks, Moments, float]:
    blocks = Blocks(fourier(vectors, examples, bank.seed), examples, bank.tick)
    return blocks, moments(blocks, bank.labels), 3000


VIEWS: dict[str, View] = {"filters": filters, "kernel": kernel, "directions": directions, "colours": colours}
