"""Dynamic instance hardness: train most on what has been hard over the whole training."""

import numpy as np

from curricula.dynamic.arm import Dynamic, everything

EPISODES = np.array([5, 10, 15, 20, 30, 40, 60, 90, 140, 210]) / 300  # of the authors' code, parts of the training


class Dihcl(Dynamic):
    """Hard over time first (Zhou, Wang and Bilmes, *Curriculum Learning by Dynamic Instance Hardness*, NeurIPS 2020).

        r_{t+1}(i) = γ a_t(i) + (1 − γ) r_t(i) where i was trained on, else r_t(i)          (their equation 1)

    The instant hardness a_t(i) is how much the loss has changed since the example was last trained on (their case B), at most
    10 as in the authors' code. After a warm start on all examples a pass has k of them, drawn without replacement with
    probabilities in proportion to r (DIHCL-Rand). k is 0.85 times as large in each of ten episodes, down to 0.2 of the
    examples; γ = 0.95. These are the paper's (section 4), the episodes those of the authors' code. They divide a_t by the
    learning rate, which a sampler does not know.
    """

    state = ("losses", "hardness")

    def __init__(self, examples: int, steps: int, batch_size: int, gamma: float = 0.95, least: float = 0.2):
        super().__init__(examples, steps, batch_size)
        self.gamma, self.least, self.hardness = gamma, least, np.zeros(examples)

    def choose(self, step: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        episodes = int((EPISODES * self.steps <= step).sum())
        share = max(0.85**episodes, self.least)
        if not episodes or not self.hardness.any():
            return everything(self.examples, draw)
        likely = self.hardness + 1e-6 * self.hardness.mean()  # none is out for ever
        count = max(int(share * self.examples), self.batch_size)
        index = draw.choice(self.examples, count, replace=False, p=likely / likely.sum())
        return index, np.ones(count)

    def update(self, index: np.ndarray, loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
        change = np.minimum(np.abs(loss - self.losses[index]), 10)
        seen = ~np.isnan(change)
        self.hardness[index[seen]] += self.gamma * (change[seen] - self.hardness[index[seen]])
        return super().update(index, loss, weight)
