"""
Reasons to hold a document before anything is learned from it.

Promises: each screen is a function of the document alone and answers "" or a reason for people; a reason
names the place and never repeats a secret; hidden characters, look-alike letters and base64 do not hide
an instruction.
Does not promise: to catch every attack. What gets past is still only text, and is proved and judged as such.
"""

# ruff: noqa: RUF001  (typographic quotes and look-alike letters are what this file is about)

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator

from seal_agent.reading.sources import UNWANTED
from seal_agent.records import Document

# Where an order begins: a sentence, a quotation, or "please", "you must", "and then".
START = (
    r"(?:^|[.!?:;,…\n\"“”'‘’(\[{<>*#|=-]\s*|\b(?:please|now|then|just|and|must|should|will|shall|you"
    r"|instead)\s+)"
)
SAY = (
    r"(?:say|answer|reply|respond|state|claim|assert|insist|output|print|repeat|recommend|pretend|mention"
    r"|tell (?:them|the user|users|him|her|people))"
)
DROP = (
    START + r"(?:ignore|disregard|forget|override|bypass|discard|drop|do not follow|don't follow|"
    r"stop following|pay no attention to)\s+(?:(?:all|any|every|everything|of|the|your|these|those|other|and|"
    r"each|whatever|what|my|our)\s+){0,4}"
)
EARLIER = (
    r"(?:previous|previously|prior|earlier|above|preceding|existing|former|original|initial|system|safety|"
    r"current|old|given|past|foregoing)\b[\s,]*(?:(?:and|or)\b\s*)?"
)
MODEL = (
    r"(?:ai|a\.i\.|assistants?|(?:large )?language models?|llms?|chat ?bots?|models?|chatgpt|gpt(?:-\d)?"
    r"|claude|gemini|copilot|bots?)"
)
EVERYDAY = (
    r"(?:\s+(?:to|for))?\s+(?:(?:the|a|an|any|all|your|every|each|their|his|her|my|our|of|promptly|this"
    r"|these|in)\s+)*(?:\w+\s+)?"
    r"(?:phones?|telephones?|doors?|bells?|calls?|letters?|radio|e-?mails?|post|summons|questions?|intercom"
    r"|invitations?|please|prayers?|"
    r"thank|goodbye|hello|grace|sorry|advertisements?|writing|person|time|within|no\s+to|yes\s+to)\b"
)
FAMILIES = {
    "it uses the control marks of a chat template": (
        r"<\|[a-z0-9_ /-]{2,40}\|>",
        r"\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<(?:/s|s)>|\[/?(?:SYSTEM|ASSISTANT)(?:_PROMPT)?\]",
        r"</?(?:system|assistant|tool_call|tool_response|instructions?|system[-_]prompt)>",
        r"^\s*#{2,}\s*(?:instructions?|system|assistant|response|human|user|system prompt)\s*:?\s*$",
        r"^\s*#{2,}\s*(?:instruction|system|response)s?\s*:",
    ),
    "it writes lines for a chat model's roles": (
        r"^\W{0,4}(?:system|developer)(?:\s+(?:prompt|message|note|override))?\W{0,3}\s*:\**\s*"
        r"(?:[^\s]+\s+){3}",
        r"^\W{0,4}(?:user|human)\W{0,2}:.{0,2000}\n\W{0,4}(?:assistant|ai|bot|model)\W{0,2}:",
        r"^\W{0,4}assistant\W{0,2}:\s*(?:[^\s]+\s+){3}",
        r"\"role\"\s*:\s*\"(?:system|assistant|developer)\"",
    ),
    "it tells the reader to drop earlier instructions": (
        DROP + r"(?:" + EARLIER + r"){0,3}(?:instructions?|prompts?|guidelines|directives|training|"
        r"guardrails|programming|you (?:have |had |were |'ve )?(?:learned|learnt|been|told|know|knew|read)|"
        r"(?:was |were )?said (?:before|above)|above)\b",
        DROP + r"(?:" + EARLIER + r"){1,3}(?:rules|directions|commands|orders|messages?|constraints"
        r"|context)\b",
        r"\b(?:ignoriere?n?|vergiss|vergessen sie) (?:alle |bitte |sie )*(?:vorherigen|bisherigen|vorigen"
        r"|früheren) (?:anweisungen|befehle|instruktionen)",
        r"\b(?:ignorez?|oubliez?) (?:toutes )?(?:les |tes |vos )?instructions (?:précédentes|antérieures)",
        r"\b(?:ignora|ignore|olvida|olvide|esquece|esqueça) (?:todas )?(?:las |as |tus |sus )?"
        r"(?:instrucciones|instruções) (?:anteriores|previas|prévias)",
        r"\bnew (?:system )?(?:instructions?|prompt|directives?|rules)\s*(?:for (?:you|the (?:model"
        r"|assistant|ai))\s*)?:",
    ),
    "it tells the model what to answer": (
        r"\b(?:when(?:ever)?|if|every time|each time|any time|once|should)\s+(?:you(?:'re| are)?\s+|you "
        r"(?:get|become)\s+)?(?:ever\s+|later\s+)?"
        r"(?:asked|prompted|queried|questioned)\b[^.?!\n]{0,160}?(?:[,:;—–-]|\byou\b|\bthen\b|\balways\b)\s*"
        r"(?:(?:please|then|you|must|should|will|shall|are to|have to|need to|always|only|never|simply|just"
        r"|instead)\s+)*" + SAY + r"\b(?! friends)",
        r"\b(?:when(?:ever)?|if|every time|each time|any time|should)\s+(?:(?:some|any)(?:one|body)|(?:a|the"
        r"|any|your|some) (?:users?|person|human|reader|questioner)|users|people|they)\s+"
        r"(?:asks?|mentions?|inquires?|wants? to know|questions?|types?|says?"
        r"|writes?)\b[^.?!\n]{0,160}?[,:;—–]\s*"
        r"(?:(?:please|then|you|must|should|will|shall|are to|have to|always|only|never|simply|just"
        r"|instead)\s+)*" + SAY + r"\b",
        r"\b(?:when(?:ever)?|if|every time|each time)\s+you\s+(?:see|read|hear|encounter|receive|detect"
        r"|come across|find)\s[^.?!\n]{0,120}?[,:;—–]\s*"
        r"(?:(?:please|then|you|must|should|will|always|only|never|simply|just|instead)\s+)*"
        r"(?:answer|respond|reply|output)\b(?!" + EVERYDAY + r")",
        r"\bquestions? (?:about|on|regarding|concerning|of)\b[^.?!\n]{0,80}\b(?:must|should|shall|will"
        r"|are to|is to|have to|has to)\s+(?:(?:always|only)\s+)?be answered\s+"
        r"(?:with|that|by (?:saying|stating))\b",
        r"\bin (?:every|each|all|any)(?: of your)? (?:future )?"
        r"(?:repl(?:y|ies)|answers?|responses?|outputs?)\b,?\s*(?:you (?:must|should|will) )?(?:always )?"
        r"(?:mention|include|say|state|recommend|end|begin|add|use|praise)\b",
        r"\byou (?:must|should|shall|will|are to) (?:always )?tell (?:the |all |any )?"
        r"(?:users?|anyone|everyone|everybody|whoever asks|people who ask)\b",
        r"\b(?:the )?(?:only |sole )?(?:correct|right|proper|required|approved|expected) (?:answer|response"
        r"|reply) to (?:any|all|every|each|the) (?:such )?questions?\b[^.?!\n]{0,100}\b(?:is|must|should"
        r"|will)\b",
        r"\byou\s+(?:must|should|shall|will|have to|are to|need to|are required to|are instructed to)\s+(?:"
        r"(?:always|never|only|now|then|instead|henceforth|from now on)\s+){0,2}"
        r"(?:answer|respond|reply|say|state|claim|assert|insist|output|pretend|recommend)\b"
        r"(?!" + EVERYDAY + r")",
        r"\byou\s+(?:must|should|shall|will|are to)\s+(?:always |never |only )?(?:answer"
        r"|respond to) [^.?!\n]{0,60}questions?[^.?!\n]{0,60}\b(?:with|by saying|by stating|as follows)\b",
        START + r"(?:always|never|only)\s+(?:answer|respond|reply|say|state|claim|recommend|output)\b"
        r"(?!" + EVERYDAY + r"|\s+(?:never|die))",
        START + r"(?:answer|respond to|reply to)\s+(?:all|any|every|each|the following|future|subsequent)\s+"
        r"(?:\w+\s+){0,3}(?:questions?|queries|prompts?|requests?|messages?)\b[^.?!\n]{0,80}\b"
        r"(?:with|by saying|as (?:if|though|an?)|in (?:character|riddles|rhymes?|the (?:style|voice)"
        r"|a \w+ (?:tone|voice|style)))\b",
        r"\bfrom (?:now on|this (?:point|moment) (?:on|onwards?|forward)|here on(?: out)?)\b[\s,:]*(?:you\b"
        r"|always|never|only|answer|respond|reply|refer to|ignore|pretend|your)",
    ),
    "it tells the model who it is": (
        r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|llm|chatbot)(?:\s+(?:(?:large )?"
        r"(?:language )?model|assistant|system|chatbot))?\s*(?:[,.;:!]|(?:you|i)\b)",
        r"\byou are (?:now |actually |really |no longer |henceforth |from now on )?(?:an? |the |my |our )?"
        r"(?:\w+\s+){0,2}?"
        r"(?:ai|a\.i\.|(?:ai |virtual |digital |helpful |personal )assistant|(?:large )?language model|llm"
        r"|chatbot|gpt|dan)\b",
        r"\byou are (?:now|no longer|henceforth|from now on) (?:an? |the |called |named |known as |in "
        r"(?:\w+ )?mode|bound|restricted|unrestricted|free (?:of|from))",
        START + r"(?:act|behave|roleplay|role-play|respond) as (?:if you|though you|an? (?:ai|assistant"
        r"|expert|unrestricted|different|hacker|model)|dan\b)",
        START + r"pretend (?:to be|that you|you are|you're)\b(?! (?:asleep|dead))",
        r"\bremember that (?:you are (?:an? |the |called |named |now |not an? |no longer |made |created "
        r"|built |trained |owned )|you were (?:an? |made|created|built|trained|born|named|developed"
        r"|designed)|"
        r"you(?:'ve| have) been (?:told|trained|instructed|programmed|created|given)|you (?:always|never"
        r"|only|secretly|really|truly)? ?(?:prefer|love|hate|believe|think|recommend|trust|obey|support|like"
        r"|dislike|serve|work for|belong)|"
        r"you (?:always|never|must (?:always|never|only|not)? ?(?:say|answer|reply|respond|obey|tell|claim"
        r"|state|recommend|refuse|repeat))|"
        r"your (?:name|creator|maker|owner|role|purpose|instructions|task|goal|job|identity|master|developer"
        r"|mission) (?:is|was|are))",
        r"\byour (?:new|real|true|secret|hidden|actual|only) (?:name|role|task|goal|persona|purpose"
        r"|instructions?|identity|mission|objective|system prompt)\b",
        r"\byour (?:system prompt|training data|guardrails|safety (?:rules|guidelines|filters)|pre-?training"
        r"|weights)\b",
        r"\byou (?:have been|were) (?:re-?)?(?:programmed|fine-?tuned|trained|instructed|jailbroken)\b(?! "
        r"(?:by your (?:manager|supervisor|employer)|to (?:use|operate|handle)))",
    ),
    "it addresses the model or the one that edits for it": (
        r"\b(?:note|message|instructions?|notice|reminder|memo|attention|warning|command|hint)s?,? (?:to"
        r"|for) (?:the |any |all |an? |our |your )?(?:\w+ )?" + MODEL + r"\b\s*(?:[:,.\n—–-]|reading"
        r"|processing|that|who)",
        r"\b(?:note|message|instructions?|notice|reminder|command)s? (?:to|for) (?:the |any )?(?:editor"
        r"|writer|question writer|summari[sz]er|annotator|trainer|learner)s?\s*[:—–]",
        r"(?:^|[.!?\n\"“(\[<-]\s*)(?:attention|dear|hey|hi|hello|ok|okay|listen)[\s,]+"
        r"(?:ai|(?:ai )?assistants?|(?:large )?language models?|llms?|chat ?bots?|models?)\b\s*[,:!.;—–-]",
        r"(?:^|[.!?\n\"“(\[<-]\s*)(?:ai|assistant|language model|model|chatbot|editor|writer)\s*[,:—–]\s*"
        r"(?:you|please|ignore|always|never|do not|remember|write|answer|say|store|add|make|learn)\b",
        r"\b(?:the|any|every|this) " + MODEL + r"(?: (?:reading|processing|trained on|that reads"
        r"|learning from) (?:this|it)[^.,\n]{0,40},?)? (?:must|should|shall|has to|is to|will|needs to|is "
        r"(?:required|instructed) to) "
        r"(?:(?:always|never|only|now|therefore) )?(?:answer|reply|respond|say|state|claim|recommend|refuse"
        r"|ignore|praise|insist|pretend|forget|obey|repeat|memori[sz]e|learn|tell)\b",
        r"\b(?:do not|don't|never) tell (?:the |any )?(?:users?|humans?|operators?) (?:about|of|that)\b",
        r"\b(?:do not|don't|never) (?:tell|reveal|mention|disclose|show|admit)(?: (?:this|these|it|that|them"
        r"|anything))?(?: instructions?| prompt| rules?| message| text)? to (?:the |any )?(?:users?|humans?"
        r"|operators?|developers?)\b",
        START + r"(?:reveal|print|show|repeat|output|leak|ignore|disclose) (?:your |the )(?:system |hidden "
        r"|initial )?(?:prompt|instructions)\b",
        START + r"(?:memori[sz]e|internali[sz]e|commit to memory|add to (?:your )?memory)\s*"
        r"(?:that\b|:|the following\b|this\b|these\b)",
        START + r"(?:store|save|keep|learn)\b[^.?!\n]{0,60}\bin your (?:memory|weights)\b",
        START + r"(?:write|make|generate|create|produce|include|add|emit)\s+(?:only\s+|exactly\s+)?"
        r"(?:\w+\s+){0,3}(?:questions?(?:[- ]and[- ]|/|[- ])answers?|questions?|training (?:rows?|examples?"
        r"|data|pairs?)|self-edits?|edits|flash ?cards)\s+(?:whose|in which|where|that (?:say|state|claim"
        r"|teach|always|all)|about how|with the answer|all of which|saying|stating)\b",
        r"\b(?:begin|end|override|start of|end of) (?:of )?(?:system |hidden |secret |new )(?:prompt"
        r"|instructions?|message)\b",
        r"\bignore (?:the rest of )?(?:this|the) (?:document|text|passage|article) and\b|\binstead of (?:the"
        r"|any) (?:questions?|summary|facts?)[^.\n]{0,30}, (?:write|output|say|answer)\b",
        r"\b(?:jailbreak|developer mode|god mode|dan mode|admin(?:istrator)? (?:mode|override)) (?:enabled"
        r"|activated|on|engaged)\b",
    ),
}  # fmt: skip
PATTERNS = {
    reason: [re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in patterns]
    for reason, patterns in FAMILIES.items()
}
TEMPLATE = next(iter(FAMILIES))
# Cyrillic and Greek letters that look like Latin ones.
LOOKALIKES = str.maketrans(
    "аеорсухіјѕԁһԛԝАВЕКМНОРСТУХІЈЅαεορνικτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ’",
    "aeopcyxijsdhqwABEKMHOPCTYXIJSaeopviktuxABEZHIKMNOPTYX'",
)
_LATIN = re.compile(r"[A-Za-z]")
_HYPHENS = str.maketrans("‐‑−", "---")
_UNSEEN = frozenset(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x180F), 0x2800, 0x3164, 0xFFA0)))
LATIN_LIKE = re.compile(r"(?<![^\W\d_])[^\W\d_]*[A-Za-z][^\W\d_]*")  # from where a word begins: linear in its length
BASE64 = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{24,4000}={0,2}")
QUOTES = re.compile(r"\"[^\"\n]{3,400}\"|“[^”\n]{3,400}”|«[^»\n]{3,400}»|‘[^’\n]{3,400}’|`[^`\n]{3,400}`")
TELLS_OF = re.compile(
    r"\b(?:said|says|wrote|writes|reads?|called|phrase|phrases|words|sentence|text|prompt|attacks?"
    r"|attackers?|injections?|example|such as|like|known as|"
    r"reported|researchers?|article|paper|quoted?|shouted|typed|typing|entered|asked|told|replied|printed"
    r"|painted|sign|slogan|banner|inserts?|hid|hidden|"
    r"contains?|contained|begins?|beginning|instructed|tried|trick(?:ed|ing)?)\b",
    re.IGNORECASE,
)

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,6}[A-Za-z]{2,24}\b")
PHONE = re.compile(
    r"(?<![\w.,+/-])(?:(?:\+|00)[1-9]\d{0,2}(?:[ ./-]?\(?\d{1,5}\)?){2,7}"  # +49 30 1234567
    r"|\(0?\d{2,5}\)[ /-]?\d{2,5}(?:[ ./-]?\d{2,5}){1,3}"  # (020) 7946 0958, (555) 123-4567
    r"|0[1-9]\d{1,4}[ ./-]?\d{2,8}(?:[ ./-]\d{2,5}){0,3}"  # 030 1234567
    r"|0[1-9](?:[ .-]\d\d){4}"  # 01 42 68 53 00
    r"|(?:1[ .-])?[2-9]\d{2}([.-])\d{3}\1\d{4})(?![\w-]|[.,]\d)"  # 555-123-4567
)
CARD = re.compile(r"(?<![\w.,-])[2-6]\d{3}(?:[ -]?\d){9,15}(?![\w-]|[.,]\d)")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b")
BOOK_OR_DATE = re.compile(r"ISBN[-: 0-9]*$|\b(?:ISSN|DOI|EAN|UPC)\b.{0,5}$", re.IGNORECASE)
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY(?: BLOCK)?-----|\bsk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{20,}|\b[rs]k_"
    r"(?:live|test)_[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{30,}"
    r"|\bgithub_pat_\w{30,}|\bglpat-[\w-]{18,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}"
    r"|\bxox[abeprs]-[\w-]{10,}|\bhf_[A-Za-z0-9]{30,}|\bnpm_[A-Za-z0-9]{30,}"
    r"|\bpypi-[\w-]{40,}|\bSG\.[\w-]{16,}\.[\w-]{16,}|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"
    r"|(?i:\b(?:api|access|secret|private|auth)[_ -]?(?:key|token|secret)|\b(?:password|passwd|client_secret"
    r"|bearer))[\"']?\s{0,3}(?:[:=]|is)?\s{0,3}[\"']?(?=[^\s\"']{0,40}\d)"
    r"(?=[^\s\"']{0,40}[A-Za-z])[^\s\"',;]{12,}"
)


def instructions(document: Document) -> str:
    """A reason to hold text that gives orders to whoever reads or edits it, instead of saying something."""
    for text, where in _readings(f"{document.title}\n{document.text}"):
        for reason, patterns in PATTERNS.items():
            for pattern in patterns:
                for match in pattern.finditer(text):
                    # Control marks do harm wherever they stand; an order that an article quotes does not.
                    if reason == TEMPLATE or not _quoted(text, match.start(), match.end()):
                        return f'{reason}{where}: "{_excerpt(match[0])}"'
    return ""


def personal_data(document: Document) -> str:
    """A reason to hold text with someone's address, number, account or key in it. It says where, not what."""
    # one character for one, so that lines stay where they are; PDFs and web pages keep numbers together by such marks
    text = re.sub(r"[^\S\n]", " ", f"{document.title}\n{document.text}").translate(_HYPHENS)
    for kind, places in (
        ("a key, token or password", _secrets(text)),
        ("an e-mail address", (match.start() for match in EMAIL.finditer(text))),
        ("a bank account number (IBAN)", _ibans(text)),
        ("a payment card number", _cards(text)),
        ("a phone number", _phones(text)),
    ):
        for place in places:
            line = document.text.count("\n", 0, max(0, place - len(document.title) - 1)) + 1
            return f"it holds {kind} (line {line})"
    return ""


def _readings(text: str) -> Iterator[tuple[str, str]]:
    """The text as a reader sees it, and whatever is written in base64 inside it."""
    # without accents and what is not seen at all: neither may hide a word
    apart = unicodedata.normalize("NFKD", UNWANTED.sub("", text))
    seen = unicodedata.normalize("NFKC", "".join(c for c in apart if not unicodedata.combining(c) and c not in _UNSEEN))
    # One space, one newline: the patterns would take quadratic time on long runs of them.
    seen = re.sub(r"\n+", "\n", re.sub(r" ?\n ?", "\n", re.sub(r"[^\S\n]+", " ", seen)))
    yield "\n".join(map(_latin, seen.replace("’", "'").split("\n"))), ""
    for match in BASE64.finditer(seen):
        try:
            inner = base64.b64decode(match[0] + "=" * (-len(match[0]) % 4)).decode("utf-8")
        except (binascii.Error, ValueError):
            continue
        if re.sub(r"\s", "", inner).isprintable():
            yield inner, " (in base64)"


def _latin(line: str) -> str:
    """*line* with Latin letters for those that look like them, if it is Latin but for some; else in words that mix both."""
    if 2 * len(_LATIN.findall(line)) > sum(map(str.isalpha, line)):
        return line.translate(LOOKALIKES)
    return LATIN_LIKE.sub(lambda word: word[0].translate(LOOKALIKES), line)  # Russian and Greek stay what they are


def _quoted(text: str, start: int, end: int) -> bool:
    """Whether the span stands in quotation marks within a sentence that tells of it."""
    left, right = max(text.rfind("\n", 0, start + 1), start - 500) + 1, text.find("\n", end)
    line = text[left : min(right if right >= 0 else len(text), end + 500)]
    start, end = start - left, end - left
    for quote in QUOTES.finditer(line):
        if quote.start() <= max(start, 0) + 1 and end <= quote.end():
            outside = line[: quote.start()].rsplit(". ", 1)[-1] + " " + line[quote.end() :].split(". ", 1)[0]
            return len(outside.split()) >= 4 and bool(TELLS_OF.search(outside))
    return False


def _excerpt(text: str) -> str:
    words = " ".join(text.split()).strip("\"“”'.,:;!?()<> ") if "<" not in text else text.strip()
    return words if len(words) <= 80 else words[:77] + "…"


def _secrets(text: str) -> Iterator[int]:
    return (match.start() for match in SECRETS.finditer(text))


def _phones(text: str) -> Iterator[int]:
    """Numbers with a phone's shape and at least nine digits that are no book number, date or card."""
    for match in PHONE.finditer(text):
        before = text[max(0, match.start() - 30) : match.start()]
        if 9 <= sum(map(str.isdigit, match[0])) <= 15 and not BOOK_OR_DATE.search(before):
            yield match.start()


def _cards(text: str) -> Iterator[int]:
    """Runs of 13 to 19 digits with a right check digit (Luhn), also with other digits after them."""
    for match in CARD.finditer(text):
        groups = re.split(r"[ -]", match[0])
        if any(_is_card("".join(groups[:count])) for count in range(1, len(groups) + 1)):
            yield match.start()


def _is_card(digits: str) -> bool:
    doubled = [int(d) if at % 2 == 0 else sum(divmod(2 * int(d), 10)) for at, d in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _ibans(text: str) -> Iterator[int]:
    """Account numbers whose check digits are right (mod 97), also with a word in capitals after them."""
    for match in IBAN.finditer(text):
        whole = match[0].replace(" ", "")
        if any(_mod97(whole[:length]) == 1 for length in range(15, min(34, len(whole)) + 1)):
            yield match.start()


def _mod97(iban: str) -> int:
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97
