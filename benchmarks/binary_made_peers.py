"""A binary MADE in PyTorch, as masked linear layers and a loop over the pixels.

After https://github.com/karpathy/pytorch-made: masks are multiplied with the weights in
every pass. With several masks, a step first draws those of the next seed in a cycle.
"""

import itertools

import numpy as np

from benchmarks import torch_contender


def torch_training(workload, *, num_threads, num_masks=1):
    """A training step: loss, gradient, Adam."""
    import torch  # not needed by anything else

    model = _made(workload)
    seeds = itertools.cycle(range(num_masks))

    def log_prob(x):
        if num_masks > 1:
            _set_masks(model, workload, seed=next(seeds))
        cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
        return -cross_entropy(model(x), x, reduction="none").sum(-1)

    parameters = list(model.parameters())
    x = torch.from_numpy(workload.batch())
    step = torch_contender.training_step(parameters, log_prob, x)
    cycle = f", {num_masks} masks" if num_masks > 1 else ""
    name = f"PyTorch masked linear{cycle}"
    return torch_contender.torch_contender(
        name, parameters, step, workload.calls, num_threads=num_threads
    )


def torch_sampling(workload, *, num_threads):
    """Samples by D passes."""
    import torch

    model = _made(workload)
    torch.manual_seed(0)

    @torch.no_grad()
    def draw():
        x = torch.zeros(workload.batch_size, workload.event_size)
        for i in range(workload.event_size):
            x[:, i] = torch.bernoulli(torch.sigmoid(model(x)[:, i]))
        return x.mean().item()

    parameters = list(model.parameters())
    return torch_contender.torch_contender(
        "PyTorch, D passes", parameters, draw, 1, num_threads=num_threads
    )


def _made(workload):
    import torch

    size, units = workload.event_size, workload.units
    layers = [torch.ones(units, size), torch.ones(size, units)]
    first, last = map(torch_contender.masked_linear, layers)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), last)
    _mask(model, np.arange(1, size + 1), 1 + np.arange(units) * (size - 1) // units)
    return model


def _set_masks(model, workload, seed):
    """Draws an order and a connectivity, always the same for a seed."""
    rng = np.random.default_rng(seed)
    degrees = 1 + rng.permutation(workload.event_size)
    _mask(model, degrees, rng.integers(1, workload.event_size, workload.units))


def _mask(model, degrees, hidden):
    import torch

    first, _, last = model
    first.mask.copy_(torch.from_numpy(hidden[:, None] >= degrees[None]))
    last.mask.copy_(torch.from_numpy(degrees[:, None] > hidden[None]))
