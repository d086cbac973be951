"""Real trainings in Lightning, Hugging Face's Trainer and accelerate, watched and in an order."""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, TensorDataset

import agreement
from agreement import LearningRecord
from curricula import DYNAMIC, DynamicSampler, PacedSampler

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


KEPT = "the order of PacedSampler was not kept in steps"


def told_in(warned):
    return [str(each.message) for each in warned if KEPT in str(each.message)]


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


def test_lightning_says_where_batches_were_dropped(tmp_path, fit):
    from agreement.lightning import Watching

    def watched(**settings):
        loader = DataLoader(DATA, batch_sampler=a_sampler(steps_per_epoch=5))
        loader, watch = agreement.watch(loader, tmp_path / str(len(settings)))
        return fit(loader, [Watching(watch)], **settings)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert watched(max_epochs=3) == planned(30)[:15] and watched(max_epochs=3, max_steps=8) == planned(30)[:8]
        assert not told_in(warned)
        watched(max_epochs=3, limit_train_batches=2, log_every_n_steps=1)
    assert told_in(warned) == [f"{KEPT} 0 to 4: only 2 of 5 batches were trained, the others were dropped; steps_per_epoch= says how many an epoch takes"]  # fmt: skip


def dynamic(arm):
    """A sampler of 15 steps, and what it was told: index and weights of each step."""
    options = {"irreducible": np.linspace(0, 1, SIZE)} if arm == "rho" else {}
    sampler, told = DynamicSampler(arm, SIZE, 8, 15, seed=1, **options), []
    own = sampler.update

    def update(index, losses):
        weights = own(index, losses)
        told.append((index.tolist(), weights.tolist()))
        return weights

    sampler.update = update
    return sampler, told


def by_hand(arm):
    """What a plain loop tells the sampler, from the same weights of the network on."""
    sampler, told = dynamic(arm)
    torch.manual_seed(7)
    layer = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(layer.parameters(), 0.1)
    for _ in range(3):
        for batch in sampler:
            losses = torch.nn.functional.cross_entropy(layer(IMAGES[batch]), TARGETS[batch], reduction="none")
            optimizer.zero_grad()
            (sampler.update(torch.tensor(batch), losses) * losses).mean().backward()
            optimizer.step()
    return told


@pytest.mark.parametrize("arm", DYNAMIC)
def test_an_arm_decides_in_lightning_as_in_a_plain_loop(tmp_path, arm):
    lightning = pytest.importorskip("lightning")
    sampler, told = dynamic(arm)

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(7)
            self.layer = torch.nn.Linear(4, 2)

        def training_step(self, batch, _):
            index, (images, targets) = batch
            losses = torch.nn.functional.cross_entropy(self.layer(images), targets, reduction="none")
            return (sampler.update(index, losses) * losses).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, max_epochs=3,
    )  # fmt: skip
    trainer.fit(Net(), DataLoader(agreement.Indexed(DATA), batch_sampler=sampler))
    assert len(told) == 15
    same_but_for_prefetching(told, by_hand(arm))


def same_but_for_prefetching(told, plain):
    """The first pass is that of a plain loop. A loop that draws a batch ahead may begin the next pass with a loss less."""
    assert [sorted(index) for index, _ in told[:4]] == [sorted(index) for index, _ in plain[:4]]
    np.testing.assert_allclose([weights for _, weights in told[:4]], [weights for _, weights in plain[:4]], rtol=1e-5)


@pytest.mark.parametrize("arm", DYNAMIC)
def test_an_arm_decides_in_hugging_faces_trainer_as_in_a_plain_loop(trainer, arm):
    sampler, told = dynamic(arm)
    made = trainer({"learning_rate": 0.1, "lr_scheduler_type": "constant", "optim": "sgd", "max_grad_norm": 0.0, "weight_decay": 0.0}, batch_sampler=sampler)  # fmt: skip
    torch.manual_seed(7)
    made.model.layer.reset_parameters()
    made.train()
    assert len(told) == 15
    same_but_for_prefetching(told, by_hand(arm))


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
        settings = {"num_train_epochs": 3, "per_device_train_batch_size": 8, "save_strategy": "no"} | (arguments or {})
        given = transformers.TrainingArguments(str(tmp_path), report_to=[], use_cpu=True, disable_tqdm=True, **settings)
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


def test_hugging_faces_trainer_goes_through_the_plan(tmp_path, trainer, recwarn):
    made = trainer(batch_sampler=a_sampler(15), record=tmp_path / "record")
    assert made.train().global_step == 15
    assert made.model.seen == planned(15)
    assert not made.watch.table()["known"].eq(1).all()
    assert not told_in(recwarn)


def test_hugging_faces_trainer_goes_on_within_an_epoch(tmp_path, trainer, recwarn):
    stopped = trainer({"max_steps": 7, "save_strategy": "steps", "save_steps": 7}, batch_sampler=a_sampler(15))
    stopped.train()
    resumed = trainer(batch_sampler=a_sampler(15))
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-7"))
    assert stopped.model.seen + resumed.model.seen == planned(15)
    assert not told_in(recwarn)


def shuffled_again(loader):
    return DataLoader(loader.dataset, 8, shuffle=True, collate_fn=loader.collate_fn)


def sharded_twice(loader):
    shard = pytest.importorskip("accelerate.data_loader").BatchSamplerShard
    return DataLoader(loader.dataset, batch_sampler=shard(Halves(loader), 2, 0), collate_fn=loader.collate_fn)


class Halves(BatchSampler):
    """What a framework makes of the sampler that does not know its kind."""

    def __init__(self, loader):
        super().__init__(loader.batch_sampler, 8, False)

    def __iter__(self):
        return iter([*self.sampler])

    def __len__(self):
        return len(self.sampler)


def dropped(loader):
    return [batch for batch in loader][1:]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (shuffled_again, "32 of 40 examples trained were not planned, and 32 of 40 planned were not trained"),
        (sharded_twice, "only 3 of 5 batches were trained, one in 2: processes shared them out twice"),
        (dropped, "only 4 of 5 batches were trained, the others were dropped"),
    ],
)
def test_hugging_faces_trainer_says_where_the_order_is_not_kept(trainer, monkeypatch, change, told):
    from agreement.huggingface import WatchedTrainer

    whole = WatchedTrainer.get_train_dataloader
    monkeypatch.setattr(WatchedTrainer, "get_train_dataloader", lambda self: change(whole(self)))
    with pytest.warns(UserWarning, match=f"{KEPT} 0 to 4: {told}") as warned:
        trainer(batch_sampler=a_sampler(15)).train()
    assert len(told_in(warned)) == 1


def test_hugging_faces_trainer_without_either_is_as_it_was(trainer):
    made = trainer()
    assert made.train().global_step == 15 and made.watch is None


BEGIN = """
import json, os, sys
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset
from curricula import DYNAMIC, DynamicSampler, PacedSampler

folder, rank = sys.argv[1], int(os.environ.get("LOCAL_RANK", 0))
sampler = PacedSampler(np.arange(40)[::-1].copy(), 8, 15, "step", b=0.2)
data = TensorDataset(torch.arange(40))
numbered = TensorDataset(torch.arange(42), torch.arange(42) % 2)
drawn, told = [], None

def another():
    return DataLoader(data, batch_sampler=PacedSampler(np.arange(40), 8, 15))
"""
END = """
with open(f"{folder}/{rank}.json", "w") as file:
    json.dump([drawn, told], file)
"""
ACCELERATE = """
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration

from agreement.accelerate import watch

accelerator = Accelerator(cpu=True, dataloader_config=DataLoaderConfiguration(split_batches=True))
kept, watching = watch(accelerator, DataLoader(numbered, batch_size=8, shuffle=True), f"{folder}/record")
for _ in range(3):
    for _, targets in kept:
        watching(9 * torch.nn.functional.one_hot(targets, 2) - 4, targets)
paced = PacedSampler(np.arange(42), 8, 18)
kept, watching = watch(accelerator, DataLoader(numbered, batch_sampler=paced), f"{folder}/paced")
for _, targets in kept:
    watching(9 * torch.nn.functional.one_hot(targets, 2) - 4, targets)
loader = accelerator.prepare(DataLoader(data, batch_sampler=sampler))
drawn = [index.tolist() for _ in range(3) for (index,) in loader]
try:
    next(iter(Accelerator(cpu=True).prepare(another())))
except ValueError as error:
    told = str(error)
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

def trainer(**others):
    return lightning.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=3, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **others,
    )

class Watched(Net):
    def training_step(self, batch, _):
        numbers, targets = batch
        logits = 0 * self.layer(numbers[:, None].float()) + 9 * torch.nn.functional.one_hot(targets, 2) - 4
        return {"loss": logits.mean(), "logits": logits, "targets": targets}

import agreement
from agreement.lightning import Watching

# Lightning shares the examples of a plain loader out by itself
loader, watch = agreement.watch(DataLoader(numbered, batch_size=8, shuffle=True), f"{folder}/record")
trainer(callbacks=[Watching(watch)]).fit(Watched(), loader)
trainer(use_distributed_sampler=False).fit(Net(), DataLoader(data, batch_sampler=sampler))
kept, drawn = drawn, []
try:
    trainer().fit(Net(), another())
except ValueError as error:
    told = str(error)
drawn = kept
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
kept = list(drawn)
items = [{"number": torch.tensor(i), "labels": i % 2} for i in range(42)]
net = Net()
net.forward = lambda number, labels: {
    "loss": 0 * net.layer.weight.sum() + 0 * net.layer.bias.sum(), "logits": 9 * torch.nn.functional.one_hot(labels, 2) - 4
}
WatchedTrainer(net, arguments, train_dataset=items, record=f"{folder}/record").train()
drawn = kept
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "training", "told"),
    [
        ("accelerate", ACCELERATE, "set split_batches=True"),
        ("lightning", LIGHTNING, "set Trainer(use_distributed_sampler=False)"),
        ("transformers", TRANSFORMERS, None),
    ],
    ids=["accelerate", "lightning", "transformers"],
)
def test_two_processes_share_every_batch(tmp_path, package, training, told):
    """Or, by the package's default, the first batch says what to set."""
    pytest.importorskip(package)
    (tmp_path / "program.py").write_text(BEGIN + training + END)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "program.py", str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    drawn, answers = zip(*(json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)), strict=True)
    assert all(told in answer if told else answer is None for answer in answers)
    assert [a + b for a, b in zip(*drawn, strict=True)] == planned(15)
    assert KEPT not in done.stderr
    record = LearningRecord(
        tmp_path / "record"
    )  # 42 examples, which two processes in batches of eight cannot share equally
    assert record.epochs == 3 and record.is_complete("train") and record.correct("train").all()
    assert record.labels("train").tolist() == [i % 2 for i in range(42)]
