"""What the metadata of the package say about where the project is: addresses, and README with links that lead there.

`pyproject.toml` names this file as a metadata hook of hatchling. The address comes from GITHUB_REPOSITORY, which GitHub
sets in workflows, so that a fork publishes its own. Without it, as in a checkout on somebody's computer, there are no
addresses, and README is as it is:

    GITHUB_REPOSITORY=owner/name make dist
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?!https?:|#|mailto:)(?P<path>[^)\s]+)\)")


class PackageMetadata(MetadataHookInterface):
    """Fills in the fields `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both fields in the table `project`."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        address = address_of_project(os.environ)
        if address is not None:
            readme = with_absolute_links(readme, address, revision_of_build(os.environ))
        metadata["readme"] = {"content-type": "text/markdown", "text": readme}
        metadata["urls"] = {} if address is None else urls(address)


def address_of_project(environ: Mapping[str, str]) -> str | None:
    """Return the address of the repository on GitHub, or None if the environment does not say it."""
    repository = environ.get("GITHUB_REPOSITORY")
    return f"https://github.com/{repository}" if repository else None


def revision_of_build(environ: Mapping[str, str]) -> str:
    """Return the tag that is built, so that the links of a release stay true, or HEAD, the newest state."""
    return environ.get("GITHUB_REF_NAME", "HEAD") if environ.get("GITHUB_REF_TYPE") == "tag" else "HEAD"


def urls(address: str) -> dict[str, str]:
    """Return the addresses that an index of packages shows beside the project."""
    owner, name = address.split("/")[-2:]
    return {
        "Source": address,
        "Documentation": f"https://{owner}.github.io/{name}/",
        "Changelog": f"{address}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{address}/issues",
        "User support": "https://forum.image.sc/tag/napari",
    }


def with_absolute_links(markdown: str, address: str, revision: str) -> str:
    """Return a text whose links to files of the checkout lead to GitHub; those to its own headings stay.

    For example, `[How](docs/how.md#now)` becomes `[How](https://github.com/owner/name/blob/v1.0/docs/how.md#now)`.
    """

    def absolute(link: re.Match[str]) -> str:
        view = "raw" if link["image"] else "blob"
        return f"{link['image']}[{link['text']}]({address}/{view}/{revision}/{link['path']})"

    return _LINK.sub(absolute, markdown)
