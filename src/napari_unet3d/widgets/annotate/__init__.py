"""The Annotate dock and its panels."""
