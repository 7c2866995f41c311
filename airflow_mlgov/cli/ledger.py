"""``mlgov ledger``: the audit trail, walked, shown, checkpointed and exported."""

from __future__ import annotations

import sys
from base64 import b64decode
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from airflow_mlgov.cli.common import (
    AsJson,
    Checkpoints,
    Environment,
    LedgerUrl,
    Origin,
    RegistryUri,
    SignWith,
    TrustFile,
    context_of,
    environment_of,
    open_checkpoints,
    open_registry,
    origin_of,
    print_json,
    quorum_of,
    records_at,
    say,
    signer_for,
    who_asks,
)
from airflow_mlgov.cli.configured import from_environment, ledger_at, required
from airflow_mlgov.cli.ledger_audit import Full, Since, told_signatures, verify_since
from airflow_mlgov.cli.ledger_search import Kinds, Last, Model, require_kinds, search, show
from airflow_mlgov.cli.ledger_texts import erase, lines_of, person, require_whole, show_beside
from airflow_mlgov.cli.progress import progress
from airflow_mlgov.cli.values import path, whole
from airflow_mlgov.errors import ConfigurationError

ledger_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit trail.")


@ledger_app.command("verify")
def ledger_verify(
    ledger: LedgerUrl,
    checkpoint: Checkpoints = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", parser=path, help="Trust root, for checkpoints and notices of erasure.")
    ] = None,
    witness: Annotated[
        list[str] | None,
        typer.Option(
            "--witness",
            help="Key of a witness that must have cosigned each checkpoint, name+hash+key (C2SP tlog-cosignature); "
            "MLGOV_WITNESSES or [mlgov] witnesses if omitted. Repeatable.",
        ),
    ] = None,
    quorum: Annotated[
        str | None, typer.Option("--quorum", help="How many of the witnesses must have cosigned; all if omitted.")
    ] = None,
    since: Since = None,
    full: Full = False,
    as_json: AsJson = False,
) -> None:
    """Walk the whole chain, hold it against checkpoints that were kept elsewhere, the tree, index and texts beside it
    against what was signed and what the entries make."""
    from airflow_mlgov.evidence.auditing import Seen, Signatures
    from airflow_mlgov.evidence.erasure import KINDS, account
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.verification import believer

    wanted, given = checkpoint or from_environment("checkpoint"), trust or from_environment("trust_root")
    keys = TrustRoot.load(given or required("trust_root")()) if wanted or given or since or full else None
    asked = quorum_of(witness, quorum)
    if (witness or quorum) and not (wanted or since):
        raise ConfigurationError("witnesses cosign checkpoints: pass --checkpoint too", code="option.missing")
    marks = open_checkpoints(checkpoint, keys, asked) if wanted and keys else []
    records = ledger_at(ledger, create=False)
    if since and keys:
        verify_since(records, since, marks, keys, asked, full=full, as_json=as_json)
        return
    signatures, size = Signatures(keys) if full and keys else None, records.last()[0]
    seen = Seen(signatures)
    with progress(lambda: f"{seen.count:,} of {size:,} entries are walked"):
        walked, kept = records.audit(KINDS, marks, believer(keys), seen.take)
    checked = (signatures.checked, signatures.require_good(walked)) if signatures else None
    now, texts = walked.head, account(walked, keys)
    if as_json:
        told = {"signatures": dict(zip(("checked", "quarantined"), checked, strict=True))} if checked else {}
        print_json(
            {
                **now.mark,
                "tree_kept": kept,
                "checkpoints": [mark.mark for mark in marks],
                "texts": asdict(texts),
                **told,
            },
        )
    else:
        say(f"the chain holds: {now.size} entries, head {now.head}, root {now.root}")
        say(
            "the tree and the index beside it are those of its entries"
            if kept
            else "no tree is kept beside it yet: the next promotion makes it, or `mlgov ledger rebuild`"
        )
        for mark in marks:
            say(f"it holds what the checkpoint of {mark.size} entries says")
        if marks and asked.least:
            say(f"each checkpoint is cosigned by {asked.least} or more of {len(asked.witnesses)} witnesses")
        if checked:
            say(told_signatures(*checked))
        say(*lines_of(texts, checked=keys is not None))
    require_whole(texts)


@ledger_app.command("rebuild")
def ledger_rebuild(
    ledger: LedgerUrl,
    checkpoint: Checkpoints = None,
    trust: Annotated[
        Path | None, typer.Option("--trust", parser=path, help="Trust root, for checkpoints and promotions.")
    ] = None,
) -> None:
    """Walk the whole chain, and make the tree and the index beside it again from the entries: for a ledger of before
    them, or where `verify` says that they were changed. Nothing is signed, and no entry is touched."""
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.verification import believer

    wanted, given = checkpoint or from_environment("checkpoint"), trust or from_environment("trust_root")
    keys = TrustRoot.load(given or required("trust_root")()) if wanted or given else None
    marks = open_checkpoints(checkpoint, keys) if wanted and keys else []
    with progress("the chain is walked, tree and index are made"):
        now = ledger_at(ledger, create=False).rebuild(marks, believer(keys))
    say(f"the chain holds, its tree and its index are made: {now.size} entries, head {now.head}, root {now.root}")


@ledger_app.command("list")
def ledger_list(
    ledger: LedgerUrl,
    model: Model = None,
    kind: Kinds = None,
    digest: Annotated[str | None, typer.Option("--digest", help="Only about this SHA-256, or its beginning.")] = None,
    since: Annotated[int, typer.Option("--since", parser=whole, help="Only after this entry.")] = 0,
    last: Last = 20,
    as_json: AsJson = False,
) -> None:
    """List entries, the newest last: number, when, kind, what it is about. `show` has all. Walks the chain first, of a
    model what is not proven to be all about it."""
    require_kinds(kind)
    records = records_at(ledger) if model else ledger_at(ledger, create=False)
    found = [
        entry
        for entry in records.walk().entries(model=model)
        if entry.seq > since
        and (not kind or entry.kind in kind)
        and (not digest or entry.subject_digest.startswith(digest.removeprefix("sha256:")))
    ]
    show(found, last, as_json)


ledger_app.command("search")(search)
ledger_app.command("erase")(erase)
ledger_app.command("person")(person)


@ledger_app.command("show")
def ledger_show(
    seq: Annotated[int, typer.Argument(parser=whole, help="Number of the entry.")], ledger: LedgerUrl
) -> None:
    """Print one entry with its statement."""
    from airflow_mlgov.evidence.digests import parse_json

    walked = records_at(ledger).walk()
    entry = walked.get(seq)
    envelope = parse_json(entry.envelope)
    print_json(
        {
            "seq": entry.seq,
            "hash": entry.hash,
            "recorded_at": entry.recorded_at,
            "envelope_sha256": entry.envelope_sha256,
            "signed_by": [item["keyid"] for item in envelope["signatures"]],
            "statement": parse_json(b64decode(envelope["payload"])),
            **show_beside(entry, walked),
        }
    )


@ledger_app.command("checkpoint")
def ledger_checkpoint(
    ledger: LedgerUrl,
    sign: SignWith,
    out: Annotated[
        str | None, typer.Option("--out", help="New file, or URL such as s3://bucket/name, to write it to.")
    ] = None,
    note: Annotated[
        str | None,
        typer.Option(
            "--note",
            help="New file or URL for it as a signed note, which other tools read (C2SP tlog-checkpoint); takes an "
            "Ed25519 key.",
        ),
    ] = None,
    origin: Origin = None,
    environment: Environment = None,
) -> None:
    """Sign how long the ledger is and what it holds, to be kept where its owner cannot rewrite it."""
    from airflow_mlgov.evidence.checkpoints import head_to_keep, sign_checkpoint, write_checkpoint
    from airflow_mlgov.evidence.notes import sign_note, verifier_key

    if out is None and note is None:
        raise ConfigurationError("where to? pass --out, --note, or both", code="option.missing")
    now, signer = head_to_keep(ledger_at(ledger, create=False)), signer_for(sign, "checkpoint")
    name = origin_of(origin) or now.origin
    text = sign_note(now, signer, name) if note else ""  # before anything is written: not every key signs notes
    if out:
        write_checkpoint(sign_checkpoint(now, signer, context_of("ledger checkpoint", environment)), out)
        say(f"checkpoint written to {out}")
    if note:
        write_checkpoint(text, note)
        say(f"checkpoint written to {note} as a note; its verifier's key: {verifier_key(signer.public_key, name)}")


@ledger_app.command("quarantine")
def ledger_quarantine(
    seq: Annotated[int, typer.Argument(help="Number of the entry.")],
    ledger: LedgerUrl,
    trust: TrustFile,
    sign: SignWith,
    reason: Annotated[str, typer.Option("--reason", help="Why it may be set aside; it is signed.")],
    person: Annotated[
        str | None, typer.Option("--person", help="Who says so; if omitted, the user of this shell.")
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Governance policy, mlgov.yaml.")] = None,
    environment: Environment = None,
) -> None:
    """Sign, with the key of the duty `reconcile`, that an entry which never verified counts for nothing.

    What verifies counts whatever is said here. The entry stays in the ledger, and so does this.
    """
    from airflow_mlgov.evidence.signing import TrustRoot, refuse_local
    from airflow_mlgov.evidence.statements import Person
    from airflow_mlgov.evidence.verification import quarantine
    from airflow_mlgov.governance.policy import load_policy

    read, signer, name = load_policy(policy) if policy else None, signer_for(sign, "reconcile"), person or who_asks()
    refuse_local(signer, environment_of(environment), read.production if read else ())
    context = context_of("ledger quarantine", environment, read)
    records, keys = ledger_at(ledger, create=False), TrustRoot.load(trust)
    entry = quarantine(records, seq, keys, signer, context, Person(name, name), reason)
    say(f"ledger:{seq} counts for nothing any more ({entry.reference})")


@ledger_app.command("add")
def ledger_add(
    file: Annotated[Path, typer.Argument(parser=path, help="DSSE envelope with an in-toto statement, as JSON.")],
    name: Annotated[str, typer.Option("--as", help="Name under which the policy's `external` takes it.")],
    model: Annotated[str, typer.Option("--model", help="models:/name/7 or models:/name@alias: what it is about.")],
    ledger: LedgerUrl,
    trust: TrustFile,
    policy: Annotated[Path, typer.Option("--policy", help="Governance policy, mlgov.yaml.")],
    sign: SignWith,
    registry: RegistryUri = None,
    environment: Environment = None,
    as_json: AsJson = False,
) -> None:
    """Put evidence of others into the ledger: what somebody else has signed about the model's bytes.

    Their envelope is kept whole, and verified again whenever it counts. Signed with the key of the duty `external`.
    """
    from airflow_mlgov.evidence.external import judge_external, open_external
    from airflow_mlgov.evidence.signing import TrustRoot, refuse_local
    from airflow_mlgov.evidence.statements import GateStatement
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.strict_files import nearest, read_text

    read, keys, signer = load_policy(policy), TrustRoot.load(trust), signer_for(sign, "external")
    refuse_local(signer, environment_of(environment), read.production)
    client = open_registry(registry, read)
    version = client.resolve(model)
    known = read.model(version.name).external
    if name not in known:
        raise ConfigurationError(
            f"the policy takes no external evidence {name!r} for {version.name}{nearest(name, known) if known else ''}",
            code="external.unknown",
        )
    context = context_of("ledger add", environment, read)
    said = open_external(read_text(file, "envelope"), keys, context.issued_at)
    keys.require_signer(signer, "external", context.issued_at)
    result = judge_external(name, said, client.subject(version), known[name].rules)
    entry = ledger_at(ledger).attest(GateStatement.of(result, context), signer)
    if as_json:
        print_json({"gate": name, "verdict": str(result.verdict), "evidence": entry.reference})
        return
    say(*result.summary().split("\n"), *(f"  {check}" for check in result.checks if check not in result.failed))
    say(f"  evidence: {entry.reference}")


@ledger_app.command("export")
def ledger_export(
    ledger: LedgerUrl,
    model: Annotated[str | None, typer.Option("--model", help="models:/name/7 or models:/name@alias.")] = None,
    out: Annotated[Path | None, typer.Option("--out", parser=path, help="New zip file.")] = None,
    tiles: Annotated[
        Path | None,
        typer.Option(
            "--tiles",
            parser=path,
            help="Instead: a folder for the whole log as static tiles, which other tools read (C2SP tlog-tiles); what "
            "is new is added. Hashes alone, no evidence.",
        ),
    ] = None,
    registry: RegistryUri = None,
    policy: Annotated[Path | None, typer.Option("--policy", help="Governance policy, mlgov.yaml.")] = None,
    sign: Annotated[
        str | None, typer.Option("--sign", help="Sign a checkpoint into it, and a proof: local:PATH, vault:KEY.")
    ] = None,
    signature: Annotated[
        Path | None, typer.Option("--signature", parser=path, help="A bundle of `mlgov sign-model` to take along.")
    ] = None,
    origin: Origin = None,
    environment: Environment = None,
) -> None:
    """Write all that speaks for a model version into one file, which verifies without Airflow, MLflow and ledger; or
    the log for whoever watches it."""
    if tiles is not None and not (model or out or signature):
        _export_tiles(ledger, tiles, sign or required("sign")(), origin_of(origin))
        return
    if model is None or out is None or tiles is not None:
        raise ConfigurationError("export takes --model with --out, or --tiles alone", code="option.missing")
    from airflow_mlgov.evidence.checkpoints import head_to_keep, sign_checkpoint
    from airflow_mlgov.evidence.notes import sign_note, takes_notes
    from airflow_mlgov.evidence.pack import write_pack
    from airflow_mlgov.governance.policy import load_policy
    from airflow_mlgov.strict_files import read_text

    client = open_registry(registry, load_policy(policy) if policy else None)
    records = ledger_at(ledger, create=False)
    subject = client.subject(client.resolve(model))
    context = context_of("ledger export", environment)
    checkpoint = note = None
    if sign:
        now, signer = head_to_keep(records), signer_for(sign, "checkpoint")
        checkpoint = sign_checkpoint(now, signer, context)
        if takes_notes(signer.public_key):
            note = sign_note(now, signer, origin_of(origin) or None)
        else:
            say("no proof for other tools: it takes an Ed25519 key, and this one is of another type", to=sys.stderr)
    bundle = read_text(signature, "bundle") if signature else None
    kept, size = write_pack(records, subject, out, checkpoint, bundle, note)
    say(f"{out}: {kept} of {size} entries whole, the others as links of the chain")


def _export_tiles(ledger: str, folder: Path, sign: str, origin: str) -> None:
    from airflow_mlgov.evidence.notes import verifier_key
    from airflow_mlgov.evidence.tiles import export_tiles

    signer = signer_for(sign, "checkpoint")
    with progress("the chain is walked, tiles are written"):
        done = export_tiles(ledger_at(ledger, create=False), folder, signer, origin or None)
    say(f"{folder}: {done.head.size} entries of the log {done.origin}, {done.written} new files")
    say(f"its verifier's key: {verifier_key(signer.public_key, done.origin)}")
