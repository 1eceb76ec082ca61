"""Settings of a program: a dataclass whose fields are its flags, with their bounds."""

import csv
import dataclasses
import io
import math
import numbers
import operator
import types
import typing
from typing import ClassVar

from experiments.runs.atomic_write import atomic_write

_BOUNDS = {
    "at_least": (operator.ge, "of at least"),
    "at_most": (operator.le, "of at most"),
    "above": (operator.gt, "above"),
    "below": (operator.lt, "below"),
}
_NUMBERS = {int: numbers.Integral, float: numbers.Real}
_WORDS = {
    bool: "True or False as",
    int: "an integer",
    float: "a number",
    str: "a string",
    tuple[int, ...]: "a tuple of integers",
    tuple[str, ...]: "a tuple of strings",
}


class CommandError(Exception):
    """Base of the errors that end a command with status 1 and one line that says why."""


class TrainingError(CommandError):
    """A failed training; the message says when it failed, and what to change."""


class UsageError(ValueError):
    """A command line, or settings, that are wrong whatever the data are."""


def field(default, text, *, one_of=None, **bounds):
    """Returns a field of a `FlagSettings`.

    Args:
      default: value without the flag.
      text: help of the flag.
      one_of: allowed names, of each entry if the field is a tuple; None: any.
      **bounds: numbers `at_least`, `at_most`, `above` or `below`. In a tuple they bound
        each entry, and the tuple must not be empty.
    """
    assert bounds.keys() <= _BOUNDS.keys()
    metadata = {"help": text, "one_of": one_of, "bounds": bounds}
    return dataclasses.field(default=default, metadata=metadata)


class FlagSettings:
    """Base of a frozen dataclass whose fields are made by `field`.

    Raises:
      UsageError: if a field holds a value of another type, or out of its bounds.

    Attributes:
      PROGRAM: name of the command that has these flags, as in `tfp-flows PROGRAM`.
      POSITIONAL: name of the tuple of arguments that are no flags; None: there are none.
      REQUIRED: names of fields that must not be empty.
      MAY_GROW: names of numbers that may be greater when a run is continued.
    """

    PROGRAM: ClassVar[str]
    POSITIONAL: ClassVar[str | None] = None
    REQUIRED: ClassVar[tuple[str, ...]] = ()
    MAY_GROW: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self):
        check_kinds(self, UsageError)
        for known in dataclasses.fields(self):
            if wanted := _unmet(known.metadata, getattr(self, known.name)):
                self.refuse(known.name, wanted)
        for name in self.REQUIRED:
            if not getattr(self, name):
                self.refuse(name, "to be given")

    def refuse(self, name, wanted):
        """Raises a `UsageError` that names the field, what is `wanted`, and its value."""
        raise UsageError(f"Expected `{name}` {wanted}; got {getattr(self, name)!r}.")

    def non_default(self, names=None):
        """Returns the fields, or those of `names`, whose value is not the default."""
        fields = self.__dataclass_fields__
        known = fields if names is None else fields.keys() & set(names)
        return [name for name in known if getattr(self, name) != fields[name].default]

    def write_flags(self, path):
        """Writes the settings so that `--flagfile=path` repeats the run."""
        atomic_write(path, "\n".join(self.flags()) + "\n")

    def flags(self, *, only_changed=False):
        """Returns `--name=value` for every field, or for those that are not the default."""
        defaults = self.defaults() if only_changed else {}
        found = self.by_name().items()
        return [f"--{name}={text}" for name, text in found if defaults.get(name) != text]

    def by_name(self):
        """Returns the values as text, by name."""
        return {f.name: as_text(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def changed(cls, name, default, text=None, *, one_of=None):
        """Returns the field `name` for a subclass, with another default, text or choice."""
        known = cls.__dataclass_fields__[name].metadata
        one_of = one_of or known["one_of"]
        return field(default, text or known["help"], one_of=one_of, **known["bounds"])

    @classmethod
    def defaults(cls):
        """Returns the values without any flag, as text, by name."""
        return {f.name: as_text(f.default) for f in dataclasses.fields(cls)}


def _unmet(metadata, value):
    """Returns in words the condition that a value breaks; empty if it breaks none."""
    if isinstance(value, (tuple, list)):
        unmet = next((u for entry in value if (u := _unmet(metadata, entry))), "")
        if metadata["bounds"] and (unmet or not value):
            return f"to hold widths of at least {metadata['bounds']['at_least']}"
        return unmet
    if isinstance(value, str):
        return _unmet_by_text(metadata["one_of"], value)
    if not math.isfinite(value):
        return "to be finite"
    if isinstance(value, int) and value >= 2**31:
        return "below 2**31"
    for name, bound in metadata["bounds"].items():
        holds, words = _BOUNDS[name]
        if not holds(value, bound):
            return f"{words} {bound}"
    return ""


def _unmet_by_text(one_of, text):
    if "\n" in text or "\r" in text:
        return "without a line break, which flags.txt cannot hold"
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "in UTF-8, the encoding of flags.txt"
    if one_of is not None and text not in one_of:
        return _among(one_of)
    return ""


def _among(names):
    return f"to be one of {sorted(names)}"


def expected(field):
    """Returns in words the values that a field may have, with its name."""
    name, metadata = field.name, field.metadata
    if (one_of := metadata["one_of"]) is not None:
        return f"`{name}` {_among(one_of)}"
    bounds = [f"{_BOUNDS[key][1]} {bound}" for key, bound in metadata["bounds"].items()]
    return " ".join([_WORDS[field.type], f"`{name}`", " and ".join(bounds)]).strip()


def as_text(value):
    """Returns the value of a flag as text."""
    if not isinstance(value, (tuple, list)):
        return str(value)
    # List flags are read as csv, so entries with a comma or a quote are quoted.
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(value)
    return text.getvalue().removesuffix("\n")


def check_kind(argument, value, kind):
    """Raises `ValueError` unless `value` is of the class `kind`."""
    if not isinstance(value, kind):
        raise ValueError(f"Expected `{argument}`, a {kind.__name__}; got {value!r}.")


def check_kinds(values, error=ValueError):
    """Raises `error` unless each field holds a value of its type; integers are numbers.

    Args:
      values: a dataclass of `bool`, `int`, `float`, `str`, `os.PathLike`, tuples of one of
        these, None, or unions of them.
      error: class of the exception.
    """
    for field in dataclasses.fields(values):
        value, kind = getattr(values, field.name), field.type
        kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else [kind]
        if not any(_has_kind(value, kind) for kind in kinds):
            raise error(f"Expected {_WORDS[kinds[0]]} `{field.name}`; got {value!r}.")


def _has_kind(value, kind):
    if typing.get_origin(kind) is tuple:
        entry, _ = typing.get_args(kind)
        return isinstance(value, (tuple, list)) and all(_has_kind(v, entry) for v in value)
    if kind in _NUMBERS:
        return isinstance(value, _NUMBERS[kind]) and not isinstance(value, bool)
    return isinstance(value, kind)
