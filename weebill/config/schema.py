"""The typed settings of an installation: from `weebill.toml`, the environment and flags.

Every struct is immutable and refuses unknown fields. Durations are seconds (`_s`), sizes are bytes (`_bytes`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from weebill.catalog.schema import Quirks
from weebill.catalog.traits import OnUnsupported
from weebill.config.accounts import AccountSettings, MailSettings, OpenIdSettings
from weebill.config.auto import AUTO, AutoSettings
from weebill.config.credits import CreditSettings, StripeSettings
from weebill.config.limits import LimitSettings
from weebill.config.routing import AliasSettings, Quantization, RoutingSettings
from weebill.config.section import Name, NonNegativeInt, PositiveInt, PositiveSeconds, Seconds, Section

Port = Annotated[int, Meta(ge=0, le=65535)]
NOBODY = "none"
"""The `catalog` of a provider that is not in the catalogue."""
_TIER_ALIASES = {"small": "mini", "large": "large"}


class ServerSettings(Section, frozen=True, kw_only=True):
    """`[server]`: the address, the limits on connections, and settings of all answers.

    `model_in_answers` is the name of the model in an answer; `keepalive_s` the longest silence of a stream before a
    sign of life, 0 for none; `watchdog_s` how long a process may leave the supervisor's probe unanswered before it is
    killed and restarted, 0 for ever; `loop_lag_step_s` the time between two looks at how late a worker's event loop is.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    tls_cert: str | None = None
    tls_key: str | None = None
    cors_origins: tuple[str, ...] = ("*",)
    max_connections: PositiveInt = 16_384
    max_header_bytes: Annotated[int, Meta(ge=1024)] = 32_768
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 33_554_432
    header_timeout_s: PositiveSeconds = 10.0
    body_timeout_s: PositiveSeconds = 60.0
    body_total_s: PositiveSeconds = 900.0
    idle_timeout_s: PositiveSeconds = 75.0
    send_timeout_s: PositiveSeconds = 300.0
    drain_grace_s: Seconds = 30.0
    keepalive_s: Seconds = 15.0
    watchdog_s: Seconds = 5.0
    loop_lag_step_s: Annotated[float, Meta(ge=0.001, le=10)] = 0.5
    model_in_answers: Literal["asked", "served"] = "asked"


class EngineSettings(Section, frozen=True, kw_only=True):
    """`[local.engine]`: how compact models are run. `threads = 0` reads with all cores, and writes with half of them;
    OpenVINO does both with all cores but one, and static vectors have one thread anyhow.

    `engine` is the one that writes answers; "auto" takes what `weebill engines` has found to be faster for a model, and
    "llama-server" is for models of vectors and ratings, too. `memory_mb` is a host's most memory in MiB; 0 stands for
    its use after loading, plus some, and with "llama-server" for all that the machine has. `llama_server` is
    llama.cpp's program for the engine "llama-server": its path, or its name as it is found on `PATH`;
    `llama_server_options` are added to what it is told.
    """

    engine: Literal["auto", "llama.cpp", "llama-server", "openvino"] = "auto"
    context: Annotated[int, Meta(ge=256)] = 8192
    parallel: Annotated[int, Meta(ge=1, le=256)] = 4
    threads: NonNegativeInt = 0
    max_waiting: PositiveInt = 64
    memory_mb: Annotated[int, Meta(ge=0, le=1 << 30)] = 0
    llama_server: Name = "llama-server"
    llama_server_options: tuple[str, ...] = ()


class ImageSettings(Section, frozen=True, kw_only=True):
    """`[local.images]`: the images that clients send to models of this machine.

    An image of more than `max_pixels` is refused, and one with a longer edge than `max_edge` is scaled down. Images by
    address are fetched from `allowed_hosts` alone: `example.com`, `example.com:8443`, `*.example.com`. With `ocr`, a
    model that reads no images is given the text in them.
    """

    max_images: Annotated[int, Meta(ge=1, le=1000)] = 16
    max_bytes: PositiveInt = 20_971_520
    max_pixels: Annotated[int, Meta(ge=1, le=500_000_000)] = 64_000_000
    max_edge: Annotated[int, Meta(ge=64, le=8192)] = 2048
    allowed_hosts: tuple[Name, ...] = ()
    fetch_timeout_s: PositiveSeconds = 10.0
    ocr: bool = False


class LocalSettings(Section, frozen=True, kw_only=True):
    """`[local]`: the compact models that this machine runs, and the folder of their files.

    `models` are loaded at the start, and stay; other models in the folder are loaded for the first request, and
    unloaded when nobody has used them for `keep_alive_s`. A request may ask for another time, but for
    `most_keep_alive_s` at most, unless its key is one of an admin. All of them together have `memory_mb` MiB; 0 stands
    for 0.8 of what is free at the start.
    """

    models: tuple[Name, ...] = ("smollm2:135m",)
    models_dir: str | None = None
    keep_alive_s: PositiveSeconds = 300.0
    most_keep_alive_s: PositiveSeconds = 3600.0
    memory_mb: Annotated[int, Meta(ge=0, le=1 << 30)] = 0
    engine: EngineSettings = EngineSettings()
    images: ImageSettings = ImageSettings()


class ProviderSettings(Section, frozen=True, kw_only=True):
    """`[providers.NAME]`: an upstream. Its secrets are literals, `env:NAME` or `file:PATH`.

    `catalog` is the catalogue's provider that gives prices, facts and quirks: "" until loading finds it by name or
    address, NOBODY for none. Loading fills in dialect, address, options, quirks and the secrets. Without `models`, a
    provider of the catalogue serves all its models there. `api_keys` are used in turn. `proxy` is the URL of a proxy, a
    secret too; "" or "none" for none; by default the environment's. `first_byte_timeout_s` is for all answers; by
    default, answers in one piece, whose head comes when they are complete, have longer than streams. `weight` and later
    settings are for routing; by default the catalogue's statements about data count.
    """

    catalog: str = ""
    dialect: str = ""
    base_url: str = ""
    api_key: str | None = None
    api_keys: tuple[str, ...] = ()
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    models: tuple[Name, ...] = ()
    options: dict[str, str] = {}
    quirks: Quirks | None = None
    forward_headers: tuple[str, ...] = ()
    proxy: str | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    verify: bool = True
    max_connections: PositiveInt = 1024
    connect_timeout_s: PositiveSeconds = 5.0
    first_byte_timeout_s: PositiveSeconds | None = None
    idle_timeout_s: PositiveSeconds = 300.0
    total_timeout_s: PositiveSeconds = 3600.0
    weight: Annotated[float, Meta(gt=0, le=1_000_000)] = 1.0
    tier: Annotated[int, Meta(ge=0, le=1000)] = 0
    local: bool = False
    quantization: Quantization = "unknown"
    continues: bool | None = None
    zero_retention: bool | None = None
    trains: bool | None = None
    region: str = ""
    on_unsupported: OnUnsupported | None = None

    def identity(self, name: str) -> str:
        """Returns the catalogue's id of the provider configured as `name`."""
        return self.catalog or name

    def __repr__(self) -> str:
        # Without the key, as settings end up in logs and tracebacks.
        return f"ProviderSettings(dialect={self.dialect!r}, base_url={self.base_url!r}, models={self.models!r})"


class CatalogSettings(Section, frozen=True, kw_only=True):
    """`[catalog]`: `activate` uses every provider whose key is in the environment, configured or not."""

    activate: bool = True


class DiscoverySettings(Section, frozen=True, kw_only=True):
    """`[discovery]`: how often servers for models, such as vLLM, are asked how they are, and how long they may take."""

    interval_s: Annotated[float, Meta(ge=0.1, le=60)] = 1.0
    timeout_s: PositiveSeconds = 5.0


class CacheSettings(Section, frozen=True, kw_only=True):
    """`[cache]`: repeats answers to the same question. Off unless `enabled`.

    `shared` stores them in Redis too; with `semantic`, questions count as the same from `semantic_threshold` (a cosine)
    on.
    """

    enabled: bool = False
    ttl_s: PositiveSeconds = 3600.0
    max_bytes: PositiveInt = 67_108_864
    max_entry_bytes: PositiveInt = 1_048_576
    shared: bool = False
    semantic: bool = False
    semantic_threshold: Annotated[float, Meta(gt=0, le=1)] = 0.95


class RedisSettings(Section, frozen=True, kw_only=True):
    """`[redis]`: a Redis or Valkey that machines share. `url` is a literal, `env:NAME` or `file:PATH`: a secret."""

    url: str | None = None

    def __repr__(self) -> str:
        return f"RedisSettings(url={'...' if self.url else None})"


class DatabaseSettings(Section, frozen=True, kw_only=True):
    """`[database]`: the PostgreSQL that has the ledger; SQLite files in the home folder have it without one.

    `url` is a literal, `env:NAME` or `file:PATH`: a secret. Keys that a worker knows go on being served for `grace_s`
    while there is no ledger.
    """

    url: str | None = None
    grace_s: PositiveSeconds = 60.0

    def __repr__(self) -> str:
        return f"DatabaseSettings(url={'...' if self.url else None}, grace_s={self.grace_s})"


class MeteringSettings(Section, frozen=True, kw_only=True):
    """`[metering]`: the usage journal between workers and the ledger."""

    segment_bytes: Annotated[int, Meta(ge=4096)] = 4_194_304
    journal_max_bytes: Annotated[int, Meta(ge=65_536)] = 1_073_741_824
    ingest_interval_s: PositiveSeconds = 0.5


class LogSettings(Section, frozen=True, kw_only=True):
    """`[log]`: `auto` is text on a terminal and JSON lines elsewhere."""

    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration.

    `aliases` maps a virtual model's name to a model, to another alias, or to a table of several. `mini` is the first
    compact model of this machine unless set otherwise. The tiers of `auto` are the aliases `mini` and `large`, if they
    exist and nothing else is set. `named_autos` are the tables `[auto.NAME]`, with what they take over from `[auto]`.
    """

    derived: ClassVar[frozenset[str]] = frozenset({"named_autos"})

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    local: LocalSettings = LocalSettings()
    providers: dict[str, ProviderSettings] = {}
    aliases: dict[Name, Name | AliasSettings] = {}
    routing: RoutingSettings = RoutingSettings()
    auto: AutoSettings = AutoSettings()
    named_autos: dict[Name, AutoSettings] = {}
    catalog: CatalogSettings = CatalogSettings()
    discovery: DiscoverySettings = DiscoverySettings()
    cache: CacheSettings = CacheSettings()
    redis: RedisSettings = RedisSettings()
    database: DatabaseSettings = DatabaseSettings()
    accounts: AccountSettings = AccountSettings()
    openid: OpenIdSettings = OpenIdSettings()
    mail: MailSettings = MailSettings()
    metering: MeteringSettings = MeteringSettings()
    credits: CreditSettings = CreditSettings()
    stripe: StripeSettings = StripeSettings()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        if self.local.models and "mini" not in self.aliases:
            aliases = {"mini": self.local.models[0], **self.aliases}
            msgspec.structs.force_setattr(self, "aliases", aliases)
        if AUTO not in self.aliases:
            msgspec.structs.force_setattr(self, "auto", self._with_tiers(self.auto))
        named = {name: self._with_tiers(each) for name, each in self.named_autos.items()}
        msgspec.structs.force_setattr(self, "named_autos", named)

    @property
    def autos(self) -> dict[str, AutoSettings]:
        """`auto` and the named ones, by the name of the virtual model; only those that exist."""
        return {name: each for name, each in {AUTO: self.auto, **self.named_autos}.items() if each.tiers}

    def without_sign_in(self) -> Settings:
        """Returns the settings without what is for people who sign in, which has secrets."""
        return msgspec.structs.replace(self, openid=OpenIdSettings(), mail=MailSettings())

    def _with_tiers(self, auto: AutoSettings) -> AutoSettings:
        tiers = {tier: alias for tier, alias in _TIER_ALIASES.items() if not getattr(auto, tier)}
        return msgspec.structs.replace(auto, **{tier: each for tier, each in tiers.items() if each in self.aliases})
