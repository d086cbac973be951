"""Folders of work, and finished trainings that are kept for other comparisons."""

from pathlib import Path

import pytest

from lab import tracking
from lab.errors import UserError
from lab.work import discard, keep_training, take_training, work_folder


@pytest.fixture
def done(tmp_path) -> Path:
    """The folder of a training that is done."""
    folder = tmp_path / "training-1"
    folder.mkdir()
    for name in (*tracking.RESULT_FILES, "order.npy", "checkpoint.pt"):
        (folder / name).write_text(f"the {name}")
    return folder


def test_the_same_work_finds_its_folder_again_until_it_is_discarded(place):
    with work_folder("measure", "digits", {"lr": 0.1}) as work:
        (work / "note").touch()
        with (
            pytest.raises(UserError, match="the same measure is already running"),
            work_folder("measure", "digits", {"lr": 0.1}),
        ):
            pass
    with work_folder("measure", "digits", {"lr": 0.2}) as other:
        assert other != work
    with work_folder("measure", "digits", {"lr": 0.1}) as again:
        assert again == work and (again / "note").exists()
        discard(again)
    with work_folder("measure", "digits", {"lr": 0.1}) as anew:
        assert not (anew / "note").exists()


def test_what_a_kill_left_of_a_discarded_folder_is_removed(place):
    left = place / "mlruns" / "unfinished" / "measure-digits-0.done"
    left.mkdir(parents=True)
    with work_folder("measure", "digits", {}):
        assert not left.exists()


def test_a_finished_training_is_kept_and_taken(done, tmp_path):
    kept, folder = tmp_path / "cache" / "terms", tmp_path / "training-2"
    assert take_training(kept, folder) == "" and not folder.exists()
    keep_training(done, kept, "a-run")
    keep_training(done, kept, "another-run")  # which changes nothing
    assert take_training(kept, folder) == "a-run"
    assert {path.name for path in folder.iterdir()} == {*tracking.RESULT_FILES, "reused_from"}
    assert all((folder / name).read_text() == f"the {name}" for name in tracking.RESULT_FILES)
    assert take_training(kept, folder) == "a-run"  # by the same command again
    assert take_training(kept, done) == ""  # trained here
    assert [path.name for path in kept.parent.iterdir()] == ["terms"]


def test_a_training_that_is_not_done_is_not_kept_and_one_that_has_begun_goes_on(done, tmp_path):
    kept, begun = tmp_path / "cache" / "terms", tmp_path / "training-2"
    keep_training(done, kept, "a-run")
    begun.mkdir()
    assert take_training(kept, begun) == ""
    keep_training(begun, tmp_path / "cache" / "others", "a-run")
    assert [path.name for path in kept.parent.iterdir()] == ["terms"]


def test_a_copy_that_was_cut_off_is_made_again(done, tmp_path, monkeypatch):
    kept, folder = tmp_path / "cache" / "terms", tmp_path / "training-2"
    for action in (lambda: keep_training(done, kept, "a-run"), lambda: take_training(kept, folder)):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", lambda *arguments: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                action()
        action()
    assert {path.name for path in folder.iterdir()} == {*tracking.RESULT_FILES, "reused_from"}
