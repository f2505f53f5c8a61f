"""The dock with the first steps."""
