"""The language of texts: rows, and properties."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.auto.kinds import read
from weebill.auto.languages import language

ROWS = [
    ("My phone was stolen, what should I do?", "en"),
    ("What is the tallest mountain?", "en"),
    ("¿Cuál es la capital de Perú?", "es"),
    ("hola, necesito ayuda con mi tarea", "es"),
    ("Quelle est la capitale du Canada ?", "fr"),
    ("bonjour, j'ai perdu mes clés", "fr"),
    ("Wie hoch ist der Berg?", "de"),
    ("Mein Handy wurde gestohlen, was soll ich machen?", "de"),
    ("Qual é a capital do Brasil?", "pt"),
    ("Non riesco a dormire, cosa posso fare?", "it"),
    ("Hoeveel provincies heeft het land?", "nl"),
    ("Siapa presiden pertama kita?", "id"),
    ("Thủ đô của nước này là gì?", "vi"),
    ("Türkiye'nin en uzun nehri hangisidir ve nerede?", "tr"),
    ("Jak nazywa się stolica kraju i gdzie jest?", "pl"),
    ("Как приготовить борщ?", "ru"),
    ("Як приготувати борщ і її їсти?", "uk"),
    ("ما هي عاصمة مصر؟", "ar"),
    ("پایتخت ایران کجاست؟", "fa"),
    ("پاکستان کا دارالحکومت کیا ہے؟", "ur"),
    ("भारत की राजधानी क्या है?", "hi"),
    ("भारताची राजधानी कोणती आहे?", "mr"),
    ("বাংলাদেশের রাজধানী কী?", "bn"),
    ("இந்தியாவின் தலைநகரம் எது?", "ta"),
    ("భారతదేశ రాజధాని ఏది?", "te"),
    ("เมืองหลวงของไทยคืออะไร", "th"),
    ("中国的首都是哪里？", "zh"),
    ("日本の首都はどこですか？", "ja"),
    ("한국의 수도는 어디인가요?", "ko"),
    ("Ποια είναι η πρωτεύουσα;", "el"),
    # Of two languages, the one that most is written in.
    ("Translate into English: 我昨天去了北京大学参加一个关于人工智能的会议，见到了很多老朋友。", "zh"),
    ("Please explain what the word 猫 means and where it comes from.", "en"),
    # Code, and what has no words, is of none.
    ("for (i = 0; i < n; i++) { if (a[i] == b[i]) { c[i] = 0; } else { do(a[i]); } }", ""),
    ("```python\nfor x in the_list:\n    print(x)\n```", ""),
    ("```\nif x in y:\n```\nWarum geht das nicht?", "de"),
    ("2+2=", ""),
    ("", ""),
    ("🙂🙂", ""),
]


@pytest.mark.parametrize(("text", "code"), ROWS)
def test_a_language_is_known(text, code):
    assert language(text, read(text).said) == code


@given(st.text())
def test_every_text_has_a_language_or_none(text):
    found = language(text, read(text).said)
    assert found == "" or (len(found) == 2 and found.islower())


def test_a_long_text_has_the_language_of_its_sentences():
    assert language("Как приготовить это? " * 50_000, read("Как приготовить это?").said) == "ru"


def test_the_order_of_words_in_a_set_makes_no_difference():
    script = (
        "from weebill.auto.kinds import read\nfrom weebill.auto.languages import language\n"
        "texts = ['de en la a', 'me no si do', 'i o a e', 'la una con per', 'om de som']\n"
        "print([language(text, read(text).said) for text in texts])"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
