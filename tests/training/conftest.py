"""A learning record begun on real digits, ready for networks to be trained on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agreement.record import begin_record
from training.pixels import share


@pytest.fixture
def begun(tmp_path, few_digits) -> Callable[..., Path]:
    """Begins a record of the digits in a new folder, with the images shared beside it. Returns the record's folder."""

    def begin(name: str = "work", networks: tuple[str, ...] = ("lenet5",), digits=few_digits) -> Path:
        folder = tmp_path / name / "record"
        labels = {split: part[1] for split, part in digits.items()}
        ids = {split: [str(i) for i in range(len(part[1]))] for split, part in digits.items()}
        begin_record(folder, networks, list("0123456789"), labels, ids)
        for split, (images, _) in digits.items():
            share(images, folder.parent / split)
        return folder

    return begin
