"""What a person works with, without Qt or a viewer: inspection, correction, fine-tuning, comparison, runs."""
