"""What is written for people: figures, animations, tables and the page about a run."""
