"""The files of a training run: history, snapshots of epochs, and diagnosis; no torch."""
