"""Requests as an OpenAPI document describes them: with valid values, and with those that break what is careless."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final
from urllib.parse import quote

Schema = dict[str, Any]

TEXTS: Final = (
    *("", " ", "a", "web", "ada@acme.example", "openai", "member", "2026-11-01", "7d", "model", "12.50", "key_x"),
    *("\0", "a\0b", "\ud800", "\udc00x", "é" * 300, "x" * 5000, "../..", "%00", "a/b", "-1", "0", "1e9", "NaN"),
    *("9" * 400, "org_default", "proj_default", "http://127.0.0.1:1", "' OR 1=1 --", "\n", "\u202e", "🙂", "tag:"),
)
NUMBERS: Final = (0, 1, 2, -1, 7, 100, 500, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400, 1.5, 1e308)
OTHERS: Final = (None, True, False, [], {}, [[]], [None], {"a": None}, *NUMBERS, *TEXTS)
BODIES: Final = (
    *(b"", b"{", b"null", b"[]", b"1", b'"x"', b"\xff", b"\xef\xbb\xbf{}", b"[" * 20_000, b"{}", b'{"name": NaN}'),
    *(b'{"amount": Infinity}', b'{"a": 1, "a": 2}', b" " * 70_000, b'{"name": "\xed\xa0\x80"}', b"a=b"),
)
KINDS: Final = ("application/json", "application/json; charset=utf-16", "text/plain", "multipart/form-data", "", "x")
HOSTILE: Final = 0.2
"""The part of values that are anything, rather than what they should be."""


class Asking:
    """Makes requests; `ids` are of what there is, by the names of parameters and fields."""

    def __init__(self, document: Schema, ids: dict[str, str]) -> None:
        self._document = document
        self._ids = ids

    def request(self, method: str, path: str, operation: Schema, random: Random) -> dict[str, Any]:
        """A request to an operation, as httpx takes it."""
        query: list[tuple[str, str]] = []
        for parameter in operation.get("parameters", ()):
            name, place = parameter["name"], parameter["in"]
            if place != "path" and not parameter.get("required") and random.random() < 0.6:
                continue
            value = self._named(name, parameter["schema"], random)
            text = value if isinstance(value, str) else json.dumps(value)
            if place == "path":
                path = path.replace(f"{{{name}}}", quote(text.encode(errors="surrogatepass"), safe="") or "x")
            elif place == "query":
                query.append((name, text.encode(errors="replace").decode()))
        request: dict[str, Any] = {"method": method.upper(), "url": path, "params": query}
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            is_valid = random.random() > HOSTILE / 2
            body = json.dumps(self._value(schema, random)).encode() if is_valid else random.choice(BODIES)
            kind = KINDS[0] if random.random() > HOSTILE / 4 else random.choice(KINDS)
            request |= {"content": body, "headers": {"content-type": kind}}
        return request

    def _named(self, name: str, schema: Schema, random: Random) -> Any:
        if name in self._ids and random.random() < 0.7:
            known = self._ids[name]
            return int(known) if known.isdigit() else known
        return self._value(schema, random)

    def _value(self, schema: Schema, random: Random) -> Any:
        """A value that a schema describes, more or less."""
        if "$ref" in schema:
            return self._value(self._document["components"]["schemas"][schema["$ref"].split("/")[-1]], random)
        if schema.get("type") != "object" and random.random() < HOSTILE:
            return random.choice(OTHERS)
        if "anyOf" in schema:
            return self._value(random.choice(schema["anyOf"]), random)
        if "enum" in schema:
            return random.choice(schema["enum"])
        match schema.get("type"):
            case "object":
                required = schema.get("required", ())
                fields = schema.get("properties", {})
                made = {
                    name: self._named(name, each, random)
                    for name, each in fields.items()
                    if name in required or random.random() < 0.5
                }
                return made if random.random() > HOSTILE / 4 else {**made, "more": 1}
            case "array":
                return [self._value(schema.get("items", {}), random) for _ in range(random.choice((0, 1, 1, 2, 300)))]
            case "integer":
                low, high = int(schema.get("minimum", 0)), int(schema.get("maximum", 10**6))
                return random.choice((low, high, random.randint(low, high)))
            case "boolean":
                return random.random() < 0.5
            case "string":
                return random.choice(TEXTS)
        return random.choice(OTHERS)
