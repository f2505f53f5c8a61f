"""The docks: the only part of the package that knows Qt and napari."""
