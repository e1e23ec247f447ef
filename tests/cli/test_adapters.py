"""`weebill adapters`, with a discovery process that watches servers on loopback."""

from __future__ import annotations

import asyncio
import json

from tests.cli.conftest import CommandLine
from tests.fixtures.discovering import discovering, serving
from tests.fixtures.model_servers import running_server


async def test_adapters_are_loaded_at_the_only_server_or_at_those_named(weebill: CommandLine) -> None:
    async with running_server("vllm") as first, running_server("sglang") as second:
        file = weebill.home.root / "weebill.toml"
        file.write_text(f'[local]\nmodels = []\n[providers.one]\ncatalog = "vllm"\nbase_url = "{first.base_url}"\n')
        async with discovering(weebill.home, serving(one=first, two=second)):
            said = await asyncio.to_thread(weebill.ok, "adapters", "load", "sql", "/loras/sql")
            assert said == "Loaded sql at one\n"
            both = ("--provider", "one", "--provider", "two")
            await asyncio.to_thread(weebill.ok, "adapters", "load", "py", "/loras/py", *both)
            assert (first.adapters.keys(), second.adapters.keys()) == ({"sql", "py"}, {"py"})
            listed = json.loads(await asyncio.to_thread(weebill.ok, "adapters", "list", "--json"))
            assert [(each["provider"], each["name"]) for each in listed] == [
                ("one", "py"),
                ("one", "sql"),
                ("two", "py"),
            ]
            again = await asyncio.to_thread(weebill.fails, 1, "adapters", "load", "sql", "/loras/sql")
            assert "one: The lora adapter 'sql' has already been loaded." in again
            assert await asyncio.to_thread(weebill.ok, "adapters", "unload", "py", *both) == (
                "Unloaded py at one\nUnloaded py at two\n"
            )
            assert (first.adapters.keys(), second.adapters.keys()) == ({"sql"}, set())


def test_without_a_running_process_the_hint_says_what_to_start(weebill: CommandLine) -> None:
    assert "hint: `weebill serve` watches" in weebill.fails(1, "adapters")
    no_server = weebill.fails(1, "adapters", "load", "sql", "/loras/sql")
    assert "no server that takes adapters is configured" in no_server


async def test_a_request_for_a_model_that_only_a_server_lists_is_explained(weebill: CommandLine) -> None:
    async with running_server("vllm", waiting=3) as first, running_server("vllm", starting=True) as second:
        tables = [
            f'[providers.{name}]\ncatalog = "vllm"\nbase_url = "{each.base_url}"\n'
            for name, each in (("one", first), ("two", second))
        ]
        file = weebill.home.root / "weebill.toml"
        file.write_text('[local]\nmodels = []\n[routing]\npolicy = "least_load"\n' + "".join(tables))
        request = json.dumps({"model": first.base, "messages": [{"role": "user", "content": "Hi"}]})
        async with discovering(weebill.home, serving(one=first, two=second)):
            async with asyncio.timeout(60):
                while not second.asked("/health") or not first.asked("/metrics"):
                    await asyncio.sleep(0.02)
            said = await asyncio.to_thread(weebill.ok, "route", "explain", "-", stdin=request)
        assert f"{first.base}, by least_load" in said
        assert "its server is unready" in said
