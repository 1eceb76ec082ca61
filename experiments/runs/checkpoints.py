"""Checkpoints of a run: one file per epoch, with a checksum; the last two are kept."""

import dataclasses
import hashlib
import io
import json
import pathlib
import zipfile

import numpy as np

from experiments.runs.atomic_write import atomic_write

_DIGEST_BYTES = hashlib.sha256().digest_size

# The consequence of a damaged checkpoint, for the message.
_OLDER = "the checkpoint before it is used"
_ANEW = "there is none before it, and training starts from the beginning"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a run at the end of an epoch.

    Args:
      epoch: number of finished epochs.
      facts: plain data for JSON.
      arrays: lists of arrays, by name.
    """

    epoch: int
    facts: dict
    arrays: dict[str, list[np.ndarray]]

    def to_bytes(self):
        """Returns the checkpoint's file: a SHA-256 digest, and a NumPy archive."""
        flat = {
            f"{name}:{i}": array
            for name, arrays in self.arrays.items()
            for i, array in enumerate(arrays)
        }
        counts = {name: len(arrays) for name, arrays in self.arrays.items()}
        header = json.dumps({"epoch": self.epoch, "facts": self.facts, "counts": counts})
        file = io.BytesIO()
        np.savez(file, header=np.frombuffer(header.encode(), np.uint8), **flat)
        return hashlib.sha256(file.getvalue()).digest() + file.getvalue()

    @classmethod
    def from_bytes(cls, content):
        """Reads the result of `to_bytes`; refuses damaged content."""
        digest, archive = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(archive).digest() != digest:
            raise ValueError(
                "Expected a checkpoint that matches its checksum; got another."
            )
        try:
            flat = np.load(io.BytesIO(archive), allow_pickle=False)
            header = json.loads(flat["header"].tobytes())
            arrays = {
                name: [flat[f"{name}:{i}"] for i in range(count)]
                for name, count in header["counts"].items()
            }
        except (KeyError, TypeError, MemoryError, zipfile.BadZipFile) as error:
            raise ValueError(f"Expected a checkpoint's archive; got {error}.") from error
        return cls(header["epoch"], header["facts"], arrays)


class CheckpointFolder:
    """The checkpoints in a folder, which the first `save` makes.

    The newest undamaged one counts.
    """

    def __init__(self, path):
        self._path = pathlib.Path(path)

    def save(self, checkpoint):
        """Writes a checkpoint, and then deletes all but the last two."""
        self._path.mkdir(parents=True, exist_ok=True)
        name = f"epoch_{checkpoint.epoch:06}.checkpoint"
        atomic_write(self._path / name, checkpoint.to_bytes())
        for path in self._files()[:-2]:
            path.unlink()

    def load_newest(self):
        """Returns the newest undamaged `Checkpoint`, or None; deletes damaged ones."""
        files = self._files()
        while files:
            path = files.pop()
            try:
                return Checkpoint.from_bytes(path.read_bytes())
            except ValueError:
                remedy = _OLDER if files else _ANEW
                print(f"{path} is damaged; {remedy}.", flush=True)
                path.unlink()
        return None

    @property
    def is_empty(self):
        """Whether there is no checkpoint."""
        return not self._files()

    def delete_all_but_newest(self):
        """Deletes all but the newest checkpoint, from which a run can be extended."""
        for path in self._files()[:-1]:
            path.unlink()

    def _files(self):
        return sorted(self._path.glob("epoch_*.checkpoint"))
