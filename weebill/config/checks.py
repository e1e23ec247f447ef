"""Checks of settings beyond their types: unknown names, loops, addresses, files."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from urllib.parse import urlsplit

from weebill.catalog.dialects import BUILT_IN, dialects
from weebill.catalog.load import Catalogue, load
from weebill.catalog.pricing import weighed
from weebill.config.accounts import check_accounts
from weebill.config.auto import AUTO, AutoSettings, check_auto, path_of
from weebill.config.certificates import check_server, check_upstream
from weebill.config.credits import StripeSettings
from weebill.config.named import check_names
from weebill.config.offers import price_of
from weebill.config.problems import KeyPath, Locate, Problem, did_you_mean, dotted
from weebill.config.routing import WILDCARD, AliasSettings, Preferences, targets
from weebill.config.schema import Settings
from weebill.config.suggestions import known_provider

_PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?\Z")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
# Headers about one connection, or about a body as it was sent.
_NOT_FORWARDED = {
    *("accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"),
    *("keep-alive", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"),
}
_RESERVED_PROVIDERS = {
    "local": "the models of this machine",
    "cache": "answers that were given before",
}


def check(
    settings: Settings, locate: Locate, catalogue: Catalogue, installed: Collection[str] = (), *, names: bool = True
) -> Iterator[Problem]:
    """Yields all problems of well-typed settings. `catalogue` has the installation's own prices.

    `installed` are the models of this machine that are loaded when they are asked for. Without `names`, names of models
    and providers are not checked, as the settings may be incomplete.
    """
    yield from check_server(settings.server, locate)
    for name in _doubled(settings.local.models):
        yield Problem(locate(("local", "models")), f"`local.models` names `{name}` twice")
    for host in settings.local.images.allowed_hosts:
        if not _HOST.match(host):
            example = "write `example.com`, `example.com:8443` or `*.example.com`"
            yield Problem(locate(("local", "images", "allowed_hosts")), f"`{host}` is no host; {example}")
    for name in settings.providers:
        yield from _check_provider(name, settings, locate)
    if names:
        models = model_names(settings).union(installed)
        yield from _check_aliases(settings, models, locate)
        yield from _check_autos(settings, models, locate, catalogue)
        yield from _check_preferences(settings, locate)
    yield from _check_redis(settings, locate)
    yield from _check_database(settings, locate)
    yield from _check_stripe(settings.stripe, locate)
    yield from check_accounts(settings.accounts, settings.openid, settings.mail, locate)


def _check_provider(name: str, settings: Settings, locate: Locate) -> Iterator[Problem]:
    provider = settings.providers[name]
    path = ("providers", name)
    if not _PROVIDER_NAME.match(name):
        yield Problem(locate(path), f"provider name `{name}` may hold only a-z, 0-9, `-` and `_`")
    if name in _RESERVED_PROVIDERS:
        yield Problem(locate(path), f"provider name `{name}` is reserved for {_RESERVED_PROVIDERS[name]}")
    if problem := _url_problem(provider.base_url):
        meant = known_provider(name) if not provider.base_url else ""
        instead = f"; or did you mean [providers.{meant}]?" if meant and meant not in settings.providers else ""
        yield Problem(locate((*path, "base_url")), f"`providers.{name}.base_url` {problem}{instead}")
    # Other packages are asked for theirs only where it is none of these: that takes longer than all else here.
    if provider.dialect not in BUILT_IN and provider.dialect not in (known := dialects()):
        nearest = did_you_mean(provider.dialect, sorted(known))
        what = f"`providers.{name}.dialect` names unknown dialect `{provider.dialect}`{nearest}"
        yield Problem(locate((*path, "dialect")), what)
    for model in _doubled(provider.models):
        yield Problem(locate((*path, "models")), f"`providers.{name}.models` names `{model}` twice")
    if provider.api_keys and provider.api_key is not None:
        what = f"`providers.{name}.api_keys` stands in for `api_key`; give one of the two"
        yield Problem(locate((*path, "api_keys")), what)
    yield from check_upstream(name, provider, locate)
    for header in provider.forward_headers:
        if not _HEADER_NAME.match(header):
            what = f"`providers.{name}.forward_headers`: `{header}` is not a header name"
            yield Problem(locate((*path, "forward_headers")), what)
        elif header.lower() in _NOT_FORWARDED:
            what = f"`providers.{name}.forward_headers`: `{header}` is about the client's connection or body"
            yield Problem(locate((*path, "forward_headers")), what)


def _check_stripe(stripe: StripeSettings, locate: Locate) -> Iterator[Problem]:
    path = ("stripe",)
    if (stripe.secret_key is None) != (stripe.webhook_secret is None):
        yield Problem(locate(path), "`[stripe]` needs `secret_key` and `webhook_secret`, or neither")
    addresses = {"api_base": stripe.api_base}
    if stripe.secret_key:
        # Pages for people may have a `?`.
        addresses |= {
            "success_url": stripe.success_url.partition("?")[0],
            "cancel_url": stripe.cancel_url.partition("?")[0],
        }
    for name, url in addresses.items():
        if problem := _url_problem(url):
            yield Problem(locate((*path, name)), f"`stripe.{name}` {problem}")
    if stripe.least_dollars > stripe.most_dollars:
        yield Problem(locate((*path, "least_dollars")), "`stripe.least_dollars` is more than `most_dollars`")


def _url_problem(url: str) -> str:
    if not url:
        return 'is missing; give the address of its API, such as "https://api.example.com/v1"'
    try:
        parts = urlsplit(url)
        port_fits = parts.port != 0
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        return 'must be an http or https URL with a host, such as "https://api.example.com/v1"'
    if parts.username is not None or parts.password is not None:
        return "must not hold a user or password; give the key as `api_key`"
    if parts.query or parts.fragment:
        return "must not hold a `?` or `#` part"
    if not url.isascii() or not url.isprintable() or " " in url:
        return "must be plain ASCII without spaces"
    return ""


def _check_aliases(settings: Settings, models: set[str], locate: Locate) -> Iterator[Problem]:
    for alias, target in settings.aliases.items():
        where = locate(("aliases", alias))
        if loop := _loop(alias, settings.aliases):
            yield Problem(where, f"alias `{alias}` leads back to itself: {' -> '.join(loop)}")
            continue
        if max(name.count(WILDCARD) for name in targets(target)) > alias.count(WILDCARD):
            yield Problem(where, f"alias `{alias}` has fewer `*` than what it stands for")
            continue
        for name in targets(target):
            if WILDCARD in name:
                continue  # a pattern's target depends on the request
            if name not in models and name not in settings.aliases and not may_be_listed(name, settings):
                known = sorted(models | set(settings.aliases) - {alias})
                yield Problem(where, f"alias `{alias}` names unknown model `{name}`{_instead(name, known, settings)}")
        if isinstance(target, AliasSettings):
            for name in target.weights:
                if name not in target.models:
                    nearest = did_you_mean(name, target.models)
                    what = f"`aliases.{alias}.weights` weighs `{name}`, which is not among its `models`{nearest}"
                    yield Problem(where, what)


def _check_autos(settings: Settings, models: set[str], locate: Locate, catalogue: Catalogue) -> Iterator[Problem]:
    known = models | set(settings.aliases)
    if settings.auto.tiers and AUTO in known:
        yield Problem(locate(("aliases", AUTO)), f"`{AUTO}` is the name of what `[auto]` sets up; choose another")
    yield from check_names(settings.named_autos, known, locate)
    for name, auto in {AUTO: settings.auto, **settings.named_autos}.items():
        yield from check_auto(name, auto, locate)
        path = path_of(name)
        for tier, model in {"small": auto.small, "mid": auto.mid, "large": auto.large}.items():
            if model and model not in known and not may_be_listed(model, settings):
                instead = _instead(model, sorted(known), settings)
                what = f"`{dotted((*path, tier))}` names unknown model `{model}`{instead}"
                yield Problem(locate((*path, tier)), what)
        if auto.target.spend is not None and known.issuperset(auto.tiers.values()):
            yield from _check_spend(path, auto, settings, locate, catalogue)


def _check_spend(
    path: KeyPath, auto: AutoSettings, settings: Settings, locate: Locate, catalogue: Catalogue
) -> Iterator[Problem]:
    """Yields a problem for each tier without the price that a target for spend needs."""
    where, table = locate((*path, "target", "spend")), dotted(path)
    for tier, name in auto.tiers.items():
        price = price_of(name, settings, catalogue)
        if price is None:
            what = "which neither the catalogue nor its overlay has; `share` needs no prices"
            yield Problem(where, f"`{table}.target.spend` needs the price of `{name}` (`{table}.{tier}`), {what}")
        elif tier == "large" and not weighed(price):
            yield Problem(where, f"`{table}.target.spend` is a share of what `{name}` (`{table}.large`) costs: nothing")


def _instead(name: str, known: list[str], settings: Settings) -> str:
    """Returns the remedy for an unknown name: give its provider a key, or spell it right."""
    provider = load().providers.get(name.partition("/")[0])
    if provider is not None and provider.id not in settings.providers and provider.credentials:
        return f"; {provider.name} serves models once {' and '.join(provider.credentials[0])} is set"
    return did_you_mean(name, known)


def _check_preferences(settings: Settings, locate: Locate) -> Iterator[Problem]:
    """Yields the unknown providers in preferences."""
    known = sorted({*settings.providers, *load().providers, *_RESERVED_PROVIDERS})
    scopes: dict[KeyPath, Preferences] = {("routing", "preferences"): settings.routing.preferences}
    scopes |= {("routing", "keys", name): each for name, each in settings.routing.keys.items()}
    scopes |= {
        ("aliases", name, "preferences"): each.preferences
        for name, each in settings.aliases.items()
        if isinstance(each, AliasSettings)
    }
    for path, preferences in scopes.items():
        for field, names in (
            ("order", preferences.order), ("only", preferences.only), ("ignore", preferences.ignore)
        ):  # fmt: skip
            for name in names:
                if name not in known:
                    what = f"`{dotted((*path, field))}` names unknown provider `{name}`{did_you_mean(name, known)}"
                    yield Problem(locate((*path, field)), what)


def model_names(settings: Settings) -> set[str]:
    """Returns every name of a configured model, except for aliases."""
    names = {*settings.local.models, *(f"local/{model}" for model in settings.local.models)}
    for provider, each in settings.providers.items():
        names.update(each.models)
        names.update(f"{provider}/{model}" for model in each.models)
    names.update(_catalogued(settings))
    return names


def may_be_listed(name: str, settings: Settings) -> bool:
    """True if a server may list a model of that name by itself, which nobody knows before it has been asked."""
    listing = {
        provider
        for provider, each in settings.providers.items()
        if not each.models and (row := load().providers.get(each.identity(provider))) is not None and row.server
    }
    pinned, slash, _ = name.partition("/")
    return bool(listing) and (not slash or pinned not in settings.providers or pinned in listing)


def _catalogued(settings: Settings) -> Iterator[str]:
    """Yields the catalogue's names of the models that the providers serve."""
    sections: dict[str, list[str]] = {}
    for name, provider in settings.providers.items():
        sections.setdefault(provider.identity(name), []).append(name)
    for model in load().models.values():
        for offer in model.offers:
            for name in sections.get(offer.provider, ()):
                served = settings.providers[name].models
                if not served or offer.name in served:
                    yield from (model.id, offer.name, f"{name}/{offer.name}")


def _loop(alias: str, aliases: Mapping[str, str | AliasSettings]) -> list[str]:
    """Returns the path from an alias back to itself, if there is one."""
    trails = [[alias]]
    seen = set()
    while trails:
        trail = trails.pop()
        for target in targets(aliases[trail[-1]]):
            if target == alias:
                return [*trail, target]
            if target in aliases and target not in seen:
                seen.add(target)
                trails.append([*trail, target])
    return []


def _doubled(names: tuple[str, ...]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _check_database(settings: Settings, locate: Locate) -> Iterator[Problem]:
    if settings.database.url is not None and importlib.util.find_spec("asyncpg") is None:
        yield Problem(locate(("database", "url")), "`database.url` needs asyncpg: pip install 'weebill[postgres]'")


def _check_redis(settings: Settings, locate: Locate) -> Iterator[Problem]:
    if settings.redis.url is not None and importlib.util.find_spec("redis") is None:
        yield Problem(locate(("redis", "url")), "`redis.url` needs redis-py: pip install 'weebill[redis]'")
    if settings.cache.shared and settings.redis.url is None:
        yield Problem(locate(("cache", "shared")), "`cache.shared` needs `redis.url`, where the answers are to be kept")
