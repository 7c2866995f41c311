"""Everything that the provider brings, with all its extras, may be used by whoever may use the provider."""

import re

from tests.licences import PROVIDER, brought, licence

NOT_TOLD = {"huey", "skops"}
"""The licence is a file beside the code alone; both are MIT."""
OF_FILES_ALONE = {"certifi", "fpdf2", "pathspec", "psycopg", "psycopg-binary", "tqdm"}
"""LGPL or MPL: for changes to the package itself; they are used as they are."""
EITHER = {"text-unidecode"}
"""Artistic licence or GPL, as one likes."""
FREE = re.compile(r"Apache|BSD|MIT|ISC|PSF|Python Software Foundation|Unlicense|Zlib|CC0|0BSD|LICENSE", re.I)
BOUND = re.compile(r"GPL|Mozilla|MPL|EPL|EUPL|SSPL|BUSL|Proprietary", re.I)


def test_every_licence_is_told_and_none_binds_who_uses_it() -> None:
    told = {name: licence(found) for name, found in brought(PROVIDER, ("all", "demo")).items()}
    assert len(told) > 100
    assert {name for name, text in told.items() if not text} == NOT_TOLD & set(told)
    assert {name for name, text in told.items() if BOUND.search(text)} == (OF_FILES_ALONE | EITHER) & set(told)
    others = {name: text for name, text in told.items() if text and not FREE.search(text)}
    assert set(others) <= OF_FILES_ALONE | EITHER
    assert told["gordon-to-regorus"]
