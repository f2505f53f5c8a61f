"""Volumes, dataset folders and synthetic data; no torch, no Qt."""
