"""The figures of a measurement, in the paper's style, as files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import agreement
from agreement.record import LearningRecord
from lab.data.examples import Split
from lab.report import example_figures, figures, map_figures, overlay_figures

SHOWN = 5  # examples of each group in the picture of typical ones


def draw_measurement(
    findings: Any,
    record: LearningRecord,
    splits: Mapping[str, Split],
    what: str,
    seed: int,
    folder: Path,
) -> None:
    """Everything that `lab.measure.Findings` hold and what its examples look like, into `folder`.

    what: networks and data set, for the titles. seed: of the choice of examples.
    """
    draw_mistakes(findings.curves, what, folder)
    for name, split in splits.items():
        title = f"{what}, {name} set"
        columns = {column: values.to_numpy() for column, values in findings.statistics[name].items()}
        draw_curves(findings.curves[name], columns, findings.by_kind[name], name, title, folder)
        draw_examples(*chosen_examples(record, name, split, seed), name=name, title=title, folder=folder)


def draw_mistakes(curves: Any, what: str, folder: Path) -> None:
    figures.save(overlay_figures.mistakes_figure(curves, what), folder, "false-positive-agreement")


def draw_curves(
    curves: dict[str, np.ndarray],
    statistics: dict[str, np.ndarray],
    by_kind: dict[str, Any],
    split: str,
    title: str,
    folder: Path,
) -> None:
    shared = {name: curves[name] for name in ("agreement", "lower_bound", "accuracy")}
    shared["deviation"] = curves["accuracy_deviation"]
    figures.save(
        figures.agreement_figure(**shared, chance=curves["chance_agreement"], title=title),
        folder,
        f"{split}-agreement",
    )
    for name, values in statistics.items():
        if np.isnan(values).all():
            continue
        curve, everywhere = curves[f"agreed_{name}"], float(np.nanmean(values))
        figures.save(
            figures.statistic_figure(**shared, curve=curve, everywhere=everywhere, name=name, title=title),
            folder,
            f"{split}-agreement-{name}",
        )
        figures.save(figures.histogram_figure(values, name, title), folder, f"{split}-histogram-{name}")
    for name, agreed in by_kind.items():
        figure = overlay_figures.kinds_figure(agreed, curves["agreed"], name, title)
        figures.save(figure, folder, f"{split}-agreement-{name}")


def chosen_examples(record: LearningRecord, name: str, split: Split, seed: int) -> tuple[Any, Any, Any, Any, Any]:
    """The first five arguments of `examples_figure`: small parts of what the record and the split hold."""
    correct = record.correct(name)
    groups = example_figures.typical_examples(correct, SHOWN, seed)
    chosen = np.concatenate(list(groups.values()))
    alike = agreement.same_wrong_class(
        [network[:, chosen] for network in record.predictions(name)], split.labels[chosen]
    )
    places = dict(
        zip(groups, np.split(np.arange(len(chosen)), np.cumsum([*map(len, groups.values())])[:-1]), strict=True)
    )
    images = [split.original(i) for i in chosen]
    return places, images, correct[:, :, chosen], alike, [record.label_name(label) for label in split.labels[chosen]]


def draw_examples(
    groups: dict[str, np.ndarray],
    images: list[np.ndarray],
    correct: np.ndarray,
    alike: np.ndarray,
    captions: list[str],
    name: str,
    title: str,
    folder: Path,
) -> None:
    """Images learned early, late and never, and the statistics of an easy and a hard one."""
    figure = example_figures.examples_figure(groups, images, correct, alike, captions, title)
    figures.save(figure, folder, f"{name}-examples")
    early, never = (list(groups[group]) for group in ("learned early", "never agreed on"))
    if early and never:
        shown = {"learned early": images[early[0]], "never agreed on": images[never[0]]}
        figures.save(map_figures.maps_figure(shown, title), folder, f"{name}-statistics")
