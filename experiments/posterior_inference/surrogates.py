"""The surrogate posteriors that `--posterior` names: TFP's own, and flows."""

import tensorflow_probability as tfp

import tfp_flows
from experiments.density_estimation.models import SCALES

_NUM_STEPS = {"iaf": 4, "real_nvp": 6}


def _affine(operators):
    def build(pinned, settings):
        return tfp.experimental.vi.build_affine_surrogate_posterior(
            pinned.event_shape,
            operators=operators,
            bijector=pinned.experimental_default_event_space_bijector(),
            seed=(0, settings.seed),
        )

    return build


def _asvi(pinned, settings):
    return tfp.experimental.vi.build_asvi_surrogate_posterior(
        pinned, seed=(0, settings.seed)
    )


def _flow(name):
    def build(pinned, settings):
        # Without mixing, a coupling never relates two even, or two odd, variables.
        options = {"direct": settings.direct} if name == "iaf" else {"lu_mixing": True}
        if settings.scale != "own":
            options["transformer"] = tfp_flows.Affine(SCALES[settings.scale]())
        return tfp_flows.flow_posterior(
            pinned,
            name,
            num_steps=settings.num_steps or _NUM_STEPS[name],
            hidden_units=settings.hidden_units,
            activation=settings.activation,
            whiten=settings.whiten,
            seed=settings.seed,
            **options,
        )

    return build


# Name -> function of the pinned joint distribution and the settings.
POSTERIORS = {
    "mean_field": _affine("diag"),
    "full_rank": _affine("tril"),
    "asvi": _asvi,
    "iaf": _flow("iaf"),
    "real_nvp": _flow("real_nvp"),
}
