"""One call that must be refused, and what its message must say."""

import ast
import itertools
import re

import numpy as np

__all__ = ["BadCall", "read_table"]


class BadCall:
    """A line of a table of bad calls.

    Args:
      call: function without arguments.
      *words: what the message must contain: the argument, what was expected, what came.
      keeps: functions that return objects whose `variables` the call must not change.
    """

    def __init__(self, call, *words, keeps=()):
        self.call = call
        self.words = words
        self._keeps = keeps

    def state(self):
        """The values of all variables that the call must leave as they are."""
        kept = [getattr(keep(), "variables", ()) for keep in self._keeps]
        return [np.array(variable) for variables in kept for variable in variables]


def read_table(path, names):
    """Reads lines such as `Affine("exp")  ->  `log_scale` | 'exp'`.

    On the left is a call, of which `<A B>(3)` makes two, `A(3)` and `B(3)`; on the right
    the words that its message must contain. Either side may have a line of its own. What
    the call is made of and `names` caches, such as `flow()`, it must not change.

    Args:
      path: a text file.
      names: dictionary of what the calls are made of.

    Returns:
      A dictionary of `BadCall`s by their source.
    """
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.M).replace("\n    ->", "  ->")
    table = {}
    for line in text.split("\n"):
        if line:
            calls, words = line.rsplit("  ->  ", maxsplit=1)
            for source in _each(calls):
                assert source not in table, source
                table[source] = _bad_call(source, words.split(" | "), names)
    return table


def _each(source):
    parts = re.split(r"<(.*?)>", source)
    choices = [p.split() if i % 2 else [p] for i, p in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*choices)]


def _bad_call(source, words, names):
    tree = ast.parse(source, mode="eval")
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    keeps = [names[n] for n in used if hasattr(names.get(n), "cache_info")]
    code = compile(tree, source, "eval")
    return BadCall(lambda: eval(code, names), *words, keeps=keeps)
