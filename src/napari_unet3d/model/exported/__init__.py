"""Models in the formats of other programs, read without running code that comes with them."""
