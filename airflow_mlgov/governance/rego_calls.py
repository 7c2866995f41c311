"""What rules may call: functions of their own, and built-ins whose answer depends on what they are given and is the
same in every engine. Judged in the syntax tree, before anything is evaluated; what cannot be told there is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

_DOTTED = {
    "array": "concat reverse slice",
    "base64": "decode encode is_valid",
    "base64url": "decode encode encode_no_pad",
    "bits": "and lsh negate or rsh xor",
    "crypto": "sha256",
    "graph": "reachable reachable_paths",
    "hex": "decode encode",
    "json": "filter is_valid marshal patch remove unmarshal",
    "numbers": "range range_step",
    "object": "filter get keys remove subset union union_n",
    "regex": "find_all_string_submatch_n find_n is_valid match replace split",
    "semver": "compare is_valid",
    "strings": "any_prefix_match any_suffix_match reverse",
    "time": "add_date parse_duration_ns parse_rfc3339_ns",
}
_PLAIN = """
abs all any ceil concat contains count endswith floor format_int indexof indexof_n intersection is_array is_boolean
is_null is_number is_object is_set is_string lower max min product replace round sort split sprintf startswith substring
sum to_number trim trim_left trim_prefix trim_right trim_space trim_suffix type_name union upper walk
"""
ALLOWED = frozenset(_PLAIN.split()) | {f"{room}.{name}" for room, names in _DOTTED.items() for name in names.split()}
"""Built-in functions that rules may call. Not here: what asks the clock, chance, the machine or the network, and what
the embedded engine answers otherwise than OPA without saying so."""

_KEYWORDS = frozenset({"contains", "every", "if", "in"})
Path = tuple[str, ...]


def refusals(modules: Sequence[Any]) -> list[str]:
    """Why rules are not evaluated, one sentence each; none where all that they call is known.

    :param modules: syntax trees, as the engine gives them
    """
    functions = {(*package, *path) for module in modules for package in [_package(module)] for path in _made(module)}
    found: list[str] = []
    for module in modules:
        tree, imports = module["ast"], {}
        for item in tree["imports"]:
            path = _path(item["refr"])
            if not _is_import(path):
                found.append(f"the rules import {_shown(path)}, which rules may not")
            elif path:
                imports[_named(module, item) or path[-1]] = path
        for node in _nodes(tree["rules"]):
            found += _of_node(node, _package(module), imports, functions)
    return sorted(set(found))


def _of_node(
    node: Mapping[str, Any], package: Path, imports: Mapping[str, Path], functions: Collection[Path]
) -> Iterator[str]:
    if "Call" in node:
        path, given = _path(node["Call"]["fcn"]), len(node["Call"]["params"])
        if path is None:
            yield "the rules call a function whose name cannot be told before they are evaluated: write it with dots"
        elif not _is_known(path, package, imports, functions):
            yield (
                f"the rules call {_shown(path)}, which is neither a function of theirs nor one whose answer is in the "
                "input, so that a decision could be replayed"
            )
        elif path == ("walk",) and given != 2:
            yield "the rules call walk with one argument, which finds nothing here: write walk(x, [path, value])"
    if "with_mods" in node:
        for change in node["with_mods"] or ():
            path = _path(change["refr"])
            if path is None or path[0] != "input":
                yield f"the rules replace {_shown(path)} by `with`, and may replace the input alone"
    if isinstance(node.get("Membership"), dict) and node["Membership"].get("key") is not None:
        yield "the rules ask whether a pair is `in` something, which is undefined for sets: write x[key] == value"
    if "NotExpr" in node and "Set" in node["NotExpr"]["expr"]:
        yield "the rules say `not {`, which is a set here and always true: write `not` before one expression"


def _is_known(path: Path, package: Path, imports: Mapping[str, Path], functions: Collection[Path]) -> bool:
    whole = (*imports[path[0]], *path[1:]) if path[0] in imports else path
    return ".".join(path) in ALLOWED or whole in functions or (*package, *path) in functions


def _is_import(path: Path | None) -> bool:
    if path is None:
        return False
    if path[:2] == ("future", "keywords"):
        return len(path) == 2 or (len(path) == 3 and path[2] in _KEYWORDS)
    return path == ("rego", "v1") or path[0] in ("data", "input")


def _named(module: Any, item: Any) -> str:
    """An import's other name, which the syntax tree tells by where it stands in the text."""
    place = item.get("as")
    text: bytes = module["source"]["contents"].encode()
    return text[place["start"] : place["end"]].decode() if place else ""


def _package(module: Any) -> Path:
    return ("data", *(_path(module["ast"]["package"]["refr"]) or ("?",)))


def _made(module: Any) -> Iterator[Path]:
    """The functions that a module makes."""
    for rule in module["ast"]["rules"]:
        head = rule.get("Spec", {}).get("head", {})
        path = _path(head["Func"]["refr"]) if "Func" in head else None
        if path is not None:
            yield path


def _path(reference: Any) -> Path | None:
    """The parts of a reference's name, with dots or brackets; None where one of them is no plain text."""
    if "Var" in reference:
        return (str(reference["Var"]["value"]),)
    for kind in ("RefDot", "RefBrack"):
        if kind in reference:
            before = _path(reference[kind]["refr"])
            if kind == "RefDot":
                part = str(reference[kind]["field"][1])
            else:
                index = reference[kind]["index"]
                if "String" not in index:
                    return None
                part = str(index["String"]["value"])
            return None if before is None else (*before, part)
    return None


def _shown(path: Path | None) -> str:
    return "?" if path is None else ".".join(path)


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every object in a syntax tree; nothing is called by itself, for a tree may be deep."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
