"""Known vulnerabilities of what the lock lists, by pip-audit in an environment of its own: ``python -m tests.audit``.

pip-audit ends well also where it could look nothing up. Here one package is asked about first. Where there is no
answer, that is said, nothing else is asked, and with ``--must`` it is an error, as a package that was left out is.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.gates.environments import CACHE

ROOT = Path(__file__).parents[1]
TOOL = "pip-audit==2.10.1"
FIRST = "requests"
"""A package of the lock that every database of them knows."""


def judged(answer: dict[str, Any], must: bool) -> tuple[int, list[str]]:
    """What pip-audit's JSON comes to: an exit code, and what is said.

    :param must: a package that was not looked up is an error
    """
    items = answer["dependencies"]
    left_out = [item["name"] for item in items if "skip_reason" in item]
    said = [
        f"{item['name']} {item['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for item in items
        for found in item.get("vulns", ())
    ]
    failed = bool(said) or (must and (bool(left_out) or not items))
    looked_up = len(items) - len(left_out)
    said.append(f"{looked_up} packages looked up, {len(said)} vulnerabilities known")
    if left_out:
        said.append(f"not looked up: {', '.join(left_out)}")
    return int(failed), said


def main(must: bool) -> int:
    """Look up everything in the lock; 1 where something is known to be vulnerable."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    first = _asked([line for line in lines if line.startswith(f"{FIRST}==")])
    if judged(first, True)[0] and not any(item.get("vulns") for item in first["dependencies"]):
        print(f"skipped: the database of vulnerabilities has no answer about {FIRST}; is the package index reached?")
        return int(must)
    code, said = judged(_asked(lines), must)
    print("\n".join(said))
    return code


def _asked(lines: list[str]) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        listed = Path(folder, "listed.txt")
        listed.write_text("\n".join(lines) + "\n")
        words = ["-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip", "--format", "json"]
        done = subprocess.run([str(_tool()), *words], capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        raise SystemExit(f"pip-audit: {done.stderr.strip()[-500:]}")
    return dict(json.loads(done.stdout))


def _tool() -> Path:
    folder = CACHE / f"audit-{hashlib.sha256(f'{TOOL}{sys.version}'.encode()).hexdigest()[:12]}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), TOOL], check=True)
        (folder / "complete").touch()
    return python


if __name__ == "__main__":
    sys.exit(main("--must" in sys.argv[1:]))
