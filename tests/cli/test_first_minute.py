"""`auto` from the first key on, with real processes: where the choice is told, and whose threshold explains it."""

import asyncio
import json

import pytest

from tests.cli.test_serve import WAIT_S, serving
from tests.fixtures.upstream import answer, complete, completion, running_upstream, send
from weebill.cli.running_auto import NOT_RUNNING
from weebill.gateway.thresholds import told

FLAGSHIP = "openai/gpt-oss-120b"
TIERS = f"small mini, large {FLAGSHIP} (the flagship of groq, by the catalogue)"
ASKED = {"model": "auto", "messages": [{"role": "user", "content": "What is the capital of France?"}]}


@pytest.fixture
async def pair(weebill):
    """The upstreams of a small and a large model, of which the configuration names only the small one."""
    async with running_upstream() as small, running_upstream() as large:
        small.script = complete(completion("From the small one."))
        large.script = complete(completion("From the large one."))
        weebill.home.config_file.write_text(
            '[local]\nmodels = []\n[aliases]\nmini = "gpt"\n'
            f'[providers.acme]\nbase_url = "{small.base_url}"\nmodels = ["gpt"]\n'
            f'[providers.groq]\nbase_url = "{large.base_url}"\n[auto.audits]\nenabled = false\n'
        )
        weebill.env |= {"GROQ_API_KEY": "gsk"}
        yield small, large


@pytest.fixture
def explain(weebill, tmp_path):
    request = tmp_path / "request.json"
    request.write_text(json.dumps(ASKED))

    async def explained(*options):
        return await asyncio.to_thread(weebill.ok, "route", "explain", str(request), *options)

    return explained


async def test_one_key_is_enough(weebill, pair, explain):
    small, large = pair
    async with serving(weebill) as running, running.client() as client:
        assert f"  auto       {TIERS}\n" in running.printed
        assert "auto" in {each["id"] for each in (await client.get("/models")).json()["data"]}
        assert (await client.post("/chat/completions", json=ASKED)).json()["choices"][0]["message"]["content"] == (
            "From the large one."
        )
        # What must stay on this machine goes to nobody, whoever was chosen.
        private = ASKED | {"provider": {"local_only": True}}
        assert (await client.post("/chat/completions", json=private)).status_code == 404
        assert (len(small.requests), len(large.requests)) == (0, 1)
        large.script = send(answer(401, b"{}"))
        response = await client.post("/chat/completions", json=ASKED)
        assert response.json()["choices"][0]["message"]["content"] == "From the small one."
        assert response.headers["x-weebill-route"].endswith(";auto:large->small(unavailable)")
        text = await explain()
        assert (
            f"auto chooses large ({FLAGSHIP}): quality not yet known\nthe threshold is the running server's\n" in text
        )
        assert f"large is {FLAGSHIP}, the flagship of groq, by the catalogue\n" in text
        assert "if that is down, mini answers\n" in text
        listed = await asyncio.to_thread(weebill.ok, "list")
        assert TIERS in " ".join(listed.split())
        assert (await asyncio.to_thread(weebill.ok, "models")).endswith(f"\nauto: {TIERS}\n")
    shown = json.loads(await explain("--json"))["auto"]
    assert (shown["threshold_from"], shown["flagship_of"], shown["falls_back_to"]) == (NOT_RUNNING, "groq", "mini")


async def test_an_explanation_has_the_running_workers_threshold(weebill, pair, explain):
    weebill.home.config_file.write_text(weebill.home.config_file.read_text() + "[auto.target]\nshare = 0.5\n")
    async with serving(weebill) as running, running.client() as client:
        for number in range(40):
            await client.post("/chat/completions", json=ASKED | {"user": f"{number}"})
        async with asyncio.timeout(WAIT_S):
            while abs(sum(told(weebill.home.counters, "auto", "share")) - 0.5) < 0.02:
                await asyncio.sleep(0.05)
            thresholds, text = [], ""
            while thresholds != told(weebill.home.counters, "auto", "share"):  # it may move after the last answer, too
                thresholds, text = told(weebill.home.counters, "auto", "share"), await explain()
        [threshold] = thresholds
        assert f"{threshold:.2f}\nthe threshold is the running server's\n" in text
    text = await explain()
    assert f"0.50\n{NOT_RUNNING}\n" in text


async def test_problems_of_a_target_are_found_before_the_first_request(weebill, pair):
    written = weebill.home.config_file.read_text() + "[auto.target]\nspend = 0.3\n"
    weebill.home.config_file.write_text(written)
    said = await asyncio.to_thread(weebill.fails, 2, "config", "check")
    assert "`auto.target.spend` needs the price of `mini` (`auto.small`)" in said
    weebill.home.config_file.write_text(written.replace('mini = "gpt"', f'mini = "{FLAGSHIP}"'))
    result = await asyncio.to_thread(weebill, "config", "check")
    assert result.returncode == 0
    assert f"`auto.target.spend = 0.3` cannot be kept: `mini` alone costs 1.00 of `{FLAGSHIP}`" in result.stderr
