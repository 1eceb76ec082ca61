"""Tables as text of any length, read block by block in memory that does not grow."""

import csv
import dataclasses
import io
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.data.cells import cell_problems
from experiments.data.cells import is_empty
from experiments.data.cells import number
from experiments.data.cells import spelling_advice
from experiments.data.data_error import DataError
from experiments.data.data_error import reading
from experiments.data.line_blocks import LINE_END
from experiments.data.line_blocks import QUOTE
from experiments.data.line_blocks import has_rows_of
from experiments.data.line_blocks import next_lines
from experiments.data.text_bytes import decoded
from experiments.data.text_bytes import refuse_other_files

__all__ = ["Block", "TextTable"]

_DELIMITERS = ",;\t"
# By themselves, older versions of pandas err in the last digits.
_IS_EXACT = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
_EXACTLY = {} if _IS_EXACT else {"float_precision": "round_trip"}
# What pandas takes for numbers: `"1"2` is 12, and `True` is 1.
_READ_OTHERWISE = (QUOTE, b"rue", b"RUE", b"alse", b"ALSE")
# A byte order mark, and empty lines.
_BEFORE_ROWS = re.compile(r"\ufeff?(?:[^\S\n]*\n)*")


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows of a table that follow each other.

    Args:
      frame: of the columns that were asked for, by position: numbers, float64, finite, or
        the cells as texts; its index is the line of the file where each row begins, the
        first line being 1.
      line: where these lines begin.
      next_line: the line after the last row.
      end: bytes of the file up to there.
    """

    frame: pd.DataFrame
    line: int
    next_line: int
    end: int


class TextTable:
    """A table whose cells a comma, semicolon or tab separates, a row a line.

    The first row is a header if none of its cells is a number. Empty lines are passed over.

    Args:
      path: of the file.
      decimal: "." or ",", what separates the decimals of a number.
      encoding: of the text, one that has ASCII's letters as they are.

    Raises:
      DataError: if there is no such file, or it is empty, or two columns have one name, or
        the text is not in `encoding`.

    Attributes:
      names: the columns' names, or None without a header.
      num_columns: how many there are.
      size: bytes of the file.
    """

    def __init__(self, path, *, decimal=".", encoding="utf-8"):
        self._path = pathlib.Path(path)
        self._decimal, self._encoding = decimal, encoding
        with self._reading(), self._path.open("rb") as file:
            self.size = self._path.stat().st_size
            start, first = self._first_line(file)
        self._delimiter = _delimiter(first, decimal)
        cells = [cell.strip() for cell in _cells(first, self._delimiter)]
        self.num_columns = len(cells)
        self.names = None
        # Where the rows begin: (bytes, lines) before them.
        self._start = start
        if not any(_is_number(cell, decimal) for cell in cells):
            # As pandas calls a column of row numbers that it has written without a name.
            names = [cell or f"Unnamed: {i}" for i, cell in enumerate(cells)]
            self.names = self._distinct(names)
            line_end = len(first.encode(encoding))
            self._start = (start[0] + line_end, start[1] + first.count("\n"))

    def blocks(self, columns, *, as_text=False, end=0, line=0) -> Iterator[Block]:
        """Yields `Block`s.

        Args:
          columns: positions of the columns that are read, from 0.
          as_text: whether cells are texts, whatever they hold, or else numbers.
          end: `end` of the block after which to go on; 0: from the first row.
          line: its `next_line`.

        Raises:
          DataError: if a row is of another length, or one of its cells in `columns` holds
            no finite number where there should be one; the message names the first few of
            all such rows and cells of a block.
        """
        frame_of = self._texts if as_text else self._numbers
        offset, line = (end, line) if end else (self._start[0], self._start[1] + 1)
        with self._reading(), self._path.open("rb") as file:
            while text := next_lines(file, offset):
                next_line = line + text.count(LINE_END)
                offset += len(text)
                decoded(text, self._encoding, self._path, line)
                if text.strip():
                    yield Block(frame_of(text, columns, line), line, next_line, offset)
                line = next_line

    def label(self, position):
        """Returns the name of a column; its position, as text, without a header."""
        return self.names[position] if self.names else str(position)

    def _first_line(self, file):
        """Returns (bytes, lines) before the first row, and the row as text.

        A header's cells, in quotes, may hold line ends.
        """
        start = next_lines(file, 0)
        refuse_other_files(start, self._path)
        text = decoded(start, self._encoding, self._path, 1)
        before = _BEFORE_ROWS.match(text).group()
        first = text[len(before) :]
        if not first.strip():
            raise DataError(f"Expected rows of numbers in {self._path}; got an empty file.")
        lines = io.StringIO(first, newline="")
        first = next(lines)
        while first.count('"') % 2 and (line := next(lines, "")):
            first += line
        return (len(before.encode(self._encoding)), before.count("\n")), first

    def _distinct(self, names):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(
                f"Expected distinct column names in {self._path}; got {twice} twice."
            )
        return tuple(names)

    def _numbers(self, text, columns, line):
        """Returns the numbers of a block, or refuses it with what is wrong where."""
        is_plain = not any(letters in text for letters in _READ_OTHERWISE)
        if is_plain and has_rows_of(text, self.num_columns, self._delimiter):
            frame = self._parsed(text, columns, line, np.float64)
            if frame is not None and np.isfinite(frame.to_numpy()).all():
                return frame
        labels = {position: self.label(position) for position in columns}
        lines, rows = self._by_cell(text, columns, line, labels)
        values = [[number(cell, self._decimal) for cell in row] for row in rows]
        return pd.DataFrame(values, lines, list(columns), dtype=np.float64)

    def _texts(self, text, columns, line):
        """Returns the cells of a block as texts, or refuses rows of other lengths."""
        if QUOTE not in text and has_rows_of(text, self.num_columns, self._delimiter):
            frame = self._parsed(text, columns, line, str)
            if frame is not None:
                return frame
        lines, rows = self._by_cell(text, columns, line, {})
        return pd.DataFrame(rows, lines, list(columns), dtype=str)

    def _parsed(self, text, columns, line, dtype):
        """Returns a block without quotes by pandas, or None if that refuses it."""
        try:
            frame = pd.read_csv(
                io.BytesIO(text),
                header=None,
                names=range(self.num_columns),
                usecols=columns,
                dtype=dtype,
                sep=self._delimiter,
                decimal=self._decimal,
                encoding=self._encoding,
                keep_default_na=False,
                **_EXACTLY,
            )[list(columns)]
        except (ValueError, pd.errors.ParserError):
            return None
        if text.rstrip(LINE_END).count(LINE_END) + 1 == len(frame):
            return frame.set_axis(pd.RangeIndex(line, line + len(frame)))
        lines = [row_line for row_line, _ in self._rows(text, line)]
        return frame.set_axis(lines) if len(lines) == len(frame) else None

    def _by_cell(self, text, columns, line, labels):
        """Returns lines and cells of rows, slowly, where pandas refuses or misreads them.

        Args:
          text: of the block.
          columns: positions of the columns that are read.
          line: of the first row.
          labels: names of those that should hold numbers, by position.
        """
        rows = self._rows(text, line)
        found = cell_problems(rows, labels, self.num_columns, self._decimal)
        if found:
            wanted = "finite numbers" if labels else "rows of one length"
            raise DataError(f"Expected {wanted} in {self._path}; got {found}.")
        lines, rows = [], []
        for row_line, row in self._rows(text, line):
            lines.append(row_line)
            rows.append([row[i] for i in columns])
        return lines, rows

    def _rows(self, text, line):
        """Yields the line of the file where a row begins, and its cells; no empty rows.

        Raises:
          DataError: if a quote is not closed, or ends within a cell.
        """
        content = io.StringIO(text.decode(self._encoding), newline="")
        reader, begin = csv.reader(content, delimiter=self._delimiter, strict=True), line
        try:
            for row in reader:
                if not is_empty(row):
                    yield begin, row
                begin = line + reader.line_num
        except csv.Error as error:
            raise DataError(
                f"Expected quotes around whole cells in {self._path}; got, in line "
                f"{begin}: {error}."
            ) from error

    def _reading(self):
        return reading(
            f"a table as text ({self._encoding})",
            self._path,
            (OSError, UnicodeDecodeError, csv.Error),
        )


def _delimiter(line, decimal):
    """Returns what separates cells: what makes all of them numbers, or most cells."""
    for delimiter in _DELIMITERS.replace(",", ""):  # a comma may be a decimal mark
        cells = _cells(line, delimiter)
        if len(cells) > 1 and all(_is_number(cell, decimal) for cell in cells):
            return delimiter
    delimiters = _DELIMITERS if decimal == "." else _DELIMITERS.replace(",", "")
    return max(delimiters, key=lambda d: len(_cells(line, d)))


def _is_number(cell, decimal):
    """Whether a cell is a number, be it spelt with another decimal mark."""
    return number(cell, decimal) is not None or bool(spelling_advice([cell], decimal))


def _cells(line, delimiter):
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])
