from __future__ import annotations

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.dataset import Subset, add_sample


def test_one_click_leads_from_a_run_to_its_errors(ball, open_dock, dataset, wait_for_end, viewer, qtbot):
    add_sample(dataset, ball("unseen"), Subset.TEST)
    train = open_dock("Train")
    train.source.use_folder(dataset)
    train.settings.value = TrainingConfig(epochs=1, val_fraction=0.34)
    wait_for_end(train, train.job_bar.start_button.native.click, 60_000)
    train.run_actions.inspect_button.native.click()
    inspect = next(dock for name, dock in viewer.window.dock_widgets.items() if name.startswith("Inspect"))
    qtbot.waitUntil(lambda: inspect.session.errors is not None, timeout=60_000)
    origin = inspect.session.origin
    assert (origin.name, origin.subset, origin.dataset) == ("unseen", Subset.TEST, dataset)
    assert inspect.session.origin.run == train.run.run_folder
    qtbot.waitUntil(lambda: inspect.jobs.running("inspect") is None, timeout=20_000)


def test_a_run_that_learnt_from_layers_leads_to_predict_only(ball, open_dock, viewer, wait_for_end):
    train = open_dock("Train")
    for name in ("one", "two"):
        volume = ball(name)
        image = viewer.add_image(volume.image, name=name)
        train.source.layers.pairs.append((image, viewer.add_labels(volume.labels, name=f"{name} labels")))
    train.source.use_layers()
    train.settings.value = TrainingConfig(epochs=1, val_fraction=0.5)
    wait_for_end(train, train.job_bar.start_button.native.click, 60_000)
    assert train.run_actions.predict_button.native.isVisibleTo(train.native)
    assert not train.run_actions.inspect_button.native.isVisibleTo(train.native)
