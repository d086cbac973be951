"""The site's reference has every public name of the libraries, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("library", ["agreement", "metrics", "curricula"])
def test_the_reference_has_every_public_name(library):
    public = re.findall(r"import (\w+) as \1$", (ROOT / library / "__init__.py").read_text(), re.MULTILINE)
    shown = re.findall(
        rf"^::: {library}\.(\w+)$", (ROOT / "docs" / "reference" / f"{library}.md").read_text(), re.MULTILINE
    )
    assert sorted(shown) == sorted({*public}) and len(shown) > 15
