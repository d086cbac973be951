"""SuperLoss: what each loss counts follows from how far it is above the usual."""

import numpy as np

from curricula.dynamic.arm import Dynamic


class SuperLoss(Dynamic):
    """A weight that falls with the loss (Castells, Weinzaepfel and Revaud, *SuperLoss*, NeurIPS 2020).

        L(l, σ) = (l − τ) σ + λ (log σ)²                                 (their equation 1)
        σ* = exp(−W(max(−2/e, β) / 2)),   β = (l − τ) / λ                (their equation 2)

    σ* minimises L for a loss l; W is Lambert's function. The gradient of L(l, σ*) is σ* times that of l, so that σ* is what
    the loss counts. τ is the running mean of the losses of batches, with a smoothing of 0.9, one of the three choices of the
    paper. λ: the smaller, the more it matters how far a loss is from τ.
    """

    state = ("losses", "tau")

    def __init__(self, examples: int, steps: int, batch_size: int, lam: float = 1.0, smoothing: float = 0.9):
        super().__init__(examples, steps, batch_size)
        self.lam, self.smoothing, self.tau = lam, smoothing, np.array([np.nan])

    def update(self, index: np.ndarray, loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
        from scipy.special import lambertw  # here, because SciPy takes long to import

        before = self.smoothing if np.isfinite(self.tau[0]) else 0.0
        self.tau = before * np.nan_to_num(self.tau) + (1 - before) * np.array([loss.mean()])
        beta = (loss - self.tau[0]) / self.lam
        # just above −1/e, where W branches and rounding would make it complex
        return np.exp(-lambertw(np.maximum(beta / 2, -np.exp(-1) + 1e-12)).real)
