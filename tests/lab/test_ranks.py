"""One network over two processes of torchrun on the CPU (gloo): the record is that of one process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from agreement.record import LearningRecord
from agreement.recorder import begin_record
from lab import networks, ranks
from lab.data import Images
from lab.errors import UserError
from lab.networks.fused import NormReluPool
from lab.processes import run_through
from lab.ranks import led, run_on_ranks
from lab.settings import compose
from lab.training import train_network

ROOT = Path(__file__).parents[2]
RECIPE = ["data=digits", "device=cpu", "precision=fp32", "epochs=3", "batch_size=25", "lr=0.02", "min_lr=0.001"]


def without_norm(channels: int, classes: int, size: int) -> nn.Module:
    side = ((size - 3) // 2 - 3) // 2
    return nn.Sequential(
        nn.Conv2d(channels, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(16 * side * side, classes),
    )  # fmt: skip


def training(folder: Path, name: str, words: tuple[str, ...]) -> tuple:
    """Arguments of `train_network` for a record in the folder."""
    config = compose([*RECIPE, *words])
    return 0, name, config, folder / "record", config.crop or 32, 1


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
    "synchronised": ("lenet5", ("sync_batchnorm=true",)),
    "not synchronised": ("lenet5", ()),
}


def all_cases(folder: Path) -> int:
    """What the two processes of torchrun run, on rank 0."""
    run_on_ranks(train_network, [training(folder / case, *about) for case, about in CASES.items()])
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
            run_through(train_network, training(folders[0] / case, *about))
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
def test_synchronised_batch_norm_is_that_of_one_process_and_its_own_batch_norm_is_not(records):
    one, synchronised = records["synchronised"]
    _, alone = records["not synchronised"]
    differ = [(one.predictions("train")[0] != other.predictions("train")[0]).mean() for other in (synchronised, alone)]
    assert differ[0] < 0.005 < differ[1]
    assert synchronised.series("test/loss") == pytest.approx(one.series("test/loss"), rel=0.01)
    assert alone.series("test/loss") == pytest.approx(one.series("test/loss"), rel=0.5)  # it trains as well


@pytest.fixture
def one_rank():
    """A group of this process alone, in which everything that speaks to other ranks runs."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize(("plain", "shape"), [(nn.BatchNorm1d(3), (8, 3)), (nn.BatchNorm2d(3), (4, 3, 6, 6)), (NormReluPool(3), (4, 3, 6, 6))])  # fmt: skip
def test_synchronised_batch_norm_equals_torchs(one_rank, plain, shape):
    """Outputs, gradients and running moments, in training and after it."""
    nn.init.uniform_(plain.weight)
    nn.init.uniform_(plain.bias)
    ours = ranks.synchronised(nn.Sequential(plain), torch.device("cpu"))[0]
    assert isinstance(ours, ranks.SyncNorm) and not isinstance(plain, ranks.SyncNorm)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 5
    results = []
    for norm in (plain, ours):
        given = x.clone().requires_grad_()
        out = norm(given)
        (out * torch.linspace(0, 1, out.numel()).view(out.shape)).sum().backward()
        results.append([out, given.grad, norm.weight.grad, norm.bias.grad, *norm.buffers(), norm.eval()(x)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


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


if __name__ == "__main__":
    networks.NETWORKS["without_norm"] = without_norm
    sys.exit(led(lambda: all_cases(Path(sys.argv[1]))))
