"""What a density estimation says of itself: a table, findings, and facts."""

import tfp_flows
from experiments.density_estimation.findings import findings
from experiments.reports import training_facts
from experiments.reports.estimate import plus_minus
from experiments.reports.page import Page

__all__ = ["baseline", "facts", "page", "table"]

_UNIT = "Log-likelihoods: means over the test rows, in nats a row, ± two standard errors."

_NATS = "test log-likelihood (nats, ± 2 s.e.)"
_BASELINES = {
    "gaussian_log_likelihood": "full-covariance Gaussian",
    "bernoulli_log_likelihood": "independent Bernoulli variables",
}


def _table_rows(results):
    """Returns (model, test log-likelihood in nats, source) of the run and its rivals.

    Of data that were integers, bits per dimension stand before the source.
    """
    run, (name, value) = "this run", baseline(results)
    own = [(results["flow"], results["test_log_likelihood"]), (name, value)]
    if "true_log_likelihood" in results:
        own.append(("the true density", results["true_log_likelihood"]))
    rows = [(k, plus_minus(row), *_bits(results, row), run) for k, row in own]
    return rows + [
        (k, _published(row), *_published_bits(results, row), row["source"])
        for k, row in results["published"].items()
    ]


def baseline(results):
    """Returns name and log-likelihood of what the run has to beat."""
    return next((name, results[k]) for k, name in _BASELINES.items() if k in results)


def page(results):
    """Returns the report as a `Page`.

    Args:
      results: what `density_estimation.run` returns.
    """
    in_bits = ("bits per dimension (± 2 s.e.)",) if results["bits_per_dimension"] else ()
    return Page(
        f"{results['flow']} on {results['dataset']}",
        _note(results),
        (f"{results['dataset']}: model", _NATS, *in_bits, "source"),
        _table_rows(results),
        findings(results),
        facts(results),
        results["command"],
        training_facts.lost_to_baseline(
            "This flow",
            results["test_log_likelihood"],
            results["num_rows"]["test"],
            *baseline(results),
        ),
    )


def table(results):
    """Returns the result table as aligned text, after what has to be known first."""
    return page(results).text()


def facts(results):
    """Returns what the run was, by name."""
    variables = {"variables": _variables(results), **_dropped(results.get("columns"))}
    return training_facts.described(results, **variables)


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
    """A cell that tells nats as bits per dimension; none where data were no integers."""
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
