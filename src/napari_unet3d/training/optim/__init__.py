"""The learner: network, loss, optimiser, learning rate schedules and moving average."""
