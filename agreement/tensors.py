"""What torch does for a recorder: outcomes of a batch where its logits lie, fetched an epoch at a time, and the shares of several
processes. Imported only where tensors come in or processes train together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed

from agreement.outcomes import check_shape

FINE = 4096  # parts of 1 that margins and errors travel in


def outcome(indices: Any, logits: torch.Tensor, labels: Any, classes: int, sets_of: int = 0) -> torch.Tensor:
    """As `agreement.outcomes.outcome`, int64 (7, B) where the logits lie, without waiting for that device.

    indices: (B,). labels: (B,), of sets (B, C); they may lie on the CPU. The rows: index, label, prediction, probability in
    1/255, margin and error in 1/FINE, and whether logits and labels fit: 1, 0 where logits are not finite, -1 where labels are no
    whole numbers, of sets no 0 or 1.
    """
    check_shape(logits.shape, classes)
    logits = logits.detach().float()
    if logits.ndim == 1:
        logits = logits[:, None]
    if logits.shape[1] < classes:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    finite = logits.isfinite().all(dim=1).long()
    logits = logits.nan_to_num()
    indices, labels = here(indices, logits), here(labels, logits)
    whole = labels == labels.long()
    if sets_of and labels.ndim == 2:
        whole = (whole & (labels >= 0) & (labels <= 1)).all(dim=1)
    if sets_of:
        bit = torch.arange(sets_of, device=logits.device)
        there = labels.long() if labels.ndim == 2 else labels[:, None] >> bit & 1
        labels, there = (there << bit).sum(dim=1), there.bool()
        right_way = torch.where(there, logits, -logits)
        likely = right_way.sigmoid()
        true, margin, error = likely.prod(dim=1), right_way.amin(dim=1), (1 - likely).norm(dim=1)
        prediction = ((logits > 0).long() << bit).sum(dim=1)
    else:
        probability = logits.softmax(dim=1)
        own = labels.long().clamp(0, classes - 1)[:, None]  # what is outside is told when the epoch ends
        true = probability.gather(1, own)[:, 0]
        margin = logits.gather(1, own)[:, 0] - logits.scatter(1, own, -torch.inf).amax(dim=1)
        error = probability.scatter_add(1, own, -torch.ones_like(true)[:, None]).norm(dim=1)
        prediction = logits.argmax(dim=1)
    return stacked(indices, labels, prediction, true, margin, error, torch.where(whole, finite, -1))


def right_or_wrong(indices: Any, correct: torch.Tensor, value: Any) -> torch.Tensor:
    """The rows of `outcome` where the loop says what is right, (B,), with what quality, 0 to 1."""
    wrong = 1 - correct.detach().long()
    value = here(1 - wrong if value is None else value, correct).detach().float()
    fits = ((value >= 0) & (value <= 1) & ((wrong == 0) | (wrong == 1)) & (1 - wrong == correct)).long()
    error = 2**0.5 * (1 - value)
    return stacked(here(indices, correct), torch.zeros_like(wrong), wrong, value, 2 * value - 1, error, fits)


def stacked(
    index: torch.Tensor,
    label: torch.Tensor,
    prediction: torch.Tensor,
    true: torch.Tensor,
    margin: torch.Tensor,
    error: torch.Tensor,
    fits: torch.Tensor,
) -> torch.Tensor:
    rows = (index, label, prediction, (255 * true).round(), (FINE * margin).round(), (FINE * error).round(), fits)
    return torch.stack([row.long() for row in rows])


def here(values: Any, other: torch.Tensor) -> torch.Tensor:
    """Values as a tensor beside another; the copy is not waited for."""
    return torch.as_tensor(values).to(other.device, non_blocking=True)


def fetched(pending: Sequence[torch.Tensor]) -> list[np.ndarray]:
    """The rows of each batch, in one transfer: the only moment at which the CPU waits for another device."""
    whole = torch.cat(list(pending), dim=1).cpu().numpy()
    return np.split(whole, np.cumsum([batch.shape[1] for batch in pending])[:-1], axis=1)


def ranks() -> tuple[int, int]:
    """Which of how many processes that train together this is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def gathered(share: Any) -> list[Any]:
    """The shares of all processes, in order, in each of them."""
    shares: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(shares, share)
    return shares


def wait_for_others() -> None:
    torch.distributed.barrier()
