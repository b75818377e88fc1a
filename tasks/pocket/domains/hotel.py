"""Hotels, rooms, guests and bookings. Never seen in training."""

from tasks.pocket.domains.words import ADJECTIVES, COUNTRIES, FIRST, LAST, PLACES, TOWNS
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real

HOTEL = Domain(
    "hotel",
    (
        Entity(
            "hotel",
            "hotel",
            "hotels",
            50,
            (
                key("hotel_id"),
                label("name", ("Grand", "Hotel", "Inn", "Villa"), PLACES),
                category("city", *TOWNS),
                integer("stars", 1, 5, "number of stars"),
            ),
        ),
        Entity(
            "room",
            "room",
            "rooms",
            260,
            (
                key("room_id"),
                label("RoomName", ADJECTIVES, (*PLACES, "Garden", "Harbor"), phrase="name"),
                category("view", "City", "Lake", "Park", "Sea"),
                real("price", 40, 400),
                integer("beds", 1, 6, "number of beds", nulls=0.1),
                link("hotel_id", "hotel"),
            ),
        ),
        Entity(
            "guest",
            "guest",
            "guests",
            150,
            (
                key("guest_id"),
                label("full name", FIRST, LAST),
                category("nationality", *COUNTRIES),
                category("group", "Basic", "Gold", "Silver", nulls=0.2),
            ),
        ),
        Entity(
            "booking",
            "booking",
            "bookings",
            500,
            (
                key("booking_id"),
                link("room_id", "room"),
                link("guest_id", "guest"),
                date("arrival", 2018, 2024, "arrival date"),
                integer("nights", 1, 21, "number of nights"),
                category("meal", "Breakfast", "Dinner", "Lunch", "Full Board"),
            ),
        ),
    ),
)
