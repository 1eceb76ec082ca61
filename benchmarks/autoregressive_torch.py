"""The autoregressive workloads with PyTorch's nflows, normflows and zuko."""

from benchmarks import torch_contender
from benchmarks.torch_contender import Peer


def nflows(workload, *, num_threads):
    """Nflows' `MaskedAffineAutoregressiveTransform` with reversals between."""
    import torch
    from nflows import transforms
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow

    torch.manual_seed(0)
    steps = []
    for _ in range(workload.num_steps):
        step = transforms.MaskedAffineAutoregressiveTransform(
            workload.event_size, **_made(workload)
        )
        steps.append(transforms.InverseTransform(step) if workload.is_inverse else step)
        steps.append(transforms.ReversePermutation(workload.event_size))
    base = StandardNormal([workload.event_size])
    flow = torch_contender.near_identity(Flow(transforms.CompositeTransform(steps), base))
    methods = flow.log_prob, flow.sample, flow.sample_and_log_prob
    return torch_contender.flow_contender(
        Peer("nflows", flow, *methods), workload, num_threads
    )


def normflows(workload, *, num_threads):
    """Normflows' `MaskedAffineAutoregressive`, an IAF as it is, with permutations between.

    Its network has no activation after the first layer.
    """
    import normflows
    import torch

    torch.manual_seed(0)
    steps = []
    for _ in range(workload.num_steps):
        step = normflows.flows.MaskedAffineAutoregressive(
            workload.event_size, **_made(workload)
        )
        steps.append(step if workload.is_inverse else normflows.flows.Reverse(step))
        steps.append(normflows.flows.Permute(workload.event_size))
    base = normflows.distributions.DiagGaussian(workload.event_size, trainable=False)
    flow = normflows.NormalizingFlow(base, steps)
    peer = Peer(
        "normflows", flow, flow.log_prob, lambda count: flow.sample(count)[0], flow.sample
    )
    return torch_contender.flow_contender(peer, workload, num_threads)


def zuko(workload, *, num_threads):
    """Zuko's `MaskedAutoregressiveTransform`, in reversed orders."""
    import torch
    import zuko

    torch.manual_seed(0)
    order = torch.arange(workload.event_size)
    steps = []
    for k in range(workload.num_steps):
        step = zuko.flows.MaskedAutoregressiveTransform(
            workload.event_size,
            order=order.flip(0) if k % 2 else order,
            hidden_features=workload.hidden_units,
        )
        steps.append(step.inv if workload.is_inverse else step)
    return torch_contender.zuko_contender(workload, steps, num_threads)


def _made(workload):
    """Arguments of a MADE of two equal hidden layers, in nflows and in its successors."""
    first, second = workload.hidden_units
    if first != second:
        raise ValueError(f"Expected two equal `hidden_units`; got {workload.hidden_units}.")
    return {"hidden_features": first, "num_blocks": 1, "use_residual_blocks": False}
