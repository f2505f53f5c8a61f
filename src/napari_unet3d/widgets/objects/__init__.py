"""The Objects dock: single objects of a Labels layer measured, edited and reviewed."""
