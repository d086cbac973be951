"""How long the program takes before, after and beside its training: `--help`, and the default measurement.

    uv run benchmarks/startup.py [--program train.py] [--times 10]

The measurement is made twice in a folder of its own, so that the second finds a database and the images' statistics.
Training lasts from the moment the learning record is begun until its last epoch stands in it. Processor seconds are of
the program's first process, which the trainings and figures are not: they have processes of their own.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EPOCHS, NETWORKS = 16, 5  # of the default measurement
LOOK_SECONDS = 0.02


def help_seconds(program: Path, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, program, "--help"], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - begun)
    return taken


def measurement_seconds(program: Path, place: Path) -> dict[str, float]:
    """Seconds of a default measurement before, during and after training, and of the first process's processor."""
    begun, used = time.perf_counter(), processor()
    process = subprocess.Popen([sys.executable, program, "--mode", "measure", "--quiet"], cwd=place)
    trains = trained = 0.0
    while process.poll() is None:
        if not trains:
            trains = time.perf_counter() if list(place.glob("mlruns/unfinished/*/record/record.json")) else 0.0
        elif not trained:
            lines = [path.read_text().count("\n") for path in place.glob("mlruns/unfinished/*/record/*/epochs.jsonl")]
            trained = time.perf_counter() if lines == [EPOCHS] * NETWORKS else 0.0
        time.sleep(LOOK_SECONDS)
    if process.returncode or not trained:
        sys.exit("the measurement failed")
    ended = time.perf_counter()
    return {
        "before": trains - begun,
        "training": trained - trains,
        "after": ended - trained,
        "outside": trains - begun + ended - trained,
        "processor": processor() - used,
    }


def processor() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=Path(__file__).parents[1] / "train.py")
    parser.add_argument("--times", type=int, default=10, help="how often --help is timed")
    options = parser.parse_args()
    program = options.program.resolve()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users' Python keeps what it has compiled
    print(f"{os.cpu_count()} cores, {os.getloadavg()[0]:.1f} processes running beside this one before it began")
    if options.times:
        taken = help_seconds(program, options.times + 1)[1:]  # the first fills caches
        print(f"--help: median {np.median(taken):.2f} s, {min(taken):.2f} to {max(taken):.2f} of {len(taken)}")
    with tempfile.TemporaryDirectory() as place:
        for name in ("first measurement there", "again, with its statistics cached"):
            seconds = measurement_seconds(program, Path(place))
            print(f"{name}: " + ", ".join(f"{part} {value:.1f} s" for part, value in seconds.items()))


if __name__ == "__main__":
    main()
