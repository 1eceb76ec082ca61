"""What the settings of every experiment share: fields that are flags too."""

import dataclasses

from experiments.atomic_write import atomic_write

__all__ = ["RunSettings", "setting"]


def setting(default, text):
    """Returns a dataclass field with a default, whose flag's help is `text`."""
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """One run; each field of a subclass is also the flag of that name."""

    @property
    def program(self):
        """The shell command of the experiment, without its flags."""
        raise NotImplementedError

    def write_flags(self, path):
        """Writes the settings so that `--flagfile=path` repeats the run."""
        atomic_write(path, "\n".join(self.flags()) + "\n")

    def flags(self, *, only_changed=False):
        """Returns `--name=value` for every field, or for those that are not the default."""
        return [
            f"--{field.name}={_as_text(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if not only_changed or getattr(self, field.name) != field.default
        ]


def _as_text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
