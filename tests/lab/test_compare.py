"""Whole comparisons on real digits with a real MLflow store: equal terms, a planted truth, reuse, interruption, bad words."""

import functools
import importlib
import linecache
import math
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

import lab.compare
import metrics
import train
from agreement import commonest
from curricula import DYNAMIC, PACING, Outcome, answer, corrupt_labels, table_of
from curricula import compare as compare_arms
from lab.arms import pacings_of, parts_of, tries_of, with_label_noise
from lab.compose import compose
from lab.data import load
from lab.doubts import never_drawn
from lab.networks import NETWORKS
from lab.networks.lenet5 import lenet5
from lab.records import record_of
from lab.settings import PROGRAM
from lab.store import experiment_id, open_store
from metrics import read_image

ROOT = Path(__file__).parents[2]
SMALL = [
    "data=folder", "resize=null", "crop=null", "network=lenet5", "batch_size=27", "epochs=2", "evaluations=3", "seeds=2",
]  # fmt: skip


def compare(*words: str) -> int:
    return train.main(["--mode", "curriculum", *words])


def printed(capsys) -> str:
    """What was printed, lines joined: the terminal's width breaks them anywhere."""
    return " ".join(capsys.readouterr().out.split())


def children(client: MlflowClient, parent: str) -> list:
    experiment = client.get_run(parent).info.experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=100)


def parents(client: MlflowClient) -> list:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(experiments, "tags.phase = 'curriculum'", order_by=["attributes.start_time DESC"])


def history(client: MlflowClient, run: str, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run, key)]


@pytest.mark.slow
def test_a_comparison_leaves_paired_trainings_on_equal_terms_and_the_next_one_uses_them_again(place, digits, capsys):
    small = [*SMALL, f"root={digits}"]
    assert compare("metric=entropy", *small, "arms=[shuffled,curriculum]") == 0
    said = printed(capsys)
    assert "seeds=2 is too few to reach a corrected p below 0.05, which takes 6. Continuing." in said
    assert "it takes at least 6 seeds" in said
    client = open_store()
    (parent,) = parents(client)
    runs = {(run.data.tags["arm"], run.data.tags["seed"]): run for run in children(client, parent.info.run_id)}
    assert set(runs) == {(arm, seed) for arm in ("shuffled", "curriculum") for seed in "01"}
    assert {run.info.status for run in [parent, *runs.values()]} == {"FINISHED"}
    for run in runs.values():
        assert {key: run.data.tags[key] for key in ("metric", "pacing", "data", "network")} == {
            "metric": "entropy", "pacing": "linear", "data": "digits", "network": "lenet5",
        }  # fmt: skip
        # 150 digits less a tenth of each class, in six batches, twice
        assert [step for step, _ in history(client, run.info.run_id, "validation/accuracy")] == [4, 8, 12]
        assert [step for step, _ in history(client, run.info.run_id, "test/accuracy")] == [0]  # one number
    artifacts = Path(client.download_artifacts(parent.info.run_id, ""))
    table = pd.read_csv(artifacts / "comparison.csv", index_col="arm")
    assert list(table.index) == ["shuffled", "curriculum"]
    measured = [runs["curriculum", seed].data.metrics["test/accuracy_at_best"] for seed in "01"]
    baseline = [runs["shuffled", seed].data.metrics["test/accuracy_at_best"] for seed in "01"]
    assert table.loc["curriculum", "test_at_best"] == pytest.approx(np.mean(measured))
    assert table.loc["curriculum", "difference"] == pytest.approx(np.mean(measured) - np.mean(baseline))
    for name in ("validation-accuracy", "drawn", "pacing"):
        assert (artifacts / "figures" / f"{name}.png").stat().st_size > 5000

    assert compare("metric=segments", *small, "arms=[shuffled,anti]") == 0
    assert "2 of 4 trainings had been done before on identical terms" in printed(capsys)
    second = {
        (run.data.tags["arm"], run.data.tags["seed"]): run for run in children(client, parents(client)[0].info.run_id)
    }
    for seed in "01":
        first, again = runs["shuffled", seed], second["shuffled", seed]
        assert again.data.tags["reused_from"] == first.info.run_id
        assert "reused_from" not in second["anti", seed].data.tags
        for key in ("validation/accuracy", "test/accuracy"):
            assert history(client, again.info.run_id, key) == history(client, first.info.run_id, key)

    # other terms, other trainings: the same baseline with another learning rate is trained
    assert compare("metric=segments", *small, "arms=[shuffled,anti]", "lr=0.03") == 0
    assert "done before" not in printed(capsys)


@pytest.mark.slow
def test_a_planted_truth_is_recovered_and_random_scores_show_nothing(place, capsys, without_figures):
    """With 40 % wrong labels and scores that know them, the curriculum wins; with scores made of noise it does not."""
    words = ["label_noise=0.4", "epochs=2", "evaluations=4", "seeds=6", "arms=[shuffled,curriculum]", "a=1"]
    config = compose(words, "curriculum")
    data = load(config)
    part, _ = parts_of(data, config.validation, config.seed)
    _, wrong = corrupt_labels(data.train.labels[part], 0.4, 10, config.seed)
    noisy = with_label_noise(data, config.label_noise, config.validation, config.seed)
    assert np.array_equal(noisy.train.labels[part] != data.train.labels[part], wrong)
    ids = np.array(data.train.ids)[part]
    noise = np.random.default_rng(5).normal(size=len(ids))
    pd.DataFrame({"id": ids, "score": wrong + 0.1 * noise}).to_csv("known.csv", index=False)
    pd.DataFrame({"id": ids, "score": noise}).to_csv("random.csv", index=False)

    assert compare("metric=file:known.csv", *words) == 0
    assert "points better than shuffled training; whether" in printed(capsys)
    assert compare("metric=file:random.csv", *words) == 0
    said = printed(capsys)
    assert "points better than shuffled training" not in said
    assert "6 of 12 trainings had been done before" in said


@pytest.mark.slow
def test_several_scores_one_of_them_measured_on_the_same_noisy_labels(place, digits, capsys, without_figures):
    """Measurement and comparison share the wrong labels; the order's cost becomes the additional steps of a baseline."""
    noisy = ["label_noise=0.4", f"root={digits}"]
    measured = ["--mode", "measure", *SMALL[:5], "networks=2", "epochs=3", "statistics=entropy", *noisy]
    assert train.main(measured) == 0
    shared = [*SMALL, "metric=agreement,entropy", "matters=40", "variety=none,clusters", "workers=2"]
    assert compare(*shared, f"root={digits}") == 2  # labels without noise are other labels
    assert "metric=agreement needs a measurement" in capsys.readouterr().err
    assert compare(*shared, *noisy, "seed=1") == 2
    assert "label_noise=0.4 validation=0.1 seed=1" in capsys.readouterr().err
    assert compare(*shared, *noisy, "longer=1") == 0
    said = printed(capsys)
    assert "Does training in order of agreement or entropy help? No." in said
    assert (
        "The order cost 6 passes over the data; a training has 2. Beside shuffled training that is longer by 1 of"
        in said
    )
    assert re.search(r"agreement: [\d,]+ of the \d+ wrong labels \(\d+%\) lie in the last fifth of the order", said)
    client = open_store()
    (parent,) = parents(client)
    table = pd.read_csv(Path(client.download_artifacts(parent.info.run_id, "comparison.csv")), index_col="arm")
    arms = {"shuffled", "agreement", "agreement clusters", "entropy", "entropy clusters", "random", "random clusters"}
    assert set(table.index[table["test_at_best"].notna()]) == arms | {"shuffled_longer"}
    assert set(table.index[table["test_at_best"].isna()]) == {
        *(f"{score} against random" for score in ("agreement", "entropy")),
        *(f"{score} clusters against random clusters" for score in ("agreement", "entropy")),
        *(f"{score} clusters against {score}" for score in ("agreement", "entropy")),
        *(f"agreement{variety} against shuffled_longer" for variety in ("", " clusters")),
    }
    runs = children(client, parent.info.run_id)
    last = {run.data.tags["arm"]: history(client, run.info.run_id, "validation/accuracy")[-1][0] for run in runs}
    # 150 digits less a tenth, in batches of 27: 6 steps a pass, twice, and once more for the longer one
    assert last == dict.fromkeys(arms, 12) | {"shuffled_longer": 18}


@pytest.mark.slow
def test_arms_that_decide_while_training_and_pruning_arms_in_one_table(place, digits, capsys, without_figures):
    """With 40 % wrong labels: all end at the same cost, and those of the hardest that are left out are told."""
    noise = np.random.default_rng(5)
    words = [*SMALL, f"root={digits}", "label_noise=0.4", "batch_size=15", "epochs=3", "workers=2"]
    data = load(compose(words, "curriculum"))
    noisy = with_label_noise(data, 0.4, 0.1, 0)
    wrong = noisy.train.labels != data.train.labels
    pd.DataFrame({"id": data.train.ids, "score": wrong + 0.1 * noise.normal(size=len(wrong))}).to_csv("known.csv")
    arms = "arms=shuffled,random,self_paced,infobatch,rho"
    assert compare(*words, "metric=file:known.csv", arms, "drop=hard,random", "keep=0.5") == 0
    said = printed(capsys)
    assert (
        "Does it help to decide while training what comes next? Too few seeds (2) to tell; self_paced came out" in said
    )
    part, _ = parts_of(data, 0.1, 0)
    # ten batches of 15, three times; all examples are candidates, each of which costs a third
    each = "30 optimiser steps each (rho 7, which cost as much: the losses of their candidates take forward passes)"
    assert 135 < len(part) <= 150 and round(30 / (1 + len(part) / 45)) == 7 and each in said
    left_out = re.search(
        r"drop hard: (\d+) of the (\d+) wrong labels \(\d+%\) are among the (\d+) examples left out", said
    )
    dropped, number, out = map(int, left_out.groups())
    assert number == wrong[part].sum() and out == len(part) - round(0.5 * len(part)) and dropped > 0.9 * number
    assert re.search(
        r"Share of the cost of a training until .*shuffled \d+ % \(too few seeds for an interval\).*infobatch", said
    )
    client = open_store()
    (parent,) = parents(client)
    found = pd.read_csv(Path(client.download_artifacts(parent.info.run_id, "comparison.csv")), index_col="arm")
    pairs = {"self_paced against random", "drop hard against drop random"}
    assert set(found.index) == {*arms.removeprefix("arms=").split(","), "drop hard", "drop random", *pairs}
    assert found["cost_until"].notna().sum() == 7
    last = {}
    for run in children(client, parent.info.run_id):
        curve = history(client, run.info.run_id, "validation/accuracy")
        assert len(curve) == 3
        last[run.data.tags["arm"]] = curve[-1][0]
    assert last == dict.fromkeys(set(found.index) - pairs, 30) | {"rho": 7}
    # the same again, of a part of them: nothing is trained
    assert compare(*words, "metric=file:known.csv", "arms=shuffled,infobatch,rho") == 0
    assert "6 of 6 trainings had been done before" in printed(capsys)
    # one of one's own, which the processes that train import too
    (place / "my.py").write_text(
        "from curricula import DYNAMIC, Dynamic\nclass Mine(Dynamic): candidates = 2\nDYNAMIC['mine'] = Mine\n"
    )
    assert compare(*words, "metric=file:known.csv", "arms=shuffled,mine", "--import", "my.py") == 0
    assert "30 optimiser steps each (mine 18, which cost" in printed(capsys)  # 1 + 2/3
    DYNAMIC.pop("mine")


@pytest.mark.slow
def test_each_arm_picks_its_settings_by_validation_and_the_baseline_tries_as_often(
    place, digits, capsys, without_figures
):
    words = [*SMALL, f"root={digits}", "metric=entropy", "arms=shuffled,curriculum", "workers=2"]
    assert compare(*words, "tune.lr=0.001,0.1", "tune.a=0.5,1") == 0
    assert "curriculum picked lr=" in printed(capsys)
    client = open_store()
    (parent,) = parents(client)
    runs = children(client, parent.info.run_id)
    tried = {(run.data.tags["arm"], run.data.tags["seed"]): [] for run in runs}
    for run in runs:
        curve = [value for _, value in history(client, run.info.run_id, "validation/accuracy")]
        tried[run.data.tags["arm"], run.data.tags["seed"]].append((max(curve), run))
    assert {key: len(each) for key, each in tried.items()} == {
        (arm, seed): 4 for arm in ("shuffled", "curriculum") for seed in "01"
    }
    for arm, differ in (("curriculum", {"lr", "a"}), ("shuffled", {"lr", "draw"})):
        for run in (run for _, run in tried[arm, "0"]):
            assert run.data.params.keys() - {"draw"} == {"arm", "seed", *differ} - {"draw"}
    assert {run.data.params.get("draw") for _, run in tried["shuffled", "1"]} == {None, "3"}
    found = pd.read_csv(Path(client.download_artifacts(parent.info.run_id, "comparison.csv")), index_col="arm")
    for arm in ("shuffled", "curriculum"):
        best = [max(tried[arm, seed], key=lambda each: each[0]) for seed in "01"]
        equal = [
            {run.data.metrics["test/accuracy_at_best"] for value, run in tried[arm, seed] if value == top}
            for seed, (top, _) in zip("01", best, strict=True)
        ]
        sums = {(x + y) / 2 for x in equal[0] for y in equal[1]}
        assert any(found.loc[arm, "test_at_best"] == pytest.approx(each) for each in sums)


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_and_ends_as_if_undisturbed(
    place, digits, empty_database, monkeypatch, without_figures
):
    words = [
        "metric=frequency",
        *SMALL,
        f"root={digits}",
        "epochs=20",
        "evaluations=10",
        "arms=[shuffled,anti]",
        "workers=2",
    ]

    program = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "--mode", "curriculum", *words],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    while not list(place.glob("mlruns/unfinished/*/training-*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    program.send_signal(signal.SIGTERM)
    assert program.wait(5) == 128 + signal.SIGTERM
    assert program.stderr.read() == b"stopped by SIGTERM; the same command continues where this one stopped\n"
    client = open_store()
    (parent,) = parents(client)
    assert parent.info.status == "KILLED"
    assert {run.info.status for run in children(client, parent.info.run_id)} == {"FINISHED", "KILLED"}

    assert compare(*words) == 0
    (parent,) = parents(client)  # the same one, finished
    assert parent.info.status == "FINISHED"
    found = pd.read_csv(Path(client.download_artifacts(parent.info.run_id, "comparison.csv")))
    for run in children(client, parent.info.run_id):
        assert run.info.status == "FINISHED"
        steps = [step for step, _ in history(client, run.info.run_id, "validation/accuracy")]
        assert steps == list(range(12, 121, 12))
        assert len(history(client, run.info.run_id, "test/accuracy")) == 1
    for key, value in parent.data.metrics.items():
        assert history(client, parent.info.run_id, key) == [(0, value)]

    undisturbed = place / "undisturbed"
    (undisturbed / "mlruns").mkdir(parents=True)
    shutil.copy(empty_database, undisturbed / "mlruns")
    monkeypatch.chdir(undisturbed)
    assert compare(*words) == 0
    (expected,) = (pd.read_csv(path) for path in undisturbed.glob("mlruns/artifacts/*/*/artifacts/comparison.csv"))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize(
    ("pacing", "a", "steps", "told"),
    [
        ("fixed_exponential", None, 79, ["pacing=fixed_exponential reaches 400 of 10,000 examples by the end of the 79 steps"]),
        ("fixed_exponential", None, 632, []),  # H&W's seven levels of 100 steps
        ("fixed_exponential", 0.8, 79, []),
        ("linear", 1, 79, []),
        ("linear", 2, 79, ["pacing=linear reaches 6,000 of 10,000 examples by the end of the 79 steps"]),
    ],
)  # fmt: skip
def test_examples_that_the_pacing_never_reaches_are_told(pacing, a, steps, told):
    found = never_drawn(pacing, pacings_of(pacing, steps, 10_000, a, None, tries_of([], [], [])))
    assert [note.partition(";")[0] for note in found] == told
    assert all(note.endswith(" Continuing.") for note in found)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["metric=entropie"], "there is no 'entropie'; did you mean entropy?"),
        (["metric=entropy+color"], "there is no 'color'"),
        (["metric=entropy,entropy"], "entropy stands there twice"),
        (["metric=entropy,"], "metric=entropy,: name a score on either side of the comma"),
        (["metric=entropy,color"], "there is no 'color'"),
        (["metric=file:one,two.csv"], "file:one,two.csv: there is no such file"),
        (["variety=none,none"], "variety: name none, clusters, or each once"),
        (["tune.a=0.5,0"], "tune_a=0.0: expected above 0"),
        (["tune.c=1"], "there is no setting 'tune_c'"),
        (["metric=entropy+"], "metric=entropy+: name a score on either side of the +"),
        (["metric=agreement"], f"make one: {PROGRAM} --mode measure data=digits"),
        (["metric=file:missing.csv"], "missing.csv: there is no such file"),
        (["measurement=1234"], "metric=entropy reads none; learning_time, agreement, first, last,"),
        (
            ["arms=[shuffled,anti-curr]"],
            "arms=anti-curr: there is no such arm; did you mean anti",
        ),
        (["arms=[curriculum,anti]"], "shuffled, the baseline"),
        (["arms=[shuffled,infobatches]"], "arms=infobatches: there is no such arm; did you mean infobatch"),
        (["drop=hard,hard"], "drop: name each once"),
        (["keep=0.3"], "keep=0.3: nothing is left out; give drop=hard, easy or random too"),
        (["longer=5"], "longer=5: metric=entropy costs no training"),
        (["pacing=lineal"], "did you mean linear"),
        (["b=1.5"], "b=1.5: expected at most 1"),
        (["a=0"], "a=0.0: expected above 0"),
        (["seeds=1"], "seeds=1: expected at least 2"),
        (["batch_size=3601"], "batch_size=3601 is larger than the 3600 examples to train on"),
        (["network=[lenet5,vgg16]"], "a comparison trains one architecture"),
        (["label_noise=1.2"], "label_noise=1.2: expected at most 1"),
        (["validation=1"], "validation=1.0: expected below 1"),
        (["sweep.batch_size=[16,32]"], "only --mode measure sweeps"),
        (["networks=3"], "networks=3: --mode curriculum does not read it, --mode measure does"),
        (["metric=file:one+two.csv"], "file:one+two.csv: there is no such file"),
    ],
)
def test_bad_words_are_one_line_and_exit_status_2(place, capsys, words, message):
    assert compare(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_pacing_is_drawn_on_request(place, capsys):
    assert compare("--show-pacing", "pacing=root", "a=0.5") == 0
    assert "fixed_exponential" in printed(capsys)
    assert (place / "pacing.png").stat().st_size > 5000


def test_scores_are_told_about_before_the_training(place, digits, monkeypatch, capsys):
    names = sorted(path.relative_to(digits / "train").as_posix() for path in digits.glob("train/*/*"))

    def said(*scores: float) -> str:
        rows = [f"{name},{scores[i % len(scores)]}" for i, name in enumerate(names)]
        (place / "scores.csv").write_text("\n".join(["id,score", *rows]))
        compare("metric=file:scores.csv", *SMALL, f"root={digits}", "arms=[shuffled,curriculum]")
        out, error = capsys.readouterr()
        return " ".join(f"{out} {error}".split())

    def stopped(*rest):
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.trainings.train_all", stopped)
    assert "metric=file:scores.csv: the scores are all equal, which gives no order" in said(2)
    assert "the scores are all missing" in said(math.nan)
    assert "share the score 2, in random order. Continuing." in said(2, 2, 1, 3)
    told = said(1, 2, 3, 4, math.nan)
    assert re.search(r"of \d+ training examples have no score \('.*', \.\.\.\) and come last in the order", told)
    assert "share the score" not in told


def test_no_answer_where_nothing_was_learned():
    at_best = {"shuffled": np.array([0.12, 0.13, 0.11] * 2), "curriculum": np.array([0.05, 0.04, 0.06] * 2)}
    curves = {arm: values[:, None] for arm, values in at_best.items()}
    outcome = Outcome(np.array([1]), curves, {}, at_best, at_best)
    comparisons = {"curriculum": replace(compare_arms(at_best)["curriculum"], corrected_p=0.01)}
    table = table_of(outcome, comparisons)
    assert answer(comparisons, table, 0.02) == "No: 7.00 points worse than shuffled training."
    message = "These trainings cannot tell: shuffled is not shown to beat naming the commonest class, 12.0%."
    assert answer(comparisons, table, 0.12) == message


def test_the_commonest_label():
    assert commonest(np.array([0, 1, 1, 2])) == 0.5
    assert commonest(np.array([[1, 0], [1, 1], [1, 0], [1, 0]])) == 0.75


def test_a_comparison_in_another_order_is_not_resumed(place, digits, monkeypatch):
    """The file of scores changes after an interruption: what was trained in the old order does not count."""
    scores = place / "scores.csv"
    works = []

    def interrupted(task, tasks, look, workers, on_gpu, work, *rest):
        works.append(work)
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.trainings.train_all", interrupted)
    names = sorted(path.relative_to(digits / "train").as_posix() for path in digits.glob("train/*/*"))
    for direction in (1, 1, -1):
        rows = [f"{name},{direction * number}" for number, name in enumerate(names)]
        scores.write_text("\n".join(["id,score", *rows]))
        assert compare(f"metric=file:{scores}", *SMALL, f"root={digits}", "arms=[shuffled,curriculum]") == 130
    assert works[0] == works[1] != works[2]


def test_changed_code_is_other_work(place, digits, monkeypatch):
    """A network and a pacing function of one's own: what their modules gave before they changed does not count."""
    code = "from lab.networks.lenet5 import lenet5\ndef network(*shape): return lenet5(*shape)\n"
    code += "def pacing(t, T, N, a=0.8, b=0.2): return N + 0 * t\n"

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.trainings.train_all", interrupted)
    monkeypatch.syspath_prepend(place)
    keys: list[list[str]] = []
    terms_of = lab.compare.terms_of
    monkeypatch.setattr("lab.compare.terms_of", lambda *words: keys.append(terms_of(*words)) or keys[-1])
    words = [*SMALL, "network=ours", "pacing=ours", f"root={digits}", "metric=entropy", "arms=[shuffled,curriculum]"]
    for version in (1, 1, 2):
        (place / "ours.py").write_text(f"{code}# version {version}\n")
        sys.modules.pop("ours", None)
        importlib.invalidate_caches()
        linecache.clearcache()
        ours = importlib.import_module("ours")
        monkeypatch.setitem(NETWORKS, "ours", ours.network)
        monkeypatch.setitem(PACING, "ours", ours.pacing)
        assert compare(*words) == 130
    assert keys[0] == keys[1] and not {*keys[1]} & {*keys[2]}
    monkeypatch.setitem(NETWORKS, "ours", lenet5)
    for again in (1, 2):  # nobody can tell whether it is the same function
        monkeypatch.setitem(PACING, "ours", functools.partial(ours.pacing, a=again))
        assert compare(*words) == 130
    assert keys[3][0] == keys[4][0] and keys[3][1] != keys[4][1]


def test_scores_see_the_labels_that_the_training_sees_and_clusters_make_orders_varied(place, digits, monkeypatch):
    seen, trained = [], []

    def by_class(images, labels, seed=0, progress=None):
        seen.append(np.asarray(labels))
        return np.asarray(labels, float)

    def interrupted(task, tasks, *rest):
        trained.append({name: np.load(plan[0].folder / "order.npy") for name, plan in tasks.items()})
        raise KeyboardInterrupt

    monkeypatch.setitem(metrics.EXAMPLE_STATISTICS, "neighbours", by_class)
    monkeypatch.setattr("lab.trainings.train_all", interrupted)
    words = [*SMALL, f"root={digits}", "metric=neighbours", "label_noise=0.3"]
    assert compare(*words) == 130
    assert compare(*words, "variety=clusters") == 130
    settings = compose([*SMALL, f"root={digits}"], "curriculum")
    data = load(settings)
    noisy = with_label_noise(data, 0.3, settings.validation, settings.seed).train.labels
    part, validation = parts_of(data, settings.validation, settings.seed)
    assert (noisy != data.train.labels)[part].mean() == pytest.approx(0.3, abs=0.02)
    assert np.array_equal(noisy[validation], data.train.labels[validation])
    for labels in seen:
        assert np.array_equal(labels, noisy)
    plain, varied = trained
    same = {name: np.array_equal(plain[name], varied[name]) for name in plain}
    baseline = {f"training-{number}" for number in (1, 5)}  # shuffled, of either seed
    assert {name for name, equal in same.items() if equal} == baseline


@pytest.fixture
def measured(place, digits):
    """Two measurements of the digits, the older one first."""
    client = open_store()
    for seed in (0, 1):
        words = ["data=folder", "resize=null", "crop=null", "batch_size=27", "networks=2", "epochs=1", f"seed={seed}"]
        assert train.main(["--mode", "measure", *words, "statistics=[entropy]", f"root={digits}"]) == 0
    experiment = client.get_experiment_by_name(f"measure-{digits.name}").experiment_id
    return client.search_runs([experiment], "tags.phase = 'measure'", order_by=["attributes.start_time ASC"])


@pytest.mark.slow
def test_a_measurement_of_other_images_under_the_same_names_orders_nothing(
    measured, place, digits, capsys, monkeypatch
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("lab.trainings.train_all", interrupted)
    older, newer = measured
    words = [*SMALL, "metric=agreement"]
    assert compare(*words, f"root={digits}") == 130
    shutil.copytree(digits, place / "others")
    for path in (place / "others").rglob("*.png"):
        Image.fromarray(255 - read_image(path)).save(path)
    capsys.readouterr()
    assert compare(*words, f"root={place / 'others'}") == 2
    assert "needs a measurement of these examples" in capsys.readouterr().err
    assert compare(*words, f"root={place / 'others'}", f"measurement={newer.info.run_id}") == 2
    assert "it measured other images under the same names" in capsys.readouterr().err

    # files that are gone, of the newer one: the older one serves, and that is said
    shutil.rmtree(url2pathname(urlparse(newer.info.artifact_uri).path))
    split = load(compose([*SMALL, f"root={digits}"], "curriculum")).train
    found = record_of(None, None, "agreement", split, "folder", str(digits), open_store())
    assert (
        found[1] == f"measurement {older.info.run_id}"
        and f"measurement={newer.info.run_id} is passed over" in found[2][0]
    )
    assert compare(*words, f"root={digits}", f"measurement={newer.info.run_id}") == 2
    assert "its record cannot be read" in capsys.readouterr().err


def test_a_measurement_by_the_beginning_of_its_id(place, digits, capsys):
    client = open_store()
    experiment = experiment_id(client, "curriculum-folder")
    run = client.create_run(experiment, tags={"phase": "curriculum"}).info.run_id
    small = [*SMALL, f"root={digits}", "metric=agreement"]
    assert compare(*small, f"measurement={run[:8]}") == 2
    assert "that run is no measurement" in capsys.readouterr().err
    assert compare(*small, "measurement=zzz") == 2
    assert "measurement=zzz: there is no such run" in capsys.readouterr().err
