"""What a hostile client sends: too many, too deep, too long, and what engines and their schemas break of.

Each is a path and a body; those of `AT_THE_LIMITS` are as large as a worker takes them, and work.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

CHAT: Final = "/v1/chat/completions"
MESSAGES: Final = "/v1/messages"
RESPONSES: Final = "/v1/responses"
GEMINI: Final = "/v1beta/models/{model}:generateContent"
COMPLETIONS: Final = "/v1/completions"
EMBEDDINGS: Final = "/v1/embeddings"
COUNT: Final = "/v1/messages/count_tokens"

HI: Final = {"role": "user", "content": "Hi"}


@dataclass(frozen=True)
class Hostile:
    """One request; `{model}` in its path and `MODEL` in its body stand for a model's name."""

    name: str
    path: str
    body: Callable[[], bytes]
    coding: str = ""

    def made(self, model: str) -> tuple[str, bytes]:
        body = self.body()
        return self.path.replace("{model}", model), body if self.coding else body.replace(b"MODEL", model.encode())


def listed(item: Callable[[int], str] | str, count: int) -> str:
    return ",".join([item] * count if isinstance(item, str) else map(item, range(count)))


def chat(more: str, messages: str = json.dumps(HI)) -> bytes:
    return f'{{"model":"MODEL","max_tokens":8,"messages":[{messages}]{more and ","}{more}}}'.encode()


def gemini(contents: str, more: str = "") -> bytes:
    return f'{{"contents":[{contents}]{more and ","}{more}}}'.encode()


def responses(items: str, more: str = "") -> bytes:
    return f'{{"model":"MODEL","store":false,"input":[{items}]{more and ","}{more}}}'.encode()


def schema_chat(schema: str) -> bytes:
    return chat('"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":' + schema + "}}")


def tool_chat(parameters: str) -> bytes:
    return chat('"tools":[{"type":"function","function":{"name":"f","parameters":' + parameters + "}}]")


def deep(opening: str, closing: str, count: int, inner: str = "1") -> str:
    return opening * count + inner + closing * count


TURN: Final = json.dumps(HI)
CALLS: Final = (
    '{{"role":"assistant","tool_calls":[{{"id":"c{0}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},'
    '{{"role":"tool","tool_call_id":"c{0}","content":"r"}}'
)
CALL: Final = '{{"id":"c{0}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}'
RESULT: Final = '{{"role":"tool","tool_call_id":"c{0}","content":"r"}}'
USES: Final = (
    '{{"role":"assistant","content":[{{"type":"tool_use","id":"t{0}","name":"f","input":{{}}}}]}},'
    '{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t{0}","content":"r"}}]}}'
)
FUNCTION_CALLS: Final = (
    '{{"type":"function_call","call_id":"c{0}","name":"f","arguments":"{{}}"}},'
    '{{"type":"function_call_output","call_id":"c{0}","output":"r"}}'
)
TOOL: Final = '{{"type":"function","function":{{"name":"f{0}","parameters":{{"type":"object","properties":{{}}}}}}}}'
CLAUDE_TOOL: Final = '{{"name":"f{0}","input_schema":{{"type":"object","properties":{{}}}}}}'
GEMINI_TURN: Final = '{"role":"user","parts":[{"text":"Hi"}]}'
TEXT: Final = '{"type":"text","text":"x"}'

AT_THE_LIMITS: Final = (
    Hostile("chat turns", CHAT, lambda: chat("", listed(TURN, 10_000))),
    Hostile("chat calls", CHAT, lambda: chat("", TURN + "," + listed(CALLS.format, 4_999))),
    Hostile(
        "chat calls at once",
        CHAT,
        lambda: chat(
            "",
            f'{TURN},{{"role":"assistant","tool_calls":[{listed(CALL.format, 4_999)}]}},{listed(RESULT.format, 4_999)}',
        ),
    ),
    Hostile("chat parts", CHAT, lambda: chat("", f'{{"role":"user","content":[{listed(TEXT, 10_000)}]}}')),
    Hostile("chat tools", CHAT, lambda: chat(f'"tools":[{listed(TOOL.format, 4_000)}]')),
    Hostile("messages turns", MESSAGES, lambda: chat("", listed(TURN, 10_000))),
    Hostile("messages calls", MESSAGES, lambda: chat("", TURN + "," + listed(USES.format, 4_999))),
    Hostile("messages parts", MESSAGES, lambda: chat("", f'{{"role":"user","content":[{listed(TEXT, 10_000)}]}}')),
    Hostile("messages tools", MESSAGES, lambda: chat(f'"tools":[{listed(CLAUDE_TOOL.format, 4_000)}]')),
    Hostile("responses turns", RESPONSES, lambda: responses(listed(TURN, 10_000))),
    Hostile("responses calls", RESPONSES, lambda: responses(TURN + "," + listed(FUNCTION_CALLS.format, 4_999))),
    Hostile("gemini turns", GEMINI, lambda: gemini(listed(GEMINI_TURN, 10_000))),
    Hostile("completions prompts", COMPLETIONS, lambda: b'{"model":"MODEL","prompt":["' + b'x","' * 9_000 + b'x"]}'),
    Hostile("count tokens", COUNT, lambda: chat("", listed(TURN, 10_000))),
    Hostile("just below what is counted", MESSAGES, lambda: chat("", listed(TURN, 1_900))),
    Hostile("fields below what is counted", CHAT, lambda: chat(listed('"{0}":0'.format, 6_000))),
    Hostile("values", MESSAGES, lambda: chat(f'"x":[{listed("0", 390_000)}]')),
    Hostile("a picture", MESSAGES, lambda: chat("", _picture(16_000_000))),
    Hostile("a text", CHAT, lambda: chat("", json.dumps({"role": "user", "content": "(a, b) {c} [d]\n" * 1_000_000}))),
    Hostile("halves of pairs", CHAT, lambda: chat("", '{"role":"user","content":"' + "\\ud83d" * 100_000 + '"}')),
)

# Of which a stream repeats nearly all, three times.
ECHOED: Final = Hostile(
    "responses echo", RESPONSES, lambda: responses(TURN, f'"stream":true,"instructions":"{"é, " * 6_000_000}"')
)


def _picture(size: int) -> str:
    source = f'{{"type":"base64","media_type":"image/png","data":"iVBORw0K{"A" * size}"}}'
    return f'{{"role":"user","content":[{{"type":"image","source":{source}}}]}}'


def _too_many() -> Iterator[Hostile]:
    for count in (500_000, 1_500_000):
        yield Hostile(f"{count} fields", CHAT, partial(_fields, count))
    for count in (12_000, 1_000_000):
        yield Hostile(f"{count} of logit_bias", CHAT, partial(_bias, count))
    for count in (12_000, 200_000):
        for name, path, envelope, item in (
            ("messages", CHAT, partial(chat, ""), TURN),
            ("messages of Anthropic's", MESSAGES, partial(chat, ""), TURN),
            ("items", RESPONSES, responses, TURN),
            ("contents", GEMINI, gemini, GEMINI_TURN),
        ):
            yield Hostile(f"{count} {name}", path, partial(_of, envelope, "{}", item, count))
        for name, path, envelope, around, item in (
            ("parts", CHAT, partial(chat, ""), '{{"role":"user","content":[{}]}}', TEXT),
            ("parts of Anthropic's", MESSAGES, partial(chat, ""), '{{"role":"user","content":[{}]}}', TEXT),
            ("parts of Gemini's", GEMINI, gemini, '{{"role":"user","parts":[{}]}}', '{"text":"x"}'),
            ("tools", CHAT, chat, '"tools":[{}]', TOOL.format(0)),
            ("tools of Anthropic's", MESSAGES, chat, '"tools":[{}]', CLAUDE_TOOL.format(0)),
            ("stops", CHAT, chat, '"stop":[{}]', '"x"'),
        ):
            yield Hostile(f"{count} {name}", path, partial(_of, envelope, around, item, count))
    yield Hostile("tokens to embed", EMBEDDINGS, lambda: b'{"model":"MODEL","input":[' + b"1," * 1_000_000 + b"1]}")
    yield Hostile("prompts", COMPLETIONS, lambda: b'{"model":"MODEL","prompt":[' + b'"x",' * 1_000_000 + b'"x"]}')
    yield Hostile("escapes", CHAT, lambda: chat("", '{"role":"user","content":"' + "\\n" * 9_000_000 + '"}'))
    yield Hostile("quotes", CHAT, lambda: b'"' * 9_000_000)
    yield Hostile("backslashes", CHAT, lambda: b'"' + b"\\" * 9_000_000)
    yield Hostile("commas", CHAT, lambda: b"," * 9_000_000)


def _of(envelope: Callable[[str], bytes], around: str, item: str, count: int) -> bytes:
    return envelope(around.format(listed(item, count)))


def _fields(count: int) -> bytes:
    return chat(listed('"f{0}":0'.format, count))


def _bias(count: int) -> bytes:
    return chat('"logit_bias":{' + listed('"{0}":1'.format, count) + "}")


def _too_deep() -> Iterator[Hostile]:
    for depth in (300, 1000, 5000, 1_000_000):
        schema = deep('{"type":"object","properties":{"a":', "}}", depth, '{"type":"string"}')
        lists = deep("[", "]", depth)
        for name, make in (
            ("lists", partial(chat, f'"x":{lists}')),
            ("metadata", partial(chat, f'"metadata":{deep(OPEN, CLOSE, depth)}')),
            ("schema", partial(schema_chat, schema)),
            ("parameters", partial(tool_chat, schema)),
        ):
            yield Hostile(f"{name} {depth} deep", CHAT, make)
        call = CALL.format(0).replace("{}", json.dumps(f'{{"a":{lists}}}')[1:-1])
        said = f'{TURN},{{"role":"assistant","tool_calls":[{call}]}},{RESULT.format(0)}'
        yield Hostile(f"arguments {depth} deep", CHAT, partial(chat, "", said))
        declared = f'"tools":[{{"functionDeclarations":[{{"name":"f","parameters":{schema}}}]}}]'
        yield Hostile(f"declarations {depth} deep", GEMINI, partial(gemini, GEMINI_TURN, declared))


# What held a worker up for 5 to 14 seconds, at a fifth of the size: far above the limits, and still for a second.
HELD_UP: Final = (
    Hostile("100000 fields", CHAT, partial(_fields, 100_000)),
    Hostile("200000 of logit_bias", CHAT, partial(_bias, 200_000)),
    Hostile("40000 messages", CHAT, partial(_of, partial(chat, ""), "{}", TURN, 40_000)),
)


OPEN: Final = '{"a":'
CLOSE: Final = "}"


def _too_long() -> Iterator[Hostile]:
    yield Hostile("a body too long", CHAT, lambda: chat("", json.dumps({"role": "user", "content": "x" * (34 << 20)})))
    for coding, squeeze in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        yield Hostile(f"a bomb of {coding}", CHAT, partial(_bomb, squeeze), coding)
    yield Hostile("a bomb in a bomb", CHAT, lambda: gzip.compress(_bomb(gzip.compress)), "gzip, gzip")
    yield Hostile("a name", CHAT, lambda: chat("").replace(b"MODEL", b"x" * 10_000_000))
    yield Hostile("no UTF-8", CHAT, lambda: chat("", '{"role":"user","content":"?"}').replace(b"?", b"\xff" * 100_000))
    yield Hostile("no JSON", CHAT, lambda: b"{" * 1_000_000)
    yield Hostile("a number", CHAT, lambda: chat(f'"seed":{"9" * 1_000_000}'))


@cache
def _bomb(squeeze: Callable[[bytes], bytes]) -> bytes:
    return squeeze(b'{"model":"MODEL","messages":["' + b"x" * (200 << 20) + b'"]}')


SCHEMAS: Final = (
    '{"type":"array","items":{"type":"string"},"minItems":100000000}',
    '{"type":"array","items":{"type":"integer"},"maxItems":2147483647,"minItems":2147483646}',
    '{"type":"string","minLength":100000000}',
    '{"type":"string","maxLength":4294967296}',
    '{"type":"string","pattern":"^(a{1,1000}){1,1000}$"}',
    '{"type":"string","pattern":"^((((a*)*)*)*)*$"}',
    '{"type":"string","pattern":"' + "(" * 5000 + ")" * 5000 + '"}',
    '{"enum":[' + listed('"e{0}"'.format, 50_000) + "]}",
    '{"anyOf":[' + listed('{{"const":{0}}}'.format, 20_000) + "]}",
    '{"$ref":"#"}',
    '{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}',
    '{"$ref":"#/$defs/d0","$defs":{'
    + listed('"d{0}":{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/e{0}"}}}}}}'.format, 2000)
    + "}}",
    '{"allOf":[' + listed('{"type":"object","properties":{"a":{"type":"string"}}}', 20_000) + "]}",
    '{"type":"object","properties":{' + listed('"p{0}":{{"type":"string"}}'.format, 20_000) + "}}",
)
FIELDS: Final = (
    '"repeat_last_n":2147483647',
    '"repeat_last_n":-2147483648',
    '"dry_penalty_last_n":2147483647,"dry_multiplier":1',
    '"dry_multiplier":1,"dry_sequence_breakers":[' + listed('"b{0}"'.format, 20_000) + "]",
    '"n_probs":2147483647',
    '"logprobs":true,"top_logprobs":2147483647',
    '"n":1000000',
    '"best_of":1000000',
    '"max_tokens":9223372036854775807',
    '"n_predict":-1,"ignore_eos":true',
    '"temperature":1e308',
    '"top_k":-9223372036854775808',
    '"mirostat":2,"mirostat_tau":1e308',
    '"samplers":[' + listed('"top_k"', 20_000) + "]",
    '"stop":["' + "x" * 1_000_000 + '"]',
    '"grammar":"root ::= \\"a\\"{1,1000000000}"',
    '"grammar":"root ::= root \\"a\\""',
    '"grammar":"root ::= ' + "(" * 20_000 + ")" * 20_000 + '"',
    '"grammar":"' + "root ::= a\\n" * 50_000 + '"',
    '"id_slot":-2147483648,"cache_prompt":true',
)

HOSTILE: Final = (
    *_too_many(),
    *_too_deep(),
    *_too_long(),
    *[Hostile(f"schema {number}", CHAT, partial(schema_chat, each)) for number, each in enumerate(SCHEMAS)],
    *[Hostile(f"parameters {number}", CHAT, partial(tool_chat, each)) for number, each in enumerate(SCHEMAS)],
    *[Hostile(f"field {number}", CHAT, partial(chat, each)) for number, each in enumerate(FIELDS)],
)
