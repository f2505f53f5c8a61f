"""Processes that predict at the same time: on this machine, or on a cluster."""
