"""Extraction while pictures and sound arrive: frame by frame, with the numbers of an extraction of the whole file."""
