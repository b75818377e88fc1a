"""The words of labels and categories."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


FIRST = words(
    "Ada Bruno Carla Dario Elena Felix Greta Hugo Ines Jonas Karin Leo Mara Nils Olga Pavel "
    "Rosa Stefan Tara Umar Vera Wanda Yusuf Zoe"
)
LAST = words(
    "Abbott Brandt Castro Dubois Eriksen Fischer Garcia Haddad Ito Jansen Kowalski Lopez Moreau "
    "Novak Okafor Petrov Quinn Rossi Sato Torres Ueda Vargas Weber Young"
)
ADJECTIVES = words(
    "Amber Bright Crimson Distant Eager Frozen Golden Hidden Iron Jolly Lonely Misty Noble "
    "Old Pale Quiet Royal Silver Tender Wild"
)
NOUNS = words(
    "Anchor Bridge Castle Dawn Echo Forest Garden Harvest Island Journey Lantern Mirror Night "
    "Ocean Path River Shadow Tower Valley Winter"
)
PLACES = words(
    "Alder Birch Cedar Dover Elm Falcon Grove Heron Ivy Juniper Kestrel Laurel Maple North "
    "Oak Pine Raven South Thorn Willow"
)
TOWNS = words("Arden Belmont Corby Dalton Everly Fairview Grafton Holden")
COUNTRIES = words("Brazil Canada Denmark Egypt France Ghana India Japan Norway Spain")
