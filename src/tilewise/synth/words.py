"""Words, names and values that fill synthetic pages; training and test words never meet."""

from __future__ import annotations

import zlib
from random import Random
from typing import Final

from tilewise.synth.fonts import Split

ONSETS: Final = (
    "b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr pl pr qu sc sh sk sl sm sn "
    "sp st str sw th tr tw wh x y"
).split()
VOWELS: Final = "a e i o u a e i o ai au ea ee ia ie io oa oo ou ui y".split()
CODAS: Final = (
    "b c d f g k l m n p r s t x ck ct ft ld lk ll lm ln lt mp nd ng nk nt rd rk rm rn rt ss st th"
).split()

KEYS: Final = (
    "Invoice Number|Invoice No|Invoice Date|Due Date|Order Number|Order Date|Customer ID|Customer|"
    "Customer Name|Account Number|Account|Reference|Reference No|Date|Total|Subtotal|Tax|VAT|"
    "VAT ID|Discount|Shipping|Amount Due|Balance|Payment Terms|Payment Method|Currency|Phone|Fax|"
    "E-mail|Address|City|Country|Postal Code|Department|Manager|Owner|Project|Project Code|Status|"
    "Priority|Category|Type|Model|Serial Number|Batch|Weight|Height|Width|Length|Volume|"
    "Temperature|Pressure|Speed|Capacity|Voltage|Power|Start Date|End Date|Duration|Deadline|"
    "Location|Room|Floor|Building|Gate|Flight|Seat|Passenger|Departure|Arrival|Destination|"
    "Carrier|Tracking No|Policy Number|Claim Number|Patient|Doctor|Diagnosis|Ward|Blood Group|"
    "Born|Birth Date|Nationality|Passport No|Occupation|Employer|Salary|Grade|Course|Teacher|"
    "Score|Rank|Version|License|Author|Publisher|Language|Pages|Edition|ISBN|Year|Month|Quarter|"
    "Region|Branch|Contact|Supplier|Vendor|Buyer|Seller|Agent|Bank|IBAN|BIC|Rate|Interest|"
    "Principal|Fee|Deposit|Refund|Quantity|Unit Price|Delivery Date|Delivery Address|Ship To|"
    "Bill To|Sold By|Prepared By|Approved By|Checked By|Signature|Remarks|Host|Port|User|Path|"
    "File Name|Size|Created|Modified|Session|Device|Signal|Battery|Memory|Disk|Processor|Uptime|"
    "Frequency|Range|Limit|Threshold|Minimum|Maximum|Average|Mean"
).split("|")

COLUMNS: Final = (
    "Price|Amount|Quantity|Qty|Unit Price|Total|Cost|Count|Weight|Rate|Score|Share|Sales|Budget|"
    "Change|Stock|Size|Code|Date|Status|Region|Owner|Year|Units|Tax|Net|Gross|Discount|Min|Max|"
    "Mean|Median|Length|Width|Height|Depth|Speed|Power|Load|Visits|Views|Orders|Returns|Margin|"
    "Profit|Loss|Revenue|Energy|Protein|Fat|Sugar|Salt|Days|Hours|Rank|Points|Wins|Goals|Area|"
    "Population|Density|Growth"
).split("|")

HEADS: Final = (
    "Item|Product|Name|Description|Material|Region|Station|Team|Country|City|Part|Service|Task|"
    "Model|Sample|Species|Article|Position|Account|Project"
).split("|")

TITLE_WORDS: Final = (
    "Report|Invoice|Summary|Statement|Overview|Notice|Guide|Manual|Plan|Review|Survey|Order|"
    "Receipt|Certificate|Agreement|Minutes|Agenda|Results|Analysis|Inventory|Catalogue|Schedule|"
    "Newsletter|Application|Registration|Record|Protocol|Index|Forecast|Budget|Bulletin|Programme|"
    "Poster"
).split("|")

COMMON: Final = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or "
    "had an they which one you were all her she there would their we him been has when who will "
    "no more if out so said what up its about than into them can only other time new some could "
    "these two may first then do any like my now over such our man me even most made after also "
    "did many off before must well back through years where much your way down should because "
    "long each just state those people too how little good very year world still see own work men "
    "day get here between both life being under three never know same last another while us might "
    "great old off come since go against"
).split()

MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)
UNITS: Final = "kg g m km cm mm s min h % W kW V A Hz MHz GB MB °C bar l ml px pt".split()

STREETS: Final = ("Street", "Road", "Lane", "Avenue")
ODD: Final = "§ © © ± µ • × & + = * [1] {x} a_b ~ <y> x|y n^2 `z` \\ / % @ # …".split()
"""Words of marks alone, or with marks inside."""


def pseudo_word(rng: Random, split: Split, syllables: int | None = None) -> str:
    """A word that no language has; which split it belongs to hangs on its hash alone."""
    while True:
        count = syllables or rng.choice((1, 2, 2, 2, 3))
        word = "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(count))
        if rng.random() < 0.6:
            word += rng.choice(CODAS)
        if len(word) > 2 and is_of(word, split):
            return word


def is_of(word: str, split: Split) -> bool:
    """Whether a word belongs to a split: one word in five is kept for tests."""
    return (zlib.crc32(word.lower().encode()) % 5 == 0) == (split == "test")


def prose_word(rng: Random, split: Split) -> str:
    """A word of running text: a common English one or an invented one."""
    return rng.choice(COMMON) if rng.random() < 0.3 else pseudo_word(rng, split)


def name(rng: Random, split: Split, words: int = 2) -> str:
    """Capitalised invented words, like a person or a place."""
    return " ".join(pseudo_word(rng, split).capitalize() for _ in range(words))


def key(rng: Random, split: Split) -> str:
    """A label: known phrases or open ones of invented words."""
    kind = rng.random()
    if kind < 0.5:
        phrase = rng.choice(KEYS)
    elif kind < 0.8:
        phrase = name(rng, split, rng.choice((1, 1, 2, 2, 3)))
    else:
        phrase = f"{pseudo_word(rng, split).capitalize()} {rng.choice(KEYS)}"
    return _cased(rng, phrase)


def _cased(rng: Random, phrase: str) -> str:
    roll = rng.random()
    if roll < 0.08:
        return phrase.upper()
    if roll < 0.2:
        return phrase[:1] + phrase[1:].lower()
    return phrase


def title(rng: Random, split: Split) -> str:
    """A heading of two to six words."""
    words = [pseudo_word(rng, split).capitalize() for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.8:
        words.insert(rng.randint(0, len(words)), rng.choice(TITLE_WORDS))
    if rng.random() < 0.25:
        words.insert(1, rng.choice(("of", "for", "and", "on")))
        words.append(pseudo_word(rng, split).capitalize())
    if rng.random() < 0.2:
        words.append(str(rng.randint(1950, 2039)))
    text = " ".join(words)
    roll = rng.random()
    return text.upper() if roll < 0.12 else text.capitalize() if roll < 0.2 else text


def number(rng: Random) -> str:
    """A number as documents print them."""
    roll = rng.random()
    if roll < 0.35:
        return str(rng.randint(0, 10 ** rng.randint(1, 5)))
    if roll < 0.65:
        return f"{rng.random() * 10 ** rng.randint(1, 4):.{rng.choice((1, 2, 2, 3))}f}"
    if roll < 0.8:
        return f"{rng.randint(1000, 9_999_999):,}"
    if roll < 0.9:
        return f"{rng.random() * 100:.{rng.randint(0, 2)}f}%"
    return f"{rng.choice('-+')}{rng.random() * 100:.{rng.randint(0, 2)}f}"


def amount(rng: Random) -> str:
    """A sum of money."""
    figure = rng.random() * 10 ** rng.randint(1, 5)
    text = f"{figure:,.2f}" if rng.random() < 0.7 else f"{figure:.2f}"
    sign = rng.choice("$€£$€¥")
    return rng.choice(
        (f"{sign}{text}", f"{sign} {text}", f"{text} {sign}", text, f"{text} EUR", f"USD {text}")
    )


def date(rng: Random) -> str:
    """A day, in one of the usual ways to write it."""
    d, m, y = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1950, 2039)
    return rng.choice(
        (
            f"{d:02}/{m:02}/{y}", f"{y}-{m:02}-{d:02}", f"{d}.{m}.{y}", f"{d} {MONTHS[m - 1]} {y}",
            f"{MONTHS[m - 1]} {d}, {y}", f"{d:02}-{MONTHS[m - 1][:3]}-{y}",
            f"{MONTHS[m - 1][:3]} {y}",
        )
    )  # fmt: skip


def code(rng: Random) -> str:
    """An identifier of letters and digits."""
    letters = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(1, 4)))
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 7)))
    mixed = "".join(
        rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789abcdefghkmnpqrstuvwxyz")
        for _ in range(rng.randint(5, 9))
    )
    return rng.choice(
        (
            f"{letters}-{digits}",
            f"{letters}{digits}",
            digits,
            f"#{digits}",
            f"{letters}/{digits}",
            mixed,
        )
    )


def value(rng: Random, split: Split) -> str:
    """What may stand after a label."""
    kind = rng.randrange(10)
    if kind == 0:
        return f"{number(rng)} {rng.choice(UNITS)}"
    if kind == 1:
        return _contact(rng, split)
    makers = (code, code, date, date, amount, amount, number)
    if kind < 8:
        return rng.choice(makers)(rng)
    return name(rng, split, rng.choice((1, 2, 2, 3)))


def _contact(rng: Random, split: Split) -> str:
    user, host = pseudo_word(rng, split), pseudo_word(rng, split)
    digits = "".join(rng.choice("0123456789") for _ in range(9))
    return rng.choice(
        (
            f"{user}@{host}.{rng.choice(('com', 'org', 'net', 'de'))}", f"www.{host}.com",
            f"+{digits[:2]} {digits[2:5]} {digits[5:]}",
            f"({digits[:3]}) {digits[3:6]}-{digits[6:]}",
            f"{rng.randint(1, 199)} {user.capitalize()} {rng.choice(STREETS)}",
        )
    )  # fmt: skip


def sentence(rng: Random, split: Split) -> str:
    """A sentence of running text without meaning."""
    words = [prose_word(rng, split) for _ in range(rng.randint(4, 14))]
    for i in range(len(words)):
        roll = rng.random()
        if roll < 0.05:
            words[i] = number(rng)
        elif roll < 0.12:
            words[i] = words[i].capitalize()
        elif roll < 0.14:
            words[i] = rng.choice(
                (f'"{words[i]}"', f"({words[i]})", f"{words[i]}'s", f"{words[i]}-{words[i - 1]}")
            )
        elif roll < 0.155:
            words[i] = _accented(rng, words[i])
        elif roll < 0.17:
            words[i] = rng.choice(ODD)
        if roll > 0.9 and i < len(words) - 1:
            words[i] += rng.choice((",", ",", ";", ":"))
    words[0] = words[0][:1].upper() + words[0][1:]
    return " ".join(words) + rng.choice((".", ".", ".", "!", "?"))


def _accented(rng: Random, word: str) -> str:
    swap = {
        "a": "äàâáå",
        "e": "éèêë",
        "i": "îí",
        "o": "öóôø",
        "u": "üúû",
        "c": "ç",
        "n": "ñ",
        "s": "ß",
    }
    places = [i for i, c in enumerate(word) if c in swap]
    if not places:
        return word
    at = rng.choice(places)
    return word[:at] + rng.choice(swap[word[at]]) + word[at + 1 :]
