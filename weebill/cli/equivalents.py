"""Commands of other tools, such as Ollama, git or Docker, and their equivalents here."""

from __future__ import annotations

from collections.abc import Mapping

from typer._click.core import Command, Context
from typer.core import TyperGroup

from weebill.cli.errors import USAGE, CommandError

_FILE = "the file that `weebill config path` names"
_STOP = "end it with Ctrl-C where it runs, or with SIGTERM to the process that `weebill status` names"
_KEY = f"give the provider's `api_key` in {_FILE}, or set its variable; `weebill providers` says which"
_EDIT = f"edit {_FILE}, then `weebill config check` and `weebill reload`"
_PROVIDER = f"put [providers.NAME] into {_FILE}, or set its variable; `weebill providers` says which"
_PRICES = "`weebill catalog refresh --from FILE|URL` brings prices up to date, and pip Weebill itself"

# By group: the typed command, and its equivalent. If it begins with `weebill`, it is a command with the same arguments.
INSTEAD: Mapping[str, Mapping[str, str]] = {
    "weebill": {
        **dict.fromkeys(("info", "inspect"), "weebill show"),
        "top": "weebill ps",
        "health": "weebill status",
        "tags": "weebill list",
        **dict.fromkeys(("search", "find"), "weebill models"),
        **dict.fromkeys(("start", "up", "server", "launch"), "weebill serve"),
        **dict.fromkeys(("chat", "ask", "complete", "generate"), "weebill run"),
        **dict.fromkeys(("fetch", "get", "download", "install", "import"), "weebill pull"),
        **dict.fromkeys(("remove", "delete", "uninstall"), "weebill rm"),
        **dict.fromkeys(("key", "token", "tokens", "api-key", "api-keys"), "weebill keys"),
        **dict.fromkeys(("check", "validate", "lint", "doctor"), "weebill config check"),
        **dict.fromkeys(("test", "ping"), "weebill providers test"),
        **dict.fromkeys(("update", "upgrade"), _PRICES),
        **dict.fromkeys(("down", "kill", "quit"), _STOP),
        "unload": "weebill stop",
        **dict.fromkeys(("login", "signin", "auth"), _KEY),
        **dict.fromkeys(("stats", "cost", "costs", "spend"), "weebill usage"),
        **dict.fromkeys(("log", "logs"), "Weebill logs to the standard error of `weebill serve`; [log] says how much"),
        "copy": "weebill cp",
        "alias": f"[aliases] in {_FILE} gives a model another name, and `weebill cp` one of this machine",
        **dict.fromkeys(("init", "setup", "configure", "edit"), f"`weebill serve` needs no preparation; else {_EDIT}"),
        "restart": f"{_STOP}, and start it with `weebill serve`; `weebill reload` applies most settings without",
        "explain": "weebill route explain",
        "refresh": "weebill catalog refresh",
        "train": "weebill router train",
        "model": "weebill models",
        "provider": "weebill providers",
        "experiments": "weebill experiment",
        "database": "weebill db",
        **{name: f"weebill db {name}" for name in ("backup", "restore")},
        "migrate": "weebill db upgrade",
        **dict.fromkeys(("org", "organization", "organizations", "organisation", "organisations"), "weebill orgs"),
        **dict.fromkeys(("project", "workspace", "workspaces"), "weebill projects"),
        **dict.fromkeys(("user", "accounts"), "weebill users"),
        **dict.fromkeys(("member", "team", "teams"), "weebill members"),
        **dict.fromkeys(("service-account", "svc"), "weebill service-accounts"),
        "help": "weebill --help",
    },
    **{
        group: {
            **dict.fromkeys(("add", "new", "make"), f"weebill {group} create"),
            **dict.fromkeys(("rm", "remove", "delete"), f"weebill {group} {ending}"),
            "ls": f"weebill {group} list",
        }
        for group, ending in (
            ("orgs", "archive"),
            ("projects", "archive"),
            ("users", "disable"),
            ("service-accounts", "disable"),
        )
    },
    "members": {
        **dict.fromkeys(("create", "invite", "new"), "weebill members add"),
        **dict.fromkeys(("rm", "delete"), "weebill members remove"),
        **dict.fromkeys(("role", "edit", "change"), "weebill members set"),
        "ls": "weebill members list",
    },
    "audit": {
        **dict.fromkeys(("show", "log", "ls"), "weebill audit list"),
        **dict.fromkeys(("check", "validate"), "weebill audit verify"),
    },
    "keys": {
        **dict.fromkeys(("add", "new", "make", "generate", "gen"), "weebill keys create"),
        **dict.fromkeys(("rm", "remove", "delete", "del", "disable"), "weebill keys revoke"),
        "ls": "weebill keys list",
        **dict.fromkeys(("get", "info", "inspect", "describe"), "weebill keys show"),
        **dict.fromkeys(("edit", "update", "change", "modify", "limit"), "weebill keys set"),
        **dict.fromkeys(("roll", "renew", "regenerate"), "weebill keys rotate"),
    },
    "config": {
        **dict.fromkeys(("validate", "test", "lint", "verify"), "weebill config check"),
        **dict.fromkeys(("get", "list", "ls", "print", "dump", "cat", "view"), "weebill config show"),
        **dict.fromkeys(("file", "where", "which"), "weebill config path"),
        **dict.fromkeys(("edit", "set", "unset", "init"), _EDIT),
        **dict.fromkeys(("reload", "apply"), "weebill reload"),
    },
    "route": dict.fromkeys(("show", "why", "test", "check"), "weebill route explain"),
    "experiment": {
        **dict.fromkeys(("start", "new", "add", "begin"), "weebill experiment create"),
        **dict.fromkeys(("stop", "end", "rm", "remove", "delete", "cancel"), "weebill experiment rollback"),
        **dict.fromkeys(("status", "compare", "results", "get"), "weebill experiment show"),
        **dict.fromkeys(("accept", "finish"), "weebill experiment promote"),
        "ls": "weebill experiment list",
    },
    "models": {
        **dict.fromkeys(("info", "get", "inspect", "describe"), "weebill models show"),
        **dict.fromkeys(("pull", "fetch", "download", "install"), "weebill pull"),
        **dict.fromkeys(("rm", "remove", "delete"), "weebill rm"),
        **dict.fromkeys(("search", "find", "ls"), "weebill models"),
        **dict.fromkeys(("refresh", "update"), _PRICES),
        **dict.fromkeys(("add", "create"), f"name it in `models` of its [providers.NAME] in {_FILE}"),
    },
    "providers": {
        **dict.fromkeys(("add", "create", "new"), _PROVIDER),
        **dict.fromkeys(("login", "auth"), _KEY),
        **dict.fromkeys(("rm", "remove", "delete", "disable"), f"take [providers.NAME] out of {_FILE}"),
        **dict.fromkeys(("check", "ping", "probe", "verify"), "weebill providers test"),
        **dict.fromkeys(("show", "get", "info", "ls"), "weebill providers list"),
    },
    "db": {
        **dict.fromkeys(("show", "status", "stats"), "weebill db info"),
        **dict.fromkeys(("migrate", "update", "init"), "weebill db upgrade"),
        **dict.fromkeys(("dump", "export", "save"), "weebill db backup"),
        **dict.fromkeys(("load", "import"), "weebill db restore"),
    },
    "usage": {
        **dict.fromkeys(("show", "list", "ls", "stats"), "weebill usage report"),
        **dict.fromkeys(("dump", "download", "save"), "weebill usage export"),
    },
    "catalog": {
        **dict.fromkeys(("update", "sync", "fetch", "pull", "upgrade"), "weebill catalog refresh"),
        **dict.fromkeys(("list", "show", "ls", "search"), "weebill models"),
    },
    "router": {
        **dict.fromkeys(("evaluate", "test", "measure"), "weebill router eval"),
        **dict.fromkeys(("fit", "learn"), "weebill router train"),
        **dict.fromkeys(("info", "status"), "weebill router show"),
    },
}


class Guide(TyperGroup):
    """A group that points out the equivalent of another tool's command."""

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        if args and args[0] not in self.commands:
            point_elsewhere(self.name or ctx.info_name or "", args)
        return super().resolve_command(ctx, args)


def point_elsewhere(group: str, args: list[str]) -> None:
    """Raises CommandError if `args` begin with another tool's command that has an equivalent here."""
    typed, *rest = args
    instead = INSTEAD.get(group, {}).get(typed)
    if instead is None:
        return
    if typed == "help" and rest:
        instead, rest = f"weebill {' '.join(rest)} --help", []
    if instead.startswith("weebill "):
        instead = f"did you mean `{' '.join((instead, *rest))}`?"
    path = "weebill" if group == "weebill" else f"weebill {group}"
    raise CommandError(f"`{path}` has no command `{typed}`", instead, USAGE)
