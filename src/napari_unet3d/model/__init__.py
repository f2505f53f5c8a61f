"""The network, its device, the normalisation of its input, and the file that it is kept in."""
