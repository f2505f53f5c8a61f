"""What an index of packages shows: addresses of the project, and README with pictures and links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

ROOT = Path(__file__).parents[1]
LINKS = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture
def metadata_in(monkeypatch: pytest.MonkeyPatch):
    def build(**environ: str):
        for name in ("GITHUB_REPOSITORY", "GITHUB_REF_TYPE", "GITHUB_REF_NAME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return ProjectMetadata(str(ROOT), PluginManager()).core

    return build


def test_every_link_of_a_release_leads_to_its_tag(metadata_in) -> None:
    built = metadata_in(GITHUB_REPOSITORY="lab/unet", GITHUB_REF_TYPE="tag", GITHUB_REF_NAME="v1.0")
    assert "](https://github.com/lab/unet/raw/v1.0/docs/images/training.webp)" in built.readme
    assert "[CHANGELOG.md](https://github.com/lab/unet/blob/v1.0/CHANGELOG.md)" in built.readme
    links = LINKS.findall(built.readme)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    ours = re.compile(r"https://github.com/lab/unet/(?:raw|blob)/v1.0/([^#]+)")
    files = [match[1] for link in links if (match := ours.match(link))]
    assert len(files) > 15
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_a_branch_is_no_version(metadata_in) -> None:
    built = metadata_in(GITHUB_REPOSITORY="lab/unet", GITHUB_REF_TYPE="branch", GITHUB_REF_NAME="fix")
    assert "](https://github.com/lab/unet/raw/HEAD/docs/images/training.webp)" in built.readme


def test_addresses_beside_the_project(metadata_in) -> None:
    urls = metadata_in(GITHUB_REPOSITORY="lab/unet").urls
    assert urls["Source"] == "https://github.com/lab/unet"
    assert urls["Documentation"] == "https://lab.github.io/unet/"
    assert urls["Issues"] == "https://github.com/lab/unet/issues"


def test_without_an_address_nothing_is_made_up(metadata_in) -> None:
    built = metadata_in()
    assert built.urls == {}
    assert built.readme == (ROOT / "README.md").read_text(encoding="utf-8")
