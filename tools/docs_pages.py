"""Pages of the documentation that are made while it is built: the reference, and the pages of the project.

`mkdocs.yml` names this file as a hook. The reference of the command, of its settings, of the metrics and of the file
formats comes from the code, and README, CHANGELOG and the like from the top of the checkout, with their links turned
into links between pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from napari_unet3d import configs
from napari_unet3d.cli.app import app
from napari_unet3d.configs.base import ChoiceEnum, Config
from napari_unet3d.data.formats.registry import formats_table
from napari_unet3d.evaluation.metrics.metric import Direction, Scope
from napari_unet3d.evaluation.metrics.table import metrics_of

ROOT = Path(__file__).parents[1]

# The page of each file of the project; README.md would become the start page of its folder.
PROJECT_PAGES = {
    "README.md": "overview.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/RESULTS.md": "project/benchmarks.md",
}

# The settings by what they belong to: title, class, and a class whose settings are described there already.
SETTINGS: tuple[tuple[str, type[Config], type[Config] | None], ...] = (
    ("Generate data: `generate`", configs.SyntheticConfig, None),
    ("Train: `train`", configs.TrainingConfig, None),
    ("Predict: `predict`", configs.PredictionConfig, None),
    ("Volumes larger than memory: `predict`", configs.BlockConfig, None),
    ("Several processes: `predict` and `evaluate`", configs.WorkersConfig, None),
    ("Evaluate: `evaluate`", configs.EvaluationConfig, configs.PredictionConfig),
    ("Corrections: dock *Inspect*", configs.CorrectionConfig, None),
    ("Export: `export`", configs.ExportConfig, None),
    ("Meshes of objects: `meshes`", configs.MeshConfig, None),
)

_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made to those in `docs`."""
    for path, content in generated_pages().items():
        files.append(File.generated(config, path, content=content))
    files.append(File.generated(config, "project/soak.png", abs_src_path=str(ROOT / "benchmarks" / "soak.png")))
    return files


def generated_pages() -> dict[str, str]:
    """Return the text of each page that is made, by its path in the documentation."""
    project = {page: _project_page(file, page) for file, page in PROJECT_PAGES.items()}
    return {
        **project,
        "reference/command.md": command_page(),
        "reference/settings.md": settings_page(),
        "reference/metrics.md": metrics_page(),
        "reference/formats.md": formats_page(),
    }


def command_page() -> str:
    """Return the reference of the command, from the declarations of its arguments and options."""
    return app.generate_docs()


def settings_page() -> str:
    """Return tables of all settings, from their `setting(…)` lines."""
    parts = [
        "# Settings\n\nEach setting has one name: in the docks with spaces, as an option of the command with hyphens, "
        "and in Python and in `config.json` with underscores. The docks show only those that apply to the choices "
        "made in them.\n"
    ]
    for title, config, described in SETTINGS:
        skipped = set() if described is None else set(described.model_fields)
        parts.append(f"## {title}\n\nIn Python: `{config.__name__}`\n")
        if described is not None:
            parts.append(f"All settings of `{described.__name__}`, and these:\n")
        for group, rows in _grouped_rows(config, skipped).items():
            heading = f"### {group[:1].upper()}{group[1:]}\n\n" if group else ""
            parts.append(heading + _table(("setting", "default", "values", ""), rows))
    return "\n".join(parts)


def _grouped_rows(config: type[Config], skipped: set[str]) -> dict[str, list[tuple[str, ...]]]:
    """Return the rows of a table for each group of settings, in the order of the form."""
    bare, groups = config(), dict[str, list[tuple[str, ...]]]()
    for name, field in config.model_fields.items():
        if name in skipped:
            continue
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        cells = (_shown(getattr(bare, name), extra), _values(field.annotation, extra), str(field.description))
        groups.setdefault(str(extra.get("group") or ""), []).append((f"`{name}`", *cells))
    return groups


def _shown(value: Any, extra: dict[str, Any]) -> str:
    """Return a default as it is written on the command line."""
    if value is None:
        return str(extra.get("none_text") or "none")
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(f"`{each}`" for each in value) or "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if str(value) else "none"


def _values(annotation: Any, extra: dict[str, Any]) -> str:
    """Return the choices of a setting, or its bounds."""
    choices = ", ".join(f"`{member.value}`" for kind in _enums(annotation) for member in kind)
    low, high = extra.get("minimum"), extra.get("maximum")
    bounds = ""
    if low is not None:
        bounds = f"{low:g} to {high:g}" if high is not None else f"at least {low:g}"
    return "; ".join(filter(None, (choices, bounds, f"0: {extra['zero_text']}" if extra.get("zero_text") else "")))


def _enums(annotation: Any) -> Iterator[type[ChoiceEnum]]:
    """Yield the enums in a type, such as that in ``tuple[PatchMode | int, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, ChoiceEnum):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _enums(part)


def metrics_page() -> str:
    """Return tables of all metrics, from the table `METRICS`."""
    titles = {Scope.VOXELS: "Of voxels and surfaces", Scope.INSTANCES: "Of single objects"}
    better = {Direction.LOWER: "lower", Direction.NONE: "–"}
    parts = [
        "# Metrics\n\nThe name is the column of `metrics.csv`, the title what docks and reports show. "
        "[How scores are defined](../explanation/scores.md) tells what happens at the limits.\n"
    ]
    for scope, title in titles.items():
        rows = [
            (f"`{each.column}`", each.full_name, better.get(each.direction, "higher"), each.explanation)
            for each in metrics_of(scope)
        ]
        parts.append(f"## {title}\n\n{_table(('name', 'title', 'better is', ''), rows)}")
    return "\n".join(parts)


def formats_page() -> str:
    """Return the table of the file formats, from their registry."""
    return f"# File formats\n\n{formats_table()}\n\n[Files](../overview.md#files) tells how they are paired.\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = (head, ("---",) * len(head), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _project_page(file: str, page: str) -> str:
    """Return a page of the project, with links that lead from its page to other pages."""
    up = "../" * page.count("/")
    folder = Path(file).parent

    def link(found: re.Match[str]) -> str:
        path, anchor = (folder / found[1]).as_posix(), found[2] or ""
        if path in PROJECT_PAGES:
            return f"]({up}{PROJECT_PAGES[path]}{anchor})"
        return f"]({up}{path.removeprefix('docs/')}{anchor})" if path.startswith("docs/") else found[0]

    return _LINK.sub(link, (ROOT / file).read_text(encoding="utf-8"))
