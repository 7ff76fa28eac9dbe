"""Training on pairs of steps: a siamese encoder that several tasks share, beside one encoder for each task alone."""
