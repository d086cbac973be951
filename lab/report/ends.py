"""The first and the last examples of an order, as the page of a comparison shows them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.report.gallery import image_address

EACH = 14  # a row of the page


def ends_of(
    orders: Mapping[str, tuple[np.ndarray, np.ndarray]], images: Any, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """For each order its name, and the first and the last examples: image as an address, label, and score in words.

    orders: name to (N,) indices of examples, first to last, and (N,) scores by index. images: uint8, and labels (N,), by index.
    """

    def shown(index: np.ndarray, scores: np.ndarray) -> list[dict[str, str]]:
        return [
            {"image": image_address(images[i]), "label": labels[i], "score": f"{scores[i]:.3g}"} for i in index.tolist()
        ]

    return [
        {"name": name, "first": shown(order[:EACH], scores), "last": shown(order[-EACH:], scores)}
        for name, (order, scores) in orders.items()
    ]
