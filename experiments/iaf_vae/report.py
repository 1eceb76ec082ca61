"""The report of a VAE: its table, findings, and facts."""

from experiments.reports import facts
from experiments.reports.estimate import plus_minus
from experiments.reports.page import Page

_NOTE = (
    "Means over the test rows, in nats per row, ± two standard errors. The ELBO is a lower "
    "bound of log p(x); the estimate by importance sampling is a tighter lower bound."
)
# Dynamically binarised MNIST: name -> (ELBO, log p(x) by 128 importance samples).
_DYNAMIC_MNIST = {
    "diagonal Gaussian": ("-84.08 ± 0.10", "-81.08 ± 0.08"),
    "IAF, 2 steps of 320": ("-82.02 ± 0.08", "-79.77 ± 0.06"),
    "IAF, 8 steps of 1920": ("-80.80 ± 0.07", "-79.10 ± 0.07"),
}
_IAF_PAPER = "Kingma et al. (2016), table 1; a convolutional ResNet VAE"


def page(results):
    """Returns the report as a `Page`."""
    found, warning = results["log_likelihood"], ""
    if rival := results.get("bernoulli_log_likelihood"):
        name = "independent Bernoulli variables"
        warning = facts.lost_to_baseline("This VAE", found, found["num_rows"], name, rival)
    return Page(
        f"VAE with posterior {results['posterior']} on {results['dataset']}",
        f"{_NOTE} {results.get('caveat', '')}".rstrip(),
        (f"{results['dataset']}: posterior", "test ELBO", "log p(x)", "source"),
        _rows(results),
        _findings(results),
        facts.describe_training(results),
        results["command"],
        warning,
    )


def _rows(results):
    values = (plus_minus(results[name]) for name in ("elbo", "log_likelihood"))
    rows = [(results["posterior"], *values, "this run")]
    if baseline := results.get("bernoulli_log_likelihood"):
        rows.append(("none: independent variables", "", plus_minus(baseline), "this run"))
    if results["dataset"] == "mnist" and results["likelihood"] == "bernoulli":
        rows += [(name, *row, _IAF_PAPER) for name, row in _DYNAMIC_MNIST.items()]
    return rows + [
        (name, "", f"{row['log_likelihood']:.2f}", row["source"])
        for name, row in results["published"].items()
        if row["log_likelihood"] is not None
    ]


def _findings(results):
    log_likelihood = results["log_likelihood"]
    gap = log_likelihood["nats"] - log_likelihood["elbo"]
    findings = {
        "reconstruction": plus_minus(results["reconstruction"]),
        "KL": plus_minus(results["kl"]),
        "log p(x)": (
            f"{log_likelihood['num_samples']:,} importance samples for each of "
            f"{log_likelihood['num_rows']:,} test rows; {gap:.3f} above their ELBO"
        ),
        "active latents": f"{results['active_latents']} of {results['latent_size']}",
    }
    if bits := results.get("bits_per_dimension"):
        findings["bits per dimension"] = plus_minus(bits)
    return findings
