"""The tutorials name commands and settings that exist; the site builds, and its settings are all there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from clues.cli import app
from clues.data.layouts.dialects import DIALECTS, detect
from clues.data.samples import read_records
from clues.settings import CompareSettings, EngineSettings, RunSettings, SiloFile, validated

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs/tutorials").glob("*.md"))
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
COMMANDS = [line for text in TEXTS.values() for line in re.findall(r"^\$ (clues .+)$", text, re.M)]
CLUES = typer.main.get_command(app)
INLINE = [setting for text in TEXTS.values() for setting in re.findall(r"`--set\s+([^`]+)`", text)]


@pytest.fixture(scope="module")
def settings_page() -> str:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs/hooks.py")
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    return hooks.settings_page()


def parse(line: str) -> list[str]:
    """The settings that a command line names. Raises a usage error if click cannot make sense of it."""
    _, *words = shlex.split(line)
    command = CLUES
    context = command.make_context("clues", list(words))
    while hasattr(command, "resolve_command"):
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, list(words), parent=context)
    return context.params.get("set_") or []


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_tutorials_exist(line):
    parse(line)


@pytest.mark.parametrize(
    "line", ["clues scores a.jsonl", "clues select runs/mine --treshold ratio", "clues server add"]
)
def test_a_command_that_does_not_exist_is_noticed(line):
    with pytest.raises(Exception, match="No such"):
        parse(line)


def test_the_settings_that_the_tutorials_name_exist(settings_page):
    known = {f"{table}.{key}" for table, keys in sections(settings_page).items() for key in keys}
    named = [setting.partition("=")[0] for setting in [*INLINE, *(s for line in COMMANDS for s in parse(line))]]
    assert len(named) >= 3
    assert [key for key in named if key not in known] == []


def test_the_settings_files_of_the_tutorials_are_valid():
    run, deployed = blocks("coordinator.md")
    assert validated(RunSettings, run).clients[0].id == "hospital"
    assert validated(RunSettings, deployed).engine.name == "deployment"
    (silo,) = blocks("data-owner.md")
    assert validated(SiloFile, silo).allow.modes == ["merging"]
    (experiment,) = blocks("researcher.md")
    assert len(validated(CompareSettings, experiment["compare"]).variants) == 2


def test_every_layout_has_an_example_which_is_read_as_that_layout():
    page = (ROOT / "docs/data-formats.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.+?)```", page, re.S)
    records = [json.loads(line) for line in block.splitlines()]
    assert {detect(record).name for record in records} == set(DIALECTS)
    for record in records:
        (sample,) = read_records([record], "example")
        assert sample.context[-1]["content"].endswith("What is a fever?")
        assert sample.response == "A raised body temperature."


def blocks(page: str) -> list[dict]:
    return [tomllib.loads(text) for text in re.findall(r"```toml\n(.+?)```", TEXTS[page], re.S)]


def sections(settings_page: str) -> dict[str, list[str]]:
    """The keys of each table of the settings page."""
    parts = re.split(r"^## (.+)$", settings_page, flags=re.M)[1:]
    names = [name.strip("[").partition("]")[0] for name in parts[::2]]
    return {name: re.findall(r"^\| `(\w+)`", text, re.M) for name, text in zip(names, parts[1::2], strict=True)}


def test_the_settings_page_in_the_docs_is_that_of_the_settings(settings_page):
    assert (ROOT / "docs/settings.md").read_text(encoding="utf-8") == settings_page, "run python docs/hooks.py"


def test_the_settings_page_has_every_table_with_defaults_and_comments(settings_page):
    found = sections(settings_page)
    for name, field in RunSettings.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            assert found[name] == list(field.annotation.model_fields)
    assert {"privacy.anchors", "evaluation.judge", "clients", "masks", "compare"} <= set(found)
    assert "| `trim` | number ≥ 0, ≤ 1 | `0.2` | trimmed-mean: the share of clients" in settings_page
    assert "| `seed` | integer | `1` | of all that is random;" in settings_page  # from the type
    assert re.search(r"^\| `lora` \| table .+ \| The adapter \(LoRA", settings_page, re.M)  # from the table
    assert "| none | go on with so many clients if others fail; default: all |" in settings_page  # a comment beside
    assert "samples: how many an adapter was trained on; quality: how many" in settings_page  # comments above


def test_every_setting_has_a_meaning(settings_page):
    assert re.findall(r"^\| `\w+` \|.*\|\s*\|$", settings_page, re.M) == []


def test_the_site_builds_without_a_warning(tmp_path):
    for module in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    api = (tmp_path / "site/api.html").read_text(encoding="utf-8")
    assert 'id="clues.select_records"' in api
    assert 'href="concepts.html"' in (tmp_path / "site/index.html").read_text(encoding="utf-8")


def test_the_defaults_that_the_page_on_deployments_names():
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `engine\.(\w+)` \| (.+?) \|", page, re.M)
    defaults = EngineSettings().model_dump()
    assert {name: str(defaults[name]).removesuffix(".0") for name, _ in rows} == {
        name: {"all clients": "None"}.get(default, default) for name, default in rows
    }


def test_every_fault_is_brought_about_by_a_test_that_exists():
    page = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if "`test_" in line]
    known = {
        name for file in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(rows) >= 20
    assert {name for row in rows for name in re.findall(r"`(test_\w+)`", row)} - known == set()
    assert [
        row for row in re.findall(r"^\| (?!-).+\|$", page, re.M) if "`test_" not in row and "| test |" not in row
    ] == []
