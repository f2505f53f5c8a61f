"""Outlines of objects in slices, as regions of interest (ROIs) of ImageJ."""
