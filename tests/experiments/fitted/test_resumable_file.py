"""A file of pieces whose process stops at its very end."""

import pathlib

import pytest

from experiments.fitted.resumable_file import ResumableFile
from experiments.runs.run_directory import RunDirectoryError

START = ("a\n", 0)


def pieces(at):
    yield from ((f"{i}\n", i) for i in range(at + 1, 4))


def test_a_process_that_stops_after_the_last_piece_has_written_the_file(tmp_path):
    path = tmp_path / "out.csv"

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pathlib.Path, "unlink", stop)
        with pytest.raises(KeyboardInterrupt):
            ResumableFile(path, {"seed": 1}).write(START, pieces)
    whole = path.read_text()
    assert whole == "a\n1\n2\n3\n"
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(RunDirectoryError, match="is there"):  # made of something else
        ResumableFile(path, {"seed": 2}).write(START, pieces)
    assert ResumableFile(path, {"seed": 1}).write(START, pieces) == 3
    assert path.read_text() == whole
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RunDirectoryError, match="is there"):  # and may be anyone's now
        ResumableFile(path, {"seed": 1}).write(START, pieces)
