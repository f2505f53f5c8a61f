"""Faster layers for the CPU; each computes the same as the layer that it replaces."""
