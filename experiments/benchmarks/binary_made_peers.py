"""A binary MADE in PyTorch, as masked linear layers and a loop over the pixels.

After https://github.com/karpathy/pytorch-made: masks are multiplied with the weights in
every pass, and of a cycle the next ones are drawn again before each step.
"""

import numpy as np

from experiments.benchmarks.timing import Contender

__all__ = ["torch_sampling", "torch_training"]


def torch_training(workload, *, num_threads, num_masks=1):
    """A training step: loss, gradient, Adam.

    Args:
      workload: a `Workload`.
      num_threads: of PyTorch.
      num_masks: length of the cycle of masks.
    """
    import torch  # not needed by anything else

    model = _made(torch, workload)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    x = torch.from_numpy(workload.batch())

    def run():
        torch.set_num_threads(num_threads)
        for index in range(workload.calls):
            if num_masks > 1:
                _set_masks(torch, model, workload, seed=index % num_masks)
            optimizer.zero_grad()
            logits = model(x)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, x, reduction="none"
            )
            loss = loss.sum(-1).mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    cycle = f", {num_masks} masks" if num_masks > 1 else ""
    name = f"PyTorch masked linear{cycle}, {num_threads} threads"
    return Contender(name, run, workload.calls, _size(model))


def torch_sampling(workload, *, num_threads):
    """Samples by D passes.

    Args:
      workload: a `Workload`.
      num_threads: of PyTorch.
    """
    import torch

    model = _made(torch, workload)
    torch.manual_seed(0)

    @torch.no_grad()
    def run():
        torch.set_num_threads(num_threads)
        x = torch.zeros(workload.batch_size, workload.event_size)
        for i in range(workload.event_size):
            x[:, i] = torch.bernoulli(torch.sigmoid(model(x)[:, i]))
        return x.mean().item()

    return Contender(f"PyTorch, D passes, {num_threads} threads", run, 1, _size(model))


def _made(torch, workload):
    size, units = workload.event_size, workload.units
    model = torch.nn.Sequential(
        _masked_linear(torch, size, units),
        torch.nn.ReLU(),
        _masked_linear(torch, units, size),
    )
    degrees = np.arange(1, size + 1)
    _mask(torch, model, degrees, 1 + np.arange(units) * (size - 1) // units)
    return model


def _set_masks(torch, model, workload, seed):
    """Draws an order and a connectivity, always the same for a seed."""
    rng = np.random.default_rng(seed)
    degrees = 1 + rng.permutation(workload.event_size)
    _mask(torch, model, degrees, rng.integers(1, workload.event_size, workload.units))


def _mask(torch, model, degrees, hidden):
    first, _, last = model
    for layer, mask in (
        (first, hidden[:, None] >= degrees[None]),
        (last, degrees[:, None] > hidden[None]),
    ):
        layer.mask.copy_(torch.from_numpy(mask))


def _masked_linear(torch, inputs, outputs):
    """A linear layer whose weight is multiplied by its `mask`, `[outputs, inputs]`."""

    class MaskedLinear(torch.nn.Linear):
        def __init__(self):
            super().__init__(inputs, outputs)
            self.register_buffer("mask", torch.ones(outputs, inputs))

        def forward(self, x):
            return torch.nn.functional.linear(x, self.mask * self.weight, self.bias)

    return MaskedLinear()


def _size(model):
    return sum(p.numel() for p in model.parameters())
