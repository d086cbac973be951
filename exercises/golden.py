"""Are the program's results still the same, bit for bit, after a change that should not touch them?

    uv run exercises/golden.py save DIR                     before the change
    uv run exercises/golden.py compare DIR                  after it, on the same machine with as many cores
    uv run exercises/golden.py compare DIR --program PATH   another checkout's train.py

Runs small measurements and comparisons as a user would and keeps what they log to MLflow: learning records, statistics,
correlations, scores, evaluations, draws. Times are left out, and so are pages and pictures. The number of cores decides how
many threads share a sum, and so the last bits.
"""

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

PROGRAM = Path(__file__).parents[1] / "train.py"
LEFT_OUT = (".html", ".png", ".svg", ".txt", ".yaml")
TIMES = ("seconds", "time")
SMALL = [
    "network=lenet5",
    "networks=2",
    "epochs=2",
    "batch_size=16",
    "statistics=[entropy,segments,frequency]",
]

CASES = {
    "measure": ["--mode", "measure"],
    "after": ["--mode", "measure", "epochs=2", "networks=2", "record=after", "seed=3", "random_labels=0.3"],
    "curriculum": ["--mode", "curriculum", "--metric", "entropy", "seeds=3"],
    "folder": ["--mode", "measure", "data=folder", "root=folder", "resize=40", "crop=32", "optimizer=adam", "schedule=one_cycle", *SMALL],
    "sets": ["--mode", "measure", "data=voc", "root=voc", "resize=40", "crop=32", "schedule=step", "step_epochs=1", *SMALL],
    "edges": ["--mode", "measure", "data=folder", "root=folder", "resize=40", "crop=32", *SMALL, "statistics=[edges,gradient]"],
    "ranks": ["--mode", "measure", "epochs=2", "networks=1"],
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("save", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    different = 0
    for name in options.only:
        with tempfile.TemporaryDirectory() as work:
            found = run(name, options.program.resolve(), Path(work))
        kept = options.folder / f"{name}.json"
        if options.what == "save":
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(found, indent=0))
            print(f"{name}: {len(found)} files kept", flush=True)
            continue
        missing, new = Counter(json.loads(kept.read_text())), Counter(found)
        missing, new = missing - new, new - missing
        different += bool(missing or new)
        print(f"{name}: {'the same' if not (missing or new) else 'DIFFERENT'}, {len(found)} files", flush=True)
        for sign, lines in (("-", missing), ("+", new)):
            for line in sorted(lines):
                print(f"  {sign} {line}")
    return different


def run(name: str, program: Path, work: Path) -> list[str]:
    """'path digest' of every file that the case logs, sorted."""
    make_images(work / "folder")
    make_voc(work / "voc")
    start = [sys.executable]
    if name == "ranks":
        start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    command = [*start, str(program), *CASES[name], "--quiet"]
    subprocess.run(command, cwd=work, env=environment, check=True)
    files = sorted(path for path in (work / "mlruns").rglob("*") if path.is_file() and "artifacts" in path.parts[:-1])
    lines = []
    for path in files:
        if path.suffix not in LEFT_OUT and path.name != "config.yaml":
            below = path.parts[len(path.parts) - path.parts[::-1].index("artifacts") :]
            lines.append(f"{'/'.join(below)} {digest(path)}")
    return sorted(lines)


def digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".jsonl":
        lines = [json.loads(line) for line in content.decode().splitlines()]
        content = json.dumps([{key: line[key] for key in line if key not in TIMES} for line in lines]).encode()
    elif path.suffix == ".json":
        content = json.dumps(json.loads(content), sort_keys=True).encode()
    elif path.suffix == ".parquet":
        text = io.StringIO()
        pd.read_parquet(path).to_csv(text)
        content = text.getvalue().encode()
    return hashlib.sha256(content).hexdigest()[:16]


def make_images(root: Path) -> None:
    """Photographs of noise and blocks, of different sizes, in three classes."""
    rng = np.random.default_rng(0)
    for split, number in (("train", 30), ("test", 12)):
        for c, kind in enumerate(("ant", "bee", "cow")):
            folder = root / split / kind
            folder.mkdir(parents=True)
            for i in range(number):
                Image.fromarray(picture(rng, c)).save(folder / f"{i}.png")


def picture(rng: np.random.Generator, c: int) -> np.ndarray:
    height, width = rng.integers(40, 70, 2)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, axis=0).repeat(8, axis=1)
    fine = rng.integers(0, 256, (height, width, 3))
    share = (0.1 + 0.3 * c) * rng.uniform(0.5, 1.5)
    return (coarse[:height, :width] * (1 - share) + fine * share).clip(0, 255).astype(np.uint8)


def make_voc(root: Path) -> None:
    rng, year = np.random.default_rng(1), root / "VOCdevkit" / "VOC2012"
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (year / folder).mkdir(parents=True)
    for part, number in (("train", 60), ("val", 20)):
        names = [f"{part}_{i}" for i in range(number)]
        (year / f"ImageSets/Main/{part}.txt").write_text("\n".join(names))
        for i, name in enumerate(names):
            image = picture(rng, i % 3)
            Image.fromarray(image).save(year / f"JPEGImages/{name}.jpg")
            height, width = image.shape[:2]
            kinds = [kind for j, kind in enumerate(("cat", "dog", "cow")) if (i + 1) >> j & 1] or ["person"]
            objects = "".join(
                f"<object><name>{kind}</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
                f"<xmax>{10 + j}</xmax><ymax>{12 + j}</ymax></bndbox></object>"
                for j, kind in enumerate(kinds)
            )
            size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
            (year / f"Annotations/{name}.xml").write_text(f"<annotation>{size}{objects}</annotation>")


if __name__ == "__main__":
    sys.exit(main())
