"""Pictures that are files of their own: face images, and still pictures that are clips of one frame."""
