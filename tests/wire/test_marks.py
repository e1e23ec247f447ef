"""Marks on what is opaque: whose it is, and what the providers see of them."""

import base64

from hypothesis import given
from hypothesis import strategies as st

from weebill.wire.marks import mark_of, mark_sealed, unmark_sealed, unmarked

ACME = mark_of("acme")


@given(st.binary(), st.text(min_size=1, max_size=9))
def test_what_is_base64_stays_so(data: bytes, provider: str) -> None:
    signature = base64.b64encode(data).decode()
    marked = mark_of(provider) + signature
    assert base64.b64encode(base64.b64decode(marked, validate=True)).decode() == marked
    assert unmarked(marked, provider) == signature


def test_sealed_contents_in_json() -> None:
    said = (
        b'[{"encrypted_content":"x"},{"encrypted_content" : "y"},{"encrypted_content":null},{"encrypted_content":""}]'
    )
    quoted = b'{"text":"\\"encrypted_content\\":\\"x\\""}'
    marked = mark_sealed(said, "acme")
    assert marked.count(ACME.encode()) == 2
    assert unmark_sealed(marked, "acme") == said
    assert unmark_sealed(marked, "other") == marked
    assert mark_sealed(quoted, "acme") == quoted
    assert mark_sealed(said, "") == said
