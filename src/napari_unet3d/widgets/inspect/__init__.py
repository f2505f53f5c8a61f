"""The Inspect dock and its panels."""
