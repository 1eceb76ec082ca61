"""Scores rows of a table, or pictures, under a fitted model, in constant memory.

    tfp-flows score --model=RUN_DIR --csv=new.csv --out=scored.csv
    tfp-flows score --model=RUN_DIR --images=DIR_OR_NPZ --out=scored.csv

The file has a line for each row of the table: its log-likelihood in nats, and the names of
the columns with a number outside the range of the training rows. For each picture of a
folder or an array, it has the log-likelihood and bits per dimension. The same command
continues an interrupted file.

A model of `tfp-flows table` does not know the range of its training rows. It refuses
unknown categories and impossible contexts. With `--mark_unknown`, such rows get "nan" and
the names of the columns at fault.
"""

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from experiments.command_line import program
from experiments.command_line.flag_settings import UsageError, field
from experiments.data.images import dequantized, open_picture
from experiments.data.own_images import FITS, picture_array, picture_files
from experiments.fitted import command
from experiments.fitted.command import TableSettings, digest_of, state_of
from experiments.fitted.open_model import open_model
from experiments.fitted.resumable_file import ResumableFile
from experiments.fitted.row_tables import as_cells, as_text, bar
from experiments.runs import run_directory
from experiments.runs.run_directory import RunDirectoryError

_HEADER = "log_likelihood,outside\n"
_COUNTS = {"rows": 0, "total": 0.0, "outside": 0, "unknown": 0}
_PICTURES_A_CALL = 256


@dataclasses.dataclass(frozen=True)
class ScoreSettings(TableSettings):
    """The model, and the rows to score under it."""

    PROGRAM = "score"
    READ = ("csv",)

    csv: str = field("", "Table of rows, with the columns of the model by name.")
    images: str = field("", "Folder of pictures, or .npz file of an array of bytes.")
    image_fit: str = field(
        "refuse", "What to do with pictures of another size.", one_of=FITS
    )
    seed: int = field(0, "Seed of the dequantisation noise of pictures.", at_least=0)
    mark_unknown: bool = field(
        False, "Whether rows with unknown cells get nan, not an error."
    )

    def __post_init__(self):
        super().__post_init__()
        if bool(self.csv) == bool(self.images):
            raise UsageError(
                f"Expected one of `csv` and `images`; got {self.csv!r}, {self.images!r}."
            )


@dataclasses.dataclass(frozen=True)
class Scores:
    """A summary of the scores.

    Args:
      num_rows: number of rows.
      mean: mean log-likelihood, in nats, of the rows without unknown cells.
      num_outside: number of rows with a number outside the range of the training rows.
      ignored: names of columns of the table that the model does not know.
      num_unknown: number of rows with unknown cells, which have no log-likelihood.
    """

    num_rows: int
    mean: float
    num_outside: int = 0
    ignored: tuple[str, ...] = ()
    num_unknown: int = 0


def score(settings):
    """Writes the log-likelihoods of the rows of a table and returns `Scores`.

    Raises:
      RunDirectoryError: if the model is missing, or `settings.out` is taken.
      DataError: if the table is missing, or a row, column or picture does not fit the
        model.
    """
    model = open_model(settings.model)
    return (_from_table if settings.csv else _from_pictures)(model, settings)


def _from_table(model, settings):
    table = settings.open_table(settings.csv)
    names = (*model.modelled, *model.context)

    def process(rows, rows_before):
        del rows_before
        return _scored(model, rows, names, settings.mark_unknown)

    at = command.write_rows(settings, model, table, names, _HEADER, _COUNTS, process)
    known = {table.label(position) for position in model.positions(table, names)}
    ignored = tuple(name for name in table.names or () if name not in known)
    count = at["rows"] - at["unknown"]
    mean = at["total"] / count if count else float("nan")
    return Scores(at["rows"], mean, at["outside"], ignored, at["unknown"])


def _from_pictures(model, settings):
    pictures = PictureRows(settings.images, model.path.parent, settings.image_fit)
    show = bar(len(pictures.names), settings.progress)

    def position(count, total):
        scored = digest_of(pictures.states[:count])
        return {"rows": count, "total": total, "scored": scored}

    def pieces(at):
        if at != position(at["rows"], at["total"]):
            raise RunDirectoryError(
                f"{settings.out} was begun with pictures that have changed since. Give the "
                "same again, or choose another --out."
            )
        for names, rows in pictures.parts(at["rows"], settings.seed):
            nats = np.asarray(model.log_prob(rows))
            bits = pictures.bits_per_dimension(nats, rows)
            at = position(at["rows"] + len(rows), at["total"] + float(nats.sum()))
            yield as_text(zip(names, as_cells(nats), as_cells(bits), strict=True)), at
            show(at["rows"])

    start = ("picture,log_likelihood,bits_per_dimension\n", position(0, 0.0))
    origin = {**settings.origin(model.path), "pictures": digest_of(pictures.names)}
    at = ResumableFile(settings.out, origin).write(start, pieces)
    return Scores(at["rows"], at["total"] / at["rows"])


def _scored(model, rows, names, mark_unknown):
    """Returns the lines of a block of rows, and their counts."""
    nats, outside = model.score(rows, names, mark_unknown)
    is_unknown = np.isnan(nats) & mark_unknown
    flags = np.full(len(rows), "", object)
    for i in np.flatnonzero(outside.any(axis=1)):
        flags[i] = " ".join(names[j] for j in np.flatnonzero(outside[i]))
    found = {
        "rows": len(rows),
        "total": float(nats[~is_unknown].sum(dtype=np.float64)),
        "outside": int((outside.any(axis=1) & ~is_unknown).sum()),
        "unknown": int(is_unknown.sum()),
    }
    return as_text(zip(as_cells(nats), flags, strict=True)), found


@program.command(ScoreSettings, description=__doc__)
def cli(settings):
    """Scores, and prints a summary."""
    program.stop_at_once()
    scores = score(settings)
    lines = [f"{scores.num_rows:,} rows: {scores.mean:.4f} nats in the mean"]
    if scores.ignored:
        lines.append(f"columns that the model does not know: {list(scores.ignored)}")
    if scores.num_unknown:
        lines.append(
            f"{scores.num_unknown:,} rows have unknown cells, and nan; `outside` in "
            f"{settings.out} says in which columns"
        )
    if scores.num_outside:
        lines.append(
            f"{scores.num_outside:,} rows have a number outside the range of the training "
            f"rows; `outside` in {settings.out} says in which columns"
        )
    print("\n".join(lines))


class PictureRows:
    """Pictures of a folder, or of an `.npz` file, as rows for the flow of a run.

    Args:
      path: folder of pictures, also in subfolders, or `.npz` file of one array of bytes.
      run_dir: folder of a finished run on images of integers.
      fit: key of `FITS`, for pictures of another size.

    Raises:
      RunDirectoryError: if there is no such run.
      DataError: if there are no pictures.

    Attributes:
      names: names of the files, or numbers of the pictures in the array.
      states: text for each that differs after a change of its file.
      bins: number of values of a channel.
    """

    def __init__(self, path, run_dir, fit):
        results = run_directory.finished_results(run_dir) or {}
        bits = results.get("bits_per_dimension")
        if not bits or not results.get("image_shape") or results["context_size"]:
            raise RunDirectoryError(
                "Expected the folder of a finished, unconditional run on images; got "
                f"{run_dir}."
            )
        self.bins = round(bits["bins_per_unit"])
        self._num_bits = self.bins.bit_length() - 1
        if self.bins != 2**self._num_bits:
            raise RunDirectoryError(
                f"Expected a run on images of bytes for --images; got {self.bins} values "
                f"of a pixel in {run_dir}."
            )
        self._shape, self._fit = tuple(results["image_shape"]), fit
        self._mode = "L" if self._shape[2:] in ((), (1,)) else "RGB"
        path = pathlib.Path(path)
        self._root = path if path.is_dir() else None
        self._found = picture_files(path) if path.is_dir() else picture_array(path)
        self.names = [
            str(item.relative_to(path)) if self._root else str(i)
            for i, item in enumerate(self._found)
        ]
        files = self._found if self._root else [path] * len(self._found)
        self.states = [str(state_of(file)) for file in files]

    def parts(self, start, seed):
        """Yields (names, rows `[n, D]`), from picture `start` on.

        Args:
          start: number of a picture, from 0, a multiple of n.
          seed: integer that determines the dequantisation noise of each.
        """
        for first in range(start, len(self.names), _PICTURES_A_CALL):
            chosen = slice(first, first + _PICTURES_A_CALL)
            pixels = np.stack([self._pixels(item) for item in self._found[chosen]])
            rng = np.random.default_rng([seed, first])
            yield self.names[chosen], dequantized(pixels, self._num_bits, rng)

    def bits_per_dimension(self, nats, rows):
        """Returns bits per dimension, `[n]`, of rows `[n, D]` with densities `[n]`."""
        return np.log2(self.bins) - nats / (rows.shape[1] * np.log(2.0))

    def _pixels(self, item):
        image = open_picture(item, item) if self._root else Image.fromarray(item)
        size = self._shape[1], self._shape[0]
        if image.size != size:
            image = FITS[self._fit](image, size, item if self._root else "the array")
        return np.asarray(image.convert(self._mode)).reshape(self._shape)
