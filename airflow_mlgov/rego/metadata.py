"""OPA's ``# METADATA`` before rules. One reader for the rules of promotion, an organisation's own and packs: it says
before which line each block stands, and the syntax tree which rule is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import parse_yaml

Said = Mapping[str, Any]


def metadata_of(text: str, source: str) -> dict[int, Said]:
    """Line of a statement, from 1 -> the METADATA that stands right before it.

    :param text: a module
    :param source: its name, for messages
    :raises ConfigurationError: a block is not strict YAML, or no mapping
    """
    found: dict[int, Said] = {}
    begins, block = 0, list[str]()
    for number, line in enumerate([*text.split("\n"), ""], 1):
        line = line.rstrip()
        if begins and line.startswith("#") and line != "# METADATA":
            block.append(re.sub("^# ?", "", line))
        elif line == "# METADATA":
            begins, block = number, []
        elif begins:
            found[number] = _read("\n".join(block), f"{source}:{begins}")
            begins = 0
    return found


def _read(text: str, where: str) -> Said:
    said = parse_yaml(text, where, "METADATA", plain=True)
    if not isinstance(said, Mapping):
        raise ConfigurationError(f"{where}: the METADATA is no mapping", code="file.not_yaml")
    return said
