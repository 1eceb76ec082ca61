"""Command lines whose flags are the fields of a dataclass of settings."""

import dataclasses
import sys

from absl import flags

from experiments.data import DATASETS
from experiments.data import catalogue
from experiments.usage import UsageError

__all__ = ["exit_status", "read_settings"]


def exit_status(main, argv, *, name, refusals):
    """Runs `main(argv)` and returns its exit status.

    Wrong use is 2, what else a run refuses is 1; both say why in one line.

    Args:
      main: function of the command line.
      argv: the command line.
      name: of the program, in that line.
      refusals: exceptions that mean 1.
    """
    try:
        main(argv)
    except (flags.Error, UsageError) as error:
        return _complain(name, error, 2)
    except refusals as error:
        return _complain(name, error, 1)
    return 0


def read_settings(argv, settings_class, *, choices, description, lists_datasets=True):
    """Returns the settings of a command line; None if it asked for a text and has got it.

    Args:
      argv: the command line.
      settings_class: a `FlagSettings`.
      choices: names that a flag can have, by flag.
      description: what `--help` begins with.
      lists_datasets: whether there is `--list_datasets`.

    Raises:
      UsageError: if there is something else than flags.
      absl.flags.Error: if there is a flag, or a value, that there is not.
    """
    values = flags.FlagValues()
    _define_flags(values, settings_class, choices)
    if lists_datasets:
        text = "Print the data sets and their sizes."
        flags.DEFINE_boolean("list_datasets", False, text, flag_values=values)
    if rest := values(argv)[1:]:
        raise UsageError(f"Expected flags only; got {rest}.")
    if values.help:
        print(f"{description}\n\n{values.get_help()}")
    elif lists_datasets and values.list_datasets:
        print(catalogue(DATASETS))
    else:
        return settings_class(
            **{
                field.name: _parsed(field, values[field.name].value)
                for field in dataclasses.fields(settings_class)
            }
        )
    return None


def _complain(name, error, status):
    print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def _define_flags(values, settings_class, choices):
    flags.DEFINE_boolean("help", False, "Print this.", short_name="h", flag_values=values)
    define = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in dataclasses.fields(settings_class):
        name, default, text = field.name, field.default, field.metadata["help"]
        if name in choices:
            known = sorted(choices[name])
            flags.DEFINE_enum(name, default, known, text, flag_values=values)
        elif isinstance(default, tuple):
            flags.DEFINE_list(name, list(map(str, default)), text, flag_values=values)
        else:
            define[field.type](name, default, text, flag_values=values)


def _parsed(field, value):
    if field.type == tuple[int, ...]:
        return _to_widths(field.name, value)
    return tuple(value) if isinstance(field.default, tuple) else value


def _to_widths(name, texts):
    if not all(text.strip().isdecimal() for text in texts):
        raise UsageError(f"Expected `{name}` as in 100,100; got {','.join(texts)}.")
    return tuple(map(int, texts))
