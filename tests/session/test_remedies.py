from __future__ import annotations

import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.issues import Issue, Remedy
from napari_unet3d.errors import UserError
from napari_unet3d.session.remedies import apply_remedy, describe_remedy, is_applied, undo_of
from napari_unet3d.training.event_json import dump, load

REMEDIES = [
    Remedy.of(task="instance"),
    Remedy.of(ignore_label=-1),
    Remedy.of(patch="auto", batch_size=0),
    Remedy.of(patch=(16, 32, 32)),
    Remedy.of(percentiles=(0, 100), normalisation="percentile"),
    Remedy.of(val_fraction=0.2),
    Remedy.of(split_time_points=False),
    Remedy.of(spacing="median"),
]
BEFORE = TrainingConfig(
    epochs=7, patch=(8, 8, 8), batch_size=3, val_fraction=0, split_time_points=True, percentiles=(1, 99)
)


@pytest.mark.parametrize("remedy", REMEDIES, ids=describe_remedy)
def test_a_remedy_sets_what_it_says_and_can_be_undone(remedy):
    after = apply_remedy(BEFORE, remedy)
    assert is_applied(after, remedy)
    assert not is_applied(BEFORE, remedy)
    assert after.epochs == 7
    assert apply_remedy(after, undo_of(BEFORE, remedy)) == BEFORE


@pytest.mark.parametrize("remedy", REMEDIES, ids=describe_remedy)
def test_a_remedy_comes_unchanged_from_another_process(remedy):
    issue = Issue.warning("Mind this.", remedy, Remedy.of(task="binary"))
    assert load(dump(issue)) == issue


def test_a_remedy_that_contradicts_other_settings_is_refused():
    with pytest.raises(UserError):
        apply_remedy(BEFORE, Remedy.of(val_fraction=7.0))
