"""RealNVP of PyTorch's nflows and zuko: couplings of as many steps and units as ours."""

import numpy as np

from benchmarks import torch_contender


def nflows(workload, *, num_threads):
    """Nflows' affine couplings, whose scale is `sigmoid(s + 2) + 0.001`."""
    import torch
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform
    from nflows.transforms.coupling import AffineCouplingTransform

    def network(inputs, outputs):
        widths = (inputs, *workload.hidden_units)
        layers = []
        for a, b in zip(widths[:-1], widths[1:], strict=True):
            layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
        last = torch.nn.Linear(widths[-1], outputs)
        return torch_contender.without_context(*layers, last)

    torch.manual_seed(0)
    steps = [
        # nflows transforms what is positive in its mask.
        AffineCouplingTransform(torch.tensor(1 - mask.astype(int)), network)
        for mask in _masks(workload)
    ]
    flow = Flow(CompositeTransform(steps), StandardNormal([workload.event_size]))
    flow = torch_contender.near_identity(flow)
    peer = torch_contender.Peer("nflows", flow, flow.log_prob, flow.sample)
    return torch_contender.flow_contender(peer, workload, num_threads)


def zuko(workload, *, num_threads):
    """Zuko's `GeneralCouplingTransform`, affine as it is."""
    import torch
    import zuko

    torch.manual_seed(0)
    steps = [
        zuko.flows.GeneralCouplingTransform(
            workload.event_size, mask=mask, hidden_features=workload.hidden_units
        )
        for mask in _masks(workload)
    ]
    return torch_contender.zuko_contender(workload, steps, num_threads)


def _masks(workload):
    """The variables that pass each step: even and odd ones in turns."""
    even = np.arange(workload.event_size) % 2 == 0
    return [even if k % 2 == 0 else ~even for k in range(workload.num_steps)]
