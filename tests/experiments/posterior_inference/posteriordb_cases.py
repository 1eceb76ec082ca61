"""Small data of models of posteriordb, and their densities written out in NumPy.

One model of each kind. Of the time series, one has errors and one has variances that depend
on earlier ones.
"""

import numpy as np
import scipy.integrate
import scipy.stats as st

__all__ = ["CASES", "PARTS", "write"]


def _schools(row, data):
    theta, mu, tau = row[:8], row[8], row[9]
    log_prob = st.norm.logpdf(data["y"], theta, data["sigma"]).sum()
    log_prob += st.norm.logpdf(theta, mu, tau).sum() + st.norm.logpdf(mu, 0.0, 5.0)
    return log_prob + st.halfcauchy.logpdf(tau, scale=5.0)


def _garch(row, data):
    mu, a0, a1, b1 = row
    log_prob, variance = 0.0, data["sigma1"] ** 2
    for t, y in enumerate(data["y"]):
        if t > 0:
            variance = a0 + a1 * (data["y"][t - 1] - mu) ** 2 + b1 * variance
        log_prob += st.norm.logpdf(y, mu, np.sqrt(variance))
    return log_prob


def _arma(row, data):
    mu, phi, theta, sigma = row
    y, error, log_prob = data["y"], 0.0, st.halfcauchy.logpdf(sigma, scale=2.5)
    for t in range(len(y)):
        error = y[t] - mu - phi * (y[t - 1] if t else mu) - theta * error
        log_prob += st.norm.logpdf(error, 0.0, sigma)
    return log_prob + st.norm.logpdf([mu, phi, theta], 0.0, [10.0, 2.0, 2.0]).sum()


def _process(row, data):
    rho, alpha, f = row[0], row[1], row[2:]
    squares = (data["x"][:, None] - data["x"]) ** 2
    kernel = alpha**2 * np.exp(-0.5 * squares / rho**2) + 1e-10 * np.eye(len(f))
    log_prob = st.multivariate_normal.logpdf(f, cov=kernel, allow_singular=False)
    log_prob += st.poisson.logpmf(data["k"], np.exp(f)).sum()
    return log_prob + st.gamma.logpdf(rho, 25.0, scale=0.25) + _half(alpha, 2.0)


def _lotka_volterra(row, data):
    a, b, c, e = row[:4]
    z_init, sigma = row[4:6], row[6:]

    def slope(_, z):
        return [(a - b * z[1]) * z[0], (-c + e * z[0]) * z[1]]

    times = [0.0, data["ts"][-1]]
    solved = scipy.integrate.solve_ivp(
        slope, times, z_init, t_eval=data["ts"], rtol=1e-10, atol=1e-10
    )
    priors = st.norm.logpdf(row[:4], [1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05])
    return (
        priors.sum()
        + _log_normal(z_init, np.log(10.0), 1.0)
        + _log_normal(sigma, -1.0, 1.0)
        + _log_normal(data["y_init"], np.log(z_init), sigma)
        + _log_normal(data["y"], np.log(solved.y.T), sigma)
    )


def _mixture(row, data):
    (first, second), deviations, theta = row[:2], row[2:4], row[4]
    terms = [
        np.log(theta) + st.norm.logpdf(data["y"], first, deviations[0]),
        np.log1p(-theta) + st.norm.logpdf(data["y"], second, deviations[1]),
    ]
    log_prob = np.logaddexp(*terms).sum() + st.beta.logpdf(theta, 5.0, 5.0)
    return log_prob + st.norm.logpdf(row[:2], 0.0, 2.0).sum() + _half(deviations, 2.0).sum()


def _kidscore(row, data):
    mean = row[0] + row[1] * data["mom_hs"] + row[2] * data["mom_iq"]
    log_prob = st.norm.logpdf(data["kid_score"], mean, row[3]).sum()
    return log_prob + st.halfcauchy.logpdf(row[3], scale=2.5)


def _half(x, scale):
    return st.halfnorm.logpdf(x, scale=scale)


def _log_normal(x, loc, scale):
    return (st.norm.logpdf(np.log(x), loc, scale) - np.log(x)).sum()


_RNG = np.random.default_rng(0)
_WALK = np.cumsum(_RNG.normal(size=40)) / 5.0


# By name: log-density of a row of parameters, data, and a row of parameters.
CASES = {
    "arma-arma11": (_arma, {"y": _WALK}, [0.1, 0.8, 0.3, 0.3]),
    "eight_schools-eight_schools_noncentered": (
        _schools,
        {"J": 8, "y": _RNG.normal(5, 10, 8), "sigma": _RNG.uniform(9, 18, 8)},
        [*_RNG.normal(5, 3, 8), 4.0, 3.0],
    ),
    "garch-garch11": (_garch, {"y": _WALK, "sigma1": 0.5}, [0.2, 0.1, 0.4, 0.3]),
    "gp_pois_regr-gp_pois_regr": (
        _process,
        {"x": np.linspace(-10, 10, 5), "k": np.array([4.0, 9.0, 2.0, 1.0, 6.0])},
        [5.0, 2.0, 1.2, 2.0, 1.0, 0.2, 1.7],
    ),
    "hudson_lynx_hare-lotka_volterra": (
        _lotka_volterra,
        {
            "ts": np.array([1.0, 2.0, 2.5, 4.0, 6.0, 10.0, 20.0]),
            "y_init": np.array([30.0, 4.0]),
            "y": _RNG.uniform(4, 60, (7, 2)),
        },
        [0.55, 0.028, 0.8, 0.024, 34.0, 6.0, 0.25, 0.25],
    ),
    "low_dim_gauss_mix-low_dim_gauss_mix": (
        _mixture,
        {"y": np.concatenate([_RNG.normal(-2, 1, 20), _RNG.normal(3, 1, 10)])},
        [-2.0, 3.0, 1.0, 0.8, 0.6],
    ),
    "kidiq-kidscore_momhsiq": (
        _kidscore,
        {
            "mom_hs": _RNG.integers(2, size=30).astype(float),
            "mom_iq": _RNG.uniform(80.0, 120.0, 30),
            "kid_score": _RNG.uniform(80.0, 120.0, 30),
        },
        [25.0, 6.0, 0.5, 18.0],
    ),
}


def _parts_of_schools(rows, data):
    theta, mean, spread = rows[:, :-2], rows[:, -2], rows[:, -1]
    return [mean, spread, (theta - mean[:, None]) / spread[:, None]]


def _parts_of_garch(rows, data):
    mu, a0, a1, b1 = rows.T
    return [mu, a0, a1, b1 / (1.0 - a1)]


def _parts_of_process(rows, data):
    rho, alpha, f = rows[:, 0], rows[:, 1], rows[:, 2:]
    squares = (data["x"][:, None] - data["x"]) ** 2 / rho[:, None, None] ** 2
    kernel = alpha[:, None, None] ** 2 * np.exp(-0.5 * squares)
    factor = np.linalg.cholesky(kernel + 1e-10 * np.eye(f.shape[1]))
    return [rho, alpha, np.linalg.solve(factor, f[..., None].astype(float))[..., 0]]


# Parts whose parameters are not themselves; functions of rows of parameters, and the data.
PARTS = {
    "eight_schools-eight_schools_noncentered": _parts_of_schools,
    "garch-garch11": _parts_of_garch,
    "gp_pois_regr-gp_pois_regr": _parts_of_process,
}


def write(name, folder):
    """Writes the file of a case with ten draws near its row; returns the draws."""
    _, data, row = CASES[name]
    row = np.asarray(row, np.float64)
    draws = row + 0.02 * np.abs(row) * np.random.default_rng(1).normal(size=(10, len(row)))
    folder.mkdir(exist_ok=True)
    np.savez(
        folder / f"{name}.npz",
        parameter_names=[f"p[{i}]" for i in range(len(row))],
        draws=draws,
        **{f"data_{key}": value for key, value in data.items()},
    )
    return draws
