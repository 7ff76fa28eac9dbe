"""Many small files of a folder in one, so that tens of thousands of still pictures are not as many files."""
