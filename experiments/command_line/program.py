"""Command lines whose flags are the fields of a dataclass of settings."""

import contextlib
import dataclasses
import functools
import os
import pathlib
import shlex
import signal
import sys
import warnings

from absl import flags

from experiments.command_line.flag_settings import CommandError, UsageError, expected
from experiments.data import DATASETS, catalogue

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def command(settings_class, description):
    """Decorates a function of settings, which then takes a command line.

    It returns the exit status: 2 for wrong use, and 1 after a `CommandError` or an
    `OSError`, both with one line that says why. If the reader of the output has ended, as
    `head` does, it is 141, without a line. After `--help` and `--list_datasets` the
    function is not called.

    Args:
      settings_class: a `FlagSettings`.
      description: the first text of `--help`.
    """

    def decorate(main):
        @functools.wraps(main)
        def cli(argv):
            name = settings_class.PROGRAM
            try:
                settings = read_settings(argv, settings_class, description)
                if settings is not None:
                    with _warnings_in_one_line(name):
                        main(settings)
                sys.stdout.flush()
            except BrokenPipeError:
                return _end_without_reader()
            except (flags.Error, UsageError) as error:
                return _print_error(name, error, 2)
            except (CommandError, OSError) as error:
                return _print_error(name, error, 1)
            return 0

        return cli

    return decorate


def read_settings(argv, settings_class, description=""):
    """Returns the settings of a command line; None after `--help` or `--list_datasets`.

    Args:
      argv: the command line.
      settings_class: a `FlagSettings`; one with a `dataset` also has `--list_datasets`.
      description: the first text of `--help`.

    Raises:
      UsageError: if an argument is no flag, a flag is unknown or cannot have its value, or
        the settings refuse it.
      absl.flags.Error: if a flag has no value.
    """
    values, positional = flags.FlagValues(), settings_class.POSITIONAL
    fields = [f for f in dataclasses.fields(settings_class) if f.name != positional]
    flags.DEFINE_boolean("help", False, "Print this.", short_name="h", flag_values=values)
    text = "Print the data sets and their sizes."
    if lists_datasets := any(f.name == "dataset" for f in fields):
        flags.DEFINE_boolean("list_datasets", False, text, flag_values=values)
    for field in fields:
        _define_flag(values, field)
    try:
        rest = values(argv)[1:]
    except flags.IllegalFlagValueError as error:
        raise UsageError(_refused_value(error, fields)) from error
    except flags.UnrecognizedFlagError as error:
        raise UsageError(_unknown_flag(error, argv, settings_class.PROGRAM)) from error
    except (UnicodeDecodeError, flags.CantOpenFlagFileError) as error:
        reason = str(error).removeprefix("ERROR:: Unable to open flagfile: ")
        raise UsageError(f"Expected a --flagfile of text; got {reason}.") from error
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


def stop_at_once(message=lambda: "Stopped. The same command goes on from there."):
    """Makes Ctrl-C and SIGTERM end this process, with status 130 or 143.

    Args:
      message: function without arguments that returns the text to print then.
    """

    def stop(number, frame):
        # TensorFlow may swallow an exception. A run survives `kill -9`, so it needs no
        # clean-up either.
        os.write(sys.stderr.fileno(), f"\n{message()}\n".encode())
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def how_to_go_on(settings):
    """Returns one line that says how to continue the run of `settings`."""
    if getattr(settings, "strategy", None) == "multi_worker":
        return (
            "Stopped. To go on from the last finished epoch, start each worker again as "
            "before, once all have ended."
        )
    flags = pathlib.Path(settings.run_dir, "flags.txt")
    if not flags.is_file():
        return "Stopped before the run had begun; nothing was written."
    how = getattr(settings, "how_to_go_on", "go on from the last finished epoch")
    return (
        f"Stopped. To {how}: "
        f"tfp-flows {settings.PROGRAM} --flagfile={shlex.quote(str(flags))}"
    )


def _print_error(name, error, status):
    print(_line(name, error), file=sys.stderr)
    return status


def _end_without_reader():
    """Drops what is left to print; returns the status of a program that SIGPIPE ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 128 + signal.SIGPIPE


def _line(name, message):
    return f"{name}: {' '.join(str(message).split())}"


@contextlib.contextmanager
def _warnings_in_one_line(name):
    """Prints each warning as one line, without the source line that Python adds."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{_line(name, message)}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before


def _define_flag(values, field):
    is_tuple, bounds, arguments = isinstance(field.default, tuple), {}, ()
    default = list(map(str, field.default)) if is_tuple else field.default
    if (known := field.metadata["one_of"]) is not None:
        define = flags.DEFINE_multi_enum if is_tuple else flags.DEFINE_enum
        arguments = (sorted(known),)
    elif is_tuple:
        define = flags.DEFINE_list
    else:
        define = _DEFINE[field.type]
    if field.type in (int, float):
        names = {"at_least": "lower_bound", "at_most": "upper_bound"}
        known = field.metadata["bounds"]
        bounds = {names[key]: known[key] for key in names.keys() & known.keys()}
    text = field.metadata["help"]
    define(field.name, default, *arguments, text, flag_values=values, **bounds)


def _refused_value(error, fields):
    """Returns absl's message, `flag --name=value: reason`, in the words of the field."""
    name, _, given = str(error).removeprefix("flag --").partition("=")
    given = given.removesuffix(f": {error.__context__}")
    known = {f.name: expected(f) for f in fields}
    return f"Expected {known.get(name, f'True or False as `{name}`')}; got {given!r}."


def _unknown_flag(error, argv, program):
    """Returns absl's message, or another one if the flag comes from a flagfile."""
    files = [text.partition("=")[2] for text in argv if text.startswith("--flagfile=")]
    own = {text.lstrip("-").partition("=")[0] for text in argv[1:]}
    if not files or error.flagname in own:
        return str(error)
    return (
        f"Expected flags of `tfp-flows {program}` in --flagfile={','.join(files)}; got the "
        f"unknown {error.flagname!r}. Is it the file of another command?"
    )


def _parsed(field, value):
    if field.type != tuple[int, ...]:
        return tuple(value) if isinstance(field.default, tuple) else value
    if not all(text.strip().isdecimal() for text in value):
        raise UsageError(f"Expected `{field.name}` as in 100,100; got {','.join(value)}.")
    return tuple(map(int, value))
