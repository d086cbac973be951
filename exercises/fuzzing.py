"""What the fuzzers share: atheris with seeds, so many inputs, a time and a memory limit for each, and a count of outcomes."""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import atheris

SECONDS = 10  # of processor time for one input, from which on it counts as a hang
WALL_SECONDS = 300  # the same for one that waits, on a machine that has other work
MEGABYTES = 4096


def fuzz(one_input: Callable[[bytes], str], seeds: list[bytes], largest: int, options: argparse.Namespace) -> None:
    """Call `one_input` with bytes that atheris makes of the seeds; it returns what became of them, in a word or two.

    Ends the process, with status 0 where all inputs came to an outcome; an exception that `one_input` lets through, a
    crash, SECONDS or MEGABYTES exceeded end it, and the input is kept as `crash-...` in the current folder.
    """
    outcomes: Counter[str] = Counter()
    began = slowest = 0.0

    def counted(data: bytes) -> None:
        nonlocal began, slowest
        began = began or time.perf_counter()
        before = time.process_time()
        outcomes[one_input(data)] += 1
        taken = time.process_time() - before
        assert taken < SECONDS, f"{taken:.1f} s for one input"
        slowest = max(slowest, taken)
        done = outcomes.total()
        if done % 10_000 == 0 or done == options.inputs:
            told = ", ".join(f"{outcome} {number:,}" for outcome, number in outcomes.most_common(12))
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{done:,} inputs in {time.perf_counter() - began:.0f} s, {time.process_time():.0f} s of the processor, slowest input {slowest:.2f} s, {peak:,} MB: {told}", flush=True)  # fmt: skip
        if done == options.inputs:
            os._exit(0)

    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    limits = [f"-timeout={WALL_SECONDS}", f"-rss_limit_mb={MEGABYTES}", f"-max_len={largest}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, f"-seed={options.seed}", "-verbosity=0"], counted)
    atheris.Fuzz()


def options(description: str, targets: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    if targets:
        parser.add_argument("target", choices=targets)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()
