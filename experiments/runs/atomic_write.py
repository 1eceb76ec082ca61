"""Atomic, durable replacement of a file's content."""

import os
import pathlib


def atomic_write(path, content):
    """Replaces the file at `path`, in a folder that exists, durably.

    `content` is bytes, or text, which is written in UTF-8.

    Raises:
      OSError: if the disk is full or read-only; the old file, if any, is untouched.
    """
    path = pathlib.Path(path)
    partial = path.with_name(f".{path.name}.partial")
    content = content.encode() if isinstance(content, str) else content
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.filename is None:  # `write` and `fsync` name no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    # The folder holds the new name, so it must reach the disk too.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
