"""What a density estimation finds out beside likelihoods, in words."""

from experiments.reports.estimate import plus_minus

__all__ = ["findings", "prediction_finding"]


def findings(results):
    """Returns what was found beside the likelihoods, by name."""
    test, classes = results["two_sample_test"], results.get("class_agreement")
    return {
        "two-sample test": (
            "a classifier tells test rows from samples with an accuracy of "
            f"{test['accuracy']:.3f} ± {test['two_standard_errors']:.3f} (0.5: not at all),"
            f" cross-validated on {test['num_rows']:,} rows"
        ),
        **_worst_row(results.get("gap_to_baseline"), results),
        **_calibration(results["calibration"]),
        **_shortfall(results.get("shortfall")),
        **_coverage(results.get("coverage")),
        **prediction_finding(results.get("prediction")),
        **_integral(results.get("integral")),
        **({"classes": _class_agreement(classes)} if classes else {}),
        **_classification(results.get("likelihood_classification")),
        **_levels(results.get("bits_of_levels")),
    }


def _worst_row(gap, results):
    if gap is None:
        return {}
    worst, far = gap["worst_row"], gap["rows_far_below"]
    num_rows = results["num_rows"]["test"]
    side = "below" if worst < 0.0 else "above"
    text = (
        f"is {abs(worst):.1f} nats {side} it; more than 20 below: {far:,} of {num_rows:,}"
    )
    return {"test row that falls furthest behind the baseline": text}


def _class_agreement(classes):
    name, least = min(classes["by_class"].items(), key=lambda item: item[1])
    return (
        "a classifier of the training rows sees the class asked for in "
        f"{classes['agreement']:.3f} ± {classes['two_standard_errors']:.3f} of "
        f"{classes['num_samples']:,} samples (least: {least:.3f} of class {name}), and the "
        f"right one in {classes['classifier_test_accuracy']:.3f} of the test rows"
    )


def _classification(found):
    if found is None:
        return {}
    text = (
        f"the class under which a test row is most probable is its own in "
        f"{found['accuracy']:.3f} ± {found['two_standard_errors']:.3f} of "
        f"{found['num_rows']:,} rows"
    )
    return {"classification by likelihood": text}


def _levels(found):
    if found is None:
        return {}
    parts = [
        f"{bits:.3f} by level {number} ({size:,} variables)"
        for number, (bits, size) in enumerate(
            zip(found["levels"], found["latent_sizes"], strict=True), start=1
        )
    ]
    text = f"{found['before_the_levels']:.3f} before the levels, " + ", ".join(parts)
    return {f"bits per dimension of {found['num_rows']:,} test rows": text}


def _calibration(calibration):
    if calibration is None:
        return {}
    worst = max(calibration["ks_distances"])
    text = (
        f"greatest Kolmogorov-Smirnov distance of a latent variable {worst:.3f} "
        f"({calibration['critical_distance']:.3f}: the 5 % point of one)"
    )
    return {"calibration": text}


def _shortfall(found):
    if found is None:
        return {}
    text = f"{plus_minus(found)} nats a row more likely than under the flow, on average"
    return {"test rows under the density they were drawn from": text}


def _coverage(found):
    if found is None:
        return {}
    shares = [
        f"{share:.4f} ± {found['two_standard_errors'][p]:.4f} of them in intervals of {p}"
        for p, share in found["shares"].items()
    ]
    return {"test rows in central intervals": " and ".join(shares)}


def prediction_finding(found):
    """Returns what `quantile_scores.compared` has found, in words, by name."""
    if found is None:
        return {}
    texts = [
        f"{name}: CRPS {scores['crps']:.3f} ± {scores['two_standard_errors']:.3f}, "
        f"intervals of 90 % {scores['width']:.2f} wide, which hold {scores['inside']:.3f} "
        "of the values"
        for name, scores in found["methods"].items()
    ]
    unit = "prediction of test rows, in standard deviations of a column"
    return {unit: "; ".join(texts)}


def _integral(found):
    return {} if found is None else {"integral of the density": f"{found:.5f}"}
