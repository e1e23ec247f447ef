"""A pure translator for each dialect that an upstream may speak."""

from typing import Final

from weebill.providers.base import Dialect
from weebill.providers.llamacpp import LlamaCppDialect
from weebill.providers.openai import OpenAIDialect

DIALECTS: Final[dict[str, Dialect]] = {
    "openai": OpenAIDialect(),
    "llamacpp": LlamaCppDialect(),
}
