"""Spline flows of zuko and nflows, fitted to rows with early stopping."""

import copy
import sys
import time

import numpy as np

_BATCH_SIZE, _PATIENCE, _MOST_EPOCHS = 100, 20, 2000
_MOST_SECONDS = 1200.0


def zuko_flow(size):
    """Returns a `zuko.flows.NSF` with its defaults, and its learning rate."""
    import zuko

    flow = zuko.flows.NSF(size)
    return flow, lambda x: flow().log_prob(x), 1e-3


def nflows_flow(size):
    """Returns a coupling spline flow of nflows, and its rate.

    Sizes are sbi's defaults: five steps of 50 units and ten bins, an LU mixing each.
    """
    from nflows import distributions, flows, transforms
    from nflows.nn import nets
    from nflows.utils import torchutils

    def network(features, parameters):
        return nets.ResidualNet(features, parameters, hidden_features=50, num_blocks=2)

    steps = []
    for step in range(5):
        steps += [
            transforms.PiecewiseRationalQuadraticCouplingTransform(
                torchutils.create_alternating_binary_mask(size, even=step % 2 == 0),
                network,
                num_bins=10,
                tails="linear",
                tail_bound=3.0,
            ),
            transforms.LULinear(size, identity_init=True),
        ]
    base = distributions.StandardNormal([size])
    flow = flows.Flow(transforms.CompositeTransform(steps), base)
    return flow, flow.log_prob, 5e-4


FLOWS = {"zuko": zuko_flow, "nflows": nflows_flow}


def fit(name, train, test):
    """Returns log-densities of test rows, `[n]`, in nats; a tenth of `train` validates."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    train, test = ((rows - mean) / scale for rows in (train, test))
    order = np.random.default_rng(0).permutation(len(train))
    count = max(len(train) // 10, 1)
    to_tensor = torch.as_tensor
    rows = to_tensor(train[order[count:]], dtype=torch.float32)
    judged = to_tensor(train[order[:count]], dtype=torch.float32)
    flow, log_prob, rate = FLOWS[name](train.shape[1])
    optimizer = torch.optim.Adam(flow.parameters(), lr=rate)
    best, waited, start = -np.inf, 0, time.monotonic()
    weights = copy.deepcopy(flow.state_dict())
    for _ in range(_MOST_EPOCHS):
        flow.train()
        for batch in torch.split(rows[torch.randperm(len(rows))], _BATCH_SIZE):
            optimizer.zero_grad()
            (-log_prob(batch).mean()).backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimizer.step()
        value = score(flow, log_prob, judged).mean()
        waited += 1
        if value > best:
            best, waited, weights = value, 0, copy.deepcopy(flow.state_dict())
        if waited >= _PATIENCE or time.monotonic() - start > _MOST_SECONDS:
            break
    flow.load_state_dict(weights)
    test = to_tensor(test, dtype=torch.float32)
    return score(flow, log_prob, test) - np.log(scale).sum()


def score(flow, log_prob, rows):
    """Returns log-densities of rows, `[n]`."""
    import torch

    flow.eval()
    with torch.no_grad():
        parts = [log_prob(part) for part in torch.split(rows, 5000)]
    return torch.cat(parts).numpy().astype(np.float64)


if __name__ == "__main__":
    _, library, given, found = sys.argv
    with np.load(given) as arrays:
        np.save(found, fit(library, arrays["train"], arrays["test"]))
