"""Farms with fields (in mixed case), machines, crops and harvests."""

from tasks.pocket.domains.words import ADJECTIVES, NOUNS, PLACES, TOWNS, words
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real

CROPS = words("Barley Bean Beet Clover Corn Flax Oat Pea Rye Wheat")

FARM = Domain(
    "farm",
    (
        Entity(
            "farm",
            "farm",
            "farms",
            55,
            (
                key("farm_id"),
                label("name", PLACES, ("Acres", "Estate", "Farm", "Ranch")),
                category("county", *TOWNS),
                integer("workers", 1, 60, "number of workers"),
            ),
        ),
        Entity(
            "Field",
            "field",
            "fields",
            220,
            (
                key("FieldId"),
                label("FieldName", ADJECTIVES, NOUNS, phrase="name"),
                category("Soil", "Chalk", "Clay", "Loam", "Sand"),
                real("Hectares", 1, 40, "size in hectares", nulls=0.1),
                link("farm_id", "farm"),
            ),
        ),
        Entity(
            "machine",
            "machine",
            "machines",
            150,
            (
                key("machine_id"),
                link("farm_id", "farm"),
                category("purpose", "Baling", "Plowing", "Seeding", "Spraying"),
                integer("value", 5, 300),
                date("bought", 2000, 2023, "purchase date"),
            ),
        ),
        Entity(
            "crop",
            "crop",
            "crops",
            60,
            (
                key("crop_id"),
                label("crop name", ADJECTIVES, CROPS, phrase="name"),
                category("season", "Autumn", "Spring", "Summer", "Winter"),
                integer("price", 40, 400),
            ),
        ),
        Entity(
            "harvest",
            "harvest",
            "harvests",
            500,
            (
                key("harvest_id"),
                link("FieldId", "Field"),
                link("crop_id", "crop"),
                date("cut_on", 2015, 2024, "cutting date"),
                real("tons", 1, 80, "weight in tons"),
                category("grade", "A", "B", "C", nulls=0.15),
            ),
        ),
    ),
)
