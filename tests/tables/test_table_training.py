"""Fits of tables: a known density, recalibration, progress, and resuming."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from random_weights import randomize

import tfp_flows as tff
from tfp_flows.tables import training
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.numbers.number_maps import NumberSpec
from tfp_flows.tables.recalibration import recalibrate
from tfp_flows.training import callbacks

RNG = np.random.default_rng(0)
FRAME = {"a": RNG.normal(size=60)}
TINY = {"num_members": 2, "num_bins": 2, "hidden_units": (4,), "seed": 0}


@pytest.fixture
def fit(monkeypatch, op_by_op):
    """A function that fits a table and writes each epoch to its backup."""
    monkeypatch.setattr(training, "_SECONDS_BETWEEN_BACKUPS", 0.0)

    def run(epochs, seed=0, learning_rate=0.02, low=None, networks=(), **options):
        columns = tff.describe_columns(FRAME)
        columns.change("a", low=low)
        table = tff.TableDensity(columns, **TINY | {"seed": seed} | dict(networks))
        history = table.fit(FRAME, epochs=epochs, learning_rate=learning_rate, **options)
        return table.log_prob(FRAME), history.history

    return run


@pytest.fixture
def check_stopped(fit, tmp_path):
    """Checks that a fit stopped after `first` epochs ends at the numbers of `whole`."""

    def check(whole, first, epochs, times=1, **options):
        fit(first, backup=tmp_path / "fit.npz", **options)
        for _ in range(times):
            log_prob, losses = fit(epochs, backup=tmp_path / "fit.npz", **options)
            assert losses == whole[1]
            np.testing.assert_array_equal(log_prob, whole[0])

    return check


def test_an_interrupted_fit_ends_at_the_numbers_of_one_without_a_stop(fit, check_stopped):
    check_stopped(fit(3), 1, 3, times=2)  # the second call finds a finished fit


@pytest.mark.slow
def test_several_steps_in_one_call_train_as_single_ones(monkeypatch):
    fitted = []
    for most in (1, 20):
        monkeypatch.setattr(training, "_MOST_STEPS_AT_ONCE", most)
        table = tff.TableDensity(tff.describe_columns(FRAME), **TINY)
        history = table.fit(FRAME, epochs=3, batch_size=10, verbose=0)
        fitted.append([*history.history["loss"], *table.log_prob(FRAME)])
    np.testing.assert_array_equal(*fitted)


def test_the_learning_rate_falls_at_the_same_epochs_after_a_stop(
    fit, check_stopped, monkeypatch
):
    options = {"patience": 10, "learning_rate": 5.0}  # so large that losses rise
    _, constant = fit(6, **options)
    monkeypatch.setattr(training, "_FALLING_ROWS", 0)
    monkeypatch.setattr(training, "_SHARE_OF_PATIENCE", 0.1)
    whole = fit(6, **options)
    assert whole[1]["loss"][0] == constant["loss"][0]
    assert whole[1] != constant
    check_stopped(whole, 2, 6, **options)


def test_steps_end_a_fit_also_after_a_stop(fit, check_stopped):
    whole = fit(50, max_steps=6)
    assert 2 < len(whole[1]["loss"]) < 50
    check_stopped(whole, 2, 50, max_steps=6)


@pytest.mark.slow
def test_what_has_stopped_by_itself_is_left_alone(fit, tmp_path):
    options = {"backup": tmp_path / "fit.npz", "patience": 1}
    log_prob, losses = fit(200, **options)
    assert len(losses["val_loss"]) < 200
    again, found = fit(200, **options)
    assert found == losses
    np.testing.assert_array_equal(again, log_prob)


def test_other_rows_options_and_files_are_refused(fit, tmp_path):
    path = tmp_path / "fit.npz"
    fit(1, backup=path)
    others = {"patience": 3}, {"networks": {"dropout": 0.1}}, {"low": -9.0}
    for other in others:
        with pytest.raises(ValueError, match="`backup` of a fit of the same rows and opt"):
            fit(1, backup=path, **other)
    with pytest.raises(ValueError, match="`seed` with `backup`"):
        fit(1, backup=path, seed=None)
    with pytest.raises(ValueError, match="`backup` in a folder that is there; got"):
        fit(1, backup=tmp_path / "nowhere" / "fit.npz")
    with pytest.raises(ValueError, match="`validation_frame` with rows; got none"):
        fit(1, validation_frame={name: cells[:0] for name, cells in FRAME.items()})
    with pytest.raises(ValueError, match="got .*The rows are `validation_frame`"):
        fit(1, validation_frame={name: cells for name, cells in [*FRAME.items()][1:]})
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="`backup` that a fit has written"):
        fit(1, backup=path)


@pytest.fixture
def told(monkeypatch, capsys):
    """A function that runs epochs of two seconds, and returns the written text."""

    def run(epochs, is_terminal):
        now = [100.0]
        monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(callbacks.sys.stderr, "isatty", lambda: is_terminal)
        progress = callbacks.FitProgress(50)
        progress.on_train_begin()
        for epoch in range(epochs):
            now[0] += 2.0
            progress.on_epoch_end(epoch, {"loss": 1.5, "val_loss": 2.25})
        progress.on_train_end()
        written = capsys.readouterr()
        assert written.out == ""
        return written.err

    return run


def test_a_file_gets_a_line_every_ten_seconds_and_the_last(told):
    assert told(1, is_terminal=False) == ""
    lines = told(13, is_terminal=False).splitlines()
    assert lines == [
        f"epoch {e} of at most 50: loss 1.5000, val_loss 2.2500, {2 * e} s"
        for e in (2, 7, 12, 13)
    ]


_COUNT, _MEMBERS = 40, 3


@pytest.fixture
def rows(op_by_op):
    """A distribution of an angle, a count and a number, whose members disagree."""
    numbers = [
        NumberSpec("circle", high=24.0),
        NumberSpec("softplus", high=2.0, is_integer=True),
        NumberSpec("line"),
    ]
    options = {"num_members": _MEMBERS, "num_bins": 4, "hidden_units": (8,), "seed": 0}
    return randomize(TableDistribution([], numbers, **options), stddev=0.3)


def ends_of_bins(rows, x):
    """Each member's P(Y < y) and P(Y <= y) at each number y, `[N, members, 3]`."""
    each, _ = rows.evaluate_numbers(tf.constant(x), None)
    return (np.asarray(end, np.float64) for end in (each.below, each.up_to))


def test_weights_are_those_of_the_variance_of_what_is_left_out(rows):
    rng = np.random.default_rng(0)
    columns = (rng.uniform(0, 24, _COUNT), rng.poisson(3, _COUNT), rng.normal(size=_COUNT))
    x = np.stack(columns, axis=1)
    left_out = np.arange(_COUNT)[:, None] % _MEMBERS == np.arange(_MEMBERS)
    recalibrate(rows, x, None, left_out)
    found = rows.parameters["recalibration"]
    assert found[0] == 0.0  # of the circle
    below, up_to = (end[..., 1:] for end in ends_of_bins(rows, x))
    # Averages over 2,001 points of each bin, in place of a formula.
    share = np.linspace(0.0, 1.0, 2_001)[:, None, None, None]
    u = below + share * (up_to - below)
    squares = ((u - 0.5) ** 2).mean(axis=0)[left_out].mean(axis=0)
    spread = u.var(axis=2).mean(axis=(0, 1))
    measured = 30.0 * (1.0 / 12.0 - squares + spread)
    prior, precision = 0.3 * (1.0 - 1.0 / _MEMBERS), _COUNT / 5.0 * 0.1**2
    expected = (prior + precision * measured) / (1.0 + precision)
    np.testing.assert_allclose(found[1:], expected, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [-0.8, 0.8])
def test_what_is_drawn_has_the_recalibrated_density(rows, weight):
    rows.recalibrate([0.0, weight, weight])
    drawn = rows.sample(3000, seed=1).numpy()
    # The distribution function of the last number, given the others, is uniform.
    _, up_to = ends_of_bins(rows, drawn)
    p = up_to[..., 2].mean(axis=1)
    u = (1.0 - weight) * p + weight * p**2 * (3.0 - 2.0 * p)
    assert scipy.stats.kstest(u, "uniform").pvalue > 0.01
    assert scipy.stats.kstest(p, "uniform").pvalue < 0.01
    # Far out, the densities of the two numbers change by the factor 1 - weight each.
    far = drawn[:20] + [0.0, 40.0, 1e3]
    recalibrated = rows.log_prob(far).numpy()
    rows.recalibrate([0.0, 0.0, 0.0])
    least = 2.0 * np.log1p(-weight)
    np.testing.assert_allclose(recalibrated - rows.log_prob(far).numpy(), least, rtol=1e-3)


def known_rows(count, seed):
    """Rows of a kind, a length or spike given it, and a count given both; their density."""
    rng = np.random.default_rng(seed)
    kind = (rng.random(count) < 0.4).astype(int)
    spike = np.array([0.1, 0.5])[kind]
    is_zero = rng.random(count) < spike
    law = scipy.stats.lognorm(0.5, scale=np.exp(kind))
    length = np.where(is_zero, 0.0, law.rvs(random_state=rng))
    poisson = scipy.stats.poisson(np.array([2.0, 6.0])[kind] + length)
    number = poisson.rvs(random_state=rng)
    log_prob = np.log(np.array([0.6, 0.4])[kind]) + poisson.logpmf(number)
    density = law.logpdf(np.where(is_zero, 1.0, length)) + np.log(1.0 - spike)
    frame = {"kind": np.array(["a", "b"])[kind], "length": length, "number": number}
    return frame, log_prob + np.where(is_zero, np.log(spike), density)


@pytest.mark.slow
def test_a_fitted_density_is_within_a_twentieth_of_a_nat_of_a_known_one():
    train, _ = known_rows(4000, seed=0)
    columns = tff.describe_columns(train)
    assert [c.kind for c in columns] == ["categorical", "positive", "integer"]
    assert columns["length"].spikes == [0.0]
    table = tff.TableDensity(columns, seed=0)
    table.fit(train, epochs=60, patience=15)
    test, log_prob = known_rows(4000, seed=1)
    assert -0.01 < np.mean(log_prob - table.log_prob(test)) < 0.05
