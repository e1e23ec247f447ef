"""The HTML of the pages for signing in: forms that work without JavaScript, and a policy that allows no script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Final, NamedTuple

from fastapi import Response

_STYLE: Final = """
:root { --ground: #f7f6ef; --card: #fff; --line: #e3e1d3; --ink: #1f2316; --soft: #666b58; --brand: #66741a;
  --brand-ink: #fff; --sunk: #f1f0e6; --bad: #c0392b; --good: #3d8b40;
  --mono: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
@media (prefers-color-scheme: dark) { :root { --ground: #12140d; --card: #1b1e14; --line: #313625; --ink: #eceddd;
  --soft: #a0a58c; --brand: #c5d14a; --brand-ink: #1a1d0b; --sunk: #23271a; --bad: #ef8376; --good: #7cc47f; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.55 ui-sans-serif, system-ui, sans-serif; }
main { width: min(460px, 100% - 32px); margin-inline: auto; }
main.wide { width: min(760px, 100% - 32px); }
header { padding: 40px 0 18px; font-weight: 700; font-size: 19px; letter-spacing: -.02em; }
header a { color: inherit; text-decoration: none; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 16px; padding: 22px;
  margin-bottom: 18px; }
h1 { font-size: 24px; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 12px; }
h2 { font-size: 16px; margin: 0 0 10px; }
p { margin: 0 0 12px; overflow-wrap: anywhere; }
.soft { color: var(--soft); font-size: 13.5px; }
.bad, .good { border-left: 3px solid; padding: 6px 12px; background: var(--sunk); border-radius: 6px; }
.bad { border-color: var(--bad); }
.good { border-color: var(--good); }
label { display: block; font-weight: 550; font-size: 13.5px; margin-bottom: 12px; }
input { display: block; width: 100%; margin-top: 4px; padding: 9px 11px; font: inherit; color: inherit;
  background: var(--ground); border: 1px solid var(--soft); border-radius: 9px; }
button, .button { display: inline-block; font: 600 14px/1.3 ui-sans-serif, system-ui, sans-serif; padding: 9px 18px;
  border: 1px solid transparent; border-radius: 9px; cursor: pointer; background: var(--brand);
  color: var(--brand-ink); text-decoration: none; }
button.plain { background: var(--sunk); color: var(--ink); border-color: var(--line); padding: 6px 12px; }
:focus-visible { outline: 2px solid var(--brand); outline-offset: 2px; }
a { color: var(--brand); text-underline-offset: 3px; }
code { font: .9em var(--mono); background: var(--sunk); border-radius: 5px; padding: 2px 5px; overflow-wrap: anywhere; }
.row { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; justify-content: space-between;
  border-top: 1px solid var(--line); padding: 10px 0; }
.row p { margin: 0; flex: 1 1 240px; min-width: 0; }
p + form, form + p { margin-top: 14px; }
ul.codes { columns: 210px 2; padding-left: 20px; font: 14px/1.9 var(--mono); }
"""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
TOKEN: Final = "form_token"  # noqa: S105 - the name of a field


class Field(NamedTuple):
    """A field of a form: its name, its label, its type, and what a browser may fill in."""

    name: str
    label: str
    kind: str = "text"
    autocomplete: str = "off"
    value: str = ""
    required: bool = True


def page(title: str, parts: Iterable[str], *, wide: bool = False, status: int = 200) -> Response:
    """Returns a page of sections."""
    main = '<main class="wide">' if wide else "<main>"
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)} · Weebill</title><style>{_STYLE}</style></head>"
        f'<body>{main}<header><a href="/">Weebill</a></header>{"".join(parts)}</main></body></html>\n'
    )
    return Response(text, status, {"content-security-policy": POLICY}, "text/html")


def section(*parts: str) -> str:
    """Returns a card with parts that are HTML."""
    return f"<section>{''.join(parts)}</section>"


def heading(text: str, level: int = 1) -> str:
    """Returns a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, style: str = "") -> str:
    """Returns a paragraph of plain text."""
    styled = f' class="{style}"' if style else ""
    role = ' role="alert"' if style == "bad" else ""
    return f"<p{styled}{role}>{escape(text)}</p>"


def said(text: str, code: str) -> str:
    """Returns a paragraph with something to copy."""
    return f"<p>{escape(text)} <code>{escape(code)}</code></p>"


def listed(texts: Iterable[str]) -> str:
    """Returns a list of codes."""
    return f'<ul class="codes">{"".join(f"<li>{escape(each)}</li>" for each in texts)}</ul>'


def links(*pairs: tuple[str, str]) -> str:
    """Returns a line of links: addresses and their texts."""
    return f'<p class="soft">{" · ".join(f"""<a href="{escape(to)}">{escape(text)}</a>""" for to, text in pairs)}</p>'


def username(email: str) -> Field:
    """Returns the field that tells a browser's store of passwords whose password a form has; it is not shown."""
    return Field("username", "", "hidden", "username", email)


def form(
    action: str, token: str, fields: Iterable[Field], button: str, hidden: dict[str, str] | None = None, style: str = ""
) -> str:
    """Returns a form that is sent to `action` with its token."""
    hidden = {TOKEN: token, **(hidden or {})}
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(each)}">' for name, each in hidden.items()
    )
    styled = f' class="{style}"' if style else ""
    shown = "".join(map(_field, fields))
    return (
        f'<form method="post" action="{escape(action)}">{kept}{shown}<button{styled}>{escape(button)}</button></form>'
    )


def row(text: str, action: str) -> str:
    """Returns a line of plain text with a form beside it."""
    return f'<div class="row"><p>{escape(text)}</p>{action}</div>'


def _field(each: Field) -> str:
    if each.kind == "hidden":
        return f'<input name="{each.name}" autocomplete="{each.autocomplete}" value="{escape(each.value)}" hidden>'
    value = f' value="{escape(each.value)}"' if each.value else ""
    required = " required" if each.required else ""
    numeric = ' inputmode="numeric"' if each.autocomplete == "one-time-code" else ""
    return (
        f'<label>{escape(each.label)}<input name="{each.name}" type="{each.kind}" autocomplete="{each.autocomplete}" '
        f'maxlength="1024"{value}{required}{numeric}></label>'
    )
