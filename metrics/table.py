"""The statistics of all images of a data set, computed in parallel and kept between runs."""

import hashlib
import json
import os
import re
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import metrics
from metrics.fingerprint import fingerprint
from metrics.frequency import frequencies, frequency
from metrics.images import check_image, read_image

if TYPE_CHECKING:
    import pandas as pd

Statistic = Callable[[np.ndarray], float]

_SHARD_SECONDS = 20.0  # what a call that is cut off loses at most, and a chunk
_CHUNK = 16  # images a thread takes at a time: as many decoded images are in memory per thread


def statistics_table(
    images: np.ndarray | Sequence[np.ndarray] | Sequence[str | Path],
    ids: Sequence[int] | Sequence[str],
    names: Sequence[str] | None = None,
    cache: str | Path | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> "pd.DataFrame":
    """Compute statistics of every image.

    Parameters
    ----------
    images : uint8 array (N, H, W) or (N, H, W, 3); or a sequence of N uint8 images, of any sizes; or a sequence of N
        paths of image files, which are decoded one chunk at a time.
    ids : N different integers or N different strings, the names of the images.
    names : which of ``metrics.STATISTICS`` to compute; all by default.
    cache : folder for one parquet file per statistic, made if it does not exist. A later call with the same images,
        ids and definition of the statistic (its code, see ``metrics.fingerprint``) reads it instead of computing;
        whatever differs is noticed by its content. A damaged file is computed anew. A call that takes long keeps what
        it has every 20 seconds, in files that it deletes in the end; if it is cut off, the next call goes on there.
    workers : number of threads; by default one per core that this process may use.
    progress : called as ``progress(done, total)`` with numbers of images, from the calling thread, as work proceeds.

    Returns
    -------
    DataFrame indexed by ``id``, in the order given, with a float64 column per statistic, in the order of ``names``.

    Raises
    ------
    ValueError
        If a name is unknown, ids are repeated or of mixed types or not as many as images, an image cannot be read, or
        a statistic fails: the message names the image's id and the statistic.
    """
    import pandas as pd  # here, because it takes long to import

    names = tuple(metrics.STATISTICS) if names is None else tuple(names)
    for name in names:
        if name not in metrics.STATISTICS:
            raise ValueError(f"unknown statistic {name!r}; there are {', '.join(metrics.STATISTICS)}")
    index = _index(ids)
    if len(index) != len(images):
        raise ValueError(f"{len(images)} images but {len(index)} ids")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")

    columns: dict[str, np.ndarray] = {}
    files: dict[str, Path] = {}
    if cache is not None:
        content = _content(images, index)
        for name in names:
            definition = fingerprint(metrics.STATISTICS[name])
            if definition is not None:
                key = hashlib.sha256(json.dumps([content, name, definition]).encode()).hexdigest()
                files[name] = Path(cache) / f"{re.sub(r'[^A-Za-z0-9-]', '-', name)}-{key[:32]}.parquet"
                column = _load(files[name], index)
                if column is not None:
                    columns[name] = column

    missing = {name: metrics.STATISTICS[name] for name in names if name not in columns}
    shards = {name: _Shards(files[name], index) for name in missing if name in files}
    computed = _compute(images, index.tolist(), missing, workers or _cores(), progress, shards)
    for name, column in computed.items():
        if name in files:
            _save(files[name], index, column)
            shards[name].delete()
    columns |= computed
    return pd.DataFrame({name: columns[name] for name in names}, index=index, dtype=np.float64)


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


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compute(
    images: Any,
    ids: list[Any],
    statistics: dict[str, Statistic],
    workers: int,
    progress: Callable[[int, int], object] | None,
    shards: dict[str, "_Shards"],
) -> dict[str, np.ndarray]:
    """One float64 column (N,) per statistic. What the shards hold is not computed; what is computed is put there."""
    total = len(ids)
    columns, known = {}, {}
    for name in statistics:
        columns[name], known[name] = shards[name].load() if name in shards else (np.empty(total), np.zeros(total, bool))

    def measure(start: int) -> int:
        part = slice(start, min(start + _CHUNK, total))
        unknown = [name for name in statistics if not known[name][part].all()]
        if unknown:
            chunk = [_image(images[i], ids[i]) for i in range(part.start, part.stop)]
            for name in unknown:
                columns[name][part] = _values(name, statistics[name], chunk, ids[part])
        return part.stop - part.start

    done = kept = 0
    kept_at = time.monotonic()
    if progress is not None:
        progress(0 if statistics else total, total)  # before the first images, which may wait for a compiler
    if statistics:
        # threads suffice: nearly all time is spent in code that runs without Python's global lock
        threads, wait = ThreadPoolExecutor(workers), True
        try:
            for chunk in [threads.submit(measure, start) for start in range(0, total, _CHUNK)]:
                done += chunk.result()  # in order, so that of several errors always the first is told
                if time.monotonic() - kept_at >= _SHARD_SECONDS:
                    for name in shards:
                        if not known[name][kept:done].all():
                            shards[name].save(columns[name], kept, done)
                    kept, kept_at = done, time.monotonic()
                if progress is not None:
                    progress(done, total)
        except (
            KeyboardInterrupt
        ):  # who stops the program does not wait for the chunks in progress: they may take minutes
            wait = False
            raise
        finally:
            threads.shutdown(wait, cancel_futures=True)
    return columns


class _Shards:
    """Parts of a column that is not complete yet, each a file named after the whole one's and the rows it holds."""

    def __init__(self, path: Path, index: "pd.Index") -> None:
        self._path, self._index = path, index

    def _files(self) -> list[tuple[Path, int, int]]:
        files = []
        for path in self._path.parent.glob(f"{self._path.stem}.*-*.parquet"):
            rows = re.fullmatch(r"(\d+)-(\d+)", path.stem.removeprefix(f"{self._path.stem}."))
            if rows:
                files.append((path, int(rows[1]), int(rows[2])))
        return files

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """The column, float64 (N,), and which of its values are known, bool (N,)."""
        column, known = np.empty(len(self._index)), np.zeros(len(self._index), bool)
        for path, start, end in self._files():
            part = _load(path, self._index[start:end])
            if part is not None:
                column[start:end], known[start:end] = part, True
        return column, known

    def save(self, column: np.ndarray, start: int, end: int) -> None:
        path = self._path.with_name(f"{self._path.stem}.{start}-{end}.parquet")
        _save(path, self._index[start:end], column[start:end])

    def delete(self) -> None:
        for path, _, _ in self._files():
            path.unlink(missing_ok=True)


def _image(image: np.ndarray | str | Path, image_id: int | str) -> np.ndarray:
    try:
        if isinstance(image, str | os.PathLike):
            return read_image(image)
        check_image(image)
        return image
    except (ValueError, OSError) as error:
        raise ValueError(f"image {image_id!r}: {error}") from error


def _values(name: str, statistic: Statistic, chunk: list[np.ndarray], ids: list[Any]) -> np.ndarray:
    if statistic is frequency and len({image.shape for image in chunk}) == 1:
        return frequencies(np.stack(chunk))  # the same values, in half the time for small images
    values = np.empty(len(chunk))
    for i, image in enumerate(chunk):
        try:
            values[i] = float(statistic(image))
        except Exception as error:  # a user's function may raise anything
            raise ValueError(f"statistic {name!r} of image {ids[i]!r}: {error}") from error
    return values


def _content(images: Any, index: "pd.Index") -> str:
    """Digest of all images, bytes and shapes, and their ids. Files count by their bytes, not by name or date."""
    digest = hashlib.sha256(json.dumps([index.tolist(), fingerprint(read_image)]).encode())
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        digest.update(repr(images.shape).encode())
        digest.update(np.ascontiguousarray(images).data)
        return digest.hexdigest()
    for image, image_id in zip(images, index.tolist(), strict=True):
        if isinstance(image, str | os.PathLike):
            try:
                content = Path(image).read_bytes()
            except OSError as error:
                raise ValueError(f"image {image_id!r}: {error}") from error
            digest.update(f"file of {len(content)}".encode() + content)
        else:
            digest.update(repr(_image(image, image_id).shape).encode() + image.tobytes())
    return digest.hexdigest()


def _save(path: Path, index: "pd.Index", column: np.ndarray) -> None:
    """Write a column under a temporary name and rename it, so that no reader ever meets half a file."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    table = pa.table({"id": index.tolist(), "value": column}, metadata={"sha256": _digest(column)})
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            parquet.write_table(table, temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"statistics are not kept for the next run, {path} cannot be written: {error}", stacklevel=4)


def _load(path: Path, index: "pd.Index") -> np.ndarray | None:
    """The column of a file, or None if there is no such file or it is not as it was written."""
    import pyarrow.parquet as parquet

    if not path.is_file():
        return None
    try:
        table = parquet.read_table(path)
        column = np.ascontiguousarray(table["value"].to_numpy(), np.float64)
        intact = table["id"].to_pylist() == index.tolist() and table.schema.metadata[b"sha256"] == _digest(column)
    except Exception:  # a damaged file may fail in any way
        return None
    return column if intact else None


def _digest(column: np.ndarray) -> bytes:
    return hashlib.sha256(column.tobytes()).hexdigest().encode()
