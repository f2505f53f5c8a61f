"""Datasets of nnU-Net (version 2): written from datasets of this package, and read into them.

Their layout is described in nnU-Net's documentation, ``documentation/reference/dataset-format.md``.
"""
