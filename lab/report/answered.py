"""What a comparison comes to, as the report needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curricula import Comparison, Outcome


@dataclass(frozen=True)
class Answered:
    """outcome: of the trainings. table: of `curricula.table_of`. comparisons: by name. question: of the headline. answer: in a
    sentence or more. by_class: of `curricula.class_table`, None where examples have sets of labels. pacing: steps, how many
    examples may be drawn from at them by pacing function, and the number of examples. ends: of the orders, see
    `lab.report.ends.ends_of`.
    """

    outcome: Outcome
    table: pd.DataFrame
    comparisons: Mapping[str, Comparison]
    question: str
    answer: str
    by_class: pd.DataFrame | None
    pacing: tuple[np.ndarray, Mapping[str, np.ndarray], int]
    ends: Sequence[Mapping[str, Any]]
