"""The report of an amortised posterior, as a page."""

import numpy as np

from experiments.reports import facts
from experiments.reports.page import Page
from experiments.simulation_inference.reference import PUBLISHED, SIZES

_NOTE = (
    "C2ST: accuracy of a classifier that tells draws of a posterior from reference draws; "
    "0.5 is perfect. The published numbers are means over ten observations and more."
)
_HEADER = ("posterior", "observations", "mean C2ST", "least", "largest", "source")


def page(results):
    """Returns the report as a `Page`."""
    number = f"{results['num_simulations']:,}"
    return Page(
        f"Posterior of {results['model']} from {number} simulations",
        _NOTE,
        _HEADER,
        [_row(results), *_published(results)],
        _findings(results),
        {
            "fitted": "; ".join(results["fitted"]),
            "time, compilation included": f"{results['seconds']:.0f} s",
            **facts.describe_provenance(results),
        },
        results["command"],
        warning=" ".join(results["reasons"]),
    )


def _row(results):
    scores = [found["c2st"] for found in results["observations"]]
    cells = (f"{f(scores):.3f}" for f in (np.mean, min, max)) if scores else "---"
    return ("this run", str(len(scores)), *cells, "this run")


def _published(results):
    if results["model"] not in PUBLISHED or results["num_simulations"] not in SIZES:
        return
    index = SIZES.index(results["num_simulations"])
    sources = ("best of any observation", "sbi's NPE")
    for source, scores in zip(sources, PUBLISHED[results["model"]], strict=True):
        if scores[index] is not None:
            score = f"{scores[index]:.3f}"
            yield (source, "10 or more", score, "", "", "arXiv 2504.17660")


def _findings(results):
    gain = f"{results['gain']:.3f} ± {2.0 * results['gain_error']:.3f} nats"
    found = {
        "verdict of the whole": results["verdict"],
        "above a linear regression": gain,
        "simulations left out": f"{results['num_dropped']:,}",
    }
    found |= {
        check["name"]: f"{check['value']:.3g} (threshold {check['threshold']:.3g})"
        for check in results["checks"]
    }
    for number, each in enumerate(results["observations"], start=1):
        text = f"C2ST {each['c2st']:.3f}, verdict: {each['verdict']}"
        found[f"observation {number}"] = f"{text}, drawn in {1e3 * each['seconds']:.0f} ms"
    return found
