"""A film festival: directors, films, awards, cinemas and screenings."""

from tasks.pocket.domains.words import ADJECTIVES, COUNTRIES, FIRST, LAST, NOUNS, PLACES
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, year

FESTIVAL = Domain(
    "festival",
    (
        Entity(
            "director",
            "director",
            "directors",
            80,
            (
                key("director_id"),
                label("full_name", FIRST, LAST),
                category("country", *COUNTRIES),
                year("birth_year", 1930, 1995),
            ),
        ),
        Entity(
            "film",
            "film",
            "films",
            220,
            (
                key("film_id"),
                label("title", ADJECTIVES, NOUNS),
                category("genre", "Comedy", "Drama", "Horror", "Romance", "Thriller"),
                integer("minutes", 60, 200, "running time"),
                link("director_id", "director"),
            ),
        ),
        Entity(
            "award",
            "award",
            "awards",
            130,
            (
                key("award_id"),
                link("film_id", "film"),
                category("prize", "Best Cast", "Best Picture", "Best Score", "Best Script"),
                integer("money", 1, 60, "prize money", nulls=0.15),
            ),
        ),
        Entity(
            "cinema",
            "cinema",
            "cinemas",
            50,
            (
                key("cinema_id"),
                label("name", PLACES, ("Palace", "Screen", "Studio", "Theatre")),
                category("district", "Harbor", "Old Town", "Riverside", "Uptown"),
                integer("seats", 60, 700, "number of seats"),
            ),
        ),
        Entity(
            "screening",
            "screening",
            "screenings",
            500,
            (
                key("screening_id"),
                link("film_id", "film"),
                link("cinema_id", "cinema"),
                date("shown on", 2018, 2024, "showing date"),
                integer("tickets", 5, 400, "number of tickets", nulls=0.1),
            ),
        ),
    ),
)
