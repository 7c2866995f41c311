"""Every code block of the documentation: parsed as what it says it is, its ``mlgov`` commands by the command line."""

import ast
import configparser
import json
import re
import shlex

import pytest
import yaml

from airflow_mlgov.reference.commands import commands
from tests.worlds.pages import PAGES, ROOT, Block, blocks

COMMANDS = commands()
BLOCKS = [block for page in PAGES for block in blocks(page)]
_COMMAND = re.compile(r"\s*(?:(?:do|then|airflow|\w+\(\) \{|[A-Z_]+=\S+) )*mlgov (?=[a-z-])(.*)")
LANGUAGES = {"", "bash", "dockerfile", "ini", "json", "python", "rego", "sql", "text", "toml", "yaml"}


def of(*languages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [one for one in BLOCKS if one.language in languages], ids=str)


def test_each_says_what_it_is() -> None:
    assert len(BLOCKS) > 30
    assert {block.language for block in BLOCKS} <= LANGUAGES


@of("python")
def test_python_is_python(block: Block) -> None:
    ast.parse(re.sub(r", (…|\.\.\.)(?=\))", "", block.text))


@of("yaml")
def test_yaml_is_yaml(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text))


def test_json_is_json() -> None:
    for block in BLOCKS:
        assert block.language != "json" or json.loads(block.text), block


@of("ini")
def test_what_airflow_reads_is_read(block: Block) -> None:
    parser = configparser.ConfigParser(inline_comment_prefixes=(";", "#"), interpolation=None)
    parser.read_string(block.text)
    assert parser.sections()


@of("bash")
def test_each_command_is_one_with_options_that_it_has(block: Block) -> None:
    for line in block.commands():
        found = _COMMAND.match(line)
        if not found:
            continue
        words = _words(found[1])
        named = next((" ".join(words[:size]) for size in (3, 2, 1) if " ".join(words[:size]) in COMMANDS), None)
        assert named, f"{block}: no command: mlgov {' '.join(words[:2])}"
        known = {option for item in COMMANDS[named].params for option in (*item.opts, *item.secondary_opts)}
        given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
        assert given <= known | {"--help", "--debug"}, f"{block}: mlgov {named}"


def _words(text: str) -> list[str]:
    text = text.replace("…", "...")
    try:
        return shlex.split(text)
    except ValueError:  # of a string that goes on in the next line
        return text.split()


def test_the_codes_that_pages_name_are_codes() -> None:
    """Of troubleshooting: a code that is none would be looked for in vain."""
    from airflow_mlgov.error_codes import MEANINGS
    from airflow_mlgov.governance.reasons import reasons

    known = {*MEANINGS, *reasons()}
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    named = {code for row in rows for code in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}
    assert len(named) > 5
    assert named <= known, named - known
