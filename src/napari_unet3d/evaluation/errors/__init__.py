"""The errors of a segmentation one by one: where they are, how large, how deep, and what was noted about them."""
