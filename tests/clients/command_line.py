"""Programs of the command line: each is asked to act with its tools, for real, and then asked again in its session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.clients import places
from tests.clients.target import Step, Target, environment, said
from tests.emulator.agent import call, say

SHELL: Final = "printf weebill-%s 42"
SHELL_SAYS: Final = "weebill-42"
AGAIN: Final = f"And what did it say? {say('It said: {result}')}"
HELLO: Final = f"Say hello. {say('Hello there, wee bill.')}"
HELLO_SAID: Final = "Hello there, wee bill."


def _steps(target: Target, *steps: Callable[[], None]) -> list[Step]:
    """Each step until one fails, as each follows the one before; the first alone for a model that is free."""
    results = []
    for step in steps[:1] if target.free else steps:
        problem = ""
        try:
            step()
        except Exception as failure:
            problem = f"{type(failure).__name__}: {failure}"[:1500]
        results.append(Step(step.__name__, problem))
        if problem:
            break
    return results


def _heard(target: Target, text: str, *wanted: str) -> None:
    assert text.strip(), "no text"
    if not target.free:
        assert all(each in text for each in wanted), text[-1500:]


def claude_code(target: Target, home: Path) -> list[Step]:
    """Claude Code in print mode, with its tools for files and the shell."""
    work, model = home / "work", target.model()
    env = environment(
        home, ANTHROPIC_BASE_URL=target.url, ANTHROPIC_AUTH_TOKEN=target.key, ANTHROPIC_MODEL=model,
        ANTHROPIC_SMALL_FAST_MODEL=model, ANTHROPIC_DEFAULT_HAIKU_MODEL=model, DISABLE_TELEMETRY="1",
        DISABLE_ERROR_REPORTING="1", DISABLE_AUTOUPDATER="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        **({"CLAUDE_CODE_MAX_OUTPUT_TOKENS": "1024"} if target.free else {}),
    )  # fmt: skip
    command = [str(places.node() / "node_modules/.bin/claude"), "--print"]
    # Its own instructions are longer than a compact model's context.
    small = ["--system-prompt", "Be brief.", "--tools", ""] if target.free else []
    allowed = ["--allowedTools", "Bash Read Write"]
    note = work / "note.txt"

    def hello() -> None:
        _heard(target, said([*command, *small], work, env, HELLO), HELLO_SAID)

    def tools() -> None:
        file = {"file_path": str(note)}
        marks = call("Write", **file, content="wee\n"), call("Read", **file), call("Bash", command=SHELL)
        _heard(target, said([*command, *allowed], work, env, "Do it. " + " ".join(marks)), SHELL_SAYS)
        assert note.read_text() == "wee\n"

    def again() -> None:
        _heard(target, said([*command, *allowed, "--continue"], work, env, AGAIN), "It said:", SHELL_SAYS)

    return _steps(target, hello, tools, again)


_CODEX: Final = """
model_provider = "weebill"
[model_providers.weebill]
name = "Weebill"
base_url = "{url}/v1"
env_key = "WEEBILL_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
[analytics]
enabled = false
"""
_PATCH: Final = "*** Begin Patch\n*** Add File: note.txt\n+wee\n*** End Patch\n"


def codex(target: Target, home: Path) -> list[Step]:
    """Codex, with the tools that it gives a model that it does not know, and those of one that it knows."""
    work, settings = home / "work", home / ".codex"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "config.toml").write_text(_CODEX.format(url=target.url))
    env = environment(home, WEEBILL_API_KEY=target.key, CODEX_HOME=str(settings))
    program = str(places.node() / "node_modules/.bin/codex")
    command = [program, "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--model"]
    if target.free:
        (home / "brief.md").write_text("Be brief.")
        command[2:2] = ["--config", f"model_instructions_file={json.dumps(str(home / 'brief.md'))}"]
    known = target.model("gpt-5.5")

    def hello() -> None:
        _heard(target, said([*command, target.model(), HELLO], work, env), HELLO_SAID)

    def tools() -> None:
        _heard(target, said([*command, target.model(), call("exec_command", cmd=SHELL)], work, env), SHELL_SAYS)

    def patch() -> None:
        marks = f"{call('apply_patch', input=_PATCH)} {call('exec_command', cmd=SHELL)}"
        _heard(target, said([*command, known, marks], work, env), SHELL_SAYS)
        assert (work / "note.txt").read_text() == "wee\n"

    def again() -> None:
        _heard(target, said([*command, known, "resume", "--last", AGAIN], work, env), "It said:", SHELL_SAYS)

    def code() -> None:
        script = f"const r = await tools.exec_command({{cmd: {json.dumps(SHELL)}}}); text(r.output);"
        marks = call("exec", input=script)
        _heard(target, said([*command, target.model("gpt-6.2-sol"), marks], work, env), SHELL_SAYS)

    return _steps(target, hello, tools, patch, again, code)


_GEMINI_CLI: Final = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}


def gemini_cli(target: Target, home: Path) -> list[Step]:
    """Gemini CLI, with its tools for files and the shell."""
    work, settings = home / "work", home / ".gemini"
    settings.mkdir(parents=True, exist_ok=True)
    (home / "brief.md").write_text("Be brief.")
    chosen = {**_GEMINI_CLI, "tools": {"core": ["none"]}} if target.free else _GEMINI_CLI
    (settings / "settings.json").write_text(json.dumps(chosen))
    env = environment(
        home, GEMINI_API_KEY=target.key, GOOGLE_GEMINI_BASE_URL=target.url, GEMINI_CLI_TRUST_WORKSPACE="true",
        **({"GEMINI_SYSTEM_MD": str(home / "brief.md")} if target.free else {}),
    )  # fmt: skip
    program = str(places.node() / "node_modules/.bin/gemini")
    command = [program, "--model", target.model(), "--yolo"]
    note = work / "note.txt"

    def hello() -> None:
        _heard(target, said([*command, "--prompt", HELLO], work, env), HELLO_SAID)

    def tools() -> None:
        write = call("write_file", file_path=str(note), content="wee\n")
        marks = f"{write} {call('run_shell_command', command=SHELL)}"
        _heard(target, said([*command, "--prompt", marks], work, env), SHELL_SAYS)
        assert note.read_text() == "wee\n"

    def again() -> None:
        _heard(target, said([*command, "--resume", "latest", "--prompt", AGAIN], work, env), "It said:", SHELL_SAYS)

    return _steps(target, hello, tools, again)


_EDIT: Final = "hello.py\n```\n<<<<<<< SEARCH\n    return 1\n=======\n    return 2\n>>>>>>> REPLACE\n```\n"


def aider(target: Target, home: Path) -> list[Step]:
    """aider, which edits a file."""
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    env = environment(
        home, OPENAI_API_BASE=f"{target.url}/v1", OPENAI_API_KEY=target.key, LITELLM_LOCAL_MODEL_COST_MAP="True"
    )
    options = (
        "--no-git --yes-always --no-check-update --no-show-model-warnings --no-show-release-notes --analytics-disable "
        "--no-gitignore --no-pretty --no-fancy-input --edit-format diff --map-tokens 0 --no-detect-urls"
    )
    command = [str(places.python("aider") / "aider"), "--model", f"openai/{target.model()}", *options.split()]
    source = work / "hello.py"

    def hello() -> None:
        ask = [*command, "--edit-format", "ask"] if target.free else command
        _heard(target, said([*ask, "--message", HELLO], work, env), HELLO_SAID)

    def edit() -> None:
        source.write_text("def hello():\n    return 1\n")
        said([*command, "--message", f"Return two. {say(_EDIT)}", source.name], work, env)
        assert source.read_text() == "def hello():\n    return 2\n"

    return _steps(target, hello, edit)


_LLM: Final = """
- model_id: wee
  model_name: {model}
  api_base: {url}/v1
  api_key_name: weebill
  supports_tools: true
  supports_schema: true
"""
_FUNCTION: Final = '''
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}, 21 degrees"
'''


def llm(target: Target, home: Path) -> list[Step]:
    """`llm`: streams, answers in one piece, functions, conversations, schemas."""
    work, settings = home / "work", home / "llm"
    settings.mkdir(parents=True, exist_ok=True)
    (settings / "extra-openai-models.yaml").write_text(_LLM.format(model=target.model(), url=target.url))
    (settings / "functions.py").write_text(_FUNCTION)
    env = environment(home, LLM_USER_PATH=str(settings))
    command = [str(places.python("python") / "llm"), "--key", target.key]
    weather, given = "sunny in Paris, 21 degrees", call("get_weather", city="Paris")

    def hello() -> None:
        for how in ([], ["--no-stream"]):
            _heard(target, said([*command, "-m", "wee", "-s", "Be brief.", *how, HELLO], work, env), HELLO_SAID)

    def tools() -> None:
        options = ["-m", "wee", "--functions", str(settings / "functions.py")]
        for how in (["--no-stream"], []):
            _heard(target, said([*command, *options, *how, given], work, env), weather)

    def again() -> None:
        _heard(target, said([*command, "--continue", AGAIN], work, env), "It said:", weather)

    def schema() -> None:
        person = '{"name": "Ada", "age": 36}'
        answer = said([*command, "-m", "wee", "--schema", "name, age int", f"Who? {say(person)}"], work, env)
        assert json.loads(answer) == json.loads(person)

    return _steps(target, hello, tools, again, schema)
