"""What a comparison will train, worked out before any training: scores, arms, their orders and their steps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curricula import ARMS, DYNAMIC, PACING, Arm, seeds_needed
from curricula.comparison import DROP, pairs_of
from curricula.dynamic.arm import step_cost
from curricula.scores import SCORES
from lab.arms import (
    Part,
    arms_of,
    clusters_of,
    named_arms,
    pacings_of,
    part_of,
    parts_of,
    tries_of,
    with_label_noise,
)
from lab.data import Data, Split
from lab.doubts import doubts_on, never_drawn, withheld, wrong_labels_last
from lab.errors import UserError
from lab.ordering import Scores, check_metric, metrics_of
from lab.processes import ranks_of_torchrun
from lab.progress import Progress, tell
from lab.settings import CompareSettings, nearest
from lab.statistics import statistics_of
from lab.teacher import register

SEEDS = 8  # where none are given and so few can show something
Named = Mapping[str, tuple[str, str, str]]  # arm by name, see `lab.arms.named_arms`


def check(settings: CompareSettings) -> None:
    """Raise UserError for what can be wrong with a comparison before anything is loaded."""
    parts = {part for metric in metrics_of(settings.metric) for part in check_metric(metric)}
    register(parts, settings.teacher_weights)
    if settings.measurement and not parts & {*SCORES}:
        readers = ", ".join(SCORES)
        raise UserError(f"measurement={settings.measurement}: metric={settings.metric} reads none; {readers} do")
    if settings.record and (settings.measurement or not {*parts} & {*SCORES}):
        other = "measurement= is another" if settings.measurement else f"metric={settings.metric} reads none"
        raise UserError(f"record={settings.record}: {other}; {', '.join(SCORES)} read one of the two")
    if settings.longer and not parts & {*SCORES}:
        raise UserError(
            f"longer={settings.longer:g}: metric={settings.metric} costs no training, so that no baseline is longer; leave it out"
        )
    if settings.drop == [] and settings.keep != CompareSettings.keep:
        raise UserError(f"keep={settings.keep:g}: nothing is left out; give drop=hard, easy or random too")
    if ranks_of_torchrun() > 1:
        raise UserError(
            "torchrun is for --mode measure; engine=dask spreads the trainings of a comparison over devices"
        )
    if not isinstance(settings.network, str):
        raise UserError("network: a comparison trains one architecture; name one")
    arms = ["shuffled"] if settings.arms is None else settings.arms
    for arm in {*arms} - {*ARMS, *DYNAMIC}:
        raise UserError(f"arms={arm}: there is no such arm{nearest(arm, [*ARMS, *DYNAMIC])}")
    if len({*settings.drop}) != len(settings.drop):
        raise UserError("drop: name each once")
    if "shuffled" not in arms or len(set(arms)) != len(arms):
        raise UserError("arms: name each once, and shuffled, the baseline, among them")
    if not settings.variety or len(set(settings.variety)) != len(settings.variety):
        raise UserError("variety: name none, clusters, or each once")
    if settings.pacing not in PACING:
        raise UserError(f"pacing={settings.pacing}: there is no such function{nearest(settings.pacing, PACING)}")


def planned(
    settings: CompareSettings,
) -> tuple[CompareSettings, range, Named, dict[str, tuple[str, str]]]:
    """The settings with arms and seeds filled in, the seeds, the arms by name, and which are compared with which."""
    metrics = metrics_of(settings.metric)
    # anti of each of several scores would take half of the time again
    kinds = settings.arms or [arm for arm in ARMS if arm != "anti" or len(metrics) == 1]
    named = named_arms([*kinds, *(f"{DROP} {which}" for which in settings.drop)], metrics, settings.variety)
    costly = [metric for metric in metrics if {*check_metric(metric)} & {*SCORES}]  # which read a measurement
    if costly and settings.longer != 0:
        named["shuffled_longer"] = named["shuffled"]
    pairs = pairs_of(named, paid=[arm for arm, (_, metric, _) in named.items() if metric in costly])
    number = settings.seeds or max(SEEDS, seeds_needed(max(len(pairs), 1)))
    seeds = range(settings.seed, settings.seed + number)
    return replace(settings, arms=kinds, seeds=number), seeds, named, pairs


@dataclass(frozen=True)
class Scored:
    """The scores by the name that `metric=` gives them.

    values: (N,) of the examples to train on. descending: whether high is easy. notes: where they are from. cost: in passes
    over the data, of the dearest.
    """

    values: dict[str, np.ndarray]
    descending: dict[str, bool]
    notes: list[str]
    cost: int


@dataclass(frozen=True)
class Budget:
    """Optimiser steps of a training, those that `shuffled_longer` has more, and how many go once through the data."""

    steps: int
    more: int
    batches: int


@dataclass(frozen=True)
class Prepared:
    """All that the trainings of a comparison need.

    train, validation: the examples to train on, with the labels that the training sees, and those held out. pacing: see
    `lab.arms.pacings_of`. irreducible: losses (N,) that the arm rho reads, or None. evaluations: of each training. notes: on the scores
    and on what is doubtful.
    """

    train: Part
    validation: Part
    scored: Scored
    budget: Budget
    pacing: tuple[np.ndarray, Mapping[str, np.ndarray], int]
    arms: list[Arm]
    irreducible: np.ndarray | None
    evaluations: int
    notes: list[str]


def prepare(
    settings: CompareSettings,
    seeds: range,
    named: Named,
    data: Data,
    client: Any,
    console: Any,
) -> Prepared:
    """Read or compute the scores and put the arms together; what the user should know is printed at once."""
    # a score must not know better than the training which labels are wrong
    given = with_label_noise(data, settings.label_noise, settings.validation, settings.seed)
    train, validation = (part_of(given.train, index) for index in parts_of(data, settings.validation, settings.seed))
    with Progress(console, 1, 1) as progress:
        scored = scores_by_name(settings, given, train.index, data, client, progress)
    tell(console, *scored.notes)
    budget = budget_of(settings, len(train.labels), scored.cost)
    tries = tries_of(settings.tune_lr, settings.tune_a, settings.tune_b)
    pacing = pacings_of(settings.pacing, budget.steps, len(train.labels), settings.a, settings.b, tries)
    tell(console, *(note for name in pacing[1] for note in never_drawn(name, pacing)))
    doubts = doubts_on(scored.values, [data.train.ids[i] for i in train.index])
    labels = data.classes_of(given.train.labels)
    groups = {
        variety: clusters_of(data.train, labels)[train.index] if variety == "clusters" else None
        for variety in settings.variety
    }
    arms = arms_of(
        named, seeds, scored.values, train.labels, settings.balance, scored.descending, groups,
        settings.keep, steps_by_arm(named, budget, len(train.labels), settings.batch_size), tries,
    )  # fmt: skip
    if not data.multi_label:
        doubts += withheld(arms, train.labels, next(iter(pacing[1].values())), settings.batch_size, data.classes)
    tell(console, *(f"{doubt}. Continuing." for doubt in doubts))
    irreducible = None
    if "rho" in named:
        irreducible = irreducible_losses(given.train, labels, settings.cache, console)[train.index]
    return Prepared(
        train=train,
        validation=validation,
        scored=scored,
        budget=budget,
        pacing=pacing,
        arms=arms,
        irreducible=irreducible,
        # all arms are evaluated as often: no more often than the one of the fewest steps has steps
        evaluations=min(settings.evaluations, budget.steps, *(arm.steps for arm in arms if arm.steps)),
        notes=[*scored.notes, *doubts, *wrong_labels_last(arms, train.labels != data.train.labels[train.index])],
    )


def scores_by_name(
    settings: CompareSettings, given: Data, index: np.ndarray, data: Data, client: Any, progress: Progress
) -> Scored:
    """What `metric=` names. given: the data with the labels that the training sees. index: of the examples to train on."""
    noise = ""
    if settings.label_noise:
        noise = f" label_noise={settings.label_noise} validation={settings.validation} seed={settings.seed}"
    if settings.imbalance != 1:
        noise = f"{noise or f' seed={settings.seed}'} imbalance={settings.imbalance:g}"
    if settings.labels:
        noise = f" labels={settings.labels}{noise}"
    scores = Scores(
        train=given.train, labels=data.classes_of(given.train.labels), data=settings.data, root=settings.root,
        digest=given.digest, client=client, cache=settings.cache, progress=progress, resize=settings.statistics_resize,
        measurement=settings.measurement, folder=settings.record, noise=noise,
        within=settings.balance or "clusters" in settings.variety, descending=settings.descending,
    )  # fmt: skip
    read = {metric: scores.read(metric) for metric in metrics_of(settings.metric)}
    return Scored(
        values={metric: values[index] for metric, (values, *_) in read.items()},
        descending={metric: high for metric, (_, high, _, _) in read.items()},
        notes=[note for _, _, notes, _ in read.values() for note in notes],
        cost=max(cost for *_, cost in read.values()),
    )


def budget_of(settings: CompareSettings, examples: int, cost: int) -> Budget:
    """Raises UserError where the examples fill no batch. cost: of the scores, in passes."""
    kept = round(settings.keep * examples) if settings.drop else examples
    if kept < settings.batch_size:
        raise UserError(
            f"batch_size={settings.batch_size} is larger than the {kept} examples to train on: give batch_size={max(2, kept // 4)} or so"
        )
    batches = -(-examples // settings.batch_size)
    steps = max(1, round(settings.budget * settings.epochs * batches))
    most = steps if settings.longer is None else settings.longer * batches
    return Budget(steps, max(1, round(min(cost * batches, most))), batches)


def steps_by_arm(named: Named, budget: Budget, examples: int, batch_size: int) -> dict[str, int]:
    """The steps of the arms that have other numbers of them: the longer baseline, and those whose steps cost more, so that all cost the same."""
    costs = {
        name: step_cost(DYNAMIC[kind], examples, batch_size) for name, (kind, _, _) in named.items() if kind in DYNAMIC
    }
    fewer = {name: max(1, round(budget.steps / cost)) for name, cost in costs.items() if cost > 1}
    return {"shuffled_longer": budget.steps + budget.more, **fewer}


def irreducible_losses(split: Split, labels: np.ndarray, cache: str, console: Any) -> np.ndarray:
    """What the arm rho takes them from, (N,), see `metrics.shallow_loss`. labels: as the training sees them."""
    name = "shallow:loss"
    with Progress(console, 1, 1) as progress:
        return statistics_of(split, labels, [name], cache, None, progress, "irreducible losses")[name].to_numpy()
