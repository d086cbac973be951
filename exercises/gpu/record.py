"""A measurement whose networks are trained on a machine that has torch and a GPU, and nothing else.

    uv run exercises/gpu/record.py pack DIR data=cifar10 root=data network=densenet121 random_labels=1
    python exercises/gpu/record.py train DIR                      on the GPU; goes on where it was cut off
    python train.py --mode report record=DIR/record data=cifar10 root=data

`pack` takes the settings of `--mode measure`, and begins the learning record in DIR. The pixels lie in files of under 60 MB, so that they
can be sent in parts. `train` needs torch and torchvision, but neither MLflow nor OmegaConf.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from agreement.record import SPLITS, LearningRecord, read_epochs, save_array
from lab.measured import Measured
from lab.processes import in_turn, run_through
from lab.training import Recipe, train

PIECE = 16 * 2**20  # pixels in a file


def pack(folder: Path, words: list[str]) -> None:
    from lab.compose import compose
    from lab.measure import data_of, lay_out

    settings = compose(words)
    settings = replace(
        settings, device="cuda", precision="bf16" if settings.precision == "auto" else settings.precision
    )
    data, _ = data_of(settings)
    folder.mkdir(parents=True, exist_ok=True)
    lay_out(settings, data, folder / "record")
    for split in SPLITS:
        whole = folder / f"{split}-pixels.npy"
        pixels = np.load(whole, mmap_mode="r", allow_pickle=False)
        for begin in range(0, len(pixels), PIECE):
            np.savez_compressed(folder / f"{split}-{begin:012}.npz", pixels=pixels[begin : begin + PIECE])
        whole.unlink()
    about = {
        "seed": settings.seed,
        "after": settings.record == "after",
        "size": data.size(settings.crop),
        "names": settings.architectures,
        "recipe": asdict(Recipe.of(settings)),
    }
    (folder / "training.json").write_text(json.dumps(about, indent=1))


def unpack(folder: Path) -> None:
    """Join the pixels of each split, where `lab.pixels.Images.open` reads them."""
    for split in SPLITS:
        pieces = [np.load(path, allow_pickle=False)["pixels"] for path in sorted(folder.glob(f"{split}-0*.npz"))]
        save_array(folder / f"{split}-pixels.npy", np.concatenate(pieces))


def recipe_of(about: dict[str, Any], **others: Any) -> Recipe:
    """The recipe of a training.json; others: fields that differ, where they are not None."""
    return Recipe(**about["recipe"] | {name: value for name, value in others.items() if value is not None})


def trained(folder: Path, at_once: int, device: str, precision: str | None) -> None:
    about = json.loads((folder / "training.json").read_text())
    unpack(folder)
    recipe = recipe_of(about, device=device, precision=precision)
    record, begun = folder / "record", time.perf_counter()
    tasks = [
        (Measured(record, k, about["seed"], about["after"]), name, recipe, about["size"], 1)
        for k, name in enumerate(about["names"])
        if len(read_epochs(record / f"network-{k + 1}")) < recipe.epochs
    ]
    run_through(in_turn, (train, tasks, at_once))
    accuracies = [read_epochs(record / f"network-{k + 1}")[-1]["test/accuracy"] for k in range(len(about["names"]))]
    print(f"{len(tasks)} networks in {time.perf_counter() - begun:.0f} s, {LearningRecord(record).folder}")
    print("test accuracy in per cent:", ", ".join(f"{100 * each:.1f}" for each in accuracies))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    packing = what.add_parser("pack")
    packing.add_argument("folder", type=Path)
    packing.add_argument("words", nargs="*")
    training = what.add_parser("train")
    training.add_argument("folder", type=Path)
    training.add_argument("--at-once", type=int, default=8)
    training.add_argument("--device", default="cuda")
    training.add_argument("--precision", help="another than was packed")
    options = parser.parse_args()
    if options.what == "pack":
        pack(options.folder, options.words)
    else:
        trained(options.folder, options.at_once, options.device, options.precision)


if __name__ == "__main__":
    main()
