"""A file that is written in pieces, and continued after an interruption."""

import fcntl
import json
import os
import pathlib

from experiments.runs.atomic_write import atomic_write
from experiments.runs.run_directory import RunDirectoryError


class ResumableFile:
    """A text file that gets its name once it is complete.

    Until then its content is in `NAME.partial`, and `NAME.progress` holds the size that is
    valid and the origin. A process that stops at any time loses only the present piece.

    Args:
      path: path of the file.
      origin: plain data that determine the content, by name.
    """

    def __init__(self, path, origin):
        self._path = pathlib.Path(path)
        self._partial = self._path.with_name(f"{self._path.name}.partial")
        self._progress = self._path.with_name(f"{self._path.name}.progress")
        self._origin = json.loads(json.dumps(origin))
        self._size = 0

    def write(self, start, pieces):
        """Writes the rest of the file and returns the last position.

        Args:
          start: (text, position): the beginning of the file, and the position after it.
          pieces: function of a position, plain data, that yields the pieces from there on
            as (text, position after it).
        """
        if (ended := self._position_if_complete()) is not None:
            return ended
        self._refuse_existing()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._partial.open("ab") as self._file:
            self._lock()
            self._refuse_existing()  # another process may have finished it just now
            position = self._go_on(start) or self._append(*start)
            try:
                for text, next_position in pieces(position):
                    position = self._append(text, next_position)
            except Exception:
                if position == start[1]:  # wrong data leave no file
                    self._partial.unlink()
                    self._progress.unlink()
                raise
            os.replace(self._partial, self._path)
        self._progress.unlink(missing_ok=True)
        return position

    def _append(self, text, position):
        piece = text.encode()
        self._file.write(piece)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._size += len(piece)
        state = {"origin": self._origin, "size": self._size, "position": position}
        atomic_write(self._progress, json.dumps(state))
        return position

    def _position_if_complete(self):
        """Returns the last position if a process stopped just after it renamed the file."""
        state = self._state()
        is_complete = self._path.is_file() and not self._partial.exists()
        if not is_complete or state["origin"] != self._origin:
            return None
        if state["size"] == self._path.stat().st_size:
            self._progress.unlink(missing_ok=True)
            return state["position"]
        return None

    def _state(self):
        if self._progress.is_file():
            return json.loads(self._progress.read_text())
        return {"origin": self._origin, "size": 0, "position": None}

    def _go_on(self, start):
        state = self._state()
        different = [
            f"{name}: {state['origin'].get(name)!r} then, {value!r} now"
            for name, value in self._origin.items()
            if state["origin"].get(name) != value
        ]
        if different and state["position"] == json.loads(json.dumps(start[1])):
            state = {"size": 0, "position": None}  # only the beginning is lost
        elif different:
            raise RunDirectoryError(
                f"{self._partial} was begun with other inputs: {'; '.join(different)}. "
                "Give the same again, choose another --out, or delete it and "
                f"{self._progress}."
            )
        self._size = state["size"]
        if self._file.seek(0, os.SEEK_END) < self._size:
            raise RunDirectoryError(
                f"{self._partial} is shorter than {self._progress} says; delete both."
            )
        self._file.truncate(self._size)
        return state["position"]

    def _refuse_existing(self):
        if self._path.exists():
            raise RunDirectoryError(f"{self._path} exists; choose another --out.")

    def _lock(self):
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunDirectoryError(
                f"Another process is writing {self._partial}; choose another --out."
            ) from None
