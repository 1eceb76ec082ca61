"""Contenders in PyTorch; callers must import torch themselves."""

import dataclasses
from collections.abc import Callable

from benchmarks.budgeted_training import BudgetedTraining
from benchmarks.timing import Contender


@dataclasses.dataclass(frozen=True)
class Peer:
    """A flow of another library.

    Attributes:
      name: name of the library.
      module: a `torch.nn.Module`.
      log_prob: function of a tensor of images, `[N, C, H, W]`, or rows.
      sample: function of the number of samples.
      sample_and_log_prob: likewise; None if it is not timed.
    """

    name: str
    module: object
    log_prob: Callable
    sample: Callable
    sample_and_log_prob: Callable | None = None

    @property
    def parameters(self):
        """The trainable parameters."""
        return [p for p in self.module.parameters() if p.requires_grad]


def torch_contender(name, parameters, work, calls, *, num_threads):
    """Returns a `Contender` that calls `work()`, which returns a number, `calls` times."""
    import torch

    def run():
        torch.set_num_threads(num_threads)
        for _ in range(calls):
            result = work()
        return result

    count = sum(parameter.numel() for parameter in parameters)
    return Contender(f"{name}, {num_threads} threads", run, calls, count)


def training_step(parameters, log_prob, x):
    """Returns a function that takes one step of Adam and returns the loss."""
    import torch

    optimizer = torch.optim.Adam(parameters, lr=1e-4)

    def step():
        optimizer.zero_grad()
        loss = -log_prob(x).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def budgeted(peer, to_tensor, data, budget, *, num_threads):
    """Returns a `Contender` that in each run trains for a turn, and scores test data.

    `to_tensor` turns an array into an argument of `peer.log_prob`.
    """
    import torch

    torch.set_num_threads(num_threads)
    parameters = peer.parameters
    optimizer = torch.optim.Adam(parameters)

    def step(x, learning_rate):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad()
        loss = -peer.log_prob(to_tensor(x)).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, budget.clip_norm)
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def score(x):
        return peer.log_prob(to_tensor(x)).numpy()

    # Scoring does the data-dependent initialisation.
    training = BudgetedTraining(score, step, score, data, budget)
    count = sum(parameter.numel() for parameter in parameters)
    return training.contender(f"{peer.name}, {num_threads} threads", count)


def without_context(*layers):
    """Returns layers in sequence that ignore the context argument of nflows."""
    import torch

    class Network(torch.nn.Sequential):
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    return Network(*layers)


def masked_linear(mask):
    """Returns a linear layer whose weight is multiplied by `mask`, `[outputs, inputs]`."""
    import torch

    class MaskedLinear(torch.nn.Linear):
        def __init__(self):
            super().__init__(mask.shape[1], mask.shape[0])
            self.register_buffer("mask", mask.float())

        def forward(self, x):
            return torch.nn.functional.linear(x, self.mask * self.weight, self.bias)

    return MaskedLinear()


def flow_contender(peer, workload, num_threads):
    """Returns the `Contender` that does `workload.task` with a flow."""
    import torch

    x = torch.tensor(workload.batch())

    @torch.no_grad()
    def draw():
        return peer.sample(workload.batch_size).mean().item()

    @torch.no_grad()
    def score():
        return peer.log_prob(x).mean().item()

    @torch.no_grad()
    def draw_and_score():
        y, log_probs = peer.sample_and_log_prob(workload.batch_size)
        return (y.mean() + log_probs.mean()).item()

    work = {"sample": draw, "score": score, "sample_and_score": draw_and_score}
    if workload.task == "train":
        work["train"] = training_step(peer.parameters, peer.log_prob, x)
    task, calls = work[workload.task], workload.calls
    return torch_contender(peer.name, peer.parameters, task, calls, num_threads=num_threads)


def near_identity(flow):
    """Returns a flow with all weights divided by 10; otherwise 64 steps overflow."""
    for parameter in flow.parameters():
        parameter.data *= 0.1
    return flow


def zuko_contender(workload, steps, num_threads):
    """The `flow_contender` of zuko's lazy transforms over a standard normal."""
    import torch
    import zuko

    base = zuko.lazy.UnconditionalDistribution(
        zuko.distributions.DiagNormal,
        torch.zeros(workload.event_size),
        torch.ones(workload.event_size),
        buffer=True,
    )
    flow = near_identity(zuko.lazy.Flow(steps, base))
    peer = Peer(
        "zuko",
        flow,
        lambda x: flow().log_prob(x),
        lambda count: flow().sample((count,)),
        lambda count: flow().rsample_and_log_prob((count,)),
    )
    return flow_contender(peer, workload, num_threads)
