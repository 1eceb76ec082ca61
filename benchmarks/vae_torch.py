"""A lean VAE of equal shapes in PyTorch: no library beside torch itself."""

import itertools

from benchmarks import torch_contender


def lean(workload, *, num_threads):
    """Its training step, with masked kernels where there is a flow."""
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    latent_size, context_size = workload.latent_size, workload.context_size
    hidden = workload.hidden_units
    encoder = _mlp((workload.event_size, *hidden, 2 * latent_size + context_size))
    decoder = _mlp((latent_size, *hidden[::-1], workload.event_size))
    steps = [_made(workload, step % 2 == 1) for step in range(workload.num_flow_steps)]
    modules = torch.nn.ModuleList([encoder, decoder, *steps])

    def elbo(x):
        outputs = encoder(x)
        mean, s = outputs[:, :latent_size], outputs[:, latent_size : 2 * latent_size]
        context = outputs[:, 2 * latent_size :]
        scale = functional.softplus(s + 0.5413)
        noise = torch.randn_like(mean)
        z = mean + scale * noise
        log_q = -0.5 * (noise**2).sum(1) - torch.log(scale).sum(1)
        for step in steps:
            shift, s = step(z, context).chunk(2, dim=1)
            gate = torch.sigmoid(s + 2.0)
            z = gate * z + (1.0 - gate) * shift
            log_q = log_q - functional.logsigmoid(s + 2.0).sum(1)
        log_prior = -0.5 * (z**2).sum(1)  # its constants and log_q's cancel
        log_likelihood = -functional.binary_cross_entropy_with_logits(
            decoder(z), x, reduction="none"
        ).sum(1)
        return log_likelihood + log_prior - log_q

    kind = "IAF" if steps else "Gaussian"
    parameters = list(modules.parameters())
    x = torch.tensor(workload.batch())
    return torch_contender.torch_contender(
        f"PyTorch, {kind}",
        parameters,
        torch_contender.training_step(parameters, elbo, x),
        workload.calls,
        num_threads=num_threads,
    )


def _mlp(widths):
    import torch

    layers = []
    for inputs, units in itertools.pairwise(widths):
        layers += [torch.nn.Linear(inputs, units), torch.nn.ELU()]
    return torch.nn.Sequential(*layers[:-1])


def _made(workload, is_reversed):
    """A masked network as a `torch.nn.Module` of `(z, context)`."""
    import torch
    from torch.nn import functional

    size = workload.latent_size
    order = torch.arange(1, size + 1)
    order = order.flip(0) if is_reversed else order
    degrees = [order] + [
        torch.arange(width) * size // width for width in workload.flow_hidden_units
    ]
    masks = [b[:, None] >= a for a, b in itertools.pairwise(degrees)]
    masks.append(order.repeat(2)[:, None] > degrees[-1])

    class Made(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(map(torch_contender.masked_linear, masks))
            self.context = torch.nn.Linear(
                workload.context_size, workload.flow_hidden_units[0], bias=False
            )

        def forward(self, z, context):
            hidden = self.layers[0](z) + self.context(context)
            for layer in self.layers[1:]:
                hidden = layer(functional.elu(hidden))
            return hidden

    return Made()
