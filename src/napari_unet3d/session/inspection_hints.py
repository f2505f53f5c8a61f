"""Why there is no error to go to, and what to do about it."""

from __future__ import annotations

from napari_unet3d.formatting import format_count
from napari_unet3d.session.inspection_state import InspectionState


def show_hidden_text(n_hidden: int) -> str:
    """Return what the button says that lists what the tolerance hides.

    >>> show_hidden_text(219), show_hidden_text(1)
    ('Show the 219 hidden', 'Show the one hidden')
    """
    return f"Show the {'one' if n_hidden == 1 else n_hidden} hidden"


def why_no_error(session: InspectionState) -> str:
    """Return in one or two sentences why no error is listed, and what to do.

    Parameters
    ----------
    session : InspectionState
        What is inspected, or a session in which nothing is.
    """
    errors = session.errors
    if session.comparison is None:
        return "Nothing is inspected yet. Choose a prediction and its ground truth, then press Inspect."
    if errors is None:
        return (
            "This prediction has no ground truth, so its errors are not known. Choose a ground truth, then press "
            "Inspect; or paint corrections where you see that it is wrong."
        )
    if len(errors):
        return (
            f"None of the {format_count(len(errors), 'error')} is listed. Choose 'All kinds' and the volume ≥ 0, clear "
            "the search and untick 'Only unseen'."
        )
    if errors.n_hidden:
        return (
            f"No error is deeper than {errors.tolerance:g} {errors.geometry.unit}. Press "
            f"'{show_hidden_text(errors.n_hidden)}' below the table to go to what is thinner."
        )
    return "There is no error: the prediction is the same as the ground truth wherever that is annotated."
