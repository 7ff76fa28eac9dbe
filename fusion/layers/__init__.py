"""Building blocks of fusion models, one room for each kind."""
