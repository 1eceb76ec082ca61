"""Fits densities by one call beside simple models and peers, on tables of any size.

    python -m benchmarks.densities --dataset=power --data_dir=DIR --rows=1000 --rows=10000
    python -m benchmarks.densities --csv=A.csv --csv=B.csv --peers_python=PYTHON

It prints test nats a row, ± one standard error, and the processor seconds of each fit. A
table without test rows gives a fifth of its rows for tests. Finished fits are kept in the
file `--out`, and are read, not repeated. With several `--rows`, `--picture` draws the
curves.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
from absl import app, flags
from sklearn.mixture import GaussianMixture

import tfp_flows
from benchmarks import runner
from experiments.data import DATASETS, load_dataset
from experiments.reports.page import table

_ROWS_A_CALL = 4096
_PEERS = ("zuko", "nflows")
_MOST_TEST_ROWS = 20_000
_SIZES = (1, 2, 3, 5, 8, 12, 20)  # components of mixtures of Gaussians


def fit_density(train, test, seed):
    """Returns log-densities of test rows under `tfp_flows.fit_density`, `[n]`."""
    density = tfp_flows.fit_density(train, seed=seed, verbose=0)
    parts = np.array_split(test, -(-len(test) // _ROWS_A_CALL))
    return np.concatenate([density.log_prob(part).numpy() for part in parts])


def gaussian(train, test, seed):
    """Returns the same under a Gaussian."""
    del seed
    return GaussianMixture(1).fit(train).score_samples(test)


def mixture_of_gaussians(train, test, seed):
    """Returns the same under a mixture, whose size is chosen by validation rows."""
    order = np.random.default_rng(seed).permutation(len(train))
    judged, fitted = np.split(train[order], [max(len(train) // 10, 1)])
    mean, scale = train.mean(axis=0), train.std(axis=0)
    judged, fitted, test = ((x - mean) / scale for x in (judged, fitted, test))
    sizes = [k for k in _SIZES if k == 1 or 5 * k * train.shape[1] <= len(fitted)]
    mixtures = [GaussianMixture(k, reg_covar=1e-4, random_state=seed) for k in sizes]
    best = max(mixtures, key=lambda mixture: mixture.fit(fitted).score(judged))
    return best.score_samples(test) - np.log(scale).sum()


OURS = {
    "fit_density": fit_density,
    "mixture of Gaussians": mixture_of_gaussians,
    "Gaussian": gaussian,
}


def peer(library, python, train, test):
    """Returns the same under a spline flow of a peer, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = f"{folder}/given.npz", f"{folder}/found.npy"
        np.savez(given, train=train, test=test)
        # Not as a module of this package, whose import needs TensorFlow.
        script = str(pathlib.Path(__file__).with_name("densities_torch.py"))
        subprocess.run([python, script, library, given, found], check=True)
        return np.load(found)


def tasks(values):
    """Yields name, training rows and test rows of each task."""
    for path in values.csv:
        x = pd.read_csv(path).to_numpy(np.float64)
        x = np.random.default_rng(0).permutation(x)
        count = min(len(x) // 5, _MOST_TEST_ROWS)
        yield pathlib.Path(path).stem, x[count:], x[:count]
    for name in values.dataset:
        dataset = load_dataset(name, data_dir=values.data_dir, seed=values.seed)
        train = np.concatenate([dataset.train, dataset.validation])
        order = np.random.default_rng(values.seed).permutation(len(train))
        for count in values.rows or [len(train)]:
            chosen = train[order[:count]]
            yield f"{name} {count}", chosen, dataset.test[:_MOST_TEST_ROWS]


def measure(name, train, test, values):
    """Returns plain results of one contender on one task."""
    start = _processor_seconds()
    if name in OURS:
        nats = OURS[name](train, test, values.seed)
    else:
        nats = peer(name, values.peers_python, train, test)
    return {
        "nats": float(nats.mean()),
        "error": float(nats.std() / np.sqrt(len(nats))),
        "least": float(nats.min()),
        "seconds": _processor_seconds() - start,
        "num_rows": len(train),
        "num_variables": train.shape[1],
    }


def main(argv):
    """Fits all contenders to all tasks and prints the table after each."""
    del argv
    values = flags.FLAGS
    out = pathlib.Path(values.out)
    found = json.loads(out.read_text()) if out.exists() else {}
    contenders = [*OURS, *(_PEERS if values.peers_python else ())]
    for task, train, test in tasks(values):
        for name in contenders:
            key = f"{task} | {name} | {values.seed}"
            if key not in found:
                found[key] = measure(name, train, test, values)
                out.write_text(json.dumps(found, indent=1))
                print(key, found[key], file=sys.stderr, flush=True)
    runner.print_head()
    print(as_table(found, contenders))
    if values.picture:
        draw(found, contenders, values.picture)


def as_table(found, contenders):
    """Returns the results as a Markdown table, a row a task."""
    names = list(dict.fromkeys(key.split(" | ")[0] for key in found))
    cells = [(task, *(_cell(found, task, name) for name in contenders)) for task in names]
    return table(("task", *contenders), cells)


def draw(found, contenders, path):
    """Draws test nats against training rows."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name in contenders:
        keys = [key for key in found if key.split(" | ")[1] == name]
        points = sorted((found[key]["num_rows"], found[key]["nats"]) for key in keys)
        axes.plot(*zip(*points, strict=True), "o-", label=name, ms=3)
    axes.set(xscale="log", xlabel="training rows", ylabel="test nats a row")
    # Mixtures fitted to few rows fall far below the others.
    own = [found[key]["nats"] for key in found if f" | {contenders[0]} | " in key]
    axes.set_ylim(min(own) - 3.5, max(own) + 0.5)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _cell(found, task, name):
    """Mean and error over the seeds of one contender on one task."""
    of_task = [v for k, v in found.items() if k.startswith(f"{task} | {name} | ")]
    if not of_task:
        return "–"
    nats = np.mean([v["nats"] for v in of_task])
    error = np.mean([v["error"] for v in of_task])
    seconds = np.mean([v["seconds"] for v in of_task])
    return f"{nats:.3f} ± {error:.3f}, {seconds:.0f} s"


def _processor_seconds():
    each = [
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return sum(usage.ru_utime + usage.ru_stime for usage in each)


if __name__ == "__main__":
    flags.DEFINE_multi_string("csv", [], "Tables of numbers with a header.")
    flags.DEFINE_multi_enum("dataset", [], list(DATASETS), "Data sets of the commands.")
    flags.DEFINE_multi_integer("rows", [], "Training rows of each data set; all if none.")
    flags.DEFINE_string("data_dir", "", "Folder of the data sets.")
    flags.DEFINE_integer("seed", 0, "Seed of the chosen rows and of the fits.")
    flags.DEFINE_string(
        "peers_python", "", "Python that has zuko and nflows; none if empty."
    )
    flags.DEFINE_string("out", "densities.json", "File of finished fits.")
    flags.DEFINE_string("picture", "", "File of the learning curves; none if empty.")
    app.run(main)
