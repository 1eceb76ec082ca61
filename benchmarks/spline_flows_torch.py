"""Neural spline flows of PyTorch's nflows and zuko."""

import functools

from benchmarks import torch_contender
from benchmarks.torch_contender import Peer


def nflows(workload, *, num_threads):
    """Nflows' splines as its authors stack them, with permutations and LU mixings."""
    return torch_contender.flow_contender(_nflows(workload), workload, num_threads)


def zuko(workload, *, num_threads):
    """Zuko's `NSF`, which has no mixings; `passes=2` makes couplings of its steps."""
    return torch_contender.flow_contender(_zuko(workload), workload, num_threads)


def train(name, workload, rows, budget, *, num_threads):
    """Returns a `Contender` that trains on rows for a turn, and scores others.

    `name` is "nflows" or "zuko".
    """
    import torch

    peer = {"nflows": _nflows, "zuko": _zuko}[name](workload)
    return torch_contender.budgeted(
        peer, torch.tensor, rows, budget, num_threads=num_threads
    )


def _nflows(workload):
    import torch
    from nflows import transforms
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow

    torch.manual_seed(0)
    size, steps = workload.event_size, []
    for step in range(workload.num_steps):
        steps += [*_nflows_mixing(size), _nflows_step(workload, step)]
    steps += _nflows_mixing(size)
    flow = Flow(transforms.CompositeTransform(steps), StandardNormal([size]))
    return Peer("nflows", flow, flow.log_prob, flow.sample)


def _zuko(workload):
    import torch
    import zuko

    torch.manual_seed(0)
    flow = zuko.flows.NSF(
        workload.event_size,
        bins=workload.num_bins,
        transforms=workload.num_steps,
        passes=2 if workload.coupling else None,
        hidden_features=workload.hidden_units[:-1],  # one block for each
        residual=True,
    )
    return Peer(
        "zuko", flow, lambda x: flow().log_prob(x), lambda count: flow().sample((count,))
    )


def _nflows_mixing(size):
    from nflows import transforms

    return [
        transforms.RandomPermutation(size),
        transforms.LULinear(size, identity_init=True),
    ]


def _nflows_step(workload, step):
    from nflows import transforms
    from nflows.nn.nets import ResidualNet
    from nflows.utils import create_alternating_binary_mask

    spline = {"num_bins": workload.num_bins, "tails": "linear", "tail_bound": 3.0}
    network = {
        "hidden_features": workload.hidden_units[0],
        "num_blocks": workload.num_blocks,
    }
    if not workload.coupling:
        return transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            workload.event_size, use_residual_blocks=True, **network, **spline
        )
    return transforms.PiecewiseRationalQuadraticCouplingTransform(
        create_alternating_binary_mask(workload.event_size, even=step % 2 == 0),
        functools.partial(ResidualNet, **network),
        apply_unconditional_transform=True,
        **spline,
    )
