"""The viewer: layers, camera, slices and cursor."""
