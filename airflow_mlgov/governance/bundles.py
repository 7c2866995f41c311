"""Rules in a folder or in a bundle of OPA's format, as texts. A bundle is made so that the same rules give the same
bytes, and its revision is their digest.

Reads under limits: of size, of count, no link, no path out, no name twice, and nothing but Rego.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import parse_json, read_file, read_text, why_open_to_all

MAX_PACKED = 4 * 1024**2
"""Bytes of a bundle."""
MAX_TEXT = 16 * 1024**2
"""Bytes of all that it unpacks to."""
MAX_FILES = 500
_MANIFEST = ".manifest"
_TEST = "_test.rego"


def digest_of(modules: Mapping[str, str]) -> str:
    """SHA-256 over the names and the SHA-256 of each text, as ``sha256sum`` lists them; tests are left out."""
    lines = (
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in sorted(modules.items())
        if not name.endswith(_TEST)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_folder(folder: Path) -> dict[str, str]:
    """The Rego of a folder, also below it: name -> text.

    :raises ConfigurationError: there is none, a link, too much, or everybody may write it
    :raises AccessError: the file system refuses
    """
    found: dict[str, str] = {}
    size = 0
    for path in _walked(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ConfigurationError(f"{path} is a link: put the file itself there", code="pack.link")
        if why := why_open_to_all(path, "rules"):
            raise ConfigurationError(why, code="policy.writable")
        found[name] = read_text(path, "rules")
        size += len(found[name])
        if len(found) > MAX_FILES or size > MAX_TEXT:
            raise ConfigurationError(
                f"{folder} holds more than {MAX_FILES} files of rules, or more than {MAX_TEXT >> 20} MiB of them",
                code="pack.too_large",
            )
    if not found:
        raise ConfigurationError(f"{folder} holds no Rego (*.rego)", code="pack.empty")
    return found


def _walked(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        linked = [name for name in folders if (Path(at) / name).is_symlink()]
        if linked:
            raise ConfigurationError(f"{Path(at) / linked[0]} is a link: put the folder itself there", code="pack.link")
        yield from (Path(at) / name for name in sorted(names) if name.endswith(".rego"))


def write_bundle(modules: Mapping[str, str]) -> bytes:
    """A bundle of OPA's format: the same rules, the same bytes. Tests are left out.

    :raises ConfigurationError: there is no rule
    """
    rules = {name: text for name, text in sorted(modules.items()) if not name.endswith(_TEST)}
    if not rules:
        raise ConfigurationError("there is no Rego to bundle", code="pack.empty")
    manifest = {"revision": digest_of(rules), "roots": _roots(rules), "rego_version": 1}
    files = {_MANIFEST: json.dumps(manifest, sort_keys=True, separators=(",", ":")), **rules}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            raw = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(raw), 0o644
            tar.addfile(entry, io.BytesIO(raw))
    return gzip.compress(packed.getvalue(), compresslevel=9, mtime=0)


def _roots(rules: Mapping[str, str]) -> list[str]:
    """The packages, none of which lies in another."""
    import re

    found = re.compile(r"^package\s+([A-Za-z_][\w.]*)", re.MULTILINE)
    names = sorted({m[1].replace(".", "/") for text in rules.values() if (m := found.search(text))})
    return [name for name in names if not any(name.startswith(f"{other}/") for other in names)]


def read_bundle(path: Path) -> dict[str, str]:
    """The Rego of a bundle: name -> text.

    :raises ConfigurationError: it is none, holds what may not be in it, or its revision is not the digest of its rules
    :raises AccessError: the file system refuses
    """
    raw = read_file(path, "bundle")
    if why := why_open_to_all(path, "bundle"):
        raise ConfigurationError(why, code="policy.writable")
    if len(raw) > MAX_PACKED:
        raise ConfigurationError(f"{path} is larger than {MAX_PACKED >> 20} MiB", code="pack.too_large")
    unpacked = _unpacked(raw, path)
    try:
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
            held = dict(_members(tar, path))
    except (tarfile.TarError, UnicodeDecodeError, EOFError) as error:
        raise ConfigurationError(f"{path} is no bundle: {error}", code="pack.form") from None
    manifest = parse_json(held.pop(_MANIFEST, "{}"), f"{path}:{_MANIFEST}", "manifest")
    revision = manifest.get("revision") if isinstance(manifest, dict) else None
    if not held:
        raise ConfigurationError(f"{path} holds no Rego (*.rego)", code="pack.empty")
    if revision != digest_of(held):
        raise ConfigurationError(
            f"{path} has the revision {str(revision)[:80]!r}, and its rules have the digest {digest_of(held)}: make it "
            "with `mlgov policy bundle`",
            code="pack.revision",
        )
    return held


def _unpacked(raw: bytes, path: Path) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            found = packed.read(MAX_TEXT + 1)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigurationError(f"{path} is no bundle (tar.gz): {error}", code="pack.form") from None
    except Exception as error:  # zlib's own
        raise ConfigurationError(f"{path} is no bundle (tar.gz): {error}", code="pack.form") from None
    if len(found) > MAX_TEXT:
        raise ConfigurationError(f"{path} unpacks to more than {MAX_TEXT >> 20} MiB", code="pack.too_large")
    return found


def _members(tar: tarfile.TarFile, path: Path) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for entry in tar:
        name = PurePosixPath(entry.name.removeprefix("./").lstrip("/"))
        if entry.isdir():
            continue
        if not entry.isreg() or entry.issparse():
            raise ConfigurationError(f"{path} holds {entry.name!r}, which is no plain file", code="pack.link")
        if ".." in name.parts or not name.parts or "\\" in entry.name:
            raise ConfigurationError(f"{path} holds {entry.name!r}, which leads out of it", code="pack.path")
        plain = name.as_posix()
        if plain in seen:
            raise ConfigurationError(f"{path} holds {plain!r} twice", code="pack.twice")
        seen.add(plain)
        if len(seen) > MAX_FILES:
            raise ConfigurationError(f"{path} holds more than {MAX_FILES} files", code="pack.too_large")
        inner = tar.extractfile(entry)
        text = inner.read().decode() if inner else ""
        if plain != _MANIFEST and not plain.endswith(".rego"):
            if plain == "data.json" and text.strip() == "{}":
                continue  # opa build puts one into every bundle
            raise ConfigurationError(
                f"{path} holds {plain!r}: a bundle of rules holds Rego alone, so put what it says into a module",
                code="pack.form",
            )
        yield plain, text
