"""What steps of a training are given: volumes, targets, patches and batches."""
