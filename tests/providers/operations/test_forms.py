"""Forms: read as strictly as every parser reads them, and passed on byte for byte but for the model."""

import email.parser
import email.policy

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.providers.base import Target
from weebill.providers.operations import ENDPOINTS, OPERATIONS
from weebill.wire.errors import ApiError
from weebill.wire.operation_call import OperationCall
from weebill.wire.operations_form import MAX_HEADER_BYTES, MAX_PARTS, MAX_TEXT_BYTES, is_form, parse_form

INBOUND = {each.name: each for each in ENDPOINTS}
SOUND = b"RIFF\r\n\0\xff--x\r\n--\r\n\r\n"
Parts = list[tuple[str, str | None, bytes]]


def form(parts: Parts, boundary: bytes = b"x", preamble: bytes = b"", epilogue: bytes = b"\r\n") -> bytes:
    out = preamble
    for name, filename, value in parts:
        file = b"" if filename is None else b'; filename="%b"\r\nContent-Type: audio/wav' % filename.encode()
        out += b'--%b\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (
            boundary, name.encode(), file, value,
        )  # fmt: skip
    return out + b"--" + boundary + b"--" + epilogue


def content_type(boundary: bytes = b"x") -> bytes:
    return b'multipart/form-data; boundary="%b"' % boundary


def decode(parts: Parts, endpoint: str = "audio.transcriptions") -> OperationCall:
    # A boundary that the sound does not hold.
    return INBOUND[endpoint].decode_request(form(parts, b"b0"), content_type(b"b0"))


def values(body: bytes, content_type: bytes) -> list[tuple[str | None, bytes]]:
    """The parts as another parser reads them."""
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"content-type: " + content_type + b"\r\n\r\n" + body
    )
    return [
        (part.get_param("name", header="content-disposition"), part.get_payload(decode=True))
        for part in message.iter_parts()
    ]


TRANSCRIBE: Parts = [
    ("model", None, b"m"), ("file", "a.wav", SOUND), ("response_format", None, b"srt"), ("language", None, b"en"),
    ("temperature", None, b"0.5"), ("stream", None, b"true"), ("timestamp_granularities[]", None, b"word"),
]  # fmt: skip


def test_a_forms_text_fields_are_read() -> None:
    call = decode(TRANSCRIBE)
    request = call.request
    assert (call.model, call.stream, call.drop_params, call.fields) == ("m", True, False, {})
    assert (request.response_format, request.language, request.temperature) == ("srt", "en", 0.5)
    assert call.prompt_bytes() == 0


def test_only_the_model_changes() -> None:
    call = decode(TRANSCRIBE)
    request = OPERATIONS["audio.transcriptions", "openai"].encode(call, Target(model="whisper-large-v3"))
    assert request.path == b"/audio/transcriptions"
    assert request.headers == b"content-type: multipart/form-data; boundary=b0\r\n"
    before = b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    after = b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-large-v3\r\n'
    assert request.body == form(TRANSCRIBE, b"b0").replace(before, after)


def test_azure_has_the_deployment_in_the_path() -> None:
    target = Target(model="whisper", options={"api_version": "2024-10-21"})
    request = OPERATIONS["audio.translations", "azure"].encode(decode(TRANSCRIBE), target)
    assert request.path == b"/openai/deployments/whisper/audio/translations?api-version=2024-10-21"


def test_our_own_fields_do_not_go_on() -> None:
    wish = b'{"local_only": true}'
    own: Parts = [("drop_params", None, b"true"), ("provider", None, wish), ("models", None, b'["other"]')]
    call = decode([*own, ("cache", None, b"false"), *TRANSCRIBE])
    assert call.drop_params
    assert call.own.provider is not None
    assert (bytes(call.own.provider), call.own.models) == (wish, ("other",))
    body = OPERATIONS["audio.transcriptions", "openai"].encode(call, Target(model="m")).body
    assert body == form(TRANSCRIBE, b"b0")


def test_mistral_is_not_asked_for_a_format() -> None:
    translator = OPERATIONS["audio.transcriptions", "mistral"]
    with pytest.raises(ApiError) as caught:
        translator.encode(decode(TRANSCRIBE), Target(model="voxtral"))
    assert caught.value.detail.param == "response_format"
    parts: Parts = [("model", None, b"m"), ("file", "a.wav", SOUND), ("response_format", None, b"text")]
    request = translator.encode(decode(parts), Target(model="m"))
    assert request.body == form(parts[:2], b"b0")


IMAGES = [
    ("images.edits", [("model", None, b"m"), ("prompt", None, b"p"), ("image[]", "a.png", b"\0")]),
    ("images.edits", [("image", "a.png", b"\0"), ("model", None, b"m"), ("prompt", None, b"p"), ("n", None, b"2")]),
    ("images.variations", [("image", "a.png", b"\0"), ("model", None, b"m")]),
]


@pytest.mark.parametrize(("endpoint", "parts"), IMAGES)
def test_images_in_forms(endpoint: str, parts: Parts) -> None:
    request = OPERATIONS[endpoint, "openai"].encode(decode(parts, endpoint), Target(model="m"))
    assert request.path.decode() == "/" + endpoint.replace(".", "/")
    assert request.body == form(parts, b"b0")


INVALID = [
    ("audio.transcriptions", TRANSCRIBE[1:], "model"),
    ("audio.transcriptions", [TRANSCRIBE[0]], "file"),
    ("audio.transcriptions", [*TRANSCRIBE, ("model", None, b"other")], "model"),
    ("audio.transcriptions", [("model", "m.txt", b"m"), TRANSCRIBE[1]], "model"),
    ("audio.transcriptions", [("model", None, b""), TRANSCRIBE[1]], "model"),
    ("audio.transcriptions", [("model", None, b"\xff"), TRANSCRIBE[1]], "model"),
    ("audio.transcriptions", [("model", None, b"m" * 257), TRANSCRIBE[1]], "model"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("prompt", None, b"p" * (MAX_TEXT_BYTES + 1))], "prompt"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("temperature", None, b"hot")], "temperature"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("temperature", None, b"1.5")], "temperature"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("stream", None, b"maybe")], "stream"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("drop_params", None, b"1")], "drop_params"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("models", None, b"other")], "models"),
    ("audio.transcriptions", [*TRANSCRIBE[:2], ("provider[local_only]", None, b"true")], "provider"),
    ("images.edits", [("model", None, b"m"), ("prompt", None, b"p")], "image"),
    ("images.edits", [("model", None, b"m"), ("image", "a.png", b"\0")], "prompt"),
    ("images.variations", [("model", None, b"m"), ("image", "a.png", b"\0"), ("n", None, b"11")], "n"),
]


@pytest.mark.parametrize(("endpoint", "parts", "param"), INVALID)
def test_a_bad_field_is_named(endpoint: str, parts: Parts, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode(parts, endpoint)
    assert (caught.value.status, caught.value.detail.param) == (400, param)


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nv\r\n'
MALFORMED = [
    b"",
    b"--x--",
    b"no boundary at all",
    PART,
    PART.replace(b"\r\n", b"\n") + b"--x--",
    b"--xy\r\n" + PART + b"--x--",
    PART.replace(b"v\r\n", b"v\r\n--xtra\r\n") + b"--x--",
    b"--x\r\n\r\nno header\r\n--x--",
    b"--x\r\nContent-Type: text/plain\r\n\r\nno name\r\n--x--",
    PART.replace(b"form-data", b"attachment") + b"--x--",
    PART.replace(b"name=", b"name*=utf-8''b; name=") + b"--x--",
    PART.replace(b'name="a"', b'name="a"; name="b"') + b"--x--",
    PART.replace(b'name="a"', b'name="a') + b"--x--",
    PART.replace(b"\r\n\r\n", b"\r\ncontent-disposition: form-data; name=b\r\n\r\n") + b"--x--",
    # A delimiter right after the header, and one within it: parsers do not agree on what these mean.
    PART.replace(b"v\r\n", b"") + b"--x--",
    PART.replace(b"\r\n\r\n", b"\r\n--x\r\nx: y\r\n\r\n") + b"--x--",
    PART.replace(b"\r\n\r\n", b"\r\nx: " + b"y" * MAX_HEADER_BYTES + b"\r\n\r\n") + b"--x--",
    b"--x" + b" " * MAX_HEADER_BYTES + PART[3:] + b"--x--",
    PART * (MAX_PARTS + 1) + b"--x--",
]


@pytest.mark.parametrize("body", MALFORMED)
def test_what_parsers_may_differ_on_is_refused(body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse_form(body, content_type())
    assert (caught.value.status, caught.value.detail.code) == (400, "invalid_form")


def test_as_many_parts_as_there_may_be() -> None:
    assert len(parse_form(PART * MAX_PARTS + b"--x--", content_type()).parts) == MAX_PARTS


@pytest.mark.parametrize("value", [
    b"multipart/form-data", b"multipart/form-data; boundary=", b'multipart/form-data; boundary=""',
    b"multipart/form-data; boundary=" + b"x" * 71, b'multipart/form-data; boundary="x "',
    b'multipart/form-data; boundary="\\""', b"multipart/form-data; boundary=x; boundary=y",
    b"multipart/form-data; boundary=x;; a", b'multipart/form-data; boundary="x',
])  # fmt: skip
def test_a_boundary_that_is_none(value: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        parse_form(PART + b"--x--", value)
    assert caught.value.detail.code == "invalid_form"


@pytest.mark.parametrize(("value", "form"), [
    (b"multipart/form-data; boundary=x", True), (b"Multipart/Form-Data;boundary=x", True),
    (b"application/json", False), (b"", False), (b"multipart/mixed; boundary=x", False),
])  # fmt: skip
def test_which_bodies_are_forms(value: bytes, form: bool) -> None:
    assert is_form(value) is form


def test_names_are_read_past_quotes_in_file_names() -> None:
    header = rb'--x%bcontent-disposition: form-data; filename="a;\"; name=\"model"; name="file"%b%bv%b--x--'
    (part,) = parse_form(header.replace(b"%b", b"\r\n"), content_type()).parts
    assert (part.name, part.filename) == ("file", 'a;"; name="model')


def test_a_preamble_and_an_epilogue_stay() -> None:
    body = form([("a", None, b"1")], preamble=b"hello\r\n", epilogue=b"\r\nbye")
    parsed = parse_form(body, content_type())
    assert parsed.text("a") == "1"
    assert parsed.rewritten({}) == body
    assert parsed.rewritten({"b": "2"}) == form(
        [("b", None, b"2"), ("a", None, b"1")], preamble=b"hello\r\n", epilogue=b"\r\nbye"
    )


def test_the_forms_of_a_real_client() -> None:
    request = httpx.Request(
        "POST", "http://x/", data={"model": "m", "stream": "true"}, files={"file": ('a"b.wav', SOUND, "audio/wav")}
    )
    call = INBOUND["audio.transcriptions"].decode_request(request.read(), request.headers["content-type"].encode())
    assert (call.model, call.stream) == ("m", True)


BOUNDARIES = st.from_regex(r"\A[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]\Z").map(str.encode)
NAMES = st.sampled_from(["file", "image[]", "language", "x y", "ü", "prompt;", "a=b"])
VALUES = st.binary(max_size=200) | st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"--", b"\r\n--", b"\r"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.integers(0, 6), BOUNDARIES, st.text("ab/-:.", min_size=1))
def test_any_form_is_read_as_it_was_written(
    others: list[tuple[str, bytes]], position: int, boundary: bytes, model: str
) -> None:
    parts: Parts = [(name, "f", value) for name, value in others if b"--" + boundary not in value]
    parts.insert(position, ("model", None, b"m"))
    body = form(parts, boundary)
    parsed = parse_form(body, content_type(boundary))
    assert [(part.name, body[part.start : part.end]) for part in parsed.parts] == [
        (name, value) for name, _, value in parts
    ]
    changed = parsed.rewritten({"model": model, "absent": None})
    replaced: Parts = [(name, file, model.encode() if name == "model" else value) for name, file, value in parts]
    # Shown to be the same by writing it anew; and by our own header's boundary.
    assert changed == form(replaced, boundary)
    header = parsed.headers.removeprefix(b"content-type: ").removesuffix(b"\r\n")
    assert parse_form(changed, header).text("model") == model


@given(st.binary(max_size=300))
def test_any_bytes_are_a_form_or_an_api_error(noise: bytes) -> None:
    for body in (noise, b"--x\r\n" + noise, PART + b"--x" + noise, PART[:-3] + noise + b"\r\n--x--"):
        try:
            parsed = parse_form(body, content_type())
        except ApiError:
            continue
        assert parsed.rewritten({}) == body


def test_another_parser_reads_the_same() -> None:
    parts: Parts = [("file", "a.txt", b"text"), ("model", None, b"m"), ("prompt", None, b"p")]
    call = decode(parts)
    request = OPERATIONS["audio.transcriptions", "openai"].encode(call, Target(model="whisper-1"))
    header = request.headers.removeprefix(b"content-type: ").strip()
    assert values(request.body, header) == [("file", b"text"), ("model", b"whisper-1"), ("prompt", b"p")]
