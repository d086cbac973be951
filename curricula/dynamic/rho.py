"""RHO-LOSS: of many candidates, train on those whose loss can still be reduced most."""

import numpy as np

from curricula.dynamic.arm import Dynamic, highest


class Rho(Dynamic):
    """Highest reducible loss first (Mindermann et al., *Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet Learnt*, ICML 2022).

        argmax over (x, y) in B_t   L[y | x; D_t] − L[y | x; D_ho]          (their equation 3)

    The first term is the loss of the network that is trained, from a forward pass over a batch B_t of candidates; the second, the
    irreducible loss, that of a model which has learned from other data. Their candidates are ten times the batch. Wrong labels
    have a high loss and a high irreducible loss, and stay out; what is learned already has a low loss.

    irreducible: (N,) in nats. In place of a second network on held-out data, ``metrics.shallow_loss`` has the losses of a shallow
    model, each example left out of what it has learned from.
    """

    candidates = 10

    def __init__(self, examples: int, steps: int, batch_size: int, irreducible: np.ndarray):
        super().__init__(examples, steps, batch_size)
        if np.shape(irreducible) != (examples,):
            raise ValueError(f"irreducible must be a loss per example, ({examples},), not {np.shape(irreducible)}")
        self.irreducible = np.asarray(irreducible, float)

    def update(self, index: np.ndarray, loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return highest(loss - self.irreducible[index], self.batch_size)
