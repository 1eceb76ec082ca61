"""Checks that constructors and functions make of their own arguments.

Each check is a function of the argument's name and value. It raises a `ValueError` that
names the expected and the given value; some return the value in its usual type.
"""

import contextlib
import contextvars
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import tensorflow as tf

# Largest number of entries of an array; see `limited_sizes`.
_MOST_ENTRIES: contextvars.ContextVar = contextvars.ContextVar(
    "most_entries", default=math.inf
)


@contextlib.contextmanager
def limited_sizes(most_entries: float) -> Iterator[None]:
    """Makes all checks of sizes refuse arrays of more than `most_entries`.

    A hostile file may ask a constructor for a huge array. The constructor may build it
    before loading finds that the file holds no values for it.
    """
    token = _MOST_ENTRIES.set(most_entries)
    try:
        yield
    finally:
        _MOST_ENTRIES.reset(token)


def check_entries(name: str, *shape: int) -> None:
    """Refuses an array of `shape` with more entries than `limited_sizes` allows.

    Constructors call it before they build an array of two sizes, such as a matrix; the
    checks of single sizes and of shapes call it themselves.
    """
    most = _MOST_ENTRIES.get()
    if math.prod(shape) > most:
        raise ValueError(
            f"Expected `{name}` of a file with as many weights; got an array of shape "
            f"{list(shape)} in a file that allows {int(most):,} entries."
        )


def check_each(check: Callable[[str, Any], object], **arguments: Any) -> None:
    """Calls `check(name, value)` for each of `arguments`."""
    for name, value in arguments.items():
        check(name, value)


def check_integer(
    name: str, value: Any, minimum: int = 1, maximum: float = math.inf
) -> int:
    """Returns `value` as an `int` in a range; NumPy's integers are integers."""
    number = _as_integer(value)
    if number is None or not minimum <= number <= maximum:
        words = f"of at least {minimum}"
        if maximum < math.inf:
            words = f"from {minimum} to {maximum:,}"
        refuse(f"an integer `{name}` {words}", value)
    return number


def check_size(name: str, value: Any, minimum: int = 1, maximum: float = math.inf) -> int:
    """Returns the size of an array, as `check_integer`, unless `limited_sizes` forbids."""
    size = check_integer(name, value, minimum, maximum)
    check_entries(name, size)
    return size


def check_number(name: str, value: Any, words: str, allows: Callable[[Any], bool]) -> Any:
    """Returns `value`, a real number for which `allows(value)` holds.

    `words` describe such numbers in errors, for example "above 0".
    """
    is_number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
    if not is_number or not allows(value):
        refuse(f"a number `{name}` {words}", value)
    return value


def check_positive(name: str, value: Any) -> None:
    """Refuses a value that is not a finite number above 0."""
    check_number(name, value, "above 0", lambda number: 0.0 < number < math.inf)


def check_share(name: str, value: Any, *, may_be_zero: bool = False) -> None:
    """Refuses a value that is not a number between 0 and 1."""
    if not may_be_zero:
        check_number(name, value, "between 0 and 1", lambda share: 0.0 < share < 1.0)
    else:
        check_number(name, value, "from 0 to below 1", lambda share: 0.0 <= share < 1.0)


def check_minutes(name: str, value: Any) -> None:
    """Refuses a bound on wall time that is neither None nor above 0."""
    if value is not None:
        check_number(name, value, "above 0", lambda minutes: minutes > 0.0)


def check_array(name: str, value: Any, dtype: Any = None) -> np.ndarray:
    """Returns `value` as a NumPy array of `dtype`; None lets NumPy choose it."""
    try:
        return np.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        kind = "an array" if dtype is None else "numbers"
        raise ValueError(f"Expected {kind} `{name}`; got {_shown(value)}.") from error


def check_widths(name: str, value: Any) -> tuple[int, ...]:
    """Returns `value`, a positive integer or a sequence of them, as a tuple."""
    widths = positive_integers(value)
    if widths is None:
        value = value if _as_integer(value) is None else (value,)
        refuse(f"positive `{name}`", value, " Widths are integers, such as (64, 64).")
    for width in widths:
        check_entries(name, width)
    return widths


def check_event_shape(name: str, value: Any) -> tuple[int, ...]:
    """Returns `value`, a positive integer or a shape of them, as a tuple."""
    shape = positive_integers(value)
    if not shape:
        refuse(f"`{name}` of one or more positive integers", value)
    check_entries(name, *shape)
    return shape


def check_image_shape(
    image_shape: Sequence[int], *, divisible_by: int = 1
) -> tuple[int, int, int]:
    """Returns `(H, W, C)` as integers; H and W must be divisible by `divisible_by`."""
    shape = positive_integers(image_shape)
    if shape is None or len(shape) != 3:
        refuse("`image_shape` of positive (H, W, C)", image_shape)
    check_entries("image_shape", *shape)
    height, width, channels = shape
    if height % divisible_by or width % divisible_by:
        refuse(f"`image_shape` with H and W divisible by {divisible_by}", shape)
    return height, width, channels


def check_flag(name: str, value: Any) -> None:
    """Refuses values other than True and False, which Python would take as true."""
    if not _is_boolean(value) and _as_integer(value) not in (0, 1):
        refuse(f"`{name}` of True or False", value)


def check_choice(name: str, value: Any, choices: Sequence[str | bool]) -> None:
    """Refuses a value that is none of `choices`."""
    if not isinstance(value, (str, bool)) or value not in choices:
        *others, last = map(repr, choices)
        refuse(f"`{name}` of {', '.join(others)} or {last}", value)


def check_seed(name: str, value: Any) -> None:
    """Refuses values other than None and integers of at least 0."""
    number = _as_integer(value)
    if value is not None and (number is None or number < 0):
        refuse(f"`{name}` of None or an integer of at least 0", value)


def check_dtype(name: str, value: Any) -> tf.DType:
    """Returns `value` as a `tf.DType`, float32 or float64."""
    try:
        dtype = tf.as_dtype(value)
    except TypeError:
        dtype = None
    if dtype not in (tf.float32, tf.float64):
        refuse(f"`{name}` float32 or float64", value)
    return dtype


def check_network_dtype(name: str, value: Any, dtype: Any) -> str:
    """Returns the dtype policy of networks in a flow of `dtype`; None means `dtype`.

    Weights have the flow's dtype. float16 would overflow at 65,504, so "mixed_bfloat16" is
    the only mixed policy.
    """
    flow_dtype = check_dtype("dtype", dtype).name
    allowed = [flow_dtype]
    if flow_dtype == "float32":
        allowed.append("mixed_bfloat16")
    if value is not None and not (isinstance(value, str) and value in allowed):
        words = " or ".join(["None", *map(repr, allowed)])
        refuse(f"`{name}`, {words} in a flow of {flow_dtype}", value)
    return value or flow_dtype


def check_name(name: str, value: Any) -> None:
    """Refuses values other than None and strings."""
    if value is not None and not isinstance(value, str):
        refuse(f"a string `{name}`", value)


def check_callable(name: str, value: Any, words: str) -> None:
    """Refuses a value that is not callable; `words` describe the function expected."""
    if not callable(value) or isinstance(value, type):
        refuse(f"`{name}`, {words}", value)


def check_instance(
    name: str, value: Any, kinds: type | tuple, words: str, hint: str = ""
) -> None:
    """Refuses a value that is not an instance of `kinds`.

    `words` describe one with its article, such as "a `Bijector`"; `hint` is a sentence of
    advice, with a space before it.
    """
    if not isinstance(value, kinds):
        refuse(f"`{name}`, {words}", value, hint)


def check_members(name: str, value: Any, members: Sequence[str], words: str) -> None:
    """Refuses classes, and objects that lack one of `members`; see `check_instance`."""
    if isinstance(value, type) or not all(hasattr(value, m) for m in members):
        refuse(f"`{name}`, {words}", value)


def check_unmasked(name: str, value: Any) -> None:
    """Refuses an array with masked entries: conversions take the numbers under the mask."""
    require(not np.ma.is_masked(value), f"`{name}` without masked entries", "some")


def check_column_names(argument: str, table: Any, expected: Sequence[str]) -> None:
    """Refuses a data frame whose columns are not `expected`, in order; () allows any.

    A series of pandas is a row of a frame if its cells have texts for names.
    """
    labels = getattr(table, "columns", expected)
    if hasattr(table, "iloc") and table.ndim == 1:
        are_texts = all(isinstance(name, str) for name in table.keys())
        labels = table.keys() if are_texts else expected
    names = [str(name) for name in labels]
    fits = names == list(expected) or not expected
    require(fits, f"`{argument}` of the columns {expected}, in this order", names)


def require(holds: Any, expected: str, got: Any, hint: str = "") -> None:
    """Raises `ValueError`, "Expected ...; got ...", unless `holds` is true.

    `hint` is a sentence of advice, with a space before it.
    """
    if not holds:
        raise ValueError(f"Expected {expected}; got {got}.{hint}")


def refuse(expected: str, value: Any, hint: str = "") -> NoReturn:
    """Raises the `ValueError` of `require`, with a short text of `value`."""
    raise ValueError(f"Expected {expected}; got {_shown(value)}.{hint}")


def _shown(value):
    if isinstance(value, type):
        return f"the class {value.__name__}; call it: {value.__name__}(...)"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _as_integer(value):
    """Returns `value` as an `int`; None for booleans and whatever is no integer.

    An array without axes counts as a number.
    """
    try:
        return None if _is_boolean(value) else operator.index(value)
    except TypeError:
        return None


def _is_boolean(value):
    return isinstance(value, bool) or getattr(value, "dtype", None) in (np.bool_, tf.bool)


def positive_integers(value: Any) -> tuple[int, ...] | None:
    """Returns `value`, a positive integer or a sequence of them, as a tuple; else None."""
    if _as_integer(value) is not None:
        value = [value]
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        return None
    integers = [_as_integer(v) for v in value]
    positive = tuple(i for i in integers if i is not None and i > 0)
    return positive if len(positive) == len(integers) else None
