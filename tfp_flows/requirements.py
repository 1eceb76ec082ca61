"""Packages that have to be installed beside this one, and the commands that install them.

Two distributions hold the package `tensorflow_probability`: the release and the nightly
version. Each overwrites the files of the other, so this package requires neither, and
has an extra for each. setup.py takes its requirements from this file, which therefore
imports nothing but the standard library.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from importlib import metadata
from pathlib import Path

TENSORFLOW = "tensorflow>=2.20,<2.22"
# TFP imports tf_keras, whose minor version must equal TensorFlow's.
TF_KERAS = "tf-keras>=2.20,<2.22"
# TFP 0.25 calls `np.reshape(newshape=)`, which NumPy 2.4 no longer takes.
TFP = ("tensorflow-probability==0.25.*", TF_KERAS, "numpy<2.4")
# From the first to the last day whose version passed the tests.
TFP_NIGHTLY = ("tfp-nightly>=0.26.0.dev20260101,<=0.26.0.dev20261027", TF_KERAS)

_HOLD_TFP = ("tensorflow-probability", "tfp-nightly")


def check() -> None:
    """Raises `ImportError` if required packages are missing, mixed or too old."""
    if message := problem(*installed()):
        raise ImportError(message)


def problem(versions: Mapping[str, str], missing: Collection[str] = ()) -> str | None:
    """Returns what is wrong with the installed packages, and the commands that mend it.

    Args:
      versions: versions of distributions by their names, such as "tfp-nightly". Builds of
        others have a local label, as in "0.25.0+conda"; they may go with other versions
        of NumPy than the release does.
      missing: modules that cannot be imported, such as "tf_keras".

    Returns:
      The message of an error; None if the packages go together.

    >>> from tfp_flows.requirements import problem
    >>> problem({"tfp-nightly": "0.26.0.dev20261027", "numpy": "2.5.5"})
    >>> print(problem({"tensorflow-probability": "0.25.0", "numpy": "2.4.6"}))
    tfp_flows needs NumPy below 2.4 beside tensorflow-probability 0.25.0; got numpy 2.4.6:
        pip install "numpy<2.4"
    """
    got = [f"{name} {versions[name]}" for name in _HOLD_TFP if name in versions]
    one_tfp = "tfp_flows needs one version of TensorFlow Probability; got"
    if not got:
        return f"{one_tfp} none:{_install_tfp()}"
    if len(got) > 1:
        return f"{one_tfp} {' and '.join(got)}, which overwrite each other:{_replace_tfp()}"
    if "tensorflow_probability" in missing:
        return f"{one_tfp} {got[0]} without its files:{_replace_tfp()}"
    tfp = next(versions[name] for name in _HOLD_TFP if name in versions)
    if _minor(tfp) < (0, 25):
        wanted = "TensorFlow Probability 0.25 or newer"
        return f"tfp_flows needs {wanted}; got {got[0]}:{_replace_tfp()}"
    numpy, tensorflow = versions.get("numpy"), versions.get("tensorflow")
    if numpy and _minor(numpy) >= (2, 4) and _minor(tfp) == (0, 25) and "+" not in tfp:
        wanted = f"NumPy below 2.4 beside {got[0]}"
        return f"tfp_flows needs {wanted}; got numpy {numpy}:{_install('numpy<2.4')}"
    if tensorflow and _minor(tensorflow) < (2, 20):
        newer = _install(TENSORFLOW, TF_KERAS)
        return (
            f"tfp_flows needs TensorFlow 2.20 or newer; got tensorflow {tensorflow}:{newer}"
        )
    if "tf_keras" in missing and _minor(tfp) <= (0, 26):
        return f"tfp_flows needs tf_keras beside {got[0]}; got none:{_install(TF_KERAS)}"
    return None


def installed() -> tuple[dict[str, str], set[str]]:
    """Returns the arguments of `problem` for this process.

    Only the metadata beside the TFP that an import finds count. A TFP that it hides, such
    as the system's in a virtual environment, does no harm. A TFP without metadata there,
    such as one built from source, is imported for its version.
    """
    folders = {name: _folder(name) for name in ("tensorflow_probability", "tf_keras")}
    folder = folders["tensorflow_probability"]
    versions = _versions(_HOLD_TFP, sys.path if folder is None else [folder])
    if folder is not None and not versions:
        tfp = importlib.import_module("tensorflow_probability")
        versions = {"tensorflow-probability": f"{tfp.__version__}+source"}
    versions |= _versions(("numpy", "tensorflow"), sys.path)
    return versions, {name for name, folder in folders.items() if folder is None}


def _folder(package: str) -> str | None:
    """Returns the folder in which an import finds a package; None if it finds none."""
    spec = importlib.util.find_spec(package)
    # The folder that an uninstallation leaves has no `__init__.py`, and so no origin.
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else None


def _versions(names: Iterable[str], path: list[str]) -> dict[str, str]:
    """Returns the versions of distributions whose metadata are in folders of `path`."""
    found = {}
    for name in names:
        if distribution := next(iter(metadata.distributions(name=name, path=path)), None):
            installer = (distribution.read_text("INSTALLER") or "").strip()
            label = "+conda" if installer == "conda" else ""
            found[name] = f"{distribution.version}{label}"
    return found


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _install(*requirements: str) -> str:
    return "\n    pip install " + " ".join(f'"{r}"' for r in requirements)


def _install_tfp() -> str:
    return f"{_install(*TFP)}\nor, for the nightly version:{_install(*TFP_NIGHTLY)}"


def _replace_tfp() -> str:
    return f"\n    pip uninstall --yes {' '.join(_HOLD_TFP)}{_install_tfp()}"
