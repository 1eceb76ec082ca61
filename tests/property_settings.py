"""How tests by hypothesis are run: the same examples each time, and nothing is stored."""

import hypothesis


def examples(number):
    """Settings of a test that is tried on `number` drawn examples."""
    return hypothesis.settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
