from __future__ import annotations

from enum import EnumType
from pathlib import Path

import pytest
from npe2 import PluginManifest

import napari_unet3d
from napari_unet3d.configs import TrainingConfig
from napari_unet3d.configs.preferences import PreferencesConfig
from napari_unet3d.widgets.components.napari_preferences import section_of

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


def test_the_page_in_the_preferences_is_that_of_the_settings(manifest):
    """Titles, bounds, choices, defaults and descriptions are declared twice; napari reads them from the manifest."""
    if (parts := getattr(manifest.contributions, "configurations", None)) is None:
        pytest.skip("this npe2 has no configurations")
    declared = {name: (part, each) for part in parts for name, each in parts[part].properties.items()}
    assert list(declared) == list(PreferencesConfig.model_fields)
    for name, field in PreferencesConfig.model_fields.items():
        part, shown = declared[name]
        assert part == section_of(name)
        assert shown.title.lower() == PreferencesConfig.label_of(name)
        assert shown.description == field.description
        assert shown.default == field.default
        assert shown.python_type is type(getattr(field.default, "value", field.default))
        assert (shown.minimum, shown.maximum) == (
            field.json_schema_extra["minimum"],
            field.json_schema_extra["maximum"],
        )
        choices = [each.value for each in field.annotation] if isinstance(field.annotation, EnumType) else None
        assert shown.enum == choices


def test_preferences_of_a_training_are_its_settings():
    fields = TrainingConfig.model_fields
    for name in {"device", "task", "preset", "epochs"}:
        mine, its = PreferencesConfig.model_fields[name], fields[name]
        assert (mine.annotation, mine.default) == (its.annotation, its.default)
        assert mine.json_schema_extra["maximum"] == its.json_schema_extra["maximum"]
