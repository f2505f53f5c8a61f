"""The parts of the Inspect dock."""
