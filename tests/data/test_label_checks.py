"""Each thing that labels may have and the settings do not expect is said, with what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet3d.configs import TrainingConfig
from napari_unet3d.data.issues import Issue, Severity
from napari_unet3d.data.label_checks import check_label_values, check_roles
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.statistics import VolumeStatistics, compute_statistics

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
SHAPE = (10, 20, 30)


def facts(*boxes: tuple[int, tuple[int, int, int]], fill: int = 0, name: str = "a") -> VolumeStatistics:
    """A volume with a box of each label value, one behind the other along x."""
    labels = np.full(SHAPE, fill, np.uint16)
    at = 0
    for value, (z, y, x) in boxes:
        labels[2 : 2 + z, 3 : 3 + y, at : at + x] = value
        at += x
    return compute_statistics(Sample(name, np.arange(6000).reshape(SHAPE) % 251, labels, (2.0, 0.5, 0.25)))


BOX, OTHER = (1, (5, 6, 7)), (2, (5, 8, 4))


def found(*volumes: VolumeStatistics, **settings: Any) -> list[Issue]:
    return list(check_label_values(volumes, TrainingConfig(**settings)))


def said(*volumes: VolumeStatistics, **settings: Any) -> tuple[Severity, str]:
    """The only thing that is said beside the table of values."""
    (_, finding) = found(*volumes, **settings)
    return finding.severity, finding.message


def test_sound_labels_are_only_listed():
    assert found(facts(BOX), facts(BOX, name="b")) == [
        Issue(INFO, "Label values and their fraction of all voxels: 0 (96.5 %), 1 (3.5 %); 0 is background.")
    ]
    assert found(facts(BOX, OTHER), task="semantic") == [
        Issue(
            INFO, "Label values and their fraction of all voxels: 0 (93.8 %), 1 (3.5 %), 2 (2.67 %); 0 is background."
        )
    ]


def test_many_values_are_summed_up():
    volume = facts(*[(value, (5, 8, 2)) for value in range(3, 15)])
    assert found(volume, task="instance")[0].message == (
        "Label values and their fraction of all voxels: 0 (84 %), 12 values from 3 to 14 (16 % together); "
        "0 is background."
    )


def test_without_labels_nothing_is_said_here():
    assert not found(compute_statistics(Sample("a", np.zeros(SHAPE))))


def test_no_foreground_in_any_volume():
    finding = found(facts(), facts())[1]
    assert finding.severity is ERROR
    assert finding.message.startswith("The labels of all 2 volumes are 0: there is no foreground. Label some")


def test_no_foreground_in_one_volume():
    severity, message = said(facts(BOX), facts(name="empty"))
    assert (severity, message) == (WARNING, "The labels of 'empty' have no foreground; check that this is intended.")


def test_nothing_above_background_where_0_is_not_annotated():
    finding = found(facts(BOX), ignore_label=0)[1]
    assert finding.severity is ERROR
    assert "are 0 or 1, where 0 is not annotated and 1 is background" in finding.message
    assert finding.message.endswith("Label some objects with 2, or set the ignore label to none.")


def test_annotated_part():
    volume = facts((1, (5, 10, 10)), (2, (2, 10, 10)))
    listed, annotated = found(volume, ignore_label=0)
    assert listed.message.endswith("0 (88.3 %), 1 (8.33 %), 2 (3.33 %); 1 is background, 0 is not annotated.")
    assert annotated == Issue(INFO, "700 voxels (11.7 %) are annotated; the others are ignored.")


@pytest.mark.parametrize("ignored", [255, -1])
def test_voxels_with_an_ignore_label_count_nowhere(ignored: int):
    """Of 6,000 voxels 3,000 are ignored, 2,400 are background, and 600 are foreground."""
    labels = np.full(SHAPE, ignored, np.int16)
    labels[:5] = 0
    labels[:1] = 1
    volume = compute_statistics(Sample("a", np.zeros(SHAPE), labels))
    listed, annotated = found(volume, ignore_label=ignored)
    cells = ["0 (40 %)", "1 (10 %)"]
    cells.insert(0 if ignored < 0 else 1, f"{ignored} (50 %)")
    assert listed.message.endswith(f"{', '.join(cells)}; 0 is background, {ignored} is not annotated.")
    assert annotated == Issue(INFO, "3,000 voxels (50 %) are annotated; the others are ignored.")
    listed, annotated, single = found(volume, ignore_label=ignored, task="semantic")
    assert single.message.startswith("There is a single class, label 1")


def test_an_ignore_label_that_no_voxel_has():
    _, finding, _ = found(facts(BOX, (2, (3, 4, 5)), (7, (2, 5, 2))), ignore_label=255, task="semantic")
    assert finding.severity is WARNING
    assert finding.message == "No voxel has the ignore label 255, so all are annotated. Check that this is intended."


@pytest.mark.parametrize(("ignored", "lowest"), [(None, -2), (-2, -1), (0, -2)])
def test_negative_labels_that_are_not_the_ignore_label(ignored: int | None, lowest: int):
    labels = np.zeros(SHAPE, np.int8)
    labels[0, 0, :3] = -1, -2, 1
    messages = [
        f.message for f in found(compute_statistics(Sample("v", np.zeros(SHAPE), labels)), ignore_label=ignored)
    ]
    assert f"The labels of 'v' go down to {lowest}; background is 0 and all other labels are above it. " in "\n".join(
        messages
    )


@pytest.mark.parametrize("ignored", [255, -1])
def test_no_foreground_beside_an_ignore_label(ignored: int):
    labels = np.where(np.arange(SHAPE[2]) < 5, ignored, 0).astype(np.int16) * np.ones(SHAPE, np.int16)
    finding = found(compute_statistics(Sample("v", np.zeros(SHAPE), labels)), ignore_label=ignored)[1]
    assert finding.severity is ERROR
    assert finding.message.startswith(f"The labels of all 1 volumes are 0 or {ignored}, which is the ignore label")


def test_hardly_anything_is_annotated():
    severity, message = said(facts(BOX, (2, (3, 4, 5))), ignore_label=0)
    assert severity is WARNING
    assert message.startswith("Only 270 voxels (4.5 %) are annotated")


def test_no_background_is_annotated():
    findings = found(facts((2, (8, 15, 20))), ignore_label=0)
    assert [finding.severity for finding in findings] == [INFO, WARNING, INFO]
    assert findings[1].message.startswith("No voxel is labelled 1, which is background if the ignore label is 0, so")


def test_nothing_is_annotated_in_one_volume():
    findings = found(facts((1, (8, 15, 20)), OTHER), facts(name="b"), ignore_label=0)
    assert any(f == Issue(WARNING, "Nothing is annotated in 'b'; annotate it, or leave it out.") for f in findings)


def test_no_background_at_all():
    severity, message = said(facts(OTHER, fill=1), task="semantic")
    assert severity is WARNING
    assert message.startswith("No voxel has label 0, so there is no background. If 1 is background and 0")


def test_painted_slices_taken_for_background():
    severity, message = said(facts((1, (1, 15, 20)), (2, (1, 9, 5))), task="semantic")
    assert severity is WARNING
    assert message.startswith("Most labels are one slice thick, as if only some slices were annotated")
    assert message.endswith("set the ignore label to 0.")


def test_several_values_as_foreground():
    severity, message = said(facts(BOX, OTHER, (7, (3, 4, 5))))
    assert severity is INFO
    assert message == (
        "3 label values (1, 2, 7) are one foreground. Choose the task Classes if they are classes, or Single "
        "objects if they are ids."
    )


IDS = facts(*[(value, (8, 15, 1)) for value in range(2, 27)])


def test_many_values_as_foreground():
    severity, message = said(IDS)
    assert severity is INFO
    assert message.startswith("25 label values (2 to 26) are one foreground. They look like ids: choose the")


def test_ids_as_classes():
    severity, message = said(IDS, task="semantic", class_weighting="auto")
    assert severity is WARNING
    assert message.startswith("There are 25 label values up to 26, which look like ids of objects")


def test_one_class():
    severity, message = said(facts(OTHER), task="semantic")
    assert severity is INFO
    assert message == "There is a single class, label 2; the task One foreground is simpler."


def test_one_object_per_volume():
    severity, message = said(facts(BOX), facts(OTHER, name="b"), task="instance")
    assert severity is WARNING
    assert message.startswith("No volume has more than one label value, so all its foreground is one object. Label")
    assert len(found(IDS, task="instance")) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"task": "semantic"}, "Label 2 is 0.0667 %"), ({"task": "binary"}, None), ({"class_weighting": "auto"}, None)],
)
def test_a_rare_class(settings: dict[str, str], words: str | None):
    findings = [f.message for f in found(facts(BOX, (2, (2, 2, 1))), **{"task": "semantic", **settings})]
    rare = [message for message in findings if "so rare" in message]
    assert bool(rare) is bool(words)
    if words:
        assert rare[0].startswith(
            f"{words} of the annotated voxels, so rare that it may not be segmented. Train for more epochs,"
        )


def test_rare_foreground():
    findings = [f for f in found(facts((1, (1, 2, 2)))) if "so rare" in f.message]
    assert [f.severity for f in findings] == [WARNING]
    assert findings[0].message.startswith("Foreground is 0.0667 % of the annotated voxels")


def test_class_weights_that_make_rare_foreground_worse_are_not_advised():
    rare = facts((1, (1, 2, 2)))
    assert not any("weight" in f.message for f in found(rare))
    weighted = [f.message for f in found(rare, class_weighting="auto", loss="focal")]
    assert (
        "Foreground is 0.0667 % of the annotated voxels. With the loss focal, the class weighting auto makes the "
        "segmentation of so small a part worse; set it to none."
    ) in weighted
    assert not any("focal" in f.message for f in found(rare, class_weighting="auto"))


def test_a_class_that_only_validates():
    trains, validates, config = facts(BOX), facts(BOX, OTHER), TrainingConfig(task="semantic")
    (finding,) = check_roles([trains], [validates], config)
    assert finding.severity is WARNING
    assert finding.message.startswith("The label values 2 only occur in validation volumes")
    assert not list(check_roles([validates], [trains], config))
    assert not list(check_roles([trains], [validates], TrainingConfig()))
