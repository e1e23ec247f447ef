"""The names of languages in requests: whoever names one may want the answer in it."""

from __future__ import annotations

from typing import Final

from weebill.auto.kinds import WORD

# Whole words, and beginnings of words where languages inflect.
_WORDS: Final = """
english spanish french german portuguese italian dutch chinese mandarin cantonese japanese korean russian ukrainian
arabic persian farsi hindi urdu bengali tamil telugu thai vietnamese turkish polish swedish danish norwegian finnish
czech greek hebrew hungarian romanian indonesian malay tagalog filipino swahili catalan latin bulgarian croatian serbian
welsh irish icelandic esperanto
inglés español castellano alemán francés portugués italiano holandés neerlandés chino japonés coreano ruso árabe turco
polaco catalán
anglais espagnol allemand français portugais italien néerlandais chinois japonais coréen russe arabe turc polonais
inglês alemão francês espanhol português chinês japonês coreano
inglese spagnolo tedesco francese portoghese olandese cinese giapponese coreano russo arabo turco polacco
nederlands engels duits frans spaans portugees italiaans chinees japans russisch turks pools
engleză spaniolă franceză germană italiană română rusă chineză
inggris jerman prancis spanyol
"""
_STEMS: Final = """
languag langue idiom sprach lingu língu taal dil språk sprog język kieli jazyk nyelv limb bahasa tiếng lugha llengua
translat traduc tradu traduz übersetz vertaal tłumacz přelož översätt oversæt fordít çevir terjemah dịch
deutsch englisch französisch spanisch portugiesisch italienisch niederländisch chinesisch japanisch koreanisch russisch
arabisch türkisch polnisch schwedisch griechisch
ingilizce almanca fransızca ispanyolca türkçe rusça arapça çince japonca
angielsk niemieck francusk hiszpańsk polsk rosyjsk włosk
engelsk tysk fransk spansk svensk dansk norsk
englan englann saksa ransk espanj suome suomi
anglick anglič německ češt francouz španěl
angol német magyar francia spanyol
английск немецк французск испанск русск китайск японск арабск перев язык
англійськ німецьк французьк українськ мов перекла
αγγλικ γερμανικ γαλλικ ισπανικ ελληνικ γλώσσ μετάφρα μεταφρά
"""
# Scripts without spaces, or whose words have beginnings of their own.
_PARTS: Final = """
语 語 英文 中文 日文 法文 德文 翻译 翻譯 翻訳 한국말 영어 한국어 일본어 중국어 프랑스어 독일어 스페인어 언어 번역
ภาษา แปล نجليزي عربية فرنسي ألماني لماني إسباني اسباني لغة ترجم انگلیسی فارسی زبان अंग्रेज हिंदी हिन्दी भाषा अनुवाद
אנגלית עברית שפה תרגם
"""


_WHOLE: Final = frozenset(_WORDS.split())
_BEGINNINGS: Final = frozenset(_STEMS.split())
_LENGTHS: Final = sorted(set(map(len, _BEGINNINGS)))
_WITHIN: Final = tuple(_PARTS.split())


def names_a_language(text: str) -> bool:
    """True if a text names a language, or speaks of languages or translations."""
    said = frozenset(WORD.findall(text.lower()))
    if not _WHOLE.isdisjoint(said) or any(part in text for part in _WITHIN):
        return True
    return any(not _BEGINNINGS.isdisjoint([word[:length] for word in said]) for length in _LENGTHS)
