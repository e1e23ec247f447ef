"""Providers that need no `base_url` in the configuration: their name and a key are enough."""

from __future__ import annotations

from typing import NamedTuple


class KnownProvider(NamedTuple):
    """Where a provider's OpenAI-dialect API is, and the variable that usually holds its key."""

    base_url: str
    key_variable: str


KNOWN_PROVIDERS: dict[str, KnownProvider] = {
    "cerebras": KnownProvider("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    "deepinfra": KnownProvider("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "deepseek": KnownProvider("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "fireworks": KnownProvider("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
    "groq": KnownProvider("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    "mistral": KnownProvider("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    "nvidia": KnownProvider("https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    "openai": KnownProvider("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openrouter": KnownProvider("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    "together": KnownProvider("https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    "xai": KnownProvider("https://api.x.ai/v1", "XAI_API_KEY"),
}
