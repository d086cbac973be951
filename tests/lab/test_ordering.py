"""Which way is easy: as the score declares, a measurement shows, or the user says."""

import shutil

import numpy as np
import pytest
from rich.console import Console

from lab import tracking
from lab.arms import with_label_noise
from lab.compose import compose
from lab.data import Data, Images, Split
from lab.errors import UserError
from lab.ordering import Scores, measured_direction, metrics_of, too_little
from lab.prepare import scores_by_name
from lab.progress import Progress
from lab.store import experiment_id, open_store

NUMBER = 100


@pytest.fixture
def data() -> Data:
    draw = np.random.default_rng(0)
    images = draw.integers(256, size=(NUMBER, 12, 12, 3), dtype=np.uint8)
    known = {name: draw.random(NUMBER) for name in ("c_score", "instances", "scale")}
    ids = [str(i) for i in range(NUMBER)]
    split = Split(Images.of(list(images)), np.arange(NUMBER) % 2, ids, images, known)
    return Data(split, split, ["a", "b"])


@pytest.fixture
def client(tmp_path, monkeypatch, empty_database):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns")
    return open_store()


def measured(client, data: Data, **correlations: float) -> None:
    """A finished measurement with these correlations, as MLflow holds it."""
    experiment = experiment_id(client, "measure-folder")
    run = client.create_run(experiment, tags={"phase": "measure"}).info.run_id
    tracking.log_data(client, run, "folder", "root", data)
    for name, rho in correlations.items():
        kind = "correlation_within" if name.startswith("within_") else "correlation"
        client.log_metric(run, f"{kind}/{name.removeprefix('within_')}", rho)
    client.set_terminated(run)


def scores(metric: str, data: Data, client, descending: bool | None = None):
    with Progress(Console(quiet=True), 1, 1) as progress:
        reader = Scores(
            data.train, data.train.labels, "folder", "root", data.digest, client, "cache", progress,
            descending=descending,
        )  # fmt: skip
        return reader.read(metric)[:3]


def test_annotations_declare_which_way_is_easy(data, client):
    values, descending, notes = scores("c_score", data, client)
    assert descending and notes == ["easy is high c_score"] and (values == data.train.annotations["c_score"]).all()
    assert scores("instances", data, client)[1:] == (False, ["easy is low instances"])
    assert scores("c_score", data, client, descending=False)[1:] == (False, ["easy is low c_score"])
    with pytest.raises(UserError, match=r"^metric=scale: whether high or low is easy is not known; give descending="):
        scores("scale", data, client)
    assert scores("scale", data, client, descending=True)[1]


def test_parts_of_a_sum_count_each_in_its_own_direction(data, client):
    values, descending, notes = scores("c_score+instances", data, client)
    known = data.train.annotations
    ranks = (np.argsort(np.argsort(-known["c_score"])) + np.argsort(np.argsort(known["instances"]))) / 2 + 1
    assert not descending and notes == ["easy is high c_score", "easy is low instances"]
    np.testing.assert_allclose(values, ranks)


def test_a_statistic_of_images_takes_its_direction_from_a_measurement_of_the_same_examples(data, client):
    assert scores("entropy", data, client)[1:] == (False, ["easy is low entropy"])
    measured(client, data, entropy=-0.3, frequency=-0.1)
    descending, (note,) = scores("entropy", data, client)[1:]
    assert descending and note.startswith("easy is high entropy: rho -0.30 with the order of learning in measurement ")
    assert scores("frequency", data, client)[1:] == (False, ["easy is low frequency"])  # within chance of 0
    assert measured_direction("entropy", "folder", "other examples", NUMBER, client) == (False, "")
    assert not scores("entropy", data, client, descending=False)[1]


def test_the_direction_is_that_within_classes_where_an_order_balances_them(data, client):
    measured(client, data, entropy=0.3, within_entropy=-0.2)
    about = ("entropy", "folder", data.digest, NUMBER, client)
    assert measured_direction(*about)[1].startswith(": rho -0.20 within classes with the order of learning")
    assert measured_direction(*about)[0] and not measured_direction(*about, within=False)[0]


def test_with_wrong_labels_the_direction_is_of_a_measurement_that_has_them(data, client):
    settings = compose(["data=folder", "root=root", "label_noise=0.5", "metric=entropy"], "curriculum")
    given = with_label_noise(data, 0.5, settings.validation, settings.seed)
    measured(client, given, entropy=-0.3)
    with Progress(Console(quiet=True), 1, 1) as progress:
        found = scores_by_name(settings, given, np.arange(NUMBER), data, client, progress)
        assert found.descending == {"entropy": True}
        clean = scores_by_name(settings, data, np.arange(NUMBER), data, client, progress)
    assert clean.descending == {"entropy": False}


@pytest.mark.parametrize(("column", "easy"), [("score", "low"), ("difficulty", "low"), ("easiness", "high")])
def test_a_file_says_it_in_its_header(data, client, tmp_path, column, easy):
    path = tmp_path / "own.csv"
    path.write_text(f"id,{column}\n" + "".join(f"{i},{i}\n" for i in range(NUMBER)))
    _, descending, (note,) = scores(f"file:{path}", data, client)
    assert descending == (easy == "high") and note.startswith(f"easy is {easy} file:{path}")
    assert ("says otherwise" in note) == (column == "score")


def test_too_few_epochs_or_networks_are_told():
    assert too_little("confidence", 60, 5) == ""
    assert (
        too_little("first", 4, 5)
        == "first is worth having from 5 epochs and 4 networks on; this measurement has 4 and 5"
    )


def test_what_stands_after_a_file_is_a_score_of_its_own_or_part_of_its_name():
    assert metrics_of("file:a.csv,teacher:resnet18,entropy+shallow") == [
        "file:a.csv",
        "teacher:resnet18",
        "entropy+shallow",
    ]
    assert metrics_of("file:a,b.csv,file:c+d.csv,entropy") == ["file:a,b.csv", "file:c+d.csv", "entropy"]
