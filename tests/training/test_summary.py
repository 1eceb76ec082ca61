"""The summary of a model, and the steps that progress counts."""

import keras
import pytest
from small_estimator import estimator


def printed(model):
    lines = []
    model.summary(print_fn=lines.append)
    return "\n".join(lines)


def test_summary_shows_each_step_with_its_shape_and_parameters():
    model = estimator(num_steps=2, context_size=3, act_norm=True)
    text = printed(model)
    coupling = model.distribution.bijector.bijectors[1]
    count = sum(v.shape.num_elements() for v in coupling.trainable_variables)
    rows = [line.split() for line in text.split("\n")]
    assert rows.count(["coupling", "Coupling", "[2]", str(count)]) == 2
    assert rows.count(["act_norm", "ActNorm", "[2]", "4", "+", "1", "fixed"]) == 2
    assert "context of 3" in text
    total = sum(v.shape.num_elements() for v in model.distribution.variables)
    assert f"Total params: {total}" in text


@pytest.mark.usefixtures("op_by_op")
def test_progress_ends_at_the_number_of_steps(banana, capsys):
    model = estimator(steps_per_execution=3)
    options = {"batch_size": 128, "verbose": 1}
    for method in (model.fit, model.evaluate, model.predict):
        method(banana, **options)
        text = capsys.readouterr().out
        assert "4/4" in text
        assert "6/4" not in text
    model.fit((banana[i : i + 128] for i in range(0, 512, 128)), verbose=1)
    text = capsys.readouterr().out  # the length is unknown
    assert "4/" in text
    assert "6/" not in text
    model.fit(banana, callbacks=keras.callbacks.ProgbarLogger(), **options)
    assert capsys.readouterr().out.count("4/4") == 1
