"""The table of statistics: its kinds of input, its threads, its errors and its cache."""

import functools
import io
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import metrics
from metrics import STATISTICS, statistics_table, version
from metrics import table as statistics_of


@version(1)
def chance(image: np.ndarray) -> float:
    """Shows whether a value was computed anew: it is never the same twice."""
    return random.random()


@version(1)
def contrast(image: np.ndarray) -> float:
    return float(image.std())


@pytest.fixture(autouse=True)
def quick_edges(monkeypatch):
    monkeypatch.setitem(STATISTICS, "edges", version(1)(functools.partial(metrics.edges, draws=1)))


@pytest.fixture
def own_statistics(monkeypatch):
    monkeypatch.setitem(STATISTICS, "chance", chance)
    monkeypatch.setitem(STATISTICS, "contrast", contrast)


def files(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir()}


def test_values_index_and_types(digits):
    ids = [f"digit {n}" for n in range(len(digits))]
    table = statistics_table(digits, ids)
    assert list(table.columns) == list(STATISTICS)
    assert table.index.tolist() == ids and table.index.name == "id"
    assert (table.dtypes == np.float64).all()
    for name, function in STATISTICS.items():
        np.testing.assert_array_equal(table[name], [function(digit) for digit in digits])


def test_names_choose_and_order_the_columns(digits):
    table = statistics_table(digits, range(100), names=["segments", "entropy"])
    assert list(table.columns) == ["segments", "entropy"]
    assert table.index.tolist() == list(range(100))


def test_arrays_lists_and_files_give_the_same(digits, tmp_path):
    paths = []
    for n, digit in enumerate(digits):
        paths.append(tmp_path / f"{n}.png")
        Image.fromarray(digit).save(paths[-1])
    expected = statistics_table(digits, range(100))
    for images in (list(digits), paths, [str(path) for path in paths], np.array([str(path) for path in paths])):
        pd.testing.assert_frame_equal(statistics_table(images, range(100), cache=tmp_path / "cache"), expected)


def test_images_of_different_sizes_whatever_the_number_of_workers(photographs):
    images = photographs * 5
    for workers in (1, 3):
        table = statistics_table(images, range(len(images)), workers=workers)
        for name, function in STATISTICS.items():
            np.testing.assert_array_equal(table[name], [function(image) for image in photographs] * 5)


def test_no_images_give_an_empty_table(digits):
    assert statistics_table(digits[:0], []).shape == (0, len(STATISTICS))


def test_as_many_threads_as_workers_work_at_the_same_time(digits, monkeypatch):
    for workers in (1, 2):
        meeting = threading.Barrier(workers, timeout=20)  # passed only by all threads together

        def meet(image, meeting=meeting):
            meeting.wait()
            return threading.get_ident()

        monkeypatch.setitem(STATISTICS, "meet", meet)
        table = statistics_table(digits[:32], range(32), ["meet"], workers=workers)
        assert table["meet"].nunique() == workers


def test_large_images_are_held_and_measured_one_at_a_time(digits, monkeypatch):
    """However many threads there are: a photograph of 80 megapixels takes a gigabyte."""
    expected = statistics_table(digits[:32], range(32), ["entropy"])
    for bound in ("_HELD", "_LARGE"):
        monkeypatch.setattr(statistics_of, bound, 1)
    measuring, most = [], [0, 0]

    def one_by_one(image):
        measuring.append(1)
        most[0] = max(most[0], len(measuring))
        time.sleep(0.002)
        measuring.pop()
        return STATISTICS["entropy"](image)

    def held(name, chunk, ids):
        most[1] = max(most[1], len(chunk))
        return values_of(name, chunk, ids)

    values_of = statistics_of._values
    monkeypatch.setattr(statistics_of, "_values", held)
    monkeypatch.setitem(STATISTICS, "one by one", one_by_one)
    found = statistics_table(digits[:32], range(32), ["one by one"], workers=4)
    assert found["one by one"].tolist() == expected["entropy"].tolist() and most == [1, 1]


def test_progress_counts_images_in_the_calling_thread(digits, tmp_path):
    calls = []

    def progress(done, total):
        assert threading.current_thread() is threading.main_thread()
        calls.append((done, total))

    statistics_table(digits, range(100), cache=tmp_path, progress=progress)
    done = [call[0] for call in calls]
    assert len(calls) > 2 and done == sorted(set(done)) and calls[0] == (0, 100) and calls[-1] == (100, 100)
    calls.clear()
    statistics_table(digits, range(100), cache=tmp_path, progress=progress)
    assert calls == [(100, 100)]


# errors


@pytest.mark.parametrize(
    ("result", "message"), [(lambda zero: 1 / zero, "division by zero"), (lambda zero: "many", "many")]
)
def test_a_failing_statistic_is_named_with_the_image(digits, monkeypatch, result, message):
    monkeypatch.setitem(STATISTICS, "own", lambda image: result(0) if np.array_equal(image, digits[70]) else 1.0)
    with pytest.raises(ValueError, match=f"'own' of image 'n70': .*{message}"):
        statistics_table(digits, [f"n{n}" for n in range(100)])


@pytest.mark.parametrize("with_cache", [True, False])
def test_a_bad_image_is_named(digits, tmp_path, with_cache):
    cache = tmp_path / "cache" if with_cache else None
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(ValueError, match=r"image 'b': cannot read image .*broken\.png"):
        statistics_table([tmp_path / "broken.png"], ["b"], cache=cache)
    with pytest.raises(ValueError, match=r"image 'm': .*missing\.png"):
        statistics_table([tmp_path / "missing.png"], ["m"], cache=cache)
    with pytest.raises(ValueError, match=r"image 2: .*float64"):
        statistics_table([digits[0], digits[1], digits[2] / 255], range(3), cache=cache)
    with pytest.raises(ValueError, match=r"image 0: .*float64"):
        statistics_table(digits / 255, range(100), cache=cache)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["entropy", "entrpy"]}, "'entrpy'.*entropy, frequency, segments"),
        ({"ids": range(99)}, "100 images but 99 ids"),
        ({"ids": [*range(99), 5]}, "id 5 "),
        ({"ids": np.array([*range(99), 5])}, "id 5 "),
        ({"ids": [*range(99), "a"]}, "mixed"),
        ({"ids": [*"abc", *map(str, range(96)), None]}, "mixed|id is missing"),
        ({"ids": [n / 2 for n in range(100)]}, "floating"),
        ({"workers": 0}, "0"),
    ],
)
def test_bad_arguments_are_named(digits, options, message):
    with pytest.raises(ValueError, match=message):
        statistics_table(**{"images": digits, "ids": range(100), **options})


# cache


def test_a_second_call_reads(digits, tmp_path, own_statistics):
    names = [*STATISTICS, "../own: ü"]  # a name may hold any characters
    STATISTICS["../own: ü"] = STATISTICS["chance"]
    try:
        first = statistics_table(digits, range(100), names, cache=tmp_path / "cache")
        again = statistics_table(list(digits), range(100), names, cache=str(tmp_path / "cache"))
    finally:
        del STATISTICS["../own: ü"]
    pd.testing.assert_frame_equal(again, first)
    assert len(files(tmp_path / "cache")) == len(names)
    assert (statistics_table(digits, range(100))["chance"] != first["chance"]).all()


def test_changed_content_is_noticed(digits, tmp_path, own_statistics):
    first = statistics_table(digits, range(100), ["chance"], cache=tmp_path)["chance"]
    one_pixel = digits.copy()
    one_pixel[50, 0, 0] += 1
    for images, ids in (
        (one_pixel, range(100)),
        (digits, range(1, 101)),
        (digits, [str(n) for n in range(100)]),
        (digits.reshape(100, 14, 56), range(100)),
        (digits[:99], range(99)),
    ):
        again = statistics_table(images, ids, ["chance"], cache=tmp_path)["chance"]
        assert (again.to_numpy() != first.to_numpy()[: len(again)]).all()


def test_a_changed_file_is_noticed_even_of_the_same_size_and_date(tmp_path, own_statistics, digits):
    paths = [tmp_path / "0.bmp", tmp_path / "1.bmp"]
    for path in paths:
        Image.fromarray(digits[0]).save(path)
    first = statistics_table(paths, [0, 1], ["contrast", "chance"], cache=tmp_path / "cache")
    date = paths[1].stat().st_mtime_ns
    Image.fromarray(digits[-1]).save(paths[1])
    os.utime(paths[1], ns=(date, date))
    again = statistics_table(paths, [0, 1], ["contrast", "chance"], cache=tmp_path / "cache")
    assert again["contrast"].tolist() == [contrast(digits[0]), contrast(digits[-1])]
    assert (again["chance"] != first["chance"]).all()


def test_a_new_statistic_computes_only_itself(digits, tmp_path, own_statistics):
    first = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
    both = statistics_table(digits, range(100), ["contrast", "chance"], cache=tmp_path)
    pd.testing.assert_series_equal(both["chance"], first["chance"])
    np.testing.assert_array_equal(both["contrast"], [contrast(digit) for digit in digits])


def test_a_raised_version_another_function_and_other_decoding_are_noticed(digits, tmp_path, monkeypatch):
    def again(number: int, module: str = __name__) -> float:
        statistic = version(number)(lambda image: random.random())
        statistic.__module__ = module
        monkeypatch.setitem(STATISTICS, "own", statistic)
        return statistics_table(digits[:1], [0], ["own"], cache=tmp_path)["own"].item()

    first = again(1)
    assert first == again(1) != again(2)
    assert again(1, "elsewhere") != first == again(1)
    monkeypatch.setattr(statistics_of, "DECODING", 99)
    assert again(1) != first


@pytest.mark.parametrize("statistic", [lambda image: 4.0, functools.partial(metrics.edges, draws=1)])
def test_a_statistic_without_a_version_works_but_is_not_kept(digits, tmp_path, monkeypatch, statistic):
    monkeypatch.setitem(STATISTICS, "own", statistic)
    table = statistics_table(digits[:9], range(9), ["own"], cache=tmp_path)
    assert table["own"].tolist() == [statistic(digit) for digit in digits[:9]]
    assert files(tmp_path) == set()


def test_a_damaged_file_is_computed_anew(digits, tmp_path, own_statistics):
    first = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    other = io.BytesIO()
    np.savez(other, values=np.zeros(99), known=np.ones(99, bool))
    for damaged in (b"", b"PK", whole[: len(whole) // 2], whole[:-1], b"x" * len(whole), other.getvalue()):
        path.write_bytes(damaged)
        again = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
        assert (again["chance"] != first["chance"]).all()
        pd.testing.assert_frame_equal(statistics_table(digits, range(100), ["chance"], cache=tmp_path), again)


def test_no_flipped_byte_is_misread(digits, tmp_path, own_statistics):
    expected = statistics_table(digits[:20], range(20), ["contrast"], cache=tmp_path)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        pd.testing.assert_frame_equal(statistics_table(digits[:20], range(20), ["contrast"], cache=tmp_path), expected)


def test_a_cache_that_cannot_be_written_costs_only_the_cache(digits, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="not kept") as warned:
        table = statistics_table(digits, range(100), ["entropy"], cache=tmp_path / "file" / "cache")
    assert table["entropy"].iloc[0] == metrics.entropy(digits[0])
    assert warned[0].filename == __file__


@pytest.mark.filterwarnings("error")
def test_two_writers_of_one_file_do_not_meet(digits, tmp_path, own_statistics, monkeypatch):
    both_have_written = threading.Barrier(2, timeout=20)
    savez = np.savez

    def write_and_wait(*arguments, **arrays):
        savez(*arguments, **arrays)
        both_have_written.wait()

    monkeypatch.setattr(np, "savez", write_and_wait)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(statistics_table, digits, range(100), ["chance"], tmp_path) for _ in range(2)]
        tables = [call.result() for call in calls]
    kept = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
    assert any(kept.equals(table) for table in tables)
    assert len(files(tmp_path)) == 1


def test_two_processes_at_once_do_not_hurt_each_other(digits, tmp_path):
    code = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        import numpy as np
        from metrics import STATISTICS, statistics_table, version

        @version(1)
        def mean(image):
            return float(image.mean())

        STATISTICS["mean"] = mean
        cache, me, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
        digits = np.load(cache / "digits.npy")
        statistics_table(digits, range(100), ["mean"])
        deadline = time.monotonic() + 90
        for turn in range(40):
            (cache / f"{turn}-{me}").touch()
            while not (cache / f"{turn}-{other}").exists() and time.monotonic() < deadline:
                pass
            for _ in range(2):
                table = statistics_table(digits, range(100), ["mean"], cache=cache, workers=1)
                np.testing.assert_array_equal(table["mean"], digits.mean(axis=(1, 2)))
            for path in cache.glob("*.npz"):
                path.unlink(missing_ok=True)
    """)
    (tmp_path / "measure.py").write_text(code)
    np.save(tmp_path / "digits.npy", digits)
    start = [sys.executable, "-W", "error::UserWarning", tmp_path / "measure.py", tmp_path]
    processes = [subprocess.Popen([*start, *names], stderr=subprocess.PIPE, text=True) for names in ("ab", "ba")]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert not list(tmp_path.glob("*.tmp"))
    assert len(list(tmp_path.glob("*.npz"))) <= 1


def test_importing_starts_nothing_heavy():
    heavy = ("numba", "scipy", "pandas", "pyarrow", "skimage", "torch", "mlflow", "omegaconf", "lab", "agreement")
    code = f"import metrics, sys; print([name for name in {heavy} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


# a call that is cut off


class CutOff(BaseException):
    """Ends a call as a signal does."""


@pytest.fixture
def seen(digits, monkeypatch) -> list[int]:
    """The images that the statistic `seen` was computed of; what is known is written after every chunk."""
    images = []

    @version(1)
    def contrast_seen(image):
        images.append(int(np.flatnonzero((digits == image).all(axis=(1, 2)))[0]))
        return float(image.std())

    monkeypatch.setitem(STATISTICS, "seen", contrast_seen)
    monkeypatch.setattr(statistics_of, "_KEEP_SECONDS", 0)
    return images


def cut_off_at(number: int):
    def progress(done, total):
        if done >= number:
            raise CutOff

    return progress


def test_a_call_that_was_cut_off_goes_on(digits, tmp_path, seen, monkeypatch):
    monkeypatch.setitem(STATISTICS, "contrast", contrast)
    for number in (16, 48):
        with pytest.raises(CutOff):
            statistics_table(digits, range(100), ["seen"], tmp_path, workers=1, progress=cut_off_at(number))
    assert len(files(tmp_path)) == 1 and all(name.endswith(".npz") for name in files(tmp_path))
    seen.clear()
    dones = []
    # what was not asked for before is computed of all images
    table = statistics_table(digits, range(100), ["seen", "contrast"], tmp_path, progress=lambda *d: dones.append(d))
    expected = [contrast(digit) for digit in digits]
    assert table["seen"].tolist() == table["contrast"].tolist() == expected
    assert sorted(seen) == list(range(48, 100)) and dones[-1] == (100, 100)
    assert len(files(tmp_path)) == 2
    seen.clear()
    statistics_table(digits, range(100), ["seen"], tmp_path)
    assert seen == []


def test_an_unfinished_file_that_is_damaged_is_not_taken(digits, tmp_path, seen):
    with pytest.raises(CutOff):
        statistics_table(digits, range(100), ["seen"], tmp_path, workers=1, progress=cut_off_at(32))
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    seen.clear()
    table = statistics_table(digits, range(100), ["seen"], tmp_path)
    assert table["seen"].tolist() == [contrast(digit) for digit in digits]
    assert sorted(seen) == list(range(100))


def test_a_quick_call_writes_only_in_the_end(digits, tmp_path, own_statistics):
    with pytest.raises(CutOff):
        statistics_table(digits, range(100), ["contrast"], tmp_path, progress=cut_off_at(64))
    assert files(tmp_path) == set()


@pytest.mark.parametrize("found", [1.0, np.zeros(3), np.zeros((2, 1)), np.array(["a", "b"])])
def test_a_statistic_of_examples_gives_a_number_for_each(monkeypatch, found):
    monkeypatch.setitem(metrics.EXAMPLE_STATISTICS, "mine", lambda images, labels, seed=0, progress=None: found)
    with pytest.raises(ValueError, match=r"statistic 'mine' gives .*, not a number for each of the 2 images"):
        metrics.statistics_table([np.zeros((4, 4), np.uint8)] * 2, ["a", "b"], ["mine"], labels=np.array([0, 1]))


def test_labels_of_any_kind_have_a_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 16), np.uint8)
    for labels in (np.array([b"a", b"b"] * 3), np.array(["2026-01-01", "2026-01-02"] * 3, "datetime64[D]")):
        first, again = (statistics_table(images, range(6), ["neighbours"], tmp_path, labels=labels) for _ in range(2))
        assert first.equals(again)
    assert len([*tmp_path.glob("*.npz")]) == 2
