import doctest

import pytest

from agreement import correlation, measures, order


@pytest.mark.parametrize("module", [measures, order, correlation])
def test_the_examples_in_docstrings_are_true(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
