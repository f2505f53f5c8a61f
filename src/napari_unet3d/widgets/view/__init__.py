"""The viewer: layers, camera, slices and pointer."""
