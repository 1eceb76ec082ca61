"""What a density estimation says of itself: a table, findings, and facts."""

import json

import tfp_flows
from experiments.density_estimation.findings import findings
from experiments.reports.page import Page
from experiments.runs import extending
from experiments.runs.atomic_write import atomic_write

UNIT = "Log-likelihoods: means over the test rows, in nats a row, ± two standard errors."

_NATS = "test log-likelihood (nats, ± 2 s.e.)"
_BASELINES = {
    "gaussian_log_likelihood": "full-covariance Gaussian",
    "bernoulli_log_likelihood": "independent Bernoulli variables",
}


def table_rows(results):
    """Returns (model, test log-likelihood in nats, source) of the run and its rivals.

    Of data that were integers, bits per dimension stand before the source.
    """
    run, (name, value) = "this run", baseline(results)
    own = [(results["flow"], results["test_log_likelihood"]), (name, value)]
    rows = [(k, _plus_minus(row), *_bits(results, row), run) for k, row in own]
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
        table_rows(results),
        findings(results),
        facts(results),
        results["command"],
        lost_to_baseline(
            "This flow",
            results["test_log_likelihood"],
            results["num_rows"]["test"],
            results,
        ),
    )


def lost_to_baseline(name, log_likelihood, num_rows, results):
    """Returns in words that a model is no better than the baseline; empty if it is.

    Args:
      name: what to call the model.
      log_likelihood: its test log-likelihood, as plain data.
      num_rows: of the test rows that this is the mean of.
      results: with the log-likelihood of the baseline.
    """
    rival, known = baseline(results)
    if log_likelihood["nats"] > known["nats"]:
        return ""
    return (
        f"{name} is no better than the baseline, {rival}: {log_likelihood['nats']:.3f} "
        f"against {known['nats']:.3f} nats a row, on "
        f"{num_rows:,} test rows. Use the baseline, or try more rows, fewer steps or "
        "narrower networks, --weight_decay, or a smaller --learning_rate."
    )


def table(results):
    """Returns the result table as aligned text, after what has to be known first."""
    return page(results).text()


def write_results(results, path):
    """Writes everything measured as JSON."""
    atomic_write(path, json.dumps(results, indent=2) + "\n")


def facts(results):
    """Returns what the run was, by name."""
    sizes = results["num_rows"]
    return {
        "rows (train / validation / test)": " / ".join(f"{n:,}" for n in sizes.values()),
        "variables": _variables(results),
        **_dropped(results.get("columns")),
        **training_facts(results),
    }


def training_facts(results):
    """Returns how a model was trained, and where, by name."""
    start, restarts = results.get("init_from"), results.get("schedule_restarts")
    return {
        "trainable parameters": f"{results['num_parameters']:,}",
        **({"weights to start from": f"those of {start}"} if start else {}),
        "epochs": epochs(results),
        **({"step size": extending.describe_restarts(restarts)} if restarts else {}),
        "training time": f"{results['training_seconds']:.1f} s",
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
        "machine": results["machine"],
    }


def epochs(results):
    """Returns how many epochs there were, which was best, and whether one diverged."""
    text = f"{results['num_epochs']} (best: {results['best_epoch']})"
    if diverged := results.get("diverged_in_epoch"):
        text += f"; stopped, since the loss of epoch {diverged} is not finite"
    return text


def _variables(results):
    names = [c["name"] for c in results.get("columns") or () if c["role"] == "context"]
    given = f", given {n}" if (n := results["context_size"]) else ""
    return f"{results['event_size']}{given}" + (f": {', '.join(names)}" if names else "")


def _dropped(columns):
    names = [column["name"] for column in columns or () if column["role"] == "dropped"]
    return {"constant columns, left out": ", ".join(names)} if names else {}


def _note(results):
    sentences = [UNIT]
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


def _plus_minus(row):
    return f"{row['nats']:.3f} ± {row['two_standard_errors']:.3f}"
