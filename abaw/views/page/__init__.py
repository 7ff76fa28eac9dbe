"""The page of a clip: one HTML file with its player, its timeline and its strongest moments."""
