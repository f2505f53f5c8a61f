"""Long work in threads, and its end with the viewer."""
