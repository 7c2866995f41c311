"""``mlgov trust``: which key may sign what. ``mlgov vault-policy``: what a duty's identity may do in Vault."""

from __future__ import annotations

from typing import Annotated

import typer

from airflow_mlgov.cli.common import AsJson, SignWith, TrustFile, print_json, say, signer_for
from airflow_mlgov.errors import ConfigurationError

trust_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The trust root: every public key that was ever allowed to sign."
)


@trust_app.command("add")
def trust_add(
    trust: TrustFile,
    sign: SignWith,
    duty: Annotated[list[str], typer.Option("--duty", help="What it may sign. Repeatable.")],
) -> None:
    """Add the public key of a signer; after `vault write -f transit/keys/KEY/rotate`, the new version of it.

    The key of the same duties that it follows stays, and ends an hour from now: tasks under way may still sign with it.
    """
    from airflow_mlgov.evidence.signing import TrustRoot, duties

    unknown = sorted(set(duty) - set(duties()))
    if unknown:
        raise ConfigurationError(
            f"unknown duty {', '.join(unknown)}; known: {', '.join(duties())}", code="duty.unknown"
        )
    root = TrustRoot.load(trust) if trust.exists() else TrustRoot()
    root.rotated(signer_for(sign).public_key, duty).save(trust)
    say(f"{trust}: {len(root.keys)} keys before, added one for {', '.join(duty)}")


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
        say(f"{str(row['keyid'])[:16]}  {row['type']:8}  {', '.join(row['duties'])}  ({dates})")


def vault_policy(
    duty: Annotated[str, typer.Argument(help="A gate's name, registration, approval, promotion …")],
) -> None:
    """Print the Vault policy of a duty's identity, for `vault policy write mlgov-fairness -`."""
    from airflow_mlgov.vault.policy import vault_policy

    say(*vault_policy(duty).rstrip("\n").split("\n"))
