from __future__ import annotations

from collections.abc import Callable

import pytest
from box_samples import make_sample

from napari_unet3d.data.sample import Sample


@pytest.fixture
def sample_of() -> Callable[..., Sample]:
    return make_sample


@pytest.fixture
def samples() -> list[Sample]:
    return [make_sample(str(number), number) for number in (1, 2, 3)]
