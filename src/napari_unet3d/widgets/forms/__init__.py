"""Forms made from the settings."""
