"""No character of a password is shown, signed or compared, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_mlgov.addresses import one_spelling
from airflow_mlgov.data.files import opened, public_name
from airflow_mlgov.errors import MlgovError
from airflow_mlgov.urls import place_of, shown_server

SHOWING = (shown_server, place_of, one_spelling, public_name)
NOT_SHOWN = st.text(alphabet="QXZ/?#@:+%", min_size=12, max_size=40).filter(lambda text: any(c in text for c in "QXZ"))


@given(secret=NOT_SHOWN, scheme=st.sampled_from(["s3", "gs", "https", "ftp", "abfs", "postgresql"]))
def test_no_part_of_a_password_is_shown_whatever_characters_it_has(secret: str, scheme: str) -> None:
    for shown in SHOWING:
        said = shown(f"{scheme}://name:{secret}@place/rows.csv")
        assert said == f"{scheme}://place/rows.csv", shown


@pytest.mark.parametrize("secret", ["1/QX", "12345/QXZ/QXZ", "0?QX"])
def test_a_password_that_begins_as_a_port_is_none_where_a_bucket_has_no_port(secret: str) -> None:
    for shown in SHOWING:
        assert shown(f"s3://name:{secret}@place/rows.csv") == "s3://place/rows.csv", shown


@pytest.mark.parametrize(
    ("shown", "address", "said"),
    [
        (public_name, "s3://lake@bucket/a@b/rows.csv", "s3://bucket/a@b/rows.csv"),
        (public_name, "https://host:8443/a@b/rows.csv?sig=x@y", "https://host:8443/a@b/rows.csv"),
        (public_name, "https://[::1]:8443/a@b/rows.csv", "https://[::1]:8443/a@b/rows.csv"),
        (place_of, "abfss://container@account/path/", "abfss://container@account/path"),
        (place_of, "S3://bucket/key?versionId=3", "s3://bucket/key?versionId=3"),
        (place_of, "models:/risk@champion", "models:/risk@champion"),
        (shown_server, "http://tok/en@host:5000/mlflow/?user=a@b", "http://host:5000/mlflow"),
        (shown_server, "http://ann@bank.example:QX?Z@[::1]:5000/mlflow", "http://[::1]:5000/mlflow"),
        (one_spelling, "http://u@Host:80/ml/?user=a@b", "http://host/ml"),
    ],
)
def test_what_is_no_password_stays(shown: Callable[[str], str], address: str, said: str) -> None:
    assert shown(address) == said


@pytest.mark.parametrize(
    "url", ["ftp://name:QX/Z@host/rows.csv", "sftp://name:QX/Z@host/rows.csv", "http://n:QX[Z@h/r"]
)
def test_a_url_that_cannot_be_read_is_refused_without_a_word_of_its_password(url: str, tmp_path: Path) -> None:
    with pytest.raises(MlgovError) as refused, opened(url):
        pass
    assert "QX" not in str(refused.value)
