"""Statistics, learned epochs and labels that look like real ones, for tests of what relates them."""

import numpy as np


def made_up(n: int, classes: int = 3, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Statistics with and without ties and gaps, learned epochs with ties and `inf`, labels; classes differ."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    difficulty = rng.normal(size=n) + labels
    learned = np.clip(np.round(4 + 2 * difficulty), 1, 12)
    learned[learned > 9] = np.inf
    gaps = difficulty + rng.normal(size=n)
    gaps[rng.random(n) < 0.2] = np.nan
    counts = np.round(difficulty + rng.normal(size=n))
    return {"continuous": difficulty + rng.normal(size=n), "counts": counts, "gaps": gaps}, learned, labels
