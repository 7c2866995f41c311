"""Small modules drawn at random, out of what rules are made of: names that may be undefined, numbers of both kinds,
texts, collections, negation, loops, functions, defaults."""

from __future__ import annotations

import re
from random import Random
from typing import Any

DOCUMENT: dict[str, Any] = {
    "a": 1,
    "b": 2.5,
    "c": -3,
    "s": "text",
    "u": "é",
    "n": None,
    "t": True,
    "f": False,
    "l": [3, 1, 2],
    "e": [],
    "w": ["a", "b", "text"],
    "o": {"k": 1, "m": [1, {"z": None}], "s": "a"},
    "rows": [{"id": 1, "v": 0.5, "tags": ["x"]}, {"id": 2, "tags": []}, {"id": 3, "v": 2, "ok": True}],
}


def _words(text: str) -> list[str]:
    """Templates between spaces; ~ is a space inside of one."""
    return [word.replace("~", " ") for word in text.split()]


_PATHS = _words("""
a b c s u n t f l e w o rows nope o.k o.m o.nope l[0] rows[0].v rows[1].v rows[2].ok o.m[1].z l[7] w[1] o.s rows[1].tags
""")
_BEGIN = """package a
f(p) := p.k if is_object(p)
f(p) := p if not is_object(p)
g(p, q) if p == q
"""
# <N> a number, <T> a text, <L> a collection, <O> an object, <A> anything, <B> what is true or not, <C> a scalar,
# <P> a path, <S> a statement, <+> a new name; first what ends, then what goes on
_GRAMMAR: dict[str, tuple[list[str], list[str]]] = {
    "A": (_words("<C> <P> <P>"), _words("<C> <P> <P> <N> <T> <L> <O> f(<A>)")),
    "C": (_words('0 1 2 -1 2.5 0.5 "a" "text" "" true false null "é" `x`'), []),
    "N": (
        _words("0 1 2 7 <P> <P>"),
        _words("""
        count(<L>) (<N>+<N>) (<N>-<N>) (<N>*<N>) (<N>/<N>) (<N>%<N>) sum(<L>) max(<L>) min(<L>) abs(<N>) round(<N>)
        ceil(<N>) floor(<N>) product(<L>) indexof(<T>,<T>) to_number(<A>) count(<T>) bits.and(<N>,<N>)
        time.parse_rfc3339_ns("2026-11-30T07:00:00.5Z") time.parse_duration_ns("1h3m") semver.compare("1.2.0","1.10.0")
        """),
    ),
    "T": (
        _words('"a" "text" "" "a,b" input.s input.u input.w[0] "aéb"'),
        _words("""
        sprintf("%v-%s-%d",[<A>,<T>,<N>]) sprintf("%v",[<A>]) concat(<T>,<L>) lower(<T>) upper(<T>) replace(<T>,<T>,<T>)
        substring(<T>,<N>,<N>) substring(<T>,0,-1) substring(<T>,1,2) trim(<T>,<T>) trim_left(<T>,<T>)
        trim_right(<T>,<T>) trim_prefix(<T>,<T>) trim_suffix(<T>,<T>) trim_space(<T>) type_name(<A>) format_int(<N>,10)
        format_int(<N>,2) strings.reverse(<T>) base64.encode(<T>) hex.encode(<T>) crypto.sha256(<T>)
        base64url.encode(<T>) base64.decode(base64.encode(<T>)) regex.replace(<T>,"a",<T>)
        regex.replace(<T>,"[a-c]+","<$0>") regex.replace(<T>,"x*","-")
        """),
    ),
    "L": (
        _words('input.l input.w input.e input.rows input.o [1,2] {"a",1} <P>'),
        _words("""
        [<A>,<A>] {<A>,<A>} [<A>|<S>] {<A>|<S>} {<T>:<A>|<S>} array.concat(<L>,<L>) array.slice(<L>,0,1)
        array.slice(<L>,1,9) sort(<L>) split(<T>,<T>) (<L>|<L>) (<L>&<L>) (<L>-<L>) object.keys(<O>) numbers.range(1,3)
        numbers.range(3,1) numbers.range(<N>,2) regex.find_n(`[a-z]`,<T>,-1) regex.find_n(`x*`,<T>,2)
        regex.split(",",<T>) regex.split("t",<T>) regex.find_all_string_submatch_n(`(a)|(b)`,<T>,-1) array.reverse(<L>)
        union({<L>,<L>}) intersection({<L>,<L>}) json.unmarshal(`[1,{"a":2.5}]`) indexof_n(<T>,<T>)
        """),
    ),
    "O": (
        _words('{} input.o {"k":1}'),
        _words("""
        {"k":<A>,"id":<A>} object.get(input,"o",{}) object.get(input,"nope",{}) object.get(input,["o","m"],{})
        object.get(input,["o","x"],{}) object.remove(<O>,["k"]) object.filter(<O>,["k","s"]) object.union(<O>,<O>)
        json.remove(<O>,["m/1"]) json.filter(<O>,["k","m/0"]) object.union_n([<O>,<O>])
        """),
    ),
    "B": (
        _words("<P> <P>==<C> <C>==<P>"),
        _words("""
        <A>~<~<A> <A>~<=~<A> <A>~>~<A> <A>~>=~<A> <A>~!=~<A> <A>~==~<A> <A>~in~<L> g(<A>,<A>) startswith(<T>,<T>)
        endswith(<T>,<T>) contains(<T>,<T>) is_number(<A>) is_string(<A>) is_null(<A>) is_object(<A>)
        regex.match(`^[a-z]+$`,<T>) regex.match(`x|t`,<T>) regex.match(`(?i)TEXT`,<T>) regex.match(`^[^a]$`,<T>)
        object.subset(<O>,<O>) strings.any_prefix_match(<T>,<L>) json.is_valid(<T>) semver.is_valid(<T>)
        base64.is_valid(<T>)
        """),
    ),
    "S": (
        _words("<B> some~<+>~in~<L> not~<P>"),
        _words("""
        <+>~:=~<A> <+>~:=~<A> some~<+>~in~<L> some~<+>,~<+>~in~<L> <B> <B> <B> not~<B> not~<P> not~<P>~==~<C>
        not~is_number(<C>) walk(<P>,~[_,~<+>]) every
        <B>~with~input.a~as~<C> <P>~=~<C> <+>~=~<P>
        """),
    ),
}
_SLOT = re.compile(r"<([A-Z+])>")


class Module:
    """One module, drawn.

    :param random: where chance comes from
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.rules: list[str] = []
        """Their names, in order."""
        self.names: list[str] = []
        """What is known where the next word is drawn."""
        self.new: list[str] = []
        self.number = 0
        self.text = _BEGIN
        for at in range(random.randint(1, 4)):
            self.text += self._rule(f"r{at}") + "\n"

    def _rule(self, name: str) -> str:
        self.names = []
        body = "{ " + "; ".join(self._slot("S", 2) for _ in range(self.random.randint(1, 4))) + " }"
        value = self._expand("<A>", 2)
        forms = [f"{name} contains {value} if {body}"] * 2 + [f"{name} := {value} if {body}"] * 2
        forms.append(f"{name}[{self._expand('<T>', 1)}] := {value} if {body}")
        forms.append(f"default {name} := {self._expand('<C>', 0)}\n{name} := {value} if {body}")
        forms.append(f"{name} := {value} if {body} else := {self._expand('<C>', 0)}")
        self.rules.append(name)
        return self.random.choice(forms)

    def _expand(self, template: str, depth: int) -> str:
        parts = _SLOT.split(template)
        made = [part if at % 2 == 0 else self._slot(part, depth) for at, part in enumerate(parts)]
        return "".join(made)

    def _slot(self, slot: str, depth: int) -> str:
        if slot == "+":
            self.number += 1
            self.new.append(f"v{self.number}")
            return self.new[-1]
        if slot == "P":
            return self._path()
        few, many = _GRAMMAR[slot]
        template = self.random.choice(many if depth > 0 and many else few)
        if slot == "S":
            return self._statement(template, depth)
        if "<S>" not in template:
            return self._expand(template, depth - 1)
        kept = list(self.names)  # a comprehension: what it names is its own, and known before the value is drawn
        begin, rest = template[0], template[1:-1]
        value = rest.rpartition("|")[0]
        inner = self._slot("S", depth - 1)
        text = f"{begin}{self._expand(value, depth - 1)} | {inner}{template[-1]}"
        self.names = kept
        return text

    def _statement(self, template: str, depth: int) -> str:
        """One statement; what it names is known behind it."""
        kept, self.new = self.new, []
        if template.startswith("every"):
            where, name = self._slot("L", depth - 1), self._slot("+", 0)
            text = f"every {name} in {where} {{ {name} {self.random.choice(['==', '!=', '<'])} {self._slot('A', 1)} }}"
        else:
            text = self._expand(template, depth - 1)
            self.names += self.new
        self.new = kept
        return text

    def _path(self) -> str:
        chance = self.random.random()
        if self.names and chance < 0.4:
            name = self.random.choice(self.names)
            return self.random.choice([name, name, f"{name}.id", f"{name}.v", f"{name}[0]", f"{name}.k"])
        if len(self.rules) > 0 and chance < 0.6:
            name = self.random.choice(self.rules)
            return self.random.choice([name, name, f"{name}.a", f"data.a.{name}", f"{name}[_]"])
        return "input." + self.random.choice(_PATHS)
