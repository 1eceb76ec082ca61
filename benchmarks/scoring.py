"""Measures rows a second, and memory, of scoring a table of millions of rows.

    python -m benchmarks.scoring --folder=DIR

Draws the rows of a correlated Gaussian, fits a `real_nvp` by `tfp-flows density` to the
first rows, and scores all rows with `tfp-flows score`, start and imports included.
Linux only. The table, which needs some hundred megabytes, stays in the folder.
"""

import pathlib
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from absl import app, flags

_ROWS_A_PART = 100_000
_ROWS_TO_FIT = 10_000


def write_table(path, num_rows, num_columns):
    """Writes rows of a correlated Gaussian, in parts, with a header."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(num_columns, num_columns))
    names = [f"x{i}" for i in range(num_columns)]
    with path.open("w") as file:
        for start in range(0, num_rows, _ROWS_A_PART):
            size = (min(_ROWS_A_PART, num_rows - start), num_columns)
            rows = pd.DataFrame(rng.normal(size=size) @ mixing, columns=names)
            rows.to_csv(file, index=False, header=not start, float_format="%.6g")


def fit(table, run_dir):
    """Fits a flow to the first rows of a table."""
    rows = pd.read_csv(table, nrows=_ROWS_TO_FIT)
    first = table.with_name("first.csv")
    rows.to_csv(first, index=False)
    _run(
        "density",
        *("--dataset=csv", f"--csv_path={first}", f"--run_dir={run_dir}"),
        *("--flow=real_nvp", "--epochs=2", "--num_samples=100"),
    )


def main(argv):
    """Prints the rate and the peak memory."""
    del argv
    values = flags.FLAGS
    folder = pathlib.Path(values.folder)
    table, run_dir = folder / "rows.csv", folder / "run"
    out = folder / "scored.csv"
    if not table.exists():
        write_table(table, values.rows, values.columns)
    if not (run_dir / "results.json").exists():
        fit(table, run_dir)
    out.unlink(missing_ok=True)
    start = time.perf_counter()
    _run("score", f"--model={run_dir}", f"--csv={table}", f"--out={out}")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print("| rows | columns | seconds | rows a second | peak memory, MiB |")
    print("|---|---|---|---|---|")
    cells = (f"{values.rows:,}", values.columns, f"{seconds:.1f}")
    cells += (f"{values.rows / seconds:,.0f}", f"{peak:.0f}")
    print(f"| {' | '.join(map(str, cells))} |")


def _run(command, *arguments):
    program = [sys.executable, "-m", "experiments", command]
    subprocess.run([*program, *arguments], check=True)


def _define_flags():
    flags.DEFINE_string("folder", "scoring", "Folder of the table and of the model.")
    flags.DEFINE_integer("rows", 10_000_000, "Rows of the table.", lower_bound=_ROWS_TO_FIT)
    flags.DEFINE_integer("columns", 6, "Columns of the table.", lower_bound=2)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
