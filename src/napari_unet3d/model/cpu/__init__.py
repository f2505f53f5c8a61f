"""Faster ways through a network on the CPU; each computes the same, and says what it is measured by."""
