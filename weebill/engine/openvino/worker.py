"""The work of the engine: requests to sequences, and their tokens to what clients are told."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Collection
from typing import Final

import msgspec

from weebill.engine.openvino.chunks import Said, Token, Writer
from weebill.engine.openvino.library import Handle, Model, Terms
from weebill.engine.openvino.prompt import Prompts
from weebill.engine.openvino.request import CHAT, COMPLETIONS, Wanted, refused, wanted
from weebill.engine.openvino.text import Characters, Delta, StopWords, Thoughts
from weebill.engine.openvino.tokens import MOST_BYTES, pieces_of, specials_of
from weebill.engine.openvino.vocabulary import Vocabulary
from weebill.engine.serving.jobs import Job, RefusedError

_DONE: Final = b"[DONE]"
# A step holds the interpreter's lock from its beginning to its end, and the loop of the connections needs it a few
# times for each thing that it does.
_BREATH_S: Final = 0.0005
# After the library has failed, its sequences are stuck.
_LAST_WORDS_S: Final = 1.0
_log: Final = logging.getLogger("weebill.engine")


class OpenVinoWorker:
    """A `Worker` that writes answers with a loaded model."""

    paths = (CHAT, COMPLETIONS)

    def __init__(self, model: Model, vocabulary: Vocabulary, prompts: Prompts, name: str, window: Window) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._specials = specials_of(vocabulary.specials)
        self._prompts = prompts
        self._name = name
        self._context = window.context
        self.parallel = window.parallel
        self._answers: dict[Job, Answer] = {}
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    def begin(self, job: Job) -> None:
        """Reads a request and queues its sequences. Raises RefusedError."""
        asked = wanted(job.path, job.body)
        if asked.tools and not self._prompts.knows_tools:
            raise refused(
                "tools", "asks for what the model's template does not have for OpenVINO; llama.cpp makes up for"
            )
        prompts = [self._prompts.text(asked)] if asked.is_chat else list(asked.prompts)
        if asked.count * len(prompts) > self.parallel:
            raise refused("n", f"asks for more answers than the {self.parallel} that are written at once")
        tokens = [self._tokens(prompt) for prompt in prompts]
        self._require_room(max(map(len, tokens)))
        inside = asked.is_chat and isinstance(prompts[0], str) and prompts[0].rstrip().endswith("<think>")
        answer = Answer(job, asked, Writer(asked, secrets.token_hex(12), self._name, int(time.time())), tokens)
        self._answers[job] = answer
        for index in range(asked.count * len(prompts)):
            answer.sequences.append(self._sequence(answer, index, inside))
        self._waiting.extend(answer.sequences)

    def step(self, jobs: Collection[Job]) -> None:
        """Lets all sequences get on by a step, and tells the clients."""
        for job in jobs:
            if job.left and (gone := self._answers.pop(job, None)) is not None:
                self._drop(gone)
                job.end()
        while self._waiting and len(self._running) < self.parallel:
            self._start(self._waiting.popleft())
        try:
            self._model.step()
        except Exception:
            self._give_up()
            raise
        for sequence in list(self._running):
            if sequence in self._running:  # and not dropped with another one of its answer meanwhile
                self._read(sequence)
        time.sleep(_BREATH_S)

    def _start(self, sequence: Sequence) -> None:
        """Begins a sequence; if the library does not take it, its request alone is refused."""
        try:
            sequence.handle = self._model.begin(sequence.prompt, sequence.terms)
        except Exception as error:
            # What it says may quote from the request.
            _log.error("the library does not take a request", extra={"error": type(error).__name__})
            self._refuse(sequence.answer)
        else:
            self._running.append(sequence)

    def _read(self, sequence: Sequence) -> None:
        handle = sequence.handle
        if handle is None:
            return
        while handle.can_read():
            for output in handle.read().values():
                if sequence.take(output.generated_ids, output.generated_log_probs):
                    handle.cancel()
                    self._ended(sequence)
                    return
        if not self._model.is_running(handle):
            if self._model.was_given_up(handle):
                self._refuse(sequence.answer)
            else:
                sequence.finish()
                self._ended(sequence)

    def _ended(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        if sequence.answer.ended():
            self._answers.pop(sequence.answer.job, None)

    def _refuse(self, answer: Answer) -> None:
        """Ends an answer at which the library has failed."""
        self._answers.pop(answer.job, None)
        self._drop(answer)
        answer.job.refuse(RefusedError.failed())

    def _drop(self, answer: Answer) -> None:
        """Ends the sequences of an answer that nobody waits for."""
        for sequence in answer.sequences:
            if sequence.handle is not None:
                sequence.handle.cancel()
        self._running = [each for each in self._running if each.answer is not answer]
        self._waiting = deque(each for each in self._waiting if each.answer is not answer)

    def _give_up(self) -> None:
        """Ends this process when those who wait have been told: the library does not get on after it has failed."""
        _log.error("the library has failed, and this host ends")
        threading.Timer(_LAST_WORDS_S, os._exit, (1,)).start()

    def _tokens(self, prompt: str | list[int]) -> list[int]:
        if not isinstance(prompt, str):
            if not all(0 <= token < len(self._vocabulary.pieces) for token in prompt):
                raise refused("prompt", "has tokens that this model does not know")
            return prompt
        first = self._vocabulary.first
        found = [] if first is None or prompt.startswith(self._vocabulary.beginning) else [first]
        for piece in pieces_of(prompt, self._specials):
            tokens = self._model.encode(piece)
            if len(tokens) >= MOST_BYTES:
                raise RefusedError.invalid("The prompt has thousands of characters without a space.")
            found += tokens
        return found

    def _require_room(self, tokens: int) -> None:
        if tokens >= self._context:
            message = f"the request has {tokens} tokens, and the context has {self._context}"
            raise RefusedError.too_long(message, tokens, self._context)

    def _sequence(self, answer: Answer, index: int, inside: bool) -> Sequence:
        asked = answer.asked
        prompt = answer.prompts[index // asked.count]
        room = self._context - len(prompt)
        terms = Terms(
            choice=asked.choice,
            number=index,
            grammar=asked.grammar,
            most_tokens=room if asked.most_tokens is None else min(room, asked.most_tokens),
            endings=self._vocabulary.endings,
            last=self._vocabulary.last,
            ignores_end=asked.ignores_end,
            logprobs=asked.logprobs,
        )
        thinks = asked.is_chat and asked.tells_thoughts and self._prompts.tells_thoughts
        thoughts = Thoughts(inside) if thinks else None
        return Sequence(answer, index, prompt, terms, self._vocabulary.pieces, thoughts)


class Window(msgspec.Struct, frozen=True):
    """`context` tokens for each of `parallel` answers."""

    context: int
    parallel: int


class Answer:
    """The answer to one request, and how far its sequences are."""

    def __init__(self, job: Job, asked: Wanted, writer: Writer, prompts: list[list[int]]) -> None:
        self.job = job
        self.asked = asked
        self.prompts = prompts
        self.sequences: list[Sequence] = []
        self._writer = writer
        self._open = asked.count * len(prompts)

    def begin(self, index: int) -> None:
        """Tells that a choice begins."""
        if self.asked.streams and self.asked.is_chat:
            self.job.stream(self._writer.first(index))

    def tell(self, index: int, delta: Delta, tokens: list[Token] | None) -> None:
        """Tells some more of a choice."""
        if self.asked.streams:
            self.job.stream(self._writer.piece(index, delta, tokens))

    def ended(self) -> bool:
        """Notes that one more choice is complete; returns True if all are, and says so."""
        self._open -= 1
        if self._open:
            return False
        said = [sequence.said for sequence in self.sequences]
        tokens = sum(map(len, self.prompts))
        if self.asked.streams:
            self.job.stream(self._writer.usage(tokens, sum(each.tokens for each in said)))
            self.job.stream(_DONE)
            self.job.end()
        else:
            self.job.answer(self._writer.whole(said, tokens))
        return True

    def last(self, index: int, said: Said) -> None:
        """Tells that a choice is complete."""
        if self.asked.streams:
            word = said.word if self.asked.tells_stop else None
            self.job.stream(self._writer.last(index, said.reason, word))


class Sequence:
    """One choice of an answer: its tokens become text, up to what ends it."""

    def __init__(
        self,
        answer: Answer,
        index: int,
        prompt: list[int],
        terms: Terms,
        pieces: tuple[bytes, ...],
        thoughts: Thoughts | None,
    ) -> None:
        self.answer = answer
        self.prompt = prompt
        self.terms = terms
        self.handle: Handle | None = None
        self.said = Said(logprobs=[] if terms.logprobs else None)
        self._index = index
        self._pieces = pieces
        self._characters = Characters(pieces)
        self._stop = StopWords(answer.asked.stop)
        self._thoughts = thoughts
        self._untold: list[Token] = []

    def take(self, tokens: list[int], logprobs: list[float]) -> bool:
        """Takes new tokens; returns True if a stop word ends the answer here."""
        if not self.said.tokens:
            self.answer.begin(self._index)
        for at, token in enumerate(tokens):
            self.said.tokens += 1
            is_end = token in self.terms.endings and not self.terms.ignores_end
            self.said.reason = "stop" if is_end else "length"
            if is_end:
                continue
            if self.terms.logprobs:
                self._note(token, logprobs[at])
            self._tell(self._stop.feed(self._characters.feed(token)))
            if self._stop.met is not None:
                self.said.reason, self.said.word = "stop", self._stop.met
                self._close()
                return True
        return False

    def finish(self) -> None:
        """Tells what was held back, and the end."""
        if not self.said.tokens:
            self.answer.begin(self._index)
        self._tell(self._stop.feed(self._characters.finish()) + self._stop.finish())
        self._close()

    def _close(self) -> None:
        if self._thoughts is not None:
            self._pass_on(self._thoughts.finish())
        self.answer.last(self._index, self.said)

    def _tell(self, text: str) -> None:
        self._pass_on(Delta(said=text) if self._thoughts is None else self._thoughts.feed(text))

    def _pass_on(self, delta: Delta) -> None:
        self.said.said += delta.said
        self.said.thought += delta.thought
        if delta.said or delta.thought:
            told, self._untold = self._untold, []
            self.answer.tell(self._index, delta, told if self.terms.logprobs else None)

    def _note(self, token: int, logprob: float) -> None:
        piece = self._pieces[token]
        told = Token(token, piece.decode(errors="replace"), list(piece), logprob)
        self._untold.append(told)
        if self.said.logprobs is not None:
            self.said.logprobs.append(told)
