"""Numbers that people carry, told by their form and their check digits.

Each kind says how often a value of its form holds by chance, so that a column is called personal where more values hold
than chance explains, and not because one number in ten has a good check digit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20,
    "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24,
    "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of number."""

    name: str
    """In the plural, as findings say it."""
    form: re.Pattern[str]
    """What the text looks like, without spaces and dashes unless ``spaced``."""
    holds: Callable[[str], bool]
    chance: float
    """The share of other values of this form that hold too."""
    spaced: bool = False
    sure: bool = False
    """Whether the form alone is rare enough that one good number among twenty says what they are."""


def _digits(text: str) -> list[int]:
    return [int(sign) for sign in text if sign.isdigit()]


def luhn(text: str) -> bool:
    """Whether the last digit is Luhn's check digit (ISO/IEC 7812-1)."""
    found = _digits(text)[::-1]
    return sum(found[0::2]) % 10 == -sum(sum(divmod(2 * one, 10)) for one in found[1::2]) % 10


def iban(text: str) -> bool:
    """Whether the country has accounts of this length and the number is 1 by modulus 97 (ISO 13616)."""
    said = text.upper()
    if _IBAN_LENGTHS.get(said[:2]) != len(said):
        return False
    return int("".join(str(int(sign, 36)) for sign in said[4:] + said[:4])) % 97 == 1


def _weighted(text: str, weights: tuple[int, ...]) -> int:
    return sum(weight * digit for weight, digit in zip(weights, _digits(text), strict=False))


def _date(year: int, month: int, day: int) -> bool:
    return year >= 0 and 1 <= month <= 12 and 1 <= day <= 31


def _bsn(text: str) -> bool:
    """The Netherlands: the eleven test."""
    return text != "000000000" and _weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _dni(text: str) -> bool:
    """Spain: DNI, and NIE with X, Y or Z for its first digit."""
    number = text[:-1].upper().replace("X", "0").replace("Y", "1").replace("Z", "2")
    return text[-1].upper() == "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23]


def _codice_fiscale(text: str) -> bool:
    """Italy."""
    odd = dict(
        zip(
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14,
             16, 10, 22, 25, 24, 23),
            strict=True,
        )
    )  # fmt: skip
    said = text.upper()
    total = sum(odd[sign] for sign in said[:15:2])
    total += sum(int(sign) if sign.isdigit() else ord(sign) - 65 for sign in said[1:15:2])
    return said[15] == chr(65 + total % 26)


def _pesel(text: str) -> bool:
    """Poland."""
    month = int(text[2:4]) % 20
    check = (10 - _weighted(text[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10
    return _date(0, month, int(text[4:6])) and check == int(text[10])


def _hetu(text: str) -> bool:
    """Finland."""
    number = int(text[:6] + text[7:10])
    good = _date(0, int(text[2:4]), int(text[:2]))
    return good and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == text[10].upper()


def _personnummer(text: str) -> bool:
    """Sweden."""
    found = "".join(map(str, _digits(text)))[-10:]
    day = int(found[4:6])
    return _date(0, int(found[2:4]), day - 60 if day > 60 else day) and luhn(found)


def _fodselsnummer(text: str) -> bool:
    """Norway: two check digits."""
    first = (11 - _weighted(text[:9], (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11) % 11
    second = (11 - _weighted(text[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11) % 11
    day, month = int(text[:2]) % 40, int(text[2:4]) % 40
    return _date(0, month, day) and (first, second) == (int(text[9]), int(text[10]))


def _rijksregister(text: str) -> bool:
    """Belgium: modulus 97, with a 2 before the numbers of those born since 2000."""
    if not _date(0, int(text[2:4]) % 20, max(1, int(text[4:6]))):
        return False
    return any(97 - int(before + text[:9]) % 97 == int(text[9:]) for before in ("", "2"))


def _nir(text: str) -> bool:
    """France, also of Corsica."""
    number = text[:13].upper().replace("2A", "19").replace("2B", "18")
    month = int(text[3:5])
    good = 1 <= month <= 12 or 20 <= month <= 42 or 50 <= month <= 99
    return good and 97 - int(number) % 97 == int(text[13:])


def _steuer_id(text: str) -> bool:
    """Germany: modulus 11, 10; of the first ten digits one stands two or three times."""
    counts = sorted((text[:10].count(sign) for sign in set(text[:10])), reverse=True)
    if text[0] == "0" or counts[0] not in (2, 3) or counts[1] > 1:
        return False
    product = 10
    for digit in _digits(text[:10]):
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(text[10])


def _nhs(text: str) -> bool:
    """The United Kingdom's health service."""
    return (11 - _weighted(text[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11 == int(text[9])


def _cpf(text: str) -> bool:
    """Brazil: two check digits."""
    if len(set(text)) == 1:
        return False
    for end in (9, 10):
        total = sum((end + 1 - at) * digit for at, digit in enumerate(_digits(text[:end])))
        if total * 10 % 11 % 10 != int(text[end]):
            return False
    return True


_VERHOEFF = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip


def _aadhaar(text: str) -> bool:
    """India: Verhoeff's scheme."""
    check = 0
    for at, digit in enumerate(reversed(_digits(text))):
        check = int(_DIHEDRAL[check][int(_VERHOEFF[at % 8][digit])])
    return check == 0 and text[0] not in "01"


def _resident(text: str) -> bool:
    """China: ISO 7064, modulus 11-2."""
    total = _weighted(text[:17], (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    return _date(0, int(text[10:12]), int(text[12:14])) and "10X98765432"[total % 11] == text[17].upper()


def _kimlik(text: str) -> bool:
    """Turkey."""
    found = _digits(text)
    tenth = (7 * sum(found[0:9:2]) - sum(found[1:8:2])) % 10
    return found[0] != 0 and found[9] == tenth and found[10] == sum(found[:10]) % 10


def _south_african(text: str) -> bool:
    return _date(0, int(text[2:4]), int(text[4:6])) and text[10] in "01" and luhn(text)


def _ssn(text: str) -> bool:
    """The United States: no check digit, so its dashes are demanded."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _of(
    name: str, form: str, holds: Callable[[str], bool], chance: float, *, spaced: bool = False, sure: bool = False
) -> Kind:
    return Kind(name, re.compile(form, re.IGNORECASE | re.ASCII), holds, chance, spaced, sure)


_CARD = (
    r"(?:4\d{12}(?:\d{3})?(?:\d{3})?|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|3[47]\d{13}|6(?:011|5\d\d)\d{12}"
    r"|35\d{14}|3(?:0[0-5]|[689]\d)\d{11}|62\d{14}(?:\d{3})?)"
)
KINDS: tuple[Kind, ...] = (
    _of("card numbers", _CARD, luhn, 0.1),
    _of("IBANs", r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", iban, 0.011, sure=True),
    _of("Dutch citizen service numbers", r"\d{9}", _bsn, 1 / 11),
    _of("Spanish identity numbers", r"[XYZ\d]\d{7}[A-Z]", _dni, 1 / 23),
    _of("Italian tax codes", r"[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]", _codice_fiscale, 1 / 26),
    _of("Polish identity numbers", r"\d{11}", _pesel, 0.04),
    _of("Finnish identity numbers", r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", _hetu, 0.02, spaced=True),
    _of("Swedish identity numbers", r"(?:\d{2})?\d{6}[-+]\d{4}", _personnummer, 0.02, spaced=True),
    _of("Norwegian identity numbers", r"\d{11}", _fodselsnummer, 0.002),
    _of("Belgian identity numbers", r"\d{11}", _rijksregister, 0.008),
    _of("French social security numbers", r"[12]\d{4}(?:\d\d|2[AB])\d{8}", _nir, 0.01),
    _of("German tax numbers", r"\d{11}", _steuer_id, 0.01),
    _of("health service numbers of the United Kingdom", r"\d{3}[ -]\d{3}[ -]\d{4}", lambda text: _nhs(
        re.sub(r"\D", "", text)), 1 / 11, spaced=True),
    _of("Brazilian tax numbers", r"\d{11}", _cpf, 0.01),
    _of("Indian identity numbers", r"\d{12}", _aadhaar, 0.1),
    _of("Chinese identity numbers", r"\d{6}(?:19|20)\d{9}[0-9X]", _resident, 0.03),
    _of("Turkish identity numbers", r"\d{11}", _kimlik, 0.01),
    _of("South African identity numbers", r"\d{13}", _south_african, 0.01),
    _of("social security numbers of the United States", r"\d{3}-\d{2}-\d{4}", _ssn, 0.2, spaced=True),
    _of("insurance numbers of the United Kingdom", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]", lambda _: True,
        0.2),
)  # fmt: skip
