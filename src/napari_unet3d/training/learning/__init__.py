"""What learns in a step: network, loss and descent."""
