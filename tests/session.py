"""`make session`: a session with local models and no network, as a page of the documentation.

Every command is run as it is shown, by bash, in a new installation, and every answer is what it printed. Proxies that
refuse all connections stand for the missing network. The first commands fetch models, so they alone may use it.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.session_steps import OFFLINE, ONLINE, Step

_ROOT: Final = Path(__file__).parents[1]
_PAGE: Final = _ROOT / "docs" / "session.md"
_PORT: Final = 8080
_START_S: Final = 120.0
_STEP_S: Final = 120.0
# A port on which nothing listens: whatever tries to leave this machine fails at once.
_NOWHERE: Final = "http://127.0.0.1:9"
_WIDTH: Final = 110
# A terminal shows a bar instead.
_PROGRESS: Final = re.compile(r"(Downloading|Unpacking|Converting|Verifying) \S+: .* of ")
_INTRODUCTION: Final = """# A session offline

Everything below was run by `make session` on {machine}, in a new installation, and is shown as it was printed, but for
progress bars. The first two commands fetch models from packages; from then on, every connection to another machine is
refused.
"""


class SessionError(Exception):
    """A command failed, or printed what it should not."""


class Ran(NamedTuple):
    """A step, with what it printed and the seconds that it took."""

    step: Step
    printed: str
    seconds: float


def main() -> None:
    """Runs the session, and writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=_PAGE)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory(prefix="weebill-session-") as folder:
        page = "\n".join(_page(session(Path(folder))))
    out.write_text(page)
    print(f"written to {out}")


def session(folder: Path) -> Iterator[Ran]:
    """Yields each step once it has been run. Raises SessionError."""
    environment = _environment(folder)
    for step in ONLINE:
        yield _run(step, folder, environment)
    environment |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _NOWHERE)
    environment |= {"no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(["weebill", "serve", "--quiet"], env=environment, stdout=log, stderr=log)
        try:
            environment["WEEBILL_API_KEY"] = _key(folder / ".weebill" / "first.key", server)
            for step in OFFLINE:
                yield _run(step, folder, environment)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(_STEP_S)


def _environment(folder: Path) -> dict[str, str]:
    """Returns that of a new user, with this checkout's commands first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WEEBILL_", "HF_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"HOME": str(folder), "PATH": path, "PYTHONPATH": str(_ROOT), "COLUMNS": str(_WIDTH), "NO_COLOR": "1"}


def _key(file: Path, server: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and server.poll() is None:
        done = subprocess.run(["curl", "-sf", f"http://127.0.0.1:{_PORT}/readyz"], capture_output=True, check=False)
        # It is ready with any model, as is one that is loaded when it is asked for.
        if file.exists() and b'"mini":true' in done.stdout:
            return file.read_text().strip()
        time.sleep(0.2)
    raise SessionError("weebill serve is not ready")


def _run(step: Step, folder: Path, environment: dict[str, str]) -> Ran:
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", step.command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_STEP_S, check=False, text=True,
    )  # fmt: skip
    seconds = time.monotonic() - started
    printed = _same(done.stdout, folder)
    if done.returncode or not re.search(step.expected, printed):
        raise SessionError(f"{step.command}\n\nended with {done.returncode}, printing\n\n{printed}")
    return Ran(step, printed, seconds)


def _same(printed: str, folder: Path) -> str:
    """Returns the text without what differs from one user to the next, and without progress."""
    lines = (line.rstrip() for line in printed.replace(str(folder), "~").splitlines())
    return "\n".join(line for line in lines if not _PROGRESS.match(line))


def _page(ran: Iterator[Ran]) -> Iterator[str]:
    machine = f"{os.cpu_count()} cores of {_processor()}"
    yield _INTRODUCTION.format(machine=machine)
    for step, printed, seconds in ran:
        print(f"{seconds:6.1f} s  {step.title}", file=sys.stderr)
        yield f"## {step.title}\n\n{textwrap.fill(step.text, 120)}\n" if step.text else f"## {step.title}\n"
        yield f"```sh\n{step.command}\n```\n"
        if printed:
            yield f"```{step.language}\n{printed}\n```\n"
        yield f"*{seconds:.1f} s*\n"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown processor"


if __name__ == "__main__":
    try:
        main()
    except SessionError as error:
        sys.exit(f"error: {error}")
