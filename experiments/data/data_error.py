"""Errors of data, as opposed to those of a program."""

import contextlib

__all__ = ["DataError", "reading"]


class DataError(ValueError):
    """Data that are missing, damaged, or of no use; the message says where and how."""


@contextlib.contextmanager
def reading(what, path, errors=(OSError, ValueError), refusal=DataError):
    """Turns `errors` of the block that reads a file into a `refusal` that names it.

    Args:
      what: is expected in the file.
      path: of the file.
      errors: exceptions that mean something else is in it.
      refusal: kind of exception.
    """
    try:
        yield
    except errors as error:
        raise refusal(f"Expected {what} in {path}; got {error}.") from error
