"""Models of others as packages of bioimage.io; what their description says is followed, and no code in them is run."""
