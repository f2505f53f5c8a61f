"""Prediction with a trained model, and evaluation on a test set."""
