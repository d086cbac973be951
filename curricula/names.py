"""The one line that answers a misspelt name."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Message for a `name` that is none of `known`, with the nearest ones first: no name is ever guessed silently.

    >>> unknown("arm", "anti-curr", ["shuffled", "curriculum", "anti"])
    "unknown arm 'anti-curr': did you mean anti? There are shuffled, curriculum, anti"
    """
    known = list(known)
    close = difflib.get_close_matches(str(name).lower(), known, n=2, cutoff=0.5)
    question = f": did you mean {' or '.join(close)}? There" if close else "; there"
    return f"unknown {kind} {name!r}{question} are {', '.join(known)}"
