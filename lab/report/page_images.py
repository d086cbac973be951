"""Images small enough that a page can carry thousands of them."""

import base64
import io

import numpy as np
from PIL import Image

SIDE = 64  # pixels: larger images are made smaller
QUALITY = 85
# of a page's gallery. Its plots' script takes 0.9 million and facts about 4,000 examples about 1.5, of the 10 allowed
IMAGE_CHARACTERS = 5_000_000


def image_address(image: np.ndarray) -> str:
    """A data: address of a uint8 image (H, W), (H, W, 1) or (H, W, 3), its longer side at most SIDE pixels.

    WebP: of the formats that all browsers show, it makes an image of CIFAR-10 (500 bytes) and a digit (280) smallest;
    as JPEG they take 900 and 600, as PNG 2,300 and 280.
    """
    picture = Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
