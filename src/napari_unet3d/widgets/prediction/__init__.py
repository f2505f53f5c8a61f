"""The parts of the Predict dock."""
