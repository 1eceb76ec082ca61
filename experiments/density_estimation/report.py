"""The report of a density estimation: its table, findings, and facts."""

import textwrap

import tfp_flows
from experiments.reports import facts
from experiments.reports.estimate import plus_minus
from experiments.reports.page import Page

_UNIT = "Log-likelihoods: means over the test rows, in nats a row, ± two standard errors."

_NATS = "test log-likelihood (nats, ± 2 s.e.)"
_BASELINES = {
    "gaussian_log_likelihood": "full-covariance Gaussian",
    "bernoulli_log_likelihood": "independent Bernoulli variables",
}


def _table_rows(results):
    """Returns (model, test log-likelihood in nats, source) of the run and other models.

    For data that were integers, bits per dimension come before the source.
    """
    run, (name, value) = "this run", baseline(results)
    measured = [(results["flow"], results["test_log_likelihood"]), (name, value)]
    if "true_log_likelihood" in results:
        measured.append(("the true density", results["true_log_likelihood"]))
    rows = [(k, plus_minus(row), *_bits(results, row), run) for k, row in measured]
    return rows + [
        (k, _published(row), *_published_bits(results, row), row["source"])
        for k, row in results["published"].items()
    ]


def baseline(results):
    """Returns the name and the log-likelihood of the baseline."""
    return next((name, results[k]) for k, name in _BASELINES.items() if k in results)


def page(results):
    """Returns the report as a `Page`."""
    in_bits = ("bits per dimension (± 2 s.e.)",) if results["bits_per_dimension"] else ()
    return Page(
        f"{results['flow']} on {results['dataset']}",
        _note(results),
        (f"{results['dataset']}: model", _NATS, *in_bits, "source"),
        _table_rows(results),
        findings(results),
        _facts(results),
        results["command"],
        _warning(results),
    )


def _warning(results):
    """Returns the fit's verdict unless it is good, its notes, and what follows."""
    report, sentences, further = results.get("density_report"), [], {}
    if report is not None:
        further = {"advice": "more rows"}  # nothing else can be set
        if report["verdict"] != "good":
            verdict = f"Verdict of the fit: {report['verdict']}."
            sentences = [verdict, *report["reasons"]]
        sentences += report["notes"]
    lost = facts.lost_to_baseline(
        "This density" if report else "This flow",
        results["test_log_likelihood"],
        results["num_rows"]["test"],
        *baseline(results),
        **further,
    )
    return " ".join(filter(None, [*sentences, lost]))


def _facts(results):
    """Returns the facts of the run by name."""
    variables = {"variables": _variables(results), **_dropped(results.get("columns"))}
    return facts.describe_training(results, **variables)


def _variables(results):
    names = [c["name"] for c in results.get("columns") or () if c["role"] == "context"]
    given = f", given {n}" if (n := results["context_size"]) else ""
    return f"{results['event_size']}{given}" + (f": {', '.join(names)}" if names else "")


def _dropped(columns):
    names = [column["name"] for column in columns or () if column["role"] == "dropped"]
    return {"constant columns, left out": ", ".join(names)} if names else {}


def _note(results):
    sentences = [_UNIT]
    if bits := results["bits_per_dimension"]:
        highest = round(bits["bins_per_unit"]) - 1
        sentences.append(f"Bits per dimension are those of integers 0 to {highest}.")
    return " ".join([*sentences, results.get("caveat", "")]).rstrip()


def _bits(results, row):
    """One cell, nats as bits per dimension; no cell unless the data were integers."""
    if results["bits_per_dimension"] is None:
        return []
    nats, error = row["nats"], row["two_standard_errors"]
    bits = _to_bits(results, nats)
    return [f"{bits:.3f} ± {_to_bits(results, nats - error) - bits:.3f}"]


def _published_bits(results, row):
    if results["bits_per_dimension"] is None:
        return []
    bits = row.get("bits_per_dimension")
    return [f"{_to_bits(results, row['log_likelihood']) if bits is None else bits:.2f}"]


def _to_bits(results, nats):
    known = results["bits_per_dimension"]
    size, bins = known["event_size"], known["bins_per_unit"]
    return tfp_flows.bits_per_dimension(nats, size, bins_per_unit=bins).bits


def _published(row):
    nats, error = row["log_likelihood"], row["two_standard_errors"]
    if nats is None:
        return ""
    return f"{nats:.2f}" + ("" if error is None else f" ± {error:.2f}")


def findings(results):
    """Returns the findings besides the likelihoods, by name."""
    found = {
        name: describe(results[key])
        for name, (key, describe) in _FINDINGS.items()
        if results.get(key) is not None
    }
    found |= prediction_finding(results.get("prediction"))
    if levels := results.get("bits_of_levels"):
        name = f"bits per dimension of {levels['num_rows']:,} test rows"
        found[name] = _levels(levels)
    if report := results.get("density_report"):
        text = str(tfp_flows.density.DensityReport.from_plain(report))
        found["report of the fit"] = f"on rows that it held out{_as_block(text)}"
    return found


def _as_block(text):
    """Returns lines as a block of code in an item of a list, in Markdown."""
    return "\n\n" + textwrap.indent(f"```\n{text}\n```", "  ")


def prediction_finding(found):
    """Returns the results of `predictions.compared` in words, by name."""
    if found is None:
        return {}
    texts = [
        f"{name}: CRPS {scores['crps']:.3f} ± {scores['two_standard_errors']:.3f}, "
        f"intervals of 90 % are {scores['width']:.2f} wide and hold {scores['inside']:.3f} "
        "of the values"
        for name, scores in found["methods"].items()
    ]
    unit = "prediction of test rows, in standard deviations of a column"
    return {unit: "; ".join(texts)}


def two_sample_finding(test, classifier="a classifier"):
    """Returns the result of a two-sample test in words."""
    return (
        f"{classifier} tells test rows from samples with an accuracy of "
        f"{test['accuracy']:.3f} ± {test['two_standard_errors']:.3f} (0.5: not at all),"
        f" cross-validated on {test['num_rows']:,} rows"
    )


def _worst_row(gap):
    worst, far = gap["worst_row"], gap["rows_far_below"]
    side = "below" if worst < 0.0 else "above"
    return (
        f"is {abs(worst):.1f} nats {side} it; more than 20 below: {far:,} of "
        f"{gap['num_rows']:,}"
    )


def _calibration(calibration):
    worst = max(calibration["ks_distances"])
    return (
        f"greatest Kolmogorov-Smirnov distance of a latent variable {worst:.3f} "
        f"(5 % point for one variable: {calibration['critical_distance']:.3f})"
    )


def _coverage(found):
    shares = [
        f"{share:.4f} ± {found['two_standard_errors'][p]:.4f} in intervals of {p}"
        for p, share in found["shares"].items()
    ]
    return " and ".join(shares)


def _class_agreement(classes):
    name, least = min(classes["by_class"].items(), key=lambda item: item[1])
    weight = classes.get("guidance", 0.0)  # results of earlier versions have none
    which = f"samples with guidance of weight {weight:g}" if weight else "samples"
    return (
        "a classifier fitted to the training rows recognises the requested class in "
        f"{classes['agreement']:.3f} ± {classes['two_standard_errors']:.3f} of "
        f"{classes['num_samples']:,} {which} (least: {least:.3f} of class {name}), and the "
        f"true class in {classes['classifier_test_accuracy']:.3f} of the test rows"
    )


def _classification(found):
    return (
        "the class with the highest likelihood is the true one in "
        f"{found['accuracy']:.3f} ± {found['two_standard_errors']:.3f} of "
        f"{found['num_rows']:,} rows"
    )


def _levels(found):
    pairs = zip(found["levels"], found["latent_sizes"], strict=True)
    parts = [
        f"{bits:.3f} by level {number} ({size:,} variables)"
        for number, (bits, size) in enumerate(pairs, start=1)
    ]
    return f"{found['before_the_levels']:.3f} before the levels, {', '.join(parts)}"


# Name -> key of the results, and function that describes its value.
_FINDINGS = {
    "two-sample test": ("two_sample_test", two_sample_finding),
    "test row furthest below the baseline": ("gap_to_baseline", _worst_row),
    "calibration": ("calibration", _calibration),
    "test rows under their true density": (
        "shortfall",
        lambda found: f"{plus_minus(found)} nats per row more likely than under the flow",
    ),
    "test rows in central intervals": ("coverage", _coverage),
    "integral of the density": ("integral", "{:.5f}".format),
    "classes": ("class_agreement", _class_agreement),
    "classification by likelihood": ("likelihood_classification", _classification),
}
