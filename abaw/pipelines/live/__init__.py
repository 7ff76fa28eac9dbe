"""Live analysis: a row for each frame as it arrives from a camera, or from a file that is played like one.

``running`` does it. ``causality`` refuses what needs the future, ``answering`` predicts one frame, ``rows`` writes,
``latency`` says how long it took.
"""
