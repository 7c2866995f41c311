"""DSSE signatures, and the trust root that says which key may sign what.

Who signs is named by a URI of securesystemslib's table of schemes. A local key file is the embedded default for one
person's first try; in a team private keys stay in Vault, a KMS or an HSM.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner, Key, Signer, SSlibKey

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError, EvidenceError
from airflow_mlgov.evidence.digests import canonical_json, parse_json
from airflow_mlgov.evidence.statements import Person, Statement
from airflow_mlgov.strict_files import read_file, read_json, why_open_to_all
from airflow_mlgov.words import line

log = logging.getLogger(__name__)

_OVERLAP = timedelta(hours=1)
PAYLOAD_TYPE = "application/vnd.in-toto+json"

OFFICES = (
    *("registration", "approval", "promotion", "reconcile", "checkpoint", "waiver", "audit", "external", "witness"),
    *("observation", "erasure"),
)
"""What a key may be allowed to sign besides the result of a gate: what a model was made from, a person's answer, a
promotion (with its decision and rollback), an incident in the registry, a checkpoint of the ledger, a person's
exception (a waiver or a break-glass), the audit that follows one, that evidence of others was added, of those others'
own keys, that evidence, that somebody has set a state in Airflow by hand, and that a text which a person typed was
erased."""
OF_PEOPLE = frozenset({"approval", "waiver"})
"""What a key of one person's may be allowed to sign."""
_DUTY = re.compile(r"[a-z][a-z0-9_]*")


def duties() -> tuple[str, ...]:
    """Every duty that a key may have here: each installed gate has one of its own, then :data:`OFFICES`."""
    return (*catalogue.names(), *OFFICES)


class LocalSigner(CryptoSigner):  # type: ignore[misc]  # securesystemslib ships no types to mypy here
    """Signs with a private key in a PEM file, ``local:PATH``."""

    SCHEME = "local"

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri: str, public_key: Key | None = None, secrets_handler: Any = None) -> Signer:  # noqa: ARG003 - the file says which key it is, and has no passphrase
        """The key in the file.

        :raises ConfigurationError: there is no such file, or it does not hold a readable private key
        """
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        path = _key_file(priv_key_uri)
        if not path.exists():
            raise ConfigurationError(
                f"there is no key file {path}: correct the path, or make a key and let the trust root know it, `mlgov "
                f"trust add --sign {priv_key_uri} --make-key`",
                code="signer.no_key",
            )
        try:
            signer = cls(load_pem_private_key(read_file(path, "key file"), password=None))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"{path} is not a readable private key in PEM form: {type(error).__name__}", code="signer.unreadable"
            ) from error
        log.warning(
            "evidence is signed with the local key file %s: whoever can read it can sign; use Vault in a team",
            line(path),
        )
        return signer


SIGNER_FOR_URI_SCHEME[LocalSigner.SCHEME] = LocalSigner


def open_signer(uri: str, public_key: Callable[[], Key | None] = lambda: None, *, make_key: bool = False) -> Signer:
    """The signer that a URI names, by securesystemslib's table of schemes: ``local:PATH``, and the KMS of clouds, HSMs
    and files that it knows (each needs an extra of its own). :mod:`airflow_mlgov.vault` adds ``vault:KEY``.

    :param public_key: the key whose private half signs; asked for by signers that cannot tell it themselves
    :param make_key: make the key of ``local:PATH`` where there is no such file: ed25519, mode 0600
    :raises ConfigurationError: another scheme, an empty name, no public key, no key file, or a signer that cannot be
        made of it
    """
    scheme, _, name = uri.partition(":")
    known = SIGNER_FOR_URI_SCHEME.get(scheme)
    if known is None or not name:
        raise ConfigurationError(
            f"unknown signer {uri!r}: write local:PATH of a key file, vault:NAME of a Transit key, or a URI of "
            f"{', '.join(sorted(SIGNER_FOR_URI_SCHEME))}",
            code="signer.unknown",
        )
    if make_key and known is LocalSigner and not _key_file(uri).exists():
        _make_local_key(_key_file(uri))
    if getattr(known, "TELLS_ITS_KEY", known is LocalSigner):
        return cast("Signer", known.from_priv_key_uri(uri, None))
    key = public_key()
    if key is None:
        raise ConfigurationError(
            f"the signer {uri!r} cannot tell its public key: the trust root must have it under the duty that signs",
            code="signer.no_public_key",
        )
    try:
        return cast("Signer", known.from_priv_key_uri(uri, key))
    except Exception as error:  # whatever the libraries of a cloud or an HSM raise
        raise ConfigurationError(
            f"the signer {scheme}: cannot be opened: {type(error).__name__}", code="signer.unusable"
        ) from error


def _key_file(uri: str) -> Path:
    return Path(uri.partition(":")[2]).expanduser()


def _make_local_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the local key {path}: {error.strerror}", code="file.not_writable"
        ) from error
    with os.fdopen(handle, "wb") as stream:
        stream.write(pem)
    log.warning("made a new local signing key at %s", line(path))


def sign_statement(statement: Statement | Mapping[str, Any], signer: Signer) -> str:
    """The statement in a signed DSSE envelope, as JSON text."""
    document = statement if isinstance(statement, Mapping) else statement.as_json()
    envelope = Envelope(canonical_json(document), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return canonical_json(envelope.to_dict()).decode()


@dataclass(frozen=True)
class TrustedKey:
    """A public key, the duties it may sign for, and when."""

    key: SSlibKey
    duties: frozenset[str]
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    person: Person | None = None
    """Whose key it is: it signs that person's word alone. None: a duty's key, which signs for whoever Airflow says."""

    def covers(self, moment: datetime) -> bool:
        """Whether the key was valid then."""
        return (self.valid_from is None or moment >= self.valid_from) and (
            self.valid_until is None or moment < self.valid_until
        )


@dataclass(frozen=True)
class TrustRoot:
    """Every public key that was ever allowed to sign, with its duties and dates. A JSON file, pinned by the platform
    team; rotating a key adds an entry and ends the old one, so that old evidence still verifies.
    """

    keys: tuple[TrustedKey, ...] = field(default=())
    source: str = "memory"
    opened: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Envelopes that have verified under these keys, by their text: they verify again."""

    @classmethod
    def load(cls, path: str | Path) -> TrustRoot:
        """Read a trust root.

        :raises ConfigurationError: it is not there, not JSON, or an entry lacks a key, names an unknown duty, or has
            something else in place of a date; a key is there twice, or under an id that is not its own hash; everybody
            may write the file, or replace it in its folder
        :raises AccessError: the file system refuses to read it
        """
        document = read_json(path, "trust root").content
        if why := why_open_to_all(path, "trust root"):
            raise ConfigurationError(why, code="trust.writable")
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise ConfigurationError(
                f'the trust root {path} needs the form {{"version": 1, "keys": [...]}}', code="trust.malformed"
            )
        keys = tuple(_trusted_key(entry, f"{path}, key {i}") for i, entry in enumerate(entries))
        _require_version(document, path, any(item.person for item in keys))
        seen: dict[str, int] = {}
        for number, item in enumerate(keys):
            first = seen.setdefault(item.key.keyid, number)
            if first != number:
                raise ConfigurationError(
                    f"{path}, key {number}: the key {item.key.keyid[:16]} is key {first} already: name each key once, "
                    "with all its duties",
                    code="trust.key_twice",
                )
        return cls(keys, str(path))

    def with_key(
        self,
        key: Key,
        duties: Iterable[str],
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
        person: Person | None = None,
    ) -> TrustRoot:
        """A trust root that has one key more.

        :param person: whose key it is; None for a duty's
        """
        entry = TrustedKey(key, frozenset(duties), valid_from, valid_until, person)
        return TrustRoot((*self.keys, entry), self.source)

    def rotated(
        self, key: Key, duties: Iterable[str], now: datetime | None = None, person: Person | None = None
    ) -> TrustRoot:
        """A trust root in which a new key takes over some duties: the keys that have exactly these duties and no end
        get one, an hour from now, because tasks under way may still sign with them.

        :param person: whose key it is: it takes over from that person's alone; None for a duty's
        :raises ConfigurationError: the key is there already, or the duties are none of a person's
        """
        if any(item.key.keyid == key.keyid for item in self.keys):
            raise ConfigurationError(
                f"the key {key.keyid[:16]} is in the trust root already ({self.source})", code="trust.key_twice"
            )
        moment, taken = now or datetime.now(UTC), frozenset(duties)
        if person is not None:
            _require_duties_of_people(taken, f"the key {key.keyid[:16]} of {person.name}")
        ended = tuple(
            replace(item, valid_until=moment + _OVERLAP)
            if (item.duties, item.person, item.valid_until) == (taken, person, None)
            else item
            for item in self.keys
        )
        begin = moment if self.keys else None
        return TrustRoot(ended, self.source).with_key(key, taken, valid_from=begin, person=person)

    def moved(self, keys: Mapping[str, Key], now: datetime | None = None) -> TrustRoot:
        """A trust root in which each duty has a new key, and no key of before has one of these duties without an end:
        they end an hour from now, and what they have signed still verifies. The keys of people stay theirs.

        :param keys: duty -> its new key; one key may have several duties
        :raises ConfigurationError: a key is there already, or one of before has other duties too and cannot end
        """
        moment = now or datetime.now(UTC)
        known = {item.key.keyid for item in self.keys}
        kept = []
        for item in self.keys:
            taken, left, end = item.duties & keys.keys(), item.duties - keys.keys(), moment + _OVERLAP
            is_of_a_duty = bool(taken) and item.person is None
            is_open = is_of_a_duty and (item.valid_until is None or item.valid_until > end)
            if is_open and left:
                raise ConfigurationError(
                    f"the key {item.key.keyid[:16]} of the trust root {self.source} signs for "
                    f"{', '.join(sorted(taken))}, and for {', '.join(sorted(left))} too, so it cannot end: move these "
                    "duties with it",
                    code="trust.duty_stays",
                )
            kept.append(replace(item, valid_until=end) if is_open else item)
        duties_of: dict[str, set[str]] = {}
        for duty, key in keys.items():
            if key.keyid in known:
                raise ConfigurationError(
                    f"the key {key.keyid[:16]} is in the trust root already ({self.source})", code="trust.key_twice"
                )
            duties_of.setdefault(key.keyid, set()).add(duty)
        root = TrustRoot(tuple(kept), self.source)
        for keyid, several in duties_of.items():
            root = root.with_key(next(key for key in keys.values() if key.keyid == keyid), several, valid_from=moment)
        return root

    def ended(self, keyid: str, at: datetime) -> TrustRoot:
        """A trust root in which a key counts no longer than until then; what it has signed before still verifies.

        :param keyid: of the key, or its beginning (8 characters or more)
        :raises ConfigurationError: there is no such key, there are several, it would end before it begins, or it ends
            before that already
        """
        fitting = [item for item in self.keys if len(keyid) >= 8 and item.key.keyid.startswith(keyid)]
        if len(fitting) != 1:
            raise ConfigurationError(
                f"{len(fitting)} keys of the trust root {self.source} begin with {keyid!r}", code="trust.key_unknown"
            )
        (found,) = fitting
        if found.valid_from is not None and at <= found.valid_from:
            raise ConfigurationError(
                f"the key {keyid} would end ({at.isoformat()}) before it begins ({found.valid_from.isoformat()})",
                code="trust.date",
            )
        if found.valid_until is not None and at > found.valid_until:
            raise ConfigurationError(
                f"the key {keyid} ends at {found.valid_until.isoformat()} already: what it has signed since would "
                f"count if it ended at {at.isoformat()}",
                code="trust.date",
            )
        kept = tuple(replace(item, valid_until=at) if item is found else item for item in self.keys)
        return TrustRoot(kept, self.source)

    def require_signer(self, signer: Signer, duty: str, moment: datetime, by: Person | None = None) -> None:
        """Refuse a signer whose evidence nobody would believe, before it does what it would sign.

        :param by: whose word is signed
        :raises ConfigurationError: the trust root does not have its key, or not for this duty at that moment, or it is
            another person's
        """
        keyid = signer.public_key.keyid
        entries = [item for item in self.keys if item.key.keyid == keyid]
        fitting = [item for item in entries if duty in item.duties and item.covers(moment)]
        if any(item.person in (None, by) for item in fitting):
            return
        if fitting and (owner := fitting[0].person):
            raise ConfigurationError(
                f"nothing was done: the key {keyid[:16]} is {owner.name}'s own by the trust root {self.source}, and "
                f"signs no word of {by.name if by else 'anybody else'}: sign with a key of the duty {duty}",
                code="signer.untrusted",
            )
        problem = "has this key, but not for this duty at this time" if entries else "does not have this key"
        mend = (
            "correct the duties or dates of its entry, or sign with another key"
            if entries
            else f"if the key is yours, `mlgov trust add --trust {self.source} --duty {duty} --sign SIGNER`"
        )
        raise ConfigurationError(
            f"nothing was done: the key {keyid[:16]} is to sign for {duty}; the trust root {self.source} {problem}, "
            f"so nothing would verify afterwards: {mend}",
            code="signer.untrusted",
        )

    def key_for(self, duty: str, now: datetime | None = None) -> Key | None:
        """The newest key of a duty that may sign now; None if there is none. A person's key is no duty's."""
        moment = now or datetime.now(UTC)
        fitting = [item.key for item in self.keys if duty in item.duties and not item.person and item.covers(moment)]
        return fitting[-1] if fitting else None

    def owner_of(self, key: Key, duty: str, now: datetime) -> Person | None:
        """The person whose key it is, if it may sign for the duty now; None otherwise."""
        entries = [item for item in self.keys if item.key.keyid == key.keyid and item.person]
        return next((item.person for item in entries if duty in item.duties and item.covers(now)), None)

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        entries = [
            {
                "keyid": item.key.keyid,
                **item.key.to_dict(),
                "duties": sorted(item.duties),
                "valid_from": item.valid_from.isoformat() if item.valid_from else None,
                "valid_until": item.valid_until.isoformat() if item.valid_until else None,
                **({"person": item.person.as_json()} if item.person else {}),
            }
            for item in self.keys
        ]
        version = 2 if any(item.person for item in self.keys) else 1
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}")
        part.write_text(json.dumps({"version": version, "keys": entries}, indent=2) + "\n")
        part.replace(target)

    def open_envelope(self, text: str | bytes) -> tuple[dict[str, Any], tuple[TrustedKey, ...]]:
        """The statement in an envelope whose signature verifies, and the trusted keys that made the signature.

        Only the verified bytes are parsed. The caller still has to ask whether the key's duties and dates fit.

        :raises EvidenceError: not an envelope, another payload type, no or several signatures, an unknown key, or a
            signature that does not fit
        """
        document = parse_json(text)
        try:
            envelope = Envelope.from_dict(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvidenceError(f"not a DSSE envelope: {error!r}", code="envelope.malformed") from error
        if envelope.payload_type != PAYLOAD_TYPE:
            raise EvidenceError(
                f"payload type {envelope.payload_type!r}, expected {PAYLOAD_TYPE!r}", code="envelope.malformed"
            )
        if len(envelope.signatures) != 1:
            raise EvidenceError(
                f"{len(envelope.signatures)} signatures, expected exactly one", code="envelope.malformed"
            )
        keyid = next(iter(envelope.signatures))
        if not isinstance(keyid, str):
            raise EvidenceError(f"the key id is not text but {keyid!r}", code="envelope.malformed")
        known = tuple(item for item in self.keys if item.key.keyid == keyid)
        if not known:
            raise EvidenceError(
                f"signed by the key {keyid[:16]}, which is not in the trust root ({self.source})", code="key.unknown"
            )
        try:
            envelope.verify([known[0].key], 1)
        except (VerificationError, UnverifiedSignatureError, ValueError) as error:
            raise EvidenceError("the signature does not fit the content", code="signature.wrong") from error
        statement = parse_json(envelope.payload)
        if not isinstance(statement, dict):
            raise EvidenceError("the payload is not a statement", code="envelope.malformed")
        return statement, known

    def still_holds(self, envelope: str, duty: str, now: datetime) -> bool:
        """Whether a key that signed an envelope has the duty now, and not only when it signed; errors as of
        :meth:`open_envelope`."""
        return any(duty in item.duties and item.covers(now) for item in self.open_envelope(envelope)[1])


def _trusted_key(entry: Any, where: str) -> TrustedKey:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where}: an entry is an object", code="trust.malformed")
    data = dict(entry)
    duties, keyid, person = data.pop("duties", None), data.pop("keyid", None), _person(data.pop("person", None), where)
    dates = [_date(data.pop(name, None), f"{where}: {name}") for name in ("valid_from", "valid_until")]
    if not isinstance(duties, list) or not duties or not all(isinstance(d, str) and _DUTY.fullmatch(d) for d in duties):
        raise ConfigurationError(
            f"{where}: duties must be names of gates, or {', '.join(OFFICES)}, not {duties!r}", code="trust.duty"
        )
    try:
        key = SSlibKey.from_dict(keyid, data)
        own = own_id(key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{where} is not a public key: {error!r}", code="trust.key") from error
    if key.keyid != own:
        raise ConfigurationError(
            f"{where}: the key id {str(key.keyid)[:16]} is not the key's own, which is {own[:16]}: whoever wrote it "
            "could pass one key off as another; add the key with `mlgov trust add`",
            code="trust.key_id",
        )
    begin, end = dates
    if begin is not None and end is not None and begin >= end:
        raise ConfigurationError(f"{where}: valid_from is not before valid_until", code="trust.date")
    if person is not None:
        _require_duties_of_people(duties, where)
    return TrustedKey(key, frozenset(duties), begin, end, person)


def _require_version(document: Mapping[str, Any], path: str | Path, has_people: bool) -> None:
    """Version 1 knows no key of a person: whatever reads it would let such a key sign anybody's word."""
    version = document.get("version")
    if type(version) is not int or version not in (1, 2):
        raise ConfigurationError(
            f"the trust root {path} is of version {version!r}; this package knows 1 and 2", code="trust.version"
        )
    if has_people and version == 1:
        raise ConfigurationError(
            f"the trust root {path} has keys of people, which takes version 2: an older mlgov would let them sign for "
            "everybody",
            code="trust.version",
        )


def _person(said: Any, where: str) -> Person | None:
    if said is None:
        return None
    if not isinstance(said, dict) or set(said) != {"id", "name"} or not all(_is_name(word) for word in said.values()):
        raise ConfigurationError(
            f'{where}: a person is {{"id": …, "name": …}}, as Airflow and the policy know them, not {said!r}',
            code="trust.person",
        )
    return Person.read(said)


def _is_name(word: Any) -> bool:
    return isinstance(word, str) and bool(word.strip())


def _require_duties_of_people(duties: Iterable[str], where: str) -> None:
    if others := sorted(set(duties) - OF_PEOPLE):
        raise ConfigurationError(
            f"{where}: a person signs {' and '.join(sorted(OF_PEOPLE))}, not {', '.join(others)}", code="trust.person"
        )


def own_id(key: SSlibKey) -> str:
    """A public key's id: its own hash, whatever somebody calls it and however its text is wrapped.

    :raises ValueError: its text is not a public key
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = key.keyval["public"]
    is_pem = text.lstrip().startswith("-----BEGIN")
    public = load_pem_public_key(text.encode()) if is_pem else Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    return str(SSlibKey.from_crypto(public, scheme=key.scheme).keyid)


def refuse_local(signer: Signer, environment: str, production: Iterable[str]) -> None:
    """Refuse to sign with a key file where the policy says that it is production: whoever reads the file can sign.

    :param production: the policy's ``production_environments``
    :raises ConfigurationError: it is such a signer, and such an environment
    """
    if isinstance(signer, CryptoSigner) and environment in production:
        raise ConfigurationError(
            f"the environment {environment!r} is production by the policy, and its evidence would be signed with a key "
            "file that whoever reads it can sign with: keep the keys in Vault or a KMS, and move there with "
            "`mlgov trust move`",
            code="signer.local_in_production",
        )


def _date(text: Any, where: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where} is not an ISO 8601 date: {text!r}", code="trust.date") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
