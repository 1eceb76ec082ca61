"""The pictures of a run: captions, and functions that draw."""

import pathlib

__all__ = ["draw"]


def draw(pictures, run_dir):
    """Draws the pictures of a run and returns their captions by file name.

    Args:
      pictures: (caption, function of the path) by file name.
      run_dir: path of the folder.
    """
    for name, (_, draw_to) in pictures.items():
        draw_to(path=pathlib.Path(run_dir) / name)
    return {name: caption for name, (caption, _) in pictures.items()}
