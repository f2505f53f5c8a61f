"""Meshes of objects in labels: made, smoothed, placed in the world, and written."""
