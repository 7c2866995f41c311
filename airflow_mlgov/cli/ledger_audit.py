"""``mlgov ledger verify --since`` and ``--full``: what is new since a checkpoint, and whose signatures are good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from airflow_mlgov.cli.common import print_json, say
from airflow_mlgov.cli.ledger_texts import lines_of, require_whole
from airflow_mlgov.cli.progress import progress

if TYPE_CHECKING:
    from airflow_mlgov.evidence.chain import Head
    from airflow_mlgov.evidence.ledger import Ledger
    from airflow_mlgov.evidence.signing import TrustRoot
    from airflow_mlgov.evidence.witnesses import Quorum

Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="Walk only what came after this checkpoint, file or URL; of what it vouches for the hashes alone are "
        "read, and must have its root.",
    ),
]
Full = Annotated[
    bool,
    typer.Option(
        "--full", help="Check each signature too, of what is walked, by the trust root; exit code 1 if one is bad."
    ),
]


def told_signatures(checked: int, aside: int) -> str:
    """In a sentence."""
    return f"each of {checked} signatures is of a key that may sign it" + (
        f", but {aside} quarantined" if aside else ""
    )


def verify_since(
    records: Ledger,
    since: str,
    marks: Sequence[Head],
    trust: TrustRoot,
    quorum: Quorum,
    *,
    full: bool,
    as_json: bool,
) -> None:
    """Walk what came after a checkpoint, and tell."""
    from airflow_mlgov.evidence.auditing import Seen, Signatures, walk_since
    from airflow_mlgov.evidence.checkpoints import heads_at
    from airflow_mlgov.evidence.erasure import KINDS, account

    (mark, *others), found = heads_at([since], trust, quorum), Signatures(trust)
    seen = Seen(found if full else None)
    with progress(lambda: f"{seen.count:,} entries since are walked"):
        walked = walk_since(records, max([mark, *others]), KINDS, [*marks, mark, *others], seen.take)
    aside = found.require_good(walked)
    now, texts = walked.head, account(walked, trust)
    first = now.size - seen.count
    if as_json:
        told = {"signatures": {"checked": found.checked, "quarantined": aside}} if full else {}
        checkpoints = [item.mark for item in marks]
        print_json({**now.mark, "since": first, "checkpoints": checkpoints, "texts": asdict(texts), **told})
    else:
        say(f"the chain holds: {now.size} entries, head {now.head}, root {now.root}")
        say(f"walked: {seen.count} entries since the checkpoint of {first}, which vouches for those before")
        lines = [f"it holds what the checkpoint of {item.size} entries says" for item in marks]
        lines += [told_signatures(found.checked, aside)] if full else []
        for line in (*lines, *lines_of(texts, checked=True)):
            say(line)
    require_whole(texts)
