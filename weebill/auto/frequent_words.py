"""The words that are most frequent in a language, and first in requests: they tell the languages of a script apart."""

from __future__ import annotations

from typing import Final

from weebill.auto.listing import listed

BY_LANGUAGE: Final = {
    "en": (
        "the of and to a in is it you that he was for on are with as i his they be at one have this from or had "
        "by what when where who why how which can could would should will do does did not my your me we our "
        "their there please write give tell explain an if than then but she her him its about into hello hi "
        "thanks all has been were more out up so no any some after before help need want make name list find"
    ),
    "es": (
        "el la los las de del que y en un una unos es por con no para su se lo como más pero sus le ya o este sí "
        "porque esta entre cuando muy sin sobre también me hasta hay donde quien desde todo nos qué cómo cuál "
        "cuánto cuántos cuántas dónde quién mi tu yo está son ser fue hola gracias puedes escribe dime tengo "
        "tiene hace estoy al he ha han si eso esto ese era eres año años ayúdame explica necesito quiero cada"
    ),
    "fr": (
        "le la les de des du un une et est en que qui dans pour pas sur au aux avec ce cette ces il elle je tu "
        "nous vous ils se ne plus par son sa ses ou mais comme on être été sont ont fait mon ma mes leur leurs "
        "quel quelle comment pourquoi combien où quand bonjour merci peux donne moi suis ai avez c'est l'on d'un "
        "d'une qu'il j'ai l'a n'est puis était écris explique quels quelles chaque salut à y d l qu c n s"
    ),
    "pt": (
        "o a os as de do da dos das que e em um uma no na nos nas por para com não se mais como mas ao ele ela "
        "seu sua são foi ser está eu você meu minha isso esse esta este também já ou quando muito há até sem "
        "sobre qual quais quanto quantos onde quem olá obrigado obrigada escreva explique tenho tem pelo pela à "
        "às é posso quero preciso fazer ano anos ter estou me era eles oi entre cada"
    ),
    "de": (
        "der die das und ist in zu den von mit nicht ein eine einen einem einer sich auf für dem des im es ich "
        "du er sie wir ihr auch als an nach wie bei aus um noch nur werden wird hat haben sind war oder aber "
        "wenn was wer wo warum welche welcher welches wieviel viele kann können kannst mein meine dein hallo "
        "danke bitte schreibe erkläre gib mir über zum zur so man durch vor bis mehr mich habe am jeder uns dass "
        "diese dieser"
    ),
    "it": (
        "il lo la i gli le di del della dei delle che e è in un una uno per con non si da dal al alla ai nel "
        "nella sono come più ma ha ho hai anche se questo questa su sul sulla mi ti ci tu io lui lei noi qual "
        "quale quali quanto quanti dove quando chi perché cosa ciao grazie scrivi spiega dimmi posso puoi mio "
        "mia suo sua essere stato era degli alle dalla fra tra ogni così c'è anni due"
    ),
    "nl": (
        "de het een en van in is dat op te zijn met voor niet aan er om ook als dan maar bij uit nog naar heeft "
        "hebben was wordt worden door over ze hij ik je jij we wij mijn jouw u deze dit die wat wie waar waarom "
        "hoe hoeveel welke kan kun kunt zou hallo bedankt schrijf geef mij me of tot zo geen meer veel heb ben "
        "moet al leg werd na"
    ),
    "id": (
        "yang dan di ke dari ini itu untuk dengan tidak dalam adalah pada akan juga saya anda kamu dia mereka "
        "kami kita ada bisa dapat apa siapa mengapa bagaimana berapa kapan mana sudah telah oleh sebagai atau "
        "karena lebih hari tahun orang satu seperti halo terima kasih tolong tulis jelaskan jika bahwa para "
        "banyak tersebut setiap harus aku lagi hanya secara menjadi kepada sangat"
    ),
    "vi": (
        "và của là có không được các một những cho trong với này đã khi để từ người tôi bạn anh chị ở ra như thì "
        "cũng đến về nhiều gì sao nào bao nhiêu thế đó vào năm nếu còn nhưng hãy viết giải xin chào cảm ơn làm "
        "việc phải hơn theo rất sẽ ai đâu mỗi hai"
    ),
    "tr": (
        "ve bir bu da de için ile çok ne mi mı mu mü daha gibi olarak olan var yok ben sen biz siz ama kadar en "
        "sonra nasıl neden nedir kim kaç hangi nerede değil her ya veya şey ki onun bana benim merhaba "
        "teşekkürler lütfen yaz açıkla oldu olduğu ise o iki diye zaman göre ancak tarafından bunu"
    ),
    "pl": (
        "i w na z do się nie jest to że jak o po co ale za od czy tak przez dla być są był była tym ten ta tego "
        "jego jej ich mnie mi ja ty my wy on ona kto gdzie kiedy dlaczego ile jaki jaka jakie który która które "
        "cześć dziękuję proszę napisz mam może już tylko oraz lub bardzo jeśli przy pod roku ma ze"
    ),
    "sv": (
        "och att det i en som är på av för med den till inte om ett han hon jag du vi de har var hur vad varför "
        "när från men eller så kan ska min din sig ut där vara hade hej tack skriv mycket efter vid också år"
    ),
    "da": (
        "og at det i en som er på af for med den til ikke om et han hun jeg du vi de har var hvordan hvad "
        "hvorfor når fra men eller så kan skal min din sig ud der være havde hej tak skriv meget efter ved også "
        "blev nogle"
    ),
    "cs": (
        "a se v na je že s z do to i o k ve pro za by ale si jako po jsem jsou byl byla bylo od které který "
        "která jak co kdy kde proč kolik při nebo jen už také než ahoj děkuji prosím napiš tak mezi podle"
    ),
    "ro": (
        "și în de la a cu pe nu o un este din care pentru mai că se ca sunt fost au am ce cum unde când cine "
        "dacă sau dar după fi al ale lui prin între fără aceasta acest bună mulțumesc scrie cât câte"
    ),
    "hu": (
        "a az és hogy nem is egy de meg csak ez azt már van volt mint ha vagy ki mi hogyan miért mikor hol "
        "mennyi még majd lehet kell szerint után el nagyon szia köszönöm kérem írj ezt ami"
    ),
    "fi": (
        "ja on ei että se oli hän en kun niin mutta myös joka ovat kuin mitä miten miksi missä kuka tai jos ole "
        "olen minä sinä hei kiitos sen ollut voi mukaan jo vain kirjoita kuinka sekä"
    ),
    "sw": (
        "ya na wa kwa ni za katika la kuwa hii hiyo huyo alikuwa ana cha je gani nini jinsi ngapi kila yake wake "
        "watu mtu au pia lakini hujambo asante tafadhali ikiwa yeye baada siku"
    ),
    "tl": (
        "ang ng sa na mga ay at ko mo ito para hindi ni si kung ano paano bakit saan kailan sino may siya ako "
        "ikaw isang niya kumusta salamat po nang"
    ),
    "ca": (
        "el la els les de del que i en un una és per amb no als ha són com més però aquest aquesta també o seva "
        "seu ser va hi ho dels què on quan hola gràcies fins sense molt"
    ),
}
# What programs are full of, and so say nothing about the language of a text with many signs.
KEYWORDS: Final = frozenset(
    listed(
        """for in if and or not is while with as from import return this do else def class the to a i e o no new
        true false let use on by at var all any list name"""
    )
)
BULGARIAN: Final = frozenset(listed("""е са се да от за ще какво че ли си което този тази като при също"""))
