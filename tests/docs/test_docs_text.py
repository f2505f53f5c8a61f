"""What the documentation says exists: commands, options, pages, anchors and pictures."""

from __future__ import annotations

import re
from functools import reduce

import pytest
import yaml
from cyclopts import App
from docs_blocks import DOCS, PAGES, ROOT, blocks_of, text_of

from napari_unet3d.cli.app import app

COMMANDS = (
    *("generate", "train", "status", "stop", "predict", "evaluate", "report", "export", "demo"),
    *("meshes", "rois", "dataset export", "dataset import"),
)
NO_OPTIONS = {  # Slurm's
    *("--cpus-per-task", "--mem", "--ntasks", "--gres", "--job-name", "--signal", "--requeue", "--open-mode"),
    *("--time", "--array"),
}
NO_OPTIONS |= {"--nthreads"}  # Dask's
NO_OPTIONS |= {"--nproc-per-node", "--nnodes", "--rdzv-backend", "--rdzv-endpoint"}  # torchrun's
MADE = re.compile(r"^(\.\./)*(overview|project/.*|(reference/)?(command|settings|metrics|formats))\.md$")


def test_blocks_are_commands_or_python_or_say_why_they_are_not_run() -> None:
    run = [(page, block) for page in PAGES for block in blocks_of(page) if not block.reason]

    assert {block.language for _, block in run} == {"sh", "python"}
    assert [(page, block.code) for page, block in run if block.language == "sh" and block.other_lines] == []


def test_every_fence_is_found() -> None:
    for page in PAGES:
        assert len(re.findall(r"^ *```", text_of(page), re.MULTILINE)) == 2 * len(blocks_of(page)), page


def test_what_is_not_run_is_known() -> None:
    reasons = [(page, block.reason) for page in PAGES for block in blocks_of(page) if block.reason]

    assert reasons == [
        ("how-to/clusters.md", "it needs Slurm"),
        ("how-to/clusters.md", "it needs several GPUs"),
        ("how-to/clusters.md", "it needs several computers"),
        ("how-to/clusters.md", "it needs Slurm"),
        ("how-to/large-volumes.md", "it starts other processes"),
        ("how-to/large-volumes.md", "it needs a cluster"),
        ("index.md", "it installs packages"),
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_parses(page: str) -> None:
    for block in blocks_of(page):
        for arguments in block.commands:
            unused = app.parse_args(arguments, exit_on_error=False, print_error=False)[2]
            assert not unused, arguments


def test_every_option_in_the_text_exists() -> None:
    found = [reduce(App.__getitem__, command.split(), app) for command in COMMANDS]
    known = {name for each in found for argument in each.assemble_argument_collection() for name in argument.names}
    mentioned = {(page, name) for page in PAGES for name in re.findall(r"(?<=[ `(|])--[a-z][a-z0-9-]*", text_of(page))}

    assert [each for each in sorted(mentioned) if each[1] not in known | NO_OPTIONS] == []
    assert len(mentioned) > 40


def test_every_link_leads_to_a_page_and_every_picture_is_there() -> None:
    missing = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text_of(page))
        if not MADE.match(link) and not (DOCS / page).parent.joinpath(link).exists()
    ]

    assert missing == []


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    listed = set(re.findall(r"[\w./-]+\.md", str(nav)))

    assert set(PAGES) <= listed
    assert all(MADE.match(page) for page in listed - set(PAGES))
