"""A round of corrections without a viewer: predict, inspect, correct the largest errors, fine-tune, compare."""

from pathlib import Path

from napari_unet3d import predict
from napari_unet3d.data.dataset import read_samples
from napari_unet3d.session.inspection import InspectionSession

run = Path("runs/first")
volume = read_samples("new volumes")[0]  # a volume that the model has not seen, with ground truth
*_, prediction = predict(run, volume)
session = InspectionSession(prediction, volume)
print(f"{len(session.errors)} errors, Dice {session.scores.dice:.3f}")
for error in session.errors[:5]:  # the largest ones
    session.select(error)
    session.accept_truth()
compared = session.fine_tune(run)  # adds the corrections to the dataset that the run was trained on
print(compared.summary)
