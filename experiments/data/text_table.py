"""Text tables of any length, read block by block in constant memory."""

import csv
import dataclasses
import io
import itertools
import math
import pathlib
import re
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd

from experiments.data.files import DataError, reading

_SHOWN = 5  # maximum number of problems in a message
_GROUPED = re.compile(r"[-+]?\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?:[.,]\d+)?")
# Decimal mark -> pattern of numbers with the other mark, the other mark, and its name.
_OTHER_MARKS = {
    ".": (re.compile(r"[-+]?[\d.'’ \u00a0\u202f]*,\d+(?:[eE][-+]?\d+)?"), ",", "commas"),
    ",": (re.compile(r"[-+]?[\d,'’ \u00a0\u202f]*\.\d+(?:[eE][-+]?\d+)?"), ".", "points"),
}
_BYTES_A_BLOCK = 1 << 24
_BYTES_A_ROW = 1 << 26  # largest size of a row
QUOTE, LINE_END = b'"', b"\n"
_DELIMITERS = ",;\t|"
# Older versions of pandas round the last digits wrongly by default.
_IS_EXACT = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
_EXACTLY = {} if _IS_EXACT else {"float_precision": "round_trip"}
# Text that pandas misreads as numbers: `"1"2` is 12, and `True` is 1.
_MISREAD = (QUOTE, b"rue", b"RUE", b"alse", b"ALSE")
# A byte order mark, Excel's line of the delimiter, and empty lines.
_BEFORE_ROWS = re.compile(r"\ufeff?(?:sep=.\r?\n)?(?:[^\S\n]*\n)*")
_BEGINNINGS = {
    b"PK\x03\x04": "a zip archive, or an Excel workbook: export it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: export it as CSV",
    b"\x1f\x8b": "a gzip file: unpack it",
    b"\xfd7zXZ\x00": "an xz file: unpack it",
    b"BZh": "a bzip2 file: unpack it",
    b"\x28\xb5\x2f\xfd": "a zstd file: unpack it",
    b"\x93NUMPY": "an array of NumPy (`tfp-flows density --dataset=npz` reads it)",
    b"PAR1": "a parquet file: export it as CSV (`tfp-flows table` reads files *.parquet)",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}


def number(cell, decimal="."):
    """Returns the number in a cell, possibly infinite; None if it holds no number."""
    # Python would read 1_000. With a decimal comma, a point may separate thousands.
    if "_" in cell or (decimal != "." and "." in cell):
        return None
    try:
        return float(cell.replace(decimal, "."))
    except ValueError:
        return None


def spelling_advice(cells, decimal="."):
    """Returns advice on the `cells` that are numbers in another notation; may be empty.

    No cell is a number with the decimal mark `decimal`.
    """
    cells = [cell.strip() for cell in cells]
    pattern, mark, name = _OTHER_MARKS[decimal]
    advice = []
    if any(map(pattern.fullmatch, cells)):
        advice.append(f"--decimal={mark} reads decimal {name}")
    if any(map(_GROUPED.fullmatch, cells)):
        advice.append("remove separators of thousands from the file")
    return "; ".join(advice)


def cell_problems(rows, labels, num_columns, decimal="."):
    """Returns the problems of a table in words; empty if there are none.

    Args:
      rows: pairs (first line of a row in the file, its cells).
      labels: names of the columns of numbers, by position.
      num_columns: number of cells of each row.
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
    """Returns pairs (problem in words, cell)."""
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
    """Returns whole rows from `offset` on, of one block, or more for a long first row.

    The end of a block depends on `offset` only.
    """
    file.seek(offset)
    text = b""
    while read := file.read(_BYTES_A_BLOCK):
        text += read
        # The last line of the file may lack its end.
        if len(read) < _BYTES_A_BLOCK:
            return text
        if end := _end_of_rows(text):
            return text[:end]
        if len(text) > _BYTES_A_ROW:
            raise csv.Error(
                f"more than {_BYTES_A_ROW:,} bytes without the end of a row; a quote may "
                "not be closed"
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


def has_full_rows(text, num_columns, delimiter):
    """Whether each line of a text without quotes has `num_columns` cells, or is empty.

    Pandas does not check this: it fills short rows and, if it reads only some columns, cuts
    long rows.
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
    """Consecutive rows of a table.

    Args:
      frame: data frame of the requested columns, by position: finite numbers, float64, or
        texts. Its index is the first line of each row in the file, from 1.
      line: first line of the block.
      next_line: line after the block.
      end: position after the block, in bytes.
    """

    frame: pd.DataFrame
    line: int
    next_line: int
    end: int


class TextTable:
    """A text table with cells separated by commas, semicolons, tabs or vertical bars.

    The first row is a header if none of its cells is a number. Empty lines are skipped.

    Args:
      path: path of the file.
      decimal: decimal mark, "." or ",".
      encoding: text encoding, an extension of ASCII.
      hint: advice for cells that are no numbers: a sentence with a space before it.

    Attributes:
      names: names of the columns, or None without a header.
      num_columns: number of columns.
      size: size of the file in bytes.
    """

    def __init__(self, path, *, decimal=".", encoding="utf-8", hint=""):
        self._path = pathlib.Path(path)
        self._decimal, self._encoding, self._hint = decimal, encoding, hint
        with self._reading(), self._path.open("rb") as file:
            self.size = self._path.stat().st_size
            start, first, second = self._first_lines(file)
        cells = [cell.strip() for cell in _cells(first, self._delimiter)]
        self._look_for_numbered_columns(cells, second)
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
          columns: positions of the columns to read, from 0.
          as_text: whether to return cells as texts, not as numbers.
          end: `end` of the last block that was read; 0: start at the first row.
          line: `next_line` of that block.
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
        """Returns the name of a column or, without a header, its position as text."""
        return self.names[position] if self.names else str(position)

    def _look_for_numbered_columns(self, cells, second):
        """Warns of a first row 0, 1, 2, ..., with which pandas names columns without names.

        After an empty cell, above the index of the rows, it is refused.
        """
        is_indexed = cells[0] == ""
        if not cells[is_indexed:] or cells[is_indexed:] != [
            str(i) for i in range(len(cells) - is_indexed)
        ]:
            return
        what = f"{', '.join(cells[is_indexed:])} in the first row"
        if is_indexed:
            raise DataError(
                f"Expected names of columns, or a row of numbers, in {self._path}; got an "
                f"empty cell and {what}: write the file without them, in pandas by "
                "to_csv(header=False, index=False)."
            )
        if not all(cell.strip().isdecimal() for cell in _cells(second, self._delimiter)):
            warnings.warn(
                f"{what} of {self._path}, which look like names that pandas gives to "
                "columns, are read as a row; to_csv(header=False) leaves them out",
                stacklevel=4,
            )

    def _first_lines(self, file):
        """Returns (bytes, lines) before the first row, this row and the next as texts.

        Quoted cells of a header may hold line ends.
        """
        start = next_lines(file, 0)
        refuse_other_files(start, self._path)
        text = decoded(start, self._encoding, self._path, 1)
        before = _BEFORE_ROWS.match(text).group()
        first = text[len(before) :]
        if not first.strip():
            raise DataError(f"Expected rows of numbers in {self._path}; got an empty file.")
        lines = io.StringIO(first, newline="")
        self._delimiter = _delimiter(first, self._decimal)
        next(csv.reader(lines, delimiter=self._delimiter))
        first = first[: lines.tell()]
        start = len(before.encode(self._encoding)), before.count("\n")
        return start, first, lines.readline()

    def _frame(self, text, columns, line, as_text):
        """Returns the cells of a block, or raises `DataError` with their problems."""
        dtype, misread = (str, (QUOTE,)) if as_text else (np.float64, _MISREAD)
        is_plain = not any(letters in text for letters in misread)
        if is_plain and has_full_rows(text, self.num_columns, self._delimiter):
            frame = self._parsed(text, columns, line, dtype)
            if frame is not None and (as_text or np.isfinite(frame.to_numpy()).all()):
                return frame
        # The slow way, for rows that pandas refuses or may misread.
        labels = {} if as_text else {position: self.label(position) for position in columns}
        rows = list(self._rows(text, line))
        if found := cell_problems(rows, labels, self.num_columns, self._decimal):
            wanted = "finite numbers" if labels else "rows of one length"
            raise DataError(f"Expected {wanted} in {self._path}; got {found}.{self._hint}")
        cells = [[row[i] for i in columns] for _, row in rows]
        if not as_text:
            cells = [[number(cell, self._decimal) for cell in row] for row in cells]
        return pd.DataFrame(cells, [begin for begin, _ in rows], list(columns), dtype=dtype)

    def _parsed(self, text, columns, line, dtype):
        """Returns a block without quotes by pandas, or None if pandas refuses it."""
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
        """Yields the first line of each row and its cells; skips empty rows."""
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


def _delimiter(text, decimal):
    """Returns the delimiter that makes all cells of the first row of a text numbers.

    If there is none, it is the delimiter with the most cells. A comma that is the decimal
    mark too is a delimiter only if there is no other one and the text has quotes, as in
    `"1,5","2,5"`.
    """
    for delimiter in _DELIMITERS.replace(",", ""):  # a comma may be a decimal mark
        cells = _cells(text, delimiter)
        if len(cells) > 1 and all(_is_number(cell, decimal) for cell in cells):
            return delimiter
    delimiters = _DELIMITERS if decimal == "." else _DELIMITERS.replace(",", "")
    best = max(delimiters, key=lambda d: len(_cells(text, d)))
    is_quoted = len(_cells(text, best)) == 1 and QUOTE.decode() in text
    return decimal if is_quoted and decimal == "," else best


def _is_number(cell, decimal):
    """Whether a cell is a number, also with another decimal mark."""
    value = number(cell, decimal)
    is_finite = value is not None and math.isfinite(value)  # no name such as "inf"
    return is_finite or bool(spelling_advice([cell], decimal))


def _cells(line, delimiter):
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def refuse_other_files(text, path):
    """Raises `DataError` if a file begins as files of another format do."""
    for beginning, what in _BEGINNINGS.items():
        if text.startswith(beginning):
            raise DataError(f"Expected a table as text in {path}; got {what}.")


def decoded(text, encoding, path, line):
    """Returns bytes of whole rows, from `line` of a file on, as text."""
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
            f"0x{text[error.start]:02x} in line {line} (try another --encoding, such as "
            "latin-1)."
        ) from error


def read_csv(path, **kwargs):
    """Returns the numbers of a text file, read by a `TextTable` of these arguments.

    Returns:
      Array `[N, D]`, float64, finite, and D names of columns, or None without a header.
    """
    table = TextTable(path, **kwargs)
    blocks = table.blocks(range(table.num_columns))
    arrays = [block.frame.to_numpy() for block in blocks]
    if not arrays:
        raise DataError(f"Expected rows of numbers in {path}; got a header only.")
    return np.concatenate(arrays), table.names
