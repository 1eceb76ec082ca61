"""The report of a table's density: its table, findings, and facts."""

import tfp_flows
from experiments.density_estimation.report import prediction_finding, two_sample_finding
from experiments.reports import facts
from experiments.reports.estimate import plus_minus
from experiments.reports.page import Page

_NOTE = (
    "Log-likelihood: mean over the test rows, in nats per row, ± two standard errors; for "
    "categories, integers and spikes, the logarithm of a probability."
)
_HEADER = ("table", "test log-likelihood (nats, ± 2 s.e.)", "columns")


def page(results):
    """Returns the report as a `Page`."""
    names = [c["name"] for c in results["columns"] if "kind" in c]  # no rules
    modelled = [name for name in names if name not in results["context"]]
    given = f" given {', '.join(results['context'])}" if results["context"] else ""
    columns = f"{', '.join(modelled)}{given}"
    row = (results["table"], plus_minus(results["test_log_likelihood"]), columns)
    subject = "Synthetic rows" if results.get("synthesis") else "The density"
    return Page(
        f"{subject} of {results['table']}",
        f"{_NOTE}\n\n```\n{results['described']}\n```",
        _HEADER,
        [row],
        _findings(results),
        _facts(results),
        results["command"],
        _verdict(results.get("synthesis")),
    )


def table(results):
    """Returns the result and the findings as aligned text."""
    shown = page(results)
    found = "\n".join(f"- {name}: {text}" for name, text in shown.findings.items())
    return f"{shown.text()}\n\n{found}"


def _findings(results):
    classifier = "a classifier that knows the kinds of columns"
    findings = {
        "two-sample test": two_sample_finding(results["two_sample_test"], classifier),
        **prediction_finding(results["prediction"]),
    }
    if impossible := results["num_impossible"]:
        findings["test rows that cannot occur"] = (
            f"{impossible}, with values beyond the ends of a column; not part of the mean"
        )
    if found := results["classification"]:
        findings["log loss of the category"] = (
            f"{found['log_loss']:.4f}, of a boosted classifier {found['boosted']:.4f} "
            f"(difference {plus_minus(found['error'])})"
        )
    return findings | _synthesis(results.get("synthesis"))


def _verdict(plain):
    """Returns the verdict on synthetic rows with its reasons; empty without a report."""
    if plain is None:
        return ""
    return f"Synthetic rows: {plain['verdict']}. {' '.join(plain['reasons'])}".strip()


def _synthesis(plain):
    """Returns the report on synthetic rows in words, by name."""
    if plain is None:
        return {}
    found = tfp_flows.tables.SynthesisReport.from_plain(plain)
    shown = {name: text[0].lower() + text[1:] for name, text in found.meanings.items()}
    return {
        **dict(found.table()),
        **{f"check of {check.name}": check.result for check in found.checks},
        **{f"what {name} can show": text for name, text in shown.items()},
    }


def _facts(results):
    sizes = " / ".join(f"{count:,}" for count in results["num_rows"].values())
    return {
        "rows (train / test)": sizes,
        "epochs": str(results["num_epochs"]),
        "training time": f"{results['training_seconds']:.1f} s",
        **facts.describe_provenance(results),
    }
