"""Regressions of posteriordb, unstandardised, with the reference draws of their files."""

import dataclasses
import functools
import pathlib
import zipfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.command_line.flag_settings import UsageError
from experiments.posterior_inference.targets import TARGETS
from experiments.posterior_inference.targets import Target

__all__ = ["REGRESSIONS", "Regression", "find"]

tfd = tfp.distributions


def _wide_normal():
    """As good as a flat prior: the posteriors differ by less than Monte Carlo error."""
    return tfd.Normal(0.0, 1e4)


def _wide_half_normal():
    return tfd.HalfNormal(1e3)


@dataclasses.dataclass(frozen=True)
class Regression:
    """A linear model with normal errors whose data are in a file.

    Args:
      file: name of the file, without `.npz`.
      design: function of the data, a dictionary of arrays, that returns `[N, K]`.
      response: function of the data that returns `[N]`.
      slope: function without arguments that returns the prior of each coefficient.
      intercept: the same for an intercept; None where a column of the design is one.
      deviation: the same for the standard deviation of the errors.
    """

    file: str
    design: Callable
    response: Callable
    slope: Callable = _wide_normal
    intercept: Callable | None = None
    deviation: Callable = _wide_half_normal

    def load(self, data_dir):
        """Returns the `Target`, whose reference are the file's draws.

        Args:
          data_dir: folder with the file.

        Raises:
          UsageError: if the file is not there, or does not hold what it should.
        """
        path = pathlib.Path(data_dir) / f"{self.file}.npz"
        if not data_dir or not path.is_file():
            raise UsageError(
                f"Expected `data_dir` to be a folder with {path.name}, the data and "
                f"reference draws of posteriordb; got {data_dir!r}."
            )
        try:
            data = _read(path)
            design, response = self.design(data), self.response(data)
            draws = data["draws"]
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise UsageError(
                f"Expected {path} to hold data and reference draws of posteriordb; got "
                f"{type(error).__name__}: {error}."
            ) from error
        return Target(
            functools.partial(self._model, tf.constant(design, tf.float32)),
            {"response": response.astype(np.float32)},
            reference=draws,
        )

    def _model(self, design):
        def model():
            mean = tf.linalg.matvec(
                design, (yield tfd.Sample(self.slope(), design.shape[1], name="slope"))
            )
            if self.intercept is not None:
                mean += yield _named(self.intercept(), "intercept")
            deviation = yield _named(self.deviation(), "deviation")
            yield tfd.Independent(tfd.Normal(mean, deviation), 1, name="response")

        return tfd.JointDistributionCoroutineAutoBatched(model)


def find(name, data_dir):
    """Returns the `Target` of a name.

    Raises:
      UsageError: if its data are not in `data_dir`.
    """
    entry = (TARGETS | REGRESSIONS)[name]
    return entry.load(data_dir) if isinstance(entry, Regression) else entry


def _read(path):
    with np.load(path, allow_pickle=False) as file:
        names = [name for name in file.files if name != "parameter_names"]
        return {n.removeprefix("data_"): file[n].astype(np.float64) for n in names}


def _named(distribution, name):
    return distribution.copy(name=name)


def _columns(*columns):
    """A design with a leading column of ones."""
    return np.stack([np.ones_like(columns[0]), *columns], axis=1)


def _kidscore(data):
    return _columns(data["mom_hs"], data["mom_iq"])


def _logearn(data):
    height, male = data["height"], data["male"]
    return _columns(height, male, height * male)


def _logmesquite(data):
    first, second = data["diam1"], data["diam2"]
    return _columns(
        np.log(first * second * data["canopy_height"]),
        np.log(first * second),
        np.log(first / second),
        np.log(data["total_height"]),
        data["group"],
    )


def _nes(data):
    ages = [(data["age_discrete"] == age).astype(np.float64) for age in (2, 3, 4)]
    others = [data[name] for name in ("educ1", "gender", "income")]
    return _columns(data["real_ideo"], data["race_adj"], *ages, *others)


def _diamonds(data):
    x = data["X"][:, 1:]
    return x - x.mean(axis=0)


REGRESSIONS = {
    "kidscore_momhsiq": Regression(
        "kidiq-kidscore_momhsiq",
        _kidscore,
        lambda data: data["kid_score"],
        deviation=lambda: tfd.HalfCauchy(0.0, 2.5),
    ),
    "logearn_interaction": Regression(
        "earnings-logearn_interaction", _logearn, lambda data: np.log(data["earn"])
    ),
    "logmesquite_logvash": Regression(
        "mesquite-logmesquite_logvash", _logmesquite, lambda data: np.log(data["weight"])
    ),
    "nes1980": Regression("nes1980-nes", _nes, lambda data: data["partyid7"]),
    "blr": Regression(
        "sblrc-blr",
        lambda data: data["X"],
        lambda data: data["y"],
        slope=lambda: tfd.Normal(0.0, 10.0),
        deviation=lambda: tfd.HalfNormal(10.0),
    ),
    "diamonds": Regression(
        "diamonds-diamonds",
        _diamonds,
        lambda data: data["Y"],
        slope=lambda: tfd.Normal(0.0, 1.0),
        intercept=lambda: tfd.StudentT(3.0, 8.0, 10.0),
        deviation=lambda: tfd.HalfStudentT(3.0, 0.0, 10.0),
    ),
}
