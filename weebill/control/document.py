"""The OpenAPI document of the management API, made from its routes: what is asked, answered, refused, and by whom.

What is asked is as FastAPI reads it; what is answered is the annotation of a handler, whose types are msgspec's. Who
may ask is in the tables of permissions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from types import UnionType
from typing import Final, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from msgspec import UNSET, Struct, UnsetType, field, structs

from weebill.accounts.permissions import PERMISSIONS, Permission
from weebill.control.answers import Json
from weebill.control.permits import PERMITS, SIGNED_IN
from weebill.control.refused import FURTHER, WHY
from weebill.control.routing import LateRoute
from weebill.control.sign_in.cookies import CSRF_HEADER, SAFE
from weebill.wire.errors import ErrorBody

Schema = dict[str, object]

_REF: Final = "#/components/schemas/{name}"
_DESCRIPTION: Final = """
What the console, the command line and other programs manage an installation with. Errors are in OpenAI's format. Lists
have cursors. Times are Unix seconds unless it says otherwise, and amounts of money whole nano-dollars; an unknown price
is null, and never 0.

`x-permission` is the permission that a request needs. An admin key has all of them, and so has an owner of the first
organisation who has signed in. Others have those of their roles in their own organisations (`x-roles`), and for what
they hold themselves (`x-roles-for-own`).
"""
_SECURITY: Final[Mapping[str, Schema]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An admin key, or a key that a service account holds, which has the role of the account.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-weebill",
        "description": "Who has signed in. Without TLS the cookie is named `weebill-PORT`.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "Any value: other sites' pages cannot send it. Needed where a session changes something.",
    },
}
_JSON: Final = "application/json"
_LISTS: Final = {"Listed": "List", "Paged": "Page", "Whole": "Array"}
_TEXT: Final[Schema] = {"schema": {"type": "string"}}


class Operation(Struct, kw_only=True, rename="camel", omit_defaults=True):
    """A method of a path."""

    tags: list[str] = []
    summary: str = ""
    description: str = ""
    operation_id: str = ""
    parameters: list[Schema] = []
    request_body: Schema | UnsetType = UNSET
    responses: dict[str, Schema] = {}
    security: list[dict[str, list[str]]] | UnsetType = UNSET
    permission: Permission | UnsetType = field(name="x-permission", default=UNSET)
    roles: list[str] = field(name="x-roles", default_factory=list)
    roles_for_own: list[str] = field(name="x-roles-for-own", default_factory=list)


class Components(Struct, kw_only=True, rename="camel"):
    """The schemas and ways to be known that operations refer to."""

    schemas: dict[str, Schema] = {}
    security_schemes: Mapping[str, Schema] = {}


class Document(Struct, kw_only=True):
    """An OpenAPI document."""

    openapi: str
    info: Schema
    paths: dict[str, dict[str, Operation]]
    components: Components


class _Answer(NamedTuple):
    """A kind of answer to one method of one path: of the type `shape`, or of other media types than JSON."""

    status: int
    shape: object | None
    types: tuple[str, ...] = ()


def document(app: FastAPI, prefix: str) -> bytes:
    """Returns the document of the routes below `prefix`, as JSON."""
    routes = [each for each in app.routes if isinstance(each, LateRoute) and each.path.startswith(f"{prefix}/")]
    given = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION.strip(),
        routes=[each.prepared for each in routes],
    )
    made = msgspec.convert(given, Document)
    answers = [list(_answers(route)) for route in routes]
    shapes = [each.shape for found in answers for each in found if each.shape is not None]
    schemas = _Schemas([*shapes, ErrorBody])
    for route, found in zip(routes, answers, strict=True):
        operations = made.paths[route.path_format]
        for method in route.methods or ():
            operation, responses = operations[method.lower()], _responses(found, schemas)
            operations[method.lower()] = _completed(operation, route.named, responses, schemas.of(ErrorBody))
    made.components.schemas = {**_asked(made.components.schemas), **schemas.components}
    made.components.security_schemes = _SECURITY
    return msgspec.json.encode(made)


def _completed(operation: Operation, named: str, answers: dict[str, Schema], error: Schema) -> Operation:
    """Returns an operation with what FastAPI does not know of it."""
    method, _, path = named.partition(" ")
    permission = PERMITS.get(named)
    grant = None if permission is None else PERMISSIONS[permission]
    return structs.replace(
        operation,
        summary=operation.description,
        description="",
        operation_id="_".join(re.findall(r"[a-z0-9]+", named.lower().replace(":path", ""))),
        responses={**answers, **_refusals(operation, named, error)},
        security=_security(method, known=permission is not None or path in SIGNED_IN),
        permission=permission or UNSET,
        roles=sorted(grant.roles) if grant else [],
        roles_for_own=sorted(grant.own) if grant else [],
    )


def _security(method: str, *, known: bool) -> list[dict[str, list[str]]]:
    """Returns the ways in which who asks may be known, none where nobody has to be."""
    if not known:
        return []
    by_session: dict[str, list[str]] = {"session": []}
    return [{"key": []}, by_session if method in SAFE else {**by_session, "csrf": []}]


def _refusals(operation: Operation, named: str, error: Schema) -> dict[str, Schema]:
    """Returns the errors that can be answered: what follows from the form of a request, and what does not."""
    method, _, path = named.partition(" ")
    has_body = operation.request_body is not UNSET
    follows = {
        400: has_body or bool(operation.parameters),
        401: named in PERMITS or path in SIGNED_IN,
        403: named in PERMITS or path in SIGNED_IN or method not in SAFE,
        404: "{" in path,
        413: has_body,
        503: True,
    }
    statuses = sorted(each for each in WHY if follows.get(each) or named in FURTHER.get(each, ()))
    body: Schema = {_JSON: {"schema": error}}
    return {str(each): {"description": WHY[each], "content": body} for each in statuses}


def _responses(answers: Iterable[_Answer], schemas: _Schemas) -> dict[str, Schema]:
    """Returns what is answered if all is well, by status."""
    found: dict[str, dict[str, object]] = {}
    for status, shape, types in answers:
        content = found.setdefault(str(status), {})
        content |= dict.fromkeys(types, _TEXT) if shape is None else {_JSON: {"schema": schemas.of(shape)}}
    return {status: {"description": HTTPStatus(int(status)).phrase, "content": found[status]} for status in found}


def _answers(route: LateRoute) -> Iterator[_Answer]:
    """Yields what a handler's annotation says that it answers."""
    annotation = get_type_hints(route.endpoint)["return"]
    for each in get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,):
        kind = get_origin(each) or each
        if issubclass(kind, Json):
            [shape] = get_args(each)
            yield _Answer(kind.STATUS, shape)
        else:
            yield _Answer(HTTPStatus.OK, None, kind.TYPES)


class _Schemas:
    """The schemas of answers; `components` are those of structs, by their names in the document."""

    def __init__(self, shapes: Iterable[object]) -> None:
        self._shapes = list(dict.fromkeys(shapes))
        found, components = msgspec.json.schema_components(self._shapes, schema_hook=_anything, ref_template=_REF)
        text = msgspec.json.encode([found, components]).decode()
        for name in components:
            text = text.replace(f'"{_REF.format(name=name)}"', f'"{_REF.format(name=_public(name))}"')
        self._found: list[Schema]
        self._found, renamed = msgspec.json.decode(text, type=tuple[list[Schema], dict[str, Schema]])
        self.components = {_public(name): _always_whole(schema, _public(name)) for name, schema in renamed.items()}

    def of(self, shape: object) -> Schema:
        """Returns the schema of a shape, which refers to a component."""
        return self._found[self._shapes.index(shape)]


def _anything(kind: type) -> Schema:
    """Returns the schema of `object`, which is any value of JSON."""
    if kind is not object:
        raise NotImplementedError
    return {"description": "Any value."}


def _public(name: str) -> str:
    """Returns the name of a schema for other people's code.

    >>> _public("Listed_KeyShown_"), _public("ErrorBody")
    ('KeyList', 'ErrorBody')
    """
    inner = re.fullmatch(rf"({'|'.join(_LISTS)})_(\w+)_", name)
    return (f"{inner[2]}{_LISTS[inner[1]]}" if inner else name).replace("Shown", "")


def _always_whole(schema: Schema, name: str) -> Schema:
    """Returns the schema of a struct that is written, not read: members with a default are always there."""
    properties, required = schema.get("properties"), schema.get("required", [])
    named = {**schema, "title": name}
    if not isinstance(properties, dict) or not isinstance(required, list):
        return named
    return {**named, "required": [each for each in properties if each in required or "default" in properties[each]]}


def _asked(schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Returns the schemas of what is asked; FastAPI's own error is answered nowhere."""
    return {name: schema for name, schema in schemas.items() if name not in ("HTTPValidationError", "ValidationError")}
