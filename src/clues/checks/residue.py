"""Checks for what is left of other texts: of a chat template, and of the page that a text was taken from."""

from __future__ import annotations

import re

from clues.checks.pair import Pair

_SPECIAL = re.compile(  # tokens that templates put around turns
    r"<[|｜][\w▁ ]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\A\s*<s>|</s>\s*\Z",
    re.IGNORECASE,
)
_ROLE = re.compile(  # the names of roles where a turn begins
    r"^\s*(?:#{2,4} ?(?:instructions?|input|response|human|user|assistant|system|question|answer|anweisung|antwort"
    r"|instruction|réponse|instrucción|respuesta|指令|输入|回答|回复|問題|用户|助手) ?[:：]"
    r"|(?:human|user|assistant|system|benutzer|assistent|utilisateur|usuario|asistente|用户|助手|人类) ?[:：])",
    re.IGNORECASE | re.MULTILINE,
)
_TALK = re.compile(
    r"dialog|conversation|chat|prompt|transcript|interview|gespräch|conversación|对话|聊天", re.IGNORECASE
)
_MARKUP = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|copy|reg|[lr]squo|[lr]dquo|[mn]dash|hellip|bull|#\d{2,5}|#x[0-9a-f]{2,4});"
    r"|</?(?:p|br|div|span|li|ul|ol|td|tr|table|h[1-6]|a|b|i|strong|em|script|style|font|img|section|nav|footer)"
    r"(?:\s[^<>]{0,200})?/?>",
    re.IGNORECASE,
)
_FURNITURE = """\
skip to content; skip to main content; jump to navigation; back to top; last updated:; last reviewed:; updated by:
all rights reserved; privacy policy; privacy notice; terms of use; terms of service; cookie policy; cookie settings
accept cookies; accept all cookies; uses cookies; use cookies; share this page; print this page; email this page
share this article; share on; sign up |; | sign up; log in |; | log in; subscribe to our; newsletter; home |; home >
zum inhalt springen; zum hauptinhalt springen; alle rechte vorbehalten; datenschutz; impressum; cookies akzeptieren
aller au contenu; tous droits réservés; mentions légales; accepter les cookies; politique de confidentialité
saltar al contenido; ir al contenido; todos los derechos reservados; aviso legal; aceptar cookies
aceptar las cookies; política de privacidad; 跳到内容; 跳到主要内容; 跳至内容; 版权所有; 隐私政策; 隐私声明; 返回顶部
返回首页; 上一篇; 下一篇; 责任编辑"""
_PAGE = tuple(phrase.strip() for phrase in _FURNITURE.replace("\n", ";").split(";"))
_CODE = re.compile(r"html|xml|css\b|markdown|web ?page|website|code\b|script|```|<[a-z]+[ >]|网页|代码", re.IGNORECASE)
_ENOUGH = 2  # phrases of a page; one may be what the answer is about


def template_marks(pair: Pair) -> bool:
    """Whether special tokens or the names of roles are left in the response; not where the prompt has them too."""
    if _SPECIAL.search(pair.response):
        return not _SPECIAL.search(pair.prompt)
    return bool(_ROLE.search(pair.response)) and not (_TALK.search(pair.prompt) or _ROLE.search(pair.prompt))


def page_residue(pair: Pair) -> bool:
    """Whether markup or the furniture of a page is left in the response; not where the prompt is about such texts."""
    text = pair.response
    if ("<" in text or "&" in text) and _MARKUP.search(text):
        return "```" not in text and not _CODE.search(pair.prompt)
    lower = text.lower()
    return sum(phrase in lower for phrase in _PAGE) >= _ENOUGH
