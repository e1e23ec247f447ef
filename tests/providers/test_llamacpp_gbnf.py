"""Grammars of clients' own: what would hold the engine up is refused, what people write is not."""

import pytest

from tests.providers.test_llamacpp import completion, sent
from weebill.providers.base import Target
from weebill.providers.llamacpp.relay import LLAMACPP_RELAY
from weebill.wire.errors import ApiError

LADDER = "".join(f"x{n} ::= x{n + 1} x{n + 1} | x{n + 1}\n" for n in range(24))
COSTLY = {
    "empty parts, repeated": ('root ::= ("a"?){1000}', "ways"),
    "empty parts, in a row": ('root ::= "c" ' + "x " * 100 + '"b"\nx ::= "a"?', "ways"),
    "empty parts, in repeats": ('root ::= (("a"?){20} "a"){30}', "ways"),
    "empty alternatives": ('root ::= (x x x x x x x x){200} "b"\nx ::= "a"? | "a"? "a"? | "a"', "ways"),
    "a ladder": (f'root ::= x0\n{LADDER}x24 ::= "a" | ""', "ways"),
    "a ladder without empty parts": (f'root ::= x0\n{LADDER}x24 ::= "a"', "ways"),
    "repeats": ("root ::= " + '("a"|"b"){0,2000} ' * 100, "parts"),
    "repeats of repeats": ('root ::= (("a"{1000}){1000})', "parts"),
    "repeats, doubled": ('root ::= "a"{1000}{1000}', "parts"),
    "a repeat": ('root ::= "a"{1000000000}', "parts"),
    "at least": ('root ::= "a"{99999999999,}', "parts"),
    "left recursion": ('root ::= root "a" | "b"', "begins with itself"),
    "mutual": ('root ::= a\na ::= b "x"\nb ::= a "y" | "z"', "begins with itself"),
    "hidden": ('root ::= x root "c" | "b"\nx ::= "a"?', "begins with itself"),
    "by a group": ('root ::= ("a"? root)* "c"', "begins with itself"),
    "ends in itself": ('root ::= "x" ("," root)*', "ends in repeats"),
    "ends in itself, more or less": ('root ::= a a\na ::= ("x" | "x" a "y"?)+ " "?', "ends in repeats"),
    "ends in itself, by others": ('root ::= "x" b{0,9}\nb ::= "y" c\nc ::= "z" root | "z"', "ends in repeats"),
    "rules": ("root ::= r0\n" + "".join(f'r{n} ::= "a"\n' for n in range(501)), "rules"),
    "groups": ("root ::= " + '("a")' * 501, "rules"),
    "depth": ("root ::= " + "(" * 100 + '"a"' + ")" * 100, "nested"),
    "another notation": ('%llguidance {}\nstart: %json {"minItems": 1000000000}', "GBNF"),
    "another notation, behind space": ('\n %llguidance {}\nstart: "a"', "GBNF"),
    "no rule": ('root ::= "a" other', "other"),
    "no root": ('start ::= "a"', "root"),
    "nothing": ("x", "begins with no rule"),
    "open": ('root ::= ("a"', "not closed"),
    "closed": ('root ::= "a")', "closes nothing"),
    "unreadable": ("root ::= ^", "character"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_costly_grammar_is_refused(name: str) -> None:
    grammar, what = COSTLY[name]
    with pytest.raises(ApiError) as caught:
        sent(grammar=grammar)
    assert (caught.value.status, caught.value.detail.param) == (400, "grammar")
    assert what in caught.value.detail.message
    with pytest.raises(ApiError):
        LLAMACPP_RELAY.encode(completion(grammar=grammar), Target(model="m"))


JSON = r"""
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws # escapes
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""
ARITHMETIC = """
root  ::= (expr "=" ws term "\\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \\t\\n]*
"""
NESTED = """
root ::= list
list ::= item ("\\n" list)?
item ::= "- " [a-z]+ ("(" list ")")* ("." | group)*
group ::= "{" (item ",")* "}"
"""
LIST = 'root ::= item+\nitem ::= "- " [^\\r\\n]{1,200} "\\n"'
CHOICE = "root ::= " + " | ".join(f'"{word}"' for word in (*("yes", "no", "maybe"), *map(str, range(200))))


@pytest.mark.parametrize("grammar", [JSON, ARITHMETIC, NESTED, LIST, CHOICE, 'root ::= "a"', 'root ::= .{1,1000} "."'])
def test_what_people_write_goes_along(grammar: str) -> None:
    assert sent(grammar=grammar)["grammar"] == grammar
