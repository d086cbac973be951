"""The statistics of all images or examples of a data set, computed in parallel and kept between runs."""

import hashlib
import json
import os
import re
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import metrics
from metrics.frequency import frequencies, frequency
from metrics.images import DECODING, check_image, read_image
from metrics.versions import version_of

if TYPE_CHECKING:
    import pandas as pd

_KEEP_SECONDS = 20.0  # what a call that is cut off loses at most, and a chunk
_CHUNK = 16  # images a thread takes at a time
_HELD = 2**26  # bytes of decoded images in memory per thread; one image may have more
_LARGE = 2**25  # bytes of images that are not measured beside others as large: a statistic may take ten times as much


def statistics_table(
    images: np.ndarray | Sequence[np.ndarray] | Sequence[str | Path],
    ids: Sequence[int] | Sequence[str],
    names: Sequence[str] | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
    labels: np.ndarray | None = None,
    seconds: dict[str, float] | None = None,
    seed: int = 0,
) -> "pd.DataFrame":
    """Compute statistics of every image, and with labels of every example.

    Parameters
    ----------
    images : uint8 array (N, H, W) or (N, H, W, 3); or a sequence of N uint8 images, of any sizes; or a sequence of N
        paths of image files, which are decoded one chunk at a time.
    ids : N different integers or N different strings, the names of the images.
    names : which of ``metrics.STATISTICS`` to compute, and with labels of ``metrics.EXAMPLE_STATISTICS``; all of the
        former by default.
    cache : folder for one file per statistic, made if it does not exist. A later call with the same images, ids and
        ``metrics.version`` of the statistic reads it instead of computing; images count by their content. A statistic
        without a version is not kept. A damaged file is computed anew. A call that takes long writes what it has
        every 20 seconds; if it is cut off, the next call goes on there.
    workers : number of threads; by default one per core that this process may use.
    progress : called as ``progress(done, total)`` with numbers of images, from the calling thread: before the first
        image and as work proceeds.
    labels : of the examples, as ``metrics.shallow`` takes them.
    seconds : a dictionary that gets the processor time, over all threads, that each statistic took when it was computed; NaN
        where that is not known.
    seed : of the statistics of examples.

    Returns
    -------
    DataFrame indexed by ``id``, in the order given, with a float64 column per statistic, in the order of ``names``.

    Raises
    ------
    ValueError
        If a name is unknown or needs labels that are not given, ids are repeated or of mixed types or not as many as
        images, an image cannot be read, or
        a statistic fails: the message names the image's id and the statistic.
    """
    import pandas as pd  # here, because it takes long to import

    names = tuple(metrics.STATISTICS) if names is None else tuple(names)
    for name in names:
        if name in metrics.EXAMPLE_STATISTICS and labels is None:
            raise ValueError(f"{name!r} is a statistic of labelled examples; give labels")
        if name not in metrics.STATISTICS and name not in metrics.EXAMPLE_STATISTICS:
            known = ", ".join([*metrics.STATISTICS, *metrics.EXAMPLE_STATISTICS])
            raise ValueError(f"unknown statistic {name!r}; there are {known}")
    index = _index(ids)
    if len(index) != len(images):
        raise ValueError(f"{len(images)} images but {len(index)} ids")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")

    of_images = [name for name in names if name in metrics.STATISTICS]
    content = None if cache is None else _content(images, index.tolist())
    columns = {name: _load(_file(cache, name, content, labels, seed), len(index)) for name in names}
    _complete({name: columns[name] for name in of_images}, images, index.tolist(), workers or cores(), progress)
    for name in names:
        if name in metrics.EXAMPLE_STATISTICS and not columns[name].known.all():
            whole = images if isinstance(images, np.ndarray) else _Images(images, index.tolist())
            more = {"seed": seed} if seed else {}  # one of one's own need not take it
            began = time.process_time()
            found = np.asarray(metrics.EXAMPLE_STATISTICS[name](whole, labels, progress=progress, **more))
            columns[name].seconds[...] = time.process_time() - began
            if found.shape != (len(whole),) or found.dtype.kind not in "biuf":
                shape = f"{found.dtype} of shape {found.shape}"
                raise ValueError(f"statistic {name!r} gives {shape}, not a number for each of the {len(whole)} images")
            columns[name].values[:] = found
            columns[name].known[:] = True
            _save(columns[name])
    if seconds is not None:
        seconds.update({name: float(columns[name].seconds) for name in names})
    return pd.DataFrame({name: columns[name].values for name in names}, index=index, dtype=np.float64)


@dataclass(frozen=True)
class _Column:
    """Values of a statistic, float64 (N,), which of them are known, bool (N,), the processor time they took, (), and the file that keeps them, if any."""

    values: np.ndarray
    known: np.ndarray
    seconds: np.ndarray
    path: Path | None


def _index(ids: Sequence[int] | Sequence[str]) -> "pd.Index":
    import pandas as pd

    index = pd.Index(ids, name="id")
    if len(index) > 0 and pd.api.types.infer_dtype(index) not in ("integer", "string"):
        raise ValueError(f"ids must be all integers or all strings, not {pd.api.types.infer_dtype(index)}")
    if index.hasnans:
        raise ValueError("an id is missing")
    if not index.is_unique:
        raise ValueError(f"id {index[index.duplicated()].tolist()[0]!r} is given to more than one image")
    return index


def cores() -> int:
    """Cores that this process may use: a container or a batch system may allow fewer than there are."""
    import joblib  # here, because it takes long to import

    return joblib.cpu_count()


def _complete(
    columns: dict[str, _Column],
    images: Any,
    ids: list[Any],
    workers: int,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Compute the values that are not known, chunk by chunk, and write them to the columns' files."""
    total = len(ids)
    missing = {name: column for name, column in columns.items() if not column.known.all()}
    one_large = threading.Lock()

    def measure(start: int) -> tuple[slice, dict[str, float]]:
        part = slice(start, min(start + _CHUNK, total))
        took: dict[str, float] = {}
        unknown = [name for name in missing if not missing[name].known[part].all()]
        begin = part.start
        while unknown and begin < part.stop:
            chunk = [_image(images[begin], ids[begin])]
            while begin + len(chunk) < part.stop and sum(image.nbytes for image in chunk) < _HELD:
                chunk.append(_image(images[begin + len(chunk)], ids[begin + len(chunk)]))
            of_chunk = slice(begin, begin + len(chunk))
            with one_large if max(image.nbytes for image in chunk) > _LARGE else nullcontext():
                for name in unknown:
                    began = time.thread_time()
                    missing[name].values[of_chunk] = _values(name, chunk, ids[of_chunk])
                    took[name] = took.get(name, 0.0) + time.thread_time() - began
            begin = of_chunk.stop
        return part, took

    if progress is not None:
        progress(0 if missing else total, total)  # before the first images, which may wait for a compiler
    if not missing:
        return
    # threads suffice: nearly all time is spent in code that runs without Python's global lock
    threads, wait, kept_at = ThreadPoolExecutor(workers), True, time.monotonic()
    try:
        for chunk in [threads.submit(measure, start) for start in range(0, total, _CHUNK)]:
            part, took = chunk.result()  # in order, so that of several errors the first is always the one raised
            for name, more in took.items():
                missing[name].seconds[...] += more
            for column in missing.values():
                column.known[part] = True
            if part.stop == total or time.monotonic() - kept_at >= _KEEP_SECONDS:
                for column in missing.values():
                    _save(column)
                kept_at = time.monotonic()
            if progress is not None:
                progress(part.stop, total)
    except KeyboardInterrupt:  # who stops the program does not wait for the chunks in progress: they may take minutes
        wait = False
        raise
    finally:
        threads.shutdown(wait, cancel_futures=True)


def _image(image: np.ndarray | str | Path, image_id: int | str) -> np.ndarray:
    try:
        if isinstance(image, str | os.PathLike):
            return read_image(image)
        check_image(image)
        return image
    except (ValueError, OSError) as error:
        raise ValueError(f"image {image_id!r}: {error}") from error


def _values(name: str, chunk: list[np.ndarray], ids: list[Any]) -> np.ndarray:
    statistic = metrics.STATISTICS[name]
    if statistic is frequency and len({image.shape for image in chunk}) == 1:
        return frequencies(np.stack(chunk))  # the same values, in half the time for small images
    values = np.empty(len(chunk))
    for i, image in enumerate(chunk):
        try:
            values[i] = float(statistic(image))
        except Exception as error:  # a user's function may raise anything
            raise ValueError(f"statistic {name!r} of image {ids[i]!r}: {error}") from error
    return values


def _content(images: Any, ids: list[Any]) -> str:
    """Digest of all images, bytes and shapes, and their ids. Files count by their bytes, not by name or date."""
    digest = hashlib.sha256(json.dumps([ids, DECODING]).encode())
    for image, image_id in zip(images, ids, strict=True):
        if isinstance(image, str | os.PathLike):
            try:
                content = Path(image).read_bytes()
            except OSError as error:
                raise ValueError(f"image {image_id!r}: {error}") from error
            digest.update(f"file of {len(content)}".encode() + content)
        else:
            digest.update(repr(_image(image, image_id).shape).encode() + image.tobytes())
    return digest.hexdigest()


def _file(
    cache: str | Path | None, name: str, content: str | None, labels: np.ndarray | None, seed: int
) -> Path | None:
    """The file of a statistic, named after the images' content, the labels if it reads them, the statistic and its version."""
    of_example = name not in metrics.STATISTICS
    statistic = metrics.EXAMPLE_STATISTICS[name] if of_example else metrics.STATISTICS[name]
    number = version_of(statistic)
    if cache is None or number is None:
        return None
    # the module tells a statistic from another that took its name
    about = [content, name, statistic.__module__, number]
    if of_example:
        about.append(np.asarray(labels).tolist())
        if seed:  # files of the usual seed have names without it
            about.append(seed)
    key = hashlib.sha256(json.dumps(about, default=repr).encode()).hexdigest()  # bytes, dates
    return Path(cache) / f"{re.sub(r'[^A-Za-z0-9-]', '-', name)}-v{number}-{key[:32]}.npz"


class _Images(Sequence[np.ndarray]):
    """Images of a sequence of images or paths, each read when it is looked at."""

    def __init__(self, images: Sequence[np.ndarray] | Sequence[str | Path], ids: list[Any]):
        self.images, self.ids = images, ids

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: Any) -> Any:
        return _image(self.images[i], self.ids[i])


def _load(path: Path | None, number: int) -> _Column:
    """The column that a file holds; of unknown values if there is no such file, or it is damaged."""
    if path is not None and path.is_file():
        try:
            with np.load(path, allow_pickle=False) as file:  # a zip file, whose check sums are verified
                values, known = file["values"], file["known"]
                seconds = file["seconds"] if "seconds" in file else np.full((), np.nan)
            if (values.shape, known.shape) == ((number,), (number,)) and (values.dtype, known.dtype) == (float, bool):
                return _Column(values, known, np.array(float(seconds)), path)
        except Exception:  # a damaged file may fail in any way
            pass
    return _Column(np.zeros(number), np.zeros(number, bool), np.zeros(()), path)


def _save(column: _Column) -> None:
    """Write a column under a temporary name and rename it, so that no reader ever meets half a file."""
    if column.path is None:
        return
    temporary = column.path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        column.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                np.savez(file, values=column.values, known=column.known, seconds=column.seconds)
            temporary.replace(column.path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"statistics are not kept for the next run, {column.path} cannot be written: {error}", stacklevel=4
        )
