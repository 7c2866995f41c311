"""Numbers that people carry: published examples hold, and the share that holds by chance is what a kind says."""

import random
import re
import string

import pytest

from airflow_mlgov.gates.policy.checksums import KINDS, Kind, iban, luhn

BY_NAME = {kind.name: kind for kind in KINDS}
EXAMPLES = {
    "card numbers": ["4111111111111111", "5555555555554444", "378282246310005", "6011111111111117"],
    "IBANs": ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "NL91ABNA0417164300"],
    "Dutch citizen service numbers": ["111222333", "123456782"],
    "Spanish identity numbers": ["12345678Z", "X1234567L"],
    "Italian tax codes": ["RSSMRA85T10A562S"],
    "Polish identity numbers": ["44051401359"],
    "Finnish identity numbers": ["131052-308T"],
    "Swedish identity numbers": ["811218-9876", "19811218-9876"],
    "Belgian identity numbers": ["93051822361"],
    "German tax numbers": ["86095742719"],
    "health service numbers of the United Kingdom": ["943 476 5919"],
    "Brazilian tax numbers": ["52998224725"],
    "Chinese identity numbers": ["11010519491231002X"],
    "Turkish identity numbers": ["10000000146"],
    "South African identity numbers": ["8001015009087"],
    "social security numbers of the United States": ["219-09-9999"],
    "insurance numbers of the United Kingdom": ["AB123456C"],
    "Indian identity numbers": ["234123412346"],
    "French social security numbers": ["255081416802538"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, some in EXAMPLES.items() for value in some])
def test_a_published_example_holds_and_its_neighbour_does_not(name: str, value: str) -> None:
    kind = BY_NAME[name]
    assert kind.form.fullmatch(value)
    assert kind.holds(value)
    if kind.chance < 0.15:
        at = max(place for place, sign in enumerate(value) if sign.isdigit() or sign.isalpha())
        others = string.ascii_uppercase + string.digits
        bent = [value[:at] + sign + value[at + 1 :] for sign in others if sign != value[at]]
        assert not all(kind.holds(one) for one in bent if kind.form.fullmatch(one))


def drawn(kind: Kind, draw: random.Random) -> str:
    """A text of a kind's form, without regard to its check digits."""
    shapes = {
        "card numbers": lambda: "4" + digits(draw, 15),
        "IBANs": lambda: "DE" + digits(draw, 20),
        "Dutch citizen service numbers": lambda: digits(draw, 9),
        "Spanish identity numbers": lambda: digits(draw, 8) + draw.choice(string.ascii_uppercase),
        "Indian identity numbers": lambda: digits(draw, 12),
        "South African identity numbers": lambda: digits(draw, 13),
        "Chinese identity numbers": lambda: digits(draw, 6) + "19" + digits(draw, 10),
        "health service numbers of the United Kingdom": lambda: (
            f"{digits(draw, 3)} {digits(draw, 3)} {digits(draw, 4)}"
        ),
    }
    return shapes.get(kind.name, lambda: digits(draw, 11))()


def digits(draw: random.Random, count: int) -> str:
    return "".join(draw.choice(string.digits) for _ in range(count))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name in {
    "card numbers", "IBANs", "Dutch citizen service numbers", "Spanish identity numbers", "Polish identity numbers",
    "Norwegian identity numbers", "Belgian identity numbers", "German tax numbers", "Brazilian tax numbers",
    "Indian identity numbers", "Turkish identity numbers", "South African identity numbers", "Chinese identity numbers",
    "health service numbers of the United Kingdom",
}], ids=lambda kind: kind.name)  # fmt: skip
def test_chance_is_not_understated(kind: Kind) -> None:
    draw = random.Random(4)
    values = [drawn(kind, draw) for _ in range(20_000)]
    fitting = [value for value in values if kind.form.fullmatch(value)]
    assert len(fitting) > 2_000
    share = sum(map(kind.holds, fitting)) / len(fitting)
    assert share <= 1.3 * kind.chance + 0.0005
    assert share > 0 or kind.chance <= 0.002


def test_luhn_and_modulus_97_find_each_wrong_digit() -> None:
    for at, sign in enumerate("4111111111111111"):
        bent = "4111111111111111"[:at] + str((int(sign) + 1) % 10) + "4111111111111111"[at + 1 :]
        assert not luhn(bent)
    for at in range(4, 22):
        text = "DE89370400440532013000"
        assert not iban(text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :])
    assert not iban("DE8937040044053201300")
    assert not iban("ZZ89370400440532013000")


def test_every_form_is_a_pattern_that_ends() -> None:
    for kind in KINDS:
        assert isinstance(kind.form, re.Pattern)
        assert not kind.form.fullmatch("9" * 100_000)
