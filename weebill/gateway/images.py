"""The images of a request to a model of this machine: fetched, decoded and counted before the model is asked.

1. A model with a projector is given each image written anew, in a bounded size (`images.decoding`).
2. Any other model is given the text in it, if `[local.images] ocr` allows that (`images.recognition`).
3. Else the request is refused, or does without its images if it says so (`drop_params`).

All work on them is done by other processes (`ImageProcess`), and fetching by threads, so that no other request waits.
"""

from __future__ import annotations

import asyncio
import importlib.util
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from weebill.config.schema import ImageSettings
from weebill.gateway.image_parts import Given
from weebill.gateway.image_process import ImageProcess
from weebill.images.bounds import Bounds, Rules
from weebill.images.errors import ImageError, ImagesBusyError
from weebill.images.frame import framed
from weebill.images.jobs import Task, Work
from weebill.wire.conversation import Image, Text
from weebill.wire.errors import ApiError, invalid_value
from weebill.wire.media_types import type_of_image

# Seconds of processors that one image may take; a page full of text takes twenty.
_SECONDS: Final[dict[Task, float]] = {"decode": 10.0, "read": 60.0}
# The memory of the processes without an image, and for each pixel of the largest one, which is held up to three times.
_MEMORY: Final[dict[Task, int]] = {"decode": 384 << 20, "read": 2 << 30}
_BYTES_PER_PIXEL: Final = 12
_FETCHED_AT_ONCE: Final = 4
_MOST_FETCHES: Final = 16
_MOST_TEXTS: Final = 256
_RETRY_S: Final = 1.0
# The packages for a task, and the extra that brings them.
_NEEDS: Final[dict[Task, tuple[tuple[str, ...], str]]] = {
    "decode": (("PIL",), "local"),
    "read": (("rapidocr", "onnxruntime", "PIL"), "ocr"),
}


class Fitted(NamedTuple):
    """The parts that a model is given for images, how many were `read` for it, and the fields that it does without."""

    given: Given
    read: int = 0
    dropped: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of the images that are shown."""
        return sum(len(part.data or "") for parts in self.given.values() for part in parts if isinstance(part, Image))


class LocalImages:
    """Fits images to models of this machine. Belongs to one loop."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._rules = Rules(
            hosts=settings.allowed_hosts, max_bytes=settings.max_bytes, seconds=settings.fetch_timeout_s
        )
        self._processes: dict[Task, ImageProcess] = {}
        self._fetchers: ThreadPoolExecutor | None = None
        self._fetching = 0
        # Of the images that were read last, by their digests.
        self._texts: dict[bytes, str] = {}

    async def fitted(
        self, images: Sequence[Image], model: str, place: Callable[[Image], str], key: str, *, sees: bool, drops: bool
    ) -> Fitted:
        """Returns what `model` is given in place of different images, of which `place` is the client's name, for a
        request of `key`.

        `sees` is True if the model reads images, `drops` if the request may go without them. Raises ApiError: 400 about
        an image, 501 for what is not installed, 503 if there is too much to do.
        """
        if not sees and not self._settings.ocr:
            if drops:
                return Fitted(dict.fromkeys(images, ()), dropped=tuple(map(place, images)))
            raise _unseen(model, place(images[0]))
        most = self._settings.max_images
        if len(images) > most:
            why = f"a request has at most {most} images ([local.images] max_images)"
            raise invalid_value(place(images[most]), why)
        task: Task = "decode" if sees else "read"
        _require(task, place(images[0]))
        given: dict[Image, tuple[Image | Text, ...]] = {}
        for image in images:
            try:
                given[image] = (await self._fit(image, task, key),)
            except ImageError as error:
                raise invalid_value(place(image), f"the image cannot be used: {error}") from error
            except ImagesBusyError:
                raise _busy() from None
        return Fitted(given, read=0 if sees else len(images))

    async def close(self) -> None:
        """Ends the processes."""
        for process in self._processes.values():
            await process.close()
        if self._fetchers is not None:
            self._fetchers.shutdown(wait=False, cancel_futures=True)

    async def _fit(self, image: Image, task: Task, key: str) -> Image | Text:
        source = await self._source(image)
        if task == "read":
            return Text(await self._text(source, key))
        data = b64encode(await self._process(task).result(source, key)).decode()
        return Image(data=data, media_type=type_of_image(data))

    async def _text(self, source: str | bytes, key: str) -> str:
        """Returns the framed text in an image, which each turn of a conversation sends again."""
        digest = blake2b(source.encode() if isinstance(source, str) else source, digest_size=16).digest()
        text = self._texts.pop(digest, None)
        if text is None:
            lines = msgspec.json.decode(await self._process("read").result(source, key), type=list[str])
            text = framed(lines)
        self._texts[digest] = text
        if len(self._texts) > _MOST_TEXTS:
            del self._texts[next(iter(self._texts))]
        return text

    async def _source(self, image: Image) -> str | bytes:
        """Returns the image in base64, or as it was fetched. Raises ImageError or ImagesBusyError."""
        if image.data is not None:
            if len(image.data) * 3 // 4 > self._settings.max_bytes:
                raise ImageError(f"it has more than {self._settings.max_bytes:,} bytes ([local.images] max_bytes)")
            return image.data
        if image.url is None:
            raise ImageError("a model of this machine knows no files by their ids; send the image itself, as base64")
        if self._fetching >= _MOST_FETCHES:
            raise ImagesBusyError
        if self._fetchers is None:
            self._fetchers = ThreadPoolExecutor(_FETCHED_AT_ONCE, "images")
        # It brings Python's own HTTP client, which hardly any worker needs.
        from weebill.images.fetching import fetch

        self._fetching += 1
        try:
            fetching = partial(fetch, image.url, self._rules)
            return await asyncio.get_running_loop().run_in_executor(self._fetchers, fetching)
        finally:
            self._fetching -= 1

    def _process(self, task: Task) -> ImageProcess:
        process = self._processes.get(task)
        if process is None:
            bounds = Bounds(max_pixels=self._settings.max_pixels, max_edge=self._settings.max_edge)
            memory = _MEMORY[task] + _BYTES_PER_PIXEL * bounds.max_pixels
            work = Work(task=task, bounds=bounds, seconds=_SECONDS[task], memory=memory)
            process = self._processes[task] = ImageProcess(work)
        return process


def _require(task: Task, place: str) -> None:
    """Raises ApiError 501 if the package for a task is not installed."""
    packages, extra = _NEEDS[task]
    for package in packages:
        if importlib.util.find_spec(package) is None:
            message = (
                f"Images cannot be read here: {package} is not installed. Install it: pip install 'weebill[{extra}]'."
            )
            raise ApiError(501, message, code="not_installed", param=place)


def _unseen(model: str, place: str) -> ApiError:
    message = (
        f"'{model}' at 'local' reads no images. Ask a model that does (`weebill list --known` shows those for vision); "
        "or the operator sets [local.images] ocr = true, and it is given the text in them."
    )
    return ApiError(400, message, code="unsupported_parameter", param=place)


def _busy() -> ApiError:
    message = "There is too much to do with others' images. Try again in a moment."
    return ApiError(503, message, code="overloaded", retry_after=_RETRY_S)
