"""Recognisers: pretrained networks whose own outputs are predictions, one file each."""

from abaw.registry import Registry

RECOGNISERS = Registry(
    "recogniser",
    __name__,
    given=("download",),
    symbol="RECOGNISERS",
    group="abaw.recognisers",
    builds="extract.recognisers.base:Recogniser",
)
