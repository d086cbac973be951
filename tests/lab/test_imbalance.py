"""A long tail of classes, and what measurements and comparisons then say class by class."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lab.compare import compare
from lab.compose import compose
from lab.data import Data, Images, Split
from lab.data.imbalance import long_tailed, tail_of
from lab.errors import UserError
from lab.measure import measure

FEW = ["imbalance=50", "epochs=1", "batch_size=64", "device=cpu", "network=lenet5"]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.floats(1, 200))
def test_sizes_fall_from_the_largest_and_no_class_is_lost(counts, imbalance):
    counts = np.array(counts)
    sizes = tail_of(counts, imbalance)
    assert (sizes <= counts).all() and (sizes >= 1).all()
    ideal = counts.max() * imbalance ** -(np.arange(len(counts)) / max(1, len(counts) - 1))
    free = sizes < counts
    np.testing.assert_allclose(sizes[free], np.maximum(ideal, 1)[free], atol=0.5)


def data(multi_label: bool = False) -> Data:
    def split(n: int) -> Split:
        images = np.arange(n * 4, dtype=np.uint8).reshape(n, 2, 2, 1)
        known = {"scale": np.arange(n)}
        return Split(Images.of(images), np.arange(n) % 10, [str(i) for i in range(n)], images[..., 0], known)

    return Data(split(2000), split(100), [str(i) for i in range(10)], multi_label=multi_label)


def test_the_draw_is_fixed_by_the_seed_and_examples_keep_what_is_theirs():
    whole, one, same, other = data(), *(long_tailed(data(), 50, seed) for seed in (0, 0, 1))
    assert np.bincount(one.train.labels).tolist() == [200, 129, 84, 54, 35, 23, 15, 10, 6, 4]
    assert one.train.ids == same.train.ids and one.train.ids != other.train.ids and one.digest != other.digest
    for i, name in enumerate(one.train.ids):
        assert one.train.labels[i] == int(name) % 10 and one.train.annotations["scale"][i] == int(name)
        assert (one.train.images[i] == whole.train.images[int(name)]).all()
        assert (one.train.original(i) == whole.train.original(int(name))).all()
    assert len(one.test) == 100
    (note,) = one.notes
    assert note.startswith(
        "imbalance=50: 560 of 2,000 train examples are kept, from 200 of class '0' to 4 of class '9'"
    )
    with pytest.raises(UserError, match="sets of labels"):
        long_tailed(data(multi_label=True), 50, 0)


def test_a_measurement_and_a_comparison_by_it_have_the_same_tail_and_tell_of_classes(
    tmp_path, monkeypatch, empty_database, without_figures
):
    monkeypatch.chdir(tmp_path)
    measured = measure(compose([*FEW, "networks=2", "statistics=[brightness]"]), Console(quiet=True))
    words = [*FEW, "metric=learning_time", "seeds=2", "arms=[shuffled,curriculum]", "evaluations=2", "longer=0"]
    console = Console(record=True, width=100)
    compared = compare(compose(words, "curriculum"), console)
    printed = " ".join(console.export_text().split())
    assert f"measurement {measured}" in printed and "The classes are unequal." in printed
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    classes = pd.read_csv(client.download_artifacts(measured, "classes.csv"))
    train = classes[(classes["split"] == "train") & (classes["epoch"] == 1)]
    assert len(train) == 10 and train["examples"].max() == 50 * train["examples"].min()
    metrics = client.get_run(measured).data.metrics
    test = classes[classes["split"] == "test"]
    assert metrics["test/balanced_accuracy"] == pytest.approx(test["accuracy"].mean())
    by_class = pd.read_csv(client.download_artifacts(compared, "classes.csv"))
    table = pd.read_csv(client.download_artifacts(compared, "comparison.csv"), index_col="arm")
    for arm, own in by_class.groupby("arm"):
        assert table.loc[arm, "balanced_at_best"] == pytest.approx(own["accuracy"].mean())
        assert table.loc[arm, "test_at_best"] == pytest.approx(np.average(own["accuracy"], weights=own["examples"]))
    assert client.get_run(compared).data.metrics["comparison/balanced_at_best_shuffled"] > 0
