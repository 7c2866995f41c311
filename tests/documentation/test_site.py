"""``make docs``: the site is made without a warning, each page is found, and none loads anything from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds.pages import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", ROOT / "docs", made]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return made


def test_every_page_is_made_and_leads_on(site: Path) -> None:
    """A link to nothing, and a page that no table of contents names, are warnings."""
    written = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert written <= {path.stem for path in site.glob("*.html")}
    assert "playbook" in (site / "index.html").read_text()


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)\"")
    imported = re.compile(r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)")
    found = {
        str(path.relative_to(site)): hits
        for path in [*site.rglob("*.html"), *site.rglob("*.css")]
        if (hits := [*loaded.findall(path.read_text()), *imported.findall(path.read_text())])
    }
    assert found == {}
