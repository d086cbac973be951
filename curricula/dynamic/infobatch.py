"""InfoBatch: leave out some of what is learned well, and let the rest of it count more."""

import numpy as np

from curricula.dynamic.arm import Dynamic, everything


class InfoBatch(Dynamic):
    """Prune below the mean loss at random, rescale, all data at the end (Qin et al., *InfoBatch*, ICLR 2024).

        P_t(z) = r where H_t(z) < mean H_t, else 0          (their equation 3)

    H_t(z) is the loss of example z when it was last trained on, P_t the probability to leave it out of a pass. What stays
    of those below the mean counts 1/(1 − r), all others 1, so that the expected gradient is that of all examples. After
    `delta` of the training nothing is left out. r and delta are the paper's.

    As in the authors' code, of n examples below the mean just int((1 − r) n) stay. A pass is shorter than through all
    examples; at equal cost there are more of them.
    """

    def __init__(self, examples: int, steps: int, batch_size: int, r: float = 0.5, delta: float = 0.875):
        super().__init__(examples, steps, batch_size)
        self.r, self.delta = r, delta

    def choose(self, step: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        known = ~np.isnan(self.losses)
        if step >= self.delta * self.steps or not known.any():
            return everything(self.examples, draw)
        below = self.losses < self.losses[known].mean()  # which one without a loss is not
        kept = draw.choice(np.flatnonzero(below), int((1 - self.r) * below.sum()), replace=False)
        weight = np.ones(self.examples)
        weight[kept] = 1 / (1 - self.r)
        index = draw.permutation(np.concatenate([np.flatnonzero(~below), kept]))
        return index, weight[index]
