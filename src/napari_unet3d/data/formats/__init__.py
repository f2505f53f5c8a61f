"""One small file per file format; `napari_unet3d.data.volumes` chooses among them by suffix.

Each module has ``WORDS`` (the format's name), ``DAMAGE`` (what its library raises for a broken file),
``read_file(path)`` and ``write_file(path, array, voxel_size_um)``.
"""
