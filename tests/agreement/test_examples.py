import doctest
import subprocess
import sys
from pathlib import Path

import pytest

from agreement import correlation, measures
from agreement import learning_order as order

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("module", [measures, order, correlation])
def test_the_examples_in_docstrings_are_true(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


def test_importing_it_takes_no_longer_than_numpy():
    """For training loops that only record."""
    code = "import sys, agreement; print(sorted({'numba', 'pandas', 'scipy', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr
