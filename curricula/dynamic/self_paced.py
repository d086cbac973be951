"""Self-paced learning: what has a low loss first, then more and more."""

from typing import Any

import numpy as np

from curricula.dynamic.arm import Dynamic, everything
from curricula.order import unknown
from curricula.pacing import PACING


class SelfPaced(Dynamic):
    """Low losses first, growing (Kumar, Packer and Koller, *Self-Paced Learning for Latent Variable Models*, NeurIPS 2010).

        min over w, v   r(w) + Σ v_i f(x_i, y_i; w) − (1/K) Σ v_i,   v_i in {0, 1}          (their equation 4)

    For fixed weights w of the network, v_i = 1 where the loss is below 1/K; K falls, so that more examples come in. Here
    1/K is the loss below which there are as many examples as the pacing function says at the beginning of a pass; so it
    has the pace of the orders by a score. The first pass is through all examples. The paper finds all losses anew before
    each choice; here an example keeps the loss that it had when last trained on, which costs nothing.

    pacing, a, b: as of ``curricula.PACING``.
    """

    def __init__(
        self,
        examples: int,
        steps: int,
        batch_size: int,
        pacing: str = "linear",
        a: float | None = None,
        b: float | None = None,
    ):
        super().__init__(examples, steps, batch_size)
        if pacing not in PACING:
            raise ValueError(unknown("pacing function", pacing, PACING))
        self.pacing = PACING[pacing]
        self.given: dict[str, Any] = {key: value for key, value in (("a", a), ("b", b)) if value is not None}

    def choose(self, step: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if np.isnan(self.losses).all():
            return everything(self.examples, draw)
        count = int(self.pacing(min(step, self.steps), self.steps, self.examples, **self.given))
        # what has no loss yet comes first, to get one
        easy = np.argsort(np.nan_to_num(self.losses, nan=-np.inf), kind="stable")
        easy = easy[: max(min(count, self.examples), self.batch_size)]
        return draw.permutation(easy), np.ones(len(easy))
