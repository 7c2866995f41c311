"""The files of a model that MLflow's server hands out itself (``mlflow-artifacts:``): a call for each folder and file.
Refuses a name that leads out of its folder, or that the server does not carry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_mlgov.registry.mlflow_errors import FileAnswer, Unreadable
from airflow_mlgov.registry.rest import RestClient

_AT_ONCE = 8
_PLAIN = re.compile(r"mlflow-artifacts:(?:///|/)?(?P<path>(?!/)[\w.+=,@ ~-]+(?:/[\w.+=,@ ~-]+)*)/?")
"""An address in the server's own store that means one path, however it is read."""
_NOT_CARRIED = re.compile(r"[\x00-\x1f\x7f#?%\\/]")
"""What MLflow's proxy does not carry in a name."""
_NO_SUCH_NAME = 400


def path_of(address: str) -> str | None:
    """Where in the store of its server an artifact is; None where it is elsewhere, or only MLflow knows where."""
    match = _PLAIN.fullmatch(address)
    return match["path"] if match and not {".", ".."} & set(match["path"].split("/")) else None


def download(client: RestClient, path: str, folder: Path) -> Path:
    """All files below a path of the store, in a folder of their own within ``folder``.

    :raises FileAnswer: the server does not hand over one of them
    """
    top = folder / "files"
    top.mkdir()
    files = list(_below(client, path, "", top))
    with ThreadPoolExecutor(min(_AT_ONCE, len(files) or 1)) as pool:
        for name, status in zip(files, pool.map(lambda name: _saved(client, path, name, top), files), strict=True):
            if status != 200:
                raise FileAnswer(name, status)
    return top


def _below(client: RestClient, path: str, within: str, top: Path) -> Iterator[str]:
    """The names of all files, relative to ``path``; their folders are made."""
    seen: set[str] = set()
    for item in client.list_files(f"{path}/{within}".rstrip("/")):
        name, is_folder = _entry(item)
        relative = f"{within}{name}"
        if name in seen or name in (".", "..") or _NOT_CARRIED.search(name) or not _is_utf8(name):
            raise FileAnswer(relative, _NO_SUCH_NAME)
        seen.add(name)
        if is_folder:
            (top / relative).mkdir()
            yield from _below(client, path, f"{relative}/", top)
        else:
            yield relative


def _entry(item: Any) -> tuple[str, bool]:
    name, is_folder = (item.get("path"), item.get("is_dir", False)) if isinstance(item, dict) else (None, None)
    if not isinstance(name, str) or not name or not isinstance(is_folder, bool):
        raise Unreadable
    return name, is_folder


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _saved(client: RestClient, path: str, name: str, top: Path) -> int:
    return client.save_file(quote(f"{path}/{name}"), top / name)
