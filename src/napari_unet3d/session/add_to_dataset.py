"""What is to be added to a dataset as corrections, and whether it shows test volumes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from napari_unet3d.data.corrections import Correction
from napari_unet3d.data.pairs import Pair, Subset, list_pairs
from napari_unet3d.data.sample import Sample
from napari_unet3d.data.shared_content import matching_test_volumes
from napari_unet3d.errors import UserError
from napari_unet3d.session.origin import VolumeOrigin, without_subset


@dataclass(frozen=True, slots=True, eq=False)
class Adding:
    """Corrections that are to go into the training part of a dataset.

    Attributes
    ----------
    dataset : Path
        The dataset folder.
    sample : Sample
        The corrected volume.
    corrections : tuple of Correction
        What it holds.
    earlier : Pair or None
        The files that it takes the place of.
    origin : Origin
        The volume that was corrected.
    """

    dataset: Path
    sample: Sample
    corrections: tuple[Correction, ...]
    earlier: Pair | None
    origin: VolumeOrigin

    def find_test_volumes(self) -> tuple[str, ...]:
        """Name the test volumes of the dataset that were corrected: by where the volume is from, and by content.

        Raises
        ------
        UserError
            If a test volume cannot be read.
        """
        name, _ = without_subset(self.origin.name)
        own = (name,) if self._known_part() is Subset.TEST else ()
        return own + tuple(each for each in matching_test_volumes(self.dataset, self.sample) if each not in own)

    def sample_of_part(self, test_volumes: tuple[str, ...]) -> Sample:
        """Return the corrected volume with the part of the dataset that it is from, as far as that is known."""
        part = self._known_part() or (Subset.TEST if test_volumes else self._part_by_name())
        origin = self.sample.provenance
        if origin is None or part is None:
            return self.sample
        return replace(self.sample, provenance=origin.model_copy(update={"part": part.value}))

    def _known_part(self) -> Subset | None:
        folder = self.origin.dataset
        if folder is not None and folder.resolve() != self.dataset.resolve():
            return None
        return self.origin.subset or without_subset(self.origin.name)[1]

    def _part_by_name(self) -> Subset | None:
        """Return the training part when it has a volume of that name; of the test part, content alone decides."""
        name = without_subset(self.origin.name)[0].casefold()
        try:
            pairs = list_pairs(self.dataset, Subset.TRAIN)
        except UserError:  # no dataset yet
            return None
        return Subset.TRAIN if any(pair.name.casefold() == name for pair in pairs) else None


@dataclass(frozen=True, slots=True, eq=False)
class CorrectedTestVolumes:
    """What is to be added shows test volumes, so that the user is asked first; nothing is written.

    Attributes
    ----------
    adding : Adding
        What is to be added.
    names : tuple of str
        The test volumes.
    """

    adding: Adding
    names: tuple[str, ...]

    @property
    def question(self) -> str:
        """What it means, and whether it is wanted."""
        names = ", ".join(f"'{name}'" for name in self.names)
        which = f"the test volume {names}" if len(self.names) == 1 else f"the test volumes {names}"
        return (
            f"The corrected places are part of {which} of this dataset. A model that trains on them knows what it is "
            "tested on: its test score will be too good, and cannot be compared with earlier ones.\n\n"
            "Add them to the training volumes all the same? Take out again undoes it."
        )
