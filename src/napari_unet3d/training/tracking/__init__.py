"""Recording of runs in TensorBoard, MLflow and trackio, by one hook on the events of the training."""
