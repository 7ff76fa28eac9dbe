"""Figures by matplotlib: each function takes values and returns a ``Plot``, a figure with its text alternative."""
