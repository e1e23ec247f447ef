"""Projectors: the part of a model that makes tokens of images, in a file of its own.

Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/mtmd/mtmd.cpp and clip.cpp beside it
"""

from __future__ import annotations

from typing import Final

from weebill.models.gguf import ModelFacts

MOST_TOKENS: Final = 1024
"""The most tokens of an image, for projectors that make more of a larger one."""
WHOLE_TOKENS: Final = 280
"""The same for those whose images are read in one step, which delays all answers under way. Gemma's own number."""
WHOLE_STEP: Final = 320
"""Tokens of a step that has room for such an image and for the next tokens of answers."""
# Every token of an image is read in the light of all others.
_WHOLE: Final = frozenset({"gemma3", "gemma4v", "gemma4uv"})
# Gemma's vocabulary; for each token of a step there is room for a number for each of its tokens.
_WHOLE_STEP_BYTES: Final = WHOLE_STEP * 262_144 * 4
# Projectors that bring every image, or every tile of one, to one size.
_ONE_SIZE: Final = frozenset({"gemma3", "idefics3", "internvl", "janus_pro", "ldp", "ldpv2", "llama4", "mlp"})
# Patches that become one token, at most.
_PATCHES_PER_TOKEN: Final = 4
# For each patch: what it is in a layer, and in the wider one within, in 32 bits.
_NUMBERS_PER_PATCH: Final = 16
_BYTES_PER_NUMBER: Final = 4


def reads_whole(facts: ModelFacts) -> bool:
    """Returns True for a projector whose images must be read in one step."""
    return facts.projector in _WHOLE


def working_bytes(facts: ModelFacts) -> int:
    """Returns the memory that looking at an image takes, and the longer steps."""
    patches = ((facts.image_size or 0) // (facts.patch_size or 1)) ** 2
    if facts.projector not in _ONE_SIZE:
        patches = max(patches, MOST_TOKENS * _PATCHES_PER_TOKEN)
    looking = patches * (facts.image_width or 0) * _NUMBERS_PER_PATCH * _BYTES_PER_NUMBER
    return looking + _WHOLE_STEP_BYTES if reads_whole(facts) else looking
