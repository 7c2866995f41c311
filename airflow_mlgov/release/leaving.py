"""Leaves a version's files where they are to be served from, if they may be, and nothing if they may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile, copytree, rmtree
from typing import TYPE_CHECKING

from airflow_mlgov.errors import AccessError, ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import hash_tree
from airflow_mlgov.results import Subject

if TYPE_CHECKING:
    from airflow_mlgov.registry.protocol import ModelVersion, Registry
    from airflow_mlgov.release.explanation import Explanation

_HALF = ".mlgov-half"
"""Where files lie until all are there: what a copy that was killed has left, the next one takes away."""


def leave_verified(
    registry: Registry, version: ModelVersion, folder: Path, judge: Callable[[Subject], Explanation]
) -> Explanation:
    """Fetch a version's files, judge them, and leave exactly these bytes in a folder if they may serve.

    They are hashed again where they are left, so what is served from there is what was judged. Whatever goes wrong, the
    folder is left empty.

    :param folder: empty, or absent: it is made then
    :param judge: whether bytes may serve
    :raises ConfigurationError: the folder holds something, or is none
    :raises AccessError: the folder cannot be written
    :raises EvidenceError: the files were changed while they were copied
    """
    _require_empty(folder)
    with registry.download(version) as files:
        model = Subject("model", version.name, hash_tree(files), version.version, registry.uri)
        answer = judge(model)
        if answer.allowed:
            _copy(files, folder, model.digest)
    return answer


def _require_empty(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rmtree(folder / _HALF, ignore_errors=True)
        held = next(folder.iterdir(), None)
    except FileExistsError:
        raise ConfigurationError(f"--into {folder} is a file: name a folder", code="into.not_empty") from None
    except OSError as error:
        raise AccessError(f"--into {folder} cannot be written: {error.strerror}", code="file.refused") from None
    if held is not None:
        raise ConfigurationError(
            f"--into {folder} holds {held.name!r} already: what is served from there must be what is verified now",
            code="into.not_empty",
        )


def _copy(files: Path, folder: Path, digest: str) -> None:
    try:
        copytree(files, folder / _HALF, copy_function=copyfile)
        for item in (folder / _HALF).iterdir():
            item.rename(folder / item.name)
        (folder / _HALF).rmdir()
        found = hash_tree(folder)
    except OSError as error:
        _empty(folder)
        raise AccessError(f"--into {folder} cannot be written: {error}", code="file.refused") from None
    except BaseException:
        _empty(folder)
        raise
    if found != digest:
        _empty(folder)
        raise EvidenceError(
            f"the files in {folder} are not those that were verified: something else writes there, or to the files "
            "while they are fetched",
            code="artifact.changed",
        )


def _empty(folder: Path) -> None:
    for item in folder.iterdir():
        if item.is_dir() and not item.is_symlink():
            rmtree(item, ignore_errors=True)
        else:
            item.unlink(missing_ok=True)
