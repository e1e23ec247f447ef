"""The engine as a host runs it, with the real library, beside llama.cpp with the same file."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from tests.engine.host_process import Host, client, host
from tests.engine.schemas import fits, random_object
from tests.fixtures.model import MODEL
from weebill.models.store import Adapter, ModelStore, ServedModel
from weebill.process.messages import Drain, Failed
from weebill.providers.llamacpp.grammar import json_grammar

pytest.importorskip("openvino_genai", reason="`pip install 'weebill[openvino]'` is missing")

CHAT = "/v1/chat/completions"
# Of texts of which some letters are of several tokens each.
ENGLISH = ("What is the capital of France?", "Count to five.", "Name three colours.", "Who wrote Hamlet?")
QUESTIONS = ("What is the capital of France?", "Say hello in Japanese: こんにちは", "Count to five.", "Was ist Größe?")


@pytest.fixture(scope="module")
def served(compact_model: Path) -> ServedModel:
    return ModelStore(compact_model).find(MODEL).served()


@pytest.fixture(scope="module")
def running(served: ServedModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host(tmp_path_factory.mktemp("openvino")) as started:
        started.boot(msgspec.structs.replace(served, kind="openvino"), context=2048)
        yield started


@pytest.fixture(scope="module")
def openvino(running: Host) -> Iterator[httpx.Client]:
    with client(running.ready().base_url) as http:
        yield http


def greedy(http: httpx.Client, question: str, **more: object) -> dict[str, object]:
    asked = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 24, **more}
    answer: dict[str, object] = http.post(CHAT, json=asked).json()
    return answer


# Without the penalty on repetition, which OpenVINO does not have.
SURE = -0.5
PLAIN = {"dry_multiplier": 0, "repeat_penalty": 1.0}


def test_it_says_what_llama_cpp_says(openvino: httpx.Client, served: ServedModel, tmp_path: Path) -> None:
    with host(tmp_path) as other:
        other.boot(served, context=2048)
        with client(other.ready().base_url) as llama:
            same = 0
            for question in ENGLISH:
                ours, theirs = (greedy(http, question, logprobs=True, **PLAIN) for http in (openvino, llama))
                assert ours["usage"]["prompt_tokens"] == theirs["usage"]["prompt_tokens"]
                first, second = (each["choices"][0]["logprobs"]["content"] for each in (ours, theirs))
                # From a token on of which neither is sure, they may go on in different ways: each rounds as it does.
                for one, another in zip(first, second, strict=False):
                    if one["id"] != another["id"]:
                        assert min(one["logprob"], another["logprob"]) < SURE, (question, one, another)
                        break
                    if another["logprob"] > SURE:
                        assert abs(one["logprob"] - another["logprob"]) < 0.5, (question, one, another)
                same += first[0]["id"] == second[0]["id"]
            # It rounds the weights of this format anew.
            assert same >= len(ENGLISH) / 2


def test_a_stream_says_the_same_as_an_answer_in_one_piece(openvino: httpx.Client) -> None:
    for question in QUESTIONS:
        whole = greedy(openvino, question)
        with openvino.stream("POST", CHAT, json=asked(question, stream=True)) as response:
            events = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        chunks = [json.loads(event) for event in events[:-1]]
        said = "".join(each["delta"].get("content") or "" for chunk in chunks for each in chunk["choices"])
        assert said == whole["choices"][0]["message"]["content"]
        assert chunks[-1]["usage"] == whole["usage"]


def asked(question: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 24, **more}


def test_whoever_leaves_is_not_worked_for(openvino: httpx.Client, running: Host) -> None:
    process = psutil.Process(running.process.pid)
    for before in (0, 1):
        with openvino.stream("POST", CHAT, json=asked("Count.", stream=True, max_tokens=1900, ignore_eos=True)) as gone:
            lines = gone.iter_lines()
            for _ in range(before):
                next(lines)
    deadline = time.monotonic() + 60
    while True:  # until it does nothing any more
        spent = process.cpu_times().user
        time.sleep(0.5)
        if process.cpu_times().user - spent < 0.1:
            break
        assert time.monotonic() < deadline


@pytest.mark.parametrize(("seed", "count"), [(7, 4), pytest.param(8, 30, marks=pytest.mark.slow)])
def test_schemas_are_kept_every_time(openvino: httpx.Client, seed: int, count: int) -> None:
    source = random.Random(seed)
    for _ in range(count):
        schema = random_object(source)
        grammar = json_grammar(schema, "response_format")
        answer = greedy(openvino, "Invent a product.", grammar=grammar, max_tokens=1800)
        choice = answer["choices"][0]
        assert choice["finish_reason"] == "stop"
        assert fits(json.loads(choice["message"]["content"]), schema), (schema, choice)


def test_other_clients_are_heard_while_a_prompt_is_read(openvino: httpx.Client) -> None:
    long = threading.Thread(target=greedy, args=(openvino, "one two three " * 600), kwargs={"max_tokens": 1})
    long.start()
    heard = 0
    while long.is_alive():
        assert openvino.get("/health").status_code == 200
        heard += 1
    long.join()
    assert heard > 3


def test_nothing_reports_to_the_librarys_maker(running: Host, openvino: httpx.Client) -> None:
    greedy(openvino, "Hi", max_tokens=1)
    connections = psutil.Process(running.process.pid).net_connections()
    assert {each.laddr.ip for each in connections} == {"127.0.0.1"}
    assert {each.raddr.ip for each in connections if each.raddr} <= {"127.0.0.1"}


def test_a_model_that_it_does_not_read_is_explained(served: ServedModel, tmp_path: Path) -> None:
    with host(tmp_path) as running:
        running.boot(
            msgspec.structs.replace(served, kind="openvino", adapters=(Adapter(served.sha256, served.path, 1),))
        )
        message = running.receive()
        assert isinstance(message, Failed)
        assert "adapter" in message.message


def test_it_drains(served: ServedModel, tmp_path: Path) -> None:
    with host(tmp_path) as running:
        running.boot(msgspec.structs.replace(served, kind="openvino"), context=512)
        with client(running.ready().base_url) as http:
            greedy(http, "Hi", max_tokens=1)
        running.send(Drain(grace_s=60.0))
        assert running.exit_code() == 0
