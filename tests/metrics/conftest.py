"""Real images for the tests of the statistics, carried by packages that are installed anyway."""

import numpy as np
import pytest
import skimage.data


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """Colour and grey pieces of real photographs, of several sizes."""
    astronaut, coffee, cat = skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea()
    return [
        astronaut[40:104, 190:270],
        coffee[100:132, 200:232],
        cat[100:150, 100:131],
        skimage.data.camera()[100:148, 200:240],
    ]


@pytest.fixture(scope="session")
def digits(mnist) -> np.ndarray:
    """100 MNIST digits, ten of each: uint8 (100, 28, 28)."""
    return mnist[0][::50]
