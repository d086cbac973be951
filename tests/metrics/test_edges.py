"""Edges against a plain restatement of Isola et al.'s algorithm, step by step."""

import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
from arbitrary_images import arbitrary_images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.color import rgb2lab, rgb2xyz

from metrics import boundary_map, edges
from metrics.edges import _affinity, bounded, default_draws
from metrics.edges._affinity import OFFSETS, all_pairs, below, feature_levels, fit_trees, pmi_of_random_pairs, predict
from metrics.edges._cuts import _smallest, eigenvectors
from metrics.edges._features import _lab, edge_features
from metrics.edges._strength import oriented_strength


def state(seed: int = 0) -> np.ndarray:
    return np.array([seed], np.uint64)


# features


def scaled(x: np.ndarray) -> np.ndarray:
    return (x - x.min()) / (x.max() - x.min())


def rotated(x: np.ndarray) -> np.ndarray:
    flat = x.reshape(-1, 3) - x.reshape(-1, 3).mean(axis=0)
    _, _, axes = np.linalg.svd(flat, full_matrices=False)
    signs = [np.sign(axis[np.argmax(np.abs(axis))]) for axis in axes]
    return (flat @ (axes.T * signs)).reshape(x.shape)


def shrunk(x: np.ndarray) -> np.ndarray:
    def kernel(t):
        t = abs(t)
        if t <= 1:
            return 1.5 * t**3 - 2.5 * t**2 + 1
        return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

    for axis in range(2):
        rows = np.moveaxis(x, axis, 0)
        mirrored = np.concatenate([rows, rows[::-1]])
        out = []
        for i in range((len(rows) + 1) // 2):
            at = np.arange(2 * i - 5, 2 * i + 7)
            weights = np.array([kernel((j - (2 * i + 0.5)) / 2) for j in at])
            out.append(np.tensordot(weights / weights.sum(), mirrored[at % len(mirrored)], 1))
        x = np.moveaxis(np.array(out), 0, axis)
    return x


def features_by_hand(image: np.ndarray) -> list[np.ndarray]:
    rgb = image / 255
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d65, d50 = np.array([0.95047, 1, 1.08883]), np.array([0.96422, 1, 0.82521])
    adapted = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford
    x, y, z = np.moveaxis(rgb2xyz(rgb) @ adapted.T / d50, -1, 0)
    x, y, z = (np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116) for t in (x, y, z))
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
    disc = np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2) <= 4
    components = rotated(rgb)
    deviation = [
        scipy.ndimage.generic_filter(components[..., c], lambda v: v.std(ddof=1), footprint=disc, mode="reflect")
        for c in range(3)
    ]
    return [scaled(rotated(shrunk(scaled(x)))) for x in (lab, np.sqrt(np.stack(deviation, axis=-1)))]


def test_features(photographs):
    for image in photographs[1:3]:
        image = image[:29, :31]
        np.testing.assert_allclose(edge_features(image), features_by_hand(image), rtol=0, atol=2e-3)  # rounded matrix


def test_white_has_no_colour():
    ramp = np.repeat(np.linspace(0, 1, 9)[:, np.newaxis, np.newaxis], 3, axis=2)
    grey = _lab(ramp)
    np.testing.assert_allclose(grey[..., 1:], 0, atol=1e-9)
    np.testing.assert_allclose(grey[..., 0], rgb2lab(ramp)[..., 0], atol=1e-3)


# random pairs


def test_random_numbers_are_uniform_and_normal():
    source = state(3)
    numbers = np.array([_affinity.uniform(source) for _ in range(20_000)])
    assert 0 <= numbers.min() < 0.001 and 0.999 < numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 0.01 and abs(numbers.var() - 1 / 12) < 0.003
    normal = np.array([_affinity.normal_pair(source) for _ in range(20_000)])
    assert (np.abs(normal.mean(axis=0)) < 0.02).all() and (np.abs(np.cov(normal.T) - np.eye(2)) < 0.03).all()
    assert np.bincount([below(3, source) for _ in range(3000)]).min() > 900


def test_splitmix64_is_the_published_generator():
    # first outputs of the authors' C code for seed 1234567
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    source = state(1234567)
    assert [int(_affinity.uniform(source) * 2**53) for _ in published] == [number >> 11 for number in published]


def test_pairs_for_the_density_lie_around_their_pixel():
    first, second = _affinity._side_by_side(60, 80, state())
    (y1, x1), (y2, x2) = np.divmod(first, 80), np.divmod(second, 80)
    down, right = y1 - y2, x1 - x2
    assert (down % 2 == 0).all() and (right % 2 == 0).all()
    assert np.abs(down).max() == np.abs(right).max() == 4
    middles = (y1 + y2) // 2 * 80 + (x1 + x2) // 2
    assert np.unique(middles).size == middles.size
    assert 0.85 * 4800 * (1 - np.exp(-5000 / 4800)) < middles.size < 4800 * (1 - np.exp(-5000 / 4800)) * 1.05
    half = np.random.default_rng(0).normal(0, 0.5, (200_000, 2))
    half = np.clip(half * (1 + 1 / np.linalg.norm(half, axis=1, keepdims=True)), -2, 2)
    expected = np.square(np.rint(half)).mean()
    assert np.square(np.stack([down, right]) / 2).mean() == pytest.approx(expected, rel=0.05)


def test_pairs_for_the_trees_are_any_at_most_five_apart():
    height, width = 9, 12
    _, one, other = all_pairs(height, width)
    near = [
        (a, b)
        for a in range(height * width)
        for b in range(a + 1, height * width)
        if (a // width - b // width) ** 2 + (a % width - b % width) ** 2 <= 25
    ]
    assert sorted(zip(one.tolist(), other.tolist(), strict=True)) == near
    places, times = _affinity._places(height, width, 30_000, state())
    first, second = _affinity.pixels_of(places, height, width)
    assert times.sum() == 30_000
    assert set(zip(first.tolist(), second.tolist(), strict=True)) == set(near)
    assert abs(times.mean() - times.var()) < 0.2 * times.mean()  # all equally likely


def by_pair(features: np.ndarray, first: int, second: int) -> np.ndarray:
    a, b = features[first].copy(), features[second].copy()
    if a[0] <= b[0]:
        a[0], b[0] = b[0], a[0]
    return np.concatenate([a, b])


def kernel_density(points: np.ndarray, query: np.ndarray) -> float:
    return np.prod(0.75 / 0.05 * np.maximum(0, 1 - ((points - query) / 0.05) ** 2), axis=1).mean()


def test_mutual_information(photographs):
    features = edge_features(photographs[0][:30, :40])[1]
    height, width, _ = features.shape
    flat = features.reshape(-1, 3)
    first, second, _, information = pmi_of_random_pairs(flat, height, width, 300, state(5))
    points = np.array(
        [by_pair(flat, a, b) for a, b in zip(*_affinity._side_by_side(height, width, state(5)), strict=True)]
    )
    singles = np.concatenate([points[:, :3], points[:, 3:]])
    for a, b, pmi in zip(first, second, information, strict=True):
        joint = kernel_density(points, by_pair(flat, a, b))
        product = kernel_density(singles, flat[a]) * kernel_density(singles, flat[b])
        assert pmi == pytest.approx(np.log((100 + joint / 2) ** 1.25 / (product + 100)), abs=1e-9)
    assert np.ptp(information) > 1


# trees


def tree_by_hand(samples, targets, values, source):
    """Predict by a tree that is grown in the order, and with the random numbers, of ``fit_trees``."""
    nodes = [np.arange(len(targets))]
    predictions = np.empty(len(targets))
    tried = list(range(6))
    for here in nodes:
        predictions[here] = targets[here].mean()
        if len(here) < 10:
            continue
        for i in range(3):
            j = i + below(6 - i, source)
            tried[i], tried[j] = tried[j], tried[i]
        least, best = targets[here].var() * len(here) * (1 - 1e-9), None
        for feature in tried[:3]:
            x = values[feature % 3][samples[feature]]
            present = np.unique(x[here])
            for threshold in (present[:-1] + present[1:]) / 2:
                left, right = here[x[here] <= threshold], here[x[here] > threshold]
                error = targets[left].var() * len(left) + targets[right].var() * len(right)
                if min(len(left), len(right)) >= 5 and error < least:
                    least, best = error, [left, right]
        nodes += best or []
    return predictions


def test_trees():
    random = np.random.default_rng(1)
    values = np.sort(random.uniform(size=(3, 256)), axis=1)
    samples = random.integers(0, 256, (6, 300)).astype(np.uint8)
    samples[4] //= 16
    targets = values[0][samples[0]] - np.square(values[1][samples[4]]) + 0.1 * random.normal(size=300)
    nodes, leaves = fit_trees(samples, np.ones(300), targets, values, state(2))
    source = state(2)
    expected = np.mean([tree_by_hand(samples, targets, values, source) for _ in range(4)], axis=0)
    np.testing.assert_allclose(predict(nodes, leaves, samples), expected, rtol=0, atol=1e-6)
    assert np.corrcoef(expected, targets)[0, 1] > 0.9


def test_a_sample_that_counts_twice_is_two_samples():
    random = np.random.default_rng(2)
    values = np.tile(np.linspace(0, 1, 256), (3, 1))
    samples, targets = random.integers(0, 256, (6, 100)).astype(np.uint8), random.normal(size=100)
    times = random.integers(1, 4, 100)
    once = fit_trees(samples, times.astype(float), targets, values, state())
    each = fit_trees(
        np.repeat(samples, times, axis=1), np.ones(times.sum()), np.repeat(targets, times), values, state()
    )
    np.testing.assert_allclose(predict(*once, samples), predict(*each, samples), atol=1e-12)


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_trees_of_few_or_equal_samples(number, seed):
    random = np.random.default_rng(seed)
    samples = np.repeat(random.integers(0, 256, (6, 1)), number, axis=1).astype(np.uint8)
    targets = random.normal(size=number)
    nodes, leaves = fit_trees(samples, np.ones(number), targets, np.tile(np.arange(256.0), (3, 1)), state(seed))
    np.testing.assert_allclose(predict(nodes, leaves, samples), targets.mean(), rtol=0, atol=1e-6)


def test_levels():
    random = np.random.default_rng(0)
    few = random.choice(random.uniform(size=200), (2, 12, 15, 3))
    levels, values = feature_levels(few)
    for s in range(2):
        for c in range(3):
            np.testing.assert_array_equal(values[s, c][levels[s, ..., c]], few[s, ..., c])
    many = random.uniform(size=(2, 64, 64, 3))
    levels, values = feature_levels(many)
    assert np.abs(np.take_along_axis(values[0, 1], levels[0, ..., 1].ravel(), 0) - many[0, ..., 1].ravel()).max() < 0.01
    counts = np.bincount(levels[1, ..., 2].ravel())
    assert counts.size == 256 and counts.min() >= 6 and counts.max() <= 28


# from affinities to boundaries


def random_affinity(height: int, width: int, seed: int = 0) -> np.ndarray:
    affinity = np.zeros((len(OFFSETS), height, width))
    places, _, _ = all_pairs(height, width)
    affinity.reshape(-1)[places] = np.exp(np.random.default_rng(seed).normal(0, 2, places.size))
    return affinity


def whole_matrix(affinity: np.ndarray) -> np.ndarray:
    _, height, width = affinity.shape
    places, first, second = all_pairs(height, width)
    matrix = np.diag(affinity[0].ravel())
    matrix[first, second] = matrix[second, first] = affinity.reshape(-1)[places]
    return matrix


def map_by_hand(affinity: np.ndarray) -> np.ndarray:
    """Steps 6 to 9 with whole matrices."""
    _, height, width = affinity.shape
    matrix, shape, ways_back = whole_matrix(affinity), (height, width), []
    for _ in range(2):
        y, x = np.divmod(np.arange(len(matrix)), shape[1])
        kept = matrix[(y % 2 == 1) & (x % 2 == 1)]
        ways_back.append((kept / (kept.sum(axis=0) + 2.2e-16)).T)
        matrix, shape = kept @ ways_back[-1], (shape[0] // 2, shape[1] // 2)
    degree = np.diag(matrix.sum(axis=0))
    values, vectors = scipy.linalg.eigh(degree - matrix + 1e-10 * np.eye(len(matrix)), degree)
    values, vectors = values[1:100], ways_back[0] @ (ways_back[1] @ vectors[:, 1:100])
    vectors = vectors - vectors.mean(axis=0)
    vectors = vectors @ scipy.linalg.inv(scipy.linalg.sqrtm(vectors.T @ vectors))
    vectors = (vectors - vectors.min(axis=0)) / np.ptp(vectors, axis=0)
    planes = vectors.T.reshape(-1, height, width)

    fine = (np.arange(700) + 0.5) / 100 - 3.5
    gaussian = np.exp(-np.add.outer(fine**2, fine**2) / 2)
    y, x = np.mgrid[:height, :width]
    border = np.ceil(0.03 * height)
    beside, above = np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)
    sideways = np.abs(x - (width - 1) / 2) / width - np.abs(y - (height - 1) / 2) / height
    beside = np.where((beside < border) & (sideways >= 0), 1 - (beside / border) ** 2, 0)
    above = np.where((above < border) & (sideways <= 0), 1 - (above / border) ** 2, 0)
    strongest = np.zeros((height, width))
    for angle in np.arange(1, 9) * np.pi / 8:
        along = np.subtract.outer(np.cos(angle) * fine, np.sin(angle) * fine)
        taps = (along * gaussian).reshape(7, 100, 7, 100).mean(axis=(1, 3))
        taps /= np.abs(taps).sum()
        strength = sum(
            np.abs(scipy.ndimage.correlate(plane / np.sqrt(value), taps, mode="reflect"))
            for plane, value in zip(planes, values, strict=True)
        )
        strength = strength * (1 - np.abs(np.cos(angle)) * above - np.abs(np.sin(angle)) * beside)
        strongest = np.maximum(strongest, strength)
    return strongest


@pytest.mark.parametrize("shape", [(16, 16), (14, 14), (17, 23), (4, 9), (45, 38)])
def test_from_affinities_to_boundaries(shape):
    affinity = random_affinity(*shape)
    measured = oriented_strength(*eigenvectors(affinity))
    np.testing.assert_allclose(measured, map_by_hand(affinity), rtol=1e-4)
    assert measured.shape == shape


def test_many_pixels_are_solved_as_few_are():
    affinity = random_affinity(21, 25)  # more than are solved by a dense matrix
    values, vectors = _smallest(affinity)
    matrix = whole_matrix(affinity)
    degree = np.diag(matrix.sum(axis=0))
    laplacian = degree - matrix + 1e-10 * np.eye(len(matrix))
    expected = scipy.linalg.eigh(laplacian, degree, eigvals_only=True)[:100]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(laplacian @ vectors, degree @ vectors * values, atol=1e-6)


def test_an_eigensolver_that_does_not_converge_is_one_clear_error(monkeypatch):
    import scipy.sparse.linalg

    def give_up(*_, **__):
        raise scipy.sparse.linalg.ArpackNoConvergence("no convergence (5250 iterations)", [], [])

    monkeypatch.setattr(scipy.sparse.linalg, "eigsh", give_up)
    with pytest.raises(ValueError, match=r"eigenvectors .* cannot be computed: .*no convergence"):
        eigenvectors(random_affinity(84, 100))


def test_affinities_follow_the_mutual_information(photographs):
    features = edge_features(photographs[0])
    _, height, width, _ = features.shape
    affinity = _affinity.affinities(features, *feature_levels(features), state())
    places, _, _ = all_pairs(height, width)
    inside = np.zeros(affinity.size, bool)
    inside[places] = True
    assert (affinity.ravel()[inside] > 0).all() and (affinity.ravel()[~inside] == 0).all()
    flat = [features[s].reshape(-1, 3) for s in range(2)]
    drawn = [pmi_of_random_pairs(flat[s], height, width, 300_000, state(9)) for s in range(2)]
    both = {}
    for first, second, _, information in drawn:
        for a, b, pmi in zip(first.tolist(), second.tolist(), information.tolist(), strict=True):
            both.setdefault((a, b), []).append(pmi)
    _, first, second = all_pairs(height, width)
    exact = np.array([np.sum(both.get(pair, [np.nan])) for pair in zip(first.tolist(), second.tolist(), strict=True)])
    known = np.isfinite(exact)
    assert known.mean() > 0.9
    assert np.corrcoef(np.log(affinity.ravel()[places])[known], exact[known])[0, 1] > 0.65  # of other draws


# the statistic


def test_the_outline_of_a_square_is_the_strongest_boundary():
    image = np.random.default_rng(0).integers(40, 60, (64, 64, 3)).astype(np.uint8)
    image[16:48, 16:48] += 120
    strength = boundary_map(image, draws=3)
    outline = np.zeros((32, 32), bool)
    outline[7:25, 7:25] = True
    outline[9:23, 9:23] = False
    assert strength[outline].mean() > 1.4 * strength[~outline].mean()


@settings(max_examples=25)
@given(arbitrary_images(largest=40))
def test_any_image_has_a_finite_map_and_sum(image):
    strength = boundary_map(image, draws=1)
    assert strength.shape == tuple((side + 1) // 2 for side in image.shape[:2])
    assert strength.dtype == np.float64
    assert np.isfinite(strength).all() and (strength >= 0).all()
    assert edges(image, draws=1) == strength.sum()


def test_draws_are_averaged_and_the_seed_changes_them(photographs):
    image = photographs[1]
    one, other = edges(image, draws=1), edges(image, draws=1, seed=1)
    assert one != other
    six, others = boundary_map(image), boundary_map(image, seed=1)
    assert default_draws(*image.shape[:2]) == 6
    np.testing.assert_array_equal(six, boundary_map(image, draws=6, seed=0))
    assert np.corrcoef(six.ravel(), others.ravel())[0, 1] > 0.8


def test_draws_that_remove_more_noise_are_taken_on_smaller_images():
    draws = [default_draws(side, side) for side in (1, 28, 32, 48, 64, 96, 128, 224, 500, 5000)]
    assert draws == sorted(draws, reverse=True) and draws[0] == 6 and draws[-1] == 1
    assert default_draws(375, 500) == default_draws(500, 375)


def test_a_large_image_is_measured_as_one_of_bounded_size(photographs, monkeypatch):
    """Memory grows by a gigabyte a megapixel: a photograph of a telephone would take 12."""
    monkeypatch.setitem(bounded.__globals__, "LARGEST", 40 * 40)
    image = np.asarray(Image.fromarray(photographs[1]).resize((96, 60)))
    small = np.asarray(Image.fromarray(image).resize((50, 31), Image.Resampling.BILINEAR))
    assert edges(image, draws=1) == edges(small, draws=1) and boundary_map(image, draws=1).shape == (16, 25)
    assert bounded(small) is small
    assert bounded(np.zeros((10**6, 1), np.uint8)).shape == (1600, 1)


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (8, 8, 3), (6, 300), (15, 15), (16, 16, 3), (64, 48)])
def test_constant_and_tiny_images(shape):
    assert edges(np.full(shape, 131, np.uint8)) == 0
    varied = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    too_small = -(-shape[0] // 2) // 4 * (-(-shape[1] // 2) // 4) < 2
    assert (edges(varied) == 0) == too_small
    assert boundary_map(varied).shape == ((shape[0] + 1) // 2, (shape[1] + 1) // 2)


@pytest.mark.parametrize(("options", "message"), [({"draws": 0}, "draws.*not 0"), ({"seed": -1}, "seed.*not -1")])
def test_bad_options_are_named(photographs, options, message):
    with pytest.raises(ValueError, match=message):
        edges(photographs[1], **options)
