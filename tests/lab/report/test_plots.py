"""The plots show the data they are given, say what it is in which unit, and are drawn by the page and as PNG and SVG."""

import json
import subprocess
import sys
from typing import Any

import altair as alt
import numpy as np
import pytest
import vl_convert
from PIL import Image

from curricula import compare
from lab.report import plots
from lab.report.plots.arms import ARMS, alike, arm_styles
from lab.report.plots.style import SPLITS, epochs_axis, styles_of

EPOCHS = 12
AGREEMENT = np.linspace(0.05, 0.9, EPOCHS)
CURVES = {
    "agreement": AGREEMENT,
    "lower_bound": np.maximum(AGREEMENT - 0.3, 0),
    "chance_agreement": AGREEMENT**2,
    "accuracy": np.linspace(0.3, 0.95, EPOCHS),
    "accuracy_deviation": np.linspace(0.05, 0.01, EPOCHS),
    "false_positive_agreement": AGREEMENT / 5,
}
STATISTIC = np.linspace(4, 6, EPOCHS)
VALUES = {"train": np.linspace(4, 7, 50), "test": np.linspace(5, 7, 50)}
NAMES = ["a.b", "x[0]", "n:Q", 'it\'s "so" \\', "$1_2$", "<b>"]  # what Vega-Lite would read as more than a name
STEPS = np.arange(10, 60, 10)


def plots_of_all_kinds(name: str = "entropy") -> dict[str, Any]:
    draw = np.random.default_rng(0)
    shown = {"train": STATISTIC, "test": STATISTIC + 0.3}
    named = {each: draw.random(EPOCHS) for each in NAMES}
    return {
        "agreement": plots.agreement(CURVES, "train"),
        "statistic": plots.statistic(name, shown, VALUES, {split: AGREEMENT for split in VALUES}),
        "kinds": plots.kinds(name, named, AGREEMENT, "train"),
        "histogram": plots.histogram(draw.normal(5, 1, 500), name),
        "mistakes": plots.mistakes({"train": CURVES, "test": CURVES}),
        "sweep": plots.sweep({each: CURVES for each in NAMES}),
        "order": plots.order(),
        "map": plots.cartography(),
        "arms": plots.arms(STEPS, {arm: draw.uniform(0.5, 0.9, (8, 5)) for arm in ARMS}),
        "pacing": plots.pacing(np.arange(51), {each: np.linspace(20, 100, 51) for each in NAMES}, 100),
        "drawn": plots.drawn(STEPS, draw.dirichlet(np.ones(4), 5), 0.9, "curriculum"),
    }


def parts_of(spec: Any) -> list[dict[str, Any]]:
    """All unit charts of a specification."""
    data = {"data": spec["data"]} if "data" in spec else {}  # what layers share stands above them
    below = [data | each for key in ("layer", "hconcat", "vconcat") for each in spec.get(key, [])]
    return [part for each in below for part in parts_of(each)] if below else [spec]


def rows_of(chart: Any) -> list[list[dict[str, Any]]]:
    """The data of each unit chart."""
    spec = chart.to_dict(validate=False)
    shared = spec.get("datasets", {})
    found = []
    for part in parts_of(spec):
        data = part.get("data", {})
        found.append(data["values"] if "values" in data else shared.get(data.get("name"), []))
    return found


def curve_of(rows: list[dict[str, Any]], name: str) -> list[float | None]:
    own = [row for row in rows if row["name"] == name]
    assert [row["at"] for row in own] == list(range(1, len(own) + 1))
    return [row["value"] for row in own]


def legend_of(chart: Any) -> list[str]:
    """The names in the legend that the lines have."""
    (domain,) = {tuple(part["encoding"]["color"]["scale"]["domain"]) for part in parts_of(chart.to_dict()) if "strokeDash" in part["encoding"]}  # fmt: skip
    return list(domain)


def same(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-4, atol=1e-5)


def test_altair_writes_the_vega_lite_that_the_script_reads():
    newest = vl_convert.get_vegalite_versions()[-1]
    assert alt.SCHEMA_VERSION.removeprefix("v").startswith(f"{newest}.")


def test_our_code_imports_no_matplotlib():
    code = "import sys, train, lab.report, lab.measure, lab.compare, lab.sweep; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", plots_of_all_kinds())
def test_every_plot_is_valid_and_has_a_description(name):
    chart = plots_of_all_kinds("a.b[0]:Q")[name]
    spec = chart.to_dict()  # Altair checks it against Vega-Lite's schema
    assert len(spec["description"]) > 20
    assert plots.for_page(chart) == plots.for_page(plots_of_all_kinds("a.b[0]:Q")[name])  # the same each time


@pytest.mark.parametrize("name", plots_of_all_kinds())
def test_names_are_values_and_never_fields(name):
    def fields(node: Any) -> set[str]:
        below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        own = {node["field"]} if isinstance(node, dict) and isinstance(node.get("field"), str) else set()
        return own.union(*map(fields, below))

    spec = plots_of_all_kinds("a.b[0]:Q")[name].to_dict()
    assert fields(spec) <= {*["at", "name", "value", "low", "high", "lower_bound", "agreement", "chance_agreement", "accuracy", "examples", "share", "from", "to", "x", "y", "i", "never", "shade", "own"]}  # fmt: skip


def test_agreement():
    gap, deviation, lines, pointer = rows_of(plots.agreement(CURVES, "train"))
    assert gap == deviation == pointer and [row["at"] for row in gap] == list(range(1, EPOCHS + 1))
    for name in ("agreement", "lower_bound", "chance_agreement", "accuracy"):
        same([row[name] for row in gap], CURVES[name])
    same([row["low"] for row in gap], CURVES["accuracy"] - CURVES["accuracy_deviation"])
    same([row["high"] for row in gap], CURVES["accuracy"] + CURVES["accuracy_deviation"])
    names = {"agreement": "agreement", "expected by chance": "chance_agreement", "accuracy": "accuracy"}
    for name, source in names.items():
        same(curve_of(lines, name), CURVES[source])
    chart = plots.agreement(CURVES, "train")
    assert legend_of(chart) == list(names)
    assert (
        "In the last, epoch 12, agreement is 90%, chance agreement 81%, accuracy 95%." in chart.to_dict()["description"]
    )
    assert len({str(dash) for _, dash in SPLITS.values()}) == 2  # told apart without colour


def test_a_statistic_is_shown_where_agreement_is_high():
    """As the paper does: from epoch 5 on, where agreement exceeds 20 %."""
    shown = plots.shown(np.arange(8.0), np.array([0.9] * 6 + [0.2, 0.21]))
    chart = plots.statistic(
        "entropy", {"train": shown}, {"train": np.array([3.0, 5, np.nan])}, {"train": np.full(8, 0.5)}
    )
    _, band, line = rows_of(chart)
    assert curve_of(line, "train") == [None] * 4 + [0, 1, None, 3] and [row["own"] for row in line][-1] == 7
    assert [(row["low"], row["high"]) for row in band if row["value"] == 3] == [(2, 4)]  # of one example in two
    assert {str(part["encoding"]["y"]["scale"]["domain"]) for part in parts_of(chart.to_dict())} == {"[-4.2, 4.2]"}
    assert "That is 4 on the train set" in chart.to_dict()["description"]
    nothing = plots.statistic("entropy", {"train": shown}, {"train": np.full(3, np.nan)}, {"train": np.full(8, 0.5)})
    assert "unknown" in nothing.to_dict()["description"]


def test_a_curve_without_numbers_has_no_entry_in_the_legend():
    nothing = np.full(EPOCHS, np.nan)
    assert legend_of(plots.agreement(CURVES | {"chance_agreement": nothing}, "train")) == ["agreement", "accuracy"]
    chart = plots.statistic("entropy", {"train": STATISTIC, "test": nothing}, VALUES, {"train": AGREEMENT})
    assert legend_of(chart) == ["train"]
    chart = plots.kinds("side", {"left": AGREEMENT, "right": nothing}, AGREEMENT, "test")
    assert legend_of(chart) == ["all examples", "left"]


@pytest.mark.parametrize(
    ("last", "ticks"), [(1, [1, 2]), (3, [1, 2, 3]), (16, [1, 2, 4, 6, 8, 10, 12, 14, 16]), (60, [1, 10, 20, 30, 40, 50, 60])]
)  # fmt: skip
def test_ticks_are_epochs(last, ticks):
    assert epochs_axis(last).to_dict()["axis"]["values"] == ticks


def test_kinds_beside_the_whole():
    agreed = {"frontal": np.array([0.1, 0.2]), 4.0: np.array([0.3, 0.5])}
    chart = plots.kinds("illumination", agreed, np.array([0.2, 0.3]), "train")
    whole, lines = rows_of(chart)
    assert curve_of(whole, "all examples") == [0.2, 0.3]
    assert curve_of(lines, "frontal") == [0.1, 0.2] and curve_of(lines, "4.0") == [0.3, 0.5]
    assert legend_of(chart) == ["all examples", "frontal", "4.0"]
    assert chart.to_dict()["description"].endswith("At the end: frontal 20%, 4.0 50%.")


def test_a_histogram():
    values = np.concatenate([np.random.default_rng(0).normal(6, 1, 1000), [np.nan] * 7])
    (rows,) = rows_of(plots.histogram(values, "entropy"))
    assert sum(row["examples"] for row in rows) == 1000 and len(rows) == 50
    assert rows[0]["low"] == np.nanmin(values) and rows[-1]["high"] == np.nanmax(values)
    (rows,) = rows_of(plots.histogram(np.array([2.0, 2, 5]), "segments"))  # a bar for each whole number
    assert [(row["low"], row["high"], row["examples"]) for row in rows] == [(1.5, 2.5, 2), (2.5, 3.5, 0), (3.5, 4.5, 0), (4.5, 5.5, 1)]  # fmt: skip


def test_mistakes_of_both_splits():
    given = {"train": CURVES, "test": {name: curve / 2 for name, curve in CURVES.items()}}
    chart = plots.mistakes(given)
    for rows, name in zip(rows_of(chart), ("false_positive_agreement", "accuracy"), strict=True):
        for split, curve in given.items():
            same(curve_of(rows, split), curve[name])
    left, right = (part["encoding"]["y"]["scale"]["domain"] for part in parts_of(chart.to_dict()))
    assert left == [0, pytest.approx(1.1 * 0.18)] and right == [0, 1]
    one = {"accuracy": np.ones(1), "false_positive_agreement": np.zeros(1)}  # a mistake is never shared
    assert parts_of(plots.mistakes({"train": one}).to_dict())[0]["encoding"]["y"]["scale"]["domain"] == [0, 0.01]


def test_a_sweep_of_different_lengths():
    short = {name: curve[:5] for name, curve in CURVES.items()}
    chart = plots.sweep({"batch_size=32": CURVES, "batch_size=512": short})
    for rows, name in zip(rows_of(chart), ("agreement", "lower_bound", "accuracy"), strict=True):
        same(curve_of(rows, "batch_size=32"), CURVES[name])
        same(curve_of(rows, "batch_size=512"), short[name])
    assert legend_of(chart) == ["batch_size=32", "batch_size=512"]
    agreement, bound, _ = parts_of(chart.to_dict())
    assert agreement["mark"]["strokeWidth"] > bound["mark"]["strokeWidth"]
    assert {tuple(part["encoding"]["x"]["scale"]["domain"]) for part in parts_of(chart.to_dict())} == {(1, EPOCHS)}


def test_styles_differ_by_dash_and_by_colour():
    styles = list(styles_of(map(str, range(56))).values())
    assert len({str(dash) for _, dash in styles[:7]}) == 7 and len({colour for colour, _ in styles[:8]}) == 8
    assert len({str(style) for style in styles}) == 56


def test_arms_have_one_colour_and_dash_each_with_their_interval():
    validation = {"anti": np.tile([[0.5, 0.6], [0.7, 0.8]], (3, 1)), "shuffled": np.tile([0.5, 0.6], (6, 1))}
    chart = plots.arms(np.array([10, 20]), validation)
    (band, mean) = rows_of(chart)
    assert band == mean and legend_of(chart) == list(validation)
    assert [(row["name"], row["at"], row["value"]) for row in mean] == [("anti", 10, 0.6), ("anti", 20, 0.7), ("shuffled", 10, 0.5), ("shuffled", 20, 0.6)]  # fmt: skip
    assert all(row["low"] < row["value"] < row["high"] for row in mean[:2]) and mean[2]["low"] == mean[2]["high"] == 0.5
    for part in parts_of(chart.to_dict()):
        assert part["encoding"]["color"]["scale"]["range"] == [ARMS[arm][0] for arm in validation]
    assert len({str(style) for style in ARMS.values()}) == 5
    at_best = {arm: np.linspace(0.7, 0.9, 8) for arm in ("shuffled", "shuffled_longer", "curriculum", "random", "mine")}
    styles = arm_styles(at_best)
    assert len({colour for colour, _ in styles.values()}) == 5 and styles["curriculum"] == ARMS["curriculum"]
    differences = rows_of(plots.effects(compare(at_best), at_best))[-1]
    assert len(differences) > 3
    assert all(row["colour"] == styles[row["name"].split(" − ")[0]][0] for row in differences)


def test_arms_that_drew_alike_are_one_picture():
    paced, even = np.array([[0.9, 0.1], [0.5, 0.5]]), np.full((2, 2), 0.5)
    shares = {"shuffled": even + 0.01, "curriculum": paced, "random": paced - 0.02, "shuffled_longer": even}
    assert alike(shares) == [["shuffled", "shuffled_longer"], ["curriculum", "random"]]


def test_few_seeds_are_drawn_one_by_one_and_accuracies_stay_between_0_and_100_per_cent():
    validation = {"shuffled": np.array([[0.9, 0.4], [0.1, 0.4]])}
    seeds, mean = rows_of(plots.arms(np.array([10, 20]), validation))
    assert [row["value"] for row in seeds] == [0.9, 0.4, 0.1, 0.4]
    assert (mean[0]["low"], mean[0]["high"]) == (0, 1)
    two = compare({"shuffled": np.array([0.9, 0.8]), "curriculum": np.array([0.7, 0.75])})
    assert {
        row["low"] for rows in rows_of(plots.effects(two, ["shuffled", "curriculum"])) for row in rows if "low" in row
    } == {-100}


def test_pacing():
    chart = plots.pacing(np.arange(0, 51, 25), {"linear": np.array([20, 60, 100])}, 100)
    (rows,) = rows_of(chart)
    assert [(row["at"], row["value"]) for row in rows] == [(0, 0.2), (25, 0.6), (50, 1)]
    assert chart.to_dict()["description"].endswith("linear: from 20% to 100%.")


def test_what_an_arm_drew_in_words_and_colours():
    share = np.array([[0.7, 0.2, 0.1, 0.0], [0.1, 0.2, 0.3, 0.4]])
    chart = plots.drawn(np.array([10, 20]), share, 0.7, "curriculum")
    (rows,) = rows_of(chart)
    assert [row["share"] for row in rows] == share.ravel().tolist()
    assert rows[5] == {"from": 10, "to": 20, "low": 0.25, "high": 0.5, "share": 0.2}
    spec = chart.to_dict()
    assert spec["description"].endswith("begins at 0% of the order at first, and from the one at 75% at the end.")
    assert spec["encoding"]["color"]["scale"] == {"scheme": "cividis", "domain": [0, 0.7]}


def test_saved_as_png_and_svg_the_same_each_time(tmp_path):
    for folder in ("a/new", "b"):
        plots.save(plots.agreement(CURVES, "train"), tmp_path / folder, "figure", "5 × lenet5, $ and _ <b>", "a note")
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("a/new", "b"))
    assert sorted(one) == ["figure.png", "figure.svg"] and one == other
    with Image.open(tmp_path / "b/figure.png") as image:
        assert image.width > 1000
        colours = {tuple(colour) for _, colour in image.convert("RGB").getcolors(1 << 24)}
    for name in ("blue", "vermilion"):
        assert tuple(bytes.fromhex(plots.palette()[name][1:])) in colours
    text = one["figure.svg"].decode()
    assert "5 × lenet5, $ and _ &lt;b&gt;" in text and "a note" in text and "var(" not in text


@pytest.mark.parametrize("name", [name for name in plots_of_all_kinds() if name not in ("order", "map")])
def test_every_plot_is_drawn_as_a_file(name, tmp_path):
    plots.save(plots_of_all_kinds("a.b[0]:Q")[name], tmp_path, name, "title")
    text = (tmp_path / f"{name}.svg").read_text()
    for each in NAMES if name in ("kinds", "sweep", "pacing") else []:
        assert each.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;") in text or each in text
    with Image.open(tmp_path / f"{name}.png") as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 5


def test_one_epoch_and_nothing_to_draw(tmp_path):
    one = {name: curve[:1] for name, curve in CURVES.items()}
    nothing = np.full(EPOCHS, np.nan)
    for number, chart in enumerate(
        [
            plots.agreement(one, "train"),
            plots.statistic("entropy", {"train": nothing}, VALUES, {"train": AGREEMENT}),
            plots.histogram(np.ones(10), "segments"),
        ]
    ):
        plots.save(chart, tmp_path, str(number), "title")
        json.dumps(plots.for_page(chart), allow_nan=False)
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.1, np.nextafter(0.1, 1), 0.1], [0.1, 0.1]])
def test_a_histogram_of_no_value_or_of_one_but_for_rounding(values):
    (rows,) = rows_of(plots.histogram(np.array(values), "contrast"))
    counts = [row["examples"] for row in rows]
    assert sum(counts) == np.isfinite(values).sum() and max(counts) == sum(counts)
