"""How good a prediction is, as numbers: overlap, surface and instance metrics, differences and uncertainty."""
