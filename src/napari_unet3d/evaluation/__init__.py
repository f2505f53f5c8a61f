"""How good a prediction is, and where it differs from the truth; numpy, scipy and scikit-image only."""
