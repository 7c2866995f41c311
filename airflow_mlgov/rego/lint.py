"""What rules may say, so that a decision can be replayed and every engine reads it alike. Judged in the syntax tree,
before anything is evaluated, however it is written; what this grammar does not know is refused.

The list of what engines read differently is held against OPA itself: ``tests/conformance``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_mlgov.rego.patterns import why_not_alike

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
_BUILT_IN = frozenset((name,) for name in (*_PLAIN.split(), "print", "trace", "internal"))
UNLIKE = frozenset({"all", "any", "bits.lsh", "indexof_n", "json.marshal", "regex.is_valid"})
"""Of those, what was allowed once and is read differently: rules of the past may call them, new ones may not."""
_PATTERN_AT = {
    "regex.find_all_string_submatch_n": 0,
    "regex.find_n": 0,
    "regex.match": 0,
    "regex.replace": 1,
    "regex.split": 0,
}
"""Which argument of a built-in is a pattern."""
_KEYWORDS = frozenset({"contains", "every", "if", "in"})
_SCALARS = frozenset({"String", "RawString", "Number", "Bool", "Null"})
_COMPREHENSIONS = frozenset({"ArrayCompr", "SetCompr", "ObjectCompr"})
_EXPRESSIONS = (
    _SCALARS
    | _COMPREHENSIONS
    | {"Var", "Array", "Set", "Object", "Call", "UnaryExpr", "RefDot", "RefBrack"}
    | {"BinExpr", "BoolExpr", "ArithExpr", "AssignExpr", "Membership"}
)
_LITERALS = frozenset({"SomeVars", "SomeIn", "Expr", "NotExpr", "Every"})
_HEADS = frozenset({"Spec", "Default", "Compr", "Func", "Set"})
_MOST_PLACES = 8
MOST_NESTED = 12
"""Levels of brackets."""
_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|#[^\n]*|[\[\]{}]')
ALL_OF_IT = "*"
"""Instead of a field of the input: whichever."""
Path = tuple[str, ...]
Place = tuple[str, int]
"""A module and a line, 0 where it is no one line."""
Node = Mapping[str, Any]


@dataclass
class Module:
    """One module's syntax tree, with what is needed to tell what its names mean."""

    name: str
    tree: Node
    package: Path
    imports: dict[str, Path]
    functions: Collection[Path]
    """Of all modules that are loaded together."""
    uncertain: Collection[Path]
    """Rules of all modules that may have no value."""
    collections: Collection[Path]
    """Rules and functions of all modules that give collections."""
    lists: Collection[Path]
    """Names in this module that hold collections."""

    @property
    def rules(self) -> Sequence[Node]:
        """Its rules."""
        rules: Sequence[Node] = self.tree["ast"]["rules"]
        return rules

    def known(self, path: Path) -> bool:
        """Whether a call's name is a built-in that rules may call, or a function of theirs."""
        return ".".join(path) in ALLOWED or self.named(path) in self.functions

    def named(self, path: Path) -> Path:
        """What a name stands for: a path is never one below its own package, so that ``time.now_ns`` is the clock,
        whatever ``acme.time`` holds."""
        whole = self.whole(path)
        return self.local(path) if len(path) == 1 and whole == path else whole

    def whole(self, path: Path) -> Path:
        """A name with what is imported written out."""
        return (*self.imports[path[0]], *path[1:]) if path[0] in self.imports else path

    def local(self, path: Path) -> Path:
        """A name of this package's, written out."""
        return (*self.package, *path)

    def may_be_undefined(self, name: str) -> bool:
        """Whether a plain name stands for something that may have no value: an import, or a rule without default."""
        return name in self.imports or self.local((name,)) in self.uncertain


@dataclass
class Report:
    """What was found in the modules."""

    mistakes: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    """What they may not say -> where they do; empty if they may be evaluated."""
    counts_text: bool = False
    """Whether they may count the characters of a text, which engines do differently beyond U+FFFF."""

    @property
    def refused(self) -> list[str]:
        """One sentence for each mistake, with its places."""
        return [f"{_places(places)}: {text}" for text, places in self.mistakes.items()]


def look_at(trees: Sequence[Any], *, whole: bool = True) -> Report:
    """Judge modules that are loaded together.

    :param trees: syntax trees, as the engine gives them
    :param whole: also what engines read differently, not only what cannot be replayed
    """
    functions = {(*package_of(tree), *path) for tree in trees for path in _made(tree)}
    uncertain, collections = _uncertain(trees), _collections(trees)
    report = Report()
    said: dict[str, list[Place]] = {}
    for tree in trees:
        imports, wrong = _imports(tree)
        module = Module(
            str(tree["source"]["file"]),
            tree,
            package_of(tree),
            imports,
            functions,
            uncertain,
            collections,
            _lists(tree),
        )
        for text in (*wrong, *(_heads(tree) if whole else ())):
            said.setdefault(text, []).append((module.name, 0))
        for node in nodes(module.rules):
            for text in (*_calls(node, module), *(_differences(node, module) if whole else ())):
                said.setdefault(text, []).append((module.name, _line_of(node)))
            report.counts_text |= whole and "Call" in node and _counts_text(node["Call"], module)
    report.mistakes = {text: sorted(set(places)) for text, places in sorted(said.items())}
    return report


def _places(found: Sequence[Place]) -> str:
    places = [f"{name}:{line}" if line else name for name, line in found]
    return ", ".join(places[:_MOST_PLACES]) + (f" and {len(places) - _MOST_PLACES} more" * (len(places) > _MOST_PLACES))


def why_too_deep(text: str) -> str:
    """Why the text of a module is not parsed; empty if it may be. Each level of brackets doubles what the embedded
    engine's parser does."""
    depth = deepest = 0
    for token in _TOKENS.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token, 0)
        deepest = max(deepest, depth)
    if deepest <= MOST_NESTED:
        return ""
    return (
        f"brackets are nested {deepest} levels deep, and at most {MOST_NESTED} are parsed: give what is inside a name"
    )


def _imports(tree: Any) -> tuple[dict[str, Path], list[str]]:
    imports: dict[str, Path] = {}
    wrong: list[str] = []
    for item in tree["ast"]["imports"]:
        path = path_of(item["refr"])
        if not _is_import(path):
            wrong.append(f"the rules import {shown(path)}, which rules may not")
        elif path:
            imports[_named(tree, item) or path[-1]] = path
    return imports, wrong


def _calls(node: Node, module: Module) -> Iterator[str]:
    """What would make a decision depend on more than its input."""
    if "Call" in node:
        path, given = path_of(node["Call"]["fcn"]), len(node["Call"]["params"])
        if path is None:
            yield "the rules call a function whose name cannot be told before they are evaluated: write it with dots"
        elif not module.known(path):
            yield (
                f"the rules call {shown(path)}, which is neither a function of theirs nor one whose answer is in the "
                "input, so that a decision could be replayed"
            )
        elif path == ("walk",) and given != 2:
            yield "the rules call walk with one argument, which finds nothing here: write walk(x, [path, value])"
    for change in node.get("with_mods") or ():
        path = path_of(change["refr"])
        if path is None or path[0] != "input":
            yield f"the rules replace {shown(path)} by `with`, and may replace the input alone"
    if isinstance(node.get("Membership"), dict) and node["Membership"].get("key") is not None:
        yield "the rules ask whether a pair is `in` something, which is undefined for sets: write x[key] == value"
    if "NotExpr" in node and "Set" in node["NotExpr"]["expr"]:
        yield "the rules say `not {`, which is a set here and always true: write `not` before one expression"


def _differences(node: Node, module: Module) -> Iterator[str]:
    """What engines read differently, and what this grammar does not know."""
    literal, with_mods = node.get("literal"), node.get("with_mods")
    strange = {key for key in node if key[:1].isupper()} - _LITERALS - _EXPRESSIONS - _HEADS
    if strange:
        yield f"the rules hold what is not known here ({', '.join(sorted(strange))})"
    if literal is not None and not set(literal) <= _LITERALS:
        yield f"the rules hold a statement that is not known here ({', '.join(sorted(set(literal) - _LITERALS))})"
    if "NotExpr" in node:
        yield from _negation(node["NotExpr"]["expr"], module)
    if "Call" in node:
        yield from _argument(node["Call"])
    if any("Object" in inner for pattern in _patterns(node) for inner in nodes(pattern)):
        yield "the rules take an object apart by a pattern, which need not hold all of it in one engine: write x.key"
    if "UnaryExpr" in node:
        yield "the rules negate a value with `-`, which engines do differently: write 0 - x"
    if with_mods and literal is not None and "NotExpr" in literal:
        yield "the rules say `not … with`: give the expression a rule of its own, and negate that"


def _patterns(node: Node) -> Iterator[Any]:
    """What is matched, as against looked up: the sides of =, the left side of :=, what `some … in` and a function name,
    the second argument of walk, what stands in brackets."""
    if "AssignExpr" in node:
        made = node["AssignExpr"]
        yield from (made["lhs"], made["rhs"]) if made["op"] == "Eq" else (made["lhs"],)
    if "Call" in node and path_of(node["Call"]["fcn"]) == ("walk",):
        yield from node["Call"]["params"][1:]
    if "RefBrack" in node:
        yield node["RefBrack"]["index"]
    yield from (*node.get("args", ()), *_in(node))


def _negation(expression: Node, module: Module) -> Iterator[str]:
    """OPA looks a part of a negated expression up before it negates: where the part is undefined, ``not`` is too."""
    if not _is_negatable(expression, module):
        yield (
            "the rules negate an expression in which something may be undefined; `not` is then true in one engine and "
            "undefined in another: give each part a name in a line before (x := …), or negate a path alone, or path == "
            "value"
        )


def _is_negatable(expression: Node, module: Module) -> bool:
    [(kind, found)] = expression.items() if len(expression) == 1 else [("?", {})]
    if kind == "BoolExpr" and found["op"] == "Eq":
        sides = (found["lhs"], found["rhs"])
        return all(_is_path(side, module, of_call=False) or _is_certain(side, module) for side in sides)
    if kind in ("BoolExpr", "ArithExpr", "BinExpr"):
        return _is_certain(found["lhs"], module) and _is_certain(found["rhs"], module)
    if kind == "AssignExpr":
        return False
    if kind == "Call":
        return all(_is_certain(argument, module) for argument in found["params"])
    if kind == "Membership":
        return _is_certain(found["value"], module) and _is_certain(found["collection"], module)
    return _is_path(expression, module) or _is_certain(expression, module)


def _is_path(expression: Node, module: Module, *, of_call: bool = True) -> bool:
    """A name, or a path from one (or from what a call gives) whose brackets hold nothing that may be undefined."""
    while "RefDot" in expression or "RefBrack" in expression:
        [(kind, found)] = expression.items()
        if kind == "RefBrack" and not _is_certain(found["index"], module):
            return False
        expression = found["refr"]
    return "Var" in expression or (of_call and "Call" in expression and _is_negatable(expression, module))


def _is_certain(expression: Node, module: Module) -> bool:
    """Whether it has a value wherever it is reached."""
    [(kind, found)] = expression.items() if len(expression) == 1 else [("?", {})]
    if kind == "Var":
        return not module.may_be_undefined(str(found["value"]))
    if kind in ("Array", "Set"):
        return all(_is_certain(item, module) for item in found["items"])
    if kind == "Object":
        return all(_is_certain(item, module) for row in found["fields"] for item in row[1:])
    if kind == "Call":
        return path_of(found["fcn"]) in _NEVER_UNDEFINED and all(_is_certain(one, module) for one in found["params"])
    return kind in _SCALARS | _COMPREHENSIONS


_NEVER_UNDEFINED = frozenset({("count",), ("object", "get"), ("sprintf",), ("type_name",)})


def _argument(call: Node) -> Iterator[str]:
    """Formats and patterns stand in the rules themselves, so that they can be judged."""
    name = ".".join(path_of(call["fcn"]) or ())
    if name in UNLIKE:
        yield f"the rules call {name}, which engines answer differently"
    if name in _PATTERN_AT and len(call["params"]) > _PATTERN_AT[name]:
        pattern = _text(call["params"][_PATTERN_AT[name]])
        why = "it does not stand in the rules themselves" if pattern is None else why_not_alike(pattern)
        if why:
            yield f"the pattern of {name} may be read differently by engines: {why}"
    if name == "sprintf" and call["params"]:
        why = _why_not_formatted(_text(call["params"][0]))
        if why:
            yield f"the format of sprintf may be read differently by engines: {why}"


def _why_not_formatted(text: str | None) -> str:
    if text is None:
        return "it does not stand in the rules themselves"
    rest = text.replace("%%", "").split("%")[1:]
    return "" if all(part[:1] in ("v", "d", "s") for part in rest) else "write %v, %d, %s and %% alone"


def _text(expression: Node) -> str | None:
    for kind in ("String", "RawString"):
        if kind in expression:
            return str(expression[kind]["value"])
    return None


def _counts_text(call: Node, module: Module) -> bool:
    """Whether ``count`` is asked of what may be a text."""
    if path_of(call["fcn"]) != ("count",) or len(call["params"]) != 1:
        return False
    [asked] = call["params"]
    path = path_of(asked["Call"]["fcn"] if "Call" in asked else asked)
    known = path is not None and module.named(path) in module.collections
    return not (known or path in module.lists or _is_collection(asked))


def _is_collection(expression: Any) -> bool:
    return bool((_COMPREHENSIONS | {"Array", "Set", "Object", "BinExpr", "ArithExpr"}) & set(expression or ()))


def _collections(trees: Sequence[Any]) -> set[Path]:
    """The rules and functions that give a collection wherever they give something."""
    found: set[Path] = set()
    others: set[Path] = set()
    for tree in trees:
        for form, said, rule in _said(tree):
            path = path_of(said.get("refr", {}))
            if path is not None:
                values = [said, *rule.get("bodies", ())]
                given = [value["assign"]["value"] for value in values if value.get("assign")]
                surely = form == "Set" or (given and all(map(_is_collection, given)))
                (found if surely else others).add((*package_of(tree), *path))
    return found - others


def _lists(tree: Any) -> set[Path]:
    """The names that are given a collection wherever a module gives them something."""
    found: set[Path] = set()
    others: set[Path] = set()
    for node in nodes(tree["ast"]["rules"]):
        if "AssignExpr" in node and node["AssignExpr"]["op"] == "ColEq":
            made = node["AssignExpr"]
            for name in _names(made["lhs"]):
                (found if made["lhs"].keys() == {"Var"} and _is_collection(made["rhs"]) else others).add(name)
        for bound in (*node.get("args", ()), *_in(node)):
            others |= set(_names(bound))
        if "Every" in node:
            text: bytes = tree["source"]["contents"].encode()
            places = [node["Every"][key] for key in ("key", "value") if node["Every"].get(key)]
            others |= {(text[place["start"] : place["end"]].decode(),) for place in places}
    return found - others


def _in(node: Node) -> Iterator[Any]:
    some = node.get("SomeIn")
    return (some[key] for key in ("key", "value") if some.get(key)) if isinstance(some, dict) else iter(())


def _names(pattern: Any) -> Iterator[Path]:
    return ((str(node["Var"]["value"]),) for node in nodes(pattern) if "Var" in node)


def _said(tree: Any) -> Iterator[tuple[str, Node, Node]]:
    """Each rule's form (``Set``, ``Compr``, ``Func``, ``Default``), its head, and the whole of it."""
    for rule in tree["ast"]["rules"]:
        [(kind, found)] = rule.items()
        head = found["head"] if kind == "Spec" else {kind: {**found, "assign": {"value": found.get("value")}}}
        [(form, said)] = head.items()
        yield form, said, found


def _heads(tree: Any) -> Iterator[str]:
    """Heads that engines make different documents of."""
    for form, said, _ in _said(tree):
        name = said.get("refr", {})
        plain = "Var" in name or (form == "Compr" and "Var" in name.get("RefBrack", {}).get("refr", ()))
        if form not in ("Set", "Compr", "Func", "Default"):
            yield f"the rules hold something that is not known here ({form})"
        elif not plain:
            yield f"a rule has a path for a name ({shown(path_of(name))}): give it a plain one"
        elif form == "Func" and not said.get("args"):
            yield f"the function {shown(path_of(name))} takes nothing, and OPA knows no such function: make it a rule"
        elif form == "Func" and path_of(name) in _BUILT_IN:
            yield f"the function {shown(path_of(name))} is called like a built-in one: call it otherwise"


def _is_import(path: Path | None) -> bool:
    if path is None:
        return False
    if path[:2] == ("future", "keywords"):
        return len(path) == 2 or (len(path) == 3 and path[2] in _KEYWORDS)
    return path == ("rego", "v1") or path[0] in ("data", "input")


def _named(tree: Any, item: Any) -> str:
    """An import's other name, which the syntax tree tells by where it stands in the text."""
    place = item.get("as")
    text: bytes = tree["source"]["contents"].encode()
    return text[place["start"] : place["end"]].decode() if place else ""


def package_of(tree: Any) -> Path:
    """``data`` and the parts of a module's package."""
    return ("data", *(path_of(tree["ast"]["package"]["refr"]) or ("?",)))


def _made(tree: Any) -> Iterator[Path]:
    """The functions that a module makes."""
    for form, said, _ in _said(tree):
        path = path_of(said["refr"]) if form == "Func" else None
        if path is not None:
            yield path


def _uncertain(trees: Sequence[Any]) -> set[Path]:
    """Rules that may have no value: those that are no sets, have no default, and are not facts."""
    found: set[Path] = set()
    certain: set[Path] = set()
    for tree in trees:
        for form, said, rule in _said(tree):
            path = path_of(said.get("refr", {}))
            if path is not None and form != "Set":
                is_fact = not rule.get("bodies") and is_plain((said.get("assign") or {}).get("value"))
                (certain if form == "Default" or is_fact else found).add((*package_of(tree), *path))
    return found - certain


def is_plain(expression: Any) -> bool:
    """Whether it is a value that looks nothing up."""
    [(kind, found)] = expression.items() if isinstance(expression, dict) and len(expression) == 1 else [("?", {})]
    if kind in ("Array", "Set"):
        return all(is_plain(item) for item in found["items"])
    if kind == "Object":
        return all(is_plain(item) for row in found["fields"] for item in row[1:])
    return kind in _SCALARS


def path_of(reference: Any) -> Path | None:
    """The parts of a reference's name, with dots or brackets; None where one of them is no plain text."""
    if "Var" in reference:
        return (str(reference["Var"]["value"]),)
    for kind in ("RefDot", "RefBrack"):
        if kind in reference:
            before = path_of(reference[kind]["refr"])
            if kind == "RefDot":
                part = str(reference[kind]["field"][1])
            else:
                index = reference[kind]["index"]
                if "String" not in index:
                    return None
                part = str(index["String"]["value"])
            return None if before is None else (*before, part)
    return None


def shown(path: Path | None) -> str:
    """A name as it is written."""
    return "?" if path is None else ".".join(path)


def _line_of(node: Node) -> int:
    """The line of a node, 0 if it does not say."""
    for found in (node, *(value for value in node.values() if isinstance(value, dict))):
        if isinstance(found.get("span"), dict):
            return int(found["span"]["line"])
    return 0


def nodes(tree: Any) -> Iterator[Node]:
    """Every object in a syntax tree; nothing is called by itself, for a tree may be deep."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
