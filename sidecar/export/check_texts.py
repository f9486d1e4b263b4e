"""Texts that every export is checked on: of differing lengths, in several scripts, with awkward characters."""

from __future__ import annotations

from typing import Final

__all__ = ["CHECK_QUERIES", "CHECK_TEXTS"]

CHECK_QUERIES: Final = (
    "what's the weather in new york now?",
    "how do i parse command line arguments",
    "treatment of lung infection in young patients",
)

CHECK_TEXTS: Final = (
    "rain",
    "Currently New York is rainy.",
    "The argparse module makes it easy to write user-friendly command-line interfaces.",
    "What is the boiling point of water at 3,000 metres above the sea?",
    "A shock wave forms where the flow over a wing turns supersonic; behind it pressure and density rise, "
    "and the boundary layer may separate from the surface.",
    "In children with cystic fibrosis, chronic infection of the airways is treated with inhaled antibiotics, "
    "physiotherapy and, where a mutation allows it, with drugs that restore the function of the channel protein.",
    "The parliament voted on Tuesday to raise the tax on fuel. Farmers had blocked roads around the capital for a "
    "week, and two ministers resigned before the vote. Prices had risen by a tenth within the year.",
    "def main(arguments: list[str]) -> int: return 0  # see https://example.org/docs?page=1&sort=asc",
    "Straße, naïve café, Ελληνικά, русский, 日本語, العربية, 👩‍🔬 and a\ttab",
    "... !!! ??? --- (((",
    "Bread is baked from flour, water, salt and yeast. The dough rests for an hour, is folded, rests again, is shaped, "
    "and goes into a hot oven with steam. After half an hour the crust is brown and the loaf sounds hollow. Let it "
    "cool on a rack before it is cut: the crumb sets while it cools. Rye takes longer than wheat, and sourdough "
    "longer than yeast, but both keep better. A baker's day begins at two in the morning, when the dough has risen.",
    "1914 1918 1939 1945 1989",
)
