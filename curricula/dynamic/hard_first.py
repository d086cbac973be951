"""Online hard examples: of many candidates, train on those of the highest loss."""

import numpy as np

from curricula.dynamic.arm import Dynamic, highest


class HardFirst(Dynamic):
    """High losses first (Shrivastava, Gupta and Girshick, *Training Region-based Object Detectors with Online Hard Example Mining*, CVPR 2016).

    A forward pass finds the losses of a batch of candidates; the network is trained on the share of them that has the
    highest (their section 4.1, where the candidates are the regions of an image). Here there are twice as many candidates
    as examples in a batch.
    """

    candidates = 2

    def update(self, index: np.ndarray, loss: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return highest(loss, self.batch_size)
