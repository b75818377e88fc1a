"""A railway, with a table in mixed case."""

from tasks.pocket.domains.words import ADJECTIVES, NOUNS, PLACES
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link

RAILWAY = Domain(
    "railway",
    (
        Entity(
            "route",
            "route",
            "routes",
            50,
            (
                key("route_id"),
                label("title", PLACES, ("Line", "Loop", "Express", "Link")),
                category("operator", "Corvus Rail", "Metro Union", "Northway", "Swift Tracks"),
                integer("length_km", 20, 700, "length"),
            ),
        ),
        Entity(
            "station",
            "station",
            "stations",
            200,
            (
                key("station_id"),
                label("name", ADJECTIVES, NOUNS),
                category("region", "East", "West", "Central", "Coast", "Hills"),
                integer("platforms", 1, 14, "number of platforms"),
                date("opened", 1890, 2015, "opening date", nulls=0.1),
                link("route_id", "route"),
            ),
        ),
        Entity(
            "Train",
            "train",
            "trains",
            80,
            (
                key("TrainId"),
                label(
                    "TrainName", ("Arrow", "Bolt", "Comet", "Dart", "Eagle", "Flash"), PLACES, phrase="name"
                ),
                category("Engine", "Diesel", "Electric", "Hybrid"),
                integer("Seats", 80, 600, "number of seats"),
                integer("TopSpeed", 90, 320, "top speed", nulls=0.15),
            ),
        ),
        Entity(
            "departure",
            "departure",
            "departures",
            600,
            (
                key("departure_id"),
                link("station_id", "station"),
                link("TrainId", "Train"),
                date("day", 2019, 2024, "travel day"),
                integer("delay", 0, 45, nulls=0.1),
                category("weather", "Clear", "Rain", "Snow", "Fog"),
            ),
        ),
    ),
)
