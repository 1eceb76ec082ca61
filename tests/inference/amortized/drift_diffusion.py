"""A drift between two bounds: choices and response times, and their exact density."""

import numpy as np

START, DELAY = 0.4, 0.2  # start of the path, a share of the bound; time before it begins
_TERMS = np.arange(-7, 8)[:, None, None]
_NUM_TIMES = 400  # at which distribution functions are computed


def log_density(up, time, drift, bound):
    """Log-density of choices and times, `[..., T]`, given parameters, `[..., 1]`.

    Reference:
      Navarro, Fuss (2009), Fast and accurate calculations for first-passage times in Wiener
      diffusion models. https://doi.org/10.1016/j.jmp.2009.02.003 (equations 5 and 6)
    """
    time = np.maximum(time - DELAY, 1e-9)
    drift, start = np.where(up, -drift, drift), np.where(up, 1.0 - START, START)
    unit = time / bound**2
    small = start + 2.0 * _TERMS
    small = np.sum(small * np.exp(-(small**2) / (2.0 * unit)), axis=0)
    k = np.arange(1, 16)[:, None, None]
    large = np.sum(
        k * np.exp(-0.5 * (k * np.pi) ** 2 * unit) * np.sin(k * np.pi * start), axis=0
    )
    density = np.where(unit < 0.3, small / np.sqrt(2.0 * np.pi * unit**3), np.pi * large)
    tilt = -drift * bound * start - 0.5 * drift**2 * time - 2.0 * np.log(bound)
    return np.log(np.maximum(density, 1e-300)) + tilt


def simulate(drift, bound, seed):
    """Choices, "up" or "down", and times, `[N]` each, by distribution functions."""
    rng, count = np.random.default_rng(seed), len(drift)
    drift, bound = (np.asarray(part, float)[:, None] for part in (drift, bound))
    safe = np.where(np.abs(drift) < 1e-6, 1e-6, drift)
    chance = np.expm1(-2.0 * safe * bound * START) / np.expm1(-2.0 * safe * bound)
    up = rng.uniform(size=(count, 1)) < chance
    times = np.linspace(0.0, 1.0, _NUM_TIMES) ** 2 * 8.0 * bound**2
    density = np.exp(log_density(up, times + DELAY, drift, bound))
    steps = 0.5 * (density[:, 1:] + density[:, :-1]) * np.diff(times, axis=1)
    below = np.cumsum(np.insert(steps, 0, 0.0, axis=1), axis=1)
    level = rng.uniform(size=count) * below[:, -1]
    found = [np.interp(*each) for each in zip(level, below, times, strict=True)]
    return {
        "choice": np.where(up[:, 0], "up", "down"),
        "time": np.array(found) + DELAY,
    }
