"""The RealNVP example of keras.io on our couplings.

    python -m experiments.compatibility.keras_real_nvp real_nvp.py [--stock] [--epochs=N]

real_nvp.py is the program of https://keras.io/examples/generative/real_nvp/, from
https://github.com/keras-team/keras-io/blob/master/examples/generative/real_nvp.py. Its
data, their normalisation, the class with its losses and steps, `fit` and the pictures are
unchanged. Two definitions are exchanged: the function `Coupling`, which makes the network
of a coupling, and the method `RealNVP.call`, which maps rows. `--stock` runs the example
with its own definitions and one change: Keras 3 needs a tuple for the `shape` of an input.

Differences:

- A network of the example has two towers of four layers of 256 units. They see both
  variables, one of them as zero, and have two outputs each, of which one is not used. Ours
  is one `MLP` of such layers. It sees the passing variable and returns the parameters of
  the other: 1,190,412 weights instead of 2,383,896.
- Our last layer starts at zero, so the flow starts as the identity.
- The example's `l2` penalty is in `model.losses`, but its `train_step` does not add these.
  Ours has no penalty.
- Both bound log-scales by tanh, and with one seed both get the same rows. Their initial
  weights differ.

Losses are nats per row of the normalised data; in the units of the data they are smaller by
0.847, the log-det of `Normalization`.
"""

import ast
import dataclasses
import pathlib
import sys

import keras
import matplotlib
import matplotlib.pyplot as plt
import tensorflow as tf

import tfp_flows
from experiments.command_line import program
from experiments.command_line.flag_settings import CommandError, FlagSettings, field


class ExampleError(CommandError, ValueError):
    """A file that is not the example, or another version of it."""


@dataclasses.dataclass(frozen=True)
class ExampleSettings(FlagSettings):
    """The example to run, and its options."""

    PROGRAM = "compatibility.keras_real_nvp"
    POSITIONAL = "example"

    stock: bool = field(False, "Whether to run the example on its own couplings.")
    epochs: int = field(0, "Epochs; 0: as many as the example has.", at_least=0)
    seed: int = field(0, "Seed of data and weights.", at_least=0)
    output_dir: str = field("real_nvp", "Folder for its pictures.")
    example: tuple[str, ...] = field((), "Path of the example's file.")

    def __post_init__(self):
        super().__post_init__()
        if len(self.example) != 1:
            self.refuse("example", "to be the path of one file")


def _network(input_shape):
    """The network of a coupling, which sees half of the variables."""
    passing = input_shape // 2
    network = tfp_flows.MLP(2 * (input_shape - passing), (256,) * 4)
    network.build((None, passing))
    return network


def _call(self, x, training=True):
    """Maps rows to latents if `training`, else latents to rows; returns log-dets too."""
    steps = []
    for mask, network in zip(self.masks == 1, self.layers_list, strict=True):
        conditioner = tfp_flows.Conditioner(network, input_shape=int(mask.sum()))
        steps.append(tfp_flows.Coupling(mask, conditioner, tfp_flows.Affine(tf.tanh)))
    flow = tfp_flows.FlowChain(steps[::-1])  # the example's order starts at the latents
    return flow.inverse_and_log_det(x) if training else flow.forward_and_log_det(x)


_OURS = {"RealNVP.call": _call, "Coupling": _network}


def run_example(path, *, stock=False, epochs=0, seed=0):
    """Runs the example, and returns "loss" and "val_loss" of each epoch.

    With `stock`, it uses its own couplings; with 0 epochs, as many as it has.

    Raises:
      ExampleError: if the file is not Python, lacks a definition that is exchanged, or
        leaves no such losses.
      OSError: if there is no such file.
    """
    path = pathlib.Path(path)
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise ExampleError(f"Expected `example` to be Python; got {error}.") from error
    for definition in [] if stock else _OURS:
        _exchange(tree, definition)
    for shape in _keywords(tree, "shape"):
        if isinstance(shape.value, ast.Name):
            shape.value = ast.Tuple([shape.value], ast.Load())
    if epochs:
        for known in _keywords(tree, "epochs", at_least_one=True):
            known.value = ast.Constant(epochs)
    names = {"__name__": path.stem, "_ours": _OURS}
    keras.utils.set_random_seed(seed)
    exec(compile(ast.fix_missing_locations(tree), str(path), "exec"), names)
    losses = getattr(names.get("history"), "history", {})
    if not {"loss", "val_loss"} <= losses.keys():
        raise ExampleError(
            "Expected `example` to leave a `history` with 'loss' and 'val_loss'; got "
            f"{sorted(losses) or 'none'}."
        )
    return {name: losses[name] for name in ("loss", "val_loss")}


def _exchange(tree, path):
    """Replaces the definition at `path`, "Class.method" or "function", by ours."""
    body = tree.body
    *owners, name = path.split(".")
    for owner in owners:
        body = _definition(body, owner, path).body
    index = body.index(_definition(body, name, path))
    body[index : index + 1] = ast.parse(f"{name} = _ours[{path!r}]").body


def _definition(body, name, path):
    kinds = (ast.FunctionDef, ast.ClassDef)
    definitions = {node.name: node for node in body if isinstance(node, kinds)}
    if name not in definitions:
        raise ExampleError(
            f"Expected `example` to define `{path}`; got no `{name}` among "
            f"{sorted(definitions)}."
        )
    return definitions[name]


def _keywords(tree, name, *, at_least_one=False):
    """Keyword arguments of this name in calls."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [known for call in calls for known in call.keywords if known.arg == name]
    if at_least_one and not found:
        raise ExampleError(f"Expected `example` to call `fit` with `{name}`; got none.")
    return found


@program.command(ExampleSettings, description=__doc__)
def main(settings):
    """Runs the example, and saves its pictures."""
    matplotlib.use("Agg")
    plt.close("all")
    options = {"stock": settings.stock, "epochs": settings.epochs, "seed": settings.seed}
    losses = run_example(settings.example[0], **options)
    folder = pathlib.Path(settings.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    for number in plt.get_fignums():
        plt.figure(number).savefig(folder / f"{number}.png")
    couplings = "the example's couplings" if settings.stock else "our couplings"
    print(f"On {couplings}, nats a row of normalised data:")
    for name, kind in (("loss", "training"), ("val_loss", "validation")):
        values = losses[name]
        print(f"{kind}: {min(values):.3f} at best, {values[-1]:.3f} at the end")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
