"""The Train dock and its panels."""
