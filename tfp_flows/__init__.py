"""Normalizing flows for TensorFlow Probability, with Keras 3 networks.

Data flow from left to right: data -> preprocessing -> steps of flow -> base. A step is a
mask (who stays) times a network (what looks at it) times a transformer (what elementwise
map it sets). A flow is a chain of steps and itself a `tfp.bijectors.Bijector`; with a base
it becomes a distribution, and a distribution trains as a Keras model.

    core/           what every bijector stands on: the protocol, checks, saving
    transformers/   what elementwise map: affine, gated, splines, smooth, mixtures, tails
    bijectors/      who stays: coupling, autoregressive, norms, linear mixing, preprocessing
    networks/       who looks: Keras layers, as conditioners
    flows/          the papers: NICE, RealNVP, Glow, MADE, MAF, IAF, neural spline flows,
                    TarFlow
    distributions/  FlowDistribution and bases; BinaryMADE, MixtureMADE; integer data;
                    latent space
    training/       likelihood training as Keras models: DensityEstimator, load, export
    vae/            VAE with its posteriors, likelihoods and objectives
    inference/      fit_posterior and its checks; flow_posterior; kernels of tfp.mcmc that
                    sample through a posterior's flow; fit_amortized_posterior
    tables/         TableDensity: rows with columns of any kind, in their own units
    density/        fit_density: rows of numbers by one call, with a report
    portable/       to_jax, export_onnx: distributions where TensorFlow is not

Importing the package checks that one TFP is installed which fits the other packages
(requirements.py), and imports Keras. A folder is imported when one of its names is first
used.
"""

import ast
import importlib
import importlib.util
import os
import typing

from tfp_flows import requirements

requirements.check()
try:
    import keras

    _backend = keras.backend.backend()
except ImportError as error:  # the chosen backend is not installed
    _backend = os.environ.get("KERAS_BACKEND", f"unusable: {error}")
if _backend != "tensorflow":
    raise ImportError(
        f"tfp_flows needs Keras's TensorFlow backend, but the backend is '{_backend}'; set "
        "KERAS_BACKEND=tensorflow before Keras is imported."
    )

__version__ = "0.2.0"

# Modules of the classes that Keras has to find in saved files, imported or not.
_IN_SAVED_FILES = {
    "CausalTransformer": "tfp_flows.networks.causal_transformer",
    "CircularInputs": "tfp_flows.networks.circular_inputs",
    "ColumnMLPs": "tfp_flows.tables.networks",
    "ConvDecoder": "tfp_flows.vae.conv_networks",
    "ConvEncoder": "tfp_flows.vae.conv_networks",
    "ConvNet": "tfp_flows.networks.conv_net",
    "DeepSet": "tfp_flows.networks.deep_set",
    "DensityEstimator": "tfp_flows.training.density_estimator",
    "LadderVAE": "tfp_flows.vae.ladder",
    "MLP": "tfp_flows.networks.mlp",
    "MaskedConvNet": "tfp_flows.networks.masked_conv_net",
    "OrderAgnosticMLP": "tfp_flows.networks.order_agnostic_mlp",
    "MaskedMLP": "tfp_flows.networks.masked_mlp",
    "OneHotMLP": "tfp_flows.networks.one_hot_mlp",
    "ResNet": "tfp_flows.networks.res_net",
    "ResidualConvBlock": "tfp_flows.vae.conv_networks",
    "VAE": "tfp_flows.vae.model",
}


def _stand_in(name, module):
    """Returns a class that Keras finds by a name until the real one is registered."""

    class StandIn:
        @classmethod
        def real_class(cls):
            return getattr(importlib.import_module(module), name)

        @classmethod
        def from_config(cls, config):
            return cls.real_class().from_config(config)

    return StandIn


for _name, _module in _IN_SAVED_FILES.items():
    keras.saving.get_custom_objects().setdefault(
        f"tfp_flows>{_name}", _stand_in(_name, _module)
    )


def _modules_of_names(source):
    """Returns the modules of all public names, which this file imports at its end."""
    imports = (n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom))
    return {alias.name: line.module for line in imports for alias in line.names}


_LOADER: typing.Any = __spec__.loader
# None in an application that holds no sources, which imports all names at once.
_SOURCE = _LOADER.get_source(__name__)
_MODULES = _modules_of_names(_SOURCE) if _SOURCE else {}

if not typing.TYPE_CHECKING:
    if _MODULES:
        __all__ = sorted(_MODULES)

    def __getattr__(name):
        """Imports a public name, or a folder of the package, when it is first used."""
        if (module := _MODULES.get(name, __name__)) != __name__:
            # `from module import name` tries a module of that name, too.
            value = getattr(__import__(module, fromlist=[name]), name)
        elif not name.startswith("_") and importlib.util.find_spec(f"{__name__}.{name}"):
            value = importlib.import_module(f"{__name__}.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *_MODULES})


# One line for each public name, for type checkers; at run time, `__getattr__` reads them.
if typing.TYPE_CHECKING or not _MODULES:
    from tfp_flows import transformers as transformers
    from tfp_flows.bijectors import ActNorm as ActNorm
    from tfp_flows.bijectors import BatchNorm as BatchNorm
    from tfp_flows.bijectors import Bounds as Bounds
    from tfp_flows.bijectors import Coupling as Coupling
    from tfp_flows.bijectors import Decorrelate as Decorrelate
    from tfp_flows.bijectors import FlowChain as FlowChain
    from tfp_flows.bijectors import HeavyTails as HeavyTails
    from tfp_flows.bijectors import InverseAutoregressive as InverseAutoregressive
    from tfp_flows.bijectors import Invert as Invert
    from tfp_flows.bijectors import InvertibleLinear as InvertibleLinear
    from tfp_flows.bijectors import Logit as Logit
    from tfp_flows.bijectors import MaskedAutoregressive as MaskedAutoregressive
    from tfp_flows.bijectors import MultiScale as MultiScale
    from tfp_flows.bijectors import Permutation as Permutation
    from tfp_flows.bijectors import Squeeze as Squeeze
    from tfp_flows.bijectors import Standardize as Standardize
    from tfp_flows.bijectors import check_bijector as check_bijector
    from tfp_flows.bijectors import masks as masks
    from tfp_flows.core.flow_bijector import FlowBijector as FlowBijector
    from tfp_flows.distributions import BinaryMADE as BinaryMADE
    from tfp_flows.distributions import CategoricalMADE as CategoricalMADE
    from tfp_flows.distributions import FlowDistribution as FlowDistribution
    from tfp_flows.distributions import MixtureMADE as MixtureMADE
    from tfp_flows.distributions import Defensive as Defensive
    from tfp_flows.distributions import Dequantized as Dequantized
    from tfp_flows.distributions import at_temperature as at_temperature
    from tfp_flows.distributions import bits_per_dimension as bits_per_dimension
    from tfp_flows.distributions import circular_base as circular_base
    from tfp_flows.inference import flow_posterior as flow_posterior
    from tfp_flows.distributions import standard_logistic as standard_logistic
    from tfp_flows.distributions import standard_normal as standard_normal
    from tfp_flows.inference import to_arviz as to_arviz
    from tfp_flows.flows import Glow as Glow
    from tfp_flows.flows import IAF as IAF
    from tfp_flows.flows import MADE as MADE
    from tfp_flows.flows import MAF as MAF
    from tfp_flows.flows import NICE as NICE
    from tfp_flows.flows import NeuralSplineFlow as NeuralSplineFlow
    from tfp_flows.flows import RealNVP as RealNVP
    from tfp_flows.flows import RealNVPImage as RealNVPImage
    from tfp_flows.flows import TarFlow as TarFlow
    from tfp_flows.inference import flow_proposal_kernel as flow_proposal_kernel
    from tfp_flows.inference import neutra_kernel as neutra_kernel
    from tfp_flows.training import DensityEstimator as DensityEstimator
    from tfp_flows.training import StopOnNaN as StopOnNaN
    from tfp_flows.vae import VAE as VAE
    from tfp_flows.training import export as export
    from tfp_flows.inference import fit_posterior as fit_posterior
    from tfp_flows.inference import fit_amortized_posterior as fit_amortized_posterior
    from tfp_flows.vae import likelihoods as likelihoods
    from tfp_flows.training import load as load
    from tfp_flows.vae import objectives as objectives
    from tfp_flows.vae import posteriors as posteriors
    from tfp_flows.inference import variational_loss as variational_loss
    from tfp_flows.networks import MLP as MLP
    from tfp_flows.networks import Conditioner as Conditioner
    from tfp_flows.networks import MaskedMLP as MaskedMLP
    from tfp_flows.networks import natural_ordering as natural_ordering
    from tfp_flows.tables import TableDensity as TableDensity
    from tfp_flows.tables import describe_columns as describe_columns
    from tfp_flows.density import fit_density as fit_density
    from tfp_flows.portable import export_onnx as export_onnx
    from tfp_flows.portable import to_jax as to_jax
    from tfp_flows.transformers import Affine as Affine
