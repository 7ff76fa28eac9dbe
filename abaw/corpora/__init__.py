"""Corpora of other people in their official layouts, as manifests: one file per corpus."""

from abaw.registry import Registry

CORPORA = Registry(
    "corpus", __name__, given=("folder",), symbol="CORPORA", group="abaw.corpora", builds="abaw.corpora.base:Corpus"
)
