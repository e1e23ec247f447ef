"""Requests that touch health, law, money lost or stolen, safety or self-harm, in ten languages."""

from __future__ import annotations

from typing import Final

from weebill.auto.kinds import WORD, Kind
from weebill.auto.listing import listed

# Words that are enough by themselves, and words that are with another, or in the first person.
_GRAVE: Final = frozenset(
    listed(
        """suicide suicidal overdose overdosed stolen theft stole robbed scam scammed scammer fraud fraudulent
        hacked phishing blackmail blackmailed lawsuit sued eviction evicted evict arrested divorce custody
        bankruptcy diagnosis diagnosed symptom symptoms chemotherapy antibiotic antibiotics ibuprofen
        paracetamol acetaminophen aspirin insulin pregnant pregnancy miscarriage seizure seizures poisoned
        poisoning swallowed abused assaulted raped molested unauthorized unauthorised dosage dose medication
        medications depressed suffocating mugged anorexia bulimia compromised malpractice suicidio suicidarme
        sobredosis robado robada robaron robo estafa estafado fraude demanda desalojo detenido divorcio
        diagnóstico síntomas embarazada ibuprofeno insulina antibióticos envenenado dosis medicamento
        medicamentos suicider volé volée arnaque arnaqué procès expulsion arrêté diagnostic symptômes enceinte
        ibuprofène insuline antibiotiques intoxication médicament médicaments dépression selbstmord umbringen
        suizid überdosis gestohlen geklaut betrug betrogen gehackt klage kündigung räumung verhaftet scheidung
        diagnose symptome schwanger antibiotika vergiftung vergiftet dosierung medikament medikamente
        depressionen suicídio matar roubado roubada roubaram golpe processo despejo preso divórcio sintomas
        grávida remédio remédios depressão uccidermi rubato rubata rubati truffa truffato frode causa sfratto
        arrestato divorzio diagnosi sintomi incinta ibuprofene antibiotici avvelenamento farmaco farmaci
        depressione самоубийство суицид покончить передозировка украли украден украдена мошенники мошенник
        развод выселение арестовали диагноз симптомы беременна ибупрофен инсулин антибиотики отравление доза
        лекарство лекарства депрессия انتحار الانتحار سرقة سرق سرقت احتيال طلاق الطلاق أعراض الأعراض حامل
        أنتحر جرعة دواء الدواء تسمم محامي"""
    )
)
_CONCERNING: Final = frozenset(
    listed(
        """doctor medicine pill pills pain bleeding fever dizzy rash infection swollen surgery disease cancer
        diabetes lawyer attorney court legal illegal contract landlord tenant police visa deported tax taxes
        loan debt mortgage invest refund charged withdrawal lost missing emergency allergic anxiety hopeless
        burglary wallet passport unsafe hurt injury injured accident vomiting headache médico dolor fiebre
        abogado contrato policía deuda hipoteca perdido perdida alergia sangrado tarjeta cartera médecin
        douleur fièvre avocat contrat dette perdu perdue allergie carte loyer propriétaire arzt schmerzen
        fieber anwalt vertrag vermieter polizei schulden verloren allergisch miete blutung dor febre advogado
        polícia dívida perdi aluguel sangramento medico dolore febbre avvocato contratto polizia debito perso
        allergia affitto врач боль температура адвокат договор полиция долг потерял потеряла аллергия квартира
        болит суд طبيب ألم حمى محام عقد شرطة الشرطة دين فقدت حساسية صداع"""
    )
)
_FIRST_PERSON: Final = frozenset(
    listed(
        """i my me mine we our mi mis tengo estoy puedo je j'ai mon ma mes ich mein meine mir habe meu minha eu
        posso mio mia ho sono я мой моя меня мне у أنا هاتفي"""
    )
)
# For scripts without spaces, and for what takes several words.
_GRAVE_PHRASES: Final = tuple(
    listed(
        "kill myself|cut myself|cutting myself|stabbed myself|my death|without my permission|didn't make|"
        "did not make|don't recogni|do not recogni|didn't authori|someone used|someone is using|someone else|"
        "hurt myself|harm myself|end my life|want to die|chest pain|can't breathe|cannot breathe|self-harm|"
        "self harm|gas leak|side effect|restraining order|identity theft|hit me|beats me|don't want to live|"
        "matarme|quiero morir|dolor de pecho|me tuer|envie de mourir|vol de|douleur à la poitrine|"
        "nicht mehr leben|brustschmerzen|quero morrer|dor no peito|voglio morire|dolore al petto|не хочу жить|"
        "боль в груди|自杀|自殺|被偷|被盗|偷了|诈骗|被骗|起诉|离婚|律师|症状|怀孕|药|剂量|中毒|胸痛|抑郁|想死|"
        "逮捕|拘留|盗まれ|盗難|詐欺|訴え|離婚|弁護士|妊娠|薬|服用|胸が痛|死にたい|うつ病|逮捕|立ち退き",
        "|",
    )
)
# With the words that a text has if it has the phrase.
_BY_WORD: Final = {
    word: [(each, frozenset(WORD.findall(each)[1:-1])) for each in _GRAVE_PHRASES if each.startswith(word)]
    for word in {WORD.findall(each)[0] for each in _GRAVE_PHRASES if each.isascii()}
}
_FIRST_WORDS: Final = frozenset(_BY_WORD)
_BY_SIGN: Final = {
    sign: [each for each in _GRAVE_PHRASES if each[0] == sign and not each.isascii()]
    for sign in {each[0] for each in _GRAVE_PHRASES if not each.isascii()}
}
# Tasks about a text, and problems that are made up: much more must be said before it is the asker's own concern.
_SET_TASKS: Final[frozenset[Kind]] = frozenset(
    {"maths", "code", "options", "translation", "summary", "extraction", "classification", "rewriting", "writing"}
)
_ENOUGH, _ENOUGH_IN_A_TASK = 2, 5


def touches_advice(lower: str, words: frozenset[str], task: Kind) -> bool:
    """Returns True if a text, in lower case and as words, asks for advice where a wrong answer does harm."""
    weight = 2 * len(_GRAVE & words) + len(_CONCERNING & words)
    for first in () if lower.isascii() else _BY_SIGN.keys() & frozenset(lower):
        weight += 2 * sum(phrase in lower for phrase in _BY_SIGN[first])
    for first in _FIRST_WORDS & words:
        weight += 2 * sum(within <= words and phrase in lower for phrase, within in _BY_WORD[first])
    if not weight:
        return False
    weight += not _FIRST_PERSON.isdisjoint(words)
    return weight >= (_ENOUGH_IN_A_TASK if task in _SET_TASKS else _ENOUGH)
