"""Scores and errors of predictions that do not fit into memory, from counts that are made block by block."""
