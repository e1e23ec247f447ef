"""HTTP/1.1 on `asyncio.Protocol` and llhttp: the server and the upstream client of the hot path."""
