"""Tables as text of any length, read block by block in memory that does not grow."""

import csv
import dataclasses
import io
import itertools
import math
import pathlib
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.data.files import DataError, reading

_SHOWN = 5  # of all problems, which may be as many as there are cells
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?:[.,]\d+)?")
# Decimal mark -> numbers with the other one, and what that is called.
_OTHERWISE = {
    ".": (re.compile(r"[-+]?[\d.'’ \u00a0\u202f]*,\d+(?:[eE][-+]?\d+)?"), ",", "commas"),
    ",": (re.compile(r"[-+]?[\d,'’ \u00a0\u202f]*\.\d+(?:[eE][-+]?\d+)?"), ".", "points"),
}
_BYTES_A_BLOCK = 1 << 24
_BYTES_A_ROW = 1 << 26  # at most
QUOTE, LINE_END = b'"', b"\n"
_DELIMITERS = ",;\t"
# Older versions of pandas err in the last digits by default.
_IS_EXACT = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
_EXACTLY = {} if _IS_EXACT else {"float_precision": "round_trip"}
# Text that pandas misreads as numbers: `"1"2` is 12, and `True` is 1.
_READ_OTHERWISE = (QUOTE, b"rue", b"RUE", b"alse", b"ALSE")
# A byte order mark, and empty lines.
_BEFORE_ROWS = re.compile(r"\ufeff?(?:[^\S\n]*\n)*")
_BEGINNINGS = {
    b"PK\x03\x04": "a zip archive, or an Excel workbook: export it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: export it as CSV",
    b"\x1f\x8b": "a gzip file: unpack it",
    b"PAR1": "a parquet file: its name should end with .parquet",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}


def number(cell, decimal="."):
    """Returns the number in a cell, be it infinite; None if there is none."""
    # Python alone takes 1_000 for a number. A point may separate thousands where a comma is
    # the decimal mark.
    if "_" in cell or (decimal != "." and "." in cell):
        return None
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return None


def spelling_advice(cells, decimal="."):
    """Returns what to do about numbers that are spelt otherwise; "" where none is.

    Args:
      cells: texts that are no numbers with the decimal mark `decimal`.
      decimal: "." or ",".
    """
    cells = [cell.strip() for cell in cells]
    otherwise, mark, name = _OTHERWISE[decimal]
    advice = []
    if any(map(otherwise.fullmatch, cells)):
        advice.append(f"--decimal={mark} reads decimal {name}")
    if any(map(_GROUPED.fullmatch, cells)):
        advice.append("separators of thousands have to be taken out of the file")
    return "; ".join(advice)


def cell_problems(rows, labels, num_columns, decimal="."):
    """Returns the problems of a table in words; empty if there are none.

    Args:
      rows: pairs of the line of the file where a row begins and its cells.
      labels: names of the columns that should hold numbers, by position.
      num_columns: cells of each row.
      decimal: decimal mark of the numbers.
    """
    found = (
        (f"{problem} in line {line}", cell)
        for line, row in rows
        for problem, cell in _problems_of_row(row, labels, num_columns, decimal)
    )
    shown = list(itertools.islice(found, _SHOWN))
    others = sum(1 for _ in found)
    problems = [problem for problem, _ in shown] + [f"and {others} more"] * (others > 0)
    advice = spelling_advice([cell for _, cell in shown], decimal)
    return "; ".join(problems) + (f" ({advice})" if advice else "")


def _problems_of_row(row, labels, num_columns, decimal):
    """Returns pairs of a problem in words and the cell that has it."""
    if len(row) != num_columns:
        return [(f"{len(row)} cells instead of {num_columns}", "")]
    found = []
    for position, label in labels.items():
        value, cell = number(row[position], decimal), row[position].strip()
        if value is None or not math.isfinite(value):
            what = repr(cell) if cell else "an empty cell"
            found.append((f"{what} in column {label!r}", row[position]))
    return found


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
        # Bytes and lines before the first row.
        self._start = start
        if not any(_is_number(cell, decimal) for cell in cells):
            # The name that pandas gives to an unnamed column.
            names = [cell or f"Unnamed: {i}" for i, cell in enumerate(cells)]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise DataError(
                    f"Expected distinct column names in {self._path}; got {twice} twice."
                )
            self.names = tuple(names)
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
        offset, line = (end, line) if end else (self._start[0], self._start[1] + 1)
        with self._reading(), self._path.open("rb") as file:
            while text := next_lines(file, offset):
                next_line = line + text.count(LINE_END)
                offset += len(text)
                decoded(text, self._encoding, self._path, line)
                if text.strip():
                    frame = self._frame(text, columns, line, as_text)
                    yield Block(frame, line, next_line, offset)
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

    def _frame(self, text, columns, line, as_text):
        """Returns the cells of a block, or refuses it with what is wrong where."""
        dtype, misread = (str, (QUOTE,)) if as_text else (np.float64, _READ_OTHERWISE)
        is_plain = not any(letters in text for letters in misread)
        if is_plain and has_rows_of(text, self.num_columns, self._delimiter):
            frame = self._parsed(text, columns, line, dtype)
            if frame is not None and (as_text or np.isfinite(frame.to_numpy()).all()):
                return frame
        # Slowly, where pandas refuses or misreads rows.
        labels = {} if as_text else {position: self.label(position) for position in columns}
        rows = list(self._rows(text, line))
        if found := cell_problems(rows, labels, self.num_columns, self._decimal):
            wanted = "finite numbers" if labels else "rows of one length"
            raise DataError(f"Expected {wanted} in {self._path}; got {found}.")
        cells = [[row[i] for i in columns] for _, row in rows]
        if not as_text:
            cells = [[number(cell, self._decimal) for cell in row] for row in cells]
        return pd.DataFrame(cells, [begin for begin, _ in rows], list(columns), dtype=dtype)

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

    def _rows(self, text, line):
        """Yields the line of the file where a row begins, and its cells; no empty rows.

        Raises:
          DataError: if a quote is not closed, or ends within a cell.
        """
        content = io.StringIO(text.decode(self._encoding), newline="")
        reader, begin = csv.reader(content, delimiter=self._delimiter, strict=True), line
        try:
            for row in reader:
                if len(row) > 1 or "".join(row).strip():
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


def refuse_other_files(text, path):
    """Raises `DataError` if a file's first bytes are those of something else."""
    for beginning, what in _BEGINNINGS.items():
        if text.startswith(beginning):
            raise DataError(f"Expected a table as text in {path}; got {what}.")


def decoded(text, encoding, path, line):
    """Returns bytes as text.

    Args:
      text: bytes of whole rows.
      encoding: of the text.
      path: of the file, for errors.
      line: of the file, with which they begin.

    Raises:
      DataError: if they are not in `encoding`, or one is NUL; names the first such line.
    """
    zero = text.find(b"\0")
    if zero >= 0:
        line += text.count(b"\n", 0, zero)
        raise DataError(
            f"Expected a table as text in {path}; got a NUL byte in line {line}."
        )
    try:
        return text.decode(encoding)
    except UnicodeDecodeError as error:
        line += text.count(b"\n", 0, error.start)
        raise DataError(
            f"Expected a table as text ({encoding}) in {path}; got the byte "
            f"0x{text[error.start]:02x} in line {line} (--encoding=latin-1 or another may "
            "be that of the file)."
        ) from error


def read_csv(path, **kwargs):
    """Returns the numbers of a text file.

    Args:
      path: of the file.
      **kwargs: arguments of `TextTable`.

    Returns:
      Array `[N, D]`, float64, finite, and D names of columns, or None without a header.

    Raises:
      DataError: as `TextTable`, or if there are no rows.
    """
    table = TextTable(path, **kwargs)
    blocks = table.blocks(range(table.num_columns))
    arrays = [block.frame.to_numpy() for block in blocks]
    if not arrays:
        raise DataError(f"Expected rows of numbers in {path}; got a header only.")
    return np.concatenate(arrays), table.names
