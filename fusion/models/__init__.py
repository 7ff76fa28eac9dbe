"""The registry of fusion models, one file per model."""

from abaw.registry import Registry

FUSION_MODELS = Registry(
    "fusion model",
    __name__,
    given=("dims",),
    symbol="FUSION_MODELS",
    group="abaw.models",
    builds="fusion.base:FusionModel",
)
