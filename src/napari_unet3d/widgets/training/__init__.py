"""The parts of the Train dock."""
