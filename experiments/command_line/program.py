"""Command lines whose flags are the fields of a dataclass of settings."""

import dataclasses
import sys

from absl import flags

from experiments.command_line.usage import UsageError
from experiments.data import DATASETS
from experiments.data import catalogue

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


def read_settings(
    argv, settings_class, *, choices, description, lists_datasets=True, positional=None
):
    """Returns the settings of a command line; None if it asked for a text and has got it.

    Args:
      argv: the command line.
      settings_class: a `FlagSettings`.
      choices: names that a flag can have, by flag; that of a tuple may be repeated.
      description: what `--help` begins with.
      lists_datasets: whether there is `--list_datasets`.
      positional: field, a tuple, of what is no flag; None: there must be nothing else.

    Raises:
      UsageError: if there is something else than flags.
      absl.flags.Error: if there is a flag, or a value, that there is not.
    """
    values = flags.FlagValues()
    fields = [f for f in dataclasses.fields(settings_class) if f.name != positional]
    _define_flags(values, fields, choices)
    if lists_datasets:
        text = "Print the data sets and their sizes."
        flags.DEFINE_boolean("list_datasets", False, text, flag_values=values)
    rest = values(argv)[1:]
    if rest and positional is None:
        raise UsageError(f"Expected flags only; got {rest}.")
    if values.help:
        print(f"{description}\n\n{values.get_help()}")
    elif lists_datasets and values.list_datasets:
        print(catalogue(DATASETS))
    else:
        given = {f.name: _parsed(f, values[f.name].value) for f in fields}
        return settings_class(**given | ({positional: tuple(rest)} if positional else {}))
    return None


def _complain(name, error, status):
    print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def _define_flags(values, fields, choices):
    flags.DEFINE_boolean("help", False, "Print this.", short_name="h", flag_values=values)
    define = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in fields:
        name, default, text = field.name, field.default, field.metadata["help"]
        if name in choices:
            known = sorted(choices[name])
            is_tuple = isinstance(default, tuple)
            define_enum = flags.DEFINE_multi_enum if is_tuple else flags.DEFINE_enum
            define_enum(name, default, known, text, flag_values=values)
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
