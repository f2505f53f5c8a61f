"""What training steps are given: volumes, targets, patches and batches."""
