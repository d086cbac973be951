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


def test_the_cell_gets_plain_text(kernel, place, capsys):
    assert train.main(["--mode", "list"]) == 0
    assert capsys.readouterr().out.startswith("The store holds no runs of this program.")
