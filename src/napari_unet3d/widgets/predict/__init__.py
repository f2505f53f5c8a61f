"""The Predict dock and its panels."""
