"""The process that works on images: its limits of time and memory, its queue, and its end."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest
from PIL import Image

from tests.images.pictures import in_base64, plain, written
from weebill.gateway import image_process
from weebill.gateway.image_process import ImageProcess
from weebill.images.bounds import Bounds
from weebill.images.errors import ImageError, ImagesBusyError
from weebill.images.jobs import Work

BOUNDS: Final = Bounds(max_pixels=50_000_000, max_edge=2048)
SMALL: Final = written(plain())
# Of few bytes, and of 120 MB once decoded.
LARGE: Final = written(plain(8000, 5000))
Start = Callable[..., ImageProcess]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    started: list[ImageProcess] = []

    def begin(seconds: float = 60.0, memory: int = 4 << 30) -> ImageProcess:
        started.append(ImageProcess(Work(task="decode", bounds=BOUNDS, seconds=seconds, memory=memory)))
        return started[-1]

    yield begin
    for each in started:
        await each.close()


async def test_images_come_as_they_are_or_in_base64(start: Start) -> None:
    process = start()
    first, second = await process.result(SMALL), await process.result(in_base64(SMALL))
    assert first == second
    assert Image.open(io.BytesIO(first)).size == (8, 4)
    for broken in ("A*B", "QUJ"):
        with pytest.raises(ImageError, match="its base64 is broken"):
            await process.result(broken)
    assert await process.result(in_base64(SMALL)) == first


async def test_one_that_takes_too_long_is_refused_and_no_other(start: Start) -> None:
    process = start(seconds=0.3)
    assert await process.result(SMALL)
    with pytest.raises(ImageError, match=r"takes more than 0\.3 s of a processor"):
        await process.result(LARGE)
    assert await process.result(SMALL)


async def test_one_that_takes_too_much_memory_is_refused_and_no_other(start: Start) -> None:
    process = start(memory=128 << 20)
    with pytest.raises(ImageError, match="memory"):
        await process.result(LARGE)
    assert await process.result(SMALL)


async def test_the_queue_is_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_process, "_MOST_WAITING", 4)
    process = start()
    begun = asyncio.create_task(process.result(SMALL, "first"))
    await asyncio.sleep(0)
    # A key may have half of the places, and what is left is for others.
    asked = [asyncio.create_task(process.result(SMALL, key)) for key in ("a", "a", "a", "b", "b", "c", "d")]
    results = await asyncio.gather(begun, *asked, return_exceptions=True)
    assert [isinstance(each, bytes) for each in results] == [True, True, True, False, True, False, True, False]
    assert {type(each) for each in results} == {bytes, ImagesBusyError}
    assert await process.result(SMALL, "c")


async def test_those_who_leave_the_queue_free_their_place(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_process, "_MOST_WAITING", 2)
    process = start()
    begun = asyncio.create_task(process.result(SMALL))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(process.result(SMALL))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert all(await asyncio.gather(begun, process.result(SMALL)))


async def test_it_ends_when_nobody_has_needed_it_for_a_while(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_process, "_IDLE_S", 0.01)
    process = start()
    first = await process.result(SMALL)
    assert process.running
    while process.running:
        await asyncio.sleep(0.01)
    assert await process.result(SMALL) == first
