"""Names and texts as SQL of DuckDB. Refuses nothing: whatever the name or text holds is quoted."""

from __future__ import annotations

import re
from pathlib import Path


def identifier(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def file_literal(path: Path) -> str:
    """A file's path as SQL; DuckDB would take ``a[1].csv`` for a pattern that means ``a1.csv``."""
    return literal(re.sub(r"[*?\[]", lambda sign: f"[{sign[0]}]", str(path.absolute())))
