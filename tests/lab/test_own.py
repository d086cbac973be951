"""Modules of one's own; that the program takes what they add is tested with the wheel."""

import sys

import pytest

from lab.errors import UserError
from lab.own import import_own


def test_a_module_is_imported_once(tmp_path):
    (tmp_path / "my-own.py").write_text("import builtins\nbuiltins.imported = getattr(builtins, 'imported', 0) + 1\n")
    import_own([str(tmp_path / "my-own.py")] * 2)
    import_own([str(tmp_path / "my-own.py"), "colorsys"])
    import builtins

    assert builtins.imported == 1 and "colorsys" in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 / 0", "ZeroDivisionError: division by zero"), ("def f(:", "SyntaxError"), (None, "there is no such file")],
)
def test_one_that_fails_is_told_in_one_line(tmp_path, text, message):
    if text:
        (tmp_path / "own.py").write_text(text)
    for _ in range(2):
        with pytest.raises(UserError) as raised:
            import_own([str(tmp_path / "own.py")])
        assert message in str(raised.value) and "own.py" in str(raised.value) and "\n" not in str(raised.value)
