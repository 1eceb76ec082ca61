"""The report of a posterior: a row of a table, and a page."""

from experiments.posterior_inference.evaluation import MEAN_BOUND, RATIO_BOUND
from experiments.reports import facts
from experiments.reports.estimate import plus_minus
from experiments.reports.page import Page, table
from experiments.runs.atomic_write import atomic_write

_MEASURES = ("ELBO", "importance-weighted", "ESS", "k̂", "error of a mean", "ratio of s.d.")
_MEASURES += ("right", "says", "gradients", "seconds")
_COLUMNS = ("target", "posterior", *_MEASURES, "evidence")
HEADER = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"

_NOTE = (
    "Nats, ± two standard errors. ESS: effective sample size of the weighted draws, "
    "divided by their number. k̂: shape of the tail of the weights; above 0.7 the two "
    "columns before it are unreliable. Error of a mean: in standard deviations of the "
    "reference. Ratio of s.d.: of posterior and reference, the greater over the lesser. "
    "Both are the worst over the variables. Right: errors of means of at most "
    f"{MEAN_BOUND:g}, ratios of at most {RATIO_BOUND:g}. Says: the verdict of the method "
    "itself. Gradients: evaluations of the target's gradient, with training and "
    "adaptation. Seconds: with compilation."
)


_FORMS = {
    "elbo": plus_minus,
    "importance_weighted": plus_minus,
    "effective_share": "{:.1%}".format,
    "pareto_k": "{:.2f}".format,
    "greatest_error_of_a_mean": "{:.2f}".format,
    "greatest_ratio_of_deviations": "{:.2f}".format,
    "is_right": lambda value: "yes" if value else "no",
    "says": lambda text: text or "-",
    "num_gradients": "{:,}".format,
    "seconds": "{:.0f}".format,
}
_SUMMARY_HEADER = ("method", "right", "wrong", "wrong yet called reliable", "failed")
_SUMMARY_HEADER += ("fewer gradients than NUTS", "quicker than NUTS")


def row(results):
    """Returns a run as a row under `HEADER`."""
    names = (results["target"], results["posterior"])
    if reason := results.get("failure"):
        cells = (*names, f"none: {reason}", *("-" for _ in _MEASURES))
    else:
        known = results["evidence"]
        cells = (*names, *_measures(results), "-" if known is None else f"{known:.3f}")
    return f"| {' | '.join(cells)} |"


def page(results):
    """Returns the report as a `Page`."""
    rows = [(results["posterior"], *_measures(results), "this run")]
    if results["evidence"] is not None:
        exact = (f"{results['evidence']:.3f}", *("" for _ in _MEASURES[2:]))
        rows.append(("log-evidence", "", *exact, "exact, or by quadrature"))
    return Page(
        f"{results['posterior']} as posterior of {results['target']}",
        _NOTE,
        (f"{results['target']}: posterior", *_MEASURES, "source"),
        rows,
        _moments(results),
        _facts(results),
        results["command"],
    )


def _measures(results):
    """Cells under `_MEASURES`; a dash for missing results."""
    return tuple(
        "-" if results.get(name) is None else form(results[name])
        for name, form in _FORMS.items()
    )


def _moments(results):
    """Mean and standard deviation of each variable, beside the reference's."""
    found = {
        name: f"mean {moments['mean']:.3f}, s.d. {moments['standard_deviation']:.3f}"
        for name, moments in results["moments"].items()
    }
    reference = results.get("reference")
    if reference is None:
        return found
    origin = reference["origin"]
    columns = (reference["means"], reference["standard_deviations"])
    return {
        name: f"{text} ({origin}: {mean:.3f}, {deviation:.3f})"
        for (name, text), mean, deviation in zip(found.items(), *columns, strict=True)
    }


def _facts(results):
    found = {
        "draws": f"{results['num_draws']:,}",
        "trainable parameters": f"{results['num_parameters']:,}",
        "time, compilation included": f"{results['seconds']:.1f} s",
        **facts.describe_provenance(results),
    }
    if reference := results.get("reference"):
        found["reference"] = _reference(reference)
    if results["reasons"]:
        found["reasons"] = " ".join(results["reasons"])
    return found


def _reference(reference):
    text = f"{reference['num_draws']:,} draws, {reference['origin']}"
    if reference["r_hat"] is None:
        return text
    return (
        f"{text}, largest R̂ {reference['r_hat']:.3f}, smallest effective size "
        f"{reference['effective_size']:,.0f}, divergences {reference['divergences']:.2%}"
    )


def write(runs, path):
    """Writes a row for each run, and the `summary`."""
    rows = "\n".join([HEADER, *map(row, runs)])
    atomic_write(path, f"{rows}\n\n{summary(runs)}\n")


def summary(runs):
    """Returns a table with the numbers of targets where each method is right, and ahead.

    Gradients and seconds are compared for targets where both the method and NUTS are right.
    """
    methods = dict.fromkeys(found["posterior"] for found in runs)
    by_nuts = {f["target"]: f for f in runs if f["posterior"] == "nuts"}
    rows = [_summary_row(method, runs, by_nuts) for method in methods]
    return table(_SUMMARY_HEADER, rows)


def _summary_row(method, runs, by_nuts):
    of_method = [found for found in runs if found["posterior"] == method]
    judged = [found for found in of_method if "is_right" in found]
    wrong = [found for found in judged if not found["is_right"]]
    called = [found for found in wrong if found["says"].startswith("reliable")]
    pairs = [
        (found, by_nuts[found["target"]])
        for found in judged
        if found["is_right"] and by_nuts.get(found["target"], {}).get("is_right")
    ]
    ahead = (
        sum(ours[name] < theirs[name] for ours, theirs in pairs)
        for name in ("num_gradients", "seconds")
    )
    cells = "-", "-"
    if method != "nuts" and by_nuts:
        cells = tuple(f"{count} of {len(pairs)}" for count in ahead)
    failed = sum("failure" in found for found in of_method)
    right = f"{len(judged) - len(wrong)} of {len(judged)}"
    return method, right, *map(str, (len(wrong), len(called), failed)), *cells
