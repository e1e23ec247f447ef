"""The typed settings of an installation: what `weebill.toml`, the environment and flags may say.

Every struct is immutable and refuses unknown fields.
Durations are seconds (`_s`), sizes are bytes (`_bytes`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from weebill.catalog.schema import Quirks
from weebill.catalog.traits import OnUnsupported
from weebill.config.auto import AUTO, AutoSettings
from weebill.config.limits import LimitSettings
from weebill.config.routing import AliasSettings, Quantization, RoutingSettings
from weebill.config.section import Name, NonNegativeInt, PositiveInt, PositiveSeconds, Seconds, Section

Port = Annotated[int, Meta(ge=0, le=65535)]
NOBODY = "none"
"""What `catalog` says of a provider that is none of the catalogue's."""
_TIER_ALIASES = {"small": "mini", "large": "large"}


class ServerSettings(Section, frozen=True, kw_only=True):
    """`[server]`: where Weebill listens, what it accepts, and what all of its answers have in common.

    `model_in_answers` is the name by which an answer calls its model; `keepalive_s` how long a stream may be silent
    before its client is given a sign, 0 for none; `watchdog_s` how long a process of the installation may leave the
    supervisor without an answer before it is killed and started again, 0 for ever.
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
    model_in_answers: Literal["asked", "served"] = "asked"


class EngineSettings(Section, frozen=True, kw_only=True):
    """`[local.engine]`: how each compact model is run. `threads = 0` leaves a core for the rest.

    `memory_mb` is the most that a host may take, in MiB; 0 is what loading took and some more.
    """

    context: Annotated[int, Meta(ge=256)] = 8192
    parallel: Annotated[int, Meta(ge=1, le=256)] = 4
    threads: NonNegativeInt = 0
    max_waiting: PositiveInt = 64
    memory_mb: Annotated[int, Meta(ge=0, le=1 << 30)] = 0


class LocalSettings(Section, frozen=True, kw_only=True):
    """`[local]`: the compact models that this machine runs, and where their files are."""

    models: tuple[Name, ...] = ("smollm2:135m",)
    models_dir: str | None = None
    engine: EngineSettings = EngineSettings()


class ProviderSettings(Section, frozen=True, kw_only=True):
    """`[providers.NAME]`: an upstream. Its secrets are literals, `env:NAME` or `file:PATH`.

    `catalog` is which provider of the catalogue it is, whose prices, facts and quirks it has: "" until loading has
    found that out by its name or address, NOBODY for one that is none. Loading fills in what `weebill.catalog` knows of
    it (dialect, address, options, quirks), and the secrets themselves. Without `models`, a provider of the catalogue
    serves all that the catalogue has of it. `api_keys` are used in turn. `proxy` is the URL of an HTTP proxy, a secret
    too, "" or "none" for none; unless set, loading takes that of the environment. `first_byte_timeout_s` is for all
    answers; unless set, those in one piece, whose head comes when they are complete, have longer than streams. From
    `weight` on, what routing goes by: what the catalogue says of data holds where nothing is set.
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
        """Which provider of the catalogue the one configured as `name` is."""
        return self.catalog or name

    def __repr__(self) -> str:
        # Without the key: settings end up in logs and tracebacks.
        return f"ProviderSettings(dialect={self.dialect!r}, base_url={self.base_url!r}, models={self.models!r})"


class CatalogSettings(Section, frozen=True, kw_only=True):
    """`[catalog]`: `activate` uses every provider whose key is in the environment, configured or not."""

    activate: bool = True


class CacheSettings(Section, frozen=True, kw_only=True):
    """`[cache]`: answers that are given again to those who ask the same. Off unless `enabled`.

    `shared` keeps them in Redis too; `semantic` counts questions as the same from `semantic_threshold` (a cosine) on.
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

    `aliases` maps a virtual model name to a model name or another alias, or to a table of several. `mini` is always
    there when this machine runs a compact model, and is the first of them unless set otherwise. The tiers of `auto` are
    the aliases `mini` and `large` where these are there and nothing else is set.
    """

    server: ServerSettings = ServerSettings()
    limits: LimitSettings = LimitSettings()
    local: LocalSettings = LocalSettings()
    providers: dict[str, ProviderSettings] = {}
    aliases: dict[Name, Name | AliasSettings] = {}
    routing: RoutingSettings = RoutingSettings()
    auto: AutoSettings = AutoSettings()
    catalog: CatalogSettings = CatalogSettings()
    cache: CacheSettings = CacheSettings()
    redis: RedisSettings = RedisSettings()
    metering: MeteringSettings = MeteringSettings()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        if self.local.models and "mini" not in self.aliases:
            aliases = {"mini": self.local.models[0], **self.aliases}
            msgspec.structs.force_setattr(self, "aliases", aliases)
        tiers = {tier: alias for tier, alias in _TIER_ALIASES.items() if not getattr(self.auto, tier)}
        tiers = {tier: alias for tier, alias in tiers.items() if alias in self.aliases}
        if tiers and AUTO not in self.aliases:
            msgspec.structs.force_setattr(self, "auto", msgspec.structs.replace(self.auto, **tiers))
