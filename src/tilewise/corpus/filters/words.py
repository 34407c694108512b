"""Word lists of the filters, written for this engine: stop words, flagged words."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Final

GOPHER_STOP_WORDS: Final = frozenset("the be to of and that have with".split())
"""Two of these must stand in English prose: Gopher (arXiv 2112.11446), section A.1.1."""

PROOF_WORDS: Final = {
    "en": GOPHER_STOP_WORDS,
    "de": frozenset("der die das und ist nicht zu den mit ein eine von auf sich werden".split()),
    "fr": frozenset("le la les de des et est que une un pour dans vous avec ne".split()),
    "it": frozenset("il la di che e è un una per non con del della sono le".split()),
    "es": frozenset("el la de que y en los las un una por con para es no".split()),
    "pt": frozenset("o a de que e do da em um uma para com não os as".split()),
    "ru": frozenset("и в не на что с по для как это из к а его или".split()),
}
"""Language → very frequent words of which running prose shows two or more."""

STOP_WORDS: Final = {
    "en": GOPHER_STOP_WORDS
    | frozenset(
        """a about after all also am an any are as at because been before being but by can could
        did do does each for from had has he her his how i if in into is it its just like may me
        more most my no not now on one only or other our out over she should so some such than
        their them then there these they this those through under up us use used using very was
        we were what when where which while who will would you your""".split()
    ),
    "de": PROOF_WORDS["de"]
    | frozenset(
        """aber als am an auch aus bei bis da dann dass dem des dies diese dieser dieses doch du
        durch einem einen einer eines er es für haben hat hier ich ihr im in ja kann können man
        mehr nach noch nur oder so sie sind sein sowie um unter vom vor war was wenn wie wir wird
        wurde zum zur über""".split()
    ),
    "fr": PROOF_WORDS["fr"]
    | frozenset(
        """a au aux ce ces cette comme d dont du elle en entre être fait il ils je l leur lui mais
        même n nous on ou où par pas peut plus qu qui s sa se ses si son sont sur tout très y à
        été""".split()
    ),
    "it": PROOF_WORDS["it"]
    | frozenset(
        """a ad ai al alla alle anche c ci come cui d da dal dalla dei delle degli dell essere gli
        ha i in l lo loro ma nei nel nella o più può quando quello questa questo quindi se si sia
        su sul sulla suo tra""".split()
    ),
    "es": PROOF_WORDS["es"]
    | frozenset(
        """a al como cuando cada del desde donde e entre esta este esto ha hay lo más me mi muy ni
        o otra otro pero puede porque se ser si sin sobre son su sus también tiene todo u
        ya""".split()
    ),
    "pt": PROOF_WORDS["pt"]
    | frozenset(
        """ao aos à às como das dos ela ele entre esta este está foi isso já mais mas me mesmo na
        nas no nos num ou pela pelo por quando se sem ser seu sua são também tem é""".split()
    ),
    "ru": PROOF_WORDS["ru"]
    | frozenset(
        """без бы был была были быть во вы все всё да даже же за здесь и если есть ещё её их
        или ко который которая которые когда ли мы можно мне может на над нет ни но о об он она
        они от очень под при про со так также такой там то того тоже только ты у уже чем что чтобы
        эта эти этот я""".split()
    ),
    "zh": frozenset("的了是在和一不有为与以及中这个上下可用到对将或也并时从而其他它我你们人们会要"),
    "ja": frozenset("のにはをがとてでしたるいすれなまもこらかきりさっあよけどそへや"),
}
"""Language → words too frequent to say anything about a text; one letter each in zh and ja."""


@lru_cache(maxsize=8)
def flagged_words(lang: str) -> frozenset[str]:
    """Words of pornography in a language, lower case; empty where there is no list.

    The lists are modest and our own; a file ``lists/flagged_<lang>.txt`` holds a word a line.
    """
    file = resources.files(__package__) / "lists" / f"flagged_{lang}.txt"
    if not re.fullmatch("[a-z]{2,3}", lang) or not file.is_file():
        return frozenset()
    lines = file.read_text(encoding="utf-8").splitlines()
    return frozenset(line.strip() for line in lines if line.strip() and not line.startswith("#"))
