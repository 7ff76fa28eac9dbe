"""Building blocks of fusion models; all of them respect masks."""
