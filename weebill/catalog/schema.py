"""The types of the catalogue's data files: providers, models, and who serves which model at which price.

Every struct is immutable and refuses unknown fields, so that a slip in a data file is found when it is read.
Prices are whole nano-dollars (1e-9 $) per thousand tokens: 0.15 $ per million tokens is 150_000. Per single token,
whole numbers would be too coarse: 0.0375 $ per million is 37.5 nano-dollars a token, but 37_500 a thousand.
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
"""Where requests are worked on: "chosen" is up to the customer, "yours" is this machine or network, "" is not known."""


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of every row of a data file."""


class Rates(Row, frozen=True, kw_only=True):
    """What tokens cost, in nano-dollars per thousand; None where the provider names no price of its own.

    Without one, cached and cache-write tokens are charged as input, reasoning as output, audio as text.
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
    """A provider serves a model under `name`.

    `price` is None where it is not known; zero rates mean that it is free. `context_length` and `max_output_tokens`
    are None where they are the model's; `dialect` is "" where it is the provider's.
    """

    provider: str
    name: str
    price: Price | None = None
    context_length: int | None = None
    max_output_tokens: int | None = None
    dialect: Dialect | Literal[""] = ""
    region: Region = ""


class Model(Row, frozen=True, kw_only=True):
    """A model, whoever serves it. `id` is `author/name`, OpenRouter's where OpenRouter has it.

    `context_length` and `max_output_tokens` are tokens, None where they make no sense or are not known.
    `structured_output` is None where nobody says. `license` is an SPDX id where there is one, "" if not known for
    sure. `released` is `YYYY-MM-DD`, or `YYYY-MM` where no day is known.
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
    """A setting besides the key that a provider's address or requests need, such as Azure's `api_version`.

    The first of `variables` that is set gives it, else `default`. Without either, it must be configured, unless it is
    not `required`.
    """

    name: str
    what: str
    variables: tuple[str, ...] = ()
    default: str = ""
    required: bool = True


class Quirks(Row, frozen=True, kw_only=True):
    """What a provider of OpenAI's dialect takes and says otherwise than most; names are those of Chat Completions.

    `rename` maps a request field to this provider's name for it. `refuse` names fields that it answers with an error,
    those of a message for reasoning among them; `accept`, where it answers all others with an error, the ones that it
    takes. `message_members` are those of answers that it takes back, where it answers others' with an error.
    `reasoning_field` is where its messages carry reasoning text; with "content" that is a piece of type
    `thinking`, as Mistral has it. `stream_usage` is False where `stream_options` is refused. `short_call_ids` is True
    where a tool call's id must have nine letters or digits. `developer` is whether it knows that role,
    `completion_tokens` whether an answer's limit is to be named `max_completion_tokens`, `most_stops` how many stop
    sequences it takes, 0 where that is not known. `cache_marks` is whether it takes marks for its prompt cache,
    `file_urls` whether documents by address, `model_images` whether images in what a model said; `preferences` whether
    it takes OpenRouter's `provider` and `models`; `completions` whether it has that older API, or is asked for a chat
    instead. `reports_cost` is whether the `cost` of its usage is what it charges, in dollars.
    """

    rename: dict[str, str] = {}
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
    """What a provider states in public about requests through its paid API with default settings.

    `trains`: whether it may train on them; "free-tier" if only on those of its free tier or plan.
    `retention_days`: how long it keeps them at most; 0 for not at all, None if not known.
    `zero_retention`: whether they can be kept from being stored; "default" if they are not stored anyway.
    `source` is where it says so; "" where all is unknown.
    """

    trains: Literal["no", "yes", "free-tier", "unknown"] = "unknown"
    retention_days: int | None = None
    zero_retention: Literal["default", "setting", "on-request", "unknown"] = "unknown"
    region: Region = ""
    note: str = ""
    source: str = ""


class Provider(Row, frozen=True, kw_only=True):
    """Somebody who serves models over HTTP.

    `base_url` may hold options in braces (`https://{resource}.openai.azure.com`). `credentials` are groups of
    environment variables; one whole group is enough; none are needed where there are none. `also` are other
    dialects spoken at the same address. `hosts` are patterns, as a shell's, of further hosts that are its own.
    `signatures` is who can read what its models have signed or encrypted: any account of this vendor, or, unless it
    says so in public, the same account alone. `models_dev` is its id on models.dev where it is another than here.
    `source` is where its address and keys are documented, `date` is when that was looked at.
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
