"""A disk that fills up at many sizes, an MLflow server that dies in the middle, and several first runs at the same time.

    uv run exercises/faults.py disk --sizes 12      needs to be root: mounts a tmpfs
    uv run exercises/faults.py server --times 3
    uv run exercises/faults.py together

The program is started as by `kill.py`, whose --fork there is here too. After every fault there must be one line and exit
status 2, and the same command must then end as an undisturbed one. Exit status 1 where anything differs.
"""

import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kill import COMMANDS, STAGES, Program, differences, prepare_forks, snapshot, stage_of, write_digits

MEASURE = COMMANDS["measure"]


def ended(place: Path, words: list[str], fork: bool) -> None:
    status, error = Program(place, words, fork).wait()
    assert (status, error) == (0, ""), error


def report(what: str, expected: Any, place: Path) -> list[str]:
    found = list(differences(expected, snapshot(place)))
    print(f"{what}: {'; '.join(found) if found else 'then as undisturbed'}", flush=True)
    return found


def one_line(status: int, error: str) -> list[str]:
    wrong = status != 2 or not error.startswith("train.py: ") or "\n" in error
    return [f"exit status {status}: {error[-300:]}"] if wrong else []


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def disk(folder: Path, words: list[str], options: argparse.Namespace) -> list[str]:
    """The store and the cache lie on a disk that ends somewhere between nothing and all that the program needs."""
    ended(folder / "undisturbed", words, options.fork)
    expected, wrong = snapshot(folder / "undisturbed"), []
    # what it needs at most: what is left in the end, and the folder that it works in
    needed = int(1.6 * sum(path.stat().st_blocks * 512 for path in (folder / "undisturbed").rglob("*")))
    for number in range(options.sizes):
        place = folder / f"disk-{number}"
        with small_disk(place, size := needed * (number + 1) // (options.sizes + 1)):
            status, error = Program(place, words, options.fork).wait()
            print(f"{size / 1e6:.1f} MB, {stage_of(place) if status else 'enough'}: {error}", flush=True)
            if status:
                wrong += one_line(status, error)
                if not re.search(r"No space left|disk (is )?full|disk I/O error", error):
                    wrong.append(f"not told: {error[-300:]}")
            subprocess.run(["mount", "-o", f"remount,size={10 * needed}", place], check=True)
            if status:
                ended(place, words, options.fork)
            wrong += report("  with space", expected, place)
    return wrong


def start_server(folder: Path, port: int) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder}/mlruns/mlflow.db", "--artifacts-destination", folder / "artifacts"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )  # fmt: skip
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return process
        except OSError:
            assert process.poll() is None, "the server does not start"
            time.sleep(0.2)


def server(folder: Path, words: list[str], options: argparse.Namespace) -> list[str]:
    """The server is killed at a random moment once there are runs; the program ends in one line; both start again."""
    wrong, draw, expected = [], random.Random(options.seed), None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for number in range(options.times + 1):
        at = folder / f"server-{number}"
        (at / "mlruns").mkdir(parents=True)
        process = start_server(at, port)
        place = folder / f"place-{number}"
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        program = Program(place, words, options.fork)
        if expected is None:
            status, error = program.wait()
            assert status == 0, error
        else:
            wanted = STAGES[draw.choice([3, 4, 4, 5, 6])]
            while program.status() is None and STAGES.index(stage_of(place)) < STAGES.index(wanted):
                time.sleep(0.01)
            if program.status() is not None:
                wrong.append(f"server {number}: the program ended before its moment, {wanted}")
            os.killpg(process.pid, 9)
            process.wait()
            began = time.monotonic()
            status, error = program.wait()
            print(f"killed while {wanted}; {time.monotonic() - began:.0f} s later: {error}", flush=True)
            wrong += one_line(status, error)
            process = start_server(at, port)
            status, error = Program(place, words, options.fork).wait()
            wrong += [f"again: exit status {status}: {error}"] if status else []
        os.environ.pop("MLFLOW_TRACKING_URI")
        os.killpg(process.pid, 9)
        process.wait()
        if expected is None:
            expected = snapshot(at)
        else:
            wrong += report("  with the server back", expected, at)
    return wrong


def together(folder: Path, words: list[str], options: argparse.Namespace) -> list[str]:
    """Three measurements and a comparison that begin at once, in a folder where there is no store and no cache yet."""
    commands = [[*words, f"seed={seed}", f"name=seed {seed}"] for seed in range(3)]
    commands.append([*COMMANDS["curriculum"], words[-1]])
    expected: dict[str, Any] = {}
    for number, command in enumerate(commands):
        ended(folder / f"alone-{number}", command, options.fork)
        expected |= snapshot(folder / f"alone-{number}")
    place = folder / "together"
    place.mkdir()
    programs = []
    for number, command in enumerate(commands):  # their output goes into files of their own
        (folder / f"view-{number}").symlink_to(place)
        programs.append(Program(folder / f"view-{number}", command, options.fork))
    wrong = []
    for program in programs:
        status, error = program.wait()
        wrong += [f"exit status {status}: {error}"] if status or error else []
    return wrong + report(f"{len(commands)} at once", expected, place)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fault", choices=["disk", "server", "together"])
    parser.add_argument("--sizes", type=int, default=12, help="of the disk")
    parser.add_argument("--times", type=int, default=3, help="that the server dies")
    parser.add_argument("--fork", action="store_true", help="do not import everything again every time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for key in [key for key in os.environ if key.startswith("MLFLOW")]:
        del os.environ[key]
    if options.fork:
        prepare_forks()
    folder = Path(tempfile.mkdtemp())
    try:
        write_digits(folder / "digits")
        wrong = {"disk": disk, "server": server, "together": together}[options.fault](
            folder, [*MEASURE, f"root={folder}/digits"], options
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(wrong) or "all ended as the undisturbed ones")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
