"""Numbers, pictures and pages that docks save."""
