"""Signed checkpoints: how long the ledger was and what it held, kept where its owner cannot rewrite it.

Whoever owns the ledger's database can cut its tail; a checkpoint in another hand shows that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, EvidenceError
from airflow_mlgov.evidence.chain import Head
from airflow_mlgov.evidence.notes import is_note, open_note, read_note
from airflow_mlgov.evidence.signing import TrustRoot, sign_statement
from airflow_mlgov.evidence.statements import CheckpointStatement, Context, PromotionStatement
from airflow_mlgov.evidence.verification import verify_envelope
from airflow_mlgov.evidence.witnesses import NOBODY, Quorum
from airflow_mlgov.extras import opening
from airflow_mlgov.strict_files import MAX_BYTES, read_text
from airflow_mlgov.words import line

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

    from airflow_mlgov.evidence.ledger import Ledger

_MOST = 5_000
"""Checkpoints of one folder: one a day for thirteen years."""


def make_checkpoint(ledger: Ledger, signer: Signer, context: Context) -> str:
    """Walk the chain and sign what it is now; the envelope, to be kept elsewhere.

    :raises EvidenceError: the chain does not hold
    :raises ConfigurationError: the ledger is empty
    """
    return sign_checkpoint(head_to_keep(ledger), signer, context)


def head_to_keep(ledger: Ledger) -> Head:
    """Walk the chain; what it is now, with the root of its index where that can be kept.

    :raises EvidenceError: the chain does not hold
    :raises ConfigurationError: the ledger is empty
    """
    now = ledger.head_with_index()
    if not now.size:
        raise ConfigurationError(f"the ledger {ledger.url} is empty, so there is nothing to keep", code="ledger.empty")
    ledger.settle()
    return now


def sign_checkpoint(now: Head, signer: Signer, context: Context) -> str:
    """The envelope that says what a chain is that was walked."""
    return sign_statement(CheckpointStatement.of(now.origin, now.size, now.head, now.root, context), signer)


def open_checkpoint(text: str, trust: TrustRoot, quorum: Quorum = NOBODY) -> Head:
    """What a checkpoint says, an envelope or a signed note; a promotion's envelope serves as well, because it carries
    one. Of the index a key that has ended is believed nothing.

    :param quorum: witnesses who must have cosigned it
    :raises EvidenceError: it does not verify, is another kind of statement, or too few have cosigned it
    """
    note = read_note(text) if is_note(text) else None
    quorum.require(note)
    if note:
        return open_note(text, trust)
    statement = verify_envelope(text, trust).statement
    if isinstance(statement, CheckpointStatement):
        return Head(statement.size, statement.head, statement.root, statement.origin)
    if isinstance(statement, PromotionStatement):
        mark = Head(**statement.checkpoint)
        return mark if trust.still_holds(text, statement.duty, datetime.now(UTC)) else mark._replace(index_root="")
    raise EvidenceError(f"this is not a checkpoint but a statement of kind {statement.kind}", code="checkpoint.kind")


def write_checkpoint(text: str, where: str) -> None:
    """Keep a checkpoint, an envelope or a note, in a file, or under a URL that fsspec knows (``s3://``, ``gs://``,
    ``abfs://`` …).

    A file that is there already is not overwritten: name each checkpoint anew, by date or by size.

    :raises ConfigurationError: it exists, its folder does not, or no driver for the URL is installed
    :raises AccessError: it may not be written
    :raises DependencyError: the store cannot be reached
    """
    import fsspec

    try:
        if "://" in where:
            with fsspec.open(where, "x") as stream:
                stream.write(text.removesuffix("\n") + "\n")
        else:
            with Path(where).open("x", encoding="utf-8") as stream:
                stream.write(text.removesuffix("\n") + "\n")
    except FileExistsError as error:
        raise ConfigurationError(
            f"{where} exists: a checkpoint is never overwritten, name a new file", code="file.exists"
        ) from error
    except PermissionError as error:
        raise AccessError(f"may not write {where}", code="file.refused") from error
    except ImportError:
        raise _no_store(where) from None
    except (FileNotFoundError, ValueError) as error:
        raise ConfigurationError(f"cannot write {where}: {error}", code="file.not_writable") from error
    except OSError as error:
        raise DependencyError(f"cannot write {where} now: {type(error).__name__}", code="store.down") from error


def heads_at(places: Iterable[str], trust: TrustRoot, quorum: Quorum = NOBODY) -> list[Head]:
    """What the checkpoints at some places say.

    :param places: files, folders, URLs; of a folder, and of a URL that ends in ``/``, every file
    :param quorum: witnesses who must have cosigned each
    :raises ConfigurationError: there is none at one of the places, or more than 5,000
    :raises EvidenceError: one does not verify
    :raises DependencyError: a store cannot be reached
    """
    return [_head_in(file, trust, quorum) for place in places for file in _files_at(place)]


def _head_in(file: str, trust: TrustRoot, quorum: Quorum) -> Head:
    try:
        return open_checkpoint(read_checkpoint(file), trust, quorum)
    except EvidenceError as error:
        error.args = (line(f"the checkpoint {file}: {error}"),)
        raise


def _files_at(place: str) -> list[str]:
    found = [place]
    if "://" not in place and Path(place).is_dir():
        found = [str(file) for file in Path(place).iterdir() if file.is_file()]
    elif "://" in place and place.endswith("/"):
        with _stored(place) as (store, path):
            found = [store.unstrip_protocol(str(item["name"])) for item in store.ls(path) if item["type"] == "file"]
    if not found:
        raise ConfigurationError(
            f"{place} holds no checkpoint: put one there, `mlgov ledger checkpoint --out {place.rstrip('/')}/NAME`",
            code="checkpoint.none",
        )
    if len(found) > _MOST:
        raise ConfigurationError(
            f"{place} holds {len(found):,} files, and at most {_MOST:,} checkpoints are read: move the oldest away",
            code="checkpoint.too_many",
        )
    return sorted(found)


def read_checkpoint(where: str) -> str:
    """A checkpoint's text from a file or URL.

    :raises ConfigurationError: it is not there, or no driver for the URL is installed
    :raises DependencyError: the store cannot be reached
    """
    if "://" not in where:
        return read_text(where, "checkpoint")
    with _stored(where) as (store, path), store.open(path, "rb") as stream:
        text: str = stream.read(MAX_BYTES).decode()
    return text


@contextmanager
def _stored(where: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL, and the path in it."""
    import fsspec

    try:
        yield fsspec.core.url_to_fs(where)
    except ImportError:
        raise _no_store(where) from None
    except (FileNotFoundError, IsADirectoryError, ValueError) as error:
        raise ConfigurationError(f"cannot read the checkpoint {where}: {error}", code="file.unreadable") from error
    except OSError as error:
        raise DependencyError(
            f"cannot read the checkpoint {where} now: {type(error).__name__}", code="store.down"
        ) from error


def _no_store(where: str) -> ConfigurationError:
    scheme = where.partition("://")[0]
    return ConfigurationError(
        f"no installed package opens {scheme}://, where a checkpoint is kept: {opening(scheme)}", code="store.unknown"
    )
