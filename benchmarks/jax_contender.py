"""Contenders in JAX; callers must import JAX themselves."""

from benchmarks.timing import Contender


def contender(name, work, calls, weights):
    """Returns a `Contender` that calls `work(seed)`, which returns a number."""
    import jax

    def run():
        for seed in range(calls):
            result = float(work(seed))
        return result

    count = sum(leaf.size for leaf in jax.tree_util.tree_leaves(weights))
    return Contender(name, run, calls, count)


def training_step(loss, weights):
    """Returns a jitted function of a seed that takes one step of Adam.

    `loss` is a function of weights, whose initial values are `weights`.
    """
    import jax
    import optax

    optimizer = optax.adam(1e-4)

    @jax.jit
    def step(weights, state):
        value, gradients = jax.value_and_grad(loss)(weights)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(weights, updates), state, value

    current = [weights, optimizer.init(weights)]

    def work(_):
        *current[:], value = step(*current)
        return value

    return work
