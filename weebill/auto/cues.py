"""The words that show of which kind a request is. Data alone; `weebill.auto.kinds` weighs it."""

from __future__ import annotations

from typing import Final

from weebill.auto.listing import listed

Cues = dict[str, str]
"""Words, or phrases divided by `|`, by kind."""

# The first word of a request, forms of politeness left out.
OPENINGS: Final[Cues] = {
    "translation": (
        "translate übersetze übersetz traduce traduis traduisez traduza traduz traduci traducir traduire vertaal "
        "переведи переведите terjemahkan çevir przetłumacz ترجم"
    ),
    "summary": (
        "summarize summarise condense tldr resume résume résumez resuma riassumi zusammenfassen samenvat "
        "перескажи ringkas özetle streść لخص"
    ),
    "extraction": ("extract identify locate retrieve extrae extraia extrais estrai extrahiere извлеки"),
    "classification": (
        "classify categorize categorise label tag rate evaluate detect clasifica classifique classe classifica "
        "klassifiziere классифицируй judge determine"
    ),
    "rewriting": (
        "rewrite rephrase paraphrase edit proofread correct fix simplify shorten reword revise improve polish "
        "reescribe reformule reformula korrigiere umschreiben перепиши исправь corrige corrija correggi convert "
        "change rearrange"
    ),
    "writing": (
        "write compose draft create generate brainstorm imagine pretend design invent tell escribe redacta écris "
        "rédige schreibe schreib verfasse escreva scrivi napisz schrijf напиши сочини tulis yaz اكتب crea crée "
        "erstelle crie craft suggest come act play embrace assume roleplay make plan recommend phrase develop"
    ),
    "code": ("implement debug refactor compile"),
    "maths": (
        "calculate compute solve evaluate simplify prove integrate differentiate factor add subtract multiply "
        "divide calcula calcule berechne löse calcola вычисли реши résous résoudre résolvez hitung hesapla sum"
    ),
    "explanation": (
        "explain describe discuss compare why how analyze analyse outline elaborate elucidate teach explica "
        "explique erkläre spiega объясни jelaskan açıkla wyjaśnij اشرح por pourquoi warum perché почему wie cómo "
        "comment como come как لماذا كيف describa décris beschreibe argue justify examine critique assess "
        "provide share should"
    ),
    "fact": (
        "who whose whom when where what which is are was were does did do has whats who's what's qué quién "
        "cuándo dónde cuál qui quand où quel quelle wer wann wo welche quem quando onde qual chi dove cosa кто "
        "когда где что какой siapa kapan ما من متى أين kim ne kto gdzie wie wat name list"
    ),
    "chat": (
        "hi hello hey thanks thank hola hallo bonjour salut olá oi ciao привет merhaba cześć bye goodbye gracias "
        "danke merci obrigado grazie спасибо مرحبا 你好 こんにちは"
    ),
}

# Anywhere in a request.
WORDS: Final[Cues] = {
    "code": (
        "python javascript typescript java sql html css c++ c# rust golang php ruby bash regex json-schema "
        "function algorithm code script bug debug compile compiler programming api repository git docker "
        "kubernetes react django flask numpy pandas subarray array recursion class def println printf stdin "
        "stdout traceback sqlite postgres mysql código codigo programa fonction funktion функцию код dockerfile "
        "webpack css3 linux powershell excel vba lean haskell kotlin swift perl matlab latex assertion"
    ),
    "maths": (
        "equation integral derivative polynomial triangle probability theorem lemma proof prove sqrt modulo "
        "divisor divisible integer integers perimeter circumference hypotenuse parabola matrix eigenvalue vector "
        "cosine sine tangent factorial remainder arithmetic algebra geometry quadratic ecuación gleichung "
        "équation equação equazione уравнение percent percentage twice half total per each cost costs altogether"
    ),
    "translation": (
        "translate translation übersetze übersetzung traducción traduce traduction traduis tradução traduza "
        "traduzione переведи перевод translator"
    ),
    "summary": ("summarize summarise summary tldr abstract zusammenfassung resumen résumé resumo riassunto"),
    "extraction": ("extract extraction entities mentioned passage"),
    "classification": (
        "classify categorize sentiment category categories label labels spam toxic plausible positive negative neutral"
    ),
    "rewriting": ("rewrite rephrase paraphrase proofread grammar grammatical spelling tone reword punctuation"),
    "writing": (
        "essay poem story blog email letter speech slogan limerick haiku lyrics song screenplay novel caption "
        "tweet headline advertisement tagline outline poema cuento carta ensayo gedicht geschichte brief poème "
        "histoire lettre conto redação poesia racconto lettera стихотворение рассказ письмо roleplay persona "
        "resume post script fictional character dialogue itinerary recipe recipes ideas"
    ),
    "explanation": (
        "explain explanation why difference compare discuss advantages disadvantages pros cons implications "
        "impact significance relationship reasons tips advice steps strategies insights"
    ),
    "reasoning": (
        "logically deductively premises riddle puzzle deduce truth lies ambiguous antecedent sorted "
        "alphabetically parentheses consistent true false leftmost rightmost arranged causation intentionally "
        "ball swap partner"
    ),
}

# Anywhere in a request, as substrings: for scripts without spaces, and for what takes several words.
PHRASES: Final[Cues] = {
    "code": (
        "write a function|write a program|source code|代码|函数|编程|コード|プログラム|関数|코드|함수|파이썬|"
        "def |import |print(|console.log|#include|select * from|public static|stack trace|unit test|return |>>> |"
        "command line"
    ),
    "maths": (
        "how many|how much|cuántos|cuántas|cuánto|combien|wie viel|wieviel|quantos|quantas|quanto |quanti|quante|"
        "hoeveel|сколько|多少|计算|求|方程|何個|いくつ|いくら|何人|何時間|何ドル|計算|합니까|얼마|몇|계산|কত|ఎంత|"
        "ఎన్ని|เท่าไ|กี่|कितन|كم |ngapi|\\frac|\\sqrt|\\[|x^2|= ?|kiasi gani|value of|what fraction|what is the sum|"
        "find the|几"
    ),
    "translation": (
        "翻译|译成|翻訳|번역|अनुवाद|ترجم|แปล|into spanish|into french|into german|into english|into chinese|"
        "into japanese|to spanish|to french|to english|al español|en français|ins deutsche"
    ),
    "summary": (
        "总结|概括|摘要|要約|まとめ|요약|सारांश|tl;dr|in a nutshell|key points|fasse den|fasse das|fasse diesen|"
        "fasse die |zusammenfass|main points|main idea"
    ),
    "extraction": (
        "提取|抽出して|추출|answer the question|answer questions|based on the following|from the text|"
        "the following text|based on the text|read the"
    ),
    "classification": (
        "分类|分類|분류|one of these|following categories|true or false|on a scale|is this|which category|"
        "into categories|判断"
    ),
    "rewriting": (
        "改写|润色|書き換え|書き直|修正して|고쳐|다시 써|띄어|rewrite|make it more|make this|"
        "the following sentence|correct the"
    ),
    "writing": (
        "写一|创作|撰写|書いて|作成して|考えて|써줘|작성|써보|लिख|اكتب|act as|role of|i want you to|cover letter|"
        "come up with|imagine you|blog post|short story|take on the"
    ),
    "explanation": (
        "解释|为什么|如何|怎么|怎样|説明|なぜ|どうして|教えて|どのように|설명|왜|어떻게|समझा|क्यों|कैसे|อย่างไร|"
        "ทำไม|อธิบาย|πώς|γιατί|اشرح|كيف|how do i|how to|how can i|how does|what if|difference between|"
        "step by step|what are the|can i |why |どう"
    ),
    "fact": (
        "是什么|是谁|谁|哪里|哪个|什么时候|誰|いつ|どこ|とは|何です|누구|언제|어디|무엇|कौन|कब|कहाँ|क्या|อะไร|"
        "ใคร|เมื่อใด|เมื่อไ|ที่ไหน|ใด|ไหน|ποι|πού|πότε|من هو|متى|what is the capital|who was|who is|when did|"
        "when was|where is|name of"
    ),
    "chat": (
        "how are you|what's up|good morning|good night|nice to meet|你好|您好|谢谢|こんにちは|ありがとう|안녕|"
        "감사|नमस्ते|धन्यवाद|مرحبا|شكرا|who are you|what's your name|your name|tell me a joke|cómo estás|"
        "wie geht|ça va|как дела"
    ),
    "reasoning": (
        "who is the|tell the truth|tells the truth|does the|what is the date|would a typical person|"
        "sort the following|complete the rest|closed properly|the sequence|always face forward|does not|"
        "is to the|at the end of|推理|論理|추리"
    ),
}

NUMBER_WORDS: Final = frozenset(
    listed(
        """two three four five six seven eight nine ten eleven twelve twenty thirty fifty hundred thousand half
        twice double triple dozen third quarter"""
    )
)
