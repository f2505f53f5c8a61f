"""Checks of the labels of training volumes against the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from napari_unet3d.configs import ClassWeighting, Loss, Task, TrainingConfig
from napari_unet3d.data.ground_truth import background_value, is_foreground, negative_labels
from napari_unet3d.data.issues import Issue, Remedy
from napari_unet3d.data.statistics import VolumeStatistics, total_label_counts

_MAX_LISTED = 10  # label values in a message
_MAX_CLASSES = 20  # more label values are probably ids
_RARE = 1e-3  # fraction of the annotated voxels
_FEW_VOXELS = 500
_LITTLE_BACKGROUND = 0.01  # fraction of the annotated voxels
_PAINTED_SLICES = 0.5  # fraction of labels in single slices above which only some slices seem to be annotated


def check_label_values(volumes: Sequence[VolumeStatistics], config: TrainingConfig) -> Iterator[Issue]:
    """List the label values, and check that they match the task and the ignore label.

    Parameters
    ----------
    volumes : sequence of VolumeStatistics
        The training volumes.
    config : TrainingConfig
        Task, ignore label and class weighting.
    """
    counts = total_label_counts(volumes)
    if not counts:
        return
    yield Issue.info(_table(counts, config))
    ignored = config.ignore_label
    for volume in volumes:
        if (lowest := min((value for value in volume.label_counts if value != ignored), default=0)) < 0:
            remedies = [Remedy.of(ignore_label=lowest)] if ignored is None else []
            yield Issue.error(negative_labels(volume.name, lowest), *remedies)
    if not any(is_foreground(value, ignored) for value in counts):
        has_background = any(value not in (0, ignored) for value in counts)
        yield Issue.error(no_foreground_at_all(len(volumes), ignored, has_background=has_background))
        return
    yield from _check_masks(volumes)
    if ignored is None:
        yield from _check_background(counts, volumes)
    else:
        yield from _check_annotation(counts, volumes, ignored)
    for volume in volumes:
        yield from map(Issue.warning, volume.label_doubts)
    yield from _check_dice(counts, config)
    yield from _check_task(counts, volumes, config)
    yield from _check_balance(counts, config)
    for volume in volumes:
        if not volume.n_foreground(ignored) and volume.provenance is None:  # a correction may remove an object
            yield Issue.warning(no_foreground(volume.name))


def lacks_background(n_background: int, n_foreground: int) -> bool:
    """Return whether so few voxels are background that Dice means nothing: it is nearly 1 if all is foreground."""
    return n_foreground > 0 and n_background < _LITTLE_BACKGROUND * (n_background + n_foreground)


def dice_means_nothing(task: Task) -> str:
    """Return the message for labels nearly without background."""
    what = "Nearly all annotated voxels are foreground, so Dice is nearly 1 whatever is learned, and is left out."
    if task is Task.INSTANCE:
        return f"{what} The F1 of the objects shows how well they are separated."
    return (
        f"{what} If the labels are ids of objects that touch each other, choose the task {Task.INSTANCE.label}; else "
        "label some background."
    )


def _check_dice(counts: Mapping[int, int], config: TrainingConfig) -> Iterator[Issue]:
    kinds = [count for value, count in counts.items() if is_foreground(value, config.ignore_label)]
    n_background = counts.get(background_value(config.ignore_label), 0)
    # Without any background, there is another warning, which does not hold for cells that touch everywhere.
    is_new = n_background > 0 or config.task is Task.INSTANCE
    if lacks_background(n_background, sum(kinds)) and is_new and (config.task is not Task.SEMANTIC or len(kinds) == 1):
        remedies = [] if config.task is Task.INSTANCE else [Remedy.of(task=Task.INSTANCE)]
        yield Issue.warning(dice_means_nothing(config.task), *remedies)


def _check_masks(volumes: Sequence[VolumeStatistics]) -> Iterator[Issue]:
    masked = [volume for volume in volumes if volume.n_masked]
    if not masked:
        return
    n_annotated = sum(sum(volume.label_counts.values()) for volume in masked)
    part = _percent(n_annotated / sum(volume.n_masked + sum(volume.label_counts.values()) for volume in masked))
    n_corrected = sum(volume.provenance is not None for volume in masked)
    corrected = f", {n_corrected} of them from corrections" if n_corrected else ""
    yield Issue.info(
        f"{len(masked)} of {len(volumes)} volumes have masks of annotated voxels{corrected}: {n_annotated:,} voxels "
        f"({part}) of them are used."
    )


def no_foreground(name: str) -> str:
    """Return the message for a volume without foreground."""
    return f"The labels of '{name}' have no foreground; check that this is intended."


def no_foreground_at_all(n_volumes: int, ignore_label: int | None, *, has_background: bool) -> str:
    """Return the message for volumes that all have no foreground.

    Parameters
    ----------
    n_volumes : int
        Number of volumes.
    ignore_label : int or None
        The label value of voxels that are not annotated.
    has_background : bool
        Whether any label is neither 0 nor the ignore label.
    """
    if ignore_label == 0 and has_background:
        return (
            f"The labels of all {n_volumes} volumes are 0 or 1, where 0 is not annotated and 1 is background: there is "
            "no foreground. Label some objects with 2, or set the ignore label to none."
        )
    if ignore_label:
        return (
            f"The labels of all {n_volumes} volumes are 0 or {ignore_label}, which is the ignore label: there is no "
            "foreground. Label some objects first."
        )
    return f"The labels of all {n_volumes} volumes are 0: there is no foreground. Label some objects first."


def _table(counts: Mapping[int, int], config: TrainingConfig) -> str:
    total = sum(counts.values())
    special = {value: count for value, count in counts.items() if not is_foreground(value, config.ignore_label)}
    others = {value: count for value, count in counts.items() if value not in special}
    cells = [f"{value} ({_percent(count / total)})" for value, count in sorted(special.items())]
    if len(others) > _MAX_LISTED:
        part = _percent(sum(others.values()) / total)
        cells.append(f"{len(others)} values from {min(others)} to {max(others)} ({part} together)")
    else:
        cells += [f"{value} ({_percent(count / total)})" for value, count in sorted(others.items())]
    background, ignored = background_value(config.ignore_label), config.ignore_label
    meaning = f"{background} is background" + ("" if ignored is None else f", {ignored} is not annotated")
    return f"Label values and their fraction of all voxels: {', '.join(cells)}; {meaning}."


def _check_background(counts: Mapping[int, int], volumes: Sequence[VolumeStatistics]) -> Iterator[Issue]:
    if not counts.get(0):
        yield Issue.warning(
            "No voxel has label 0, so there is no background. If 1 is background and 0 is not annotated, set the "
            "ignore label to 0.",
            Remedy.of(ignore_label=0),
        )
    n_labelled = [volume.n_foreground(None) for volume in volumes]
    n_thin = sum(volume.single_slice_fraction * count for volume, count in zip(volumes, n_labelled, strict=True))
    if n_thin > _PAINTED_SLICES * sum(n_labelled):
        yield Issue.warning(
            "Most labels are one slice thick, as if only some slices were annotated, but all other voxels are "
            "background. If they are not annotated, label background with 1 and objects from 2, and set the ignore "
            "label to 0."
        )


def _check_annotation(counts: Mapping[int, int], volumes: Sequence[VolumeStatistics], ignored: int) -> Iterator[Issue]:
    n_annotated = sum(count for value, count in counts.items() if value != ignored)
    part = _percent(n_annotated / sum(counts.values()))
    if not counts.get(background := background_value(ignored)):
        yield Issue.warning(
            f"No voxel is labelled {background}, which is background if the ignore label is {ignored}, so the network "
            f"would predict foreground everywhere. Label some background with {background}, or change the ignore label."
        )
    if not counts.get(ignored):
        yield Issue.warning(
            f"No voxel has the ignore label {ignored}, so all are annotated. Check that this is intended."
        )
    if n_annotated < _FEW_VOXELS:
        yield Issue.warning(
            f"Only {n_annotated} voxels ({part}) are annotated, which is hardly enough for training. Annotate some "
            "more slices."
        )
    else:
        yield Issue.info(f"{n_annotated:,} voxels ({part}) are annotated; the others are ignored.")
    for volume in volumes:
        if not any(value != ignored for value in volume.label_counts):
            yield Issue.warning(f"Nothing is annotated in '{volume.name}'; annotate it, or leave it out.")


def _check_task(
    counts: Mapping[int, int], volumes: Sequence[VolumeStatistics], config: TrainingConfig
) -> Iterator[Issue]:
    values = sorted(value for value in counts if is_foreground(value, config.ignore_label))
    listed = ", ".join(map(str, values)) if len(values) <= _MAX_LISTED else f"{values[0]} to {values[-1]}"
    match config.task:
        case Task.BINARY if len(values) > 1:
            hint = (
                f"Choose the task {Task.SEMANTIC.label} if they are classes, or {Task.INSTANCE.label} if they are ids."
                if len(values) <= _MAX_CLASSES
                else f"They look like ids: choose the task {Task.INSTANCE.label} to separate touching objects."
            )
            tasks = (Task.SEMANTIC, Task.INSTANCE) if len(values) <= _MAX_CLASSES else (Task.INSTANCE,)
            remedies = [Remedy.of(task=task) for task in tasks]
            yield Issue.info(f"{len(values)} label values ({listed}) are one foreground. {hint}", *remedies)
        case Task.SEMANTIC if len(values) > _MAX_CLASSES:
            yield Issue.warning(
                f"There are {len(values)} label values up to {values[-1]}, which look like ids of objects, and each "
                f"becomes a class. Choose the task {Task.INSTANCE.label} if they are ids.",
                Remedy.of(task=Task.INSTANCE),
            )
        case Task.SEMANTIC if len(values) == 1:
            yield Issue.info(
                f"There is a single class, label {values[0]}; the task {Task.BINARY.label} is simpler.",
                Remedy.of(task=Task.BINARY),
            )
        case Task.INSTANCE if all(_n_values(volume, config.ignore_label) <= 1 for volume in volumes):
            yield Issue.warning(
                "No volume has more than one label value, so all its foreground is one object. Label each object with "
                f"its own id, or choose the task {Task.BINARY.label}.",
                Remedy.of(task=Task.BINARY),
            )


def _n_values(volume: VolumeStatistics, ignored: int | None) -> int:
    return sum(is_foreground(value, ignored) for value in volume.label_counts)


def _check_balance(counts: Mapping[int, int], config: TrainingConfig) -> Iterator[Issue]:
    ignored = config.ignore_label
    n_annotated = sum(count for value, count in counts.items() if value != ignored)
    classes = {value: count for value, count in counts.items() if is_foreground(value, ignored)}
    if config.task is not Task.SEMANTIC:
        parts = {"Foreground": sum(classes.values()) / n_annotated}
    else:
        parts = {f"Label {value}": count / n_annotated for value, count in sorted(classes.items())}
    rare = {name: part for name, part in parts.items() if part < _RARE}
    if rare and config.class_weighting is ClassWeighting.AUTO and config.loss is Loss.FOCAL:
        name, part = next(iter(rare.items()))
        yield Issue.warning(
            f"{name} is {_percent(part)} of the annotated voxels. With the loss focal, the class weighting auto makes "
            "the segmentation of so small a part worse; set it to none.",
            Remedy.of(class_weighting=ClassWeighting.NONE),
        )
    if config.class_weighting is ClassWeighting.AUTO or config.class_weights or len(parts) > _MAX_CLASSES:
        return
    for name, part in rare.items():
        yield Issue.warning(
            f"{name} is {_percent(part)} of the annotated voxels, so rare that it may not be segmented. Train for more "
            "epochs, and look at the predictions."
        )


def check_roles(
    trains: Sequence[VolumeStatistics], validates: Sequence[VolumeStatistics], config: TrainingConfig
) -> Iterator[Issue]:
    """Find classes that only occur in validation volumes.

    Parameters
    ----------
    trains, validates : sequence of VolumeStatistics
        Training and validation volumes.
    config : TrainingConfig
        The task and the ignore label.
    """
    trained = total_label_counts(trains)
    found = (value for value in total_label_counts(validates) if value not in trained)
    missing = sorted(value for value in found if is_foreground(value, config.ignore_label))
    if config.task is Task.SEMANTIC and missing:
        yield Issue.warning(
            f"The label values {', '.join(map(str, missing))} only occur in validation volumes, so the network is not "
            "trained on them. Label more volumes, or name other validation volumes."
        )


def _percent(fraction: float) -> str:
    """Return a fraction as a percentage with three digits, so that a small one is not rounded to zero."""
    return f"{100 * fraction:.3g} %"
