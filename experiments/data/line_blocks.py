"""Lines of text in blocks: where a block ends, and how many cells its lines have."""

import csv

import numpy as np

__all__ = ["LINE_END", "QUOTE", "has_rows_of", "next_lines"]

_BYTES_A_BLOCK = 1 << 24
_BYTES_A_ROW = 1 << 26  # at most
QUOTE, LINE_END = b'"', b"\n"


def next_lines(file, offset):
    """Returns the lines that end in a block, or in as many as the first one needs.

    Where blocks end depends on `offset` only, not on what was read before.
    """
    file.seek(offset)
    text = b""
    while read := file.read(_BYTES_A_BLOCK):
        text += read
        if len(read) < _BYTES_A_BLOCK:  # the last line may not end
            return text
        if end := _end_of_rows(text):
            return text[:end]
        if len(text) > _BYTES_A_ROW:
            raise csv.Error(
                f"more than {_BYTES_A_ROW:,} bytes without the end of a row, as where a "
                "quote is not closed"
            )
    return text


def _end_of_rows(text):
    """Returns the position after the last line end outside of quotes; 0 without one."""
    if QUOTE not in text:
        return text.rfind(LINE_END) + 1
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(letters == ord(LINE_END))
    quotes_before = np.searchsorted(np.flatnonzero(letters == ord(QUOTE)), ends)
    outside = ends[quotes_before % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def has_rows_of(text, num_columns, delimiter):
    """Whether each line without quotes has as many cells, which pandas does not check.

    It fills short rows up, and cuts long ones where it reads some columns only.
    """
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(letters == ord(LINE_END))
    if not text.endswith(LINE_END):
        ends = np.append(ends, len(letters))
    counts = np.searchsorted(np.flatnonzero(letters == ord(delimiter)), ends)
    widths = np.diff(counts, prepend=0) + 1
    lengths = np.diff(ends, prepend=-1) - 1
    is_space = np.isin(letters[np.maximum(ends - 1, 0)], [ord(c) for c in " \t\r"])
    is_empty = (lengths == 0) | (lengths == 1) & is_space
    return bool(np.all((widths == num_columns) | ((widths == 1) & is_empty)))
