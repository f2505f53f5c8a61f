"""Volumes made ready for the network: normalisation, resampling, padding and augmentation."""
