"""A Gaussian kernel by random Fourier features: closed forms for linear features then serve what is not linear."""

from collections.abc import Callable

import numpy as np

_WIDTH = 0.65  # of the kernel, in median distances of two examples
_SAMPLED = 2000


def fourier(
    vectors: Callable[[np.ndarray], list[np.ndarray]], examples: np.ndarray, seed: int, features: int = 3000
) -> Callable[[np.ndarray], np.ndarray]:
    """What turns some of the examples into features whose products come near a Gaussian kernel's, float32 (n, features).

    vectors: turns examples into their vectors, float (n, d); several for several versions of an example (such as its
    mirror image), over which the features are added up. Source: A. Rahimi and B. Recht, *Random Features for
    Large-Scale Kernel Machines* (NeurIPS 2007).
    """
    draw = np.random.default_rng([seed, 1])
    sample = vectors(examples[np.sort(draw.permutation(len(examples))[:_SAMPLED])])[0].astype(np.float64)
    half = len(sample) // 2
    distances = np.linalg.norm(sample[:half] - sample[half : 2 * half], axis=1)
    width = _WIDTH * (np.median(distances) if half else 1) or 1.0  # all examples alike: any width will do
    directions = (draw.standard_normal((sample.shape[1], features)) / width).astype(np.float32)
    phases = draw.uniform(0, 2 * np.pi, features).astype(np.float32)

    def cosines(some: np.ndarray) -> np.ndarray:
        found = np.zeros((len(some), features), np.float32)
        for version in vectors(some):
            angles = version.astype(np.float32) @ directions
            angles += phases
            found += np.cos(angles, out=angles)
        return found

    return cosines
