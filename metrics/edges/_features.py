"""What a pixel looks like to the edge statistic: its colour, and how much the colours around it vary.

Both are sets of three channels at half the image's size, rotated to principal components and scaled to [0, 1].
"""

import numpy as np

_BRADFORD_D65_TO_D50 = np.array(
    [[1.0479298, 0.0229468, -0.0501922], [0.0296278, 0.9904345, -0.0170738], [-0.0092430, 0.0150552, 0.7518743]]
)
_NEGLIGIBLE = 1e-9  # of the largest spread: a channel that has no more than this is rounding error


def edge_features(image: np.ndarray) -> np.ndarray:
    """Colour and variance features of a uint8 image (H, W) or (H, W, 3) that is not constant.

    Returns
    -------
    float64 array (2, ceil(H / 2), ceil(W / 2), 3), values in [0, 1]: colour first, then variance.
    """
    rgb = np.repeat(image[..., np.newaxis], 3, axis=2) if image.ndim == 2 else image
    rgb = rgb / 255
    spread = np.sqrt(_local_deviation(_principal_components(rgb)))
    return np.stack([_scaled(_principal_components(_halved(_scaled(x)))) for x in (_lab(rgb), spread)])


def _scaled(values: np.ndarray) -> np.ndarray:
    """To [0, 1], all channels together."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab of sRGB in [0, 1], adapted from white D65 to D50 by Bradford's transform, as in ICC profiles."""
    from skimage.color import rgb2xyz  # here, because it takes long to import

    relative = rgb2xyz(rgb) @ _BRADFORD_D65_TO_D50.T
    relative /= rgb2xyz(np.ones(3)) @ _BRADFORD_D65_TO_D50.T
    f = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _principal_components(values: np.ndarray) -> np.ndarray:
    """Rotate the channels to their principal axes, each with its largest coefficient positive."""
    flat = values.reshape(-1, values.shape[-1])
    flat = flat - flat.mean(axis=0)
    _, axes = np.linalg.eigh(flat.T @ flat)
    axes = axes[:, ::-1]
    axes = axes * np.sign(axes[np.argmax(np.abs(axes), axis=0), range(axes.shape[1])])
    components = flat @ axes
    ranges = np.ptp(components, axis=0)
    components[:, ranges <= _NEGLIGIBLE * ranges.max()] = 0  # as of a grey image, where only one is meant
    return components.reshape(values.shape)


def _local_deviation(values: np.ndarray) -> np.ndarray:
    """Unbiased standard deviation of each channel in the disc of radius 2 around each pixel, borders mirrored."""
    height, width, _ = values.shape
    wide = np.pad(values, [(2, 2), (2, 2), (0, 0)], mode="symmetric")
    disc = [(y, x) for y in range(-2, 3) for x in range(-2, 3) if y * y + x * x <= 4]
    around = np.stack([wide[2 + y : 2 + y + height, 2 + x : 2 + x + width] for y, x in disc])
    return around.std(axis=0, ddof=1)


def _halved(values: np.ndarray) -> np.ndarray:
    """Shrink (H, W, C) to half, rounded up, by an antialiased bicubic filter, borders mirrored."""
    for axis in (0, 1):
        weights = _halving_weights(values.shape[axis])
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return values


def _halving_weights(size: int) -> np.ndarray:
    distance = np.abs(np.arange(-3, 5) - 0.5) / 2  # of the eight input pixels around output pixel 0
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance <= 1, near, far)
    weights = np.zeros((-(-size // 2), size))
    for i in range(len(weights)):
        for offset, tap in zip(range(-3, 5), taps / taps.sum(), strict=True):
            place = (2 * i + offset) % (2 * size)
            weights[i, min(place, 2 * size - 1 - place)] += tap
    return weights
