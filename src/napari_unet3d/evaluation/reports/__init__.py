"""Output for people: figures, animations, tables and the report on a run."""
