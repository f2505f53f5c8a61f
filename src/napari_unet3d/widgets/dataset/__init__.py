"""The Dataset dock."""
