"""The trainings of a comparison: what determines each, their runs in MLflow, the files they share, and training them side by side."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agreement.record import read_lines, save_array
from curricula import DYNAMIC, PACING, Arm, Dynamic
from lab import tracking
from lab.arms import Part
from lab.code import code_digest
from lab.compared import Compared
from lab.processes import side_by_side, train_all
from lab.progress import Progress
from lab.report.plots import arm_colours
from lab.settings import CompareSettings, plain
from lab.training import Recipe, train
from lab.work import TERMS, digests_of


def terms_of(config: Any, digest: str, arms: Sequence[Arm], irreducible: np.ndarray | None = None) -> list[str]:
    """What determines the result of each training, as a hash: trainings on the same terms need not be done twice."""
    keys = ("network", "steps", "label_noise", "validation", "evaluations", "seed")
    shared = {key: getattr(config, key) for key in keys} | {
        "recipe": asdict(Recipe.of(config)),
        "files": digests_of(config),
        "terms": TERMS,
        "data": digest,
        "code": config.code,
        "threads": side_by_side(len(arms), 0, config.device == "cuda")[1],
    }
    code, whole = code_digest([PACING[config.pacing]]), max(len(arm.order) for arm in arms)

    def key(arm: Arm) -> str:
        paced = {"pacing": config.pacing, "a": arm.a or config.a, "b": arm.b or config.b, "pacing_code": code}
        own: dict[str, Any] = paced if arm.paced else {}
        if arm.paced or arm.dynamic or len(arm.order) < whole:
            own = own | {"order": hashlib.sha256(arm.order.tobytes()).hexdigest()}
        if arm.dynamic:
            own = own | {"dynamic": arm.dynamic, "dynamic_code": code_digest([DYNAMIC[arm.dynamic], Dynamic])}
        if arm.dynamic == "rho" and irreducible is not None:
            own = own | {"irreducible": hashlib.sha256(irreducible.tobytes()).hexdigest()}
        differs = {"steps": arm.steps or config.steps, "lr": arm.lr or config.lr}
        # the baseline shuffles all examples with its own seed: its starting order is the seed's as well
        text = json.dumps(
            {**shared, **differs, "of": arm.training_seed, "balance": config.balance or None, **own}, sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    return [key(arm) for arm in arms]


def used_again(reused: Sequence[str]) -> list[str]:
    """A note on the trainings that had been done before; reused: the run that each is taken from, if there is one."""
    if not any(reused):
        return []
    again = len(reused) - reused.count("")
    return [f"{again} of {len(reused)} trainings had been done before on identical terms and were used again"]


def runs_for(
    settings: CompareSettings, arms: Sequence[Arm], terms: Sequence[str], reused: Sequence[str]
) -> list[tracking.Run]:
    """The run of a comparison, and one for each training. reused: the run that its result is taken from, if there is one."""
    shared = {key: str(getattr(settings, key)) for key in ("metric", "pacing", "network")}
    shared["data"] = settings.known
    name = settings.name or f"{settings.metric}, {settings.network}, {settings.seeds} seeds"
    colours, children = arm_colours(arm.name for arm in arms), list[tracking.Run]()
    for arm, key, other in zip(arms, terms, reused, strict=True):
        tags = {**shared, "phase": "arm", "arm": arm.name, "seed": str(arm.seed), "terms": key}
        tags["mlflow.runColor"] = colours[arm.name]  # of its curves where they are not grouped
        tags |= {"reused_from": other} if other else {}
        about = {"arm": arm.name, "seed": arm.seed, **arm.tried}
        label = ", ".join([arm.name, f"seed {arm.seed}", *(f"{key}={value:g}" for key, value in arm.tried.items())])
        children.append((label, about, tags))
    return [(name, plain(settings), {**shared, "phase": "curriculum"}), *children]


def share(work: Path, train: Part, validation: Part, test: Part) -> None:
    """Write images and labels where all trainings read them."""
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        part.images.save(work / name)
        save_array(work / f"{name}-labels.npy", part.labels)


def train_arms(
    config: Any,
    arms: Sequence[Arm],
    folders: Sequence[Path],
    classes: int,
    multi_label: bool,
    size: int,
    follow: Callable[[], None],
    progress: Progress,
) -> None:
    """Train what is not done yet, side by side, showing progress, and calling `follow`, as evaluations come in."""
    work = folders[0].parent
    workers, threads = side_by_side(len(arms), config.workers, config.device == "cuda")

    def look() -> None:
        for k, folder in enumerate(folders):
            for line in read_lines(folder / "evaluations.jsonl")[progress.done[k] :]:
                words = f"{arms[k].name}: validation accuracy {line['validation/accuracy']:.1%}"
                progress.trained(k, progress.done[k] + 1, words)
        follow()

    tasks = {}
    for arm, folder in zip(arms, folders, strict=True):
        if not (folder / "result.json").is_file():
            folder.mkdir(exist_ok=True)
            save_array(folder / "order.npy", arm.order)  # too large to travel with the task
            plan = Compared(
                arm=arm.name,
                seed=arm.training_seed,
                steps=arm.steps or config.steps,
                evaluations=config.evaluations,
                pacing=config.pacing if arm.paced else None,
                a=arm.a or config.a,
                b=arm.b or config.b,
                shared=work,
                classes=classes,
                sets_of=classes if multi_label else 0,
                folder=folder,
                dynamic=arm.dynamic,
            )
            recipe = Recipe.of(config)
            recipe = replace(recipe, lr=arm.lr or recipe.lr)
            tasks[folder.name] = (plan, config.network, recipe, size, threads)
    progress.begin()
    train_all(train, tasks, look, workers, config.device == "cuda", work, config.scheduler)
