"""A museum: artists, galleries, artworks and their restorations."""

from tasks.pocket.domains.words import ADJECTIVES, COUNTRIES, FIRST, LAST, NOUNS, PLACES
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real, year

MUSEUM = Domain(
    "museum",
    (
        Entity(
            "artist",
            "artist",
            "artists",
            120,
            (
                key("artist_id"),
                label("name", FIRST, LAST),
                category("nationality", *COUNTRIES),
                year("born", 1790, 1990, "birth year"),
            ),
        ),
        Entity(
            "gallery",
            "gallery",
            "galleries",
            50,
            (
                key("gallery_id"),
                label("gallery name", PLACES, ("Hall", "Room", "Court", "Salon"), phrase="name"),
                category("wing", "Annex", "Main", "Garden"),
                integer("capacity", 20, 400, nulls=0.1),
            ),
        ),
        Entity(
            "artwork",
            "artwork",
            "artworks",
            320,
            (
                key("artwork_id"),
                label("title", ADJECTIVES, NOUNS),
                category("medium", "Oil", "Bronze", "Marble", "Ink", "Pastel"),
                integer("price", 5, 950, nulls=0.12),
                date("acquired", 1960, 2022, "acquisition date"),
                link("artist_id", "artist"),
                link("gallery_id", "gallery"),
            ),
        ),
        Entity(
            "restoration",
            "restoration",
            "restorations",
            400,
            (
                key("restoration_id"),
                link("artwork_id", "artwork"),
                date("started", 2010, 2024, "starting date"),
                real("cost", 1, 90),
                category("method", "Cleaning", "Framing", "Repair", "Retouching", nulls=0.1),
            ),
        ),
    ),
)
