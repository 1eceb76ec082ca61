"""What the arguments of its constructor describe."""

import inspect

__all__ = ["Configured"]


class Configured:
    """An object whose `parameters`, its constructor's arguments, are its configuration.

    Mixed into bijectors and distributions, which keep `parameters`.
    """

    def get_config(self):
        """Returns the constructor's arguments."""
        return dict(self.parameters)

    @classmethod
    def from_config(cls, config):
        """Builds the object that `config` describes."""
        if "standardize_context" in inspect.signature(cls).parameters:
            # Files from before contexts were standardised do not say so.
            config = {"standardize_context": False, **config}
        return cls(**config)
