"""What is drawn on a picture: boxes, classes, the valence-arousal circumplex, and what was not observed."""
