"""The same Glow, built from the peers' own parts.

Levels, steps, widths, kernel sizes and batch are equal; the optimizer is Adam. A peer that
is not installed is left out, and said to be.
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.benchmarks.glow_workloads import tf_contender
from experiments.benchmarks.timing import Contender

__all__ = ["freia", "nflows", "normflows", "tfp_glow"]

tfb = tfp.bijectors
tfd = tfp.distributions


def tfp_glow(workload, *, jit_compile):
    """TFP's `Glow` with its default networks, at the same width."""
    glow = tfb.Glow(
        output_shape=workload.image_shape,
        num_glow_blocks=workload.num_levels,
        num_steps_per_block=workload.num_steps,
        coupling_bijector_fn=functools.partial(
            tfb.GlowDefaultNetwork, num_hidden=workload.hidden_channels
        ),
        exit_bijector_fn=tfb.GlowDefaultExitNetwork,
        seed=0,
    )
    size = int(np.prod(workload.image_shape))
    base = tfd.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
    distribution = tfd.TransformedDistribution(base, glow)
    # It initialises its act norms by whatever passes first.
    distribution.log_prob(workload.batch())
    name = "TFP, XLA" if jit_compile else "TFP"
    return tf_contender(workload, distribution, name, jit_compile=jit_compile)


def normflows(workload, *, num_threads):
    """`MultiscaleFlow` of `GlowBlock`s."""
    import normflows as nf
    import torch

    torch.manual_seed(0)
    levels = workload.level_shapes()[::-1]
    bases, flows = [], []
    for index, (size, channels) in enumerate(levels):
        blocks = [
            nf.flows.GlowBlock(channels, workload.hidden_channels)
            for _ in range(workload.num_steps)
        ]
        flows.append([*blocks, nf.flows.Squeeze()])
        latent = channels if index == 0 else channels // 2
        shape = (latent, size, size)
        bases.append(nf.distributions.DiagGaussian(shape, trainable=False))
    merges = [nf.flows.Merge() for _ in levels[1:]]
    model = nf.MultiscaleFlow(bases, flows, merges, class_cond=False)
    return _torch_contender(
        workload,
        f"normflows, {num_threads} threads",
        num_threads,
        model,
        lambda x: -model.log_prob(x, None).mean(),
        lambda: model.sample(workload.batch_size)[0],
    )


def nflows(workload, *, num_threads):
    """`MultiscaleCompositeTransform` of act norm, 1x1 convolution and affine coupling."""
    import torch
    from nflows import transforms
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow

    class Network(torch.nn.Sequential):
        def forward(self, inputs, context=None):
            return super().forward(inputs)

    def network(inputs, outputs):
        return Network(*_torch_layers(inputs, workload.hidden_channels, outputs))

    torch.manual_seed(0)
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
    flow = Flow(multi_scale, StandardNormal([int(np.prod(workload.image_shape))]))
    return _torch_contender(
        workload,
        f"nflows, {num_threads} threads",
        num_threads,
        flow,
        lambda x: -flow.log_prob(x).mean(),
        lambda: flow.sample(workload.batch_size),
    )


def freia(workload, *, num_threads):
    """A `GraphINN` of `AllInOneBlock`s: coupling, global affine map, fixed rotation."""
    import FrEIA.framework as ff
    import FrEIA.modules as fm
    import torch

    def network(inputs, outputs):
        return torch.nn.Sequential(
            *_torch_layers(inputs, workload.hidden_channels, outputs)
        )

    torch.manual_seed(0)
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

    def loss(x):
        latents, log_det = model(x)
        squares = sum(z.flatten(1).square().sum(dim=1) for z in latents)
        normal = -0.5 * squares - 0.5 * x[0].numel() * np.log(2.0 * np.pi)
        return -(normal + log_det).mean()

    with torch.no_grad():
        shapes = [
            z.shape for z in model(torch.zeros(workload.batch_size, *_chw(workload)))[0]
        ]
    return _torch_contender(
        workload,
        f"FrEIA, {num_threads} threads",
        num_threads,
        model,
        loss,
        lambda: model([torch.randn(shape) for shape in shapes], rev=True)[0],
    )


def _torch_layers(inputs, hidden, outputs):
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


def _torch_contender(workload, name, num_threads, model, loss_of, sample):
    import torch

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    x = torch.tensor(workload.batch()).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        loss_of(x)  # act norms take their statistics from the first batch

    def train():
        optimizer.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimizer.step()
        return loss.item()

    def draw():
        with torch.no_grad():
            return sample().mean().item()

    def run():
        torch.set_num_threads(num_threads)
        for _ in range(workload.calls):
            result = train() if workload.trains else draw()
        return result

    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Contender(name, run, workload.calls, count)


def _chw(workload):
    height, width, channels = workload.image_shape
    return channels, height, width
