"""Metrics of overlap, surfaces and instances, differences between label volumes, and uncertainty."""
