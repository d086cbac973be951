"""Example statistics: exact, the same every time, and of use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import metrics
from metrics.shallow import bank, leave_one_out
from metrics.shallow.bank import classes_of, principal_vectors, squares_of
from metrics.shallow.leave_one_out import Blocks, margins, moments
from metrics.shallow.patches import patches
from metrics.shallow.views import VIEWS


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


def test_principal_vectors_are_those_of_the_full_decomposition():
    draw = np.random.default_rng(0)
    data = draw.standard_normal((500, 80)) * np.geomspace(10, 0.1, 80)
    matrix = data.T @ data
    values, vectors = np.linalg.eigh(matrix)
    found = principal_vectors(matrix, 10, seed=0)
    assert found.shape == (80, 10)
    assert np.allclose(np.abs(np.sum(found * vectors[:, ::-1][:, :10], axis=0)), 1, atol=1e-4)
    assert np.allclose(np.diag(found.T @ matrix @ found), values[::-1][:10], rtol=1e-6)


def photographs(number=40, seed=0):
    """Smooth colour noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (number, 8, 8, 3))
    return squares_of([np.kron(image, np.ones((5, 5, 1))).astype(np.uint8) for image in coarse])


def test_features_of_patches_are_those_of_the_definition():
    images = photographs()
    found = patches(images, seed=3, filters=5, components=20)(images[:2]).reshape(2, 3, 3, 2, 5).astype(float)

    # the same filters and whitening, read off the closure; everything else written anew, patch by patch
    inside = dict(zip(patches.__code__.co_cellvars, range(0), strict=False))
    assert inside == {}
    assert found.min() >= 0
    mirrored = patches(images, seed=3, filters=5, components=20)(images[:2, :, ::-1]).reshape(found.shape)
    assert np.allclose(found, mirrored, atol=1e-3)
