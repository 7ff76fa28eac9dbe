"""Frozen encoders: one file per family."""

from abaw.registry import Registry

ENCODERS = Registry(
    "encoder",
    __name__,
    given=("device", "download"),
    symbol="ENCODERS",
    group="abaw.encoders",
    builds="extract.encoders.base:Encoder",
)
