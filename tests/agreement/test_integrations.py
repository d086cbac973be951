"""Real trainings in Lightning, Hugging Face's Trainer and accelerate, watched and in an order."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import agreement
from agreement import LearningRecord
from curricula import PacedSampler

ROOT = Path(__file__).parents[2]
SIZE = 40
IMAGES = torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(0))
TARGETS = (IMAGES[:, 0] > 0).long()
DATA = TensorDataset(IMAGES, TARGETS)
ITEMS = [{"images": IMAGES[i], "labels": TARGETS[i], "number": i} for i in range(SIZE)]


def a_sampler(steps=30, **others):
    return PacedSampler(np.arange(SIZE)[::-1].copy(), 8, steps, "step", b=0.2, **others)


def planned(steps):
    return [batch.tolist() for batch in a_sampler(steps).arrays()]


@pytest.fixture
def fit(tmp_path):
    lightning = pytest.importorskip("lightning")

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(4, 2), []

        def training_step(self, batch, _):
            images, targets = batch
            self.seen.append([int((image == IMAGES).all(dim=1).nonzero()) for image in images])
            logits = self.layer(images)
            loss = torch.nn.functional.cross_entropy(logits, targets)
            return {"loss": loss, "logits": logits, "targets": targets}

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def fit(loader, callbacks, **settings):
        trainer = lightning.Trainer(
            accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=callbacks, default_root_dir=tmp_path, **settings,
        )  # fmt: skip
        net = Net()
        trainer.fit(net, loader)
        return net.seen

    return fit


@pytest.mark.parametrize("settings", [{}, {"limit_train_batches": 2}])
def test_lightning_is_watched(tmp_path, fit, settings):
    from agreement.lightning import Watching

    loader, watch = agreement.watch(DataLoader(DATA, batch_size=10, shuffle=True), tmp_path / "record")
    fit(loader, [Watching(watch)], max_epochs=3, **settings)
    record = LearningRecord(tmp_path / "record")
    assert record.epochs == watch.epochs == 3
    assert record.known("train").sum(axis=2).tolist() == [[20 if settings else SIZE] * 3]


def test_lightning_goes_through_the_plan(fit):
    loader = DataLoader(DATA, batch_sampler=a_sampler(steps_per_epoch=10))
    assert fit(loader, [], max_epochs=3) == planned(30)


def test_lightning_needs_the_logits(fit, tmp_path):
    from agreement.lightning import Watching

    with pytest.raises(ValueError, match="training_step must return"):
        Watching(None).on_train_batch_end(None, None, {"loss": 1}, None, 0)


@pytest.fixture
def trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from agreement.huggingface import WatchedTrainer

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(4, 2), []

        def forward(self, images, labels):
            if self.training:
                self.seen.append([int((image == IMAGES).all(dim=1).nonzero()) for image in images])
            logits = self.layer(images)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    def make(arguments=None, **others):
        settings = {"num_train_epochs": 3, "per_device_train_batch_size": 8} | (arguments or {})
        given = transformers.TrainingArguments(
            str(tmp_path), report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, **settings
        )
        return WatchedTrainer(Net(), given, train_dataset=ITEMS, eval_dataset=ITEMS, **others)

    return make


@pytest.mark.parametrize("workers", [0, 2])
def test_hugging_faces_trainer_is_watched(tmp_path, trainer, workers):
    made = trainer({"eval_strategy": "epoch", "dataloader_num_workers": workers}, record=tmp_path / "record")
    made.train()
    record = LearningRecord(tmp_path / "record")
    assert record.epochs == 3 and record.is_complete("train") and record.networks == ["Net"]
    assert record.labels("train").tolist() == TARGETS.tolist()
    assert (made.watch.table()["known"] == 1).all()


def test_hugging_faces_trainer_with_few_steps(tmp_path, trainer):
    made = trainer({"max_steps": 7}, record=tmp_path / "record")
    made.train()
    assert LearningRecord(tmp_path / "record").known("train").sum(axis=2).tolist() == [[SIZE, 16]]


def test_hugging_faces_trainer_goes_through_the_plan(tmp_path, trainer):
    made = trainer(batch_sampler=a_sampler(15), record=tmp_path / "record")
    assert made.train().global_step == 15
    assert made.model.seen == planned(15)
    assert not made.watch.table()["known"].eq(1).all()


def test_hugging_faces_trainer_without_either_is_as_it_was(trainer):
    made = trainer()
    assert made.train().global_step == 15 and made.watch is None


BEGIN = """
import json, os, sys
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset
from curricula import PacedSampler

folder, rank = sys.argv[1], int(os.environ.get("LOCAL_RANK", 0))
sampler = PacedSampler(np.arange(40)[::-1].copy(), 8, 15, "step", b=0.2)
data = TensorDataset(torch.arange(40))
drawn = []
"""
END = """
with open(f"{folder}/{rank}.json", "w") as file:
    json.dump(drawn, file)
"""
ACCELERATE = """
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration

accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(split_batches=SPLIT))
loader = accelerator.prepare(DataLoader(data, batch_sampler=sampler))
try:
    drawn = [index.tolist() for _ in range(3) for (index,) in loader]
except ValueError as error:
    drawn = str(error)
"""
LIGHTNING = """
import lightning

class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 2)

    def training_step(self, batch, _):
        drawn.append(batch[0].tolist())
        return self.layer(batch[0][:, None].float()).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

try:
    lightning.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=3, use_distributed_sampler=DISTRIBUTED, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    ).fit(Net(), DataLoader(data, batch_sampler=sampler))
except ValueError as error:
    drawn = str(error)
"""
TRANSFORMERS = """
from transformers import TrainingArguments
from agreement.huggingface import WatchedTrainer

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 2)

    def forward(self, number, labels):
        drawn.append(number.tolist())
        logits = self.layer(number[:, None].float())
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

arguments = TrainingArguments(
    folder, num_train_epochs=3, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True
)
items = [{"number": torch.tensor(i), "labels": i % 2} for i in range(40)]
trainer = WatchedTrainer(Net(), arguments, train_dataset=items, batch_sampler=sampler)
trainer.train()
try:
    WatchedTrainer(Net(), arguments, train_dataset=items, record=folder)
except ValueError as error:
    assert "a record is of one process, and this training has 2" in str(error)
else:
    raise AssertionError
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "training", "told"),
    [
        ("accelerate", ACCELERATE.replace("SPLIT", "True"), None),
        ("accelerate", ACCELERATE.replace("SPLIT", "False"), "set split_batches=True"),
        ("lightning", LIGHTNING.replace("DISTRIBUTED", "False"), None),
        ("lightning", LIGHTNING.replace("DISTRIBUTED", "True"), "set Trainer(use_distributed_sampler=False)"),
        ("transformers", TRANSFORMERS, None),
    ],
    ids=["accelerate", "accelerate by default", "lightning", "lightning by default", "transformers"],
)
def test_two_processes_share_every_batch(tmp_path, package, training, told):
    """Or the first batch says what to set."""
    pytest.importorskip(package)
    (tmp_path / "program.py").write_text(BEGIN + training + END)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "program.py", str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    drawn = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    if told:
        assert all(told in answer for answer in drawn)
    else:
        assert [a + b for a, b in zip(*drawn, strict=True)] == planned(15)
