"""How well a run does without a modality and on worse features, and what it costs."""
