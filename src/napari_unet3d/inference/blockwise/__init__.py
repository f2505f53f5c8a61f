"""Prediction of volumes of any size, block by block."""
