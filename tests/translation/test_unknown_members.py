"""Members that nobody knows go byte for byte to a target that speaks the client's API."""

from __future__ import annotations

from typing import Final

import pytest

from tests.translation.targets import MODELS, target
from tests.translation.test_noise import APIS
from weebill.gateway.translation import translator

ODD: Final = '{"MARK" : 1.0,"b":[ ], "c":"\\u00e9","d":1e3}'
# Models that think, and so are told how much; to others that is passed over.
THINKS: Final = {
    "openai": "gpt-5", "azure": "o3", "openai-responses": "gpt-5", "anthropic": "claude-opus-4-6",
    "gemini": "gemini-3-pro-preview", "vertex": "gemini-2.5-pro",
}  # fmt: skip
# Where a member that nobody knows may stand, in each API that a target speaks itself.
PLACES: Final[dict[str, tuple[tuple[str, ...], list[str]]]] = {
    "chat": (
        ("openai", "azure"),
        [
            '{"model":"m","messages":[{"role":"user","content":"Hi"}],"new":@}',
            '{"model":"m","messages":[{"role":"user","content":"Hi","new":@}]}',
            '{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"Hi","new":@}]}]}',
            '{"model":"m","messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"new","new":@}]}',
            '{"model":"m","messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":'
            '{"name":"f","parameters":{"type":"object"},"new":@}}]}',
            '{"model":"m","messages":[{"role":"user","content":"Hi"}],"response_format":{"type":"new","new":@}}',
            '{"model":"m","messages":[{"role":"user","content":"Hi"}],"tool_choice":{"type":"new","new":@}}',
            '{"model":"m","messages":[{"role":"user","content":"Hi"}],"reasoning_effort":"new","audio":@}',
        ],
    ),
    "anthropic": (
        ("anthropic",),
        [
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],"new":@}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi","new":@}]}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],'
            '"thinking":{"type":"adaptive","new":@}}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],"thinking":{"type":"new","x":@}}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],'
            '"output_config":{"effort":"high","new":@}}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],'
            '"output_config":{"effort":"new","task_budget":@}}',
            '{"model":"m","max_tokens":9000,"cache_control":{"type":"ephemeral","new":@},'
            '"messages":[{"role":"user","content":"Hi"}]}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":[{"type":"text","text":"Hi",'
            '"cache_control":{"type":"ephemeral","ttl":"9h","new":@}}]}]}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"new_1","new":@}]}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],"tool_choice":{"type":"n","new":@}}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":[{"type":"new","new":@}]}]}',
            '{"model":"m","max_tokens":9000,"messages":[{"role":"user","content":"Hi"}],"metadata":{"new":@}}',
        ],
    ),
    "responses": (
        ("openai-responses",),
        [
            '{"model":"m","store":false,"input":"Hi","new":@}',
            '{"model":"m","store":false,"input":[{"role":"user","content":"Hi","new":@}]}',
            '{"model":"m","store":false,"input":[{"role":"user","content":[{"type":"new","new":@}]}]}',
            '{"model":"m","store":false,"input":[{"type":"new","new":@},{"role":"user","content":"Hi"}]}',
            '{"model":"m","store":false,"input":"Hi","reasoning":{"effort":"new","new":@}}',
            '{"model":"m","store":false,"input":"Hi","text":{"verbosity":"new","new":@}}',
            '{"model":"m","store":false,"input":"Hi","tools":[{"type":"new","new":@}]}',
            '{"model":"m","store":false,"input":"Hi","tool_choice":{"type":"new","new":@}}',
        ],
    ),
    "gemini": (
        ("gemini", "vertex"),
        [
            '{"contents":[{"parts":[{"text":"Hi"}]}],"new":@}',
            '{"contents":[{"parts":[{"text":"Hi"}],"new":@}]}',
            '{"contents":[{"parts":[{"text":"Hi","new":@}]}]}',
            '{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"new":@}}',
            '{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"thinkingConfig":{"new":@}}}',
            '{"contents":[{"parts":[{"text":"Hi"}]}],"tools":[{"new":@}]}',
            '{"contents":[{"parts":[{"text":"Hi"}]}],"tools":[{"functionDeclarations":[{"name":"f","new":@}]}]}',
            '{"contents":[{"parts":[{"text":"Hi"}]}],"toolConfig":{"new":@}}',
            '{"systemInstruction":{"parts":[{"text":"Hi"}],"new":@},"contents":[{"parts":[{"text":"Hi"}]}]}',
        ],
    ),
}
BYTES: Final = [
    pytest.param(api, dialect, model, body, id=f"{dialect}-{model}-{at}")
    for api, (dialects, bodies) in PLACES.items()
    for dialect in dialects
    for model in (MODELS[dialect], THINKS[dialect])
    for at, body in enumerate(bodies)
    if model == THINKS[dialect] or not ("effort" in body or '"thinking"' in body)
]


@pytest.mark.parametrize(("api", "dialect", "model", "body"), BYTES)
def test_unknown_members_go_byte_for_byte_to_a_target_of_the_same_api(
    api: str, dialect: str, model: str, body: str
) -> None:
    call = APIS[api].decode(body.replace("@", ODD).encode(), {}, "m:generateContent" if api == "gemini" else "")
    sent = translator(APIS[api], dialect, frozenset()).encode(call, target(dialect, model))
    assert ODD.encode() in sent.body
    assert sent.dropped == ()
