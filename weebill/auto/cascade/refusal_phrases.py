"""The beginnings of answers that decline, by language, as regular expressions over lower case.

Each is bounded, and matched at the beginning of an answer alone. An apology or a word of regret is followed by what the
model cannot do; without one, only what is said of nothing else counts, as stories and letters have an "I" too.
"""

from __future__ import annotations

from typing import Final

# What says that an answer follows after all: "I have no opinions, but here are both sides".
GOES_ON: Final = (
    r"\b(?:but|however|nevertheless|that said|pero|sin embargo|no obstante|no entanto|porém|però|tanmateix|aber|"
    r"cependant|"
    r"tuttavia)\b,?\s+(?:here (?:is|are)|here's|in general|generally|typically|based on|as of|some |"
    r"i can (?:certainly |still |definitely )?(?:provide|offer|give|share|tell|simulate|describe|explain|create|write)|"
    r"(?:te |lhe |li )?(?:puedo|posso|puc|podo) (?:dar|decir|ofrecer|proporcionar|explicar|dizer|oferir|fornecer)|"
    r"ich kann|je peux)"
    r"|\b(?:opinions?|preferences?|feelings?|emotions?|experiences?|beliefs?|biases|consciousness|favorites?|opiniones|"
    r"creencias|preferencias|emociones)\b[^.]{0,100}[.,]\s+(?:but|however|pero|sin embargo)\b"
)
# What may come before.
OPENING: Final = (
    r"[\s\"'*#>_(「“«-]{0,20}"
    r"(?:(?:\[[^\]\n]{1,40}\]|(?:final )?answer:|a:|assistant:|response:|回答[:：]|答案?[:：])\s{0,4}){0,2}"
    r"(?:(?:thank you|thanks|i appreciate|i understand|hello|hi|hey|well|oh|okay|ok|hmm)\b[^.!?\n]{0,100}[.!,]\s{1,3}"
    r"(?:however|but|unfortunately|still)?,?\s{0,2})?"
)
_REGRET: Final = (
    r"(?:(?:i'm|i am|we're|we are) (?:very |so |really |truly |deeply )?sorry|sorry|apologies|my apologies|"
    r"(?:i|we)(?: do| sincerely| must)? apologi[sz]e|unfortunately|regrettably|"
    r"(?:i'm|i am) afraid|i regret(?: to (?:say|inform you))?(?: that)?)"
    r"(?: (?:for|about) [^,.;]{1,80})?\b[,.:;!]?\s+(?:that\s+)?(?:but\s+|however,?\s+)?"
)
_AN_AI: Final = (
    r"(?:an? |just an? |only an? |merely an? )?(?:(?:responsible|helpful|respectful|honest|ethical|virtual|large|"
    r"text-based|digital)[ ,]+(?:and )?){0,4}(?:ai\b|a\.i\.|artificial intelligence|language model|llm\b|chatbot|bot\b|"
    r"virtual assistant|assistant\b|computer program|machine learning model)"
)
_LACKS: Final = (
    r"(?:don't|do not|didn't|did not)(?: currently| actually| really)? (?:have|possess|see)(?: any| the| an?| enough| "
    r"sufficient| direct| specific| real-?time| up-to-date| current| personal| physical| actual| concrete| detailed| "
    r"reliable| complete| relevant| further| strong| same| particular){0,3} (?:access|abilit|capabilit|information|"
    r"knowledge|data\b|context|"
    r"details|opinion|preference|feeling|emotion|experience|belief|consciousness|body|memor|eyes|image|file|text\b|"
    r"attachment|document|article|passage|answer|idea|record|real-time|personal)"
)
# First-person beginnings that are of stories, letters and figures of speech.
_NO_FIGURE: Final = (
    r"(?! (?:help but|believe|wait|stop|imagine|thank|stress|emphasi[sz]e|overstate|express how|tell you how|"
    r"say enough|"
    r"recommend .{1,30} enough|get enough|remember the last|take my eyes|sleep|bear|stand|live|be the only|"
    r"let (?:you|this)))"
)
# A letter that declines an invitation does what it was asked for.
_NO_LETTER: Final = r"(?! (?:to )?(?:come|attend|join you|make it|be there|accept your|accept the)\b)"
_CANNOT: Final = (
    r"(?:can't|cannot|can not|couldn't|could not|won't|will not|must decline|have to decline|must refuse|decline to|"
    r"am unable|'m unable|was unable|(?:am|'m|was)(?: currently| just| really)? not (?:able|allowed|permitted|"
    r"programmed|"
    r"equipped|designed|capable|authori[sz]ed|qualified|trained|comfortable|in a position)|refuse to|"
    r"do not feel comfortable|don't feel comfortable)"
)
_UNABLE: Final = f"(?:{_CANNOT}){_NO_LETTER}"
_SUBJECT: Final = (
    r"(?:provided |given |above |following |specific |exact ){0,2}(?:questions?|text|passage|context|information|"
)
_SUBJECT_END: Final = (
    r"prompt|statement|request|sentence|image|document|article|input|data|topic|instructions?|functions?|tools?|name|"
    r"answer)"
)

ENGLISH: Final = (
    rf"(?:{_REGRET})?as {_AN_AI}\b[^.]{{0,150}}\b(?:cannot|can't|don't|do not|unable|not able|not capable|"
    rf"not possible|no personal)\b",
    rf"(?:i'm|i am) {_AN_AI}\b[^.]{{0,120}}\b(?:cannot|can't|don't|do not|unable|not able|not programmed|not capable|"
    rf"no personal)\b",
    rf"(?:{_REGRET})i(?: simply| just)? ?(?:{_UNABLE}|{_LACKS}|have no |am not sure|'m not sure|do not know|don't know|"
    r"do not understand|don't understand|lack |am not familiar|'m not familiar|am not aware|'m not aware|need more|"
    r"have to|must)",
    rf"(?:{_REGRET})(?:we|my \w{{1,20}}|our \w{{1,20}}) (?:{_UNABLE}|{_LACKS}|have no |are unable|are not able)",
    rf"(?:{_REGRET})(?:this|that|the|your) {_SUBJECT}{_SUBJECT_END}\b[^.]{{0,60}}\b(?:does not|doesn't|do not|don't|"
    rf"is not|"
    r"isn't|are not|cannot|can't|is (?:unclear|incomplete|ambiguous|inappropriate|missing)|seems? to be|goes against|"
    r"violates)",
    rf"(?:{_REGRET})(?:there (?:is|are|was) (?:no|not|insufficient)|it (?:is|'s) (?:not (?:possible|clear|appropriate)|"
    r"impossible|unclear|against)|none of the|no (?:information|image|text|context|data)\b|not enough|you (?:have not|"
    r"haven't|did not|didn't))",
    r"unfortunately,? i\s{0,3}$",
    rf"i(?: simply)? ?{_UNABLE}{_NO_FIGURE}\b",
    rf"i(?: simply)? ?{_LACKS}",
    r"(?:truthfully,? |honestly,? )?i(?: really| honestly| truly)? (?:do not|don't) know\b(?! (?:how to (?:thank|"
    r"tell|say|"
    r"express)|about you|why (?:i|you|but)|what (?:to|i would)|how (?:much|long) i))",
    r"i(?:'m| am)(?: really| quite| entirely)? not (?:sure|certain|aware of|familiar with)"
    r"(?: (?:what|how|who|which|if|whether|i|about|that|any)\b|[.,!]|$)",
    r"i have no (?:information|knowledge|access|idea|way (?:of|to)|personal|opinion|comment|data|record)",
    r"i(?:'d| would) (?:rather|prefer) not\b",
    r"(?:we|our \w{1,20}) (?:can't|cannot|are unable to|are not able to) (?:provide|help|assist|answer|offer|share|"
    r"disclose|"
    r"fulfill|comply|complete|process)",
    r"(?:the|this|your) (?:provided )?(?:request|question|topic|prompt|content) (?:goes against|violates|"
    r"is not something i|"
    r"is (?:inappropriate|offensive|harmful))",
    r"i(?:'d| would) be (?:happy|glad) to (?:help|assist)[^.!]{0,60}[,.!]?\s+(?:but|however|unfortunately),?\s+(?:i|"
    r"it|you|"
    r"there|the)\b",
    r"it (?:seems|looks like|appears)(?: that| like)? (?:you (?:have not|haven't|did not|didn't|forgot)|"
    r"your (?:message|"
    r"question|request|input) (?:is|was|got|may)|there (?:is|was) no (?:text|image|question|file))",
    r"i(?: must| have to| need to)? (?:inform|remind|tell) you that i(?:'m| am)? (?:cannot|can't|unable|not able)",
)
_BY_LANGUAGE: Final = {
    "de": (
        r"(?:(?:es )?tut mir (?:sehr )?leid|entschuldigung|entschuldige|leider|verzeihung|bedauerlicherweise|"
        r"ich bedauere)\b"
        r"[^.]{0,80}\b(?:nicht|kein\w{0,3}|unmöglich)\b",
        r"ich (?:kann|darf|werde) (?:dir |ihnen |das |dies |dabei |dazu |hier |darauf |diese[nrs]? |leider |auf |bei |"
        r"keine |\w{1,20} ){0,3}(?:nicht|keine\w?)\b",
        r"als (?:ki|künstliche intelligenz|sprachmodell|ein sprachmodell|eine ki|ki-\w{1,20}|"
        r"ai)\b[^.]{0,80}\b(?:nicht|kein\w{0,3})",
        r"ich (?:weiß (?:es |das |leider )?nicht|bin (?:mir )?(?:leider )?nicht (?:sicher|in der lage|befugt)|"
        r"habe (?:leider )?kein\w{0,2} (?:zugriff|informationen|zugang|meinung|möglichkeit|angaben|daten))",
    ),
    "fr": (
        r"(?:(?:je suis (?:vraiment )?)?désolée?|malheureusement|je regrette|je m'excuse|excusez-moi|"
        r"pardon)\b[^.]{0,80}"
        r"\b(?:ne (?:peux|puis|suis|sais|dispose|peut|contient)|n'(?:ai|est|y a|existe)|pas)\b",
        r"je ne (?:peux|puis|suis|sais|dispose|connais) pas\b(?! (?:croire|attendre|m'empêcher))",
        r"je n'ai (?:pas|aucune?) (?:d'|de |la |accès|assez|suffisamment)",
        r"en tant qu(?:e |')[^.]{0,60}(?:ne (?:peux|puis|suis|dispose)|n'ai)",
    ),
    "es": (
        r"(?:lo siento|lamentablemente|desafortunadamente|lo lamento|perdón|disculpa|disculpe|"
        r"me temo que)\b[^.]{0,80}\bno\b",
        r"no (?:puedo|podemos) (?:ayudar|proporcionar|responder|cumplir|hacer|dar|ofrecer|acceder|determinar|"
        r"realizar|brindar|"
        r"contestar|generar|asistir|saber|confirmar)",
        r"no (?:tengo (?:acceso|información|suficiente|la capacidad|conocimiento|opiniones|datos|idea|ningun)|"
        r"dispongo de|estoy seguro|estoy en condiciones|sé (?:la respuesta|qué|cuál|quién)|lo sé\b|"
        r"hay (?:suficiente )?información)",
        r"como (?:un |una )?(?:modelo de lenguaje|ia\b|inteligencia artificial|asistente)[^.]{0,80}\bno\b",
    ),
    "pt": (
        r"(?:desculpe|sinto muito|lamento|infelizmente|peço desculpas?|perdão)\b[^.]{0,80}\bnão\b",
        r"(?:eu )?não (?:posso|consigo|podemos) (?:ajudar|fornecer|responder|cumprir|fazer|dar|oferecer|acessar|"
        r"determinar|"
        r"realizar|ajudá|gerar|atender)",
        r"(?:eu )?não (?:tenho (?:acesso|informaç|conhecimento|opiniões|dados|como|a capacidade)|sei\b|estou certo)",
        r"como (?:um |uma )?(?:modelo de linguagem|ia\b|inteligência artificial|assistente)[^.]{0,80}\bnão\b",
    ),
    "it": (
        r"(?:mi dispiace|purtroppo|mi scuso|scusa|scusate|spiacente)\b[^.]{0,80}\bnon\b",
        r"non (?:posso|sono in grado di) (?:aiutar|fornire|rispondere|fare|dare|offrire|accedere|soddisfare|"
        r"\w{1,20}re)\b",
        r"non (?:ho (?:accesso|informazioni|abbastanza|la capacità|opinioni|dati)|lo so\b|sono sicur[oa]|so (?:cosa|"
        r"chi|quale))",
        r"(?:come|in quanto|essendo) (?:un |una )?(?:modello linguistico|ia\b|intelligenza artificiale|"
        r"assistente)[^.]{0,80}\bnon\b",
    ),
    "ca": (
        r"(?:ho sento|em sap greu|malauradament|lamentablement|disculpa|disculpeu)\b[^.]{0,80}\bno\b",
        r"com a (?:model|intel·ligència)[^.]{0,80}\bno\b",
        r"no (?:puc|podem) (?:ajudar|proporcionar|respondre|donar|fer|oferir)|no (?:tinc (?:accés|informació|prou|"
        r"opinions)|ho sé\b)",
    ),
    "gl": (
        r"(?:síntoo|sinto|lamento|desculpa|desafortunadamente)\b[^.]{0,80}\bnon\b",
        r"como (?:modelo de linguaxe|intelixencia artificial)[^.]{0,80}\bnon\b",
        r"non (?:podo|teño (?:acceso|información|opinións)|o sei\b|sei\b)",
    ),
    "eu": (r"(?:barkatu|sentitzen dut|zoritxarrez)\b[^.]{0,80}\b(?:ezin|ez)\b", r"(?:ez dakit|ezin dut|ezin dizut)\b"),
    "nl": (
        r"(?:het spijt me|sorry|helaas|excuses)\b[^.]{0,80}\b(?:niet|geen)\b",
        r"ik kan (?:je |u |dat |dit |hier |deze |daar |helaas ){0,3}(?:niet|geen)\b|ik weet (?:het )?niet\b|"
        r"ik heb (?:helaas )?geen (?:toegang|informatie|gegevens|mening)",
        r"als (?:ai|taalmodel|een taalmodel|kunstmatige)[^.]{0,80}\b(?:niet|geen)\b",
    ),
    "ru": (
        r"(?:извините|к сожалению|простите|прошу прощения|приношу извинения|сожалею)[^.]{0,80}(?:\bне\b|\bнет\b|"
        r"невозможно)",
        r"я не (?:могу(?! (?:поверить|дождаться|не))|знаю|имею|обладаю|располагаю|уверен|умею|способ)",
        r"как (?:языковая модель|ии\b|искусственный интеллект|ассистент)[^.]{0,80}\bне\b|у меня нет (?:доступа|"
        r"информации|данных|мнени)",
    ),
    "uk": (r"(?:вибачте|на жаль|перепрошую|пробачте)[^.]{0,80}\b(?:не|немає)\b", r"я не (?:можу|знаю|маю)\b"),
    "pl": (
        r"(?:przepraszam|niestety|przykro mi)\b[^.]{0,80}\bnie\b",
        r"nie (?:mogę|jestem w stanie) (?:pomóc|udzielić|odpowiedzieć|podać|spełnić)|nie (?:wiem\b|mam (?:dostępu|"
        r"informacji))",
    ),
    "cs": (r"(?:omlouvám se|bohužel|je mi líto|promiňte)\b[^.]{0,80}\bne\w{2,}",),
    "sv": (r"(?:tyvärr|jag är ledsen|förlåt|beklagar|jag beklagar)\b[^.]{0,80}\b(?:inte|ingen|inga)\b",),
    "da": (r"(?:desværre|beklager|undskyld|jeg er ked af|jeg beklager|dessverre)\b[^.]{0,80}\b(?:ikke|ingen)\b",),
    "fi": (r"(?:valitettavasti|pahoittelen|anteeksi|olen pahoillani)\b[^.]{0,80}\b(?:en|ei)\b",),
    "ro": (r"(?:îmi pare rău|din păcate|scuze)\b[^.]{0,80}\b(?:nu)\b", r"nu (?:pot|știu|am acces)\b"),
    "tr": (
        r"(?:üzgünüm|maalesef|ne yazık ki|özür dilerim|kusura bakmayın)\b[^.]{0,120}(?:am[ıi]yor|em[ıi]yor|amam|emem|"
        r"bilmiyorum|yok|değil|bulunmu)",
    ),
    "el": (r"(?:λυπάμαι|δυστυχώς|συγγνώμη|ζητώ συγγνώμη)[^.]{0,80}\bδεν\b", r"δεν (?:μπορώ να|γνωρίζω|έχω πρόσβαση)"),
    "id": (
        r"(?:maaf|mohon maaf|sayangnya|saya minta maaf)\b[^.]{0,80}\b(?:tidak|belum|bukan)\b",
        r"saya tidak (?:dapat|bisa|tahu|memiliki|mampu|yakin)\b",
    ),
    "vi": (
        r"(?:(?:tôi |mình )?(?:rất )?xin lỗi|rất tiếc|(?:tôi |mình )?rất lấy làm tiếc)[^.]{0,80}không",
        r"tôi không (?:thể|biết|có (?:thông tin|quyền|khả năng|đủ)|được phép|chắc)",
    ),
    "ar": (
        r"(?:عذر|أعتذر|آسف|أسف|للأسف|نأسف|المعذرة)[^.]{0,80}(?:\bلا|\bلن|\bلم|\bليس)",
        r"(?:أنا )?لا (?:يمكنني|أستطيع|أعرف|أعلم|أملك|يمكن لي)",
    ),
    "fa": (r"(?:متأسف|متاسف|ببخشید|با عرض پوزش|عذر)[^.]{0,80}(?:نمی|ندارم|نیست)", r"(?:من )?نمی‌?\s?(?:توانم|دانم)"),
    "hi": (
        r"(?:क्षमा|माफ़|माफ|मुझे खेद|खेद)[^।]{0,100}(?:नहीं|असमर्थ|मुश्किल)",
        r"(?:मैं|मुझे) [^।]{0,60}(?:नहीं (?:कर सक|दे सक|बता सक|पता|मालूम)|असमर्थ)",
    ),
    "th": (
        r"(?:ขออภัย|ขอโทษ|เสียใจ)[^\n]{0,80}(?:ไม่สามารถ|ไม่มี|ไม่ทราบ|ไม่ได้|ไม่รู้)",
        r"(?:ฉัน|ผม|ดิฉัน|เรา)ไม่(?:สามารถ|ทราบ|รู้|มีข้อมูล)",
    ),
    "zh": (
        r"(?:非常|很|十分)?(?:抱歉|对不起|對不起|遗憾|遺憾|不好意思)[^。]{0,60}(?:无法|無法|不能|没有|沒有|不会|不知道|不清楚|不太|不是|不确定|未能|需要更多)",
        r"(?:我|作为[^。]{1,40}我|作為[^。]{1,40}我|我(?:只)?是[^。]{1,30}(?:模型|助手|程序|人工智能|AI)[^。]{0,20})"
        r"(?:目前|现在|暂时|还|并|並|也)?(?:无法|無法|不能|不会|没有(?:足够|相关|办法|能力|权限|个人|实时|感情|访问)|"
        r"不知道|不清楚|不确定|不太清楚|不具备|不了解)",
    ),
    "ja": (
        r"(?:(?:大変|誠に)?(?:申し訳|すみません|すいません|ごめん|恐れ入り|恐縮|残念ながら|あいにく))[^。]{0,100}"
        r"(?:ません|できかね|出来かね|致しかね|いたしかね|不可能)",
        r"(?:私(?:は|には|たち|として|の)|ai(?:は|として|である|なので))[^。]{0,80}(?:できません|出来ません|わかりません|分かりません|"
        r"持っていません|持っておりません|(?:情報|能力|機能|知識|データ)[^。]{0,6}ありません|お答えでき|控えさせて|知りません)",
        r"(?:わかりません|分かりません|知りません|お答えできません|回答できません|不明です)",
        r"[^。]{0,80}(?:お答えする|お答え|回答|お手伝い|対応|提供|お教え|推奨|支援)(?:する)?(?:ことは?|は|が|も)?(?:できません|出来ません|致しかねます|いたしかねます|できかねます)",
    ),
    "ko": (
        r"(?:정말 |대단히 )?(?:죄송|미안|유감|안타깝게도|아쉽게도)[^.]{0,80}"
        r"(?:수 없|수가 없|못|어렵|모르|않|없습니다|아닙니다|불가능)",
        r"(?:저는|나는|제가|ai로서|ai 언어)[^.]{0,60}"
        r"(?:수 없습니다|수 없어요|모르겠|모릅니다|알지 못|갖고 있지 않|가지고 있지 않)",
        r"(?:잘 )?(?:모르겠습니다|모르겠어요|모릅니다|알 수 없습니다)|답변(?:을|은)? ?(?:드릴|할|해 드릴) 수 없",
    ),
}
PHRASES: Final = (*ENGLISH, *[phrase for phrases in _BY_LANGUAGE.values() for phrase in phrases])
