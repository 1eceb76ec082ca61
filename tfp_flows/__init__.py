"""Normalizing flows for TensorFlow Probability, with Keras 3 networks.

Data flow from left to right: data -> preprocessing -> steps of flow -> base. A step is a
mask (who stays) times a network (what looks at it) times a transformer (what elementwise
map it sets). A flow is a chain of steps and itself a `tfp.bijectors.Bijector`; with a base
it becomes a distribution, and a distribution trains as a Keras model.

    core/           what every bijector stands on: the protocol, checks, saving
    transformers/   what elementwise map: affine, gated, splines, smooth, mixtures, tails
    bijectors/      who stays: coupling, autoregressive, norms, linear mixing, preprocessing
    networks/       who looks: Keras layers, as conditioners
    flows/          the papers: NICE, RealNVP, Glow, MADE, MAF, IAF, neural spline flows
    distributions/  FlowDistribution and bases; flow_posterior; BinaryMADE, MixtureMADE;
                    integer data; latent space
    mcmc/           kernels of tfp.mcmc that sample through a posterior's flow
    models/         DensityEstimator, VAE with its posteriors, likelihoods and objectives;
                    callbacks; the loss of variational inference
"""

import os

try:
    import keras

    _backend = keras.backend.backend()
except ImportError as error:  # of a backend that is chosen and not installed
    _backend = os.environ.get("KERAS_BACKEND", f"unusable: {error}")
if _backend != "tensorflow":
    raise ImportError(
        f"tfp_flows needs Keras's TensorFlow backend, but the backend is '{_backend}'; set "
        "KERAS_BACKEND=tensorflow before Keras is imported."
    )

from tfp_flows import transformers
from tfp_flows.bijectors import ActNorm
from tfp_flows.bijectors import BatchNorm
from tfp_flows.bijectors import BijectorReport
from tfp_flows.bijectors import Bounds
from tfp_flows.bijectors import ChannelAffine
from tfp_flows.bijectors import Coupling
from tfp_flows.bijectors import Elementwise
from tfp_flows.bijectors import Decorrelate
from tfp_flows.bijectors import FlowChain
from tfp_flows.bijectors import HeavyTails
from tfp_flows.bijectors import InverseAutoregressive
from tfp_flows.bijectors import Invert
from tfp_flows.bijectors import InvertibleConv1x1
from tfp_flows.bijectors import InvertibleLinear
from tfp_flows.bijectors import Logit
from tfp_flows.bijectors import MaskedAutoregressive
from tfp_flows.bijectors import MultiScale
from tfp_flows.bijectors import OnPart
from tfp_flows.bijectors import Permutation
from tfp_flows.bijectors import PlainLinear
from tfp_flows.bijectors import Squeeze
from tfp_flows.bijectors import Standardize
from tfp_flows.bijectors import TFPBijector
from tfp_flows.bijectors import Whiten
from tfp_flows.bijectors import check_bijector
from tfp_flows.bijectors import random_permutation
from tfp_flows.bijectors import reverse_permutation
from tfp_flows.bijectors import masks
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.distributions import AutoregressiveDistribution
from tfp_flows.distributions import BinaryMADE
from tfp_flows.distributions import FittedPosterior
from tfp_flows.distributions import FlowDistribution
from tfp_flows.distributions import FlowPosterior
from tfp_flows.distributions import MixtureMADE
from tfp_flows.distributions import PosteriorReport
from tfp_flows.distributions import conditionals
from tfp_flows.distributions import BitsPerDimension
from tfp_flows.distributions import Defensive
from tfp_flows.distributions import Dequantized
from tfp_flows.distributions import at_temperature
from tfp_flows.distributions import attribute_direction
from tfp_flows.distributions import bits_per_dimension
from tfp_flows.distributions import circular_base
from tfp_flows.distributions import flow_posterior
from tfp_flows.distributions import interpolate
from tfp_flows.distributions import move_along
from tfp_flows.distributions import pareto_smooth
from tfp_flows.distributions import reduce_bits
from tfp_flows.distributions import standard_logistic
from tfp_flows.distributions import standard_normal
from tfp_flows.distributions import to_arviz
from tfp_flows.flows import Glow
from tfp_flows.flows import GlowStep
from tfp_flows.flows import IAF
from tfp_flows.flows import MADE
from tfp_flows.flows import MAF
from tfp_flows.flows import NICE
from tfp_flows.flows import NeuralSplineFlow
from tfp_flows.flows import RealNVP
from tfp_flows.flows import RealNVPImage
from tfp_flows.mcmc import AlternatingKernel
from tfp_flows.mcmc import LatentKernel
from tfp_flows.mcmc import adaptive_nuts
from tfp_flows.mcmc import flow_proposal_kernel
from tfp_flows.mcmc import independent_proposals
from tfp_flows.mcmc import neutra_kernel
from tfp_flows.models import DensityEstimator
from tfp_flows.models import FullDataBatchStatistics
from tfp_flows.models import KLWarmUp
from tfp_flows.models import StopOnNaN
from tfp_flows.models import VAE
from tfp_flows.models import fit_posterior
from tfp_flows.models import likelihoods
from tfp_flows.models import objectives
from tfp_flows.models import posteriors
from tfp_flows.models import variational_loss
from tfp_flows.networks import MLP
from tfp_flows.networks import Conditioner
from tfp_flows.networks import MaskCycleMLP
from tfp_flows.networks import ConvDecoder
from tfp_flows.networks import ConvEncoder
from tfp_flows.networks import ConvNet
from tfp_flows.networks import MaskedMLP
from tfp_flows.networks import ResNet
from tfp_flows.networks import natural_ordering
from tfp_flows.networks import random_ordering
from tfp_flows.networks import reversed_ordering
from tfp_flows.transformers import Affine
from tfp_flows.transformers import Gated
from tfp_flows.transformers import Shift
from tfp_flows.transformers import Transformer

__version__ = "0.1.0"
