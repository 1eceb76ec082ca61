"""Conversion of text cells to numbers, booleans, dates or texts."""

import numpy as np
import pandas as pd

# Spellings of a missing value.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "Null", "null", "None", "NaT", "?")
_WORD = "None"  # not missing in a column of texts
_BOOLEANS = {"true": True, "false": False}
_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"


def type_of(texts, decimal="."):
    """Returns the type of most cells of a series of texts, and the cells of other types.

    Returns:
      "number", "boolean", "date" or "text"; and the row numbers of the cells of other
      types, without missing cells. For "text" there are none.
    """
    texts, present = _stripped(texts)
    for name, has_type in _TYPES.items() if present.any() else ():
        fits = has_type(texts[present], decimal)
        if fits.mean() > 0.5:
            return name, np.flatnonzero(present)[~fits]
    return "text", np.array([], int)


def typed(texts, name, decimal="."):
    """Returns a series of texts as an array `[N]` of a type by `type_of`.

    Missing cells are None, NaN or NaT.

    Raises:
      ValueError: if a cell has another type; its argument is the number of the row.
    """
    texts, present = _stripped(texts)
    if name == "text":
        return texts.where(present | (texts == _WORD), None).to_numpy(dtype=object)
    wrong = np.flatnonzero(present)[~_TYPES[name](texts[present], decimal)]
    if len(wrong):
        raise ValueError(int(wrong[0]))
    if name == "date":
        dates = pd.to_datetime(texts.where(present), format="ISO8601", errors="coerce")
        return dates.to_numpy(dtype="datetime64[ns]")
    if name == "number":
        integers = _large_integers(texts[present])
        values = np.full(len(texts), np.nan, float if integers is None else object)
        values[present] = (
            _numbers(texts[present], decimal) if integers is None else integers
        )
        return values
    values = np.full(len(texts), None, object)
    values[present] = [_BOOLEANS[text.lower()] for text in texts[present]]
    return values.astype(bool) if present.all() else values


def are_codes(texts):
    """Whether texts have digits that numbers lose: zeros in front, or beyond 2^53."""
    texts, present = _stripped(texts)
    is_large = _large_integers(texts[present]) is not None
    return is_large or with_zeros_in_front(texts) is not None


def with_zeros_in_front(texts):
    """Returns the first text that is an integer with a zero in front; None without one."""
    texts, _ = _stripped(texts)
    return next(iter(texts[texts.str.fullmatch(r"0\d+").astype(bool)]), None)


def _stripped(texts):
    texts = texts.astype(object).str.strip()
    return texts, ~texts.isin(MISSING).to_numpy()


def _large_integers(texts):
    """Returns integers, `[N]`, if the greatest are from 2^53 to 2^64; None otherwise.

    Float64 would round them.
    """
    if not texts.str.fullmatch(r"[-+]?\d{1,20}").all():
        return None
    integers = texts.map(int).astype(object).to_numpy()
    is_large = len(integers) and 2**53 <= max(map(abs, integers)) < 2**64
    return integers if is_large else None


def _numbers(texts, decimal):
    plain = texts
    if decimal != ".":  # a point may separate thousands
        has_point = texts.str.contains(".", regex=False)
        plain = texts.str.replace(decimal, ".", regex=False).mask(has_point, "")
    return pd.to_numeric(plain, errors="coerce").astype(np.float64)


def _is_number(texts, decimal):
    # Pandas does not read 1_000 or hexadecimal numbers; "nan" is missing, "inf" is refused.
    return np.isfinite(_numbers(texts, decimal)).to_numpy()


def _is_boolean(texts, decimal):
    return texts.str.lower().isin(_BOOLEANS).to_numpy()


def _is_date(texts, decimal):
    is_date = texts.str.fullmatch(_DATE).to_numpy(dtype=bool)
    found = pd.to_datetime(texts.where(is_date), format="ISO8601", errors="coerce")
    # The range of dates in nanoseconds.
    return found.between(pd.Timestamp.min, pd.Timestamp.max).to_numpy()


_TYPES = {"number": _is_number, "boolean": _is_boolean, "date": _is_date}
