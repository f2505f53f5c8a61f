"""Individual errors of a segmentation: where they are, how large and how deep, and review notes on them."""
