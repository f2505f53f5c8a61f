"""Synthetic volumes with exact labels: shapes, placement, imaging and noise."""
