from __future__ import annotations

import pytest

from napari_unet3d.session.message_paths import find_paths


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("The report is in {folder}/my report.html", ["my report.html"]),
        ("Saved {folder}/my report.html, and {folder}.", ["my report.html", "folder, old"]),
        ("'{folder}/a.tif' has no labels; choose another.", ["a.tif"]),
        ("Not there: {folder}/b.tif", []),
        ("12 µm/px and/or train/images; https://napari.org/", []),
        ("{folder}/a.tif\n{folder}/a.tif", ["a.tif", "a.tif"]),
        ("A disk: /", []),
        ("A name \0 that no file has: /\0", []),
    ],
)
def test_only_what_exists_is_found_with_its_spaces(tmp_path, message, expected):
    folder = tmp_path / "folder, old"
    folder.mkdir()
    for name in ("my report.html", "a.tif"):
        (folder / name).touch()
    text = message.format(folder=folder)
    found = find_paths(text)
    names = [each.path.name for each in found]
    assert names == expected
    assert all(text[each.start : each.stop] == str(each.path) for each in found)
