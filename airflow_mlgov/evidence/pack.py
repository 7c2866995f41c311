"""An evidence pack: all that speaks for or against a model version in one zip file, which verifies years later with
neither Airflow, MLflow nor the ledger.

Entries about the model (all its versions) and the data it was made from are whole; every other entry of the ledger is
there as a link of the chain, without its envelope, so that nothing can have been left out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from airflow_mlgov.errors import ConfigurationError, EvidenceError, MlgovError
from airflow_mlgov.evidence.chain import Entry, Head, Texts, Verified, read_envelope, verified
from airflow_mlgov.evidence.checkpoints import open_checkpoint
from airflow_mlgov.evidence.digests import hash_tree, parse_json
from airflow_mlgov.evidence.erasure import typed_in
from airflow_mlgov.evidence.hash_tree import HashTree
from airflow_mlgov.evidence.headlines import own_part
from airflow_mlgov.evidence.model_signature import signed_digest
from airflow_mlgov.evidence.notes import read_note
from airflow_mlgov.evidence.signing import TrustRoot
from airflow_mlgov.evidence.statements import PARTS, ObservationStatement, PromotionStatement, run_digest
from airflow_mlgov.evidence.statements.common import subject_name
from airflow_mlgov.evidence.tlog_proof import read_proof, require_proof, write_proof
from airflow_mlgov.results import Subject
from airflow_mlgov.strict_files import regular

if TYPE_CHECKING:
    from airflow_mlgov.evidence.ledger import Ledger

_VERSION = 1
_ADDED_BY_MLFLOW = "registered_model_meta"
"""A file that MLflow puts beside a model's own when it downloads one by ``models:/``."""
MAX_UNPACKED = 256 * 1024**2
"""Bytes of one file of a pack: a ledger of a quarter of a million entries."""
MAX_RATIO = 200
"""How often its packed size a file may be."""
_ALWAYS = 1024**2
"""Bytes that are read however well they were packed."""
_MANIFEST, _ENTRIES, _CHECKPOINT = "manifest.json", "ledger.jsonl", "checkpoint.json"
_TEXTS = "texts.jsonl"
_SIGNATURE = "model.sig"
_PROOF = "promotion.tlog-proof"


def write_pack(
    ledger: Ledger,
    model: Subject,
    out: Path,
    checkpoint: str | None = None,
    signature: str | None = None,
    note: str | None = None,
) -> tuple[int, int]:
    """Write a pack; how many entries are whole, and how many there are.

    :param model: the version as its bytes are now
    :param checkpoint: a signed checkpoint of the ledger
    :param signature: a bundle of Model Signing over the model's files
    :param note: a signed checkpoint as a note: the newest promotion of this version is proven in it
    :raises ConfigurationError: the file exists, or its folder does not
    :raises EvidenceError: the ledger's chain is broken, or the bundle names other files
    """
    if signature is not None and signed_digest(signature) != model.digest:
        raise EvidenceError(f"the bundle is over other files than those of {model}", code="artifact.changed")
    walked = ledger.walk()
    entries = walked.entries()
    wanted = _about(entries, model)
    texts = _typed(entries, wanted)
    wanted |= texts  # the notices of those that were erased,
    texts = _typed(entries, wanted)  # and what was typed for these
    proof = _proof_of(entries, model, note) if note else None
    try:
        with ZipFile(out, "x", ZIP_DEFLATED) as pack:
            pack.writestr(_MANIFEST, json.dumps({"version": _VERSION, "model": asdict(model)}, indent=2))
            lines = [json.dumps(_row(entry, whole=entry.subject_digest in wanted)) for entry in entries]
            pack.writestr(_ENTRIES, "\n".join(lines) + "\n")
            if texts:
                pack.writestr(_TEXTS, _lines_of(texts, walked))
            if checkpoint:
                pack.writestr(_CHECKPOINT, checkpoint)
            if signature:
                pack.writestr(_SIGNATURE, signature)
            if proof:
                pack.writestr(_PROOF, proof)
    except OSError as error:
        raise ConfigurationError(f"cannot write {out}: {error.strerror}", code="file.not_writable") from error
    return sum(entry.subject_digest in wanted for entry in entries), len(entries)


def _proof_of(entries: Sequence[Entry], model: Subject, note: str) -> str | None:
    """The proof of the newest promotion that a note covers; None if nothing was promoted."""
    within = entries[: read_note(note).size]
    moved = [entry.seq for entry in within if _is_promotion(entry, model)]
    if not moved:
        return None
    return write_proof(HashTree(bytes.fromhex(entry.hash) for entry in entries), moved[-1] - 1, note)


def _is_promotion(entry: Entry, model: Subject) -> bool:
    """Whether it is of this version, or of what it was copied from: the same bytes may have other names too."""
    if (entry.kind, entry.subject_digest) != (PromotionStatement.kind, model.digest):
        return False
    return entry.subject_name == subject_name(model) or _is_copy(model, entry)


def _about(entries: Sequence[Entry], model: Subject) -> set[str]:
    """Digests of the model's versions, or of those of the model that it was copied from, of their data, of the policies
    they were decided under, of what was quarantined, and of the runs that evidence came from, for what was set in them
    by hand."""
    aside = {entry.subject_digest for entry in entries if entry.kind == "quarantine"}
    named = {subject_name(model)}
    named |= {entry.subject_name for entry in entries if entry.kind == "promotion" and _is_copy(model, entry)}
    prefixes = tuple(f"{name.rpartition('/')[0]}/" for name in named)
    found = {model.digest} | {entry.subject_digest for entry in entries if entry.subject_name.startswith(prefixes)}
    for entry in entries:
        if entry.subject_digest in found and entry.kind in ("provenance", "decision"):
            ours = read_envelope(entry.envelope)[1]["predicate"]["mlgov"]
            found |= {item["digest"] for part in PARTS for item in ours.get(part, ())}
            found |= {ours["document"]["bundle_sha256"]} if entry.kind == "decision" else set()
    return found | aside | _runs_noted(entries, found)


def _runs_noted(entries: Sequence[Entry], about: set[str]) -> set[str]:
    """Digests of the runs that evidence came from and that something was noted of."""
    noted = {entry.subject_digest for entry in entries if entry.kind == ObservationStatement.kind}
    if not noted:
        return noted
    told = [entry for entry in entries if entry.subject_digest in about]
    runs = [own_part(read_envelope(entry.envelope)[1]).get("run") or {} for entry in told]
    return noted & {run_digest(run) for run in runs if {"dag_id", "run_id"} <= run.keys()}


def _typed(entries: Sequence[Entry], wanted: set[str]) -> set[str]:
    """Salted digests of what was typed for the entries that are whole."""
    return {digest for entry in entries if entry.subject_digest in wanted for digest in typed_in(entry)}


def _lines_of(digests: Iterable[str], walked: Verified) -> str:
    """What people typed and was not erased, a line each."""
    kept = {digest: text for digest in sorted(digests) if (text := walked.text(digest)) is not None}
    return "".join(
        json.dumps({"sha256": digest, "salt": salt, "text": text}) + "\n" for digest, (salt, text) in kept.items()
    )


def _is_copy(model: Subject, promotion: Entry) -> bool:
    """Whether a promotion names a version as the copy of the same bytes."""
    if promotion.subject_digest != model.digest or not promotion.envelope:
        return False
    predicate = read_envelope(promotion.envelope)[1].get("predicate")
    copy = predicate.get("copy") if isinstance(predicate, Mapping) else None
    return isinstance(copy, Mapping) and (copy.get("name"), copy.get("version")) == (model.name, model.version)


def _row(entry: Entry, whole: bool) -> dict[str, Any]:
    row = asdict(entry)
    return row if whole else {**row, "envelope": ""}


class Proven(NamedTuple):
    """An entry that a proof leads from to a signed checkpoint."""

    entry: Entry
    head: Head
    """What the checkpoint says."""


@dataclass(frozen=True)
class Pack:
    """An open pack. Read as a ledger is; open with :func:`open_pack`."""

    model: Subject
    checkpoint: Head | None
    """What its signed checkpoint says; None if it has none."""
    _entries: tuple[Entry, ...]
    _texts: Texts
    signature: str | None = None
    """A bundle of Model Signing over the model's files, for `model_signing verify`; None if it has none."""
    proven: Proven | None = None
    """A promotion of the model, as its proof has it; None if it has none."""

    def walk(self, checkpoints: Iterable[Head] = ()) -> Verified:
        """Walk the whole chain, and hold it against the pack's own checkpoint too.

        :raises EvidenceError: it does not hold
        """
        own = [mark for mark in (self.checkpoint, self.proven and self.proven.head) if mark]
        return verified(self._entries, [*own, *checkpoints], withheld=True, texts=self._texts)

    def subject(self, artifact: Path | None) -> Subject:
        """The model version, by the bytes of ``artifact`` if given, else as the pack's maker hashed it."""
        digest = hash_tree(artifact, {_ADDED_BY_MLFLOW}) if artifact else self.model.digest
        return Subject(self.model.kind, self.model.name, digest, self.model.version, self.model.registry)

    def facts(self) -> list[str]:
        """What is known of the pack besides what is known of the model."""
        if self.proven is None:
            return []
        entry, head = self.proven
        return [f"the promotion {entry.reference} is proven in the log {head.origin} of {head.size} entries"]

    def notes(self, artifact: Path | None) -> list[str]:
        """What verifying this pack cannot know."""
        notes = [] if artifact else ["no artifact was hashed: give its files with --artifact"]
        if self.checkpoint is None and self.proven is None:
            notes.append("it holds no signed checkpoint: that nothing came after is its maker's word")
        return notes


def open_pack(path: Path, trust: TrustRoot) -> Pack:
    """Read a pack: its own files and nothing else, of which each is measured before it is unpacked.

    :raises ConfigurationError: there is no such file, it is not a pack, of another version, encrypted, or unpacks to
        more than :data:`MAX_UNPACKED` bytes
    :raises EvidenceError: its entries are not of their form, or its checkpoint or its proof does not verify
    """
    try:
        with regular(path, "pack") as file, ZipFile(file) as pack:
            manifest = parse_json(_member(pack, _MANIFEST, path))
            if not isinstance(manifest, dict):
                raise KeyError("model")
            if manifest.get("version") != _VERSION:
                known = f"this package knows {_VERSION}"
                raise ConfigurationError(
                    f"{path} is a pack of version {manifest.get('version')!r}; {known}", code="pack.version"
                )
            model = _model(manifest["model"])
            entries = tuple(_entries(_member(pack, _ENTRIES, path)))
            texts = _read_texts(_member(pack, _TEXTS, path)) if _TEXTS in pack.namelist() else {}
            kept = _CHECKPOINT in pack.namelist()
            checkpoint = open_checkpoint(_member(pack, _CHECKPOINT, path), trust) if kept else None
            signature = _member(pack, _SIGNATURE, path) if _SIGNATURE in pack.namelist() else None
            proof = _member(pack, _PROOF, path) if _PROOF in pack.namelist() else None
            proven = _require_proven(proof, entries, model, trust) if proof is not None else None
    except OSError as error:
        raise ConfigurationError(f"cannot read the pack {path}: {error.strerror}", code="file.unreadable") from error
    except (BadZipFile, KeyError, TypeError, ValueError, NotImplementedError, EOFError, zlib.error) as error:
        if isinstance(error, MlgovError):
            raise
        raise ConfigurationError(f"{path} is not an evidence pack: {error}", code="pack.malformed") from error
    return Pack(model, checkpoint, entries, texts, signature, proven)


def _require_proven(text: str, entries: Sequence[Entry], model: Subject, trust: TrustRoot) -> Proven:
    """The entry that the pack's proof is of, once it leads to a signed checkpoint; that the entry is what its hash says
    is for the walk to tell."""
    proof = read_proof(text)
    entry = entries[proof.index] if proof.index < len(entries) else None
    if entry is None or not _is_promotion(entry, model):
        raise EvidenceError(
            f"the pack's proof is of entry {proof.index + 1}, which is no promotion of {model}", code="pack.proof"
        )
    return Proven(entry, require_proof(proof, bytes.fromhex(entry.hash), trust))


def _member(pack: ZipFile, name: str, path: Path) -> str:
    """The text of one file of a pack, which may say of itself that it is smaller than it is."""
    if pack.namelist().count(name) > 1:
        raise ConfigurationError(f"{path} holds {name} more than once", code="pack.malformed")
    info = pack.getinfo(name)
    if info.flag_bits & 1:
        raise ConfigurationError(f"{path} is encrypted: a pack is signed, and never encrypted", code="pack.malformed")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ConfigurationError(f"{path} is packed by another method than packs are", code="pack.malformed")
    with pack.open(info) as packed:
        raw = packed.read(MAX_UNPACKED + 1) if info.file_size <= MAX_UNPACKED else b""
    if (not raw and info.file_size) or len(raw) > min(MAX_UNPACKED, max(info.compress_size * MAX_RATIO, _ALWAYS)):
        raise ConfigurationError(
            f"{name} of {path} unpacks to more than {MAX_UNPACKED // 1024**2} MiB, or {MAX_RATIO} times its size",
            code="archive.bomb",
        )
    return raw.decode()


def _model(said: Any) -> Subject:
    model = Subject(**said)
    if not all(isinstance(value, str) for value in (model.kind, model.name, model.digest, model.version)):
        raise TypeError("its manifest names no model version")
    if not isinstance(model.registry, str | None):
        raise TypeError("its manifest names no registry")
    return model


def _entries(text: str) -> Iterator[Entry]:
    for line in text.removesuffix("\n").split("\n"):
        entry = Entry(**parse_json(line))
        if type(entry.seq) is not int or not all(isinstance(value, str) for value in list(vars(entry).values())[1:]):
            raise EvidenceError(
                f"the pack holds a line that is not a ledger entry: {line[:80]}", code="pack.entry_malformed"
            )
        yield entry


def _read_texts(text: str) -> Texts:
    found = {}
    for line in filter(None, text.split("\n")):
        said = parse_json(line)
        digest, salt, typed = said["sha256"], said["salt"], said["text"]
        if not all(isinstance(value, str) for value in (digest, salt, typed)):
            raise EvidenceError(f"the pack holds a line that is no text: {line[:80]}", code="pack.entry_malformed")
        found[digest] = (salt, typed)
    return found
