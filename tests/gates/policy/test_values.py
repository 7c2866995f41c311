"""The look at values: what is personal, what is hashed, what gives a hash away, over the sources that gates read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import uuid
from pathlib import Path

import pandas as pd
import pytest

from airflow_mlgov.data.source import source_of
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.gates.policy.values import MAX_COLUMNS, Look, look_at
from tests.codes import raises_code

MAILS = [f"person{at}@bank.example" for at in range(300)]
DRAW = random.Random(3)


def seen(frame: pd.DataFrame, sample: int | None = None) -> Look:
    with source_of(frame).open() as relation:
        return look_at(relation, sample=sample)


def kinds(values: list[object]) -> dict[str, int]:
    return dict(seen(pd.DataFrame({"x": values})).columns["x"].kinds)


def with_check(number: str) -> str:
    """A number with Luhn's check digit."""
    from airflow_mlgov.gates.policy.checksums import luhn

    return next(number + digit for digit in "0123456789" if luhn(number + digit))


def digits(count: int) -> str:
    return "".join(DRAW.choice("0123456789") for _ in range(count))


@pytest.mark.parametrize(
    "values",
    [
        MAILS,
        ["nothing"] * 299 + ["ask bob@bank.example about it"],
        [f" {mail.upper()} " for mail in MAILS],
        [mail.replace("@", "＠") for mail in MAILS],
        [mail.replace("@", "(at)") for mail in MAILS],
        [mail.replace("@", " at ").replace(".example", " dot example") for mail in MAILS],
        [mail[::-1] for mail in MAILS],
        ["山田@例え.テスト"] * 3,
    ],
)
def test_mails_in_whatever_writing(values) -> None:
    assert set(kinds(values)) == {"e-mail addresses"}


def test_mails_in_nested_values() -> None:
    assert "e-mail addresses" in kinds([[{"contact": mail}] for mail in MAILS[:5]])


@pytest.mark.parametrize(
    "values",
    [
        [with_check("4" + digits(14)) for _ in range(30)],
        [
            " ".join(card[at : at + 4] for at in (0, 4, 8, 12))
            for card in [with_check("4" + digits(14)) for _ in range(30)]
        ],
        [int(with_check("4" + digits(14))) for _ in range(30)],
        [float(with_check("4" + digits(14))) for _ in range(30)],
    ],
)
def test_cards_as_text_as_numbers_and_with_signs_between(values) -> None:
    assert "card numbers" in kinds(values)


def test_numbers_of_which_one_in_ten_has_a_good_check_digit_are_no_cards() -> None:
    assert kinds(["4" + digits(15) for _ in range(5_000)]) == {}
    assert kinds([int("4" + digits(8)) for _ in range(5_000)]) == {}


def test_cards_among_other_numbers() -> None:
    cards = [with_check("4" + digits(14)) for _ in range(200)]
    assert "card numbers" in kinds(cards + ["4" + digits(15) for _ in range(600)])


def test_accounts_telephones_and_addresses() -> None:
    assert kinds(["DE89 3704 0044 0532 0130 00", "x", "y"]) == {"IBANs": 1}
    assert set(kinds(["+49 170 1234567", "+44 20 7946 0958", "0049 30 123456", "-"])) == {"telephone numbers"}
    assert set(kinds(["8.8.8.8", "1.1.1.1", "9.9.9.9"])) == {"IP addresses"}
    assert kinds(["10.0.0.1", "192.168.0.4", "127.0.0.1"]) == {}


@pytest.mark.parametrize(
    "values",
    [
        [1.5, 2.25, None], ["low", "high"], [True, False], [1, 2, 3], list(pd.date_range("2020-01-01", periods=3)),
        ["2020-01-01", "1999-12-31"], ["3.4.1", "1.0.2"], [None, None],
        [f"{DRAW.getrandbits(128):032x}-x" for _ in range(20)],
    ],
)  # fmt: skip
def test_what_is_not_personal(values) -> None:
    assert kinds(values) == {}


CARDS = [with_check("4" + digits(14)) for _ in range(40)]
ACCOUNTS = ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"] * 5
PHONES = [f"+49 170 {1000000 + at}" for at in range(40)]


def in_fours(values: list[str], between: str) -> list[object]:
    return [between.join(value[at : at + 4] for at in range(0, len(value), 4)) for value in values]


def moved(values: list[str], zero: int) -> list[object]:
    """The digits of another script."""
    return ["".join(chr(zero + int(sign)) if sign.isdigit() else sign for sign in value) for value in values]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        *((in_fours(CARDS, between), "card numbers") for between in "- ._\u00a0\u2009\u2011\u2013\u2212\u200b"),
        *((moved(CARDS, zero), "card numbers") for zero in (0xFF10, 0x660, 0x6F0, 0x966)),
        ([f'"{card}"' for card in CARDS], "card numbers"),
        ([f"card: {card}" for card in CARDS], "card numbers"),
        *((in_fours(ACCOUNTS, between), "IBANs") for between in (" ", "\u00a0", "\u202f", "-")),
        ([one.lower() for one in ACCOUNTS], "IBANs"),
        ([f"IBAN: {one}" for one in ACCOUNTS], "IBANs"),
        (["".join(chr(ord(sign) + 0xFEE0) for sign in one) for one in ACCOUNTS], "IBANs"),
        (moved(PHONES, 0xFF10), "telephone numbers"),
        ([one.replace(" ", "\u2011") for one in PHONES], "telephone numbers"),
        ([f"tel:{one.replace(' ', '-')}" for one in PHONES], "telephone numbers"),
        ([f"{one} ext. 12" for one in PHONES], "telephone numbers"),
        ([f"1-212-555-{one[-4:]}" for one in PHONES], "telephone numbers"),
        ([f"(212) 555-{one[-4:]}" for one in PHONES], "telephone numbers"),
        ([mail.replace("@", "%40") for mail in MAILS], "e-mail addresses"),
        ([mail.replace("@", "&#64;") for mail in MAILS], "e-mail addresses"),
        ([mail.replace("@", "\u200b@") for mail in MAILS], "e-mail addresses"),
    ],
)
def test_values_in_writings_that_mean_the_same(values: list[object], kind: str) -> None:
    assert kind in kinds(values)


def keyed(value: str) -> str:
    return hmac.new(b"a key that is not in the data", value.encode(), "sha256").hexdigest()


@pytest.mark.parametrize(
    ("values", "hashed"),
    [
        ([keyed(mail) for mail in MAILS], True),
        ([keyed(mail).upper() for mail in MAILS], True),
        ([keyed(mail)[:32] for mail in MAILS], True),
        ([base64.b64encode(bytes.fromhex(keyed(mail))).decode() for mail in MAILS], True),
        ([bytes.fromhex(keyed(mail)) for mail in MAILS], True),
        ([keyed(mail) for mail in MAILS] + [None], True),
        ([keyed(mail)[:31] for mail in MAILS], False),
        ([keyed(mail) for mail in MAILS[:-1]] + ["bob"], False),
        ([keyed(mail) for mail in MAILS[:-1]] + [keyed("a")[:40]], False),
        ([keyed(mail)[:-1] + "z!" for mail in MAILS], False),
        ([None, None], False),
        ([base64.urlsafe_b64encode(bytes.fromhex(keyed(mail))).decode().rstrip("=") for mail in MAILS], True),
        ([base64.b64encode(keyed(mail).encode()).decode() for mail in MAILS], True),
        ([keyed(mail).upper() if at % 2 else keyed(mail) for at, mail in enumerate(MAILS)], True),
        ([str(uuid.UUID(keyed(mail)[:32], version=4)) for mail in MAILS], True),
        (["\\x" + keyed(mail) for mail in MAILS], True),
        ([digits(32) for _ in MAILS], False),
        ([f"{at:064x}" for at in range(300)], False),
        ([bytes(sign ^ 0x55 for sign in mail.ljust(32).encode()).hex() for mail in MAILS], False),
        (["id-of-customer-number-" + keyed(mail)[:10] for mail in MAILS], False),
        ([keyed("one and the same")] * 300, True),
    ],
)
def test_what_is_hashed(values, hashed) -> None:
    assert seen(pd.DataFrame({"x": values})).columns["x"].hashed is hashed


@pytest.mark.parametrize(
    ("values", "writing"),
    [
        ([mail.ljust(24).encode().hex() for mail in MAILS], "hex"),
        ([base64.b64encode(mail.encode()).decode() for mail in MAILS], "base64"),
        ([base64.b64encode(mail.ljust(24, "x").encode()).decode() for mail in MAILS], "base64"),
        ([base64.urlsafe_b64encode(mail.encode()).decode().rstrip("=") for mail in MAILS], "base64"),
    ],
)
def test_text_in_another_writing_is_no_hash(values, writing) -> None:
    found = seen(pd.DataFrame({"x": values})).columns["x"]
    assert (found.encoded, found.hashed) == (writing, False)


@pytest.mark.parametrize(
    ("hash_of", "by"),
    [
        (lambda mail: hashlib.md5(mail.encode()).hexdigest(), "md5"),
        (lambda mail: hashlib.sha1(mail.encode()).hexdigest(), "sha1"),
        (lambda mail: hashlib.sha256(mail.encode()).hexdigest(), "sha256"),
        (lambda mail: hashlib.sha512(mail.encode()).hexdigest(), "sha512"),
        (lambda mail: hashlib.sha256(mail.upper().encode()).hexdigest(), "sha256"),
        (lambda mail: hashlib.sha256(mail.encode("utf-16-le")).hexdigest(), "sha256"),
        (lambda mail: hashlib.sha256(mail.encode()).hexdigest()[:40], "sha256"),
        (lambda mail: base64.b64encode(hashlib.sha256(mail.encode()).digest()).decode(), "sha256"),
        (lambda mail: hashlib.sha256(mail.encode()).digest(), "sha256"),
        (lambda mail: hashlib.blake2b(mail.encode(), digest_size=32).hexdigest(), "blake2b-256"),
        (lambda mail: str(uuid.UUID(hashlib.md5(mail.encode()).hexdigest())), "md5"),
        (lambda mail: hashlib.sha256(mail.encode()).hexdigest().upper(), "sha256"),
        (lambda mail: base64.urlsafe_b64encode(hashlib.sha256(mail.encode()).digest()).decode().rstrip("="), "sha256"),
        (lambda mail: hashlib.sha512(mail.encode()).hexdigest()[-64:], "sha512"),
        (lambda mail: hashlib.sha256(f"{mail}\n".encode()).hexdigest(), "sha256"),
        (lambda mail: hashlib.sha256(mail[::-1].encode()).hexdigest(), "sha256"),
        (lambda mail: hashlib.md5(hashlib.md5(mail.encode()).hexdigest().encode()).hexdigest(), "md5 of md5"),
        (lambda mail: hmac.new(b"", mail.encode(), "sha256").hexdigest(), "HMAC with an empty key"),
    ],
)
def test_a_hash_that_another_column_gives_away(hash_of, by) -> None:
    mails = MAILS[:100]
    frame = pd.DataFrame({"mail": mails, "h": [hash_of(mail) for mail in reversed(mails)], "n": range(100)})
    found = seen(frame).columns
    assert found["h"].plain_of == (("mail", by),)
    assert found["mail"].plain_of == ()


@pytest.mark.parametrize(
    ("hash_of", "by"),
    [
        (lambda salt, mail: hashlib.sha256(f"{salt}{mail}".encode()).hexdigest(), "sha256"),
        (lambda salt, mail: hashlib.md5(f"{mail}:{salt}".encode()).hexdigest(), "md5"),
        (lambda salt, mail: hmac.new(salt.encode(), mail.encode(), "sha256").hexdigest(), "HMAC"),
    ],
)
def test_a_salt_that_stands_beside_the_hash(hash_of, by) -> None:
    salts = [f"s{DRAW.getrandbits(32):x}" for _ in MAILS]
    hashes = [hash_of(salt, mail) for salt, mail in zip(salts, MAILS, strict=True)]
    found = seen(pd.DataFrame({"mail": MAILS, "salt": salts, "h": hashes})).columns["h"].plain_of
    assert [(set(columns.split(" and ")), how) for columns, how in found] == [({"mail", "salt"}, by)]


def test_hashes_of_numbers_as_they_are_written_elsewhere() -> None:
    numbers = list(range(1000, 1100))
    for written in (lambda one: f"{one}.0", lambda one: f"{one:010d}"):
        hashes = [hashlib.sha256(written(one).encode()).hexdigest() for one in numbers]
        assert seen(pd.DataFrame({"n": numbers, "h": hashes})).columns["h"].plain_of == (("n", "sha256"),)


def test_a_keyed_hash_is_given_away_by_nothing() -> None:
    frame = pd.DataFrame({"mail": MAILS, "h": [keyed(mail) for mail in MAILS]})
    assert seen(frame).columns["h"].plain_of == ()


def test_telephone_numbers_that_were_hashed_by_their_digits() -> None:
    phones = [f"+49 170 {1000000 + at}" for at in range(50)]
    frame = pd.DataFrame(
        {
            "p": phones,
            "h": [hashlib.sha256(one.replace("+", "").replace(" ", "").encode()).hexdigest() for one in phones],
        }
    )
    assert seen(frame).columns["h"].plain_of == (("p", "sha256"),)


def test_a_sample_is_said_and_always_the_same() -> None:
    frame = pd.DataFrame({"x": [f"value {at}" for at in range(5_000)] + MAILS * 5, "n": range(6_500)})
    first, second = seen(frame, 1_000), seen(frame, 1_000)
    assert first.rows == 6_500
    assert 700 < first.looked_at < 1_300
    assert first == second
    assert first.columns["x"].kinds[0][1] > 100
    whole = seen(frame)
    assert (whole.looked_at, whole.columns["x"].kinds) == (6_500, (("e-mail addresses", 1_500),))


def test_a_sample_takes_the_same_rows_of_each_column() -> None:
    mails = [f"p{at}@bank.example" for at in range(4_000)]
    frame = pd.DataFrame({"mail": mails, "h": [hashlib.sha256(one.encode()).hexdigest() for one in mails]})
    assert seen(frame, 400).columns["h"].plain_of == (("mail", "sha256"),)


@pytest.mark.slow
def test_files_say_the_same_as_frames(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"mail": MAILS, "h": [hashlib.sha256(one.encode()).hexdigest() for one in MAILS], "n": range(300)}
    )
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        with source_of(str(tmp_path / name)).open() as relation:
            assert look_at(relation, sample=None).columns == seen(frame).columns


def test_what_is_found_holds_no_value() -> None:
    frame = pd.DataFrame({"mail": MAILS, "h": [hashlib.md5(one.encode()).hexdigest() for one in MAILS]})
    said = json.dumps([one.as_dict() for one in seen(frame).columns.values()])
    assert "person" not in said
    assert not any(hashlib.md5(one.encode()).hexdigest() in said for one in MAILS)


def test_no_rows_and_too_many_columns() -> None:
    with raises_code(ConfigurationError, "data.empty"):
        seen(pd.DataFrame({"x": pd.Series([], dtype=str)}))
    with raises_code(ConfigurationError, "data.columns"):
        seen(pd.DataFrame({f"c{at}": [1] for at in range(MAX_COLUMNS + 1)}))
