"""How well a prediction agrees with the ground truth, and where it differs; without torch."""
