"""Analysis of any media, by pretrained recognisers or trained runs: a table of every frame.

``analyzing`` does it. ``choice`` finds the recognisers that are on this machine, ``answers`` predicts, ``presence``
says where a face is seen and a voice heard, ``tables`` and ``document`` write, ``results`` is what the caller gets.
"""
