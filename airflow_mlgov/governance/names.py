"""Names that a policy gives people and things, as everybody reads them: nothing in them is invisible, or looks like
another letter than it is. An account is allowed by its exact name, so a name that cannot be read is no name."""

from __future__ import annotations

import unicodedata

from airflow_mlgov.words import UNSEEN

_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},
    {"LATIN", "CJK", "HANGUL"},
    {"LATIN", "CJK", "BOPOMOFO"},
)
"""Scripts that one name may hold together, as Unicode's report 39 has it."""


def why_unreadable(name: str, person: bool = True) -> str | None:
    """Why nobody can tell what a name says, None where they can.

    :param person: also refuse what could be taken for another account: mixed scripts, and signs that only look so
    """
    for sign in name:
        if unicodedata.category(sign) in _UNSEEN or (sign.isspace() and sign != " ") or _is_filler(sign):
            return f"it holds U+{ord(sign):04X}, which nobody sees"
    if name != name.strip():
        return "it begins or ends with a space"
    if not person:
        return None
    if unicodedata.normalize("NFKC", name) != unicodedata.normalize("NFC", name):
        plain = unicodedata.normalize("NFKC", name)
        return f"it holds signs that stand for others: did you mean {plain!r}?"
    scripts = {_script(sign) for sign in name if unicodedata.category(sign) in ("Ll", "Lu", "Lt", "Lo")}
    if len(scripts) > 1 and not any(scripts <= allowed for allowed in _TOGETHER):
        return f"it mixes letters of {', '.join(sorted(scripts))}"
    return None


def _is_filler(sign: str) -> bool:
    """Letters and marks that are drawn as nothing."""
    return (
        bool(UNSEEN.match(sign)) or "FILLER" in unicodedata.name(sign, "") or "SELECTOR" in unicodedata.name(sign, "")
    )


def _script(sign: str) -> str:
    return unicodedata.name(sign, "UNKNOWN").partition(" ")[0].partition("-")[0]
