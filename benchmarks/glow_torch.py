"""The same Glow, built from the parts of PyTorch's normflows, nflows and FrEIA.

Levels, steps, widths, kernel sizes and batch are equal; the optimizer is Adam.
"""

import math

from benchmarks import torch_contender
from benchmarks.torch_contender import Peer


def normflows(workload):
    """`MultiscaleFlow` of `GlowBlock`s, with a diagonal Gaussian at each level."""
    import normflows as nf

    levels = workload.level_shapes()[::-1]
    bases, flows = [], []
    for index, (size, channels) in enumerate(levels):
        blocks = [
            nf.flows.GlowBlock(channels, workload.hidden_channels)
            for _ in range(workload.num_steps)
        ]
        flows.append([*blocks, nf.flows.Squeeze()])
        latent = channels if index == 0 else channels // 2
        bases.append(nf.distributions.DiagGaussian((latent, size, size), trainable=False))
    merges = [nf.flows.Merge() for _ in levels[1:]]
    model = nf.MultiscaleFlow(bases, flows, merges, class_cond=False)
    return Peer(
        "normflows",
        model,
        lambda x: model.log_prob(x, None),
        lambda count: model.sample(count)[0],
    )


def nflows(workload):
    """`MultiscaleCompositeTransform` of act norm, 1x1 convolution and affine coupling."""
    import torch
    from nflows import transforms
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow

    def network(inputs, outputs):
        layers = _layers(inputs, workload.hidden_channels, outputs)
        return torch_contender.without_context(*layers)

    multi_scale = transforms.MultiscaleCompositeTransform(workload.num_levels)
    for size, channels in workload.level_shapes():
        steps = [transforms.SqueezeTransform()]
        # nflows transforms what is positive in its mask.
        mask = torch.arange(channels) >= channels // 2
        for _ in range(workload.num_steps):
            steps += [
                transforms.ActNorm(channels),
                transforms.OneByOneConvolution(channels),
                transforms.AffineCouplingTransform(mask.int(), network),
            ]
        multi_scale.add_transform(
            transforms.CompositeTransform(steps), (channels, size, size)
        )
    flow = Flow(multi_scale, StandardNormal([workload.event_size]))
    return Peer("nflows", flow, flow.log_prob, flow.sample)


def freia(workload):
    """A `GraphINN` of `AllInOneBlock`s: coupling, global affine map, fixed rotation."""
    import FrEIA.framework as ff
    import FrEIA.modules as fm
    import torch

    def network(inputs, outputs):
        return torch.nn.Sequential(*_layers(inputs, workload.hidden_channels, outputs))

    height, width, channels = workload.image_shape
    nodes = [ff.InputNode(channels, height, width)]
    outputs = []
    for level in range(workload.num_levels):
        nodes.append(ff.Node(nodes[-1], fm.IRevNetDownsampling, {}))
        for _ in range(workload.num_steps):
            arguments = {"subnet_constructor": network}
            nodes.append(ff.Node(nodes[-1], fm.AllInOneBlock, arguments))
        if level < workload.num_levels - 1:
            nodes.append(ff.Node(nodes[-1], fm.Split, {}))
            outputs.append(ff.OutputNode(nodes[-1].out1))
            nodes.append(ff.Node(nodes[-1].out0, fm.PermuteRandom, {"seed": 0}))
    outputs.append(ff.OutputNode(nodes[-1]))
    model = ff.GraphINN([*nodes, *outputs], verbose=False)

    def log_prob(x):
        latents, log_det = model(x)
        squares = sum(z.flatten(1).square().sum(dim=1) for z in latents)
        return log_det - 0.5 * (squares + x[0].numel() * math.log(2.0 * math.pi))

    with torch.no_grad():
        zeros = torch.zeros(workload.batch_size, channels, height, width)
        shapes = [z.shape for z in model(zeros)[0]]

    def sample(count):
        del count  # `shapes` has the number of draws
        return model([torch.randn(shape) for shape in shapes], rev=True)[0]

    return Peer("FrEIA", model, log_prob, sample)


def time(build, workload, *, num_threads):
    """Returns a `Contender` that trains, or draws from, what a function above builds."""
    import torch

    torch.manual_seed(0)
    peer = build(workload)
    x = _channels_first(workload.batch())
    with torch.no_grad():
        peer.log_prob(x)  # act norms take their statistics from the first batch

    def draw():
        with torch.no_grad():
            return peer.sample(workload.batch_size).mean().item()

    step = torch_contender.training_step(peer.parameters, peer.log_prob, x)
    return torch_contender.torch_contender(
        peer.name,
        peer.parameters,
        step if workload.trains else draw,
        workload.calls,
        num_threads=num_threads,
    )


def train(build, workload, images, budget, *, num_threads):
    """Returns a `Contender` that trains what a function above builds, and scores it."""
    import torch

    torch.manual_seed(0)
    peer = build(workload)
    return torch_contender.budgeted(
        peer, _channels_first, images, budget, num_threads=num_threads
    )


def _channels_first(images):
    import torch

    return torch.tensor(images).permute(0, 3, 1, 2).contiguous()


def _layers(inputs, hidden, outputs):
    import torch

    last = torch.nn.Conv2d(hidden, outputs, 3, padding=1)
    torch.nn.init.zeros_(last.weight)  # the identity at first, as ours
    torch.nn.init.zeros_(last.bias)
    return [
        torch.nn.Conv2d(inputs, hidden, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(hidden, hidden, 1),
        torch.nn.ReLU(),
        last,
    ]
