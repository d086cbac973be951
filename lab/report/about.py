"""What a page and a summary say of the run that they are of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class About:
    """title: what was done. settings: of the run. run: its id in MLflow; "" where there is none. begun: when it began, for reading.

    notes: what the reader must know of data and scores, each without its full stop. left_out: files that hold no examples.
    """

    title: str
    settings: Mapping[str, Any]
    run: str = ""
    begun: str = ""
    notes: Sequence[str] = ()
    left_out: Sequence[str] = ()
