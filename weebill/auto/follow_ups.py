"""Messages that only make sense after what came before them."""

from __future__ import annotations

from typing import Final

from weebill.auto.listing import listed

# More words than this have a sense of their own, unless they name a question or an answer.
MAX_WORDS: Final = 40
_FEW_WORDS: Final = 3
_FEW_SIGNS: Final = 24
_SHORT: Final = 9
_OWN: Final = frozenset(listed("""i my we our mi mein meine mon ma meu minha mio mia мой моя"""))
# What ends a conversation rather than goes on with it.
_CLOSING: Final = frozenset(
    listed(
        """thanks thank bye goodbye cheers gracias adiós merci danke tschüss obrigado obrigada grazie arrivederci
        спасибо пока شكرا 谢谢 再见 ありがとう 감사합니다 hi hello hey hola bonjour hallo olá ciao
        привет"""
    )
)
# At the beginning of a message.
_CONNECTING: Final = frozenset(
    listed(
        """and but so then or also now ok okay yes no really wait again continue more y pero entonces ahora
        también et mais alors donc maintenant und aber dann jetzt nochmal e mas então agora ma
        allora adesso а и но тогда теперь ещё en maar dan nu ve ama peki şimdi tapi
        lalu"""
    )
)
# At the beginning of a message of a few words; a longer question says itself what it asks about.
_WHY: Final = frozenset(listed("""why pourquoi warum por perché neden waarom почему mengapa dlaczego"""))
_WHY_WORDS: Final = 5
# Anywhere: they name what was said.
_NAMING: Final = frozenset(
    listed(
        """previous previously above earlier again instead elaborate rephrase aforementioned anterior précédent
        précédente vorherige obige nochmals precedente предыдущий shorter longer simpler revise"""
    )
)
# Anywhere in a short message: pronouns without a noun.
_POINTING: Final = frozenset(
    listed(
        """it that this these those them they he she him her its eso esto ese esta este ellos otro otra ça
        cela celui elle ils autre das dies diese dieser andere isso isto ele ela outro quello questo altro lui
        это этот эта они он она другой dit dat bu şu itu ini"""
    )
)
_PHRASES: Final = tuple(
    listed(
        "what about|how about|go on|keep going|i don't follow|i don't get|i don't understand|do not understand|"
        "are you sure|your answer|your response|your solution|your explanation|your example|the answer be|"
        "first example|second example|last example|step by step again|no entiendo|为什么|那么|再|继续|上面|刚才|"
        "这个|那个|它|なぜ|どうして|もっと|それ|これ|上記|続け|先ほど|왜|다시|위에|위의|계속|그것|그렇|그럼|이것|"
        "이러한|아래|앞|क्यों|फिर|यह|वह|لماذا|هذا|ذلك|und was",
        "|",
    )
)


_NAMED: Final = tuple(
    listed(
        "previous question|above question|previous response|previous answer|your answer|your response|question above",
        "|",
    )
)


def follows(lower: str, words: list[str]) -> bool:
    """Returns True if a user's message, in lower case and as words, is short and refers to what came before it."""
    if any(phrase in lower for phrase in _NAMED):
        return True
    if len(words) > MAX_WORDS:
        return False
    said = frozenset(words)
    if not said.isdisjoint(_CLOSING) and len(words) <= 2 * _FEW_WORDS:
        return False
    if len(words) < _FEW_WORDS and len(lower) <= _FEW_SIGNS:
        return True
    if words and (words[0] in _CONNECTING or (words[0] in _WHY and len(words) <= _WHY_WORDS)):
        return True
    if not said.isdisjoint(_NAMING):
        return True
    if any(phrase in lower for phrase in _PHRASES):
        return True
    return len(words) <= _SHORT and not said.isdisjoint(_POINTING) and said.isdisjoint(_OWN)
