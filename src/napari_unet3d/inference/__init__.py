"""Applying a trained model to volumes and test sets."""
