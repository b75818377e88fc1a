"""A zoo: enclosures, species, animals and feedings."""

from tasks.pocket.domains.words import ADJECTIVES, FIRST, PLACES, words
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real

ANIMALS = words("Badger Crane Deer Fox Gecko Ibis Lynx Otter Panda Tapir")
EPITHETS = words("Bold Brave Calm Fast Great Kind Loud Shy Sly Small Swift Tall Wise Young Old Red")

ZOO = Domain(
    "zoo",
    (
        Entity(
            "enclosure",
            "enclosure",
            "enclosures",
            50,
            (
                key("enclosure_id"),
                label("name", PLACES, ("Dome", "Meadow", "Pond", "Ridge")),
                category("climate", "Arid", "Polar", "Temperate", "Tropical"),
                integer("area", 40, 900),
            ),
        ),
        Entity(
            "species",
            "species",
            "species",
            70,
            (
                key("species_id"),
                label("common name", ADJECTIVES, ANIMALS),
                category("diet", "Carnivore", "Herbivore", "Omnivore"),
                integer("lifespan", 3, 60, nulls=0.12),
            ),
        ),
        Entity(
            "animal",
            "animal",
            "animals",
            300,
            (
                key("animal_id"),
                label(
                    "nickname",
                    FIRST,
                    EPITHETS,
                ),
                category("sex", "Female", "Male"),
                date("birth_date", 2000, 2023, "birth date"),
                real("weight", 1, 600, nulls=0.1),
                link("species_id", "species"),
                link("enclosure_id", "enclosure"),
            ),
        ),
        Entity(
            "feeding",
            "feeding",
            "feedings",
            600,
            (
                key("feeding_id"),
                link("animal_id", "animal"),
                date("fed_on", 2020, 2024, "feeding date"),
                category("food", "Fish", "Fruit", "Hay", "Insects", "Meat", "Seeds"),
                integer("amount", 1, 60),
            ),
        ),
    ),
)
