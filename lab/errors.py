"""What can go wrong that the user can do something about; every message is one line that says what to do."""


class UserError(Exception):
    """A mistake in the settings, the data or the surroundings that the user can correct. The message is one line."""


class Diverged(UserError):
    """The loss is NaN or infinite: the same training would fail again in the same way."""


def printable(text: str) -> str:
    """Text without what steers a terminal, but for line breaks: names of files, and what a store holds, may come from others."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)
