"""A WordPiece vocabulary small enough to read, large enough for English sentences."""

from __future__ import annotations

import string

__all__ = ["TINY_VOCABULARY"]

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

_PUNCTUATION = tuple("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")

_SUFFIXES = """
##s ##ed ##ing ##er ##ers ##ly ##al ##ic ##ion ##ions ##ment ##ness ##able ##ful ##less ##est ##ity ##ize ##ous
##ive ##y ##th ##ton ##ville ##land
""".split()  # noqa: SIM905 - a hundred quotes are harder to read

_WORDS = """
the a an of to and in is it for on with as by at from that this what which who how why when where do does did are was
were be been has have had can could will would should may not no yes or but if then than so its their his her our your
we you they he she i me my us all some any more most many much few one two three four five six seven eight nine ten
new old big small long short high low good bad best first last next near far hot cold fast slow red green blue black
white light dark deep open close free full
weather rain rainy snow sun sunny wind storm cloud sea ocean river lake water fire earth air ice
city town new york london paris berlin road street house home door window school shop market bank bridge park
man woman child people family friend king queen doctor teacher student driver farmer
cat dog horse bird fish mouse lion bear wolf zebra tree flower grass leaf forest field mountain
bread milk cheese apple orange rice meat salt sugar coffee tea wine beer
car train plane ship bus bicycle engine wheel wing motor fuel oil gas
heat pressure flow speed force energy power mass body layer surface boundary shock wave theory
cell blood heart brain skin bone disease patient drug treatment cancer virus protein gene
war peace army law court trade price money tax vote party state nation world country government president
search engine index query document text word term weight score rank list file data table code program python java
parse parser command line argument option value string number read write print run test error log server client
book page letter paper music song film game play win lose learn teach think know see hear say make take give find
use work build break start stop move turn grow eat drink sleep walk fly swim drive sell buy pay
today tomorrow now day night week month year hour minute time summer winter spring autumn
current currently after before under over between about into out up down through
""".split()  # noqa: SIM905


def _unique() -> tuple[str, ...]:
    letters = tuple(string.ascii_lowercase)
    digits = tuple(string.digits)
    pieces = (
        *_SPECIAL,
        *_PUNCTUATION,
        *digits,
        *letters,
        *(f"##{sign}" for sign in (*digits, *letters)),
        *_SUFFIXES,
        *_WORDS,
    )
    return tuple(dict.fromkeys(pieces))


TINY_VOCABULARY: tuple[str, ...] = _unique()
"""Word pieces in the order of their ids; [PAD] is 0."""
