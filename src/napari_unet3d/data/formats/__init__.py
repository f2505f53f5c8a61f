"""File formats: one module per format, and the list of them in `registry`.

To add a format, write a module that reads and writes it and ends with a `Format`, and add that to `registry.FORMATS`.
"""
