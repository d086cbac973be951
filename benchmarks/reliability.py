"""From how many epochs is a score of a measurement reliable?

    uv run benchmarks/reliability.py DIR

DIR is a learning record of several networks. Printed, for every score the record has the numbers for: Spearman's correlation of the
score of one network with that of another, mean over pairs, had the training ended after so many epochs (but for the learning
rate, which was on its way to a later end).
"""

import itertools
import sys

import numpy as np

from agreement import spearman
from agreement.record import LearningRecord
from curricula import SCORES

EPOCHS = (1, 2, 3, 5, 10, 20, 30, 60)


def main() -> None:
    record = LearningRecord(sys.argv[1])
    epochs = [each for each in EPOCHS if each <= record.epochs]
    print("epochs".ljust(14), *(f"{each:5}" for each in epochs))
    for name, score in SCORES.items():
        try:
            arrays = getattr(record, score.reads)("train")
        except ValueError:
            continue  # of an earlier version
        found = []
        for last in epochs:
            alone = [score.of(np.asarray(network[:last])[None]) for network in arrays]
            found.append(np.mean([spearman(one, other) for one, other in itertools.combinations(alone, 2)]))
        print(name.ljust(14), *(f"{rho:5.2f}" for rho in found), flush=True)


if __name__ == "__main__":
    main()
