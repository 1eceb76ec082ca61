"""The one file format that holds whole models of this package."""

import os

__all__ = ["KerasFormat"]


class KerasFormat:
    """What `save` of a model refuses, before anything is written."""

    def save(self, filepath, *args, **kwargs):
        """Saves the model, as `keras.Model.save`, to a `.keras` file.

        Args:
          filepath: path that ends in `.keras`.
          *args: as of `keras.Model.save`.
          **kwargs: as of `keras.Model.save`.

        Raises:
          ValueError: if the path ends otherwise; a folder does, with `zipped=False`.
        """
        path = str(os.fspath(filepath))
        is_folder = kwargs.get("zipped") is False and not path.endswith((".h5", ".hdf5"))
        if not path.endswith(".keras") and not is_folder:
            raise ValueError(
                f"Expected `filepath` to end in `.keras`, which holds distributions too; "
                f"got {filepath!r}. `save_weights` writes `.weights.h5`, and `export` a "
                "SavedModel."
            )
        return super().save(filepath, *args, **kwargs)
