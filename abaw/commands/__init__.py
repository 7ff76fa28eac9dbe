"""The command line's verbs, one file each: typed functions that Python users import too.

The only rooms beside cli.py that import extract and fusion, and they do so late, so that --help costs nothing.
"""
