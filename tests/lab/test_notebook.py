"""`train.main` in a notebook, as rich knows one: what it prints goes to the cell once, as text, and files are whole."""

import builtins

import pytest

import train
from lab.report.summary import as_text


class ZMQInteractiveShell:
    """The name by which rich knows a Jupyter kernel."""


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)


def test_a_summary_is_a_text(kernel):
    assert as_text(lambda console: console.print("[bold]how far[/] they agree")) == "how far they agree\n"


def test_the_cell_gets_plain_text(kernel, place, capsys, monkeypatch):
    """Kernels set FORCE_COLOR; a width of 0 is what some job systems know of a terminal that is not there."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "0")
    assert train.main(["--mode", "list"]) == 0
    assert capsys.readouterr().out.startswith("The store holds no runs of this program.")
    assert train.main(["--show-pacing"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and " 100%" in shown and "exponential" in shown
