"""What libtiff, by which Pillow reads compressed TIFF files, finds wrong: it prints that from C, in the middle of any output."""

import contextlib
import ctypes
import re
import threading
from collections.abc import Iterator
from functools import cache

from PIL import Image

_heard = threading.local()  # Pillow decodes in the thread that asks
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)


@_HANDLER
def _hear(module: bytes | None, words: bytes, values: int) -> None:
    # the values are a va_list, which only C can read
    text = re.sub(r"%[-+ #0-9.]*[hlzjt]*[a-zA-Z]", "...", words.decode(errors="replace"))
    _heard.errors = [*getattr(_heard, "errors", []), f"{(module or b'libtiff').decode(errors='replace')}: {text}"]


@cache
def _listen() -> None:
    with contextlib.suppress(OSError, AttributeError):  # a Pillow that hides its libtiff, or has none, prints as ever
        library = ctypes.CDLL(Image.core.__file__)
        library.TIFFSetErrorHandler.restype = library.TIFFSetWarningHandler.restype = None
        library.TIFFSetErrorHandler(_hear)
        library.TIFFSetWarningHandler(None)  # of tags that it does not know


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Raise ValueError with the first error that libtiff meets meanwhile: it may go on, with wrong pixels. Warnings are dropped."""
    _listen()
    _heard.errors = []
    yield
    if _heard.errors:
        raise ValueError(_heard.errors[0].rstrip("."))
