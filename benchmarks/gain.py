"""Do more reliable scores give larger gains?

    uv run benchmarks/gain.py scores RECORD scores.csv
    python train.py --mode curriculum --metric METRIC arms=shuffled,curriculum,random descending=false ...
    uv run benchmarks/gain.py draw scores.csv comparison.csv gain.png

`scores` writes learning times from the record of five or more networks: of one network and of five, after few epochs and after
all, and those of five after all with noise on their ranks; and prints the reliability of each and METRIC for the comparison.
Reliability is how the score would correlate with one made again in the same way: the mean correlation of two networks, stepped
up to more by Spearman and Brown's formula, times the share of the variance that is not noise. `draw` takes comparison.csv of
`--mode export`: a table, and a picture, of gains from a random order over reliability.
"""

import argparse
import itertools
import json
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
from scipy.stats import rankdata, spearmanr

from agreement import orders_by_network, spearman
from agreement.record import LearningRecord
from curricula.choice import stepped_up
from lab.report.plots.files import save

OF = [(1, 1), (1, None), (5, 1), (5, 3), (5, None)]  # networks and epochs, None for all
NOISY = (0.2, 0.4, 0.6, 0.8)  # reliabilities that noise leaves


def scores(record: LearningRecord, to: Path) -> None:
    correct = np.stack([np.asarray(each) for each in record.correct("train")])
    columns, about = {"id": record.ids("train")}, {}
    for networks, epochs in OF:
        times = orders_by_network(correct[:, :epochs])["learning_time"]
        alone = np.mean([spearman(one, other) for one, other in itertools.combinations(times, 2)])
        name = f"n{networks}e{epochs or record.epochs}"
        columns[name] = times[:networks].mean(axis=0)
        about[name] = stepped_up(float(alone), networks)
    best, draw = name, np.random.default_rng(0)
    ranks = rankdata(columns[best])
    for left in NOISY:
        deviation = ranks.std() * np.sqrt(about[best] / left - 1)
        columns[f"noise{left}"] = np.round(ranks + draw.normal(0, deviation, len(ranks)), 1)
        about[f"noise{left}"] = left
    pd.DataFrame(columns).to_csv(to, index=False)
    to.with_suffix(".json").write_text(json.dumps(about))
    for name, reliability in about.items():
        print(f"{name}: reliability {reliability:.2f}, with {best} {spearman(columns[name], columns[best]):+.2f}")
    print(",".join(f"file:{to}:{name}" for name in about))


def draw(about: dict[str, float], table: pd.DataFrame, picture: Path) -> None:
    rows = []
    for name, reliability in about.items():
        row = table[table.index.str.contains(f":{name} against random", regex=False)].iloc[0]
        kind = "noise added" if name.startswith("noise") else "fewer epochs or networks"
        rows.append((name, reliability, *(100 * row[["difference", "low", "high"]]), kind))
    found = pd.DataFrame(rows, columns=["score", "reliability", "gain", "low", "high", "kind"])
    print(found.round(2).to_string(index=False))
    print(
        f"rank correlation of gain and reliability over scores: {spearmanr(found['reliability'], found['gain']).statistic:.2f}"
    )
    base = alt.Chart(found).encode(
        x=alt.X("reliability:Q", title="reliability of the score", scale=alt.Scale(domain=[0, 1])),
        color=alt.Color("kind:N", title=None),
    )
    gains = alt.Y("gain:Q", title="test accuracy above a random order, points")
    chart = base.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q") + base.mark_point(filled=True, size=60).encode(
        y=gains
    )
    chart += base.mark_text(align="left", dx=7, dy=-6).encode(y=gains, text="score:N")
    save(
        chart,
        picture.parent,
        picture.stem,
        "Gain of easy first over a random order",
        "95 % intervals over seeds and test images",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    making = what.add_parser("scores")
    making.add_argument("record", type=Path)
    making.add_argument("to", type=Path)
    drawing = what.add_parser("draw")
    drawing.add_argument("scores", type=Path)
    drawing.add_argument("table", type=Path)
    drawing.add_argument("picture", type=Path)
    options = parser.parse_args()
    if options.what == "scores":
        scores(LearningRecord(options.record), options.to)
    else:
        about = json.loads(options.scores.with_suffix(".json").read_text())
        draw(about, pd.read_csv(options.table, index_col=0), options.picture)


if __name__ == "__main__":
    main()
