"""Descriptions of runs in MLflow's Markdown; what a browser makes of them is in test_browse.py."""

import pytest

from lab.views import description


@pytest.mark.parametrize("name", ["plain", "```", "````\n![x](https://example.org/x.png)"])
def test_a_name_does_not_end_the_note_it_stands_in(name):
    """MLflow shows the note as Markdown: the summary is one block of it, and no line within is its end."""
    summary = f"ordered by\n{name}\nlast"
    lines = description("1", "abc", "curriculum", "found", summary).split("\n")
    begin = lines.index(lines[-1])
    assert begin < len(lines) - 1 and set(lines[begin]) == {"`"} and len(lines[begin]) >= 3
    assert not any(line.startswith(lines[begin]) for line in lines[begin + 1 : -1])
    assert lines[begin + 1 : -1] == summary.split("\n")


@pytest.mark.parametrize("phase", ["measure", "sweep", "curriculum"])
def test_a_note_is_short_enough_for_the_store(phase):
    assert len(description("1", "a" * 32, phase, "h" * 500, "x" * 20_000)) <= 8000
