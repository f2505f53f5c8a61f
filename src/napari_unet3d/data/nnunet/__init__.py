"""Datasets of nnU-Net (version 2): written from datasets of this package, and read into them.

Their layout is described in nnU-Net's documentation, ``documentation/reference/dataset-format.md``.
"""

FIRST_NUMBER = 501
"""The default number of a dataset; those up to 10 are taken by the Medical Segmentation Decathlon."""
