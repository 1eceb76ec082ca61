"""One call that must be refused, and what its message must say."""

import numpy as np


class BadCall:
    """A line of a table of bad calls.

    Args:
      call: function without arguments.
      *words: what the message must contain: the argument, what was expected, what came.
      keeps: function that returns an object whose `variables` the call must not change.
    """

    def __init__(self, call, *words, keeps=None):
        self.call = call
        self.words = words
        self._keeps = keeps

    def state(self):
        """The values of all variables that the call must leave as they are."""
        if self._keeps is None:
            return []
        return [np.array(variable) for variable in self._keeps().variables]
