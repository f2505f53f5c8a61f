"""The deep-learning tutorial of qim3d 1.5.3, run by the Python of an environment that has it.

    python qim3d_tutorial.py generate DATASET
    python qim3d_tutorial.py train DATASET EPOCHS

The last line is ``RESULT`` and JSON: seconds of the training without reading settings and data, seconds per epoch, and
the Dice on the test volume.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import qim3d


def generate(folder: Path) -> None:
    """Write five volumes to train and one to test, with the settings and seeds of the tutorial."""
    for number in range(6):
        volume, labels = qim3d.generate.volume_collection(
            n_volumes=10,
            collection_shape=(128,) * 3,
            shape_range=((30,) * 3, (40,) * 3),
            noise_range=(0.04, 0.08),
            seed=number,
        )
        for kind, array in (("images", volume), ("labels", (labels > 0).astype(int))):
            target = folder / ("train" if number < 5 else "test") / kind
            target.mkdir(parents=True, exist_ok=True)
            qim3d.io.save(str(target / f"{number + 1}.tif"), array, compression=False, replace=True)


def train(folder: Path, n_epochs: int) -> dict[str, float]:
    """Train and test as the tutorial does, with loading in the main process and without a plot."""
    model = qim3d.ml.models.UNet(size="xxsmall")
    augmentation = qim3d.ml.Augmentation(resize="crop", transform_train="light")
    sets = qim3d.ml.prepare_datasets(path=str(folder), val_fraction=0.2, model=model, augmentation=augmentation)
    loaders = qim3d.ml.prepare_dataloaders(*sets, batch_size=1, num_workers=0)
    settings = qim3d.ml.Hyperparameters(
        model=model, n_epochs=n_epochs, learning_rate=1e-2, loss_function="DiceCE", weight_decay=1e-3
    )
    with tempfile.TemporaryDirectory() as models:
        started = time.perf_counter()
        qim3d.ml.train_model(
            model=model,
            hyperparameters=settings,
            train_loader=loaders[0],
            val_loader=loaders[1],
            checkpoint_directory=models,
            plot=False,
        )
        seconds = time.perf_counter() - started
    _, truth, prediction = qim3d.ml.test_model(model=model, test_set=sets[2])[0]
    predicted, target = np.asarray(prediction) > 0, np.asarray(truth) > 0
    dice = 2 * np.count_nonzero(predicted & target) / (predicted.sum() + target.sum())
    return {"seconds": seconds, "seconds_per_epoch": seconds / n_epochs, "dice": float(dice)}


if __name__ == "__main__":
    if sys.argv[1] == "generate":
        generate(Path(sys.argv[2]))
    else:
        sys.stdout.write("\nRESULT" + json.dumps(train(Path(sys.argv[2]), int(sys.argv[3]))) + "\n")
