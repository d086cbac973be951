"""Classes that an order keeps from most batches."""

import numpy as np

from curricula import Arm
from lab.doubts import withheld


def test_a_class_that_comes_last_is_told_and_one_that_is_spread_is_not():
    """950 : 50, the rare class hardest: linear pacing lets it in at the end alone."""
    labels, sizes = np.repeat([0, 1], [950, 50]), np.linspace(100, 1000, 400).astype(int)
    last, spread = np.arange(1000), np.random.default_rng(0).permutation(1000)
    arms = [Arm("shuffled", 0, last, False), Arm("curriculum", 0, last, True), Arm("random", 0, spread, True)]
    (note,) = withheld(arms, labels, sizes, 100, ["many", "few"])
    # of the 400 steps 378 draw from the first 950 or fewer, and few of the others' batches hold one by chance
    assert note.startswith("curriculum: about 9") and "class 'few', 1% where" in note
    drawn = np.random.default_rng(1)
    batches = [drawn.permutation(size)[:100] for size in sizes]
    lacking = np.mean([not (labels[batch] == 1).any() for batch in batches])
    assert abs(float(note.split("%")[0].split()[-1]) / 100 - lacking) < 0.03
