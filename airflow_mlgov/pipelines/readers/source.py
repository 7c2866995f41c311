"""A file that a pipeline is read from, and the files of the same tree that it may refer to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from airflow_mlgov.errors import MlgovError
from airflow_mlgov.pipelines.documents import Part, read_documents
from airflow_mlgov.strict_files import read_file

_ROOTS = (".git", ".github", ".gitlab-ci.yml")
_FAR = 12


@dataclass(frozen=True)
class Source:
    """One file's bytes, and where it lies."""

    path: str
    """As messages name it."""
    raw: bytes
    root: Path | None = None
    """The folder of its repository; None if it is not known, so that no other file is looked at."""
    followed: dict[str, str] = field(default_factory=dict, compare=False)
    """Other files of the repository that were read for it, by name, each with the SHA-256 of its bytes."""

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes; if other files were read for it, of the list of all digests and names."""
        own = hashlib.sha256(self.raw).hexdigest()
        if not self.followed:
            return own
        others = (f"{digest}  {name}" for name, digest in sorted(self.followed.items()))
        return hashlib.sha256("\n".join((own, *others)).encode()).hexdigest()

    @property
    def text(self) -> str:
        """Its bytes as text; characters that are none are replaced."""
        return self.raw.decode("utf-8-sig", errors="replace")

    def beside_root(self, path: str) -> tuple[Source, list[Part]] | None:
        """Another file of the same repository, and its documents; None if it is not here.

        :param path: from the repository's root; one that leads out of it is not here
        :raises ConfigurationError: it cannot be read as YAML
        """
        if self.root is None:
            return None
        target = (self.root / path.lstrip("/")).resolve()
        if not target.is_relative_to(self.root.resolve()) or not target.is_file():
            return None
        raw, name = read_file(target, "manifest"), path.removeprefix("./")
        self.followed[name] = hashlib.sha256(raw).hexdigest()
        return Source(name, raw, self.root, self.followed), read_documents(raw, name)


def source_of(path: str | Path) -> Source:
    """A file on this machine.

    :raises ConfigurationError: no such file, or one that cannot be read
    :raises AccessError: the file system refuses
    """
    file = Path(path)
    return Source(str(path), read_file(file, "manifest"), _root_of(file))


def _root_of(file: Path) -> Path | None:
    """The nearest folder above that looks like a repository."""
    try:
        folders = list(file.resolve().parents)[:_FAR]
    except (OSError, MlgovError):
        return None
    return next((folder for folder in folders if any((folder / name).exists() for name in _ROOTS)), None)
