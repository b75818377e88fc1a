"""Stage races: teams, riders, stages and results."""

from tasks.pocket.domains.words import COUNTRIES, FIRST, LAST, PLACES
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real

CYCLING = Domain(
    "cycling",
    (
        Entity(
            "team",
            "team",
            "teams",
            50,
            (
                key("team_id"),
                label("team name", PLACES, ("Wheelers", "Racing", "Flyers", "Velo"), phrase="name"),
                category("country", *COUNTRIES),
                real("budget", 1, 40),
            ),
        ),
        Entity(
            "rider",
            "rider",
            "riders",
            260,
            (
                key("rider_id"),
                label("name", FIRST, LAST),
                category("role", "Climber", "Leader", "Sprinter", "Support"),
                date("born_on", 1982, 2003, "birth date"),
                integer("weight", 52, 85, nulls=0.12),
                link("team_id", "team"),
            ),
        ),
        Entity(
            "stage",
            "stage",
            "stages",
            90,
            (
                key("stage_id"),
                label(
                    "finish",
                    PLACES,
                    ("Pass", "Town", "Hill", "Beach", "Square", "Park"),
                    phrase="finish place",
                ),
                category("terrain", "Flat", "Hilly", "Mountain", "Cobbles"),
                integer("distance", 20, 240),
                date("held_on", 2016, 2024, "race date"),
            ),
        ),
        Entity(
            "result",
            "result",
            "results",
            700,
            (
                key("result_id"),
                link("rider_id", "rider"),
                link("stage_id", "stage"),
                integer("place", 1, 120, "finishing place"),
                integer("points", 1, 50, "number of points", nulls=0.25),
            ),
        ),
    ),
)
