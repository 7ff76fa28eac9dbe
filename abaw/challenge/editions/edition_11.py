"""The 11th ABAW challenge."""

from abaw.challenge.edition import ambivalence, multitask

EDITIONS = (
    multitask(11, "ECCV 2026", remarks=("rows as in the 7th edition",)),
    ambivalence(11, "ECCV 2026"),
)
