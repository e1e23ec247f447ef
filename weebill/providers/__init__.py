"""A pure translator for each dialect that an upstream may speak."""

from typing import Final

from weebill.providers.base import Translator
from weebill.providers.llamacpp import LlamaCppTranslator
from weebill.providers.openai import OpenAITranslator

TRANSLATORS: Final[dict[str, Translator]] = {
    "openai": OpenAITranslator(),
    "llamacpp": LlamaCppTranslator(),
}
