"""Models written for other programs, and run by these before they are called written."""
