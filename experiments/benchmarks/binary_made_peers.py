"""A binary MADE in PyTorch, as masked linear layers and a loop over the pixels."""

import numpy as np

from experiments.benchmarks.timing import Contender

__all__ = ["torch_sampling", "torch_training"]


def torch_training(workload, num_threads):
    """A training step: loss, gradient, Adam.

    Args:
      workload: a `Workload` of `binary_made`.
      num_threads: of PyTorch.
    """
    import torch  # not needed by anything else

    model = _made(torch, workload)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    x = torch.from_numpy(workload.batch())

    def run():
        torch.set_num_threads(num_threads)
        for _ in range(workload.calls):
            optimizer.zero_grad()
            logits = model(x)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits, x, reduction="none"
            )
            loss = loss.sum(-1).mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    name = f"PyTorch masked linear, threads={num_threads}"
    return Contender(name, run, workload.calls, _size(model))


def torch_sampling(workload, num_threads):
    """Samples by D passes.

    Args:
      workload: a `Workload` of `binary_made`.
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

    return Contender(f"PyTorch, D passes, threads={num_threads}", run, 1, _size(model))


def _made(torch, workload):
    size, units = workload.event_size, workload.units
    degrees = np.arange(1, size + 1)
    hidden = 1 + np.arange(units) * (size - 1) // units
    return torch.nn.Sequential(
        _masked_linear(torch, hidden[:, None] >= degrees[None]),
        torch.nn.ReLU(),
        _masked_linear(torch, degrees[:, None] > hidden[None]),
    )


def _masked_linear(torch, mask):
    """A linear layer whose weight is multiplied by `mask`, `[outputs, inputs]`."""

    class MaskedLinear(torch.nn.Linear):
        def __init__(self):
            super().__init__(mask.shape[1], mask.shape[0])
            self.register_buffer("mask", torch.from_numpy(mask.astype(np.float32)))

        def forward(self, x):
            return torch.nn.functional.linear(x, self.mask * self.weight, self.bias)

    return MaskedLinear()


def _size(model):
    return sum(p.numel() for p in model.parameters())
