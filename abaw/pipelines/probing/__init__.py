"""Which encoder? Classifiers of pooled features, scored on groups that are held out.

``scoring`` does it, ``pooler`` reads features from a store, ``tables`` writes what was predicted.
"""
