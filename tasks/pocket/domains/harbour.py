"""Ports, ships, captains and voyages. Never seen in training."""

from tasks.pocket.domains.words import ADJECTIVES, COUNTRIES, FIRST, LAST, NOUNS, PLACES
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link

HARBOUR = Domain(
    "harbour",
    (
        Entity(
            "port",
            "port",
            "ports",
            60,
            (
                key("port_id"),
                label("name", ("Port", "Cape", "Bay", "Fort"), PLACES),
                category("coast", "Atlantic", "Baltic", "Pacific"),
                integer("berths", 2, 60, "number of berths"),
            ),
        ),
        Entity(
            "ship",
            "ship",
            "ships",
            180,
            (
                key("ship_id"),
                label("ship name", ADJECTIVES, NOUNS, phrase="name"),
                category("flag", *COUNTRIES),
                integer("tonnage", 10, 900),
                date("launched", 1985, 2020, "launch date"),
                link("port_id", "port"),
            ),
        ),
        Entity(
            "captain",
            "captain",
            "captains",
            80,
            (
                key("captain_id"),
                label("name", FIRST, LAST),
                category("rank", "First", "Second", "Master"),
                integer("experience", 1, 40, nulls=0.12),
            ),
        ),
        Entity(
            "voyage",
            "voyage",
            "voyages",
            500,
            (
                key("voyage_id"),
                link("ship_id", "ship"),
                link("captain_id", "captain"),
                date("departed", 2014, 2024, "departure date"),
                category("cargo", "Coal", "Cotton", "Grain", "Oil", "Steel", "Timber"),
                integer("distance", 100, 9000, nulls=0.1),
            ),
        ),
    ),
)
