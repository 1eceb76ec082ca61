"""Bytes of a file as text, or why they are none, and in which line."""

from experiments.data.data_error import DataError

__all__ = ["decoded", "refuse_other_files"]

_BEGINNINGS = {
    b"PK\x03\x04": "a zip archive, or an Excel workbook: export it as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: export it as CSV",
    b"\x1f\x8b": "a gzip file: unpack it",
    b"PAR1": "a parquet file: its name should end with .parquet",
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
}


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
