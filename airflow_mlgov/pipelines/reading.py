"""From files to manifests: which platform a file is for, and what its reader makes of it. A folder is walked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError, MlgovError
from airflow_mlgov.pipelines.documents import Part, read_documents
from airflow_mlgov.pipelines.inventory import Inventory, inventory_of, inventory_of_text
from airflow_mlgov.pipelines.manifest import Manifest
from airflow_mlgov.pipelines.readers import (
    argo,
    github,
    gitlab,
    jenkins,
    json_manifest,
    kubeflow,
    kubernetes,
    sagemaker,
    tekton,
)
from airflow_mlgov.pipelines.readers.source import Source, source_of

KINDS: dict[str, Any] = {
    "json": json_manifest,
    "kubeflow": kubeflow,
    "sagemaker": sagemaker,
    "argo": argo,
    "tekton": tekton,
    "kubernetes": kubernetes,
    "github": github,
    "gitlab": gitlab,
}
"""Platform -> its reader of YAML or JSON documents, in the order in which they are asked."""
_ENDINGS = (".yml", ".yaml", ".json")
_MANY_FILES = 5_000
_PASSED_BY = frozenset({".git", ".venv", "venv", "node_modules", "__pycache__", ".tox", ".mypy_cache"})


@dataclass(frozen=True)
class Read:
    """What was read."""

    manifests: tuple[Manifest, ...]
    passed_by: tuple[str, ...]
    """Files of a folder that hold no pipeline."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Files of a folder that cannot be read, and why; the others are read nevertheless."""


def read_manifests(paths: Iterable[str | Path], kind: str = "auto") -> Read:
    """The pipelines of files and folders.

    :param paths: files, or folders that are walked
    :param kind: the platform; ``auto`` tells it from each file
    :raises ConfigurationError: a file that is named holds no pipeline, or cannot be read
    :raises AccessError: the file system refuses
    """
    found: list[Manifest] = []
    passed: list[str] = []
    unreadable: list[tuple[str, str]] = []
    for path in paths:
        if Path(path).is_dir():
            for file in _walked(Path(path)):
                try:
                    _inside(file, Path(path))
                    here = _read_one(source_of(file), kind, named=False)
                except MlgovError as error:
                    unreadable.append((str(file), str(error)))
                    continue
                found += here
                if not here:
                    passed.append(str(file))
        else:
            found += _read_one(source_of(path), kind, named=True)
    return Read(tuple(found), tuple(passed), tuple(unreadable))


def _inside(file: Path, folder: Path) -> None:
    """Refuse a link that leads out of the folder.

    :raises ConfigurationError: it does
    """
    if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"{file} is a link that leads out of {folder}", code="file.outside")


def _walked(folder: Path) -> Iterator[Path]:
    """Files that may hold a pipeline, without following links."""
    count = 0
    for at, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in _PASSED_BY)
        for name in sorted(files):
            if name.lower().endswith(_ENDINGS) or "jenkinsfile" in name.lower():
                count += 1
                if count > _MANY_FILES:
                    raise ConfigurationError(
                        f"{folder} holds more than {_MANY_FILES} files: name a folder of it", code="file.too_many"
                    )
                file = Path(at) / name
                if file.is_file():
                    yield file


def _read_one(source: Source, kind: str, *, named: bool) -> list[Manifest]:
    if kind == "jenkins" or (kind == "auto" and jenkins.matches(source)):
        held = inventory_of_text(source.text, source.path)
        return [replace(manifest, inventory=held) for manifest in jenkins.read(source)]
    if source.path.endswith(".py"):
        raise ConfigurationError(
            f"{source.path}: a DAG file is code, which is not read like the others: --kind airflow has Airflow parse "
            "it in a child process; evidence of it is made by PolicyGateOperator in the DAG",
            code="manifest.is_code",
        )
    read = [_asked_about(one) for one in read_documents(source.raw, source.path)]
    documents = [one for one in read if one.value not in (None, {}, [])]
    found: list[Manifest] = []
    for at, document in enumerate(documents):
        siblings: Sequence[Part] = documents[:at] + documents[at + 1 :]
        for reader in _readers(source, document, kind):
            found += reader.read(source, document, siblings)
    if not found and named:
        known = ", ".join([*KINDS, "jenkins"])
        why = "holds no pipeline that is known here" if kind == "auto" else f"holds no pipeline of kind {kind}"
        raise ConfigurationError(
            f"{source.path} {why} (known: {known}); say which with --kind", code="manifest.unknown_kind"
        )
    held = inventory_of(documents) if found else Inventory()
    return [replace(manifest, inventory=held) for manifest in found]


def _asked_about(document: Part) -> Part:
    """The object that an AdmissionReview asks about; any other document itself."""
    if document["kind"].text == "AdmissionReview" and document["request"]["object"].is_map:
        return document["request"]["object"].alone()
    return document


def _readers(source: Source, document: Part, kind: str) -> list[Any]:
    """The readers of a document: all that know it, for a few words more make no other platform run it."""
    if kind != "auto":
        return [KINDS[kind]] if KINDS[kind].matches(source, document) else []
    found = [reader for reader in KINDS.values() if reader.matches(source, document)]
    named = source.path.replace("\\", "/").rpartition("/")[2].endswith((".gitlab-ci.yml", ".gitlab-ci.yaml"))
    return found if named or len(found) < 2 else [reader for reader in found if reader is not gitlab]
