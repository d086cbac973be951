"""Share of the images that all networks get right, by the kinds that a data set annotates, such as the light of KTH-TIPS2b.

    uv run benchmarks/kinds.py DIR [--epochs 3 5 10 30 60] [--settings data=kth_tips2b root=data test_sample=c]

DIR is the learning record of a measurement of that data set. The share is that of `agreement.agreement_by_kind`, the
curves of the paper's figures 5 and 7. Intervals are Wilson's, over images; the networks stay the same.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from agreement.record import LearningRecord
from lab.compose import compose
from lab.data import load
from lab.statistics import kinds_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("--settings", nargs="+", default=["data=kth_tips2b", "root=data"], help="of the measurement")
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 5, 10, 30, 60])
    options = parser.parse_args()
    record = LearningRecord(options.record)
    data = load(compose(options.settings))
    for name, split in (("train", data.train), ("test", data.test)):
        if record.ids(name) != split.ids:
            raise SystemExit(f"{options.record} is of other {name} images than {' '.join(options.settings)}")
        right = np.stack([np.asarray(network) for network in record.correct(name)])  # (K, T, N)
        for annotation, values in kinds_of(split).items():
            for epoch in (each for each in options.epochs if each <= right.shape[1]):
                found = []
                for kind in np.unique(values):
                    all_right = right[:, epoch - 1, values == kind].all(axis=0)
                    inside = binomtest(int(all_right.sum()), len(all_right)).proportion_ci(method="wilson")
                    found.append(
                        f"{kind} {100 * all_right.mean():.0f} [{100 * inside.low:.0f}, {100 * inside.high:.0f}]"
                    )
                print(f"{name}, {annotation}, epoch {epoch}: {'; '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
