"""What learns in a step: the network with its loss, optimiser and schedules."""
