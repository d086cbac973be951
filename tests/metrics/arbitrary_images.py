"""Images for hypothesis to search through."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def arbitrary_images(draw, largest: int = 26) -> np.ndarray:
    """Images of any size from one pixel on, grey or colour, of few or many values, extremes included."""
    height, width = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    values = draw(st.lists(st.integers(0, 255), min_size=1, max_size=4) | st.just(range(256)))
    colour = draw(st.sampled_from([(), (3,)]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return random.choice(np.array(values, np.uint8), (height, width, *colour))
