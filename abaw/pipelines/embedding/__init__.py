"""Embeddings of a run as features of a store, their scores on pairs of steps, and the search for similar moments."""
