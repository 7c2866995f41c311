"""What looks like ASCII and is none: named with its code point and what to type, before anything is judged."""

from pathlib import Path

import pytest

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.governance.policy import load_policy
from airflow_mlgov.lookalikes import why_no_argument, why_no_word
from tests.codes import raises_code

POLICY = """\
version: 1
models:
  m:
    gates:
      performance: {{label: {label}, score: s, roc_auc: {{min: {least}}}}}
    targets:
      production: {{alias: champion, requires: [performance]}}
"""


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("“approve”", 'U+201C), which quotes nothing: type "approve"'),
        ("‘approve’", "U+2018), which quotes nothing: type 'approve'"),
        ("\u0430pprove", "U+0430), which only looks like 'a': type approve"),
        ("\u22120.75", "U+2212), which only looks like '-': type -0.75"),
        ("\uff10.75", "U+FF10), which only looks like '0': type 0.75"),
        ("appr\u200bove", "U+200B), which nobody sees"),
        ("credit\u00a0card", "U+00A0), which nobody sees"),
    ],
)
def test_a_word_that_is_not_what_it_looks_like(tmp_path: Path, word: str, said: str) -> None:
    policy = tmp_path / "mlgov.yaml"
    policy.write_text(POLICY.format(label=word, least=0.75))
    with raises_code(ConfigurationError, "word.lookalike") as caught:
        load_policy(policy)
    assert f"{policy}:5: " in str(caught.value)
    assert said in str(caught.value)
    policy.write_text(POLICY.format(label=f'"{word}"', least=0.75))
    assert load_policy(policy).model("m").settings("performance")["label"] == word


@pytest.mark.parametrize("word", ["café", "größe", "O’Brien", "18–25", "β1", "Δ_score", "возраст", "年齢", "naïve"])
def test_words_of_other_languages_are_words(word: str) -> None:
    assert why_no_word(word) is None
    assert why_no_argument(word) is None


@pytest.mark.parametrize("file", ["suite.json", "suite.yaml"])
def test_a_suite_that_an_editor_has_quoted(run, tmp_path: Path, file: str) -> None:
    (tmp_path / file).write_text('{"name": "s”, "expectations": []}' if file == "suite.yaml" else '{"name": “s”}')
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    code, _, err = run("gate", "data", "--data", tmp_path / "t.csv", "--suite", tmp_path / file)
    assert code == 2
    assert "which quotes nothing: type" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["explain", "“bound.not_met”"],
            '“bound.not_met” begins with “ (U+201C), which quotes nothing in a shell: type "',
        ),
        (["replay", "—policy", "new.yaml"], "—policy holds — (U+2014), so it is no option: type --policy"),
        (["replay", "–-policy=new.yaml"], "so it is no option: type --policy=new.yaml"),
        (["replay", "--pol\u0456cy", "new.yaml"], "so it is no option: type --policy"),
    ],
)
def test_a_command_that_was_pasted(run, words: list[str], said: str) -> None:
    code, _, err = run(*words)
    assert code == 2
    assert "error [word.lookalike]" in err
    assert said in err


def test_text_in_quotes_says_what_it_likes(run) -> None:
    _, _, err = run("explain", "“she said” – few rows")
    assert "word.lookalike" not in err
