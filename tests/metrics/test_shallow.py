"""Example statistics: exact, the same every time, and of use."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

import metrics
from metrics.shallow import _patch_kernel, leave_one_out
from metrics.shallow.examples import Examples, classes_of
from metrics.shallow.leave_one_out import Blocks, margins, moments
from metrics.shallow.patches import patches
from metrics.shallow.views import VIEWS, principal_vectors


def outputs_of(features, labels, ridge, block=7):
    """All leave-one-out outputs for given features (N, D), as a data set of `block` at a time sees them."""
    blocks = Blocks(lambda rows: rows, features)
    parts = leave_one_out.leave_one_out(blocks, moments(blocks, labels), labels, ridge)
    return np.concatenate([outputs for _, outputs in parts])


def refitted(features, labels, ridge):
    """The outputs for each example of a regression really made without it; features standardised over all examples."""
    features = features.astype(np.float16).astype(float)
    spread = features.std(axis=0)
    features = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    columns = np.column_stack([features, np.ones(len(features))])
    penalty = ridge * np.eye(columns.shape[1])
    penalty[-1, -1] = 0  # the intercept is free
    found = np.empty(labels.shape)
    for i in range(len(features)):
        others = np.arange(len(features)) != i
        known = columns[others]
        weights = np.linalg.solve(known.T @ known + penalty, known.T @ (2.0 * labels[others] - 1))
        found[i] = columns[i] @ weights
    return found


@pytest.mark.parametrize("ridge", [1.0, 300.0])
@pytest.mark.parametrize("kept", [2**30, 0])
def test_leaving_one_out_is_fitting_again_without_it(monkeypatch, ridge, kept):
    monkeypatch.setattr(leave_one_out, "KEPT", kept)
    monkeypatch.setattr(leave_one_out, "_BLOCK", 37)
    draw = np.random.default_rng(0)
    features = draw.standard_normal((200, 60)).astype(np.float32)
    features[:, 5] = 3  # tells nothing
    labels = draw.integers(4, size=200)[:, None] == np.arange(4)
    assert np.allclose(outputs_of(features, labels, ridge), refitted(features, labels, ridge), atol=2e-3)


@given(seed=st.integers(0, 1000), number=st.integers(3, 30), width=st.integers(1, 40), classes=st.integers(1, 5))
@settings(max_examples=25)
def test_leaving_one_out_is_exact_whatever_the_shape(seed, number, width, classes):
    draw = np.random.default_rng(seed)
    features = draw.standard_normal((number, width)).astype(np.float32)
    labels = draw.random((number, classes)) < 0.5
    assert np.allclose(outputs_of(features, labels, 1.0), refitted(features, labels, 1.0), atol=5e-3)


def test_the_margin_of_one_class_and_of_sets_of_classes():
    outputs = np.array([[0.5, -0.2, 0.1], [0.5, -0.2, 0.1], [0.5, -0.2, 0.1], [0.5, -0.2, 0.1]])
    labels = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]], bool)
    assert np.allclose(margins(outputs, labels), [0.4, -0.4, -0.3, -0.5])


def test_principal_vectors_hold_as_much_as_those_of_the_full_decomposition():
    draw = np.random.default_rng(0)
    data = draw.standard_normal((500, 80)) * np.geomspace(10, 0.01, 80)
    matrix = data.T @ data
    found = principal_vectors(matrix, 10, seed=0)
    assert np.allclose(found.T @ found, np.eye(10), atol=1e-9)
    held, most = np.diag(found.T @ matrix @ found), np.linalg.eigvalsh(matrix)[::-1][:10]
    assert np.all(held <= most * (1 + 1e-9)) and np.allclose(held, most, rtol=0.02)


@pytest.fixture(scope="module")
def pieces(photographs):
    """300 pieces of real photographs, uint8 (300, 32, 32, 3), not to be written, as of a file that is mapped for reading."""
    draw = np.random.default_rng(0)
    coloured = [image for image in photographs if image.ndim == 3 and min(image.shape[:2]) > 32]
    chosen = [coloured[i] for i in draw.integers(len(coloured), size=300)]
    corners = [(draw.integers(len(image) - 31), draw.integers(image.shape[1] - 31)) for image in chosen]
    found = np.stack([image[y : y + 32, x : x + 32] for image, (y, x) in zip(chosen, corners, strict=True)])
    found.setflags(write=False)
    return found


def test_patches_are_normalised(pieces):
    found = np.empty((25 * 25, 192), np.float32)
    _patch_kernel.normalised_patches(pieces[0], 8, found)
    windows = np.lib.stride_tricks.sliding_window_view(pieces[0].astype(float), (8, 8), axis=(0, 1))
    windows = windows.transpose(0, 1, 3, 4, 2).reshape(625, 192)
    wanted = (windows - windows.mean(1, keepdims=True)) / np.sqrt(windows.var(1, keepdims=True) + 10)
    assert np.allclose(found, wanted, atol=1e-4)


def test_responses_are_rectified_and_added_up_over_the_image_and_its_mirror_image():
    draw = np.random.default_rng(0)
    even, odd = draw.standard_normal((2, 49, 6)).astype(np.float32)
    found = np.empty((2, 2, 2, 6), np.float32)
    _patch_kernel.pool(even, odd, np.array([3, 7]), np.float32(0.25), found)
    filters, mirrored = (each.reshape(7, 7, 6) for each in (even + odd, even - odd))
    wanted = np.zeros((2, 2, 2, 6))
    for y in range(7):
        for x in range(7):
            for j, response in ((int(x >= 3), filters[y, x]), (1 - int(x >= 3), mirrored[y, x])):
                wanted[int(y >= 3), j, 0] += np.maximum(response - 0.25, 0)
                wanted[int(y >= 3), j, 1] += np.maximum(-response - 0.25, 0)
    assert np.allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("side", [8, 9])
def test_an_image_and_its_mirror_image_have_the_same_features(pieces, side):
    features = patches(pieces, seed=3, side=side, filters=20)
    mirrored = features(pieces[:20, :, ::-1])
    assert np.allclose(features(pieces[:20]), mirrored, atol=2e-3)
    assert np.std(mirrored.astype(float), axis=0).min() > 0


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_knows_classes_that_differ(pieces, name):
    labels = np.arange(300) % 3
    images = pieces.copy()
    images[labels == 1] = np.rot90(pieces[labels == 1], axes=(1, 2)) // 3  # darker
    images[labels == 2, :16] = 255 - images[labels == 2, :16]
    examples = Examples(images, classes_of(labels, 300))
    for blocks, found, ridge in VIEWS[name](examples):
        outputs = np.concatenate(
            [each for _, each in leave_one_out.leave_one_out(blocks, found, examples.labels, ridge)]
        )
        assert (outputs.argmax(axis=1) == labels).mean() > 0.5


def test_wrong_labels_are_hard(mnist):
    images, labels = mnist[0][::4], mnist[1][::4]
    draw = np.random.default_rng(0)
    wrong = draw.random(len(labels)) < 0.3
    given = np.where(wrong, (labels + draw.integers(1, 10, len(labels))) % 10, labels)
    for name, least in (
        ("shallow", 0.97),
        ("shallow:fast", 0.96),
        ("shallow:loss", 0.97),
        ("neighbours", 0.95),
        ("typicality", 0.8),
    ):
        scores = metrics.EXAMPLE_STATISTICS[name](images, given)
        assert np.all((scores >= 0) & (scores <= (1 if name not in ("typicality", "shallow:loss") else np.inf))), name
        ranks = rankdata(scores)
        number = wrong.sum()
        area = (ranks[wrong].sum() - number * (number + 1) / 2) / (number * (len(wrong) - number))
        assert area > least, (name, area)


def test_the_loss_of_the_shallow_model_is_one_of_probabilities(pieces):
    """Guessing costs log C; on classes that it tells apart it does better, and of no classes to tell apart it makes no more of it."""
    labels = np.arange(300) % 3
    guessed = metrics.shallow_loss(pieces, labels)
    assert guessed.mean() == pytest.approx(np.log(3), abs=0.03)
    told_apart = pieces // (1 + 2 * labels[:, None, None, None]).astype(np.uint8)
    assert metrics.shallow_loss(told_apart, labels).mean() < 0.5
    sets = np.random.default_rng(0).random((300, 4)) < 0.5
    assert metrics.shallow_loss(pieces, sets).mean() == pytest.approx(np.log(2), abs=0.03)


def test_the_same_seed_gives_the_same_and_progress_ends_at_all(pieces):
    labels = np.arange(300) % 7
    calls = []
    metrics.shallow(pieces, labels, seed=1, progress=lambda *numbers: calls.append(numbers))
    assert calls[0] == (0, 300) and calls[-1] == (300, 300) and calls == sorted(calls)
    found = metrics.shallow_fast(pieces, labels, seed=1)
    assert np.array_equal(found, metrics.shallow_fast(pieces, labels, seed=1))
    assert not np.array_equal(found, metrics.shallow_fast(pieces, labels, seed=2))


def test_sets_of_labels_many_classes_classes_of_one_and_grey_images_of_any_size(pieces):
    draw = np.random.default_rng(0)
    sets = draw.random((300, 6)) < 0.3
    assert np.isfinite(metrics.shallow_fast(pieces, sets)).all()
    odd = [draw.integers(0, 256, (20 + i, 50), dtype=np.uint8) for i in range(12)]
    names = np.array(["a", "b", "c", "d"] * 2 + ["alone"] + ["a"] * 3)
    for name, statistic in metrics.EXAMPLE_STATISTICS.items():
        found = statistic(odd, names)
        assert found.dtype == np.float64 and found.shape == (12,)
        assert np.isnan(found).tolist() == [name == "typicality" and each == "alone" for each in names]
    assert np.isfinite(metrics.shallow_fast(pieces, np.arange(300))).all()  # as many classes as examples


def test_images_that_are_all_the_same_are_equally_hard_within_a_class():
    found = metrics.shallow_fast(np.full((7, 9, 9), 5, np.uint8), np.array([0, 0, 0, 0, 1, 1, 2]))
    assert len(set(found[:4])) == 1 and len(set(found[4:6])) == 1


def test_neighbours_beyond_the_pool_are_sought_in_it(monkeypatch, pieces):
    twice = np.concatenate([pieces[:20], pieces[:20]])  # the nearest is the other copy, never the example itself
    assert np.array_equal(metrics.neighbours(twice, np.repeat([0, 1], 20), nearest=1), np.ones(40))
    monkeypatch.setattr(sys.modules["metrics.shallow"], "POOL", 20)
    some = metrics.neighbours(twice, np.repeat([0, 1], 20), nearest=1)
    assert 20 <= some.sum() < 40  # those whose copy is not in the pool have another neighbour


def test_clusters_cut_every_class_into_similar_images(pieces):
    labels = np.arange(300) % 3
    found = metrics.clusters(pieces, labels, per_class=5)
    assert found.shape == (300,) and np.array_equal(found, metrics.clusters(pieces, labels, per_class=5))
    assert all(len(set(labels[found == cluster])) == 1 for cluster in np.unique(found))
    assert [len(set(found[labels == label])) for label in range(3)] == [5, 5, 5]
    lightness = pieces.mean(axis=(1, 2, 3))
    within = np.mean([lightness[found == cluster].var() for cluster in np.unique(found)])
    assert within < lightness.var()
    few = metrics.clusters(pieces[:4], np.array([0, 0, 0, 1]), per_class=5)
    assert len(set(few[:3])) == 3 and few[3] not in few[:3]


def test_what_is_no_data_set_is_refused(pieces):
    with pytest.raises(ValueError, match="at least two examples, not 1"):
        metrics.shallow(pieces[:1], np.zeros(1))
    with pytest.raises(ValueError, match=r"labels must be \(300,\)"):
        metrics.shallow(pieces, np.zeros(299))
    with pytest.raises(ValueError, match="uint8"):
        metrics.shallow(pieces.astype(float), np.zeros(300))


def test_the_table_keeps_example_statistics_by_labels(tmp_path, monkeypatch, pieces):
    calls = []

    @metrics.version(1)
    def counted(images, labels, seed=0, progress=None):
        calls.append(len(images))
        return np.asarray(labels, float)

    monkeypatch.setitem(metrics.EXAMPLE_STATISTICS, "counted", counted)

    def table(labels):
        return metrics.statistics_table(pieces[:9], range(9), ["counted", "entropy"], tmp_path, labels=labels)

    first = table(np.arange(9))
    assert first.columns.tolist() == ["counted", "entropy"] and first["counted"].tolist() == list(range(9))
    assert table(np.arange(9)).equals(first) and calls == [9]
    assert table(np.zeros(9))["counted"].tolist() == [0] * 9 and calls == [9, 9]
    with pytest.raises(ValueError, match="'shallow' is a statistic of labelled examples; give labels"):
        metrics.statistics_table(pieces[:9], range(9), ["shallow"])
    with pytest.raises(ValueError, match=r"there are entropy, .*, shallow"):
        metrics.statistics_table(pieces[:9], range(9), ["shalow"])
