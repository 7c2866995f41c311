"""The child's whole life in another environment: ``python -I run.py FOLDER SCRIPT``. Reads ``request.json``, lets the
script answer, writes ``answer.json``. Imports the standard library alone, of Python 3.9 or later."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from typing import Any


def main(folder: str, script: str) -> None:
    """Write one of ``answer``, ``missing`` (libraries), ``refused`` (the user's mistake) or ``failed``."""
    with open(os.path.join(folder, "request.json"), encoding="utf-8") as file:
        request = json.load(file)
    libraries, missing = _versions(request["libraries"])
    outcome: dict[str, Any] = {"missing": missing} if missing else _answer(script, request["request"])
    target = os.path.join(folder, "answer.json")
    with open(f"{target}.part", "w", encoding="utf-8") as file:
        json.dump({"libraries": {"python": platform.python_version(), **libraries}, **outcome}, file, allow_nan=False)
    os.replace(f"{target}.part", target)


def _versions(names: list[str]) -> tuple[dict[str, str], list[str]]:
    found, missing = {}, []
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return found, missing


def _answer(script: str, request: Any) -> dict[str, Any]:
    """A script says ``SystemExit("why")`` where the user's request cannot be met. What libraries say is passed on only
    where the script reads no rows (``READS_ROWS``) because their words quote values."""
    spec = importlib.util.spec_from_file_location("mlgov_external", script)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return {"answer": module.answer(request)}
    except SystemExit as refusal:
        return {"refused": str(refusal.code)}
    except ImportError as error:
        return {"missing": [error.name or str(error)]}
    except Exception as error:
        words = "" if module.READS_ROWS else f": {error}"
        return {"failed": f"{type(error).__name__}{words}"}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
