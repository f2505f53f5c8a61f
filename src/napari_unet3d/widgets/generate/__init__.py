"""The Generate data dock."""
