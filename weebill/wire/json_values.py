"""JSON whose members stay as they came: what most that looks into requests and answers reads them with.

All raise what is in `weebill.wire.errors.UNREADABLE`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

Json = dict[str, Raw]
"""A JSON object; its members are JSON."""

decode_object: Final = msgspec.json.Decoder(Json).decode
decode_objects: Final = msgspec.json.Decoder(list[Json]).decode
decode_list: Final = msgspec.json.Decoder(list[Raw]).decode
decode_text: Final = msgspec.json.Decoder(str).decode
