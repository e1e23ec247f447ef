"""The types of the catalogue's data files: providers, models, and offers with prices.

Every struct is immutable and refuses unknown fields, so that a slip in a data file is found when it is read. Prices are
whole nano-dollars (1e-9 $) per thousand tokens: 0.15 $ per million tokens is 150_000. Per single token, whole numbers
would be too coarse: 0.0375 $ per million is 37.5 nano-dollars a token, but 37_500 a thousand.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Dialect = Literal[
    "openai", "openai-responses", "azure", "anthropic", "gemini", "vertex", "bedrock", "cohere", "mistral", "ollama",
    "cloudflare", "huggingface",
]  # fmt: skip
Modality = Literal["text", "image", "audio", "video", "pdf"]
Kind = Literal["chat", "embedding", "image", "video", "speech", "transcription", "rerank", "moderation"]
Region = Literal["", "us", "eu", "cn", "sg", "yours", "chosen", "global", "jp", "au"]
"""The place where requests are processed: "chosen" by the customer, "yours" is this machine or network, "" unknown."""


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every row of a data file."""


class Rates(Row, frozen=True, kw_only=True):
    """Prices of tokens, in nano-dollars per thousand; None if the provider has no separate price.

    Then cached and cache-write tokens are charged as input, reasoning as output, audio as text.
    """

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None


class Tier(Rates, frozen=True, kw_only=True):
    """The rates for a whole request with more prompt tokens than `above`."""

    above: int


class Price(Rates, frozen=True, kw_only=True):
    """The rates of an offer; `tiers` are in ascending order of `above`, and hold all their rates themselves."""

    tiers: tuple[Tier, ...] = ()


class Offer(Row, frozen=True, kw_only=True):
    """A provider's offer of a model, which it calls `name`.

    `price` is None if unknown; zero rates are free. `context_length` and `max_output_tokens` are None if they are the
    model's; `dialect` is "" if it is the provider's.
    """

    provider: str
    name: str
    price: Price | None = None
    context_length: int | None = None
    max_output_tokens: int | None = None
    dialect: Dialect | Literal[""] = ""
    region: Region = ""


class Model(Row, frozen=True, kw_only=True):
    """A model, whoever serves it. `id` is `author/name`, as OpenRouter has it if it does.

    `context_length` and `max_output_tokens` are tokens, None if not applicable or unknown. `structured_output` is None
    if unknown. `license` is an SPDX id if there is one, "" if uncertain. `released` is `YYYY-MM-DD`, or `YYYY-MM`
    without a known day.
    """

    id: str
    name: str
    author: str
    kind: Kind = "chat"
    context_length: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[Modality, ...] = ("text",)
    output_modalities: tuple[Modality, ...] = ("text",)
    tools: bool = False
    structured_output: bool | None = None
    reasoning: bool = False
    open_weights: bool = False
    license: str = ""
    released: str = ""
    offers: tuple[Offer, ...] = ()


class Option(Row, frozen=True, kw_only=True):
    """A setting, other than the key, for a provider's address or requests, such as Azure's `api_version`.

    Its value is the first of `variables` that is set, else `default`. Without either it must be configured, if
    `required`.
    """

    name: str
    what: str
    variables: tuple[str, ...] = ()
    default: str = ""
    required: bool = True


class Quirks(Row, frozen=True, kw_only=True):
    """The differences of a provider of OpenAI's dialect; names are those of Chat Completions.

    `rename` maps a request field to the provider's name, `move` to a member of another field
    (`structured_outputs.json`). `refuse` are fields that it answers with an error, including a
    message's for reasoning; `accept` are the only fields that it takes, if it refuses all others. `message_members` are
    the members of answers that it takes back, if it refuses others'. `reasoning_field` carries the reasoning text of a
    message; "content" stands for a part of type `thinking`, as in Mistral's. `stream_usage` is False if
    `stream_options` is refused. `short_call_ids` need nine letters or digits. `developer`: it knows that role.
    `completion_tokens`: the limit is named `max_completion_tokens`. `most_stops`: the most stop sequences, 0 if
    unknown. `cache_marks`: it takes marks for its prompt cache. `file_urls`: it takes documents by address.
    `model_images`: it takes images in a model's messages. `preferences`: it takes OpenRouter's `provider` and `models`.
    `completions`: it has that older API. `reports_cost`: the `cost` in its usage is its charge in dollars.
    """

    rename: dict[str, str] = {}
    move: dict[str, str] = {}
    refuse: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    message_members: tuple[str, ...] | None = None
    reasoning_field: str = "reasoning_content"
    stream_usage: bool = True
    short_call_ids: bool = False
    developer: bool = False
    completion_tokens: bool = False
    most_stops: Annotated[int, Meta(ge=0)] = 0
    cache_marks: bool = False
    file_urls: bool = False
    model_images: bool = False
    preferences: bool = False
    completions: bool = True
    reports_cost: bool = False


class DataPolicy(Row, frozen=True, kw_only=True):
    """A provider's public statements about requests through its paid API with default settings.

    `trains`: it may train on them; "free-tier" if only on those of its free tier or plan. `retention_days`: the longest
    that it keeps them; 0 for not at all, None if unknown. `zero_retention`: how storing can be avoided; "default" if
    nothing is stored anyway. `source` is the statement's address; "" if all is unknown.
    """

    trains: Literal["no", "yes", "free-tier", "unknown"] = "unknown"
    retention_days: int | None = None
    zero_retention: Literal["default", "setting", "on-request", "unknown"] = "unknown"
    region: Region = ""
    note: str = ""
    source: str = ""


class Server(Row, frozen=True, kw_only=True):
    """The endpoints that a server for models has beside its API, and the names of its metrics.

    Paths are below the server's root, without the `/v1` of its API. `generates_health` if `health` has the model
    generate, so that it is asked rarely. Of several names of a metric, the first that is there counts; `running` and
    `waiting` are requests, `cache_use` is the used share of the cache of keys and values. `load_adapter` and
    `unload_adapter` take a LoRA adapter.
    """

    health: str
    generates_health: bool = False
    metrics: str
    running: tuple[str, ...]
    waiting: tuple[str, ...]
    cache_use: tuple[str, ...]
    load_adapter: str
    unload_adapter: str


class Provider(Row, frozen=True, kw_only=True):
    """A provider that serves models over HTTP.

    `base_url` may hold options in braces (`https://{resource}.openai.azure.com`). `credentials` are groups of
    environment variables, of which one whole group is enough; empty if none are needed. `also` are other dialects at
    the same address. `hosts` are shell patterns of its further hosts. `signatures` says who can read what its models
    have signed or encrypted: any account of the vendor, or (the default) only the same account. `models_dev` is its id
    on models.dev if it differs. `server` is set if its software has endpoints for its state. `source` documents its
    address and keys; `date` is the day of that look-up.
    """

    id: str
    name: str
    dialect: Dialect
    base_url: str
    credentials: tuple[tuple[str, ...], ...] = ()
    options: tuple[Option, ...] = ()
    also: tuple[Dialect, ...] = ()
    hosts: tuple[str, ...] = ()
    quirks: Quirks = Quirks()
    signatures: Literal["account", "vendor"] = "account"
    data: DataPolicy = DataPolicy()
    models_dev: str = ""
    server: Server | None = None
    source: str
    date: str


class ProviderFile(Row, frozen=True, kw_only=True):
    """`data/providers.json`."""

    source: str
    date: str
    providers: tuple[Provider, ...]


class ModelFile(Row, frozen=True, kw_only=True):
    """`data/models.json`."""

    source: str
    date: str
    models: tuple[Model, ...]
