from __future__ import annotations

from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_unet3d

PACKAGED = Path(napari_unet3d.__file__).parent / "napari.yaml"
AT_ROOT = Path(__file__).parents[1] / "napari.yaml"


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_file(PACKAGED)


def test_every_entry_leads_to_a_command(manifest):
    contributions = manifest.contributions
    known = {command.id for command in contributions.commands}
    used = [widget.command for widget in contributions.widgets] + [data.command for data in contributions.sample_data]
    used += [item.command for items in contributions.menus.values() for item in items if hasattr(item, "command")]
    assert set(used) <= known
    assert contributions.widgets[0].display_name == "Start here"
    assert {widget.display_name for widget in contributions.widgets} == {
        "Start here",
        "Generate data",
        "Dataset",
        "Annotate",
        "Train",
        "Predict",
        "Inspect",
        "Objects",
    }


def test_every_command_leads_to_code(manifest):
    manifest.validate_imports()


def test_plugin_is_named_like_its_distribution(manifest):
    assert manifest.name == manifest.display_name == "napari-unet3d"


def test_manifest_at_the_root_is_the_packaged_one():
    if not AT_ROOT.is_symlink():
        pytest.skip("this checkout has no symbolic links")
    assert AT_ROOT.resolve() == PACKAGED.resolve()
