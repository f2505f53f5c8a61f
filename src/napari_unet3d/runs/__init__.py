"""The files of a training run: history, snapshots per epoch, and what they tell; no torch."""
