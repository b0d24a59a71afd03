"""
Whether a document is worth learning.

Promises: novelty() is a pure function of the numbers it is given, and names them in its reason; the helpers
look at nothing but the text.
Does not promise: that a number is right. Where one is NaN, the document is learned: a lesson too many costs
a minute, a lesson lost is lost.
"""

# ruff: noqa: RUF001, SIM905  (word lists are read as prose; typographic quotes are part of the patterns)

from __future__ import annotations

import re

from seal_agent.parts import Signals
from seal_agent.reading.words import COMMON, is_number, tokens
from seal_agent.records import Decision, Document

# What the numbers are stands in measuring.py. The thresholds were chosen on decide_tuning.json and stay as they are.
COVERED = 0.5  # at least this share of the sentences has a remembered neighbour
KNOWN = 0.5  # at least this share of the questions is answered without the text
FAMILIAR = 1.0  # without questions: surprise at most this many times the reference

WEB_WORDS = frozenset(
    "home shop blog gallery faq faqs basket cart checkout account login logout sign signup register search "
    "contact about menu next previous prev page skip content subscribe unsubscribe newsletter share like "
    "follow tweet privacy policy terms cookies cookie settings sitemap help support careers press legal "
    "imprint accessibility navigation top back more read view all categories tags archive comments reply log "
    "in up print download apps app language english wishlist news events services products pricing docs".split()
)
BOILERPLATE = re.compile(
    r"\bcookies?\b.{0,60}\b(?:use|accept|site|experience|consent|settings|browser|analytics|agree)"
    r"|\b(?:use|uses|using|accept|reject|allow|manage|set) (?:\w+ ){0,3}cookies\b|\bstore "
    r"(?:\w+ ){0,3}information on your\b"
    r"|\byour privacy\b|\bprivacy (?:policy|choices|settings|notice)\b|\bterms (?:of (?:use|service)"
    r"|and conditions)\b"
    r"|\ball rights reserved\b|\bcopyright (?:\(c\)|©|\d{4})|^\s*©|\bunsubscribe\b|\bsubscrib(?:e|ing) (?:to"
    r"|for)\b"
    r"|\bthank(?:s| you) (?:so much |very much |again )?for\b|\bstay tuned\b|\bclick (?:here|below|on|the)\b"
    r"|\bsign (?:up|in) (?:to|for|now)\b"
    r"|\b(?:log|sign) ?in\b.{0,30}\b(?:continue|account)|\bread more\b|\bshare this\b|\bfollow us\b"
    r"|\blike and subscribe\b"
    r"|\bout of (?:the )?office\b|\baway from (?:my|the) (?:desk|office)\b|\bwhen i (?:am|get) back\b"
    r"|\blimited access to (?:my )?e-?mail"
    r"|\blorem ipsum\b|\bdolor sit amet\b|\bconsectetur\b|\b(?:enable|turn on) javascript\b|\bpage "
    r"(?:not found|\d+ of \d+)\b"
    r"|\b(?:404|403|500) (?:not found|forbidden|error|internal)|\bthis (?:e-?mail|message) (?:is|and any"
    r"|may) .{0,60}confidential"
    r"|\bintended (?:only )?(?:for the |solely )|\bby (?:using|continuing|clicking|visiting"
    r"|accessing)\b.{0,60}\b(?:agree|accept|consent)"
    r"|\b(?:as is|without warranty)\b.{0,80}\b(?:warrant|liab|kind)|\bdo not reply to this\b|\bautomat(?:ic"
    r"|ically|ed) (?:generated|reply|response|message)"
    r"|\badd to (?:basket|cart|wishlist)\b|\bfree (?:shipping|delivery)\b|\bloading\b\s*[.…]"
    r"|\ball the best\b|\bkind regards\b|\bbest wishes\b"
    r"|\b(?:choose|select|press|tap|click)\b[^.]{0,12}[\"“'‘](?:agree|accept|ok|yes|no|more|continue|next"
    r"|options|reject|allow)",
    re.IGNORECASE,
)
GREETING = re.compile(
    r"^\W*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|night|day|luck)|happy|merry|welcome"
    r"|congratulations|cheers|bye|"
    r"goodbye|thanks|thank you|sincerely|yours|regards|see you|please (?:wait|try|enter|hold|stand by|do not)"
    r"|have a (?:nice|great|good|lovely)|well,|oh,?"
    r"|ah,?|what an?)\b",
    re.IGNORECASE,
)
ADDRESSED = re.compile(
    r"\b(?:i|i'm|i'll|i've|me|my|we|we're|we'll|us|our|you|you're|your|yours|yourself|yourselves"
    r"|let's)\b",
    re.IGNORECASE,
)
LABELLED = re.compile(r"[A-Z][\w ]{2,30}: +[A-Z\d]")
QUOTED = re.compile(r"[\"“][^\"”]{0,80}[\"”]")
UNCASED = re.compile(r"[\u0590-\u1fff\u2e80-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")


def novelty(document: Document, signals: Signals) -> Decision:
    """The default decider: hold what contradicts what was read before, skip what teaches nothing, learn the rest."""
    numbers = signals.numbers
    if signals.contradiction:
        return Decision(action="hold", reason=signals.contradiction, numbers=numbers)
    if numbers["facts"] == 0:
        reason = f"nothing to learn: none of its {numbers['sentences']:.0f} sentences states anything checkable"
        return Decision(action="skip", reason=reason, numbers=numbers)
    if numbers["covered"] >= COVERED and not numbers["news"] and (why := _known(numbers)):
        beside = f", nearest {signals.nearest}" if signals.nearest else ""
        reason = f"already known: {numbers['covered']:.0%} of its sentences are remembered{beside}, and {why}"
        return Decision(action="skip", reason=reason, numbers=numbers)
    return Decision(action="edit", reason=f"worth learning: {_new(numbers)}", numbers=numbers)


def _known(numbers: dict[str, float]) -> str:
    """How the live version shows that it knows the document, or ""."""
    if numbers["known"] >= KNOWN:
        return f"{numbers['known']:.0%} of the questions about it are answered without it"
    if numbers["known"] < 0 and numbers["surprise"] <= FAMILIAR * numbers["reference"]:
        return f"it surprises like known text ({numbers['surprise']:.2f} and {numbers['reference']:.2f} nats)"
    return ""


def _new(numbers: dict[str, float]) -> str:
    """What about the document is new, in words."""
    stated = f"{numbers['facts']:.0f} of {numbers['sentences']:.0f} sentences state something checkable"
    answered = f", {numbers['known']:.0%} of the questions about it are answered" if numbers["known"] >= 0 else ""
    names = f", {numbers['news']:.0f} name something never heard of" if numbers["news"] else ""
    return f"{stated}, {numbers['covered']:.0%} are remembered{names}{answered}"


def fact_bearing(sentence: str) -> bool:
    """Whether a sentence states something to ask about later: a name, a number, a specific claim."""
    if _said_to_anyone(sentence):
        return False
    if len(UNCASED.findall(sentence)) >= 6:
        return True  # no capitals and no spaces to go by
    words = tokens(QUOTED.sub(" ", sentence))
    if len(words) < 3 or _menu(words):
        return False
    # "first" and "one" are everywhere in small talk, so among number words only the others count.
    number = any(is_number(word) and word.lower() not in ("one", "first", "second") for word in words)
    if number or any(_name(word) for word in words[1:]):
        return True
    content = {word.lower() for word in words if len(word) > 2 and word.lower() not in COMMON}
    return not ADDRESSED.search(sentence) and len(content) >= 4 and any(word.lower() in COMMON for word in words)


def worth_learning(sentence: str) -> bool:
    """
    Whether a sentence of a document that is worth learning is itself worth learning.

    More does than is fact_bearing: "Serve with rye dumplings." makes no document worth reading, but belongs to its recipe.
    """
    if fact_bearing(sentence) or (LABELLED.match(sentence) and not sentence.rstrip().endswith("?")):
        return True
    words = tokens(sentence)
    if _said_to_anyone(sentence) or _menu(words):
        return False
    content = {word.lower() for word in words if len(word) > 2 and word.lower() not in COMMON}
    return len(words) >= 4 and len(content) >= 2


def _said_to_anyone(sentence: str) -> bool:
    """Banners, greetings, terms; and questions."""
    asks = sentence.rstrip("\"'”’) ").endswith("?")
    return asks or BOILERPLATE.search(sentence) is not None or GREETING.match(sentence) is not None


def _menu(words: list[str]) -> bool:
    """Mostly the words of web pages, or capitals without any of the small words that make a sentence."""
    web = sum(word.lower() in WEB_WORDS for word in words)
    small = sum(word.lower() in COMMON for word in words)
    return (web >= 3 and web >= 0.4 * len(words)) or (small == 0 and all(word[0].isupper() for word in words))


def _name(word: str) -> bool:
    """A capitalised word that is not always written so."""
    return word[0].isupper() and word not in ("I", "I'm", "I'll", "I've", "I'd", "FAQ", "OK") and len(word) > 1
