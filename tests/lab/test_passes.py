"""Passes of a network over examples: the same whatever the steps, and whether or not a GPU captures them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import passes
from lab.batches import Batches, errors_of, losses_of, margins_of
from lab.data import Images
from lab.passes import WARM, Pass

CPU, CLASSES = torch.device("cpu"), 4


def made(folder, examples: int) -> tuple[Pass, torch.Tensor, torch.Tensor]:
    """A pass that trains nothing, its logits (N, CLASSES), and the labels."""
    draw = np.random.default_rng(examples)
    Images.of(draw.integers(256, size=(examples, 4, 4, 1), dtype=np.uint8)).save(folder / "train")
    batches = Batches(Images.open(folder / "train"), draw.integers(CLASSES, size=examples), CPU)
    weights = torch.from_numpy(draw.normal(size=(16, CLASSES))).float()

    def run(images, targets):
        logits = images.flatten(1) @ weights
        return logits, losses_of(logits, targets)

    logits = batches.get(torch.arange(examples))[0].flatten(1) @ weights
    return Pass(batches, run), logits, batches.labels


@settings(deadline=None)
@given(st.data())
def test_what_is_seen_does_not_hang_on_the_steps(tmp_path_factory, data):
    examples = data.draw(st.integers(1, 20))
    done, logits, labels = made(tmp_path_factory.mktemp("pass"), examples)
    for _ in range(2):  # a pass can be begun again
        index = torch.tensor(data.draw(st.lists(st.integers(0, examples - 1), min_size=1, max_size=50)))
        steps = index.split(data.draw(st.integers(1, 9)))
        done.begin()
        done.add(steps[:2])
        for step in steps[:2]:
            done.step(len(step))
        done.add(steps[2:])  # and grow as it goes
        for step in steps[2:]:
            done.step(len(step))
        seen = done.seen()
        assert torch.equal(seen.index, index) and torch.equal(seen.found, logits.argmax(dim=1)[index])
        for found, of in ((seen.losses, losses_of), (seen.margins, margins_of), (seen.errors, errors_of)):
            torch.testing.assert_close(found, of(logits, labels)[index])


def test_nothing_is_seen_of_no_steps(tmp_path):
    done, *_ = made(tmp_path, 3)
    done.add([])
    assert [len(each) for each in done.seen()] == [0] * 5


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_where_steps_cannot_be_captured_they_run_as_they_are_and_a_line_says_so(tmp_path):
    """Here there is no GPU, so that capture fails as it does for a network that looks at its data."""
    done, logits, labels = made(tmp_path, 20)
    done.graphs = True
    steps = torch.arange(20).split(2)
    done.add(steps)
    with pytest.warns(UserWarning, match="not captured as CUDA graphs"):
        for step in steps:
            done.step(len(step))
    torch.testing.assert_close(done.seen().losses, losses_of(logits, labels))


def test_captured_steps_are_replayed_after_a_few(tmp_path, monkeypatch):
    """A graph reads the place of its step from the device: one that was captured once does all the steps that follow."""
    replayed = []

    class Replays:  # what a CUDA graph does, on the CPU
        def __init__(self, own):
            self.replay = lambda: (replayed.append(own.done), own.plain(4))

    monkeypatch.setattr(passes.Pass, "capture", lambda own, size: own.captured.update({size: Replays(own)}))
    done, logits, labels = made(tmp_path, 20)
    done.graphs = True
    steps = torch.arange(20).split(4)
    for _ in range(2):
        done.begin()
        done.add(steps)
        for step in steps:
            done.step(len(step))
        torch.testing.assert_close(done.seen().losses, losses_of(logits, labels))
    assert replayed == [4 * step for step in (*range(WARM, 5), *range(5))]
