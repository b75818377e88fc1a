"""Breweries, their beers, and what tasters think of them."""

from tasks.pocket.domains.words import ADJECTIVES, COUNTRIES, FIRST, LAST, NOUNS, PLACES, TOWNS
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real, year

BREWERY = Domain(
    "brewery",
    (
        Entity(
            "brewery",
            "brewery",
            "breweries",
            60,
            (
                key("brewery_id"),
                label("name", PLACES, ("Brewing", "Works", "Cellars", "Brothers")),
                category("town", *TOWNS),
                year("founded", 1880, 2015, "founding year"),
                integer("annual output", 200, 9000, nulls=0.15),
            ),
        ),
        Entity(
            "beer",
            "beer",
            "beers",
            240,
            (
                key("beer_id"),
                label("name", ADJECTIVES, NOUNS),
                category("style", "Porter", "Stout", "Pilsner", "Saison", "Wheat", "Pale Ale"),
                real("strength", 3, 12),
                link("brewery_id", "brewery"),
            ),
        ),
        Entity(
            "taster",
            "taster",
            "tasters",
            90,
            (
                key("taster_id"),
                label("full name", FIRST, LAST),
                category("country", *COUNTRIES),
                date("birth_date", 1950, 2003, "date of birth", nulls=0.1),
            ),
        ),
        Entity(
            "review",
            "review",
            "reviews",
            500,
            (
                key("review_id"),
                link("beer_id", "beer"),
                link("taster_id", "taster"),
                integer("score", 1, 20),
                date("review_date", 2018, 2024, "review date"),
            ),
        ),
    ),
)
