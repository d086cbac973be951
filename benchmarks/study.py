"""The study of docs/study.md: arms at equal cost on CIFAR-10, by budget, wrong labels, imbalance and network.

    uv run benchmarks/study.py --root data --to study [lenet5-5 lenet5-5-noise ...]

runs the comparison of each cell, all of them or those named, exports it to a folder of `--to`, and prints the tables of all that
lie there. Finished trainings are not trained again, so that an interrupted study goes on with the same command.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

ALWAYS = "--mode curriculum --metric shallow variety=clusters data=cifar10 epochs=4 seeds=10 drop=hard,easy,random"
ARMS = {
    "lenet5": "evaluations=10 arms=shuffled,random,curriculum,self_paced,infobatch,rho,hard_first,superloss,dihcl",
    "resnet8": "network=resnet8 evaluations=5 arms=shuffled,random,curriculum,superloss",
}
KINDS = {"": "", "-noise": "label_noise=0.4", "-imbalance": "imbalance=50"}
CELLS = {
    f"{network}-{budget}{kind}": f"{ALWAYS} {arms} budget={budget / 100} {extra}".split()
    for network, arms in ARMS.items()
    for kind, extra in KINDS.items()
    for budget in (5, 20, 100)
}


def ran(cell: str, root: str, to: Path) -> None:
    program = [sys.executable, str(Path(__file__).parents[1] / "train.py")]
    done = subprocess.run([*program, *CELLS[cell], f"root={root}", "--json"], check=True, stdout=subprocess.PIPE)
    run = json.loads(done.stdout)["run"]
    subprocess.run([*program, "--mode", "export", f"run={run}", f"to={to / cell}"], check=True)


def column(folder: Path) -> pd.Series:
    """One cell's entries: accuracy of shuffled, then differences with their intervals, bold where the corrected test shows one."""
    table = pd.read_csv(next(folder.rglob("comparison.csv")), index_col="arm")
    entries = {"shuffled, %": f"{100 * table.loc['shuffled', 'test_at_best']:.1f}"}
    for arm, row in table.dropna(subset="difference").iterrows():
        difference, low, high = (f"{100 * row[end]:+.2f}" for end in ("difference", "low", "high"))
        shown = row["corrected_p"] < 0.05 and float(low) * float(high) > 0
        entries[str(arm)] = f"{'**' if shown else ''}{difference}{'**' if shown else ''} [{low}, {high}]"
    return pd.Series(entries, name=folder.name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", choices=[*CELLS, []], metavar="CELL", help=", ".join(CELLS))
    parser.add_argument("--root", default="data", help="folder of CIFAR-10, as root= of the program")
    parser.add_argument("--to", type=Path, default=Path("study"), help="folder for the results")
    options = parser.parse_args()
    for cell in options.cells or CELLS:
        ran(cell, options.root, options.to)
    for network in ARMS:
        for kind in KINDS:
            cells = [cell for budget in (5, 20, 100) if (options.to / (cell := f"{network}-{budget}{kind}")).is_dir()]
            if cells:
                table = pd.concat([column(options.to / cell) for cell in cells], axis=1).fillna("")
                lines = [("arm", *cells), ("---",) * (1 + len(cells)), *table.itertuples()]
                print("".join(f"| {' | '.join(line)} |\n" for line in lines))
