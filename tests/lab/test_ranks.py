"""One network over two processes of torchrun on the CPU (gloo): the record is that of one process."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from agreement.record import LearningRecord
from agreement.recorder import begin_record
from lab import networks, ranks
from lab.compose import compose
from lab.data import Images
from lab.errors import UserError
from lab.measured import Measured
from lab.processes import run_through
from lab.ranks import led, run_on_ranks
from lab.training import Recipe, train

ROOT = Path(__file__).parents[2]
RECIPE = ["data=digits", "device=cpu", "precision=fp32", "epochs=3", "batch_size=25", "lr=0.02", "min_lr=0.001"]


def without_norm(channels: int, classes: int, size: int) -> nn.Module:
    side = ((size - 3) // 2 - 3) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * side * side, classes),
    )  # fmt: skip


def training(folder: Path, name: str, words: tuple[str, ...]) -> tuple:
    """Arguments of `train` for a record in the folder."""
    config = compose([*RECIPE, *words])
    plan = Measured(folder / "record", 0, config.seed, config.record == "after")
    return plan, name, Recipe.of(config), config.crop or 32, 1


def begin(folder: Path, digits) -> None:
    begin_record(
        folder / "record", ["a network"], list("0123456789"), {split: labels for split, (_, labels) in digits.items()},
        {split: [str(i) for i in range(len(labels))] for split, (_, labels) in digits.items()},
    )  # fmt: skip
    for split, (images, _) in digits.items():
        Images.of(images).save(folder / split)


CASES = {
    "without batch-norm": ("without_norm", ()),
    "with crops, recorded after": ("without_norm", ("crop=28", "record=after")),
    "with batch-norm of its own in each": ("lenet5", ()),
}


def all_cases(folder: Path) -> int:
    """What the two processes of torchrun run, on rank 0."""
    run_on_ranks(train, [training(folder / case, *about) for case, about in CASES.items()])
    return 0


@pytest.fixture(scope="module")
def records(few_digits, tmp_path_factory) -> dict[str, tuple[LearningRecord, LearningRecord]]:
    """By case, the record of one process and that of two."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for folder in folders:
        for case in CASES:
            (folder / case).mkdir()
            begin(folder / case, few_digits)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks.NETWORKS, "without_norm", without_norm)
        for case, about in CASES.items():
            run_through(train, training(folders[0] / case, *about))
    torch.set_num_threads(before)
    torchrun(Path(__file__), folders[1])
    return {case: tuple(LearningRecord(folder / case / "record") for folder in folders) for case in CASES}


def torchrun(*words: object, status: int = 0, cwd: Path | None = None) -> str:
    """Run a program in two processes. Returns what it printed on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True, capture_output=True, timeout=500, cwd=cwd,
    )  # fmt: skip
    assert bool(done.returncode) == bool(status), done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("case", ["without batch-norm", "with crops, recorded after"])
def test_the_record_is_that_of_one_process(records, case):
    """Predictions are equal; sums in another order may move a probability to the next of its 255 steps."""
    one, two = records[case]
    assert two.epochs == 3 and two.correct("train")[0, -1].mean() > 0.4
    for split in ("train", "test"):
        assert np.array_equal(one.predictions(split)[0], two.predictions(split)[0])
        apart = np.abs(one.probability(split)[0].astype(int) - two.probability(split)[0])
        assert apart.max() <= 1
        for kind in ("loss", "accuracy"):
            assert two.series(f"{split}/{kind}") == pytest.approx(one.series(f"{split}/{kind}"), rel=1e-4)


@pytest.mark.slow
def test_batch_norm_sees_the_part_of_its_process_and_trains_all_the_same(records):
    one, two = records["with batch-norm of its own in each"]
    assert (one.predictions("train")[0] != two.predictions("train")[0]).mean() > 0.005
    assert two.series("test/loss") == pytest.approx(one.series("test/loss"), rel=0.5)


def alone(place: Path, rank: int, *words: str) -> subprocess.Popen:
    """The program as one of two processes of torchrun, of which the other does not come."""
    meeting = {
        "RANK": str(rank),
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "TORCHELASTIC_RUN_ID": "x",
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting["MASTER_PORT"] = str(free.getsockname()[1])
    return subprocess.Popen(
        [sys.executable, ROOT / "train.py", *words], env={**os.environ, **meeting}, cwd=place, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("words", [["--mode", "list"], ["--help"], ["--print-config"], ["--mode", "no"]])
def test_what_does_not_train_waits_for_nobody(tmp_path, words):
    first, second = (alone(tmp_path, rank, *words) for rank in (0, 1))
    output, error = first.communicate(timeout=100)
    assert bool(output) != bool(error) and first.returncode == (2 if error else 0)
    assert second.communicate(timeout=100) == ("", "") and second.returncode == 0


@pytest.mark.slow
def test_waiting_says_for_whom_and_ends_at_a_signal(tmp_path):
    waiting = alone(tmp_path, 0, "--mode", "measure")
    assert waiting.stderr.readline().startswith(
        "waiting for all 2 processes of torchrun (WORLD_SIZE) to meet at 127.0.0.1:"
    )
    waiting.send_signal(signal.SIGINT)
    waiting.communicate(timeout=20)
    assert waiting.returncode == -signal.SIGINT


def test_shares_are_the_whole_batch_in_order(monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 3)
    for size in (6, 7, 8, 128):
        taken, weights = [], []
        for rank in range(3):
            monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
            part = ranks.share(size)
            taken += range(size)[part]
            weights.append(ranks.weight(size, part))
        assert taken == list(range(size))
        assert np.mean(weights) == pytest.approx(1)
    with pytest.raises(UserError, match="a batch of 5 is too small for 3 processes"):
        ranks.share(5)


@pytest.mark.slow
def test_no_thread_of_the_group_is_left_when_a_rank_ends(tmp_path, few_digits):
    """One that is still alive while Python ends takes the process with it (SIGABRT), now and then."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        begin(tmp_path / name, few_digits)
    torchrun(Path(__file__), "threads", tmp_path)
    for rank in (0, 1):
        before, after = json.loads((tmp_path / f"threads-{rank}").read_text())
        assert not [name for name in after if "gloo" in name or "tcp" in name], (before, after)
        assert len(after) < len(before)


def threads() -> list[str]:
    return sorted(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))


def train_and_count(folder: Path) -> int:
    """Trains, and notes which threads of each process are there before it leaves the group and after."""
    rank, before, leave = os.environ["RANK"], [], ranks.leave

    def left() -> None:
        before.extend(threads())
        leave()

    ranks.leave = left
    status = led(lambda: run_on_ranks(train, [training(folder / name, "lenet5", ()) for name in ("a", "b")]) or 0)
    (folder / f"threads-{rank}").write_text(json.dumps([before, threads()]))
    return status


if __name__ == "__main__":
    networks.NETWORKS["without_norm"] = without_norm
    if sys.argv[1] == "threads":
        sys.exit(train_and_count(Path(sys.argv[2])))
    sys.exit(led(lambda: all_cases(Path(sys.argv[1]))))
