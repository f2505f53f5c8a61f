"""Preparation of volumes for the network: normalisation, resampling, padding and augmentation."""
