"""The programs, by name: how each is run against a target."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.clients import places
from tests.clients.command_line import aider, claude_code, codex, gemini_cli, llm
from tests.clients.target import Step, Target, environment

_LIMIT_S: Final = 240


@dataclass(frozen=True)
class Program:
    """`shown` is its name in the documentation, `package` what its version is found by there."""

    shown: str
    packages: tuple[str, ...]
    run: Callable[[Target, Path], list[Step]]


def _driven(command: list[str], target: Target, home: Path) -> list[Step]:
    """The steps of a program of ours that uses a library; it prints a line of JSON for each."""
    env = environment(
        home, WEEBILL_URL=target.url, WEEBILL_KEY=target.key, WEEBILL_MODEL=target.model(),
        WEEBILL_FREE=str(int(target.free)), LITELLM_LOCAL_MODEL_COST_MAP="True", OPENAI_AGENTS_DISABLE_TRACING="1",
        LANGSMITH_TRACING="false", HF_HUB_DISABLE_TELEMETRY="1", PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    done = subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=_LIMIT_S)
    steps = [Step(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith('{"name"')]
    if not steps or (done.returncode and not any(step.problem for step in steps)):
        steps.append(Step("end", f"exit {done.returncode}: {done.stderr[-1500:]}"))
    return steps


def _python(script: str, target: Target, home: Path) -> list[Step]:
    return _driven([str(places.python("python") / "python"), str(places.HERE / "python" / script)], target, home)


def _node(script: str, target: Target, home: Path) -> list[Step]:
    # A module finds its packages beside itself.
    place = places.node() / script
    place.write_bytes((places.HERE / "node" / script).read_bytes())
    return _driven(["node", str(place)], target, home)


def _by_python(shown: str, script: str, *packages: str) -> Program:
    return Program(shown, packages, partial(_python, script))


PROGRAMS: Final = {
    "claude_code": Program("Claude Code", ("@anthropic-ai/claude-code",), claude_code),
    "codex": Program("Codex", ("@openai/codex",), codex),
    "gemini_cli": Program("Gemini CLI", ("@google/gemini-cli",), gemini_cli),
    "aider": Program("aider", ("aider-chat",), aider),
    "llm": Program("llm", ("llm",), llm),
    "open_webui": Program("Open WebUI (its requests)", (), partial(_python, "open_webui.py")),
    "openai_sdk": _by_python("OpenAI SDK", "openai_sdk.py", "openai"),
    "anthropic_sdk": _by_python("Anthropic SDK", "anthropic_sdk.py", "anthropic"),
    "google_genai": _by_python("Google Gen AI SDK", "google_genai.py", "google-genai"),
    "ollama": _by_python("Ollama's library and LangChain's", "ollama_clients.py", "ollama", "langchain-ollama"),
    "openai_agents": _by_python("OpenAI Agents SDK", "openai_agents.py", "openai-agents"),
    "pydantic_ai": _by_python("Pydantic AI", "pydantic_ai_agents.py", "pydantic-ai-slim"),
    "instructor": _by_python("Instructor", "instructor_modes.py", "instructor"),
    "langchain": _by_python(
        "LangChain", "langchain_classes.py", "langchain-openai", "langchain-anthropic", "langchain-google-genai"
    ),
    "litellm": _by_python("LiteLLM", "litellm_client.py", "litellm"),
    "smolagents": _by_python("smolagents", "smolagents_agent.py", "smolagents"),
    "ai_sdk": Program(
        "Vercel AI SDK",
        ("ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible", "@ai-sdk/anthropic", "@ai-sdk/google"),
        partial(_node, "ai_sdk.mjs"),
    ),
}
