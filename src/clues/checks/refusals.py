"""A check for refusals: short lists of phrases in the languages below, looked for at the start of a response."""

from __future__ import annotations

import re

from clues.checks.pair import Pair

_READ = 200  # characters from the start

_HELP = (
    r"help|assist|answer|respond|repl(?:y|ies)|comply|provid|fulfil|give|offer|generat|creat|produc|writ|discuss|share"
    r"|support|do (?:that|this|so)|engage|participat|advi[cs]e|recommend|complete|continue|process|explain|tell|speak"
)
_HELFEN = (
    r"helfen|beantworten|antworten|geben|bereitstellen|unterstützen|machen|erfüllen|anbieten|äußern|sagen|eingehen"
    r"|nachkommen|liefern|erteilen"
)
_AIDER = r"aider|répondre|fournir|donner|assister|traiter|satisfaire|accéder|dire|parler|aborder|apporter|accepter"
_AYUDAR = (
    r"ayudar|responder|contestar|ofrecer|proporcionar|facilitar|atender|dar|tratar|hablar|cumplir|hacer|brindar"
    r"|compartir|ajudar|fornecer|aiutar|rispondere|fornire"
)
_PHRASES = (
    # English
    r"\b(?:sorry|afraid|apologi[sz]e|apologies)\b[^.!?\n]{0,60}\b(?:can't|cannot|can not|won't|unable|not able"
    r"|not (?:comfortable|appropriate|allowed|permitted))",
    rf"\b(?:i|we) (?:can't|cannot|can not|won't|will not|could not|couldn't) (?:\w+ ){{0,3}}(?:{_HELP})",
    rf"\b(?:i|we)(?:'m|'re| am| are) (?:unable|not able|not allowed|not comfortable|not permitted|not willing) to "
    rf"(?:\w+ ){{0,3}}(?:{_HELP})",
    rf"\b(?:i|we) (?:must |have to |would |will )?(?:decline|refuse) to (?:\w+ ){{0,3}}(?:{_HELP})",
    rf"\b(?:i|we)(?:'d| would)? (?:rather|prefer) not (?:to )?(?:\w+ )?(?:{_HELP})",
    r"\b(?:not|isn't) something (?:that )?(?:i|we)(?:'m|'re| am| are)? (?:can|could|able|willing|allowed|comfortable)",
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|virtual assistant|assistant)\b[^.!?\n]{0,120}"
    r"\b(?:can't|cannot|can not|unable|not able|don't|do not|won't|will not|not (?:programmed|designed|capable))",
    r"\b(?:against|violates?|outside|beyond) (?:my|our) (?:\w+ )?(?:guidelines|polic(?:y|ies)|programming|principles"
    r"|rules|scope)",
    rf"\b(?:not|in)(?: be)? ?(?:appropriate|ethical|able|possible) for (?:me|us) to (?:\w+ )?(?:{_HELP})",
    # German
    r"\b(?:tut mir (?:sehr )?leid|bedau[er]+e?|entschuldig)[^.!?\n]{0,80}\b(?:nicht|kein\w*)\b",
    rf"\b(?:(?:kann|darf|möchte|werde) ich|ich (?:kann|darf|möchte|werde)) [^.!?\n]{{0,80}}\b(?:nichts?|keine?n?)\b"
    rf"[^.!?\n]{{0,30}}(?:{_HELFEN})",
    r"\bist mir (?:leider )?nicht (?:möglich|gestattet|erlaubt)|\bich muss [^.!?\n]{0,40}ablehnen"
    r"|\bals (?:ki\b|künstliche intelligenz|sprachmodell)",
    # French
    r"\b(?:désolée?s?|regrette|excuse)\b[^.!?\n]{0,60}\b(?:ne (?:peux|puis|pouvons|suis|sommes|souhaite)|impossible)\b",
    rf"\b(?:je|nous) ne (?:peux|puis|pouvons|suis|sommes|souhaite|veux) (?:\w+ )?pas [^.!?\n]{{0,40}}(?:{_AIDER})",
    r"\b(?:il m'est impossible|il ne m'est pas possible|je (?:dois|préfère) (?:refuser|décliner|ne pas)|je refuse de)"
    r"|\ben tant qu(?:e |')(?:ia\b|intelligence artificielle|modèle de langage|assistant)",
    # Spanish, Portuguese, Italian
    r"\b(?:lo siento|lamento|disculp\w+|perdón|desculp\w+|sinto muito|mi dispiace|scusa\w*)\b[^.!?\n]{0,60}"
    r"\b(?:no (?:puedo|podré|podemos|me es posible|estoy)|não (?:posso|podemos)|non (?:posso|possiamo))",
    rf"\b(?:no (?:puedo|podré|podemos)|não (?:posso|podemos)|non (?:posso|possiamo)) [^.!?\n]{{0,30}}(?:{_AYUDAR})",
    r"\b(?:no (?:me es|me resulta) posible|no estoy (?:en condiciones|autorizad\w|capacitad\w)|prefiero no|me niego a"
    r"|(?:debo|tengo que) (?:rechazar|declinar|negarme))\b",
    r"\b(?:como (?:una? )?(?:ia\b|inteligencia artificial|inteligência artificial|modelo de (?:lenguaje|linguagem))"
    r"|come (?:ia\b|intelligenza artificiale|modello linguistico))",
    # Chinese, Japanese
    r"(?:抱歉|对不起|不好意思|很遗憾|恕)[^。！？\n]{0,20}(?:无法|不能|没法|没有办法|不便)",
    r"我(?:们)?(?:无法|不能|没法|没有办法|不便|拒绝)[^。！？\n]{0,10}(?:回答|答复|提供|协助|帮|满足|给出|讨论)",
    r"作为(?:一个|一名|一款)?(?:ai|人工智能|语言模型)[^。！？\n]{0,30}(?:无法|不能|没有|不)",
    r"(?:申し訳|すみません|恐れ入ります)[^。！？\n]{0,30}(?:できません|できかね|いたしかね|お答え)",
    r"お(?:手伝い|答え|応え)(?:は|を|する)?[^。！？\n]{0,8}(?:できません|できかね|いたしかね)",
)
_REFUSAL = re.compile("|".join(_PHRASES))


def refuses(pair: Pair) -> bool:
    """Whether the response begins by refusing to answer."""
    return bool(_REFUSAL.search(pair.response[:_READ].lower().replace("\u2019", "'")))
