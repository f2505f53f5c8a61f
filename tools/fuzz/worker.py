"""The process that reads mutants one after the other: a line of JSON on stdin for each, and one on stdout in return."""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

MAX_BYTES = 2 * 2**30
"""The memory that reading a mutant may take."""
_PACKAGE = "napari_unet3d"


def serve() -> None:
    """Read mutants until stdin ends."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    from readers import READERS

    READERS["notes"](_sound_notes())  # imports most of what is needed
    _limit_memory()
    answers.write(json.dumps({"outcome": "ready"}) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        began = time.process_time()
        before = _reset_peak()
        outcome = _try(READERS[request["reader"]], Path(request["folder"]))
        seconds, peak = time.process_time() - began, _peak() - before
        answers.write(json.dumps({**outcome, "seconds": seconds, "bytes": peak}) + "\n")
        answers.flush()


def _sound_notes() -> Path:
    import tempfile

    from seeds import _notes

    folder = Path(tempfile.mkdtemp(prefix="fuzz-worker-"))
    (folder / "notes.json").write_text(json.dumps(_notes()))
    return folder


def _try(read: Any, folder: Path) -> dict[str, Any]:
    from readers import texts_of

    from napari_unet3d.errors import UserError

    try:
        read(folder)
    except UserError as error:
        wrong = list(texts_of(error))
        kind = "message" if wrong else "refused"
        return {"outcome": kind, "signature": "; ".join(wrong)[:100], "text": str(error)[:500]}
    except MemoryError as error:
        return {"outcome": "memory", "signature": _signature(error), "text": traceback.format_exc()}
    except BaseException as error:  # noqa: BLE001 - each is a finding
        return {"outcome": "exception", "signature": _signature(error), "text": traceback.format_exc()}
    return {"outcome": "read", "signature": "", "text": ""}


def _signature(error: BaseException) -> str:
    """Return the type of an error, and where it left the package and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _PACKAGE in frame.filename]
    places = [f"{Path(frame.filename).name}:{frame.name}" for frame in (*own[-1:], *frames[-1:])]
    return " ".join([type(error).__name__, *dict.fromkeys(places)])


def _limit_memory() -> None:
    used = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + MAX_BYTES, -1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _reset_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    serve()
