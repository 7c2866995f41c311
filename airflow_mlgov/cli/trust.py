"""``mlgov trust``: which key may sign what. ``mlgov vault-policy``: what a duty's identity may do in Vault."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_mlgov.cli.common import AsJson, TrustFile, print_json, say, signer_for
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.strict_files import read_file

if TYPE_CHECKING:
    from securesystemslib.signer import Key

    from airflow_mlgov.evidence.signing import TrustRoot

MakeKey = Annotated[bool, typer.Option("--make-key", help="Make the key of local:PATH where there is no such file.")]

trust_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The trust root: every public key that was ever allowed to sign."
)


@trust_app.command("add")
def trust_add(
    trust: TrustFile,
    duty: Annotated[list[str], typer.Option("--duty", help="What it may sign. Repeatable.")],
    sign: Annotated[
        str | None, typer.Option("--sign", help="local:PATH or vault:KEY (VAULT_ADDR, VAULT_TOKEN).")
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Instead: a PEM file with the public half, of a KMS or an HSM.")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option("--person", help="Whose own key it is, as the policy names people: it signs nobody else's word."),
    ] = None,
    person_id: Annotated[
        str | None, typer.Option("--person-id", help="The id of that account, if it is not the name.")
    ] = None,
    make_key: MakeKey = False,
) -> None:
    """Add the public key of a signer; after `vault write -f transit/keys/KEY/rotate`, the new version of it.

    The key of the same duties that it follows stays, and ends an hour from now: tasks under way may still sign with it.
    A person's key signs that person's approvals and waivers (`mlgov approve`, `waive`, `break-glass`), and no others.
    """
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.statements import Person

    _require_known(duty)
    if person_id and not person:
        raise ConfigurationError("--person-id is the id of --person: pass both", code="option.missing")
    owner = Person(person_id or person, person) if person else None
    root = TrustRoot.load(trust) if trust.exists() else TrustRoot()
    root.rotated(_public_key(sign, public_key, make_key), duty, person=owner).save(trust)
    whose = f" of {person}" if person else ""
    say(f"{trust}: {len(root.keys)} keys before, added one{whose} for {', '.join(duty)}")


@trust_app.command("move")
def trust_move(
    trust: TrustFile,
    sign: Annotated[str, typer.Option("--sign", help="The new signer of each duty: vault:mlgov-{duty}.")],
    duty: Annotated[list[str] | None, typer.Option("--duty", help="Only these duties. Repeatable.")] = None,
    make_key: MakeKey = False,
) -> None:
    """Move duties to new keys: from the key file of a first try to Vault, one key for each duty.

    The keys of before stay, with an end an hour from now: tasks under way may still sign with them, and what they have
    signed verifies for ever. Then set [mlgov] sign to the new signer.
    """
    from airflow_mlgov.evidence.signing import TrustRoot, duties

    _require_known(duty or ())
    root, wanted = TrustRoot.load(trust) if trust.exists() else TrustRoot(), duty or duties()
    keys = {name: signer_for(sign, name, make_key=make_key).public_key for name in wanted}
    keys = {name: key for name, key in keys.items() if not _is_in_force(root, name, key)}
    if not keys:
        say(f"{trust}: these duties have these keys already")
        return
    moved = root.moved(keys)
    moved.save(trust)
    ended = sum(item.valid_until != old.valid_until for item, old in zip(moved.keys, root.keys, strict=False))
    say(f"{trust}: {len(keys)} duties moved; {ended} key(s) of before end in an hour, and are kept")


@trust_app.command("end")
def trust_end(
    keyid: Annotated[str, typer.Argument(help="Id of the key, or its beginning.")],
    trust: TrustFile,
    at: Annotated[str | None, typer.Option("--at", help="When, RFC 3339 with a zone; now if omitted.")] = None,
) -> None:
    """End a key: what it signs from then on counts for nothing, what it has signed before still verifies."""
    from datetime import UTC, datetime

    from airflow_mlgov.evidence.signing import TrustRoot

    try:
        moment = datetime.fromisoformat(at) if at else datetime.now(UTC)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise ConfigurationError(f"--at is not a date with a zone: {at!r}", code="trust.date")
    TrustRoot.load(trust).ended(keyid, moment).save(trust)
    say(f"{trust}: the key {keyid} ends at {moment.isoformat()}")


@trust_app.command("show")
def trust_show(trust: TrustFile, as_json: AsJson = False) -> None:
    """List the keys with their duties and dates."""
    from airflow_mlgov.evidence.signing import TrustRoot

    root = TrustRoot.load(trust)
    rows = [
        {
            "keyid": item.key.keyid,
            "type": item.key.keytype,
            "duties": sorted(item.duties),
            "person": item.person and item.person.name,
            "valid_from": item.valid_from.isoformat() if item.valid_from else None,
            "valid_until": item.valid_until.isoformat() if item.valid_until else None,
        }
        for item in root.keys
    ]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        dates = f"{row['valid_from'] or 'always'} to {row['valid_until'] or 'now'}"
        whose = f" of {row['person']}" if row["person"] else ""
        say(f"{str(row['keyid'])[:16]}  {row['type']:8}  {', '.join(row['duties'])}{whose}  ({dates})")


def _is_in_force(root: TrustRoot, duty: str, key: Key) -> bool:
    """Whether a duty signs with this key already."""
    newest = root.key_for(duty)
    return newest is not None and newest.keyid == key.keyid


def _require_known(wanted: Iterable[str]) -> None:
    from airflow_mlgov.evidence.signing import duties

    unknown = sorted(set(wanted) - set(duties()))
    if unknown:
        raise ConfigurationError(
            f"unknown duty {', '.join(unknown)}; known: {', '.join(duties())}", code="duty.unknown"
        )


def _public_key(sign: str | None, pem: Path | None, make_key: bool) -> Key:
    """The public half of a signer, or what a file holds.

    :raises ConfigurationError: both or neither are given, or the file holds none
    """
    if (sign is None) == (pem is None):
        raise ConfigurationError("pass either --sign or --public-key", code="option.missing")
    if pem is None:
        return signer_for(sign or "", make_key=make_key).public_key
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    raw = read_file(pem, "public key")
    try:
        return SSlibKey.from_crypto(load_pem_public_key(raw))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{pem} holds no public key in PEM form", code="trust.key") from error


def vault_policy(
    duty: Annotated[str, typer.Argument(help="A gate's name, registration, approval, promotion …")],
    transit_mount: Annotated[
        str, typer.Option("--transit-mount", help="Where the Transit engine is mounted.")
    ] = "transit",
    kv_mount: Annotated[str, typer.Option("--kv-mount", help="Where the KV v2 engine is mounted.")] = "secret",
) -> None:
    """Print the Vault policy of a duty's identity, for `vault policy write mlgov-fairness -`."""
    from airflow_mlgov.vault.policy import vault_policy

    say(*vault_policy(duty, transit=transit_mount, kv=kv_mount).rstrip("\n").split("\n"))
