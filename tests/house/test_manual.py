"""The manual says what the commands and settings are, not what they were."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manual", ROOT / "scripts" / "manual.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["commands.md", "configuration.md"])
def test_the_manual_is_up_to_date(name: str) -> None:
    pages: dict[Path, str] = generator().pages()
    written = (ROOT / "docs" / name).read_text()
    assert written == pages[ROOT / "docs" / name], "run `make docs`"


def test_every_link_of_the_readme_leads_somewhere() -> None:
    import re

    for document in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / document).read_text()):
            assert target.startswith("https://") or (ROOT / target).exists(), f"{document}: {target}"
