"""A warehouse whose tables are called ``order`` and ``order line``."""

from tasks.pocket.domains.words import ADJECTIVES, FIRST, LAST, TOWNS, words
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real

GOODS = words("Bench Chair Clock Desk Drawer Frame Lamp Locker Rug Shelf Stool Vase")

WAREHOUSE = Domain(
    "warehouse",
    (
        Entity(
            "customer",
            "customer",
            "customers",
            140,
            (
                key("customer_id"),
                label("name", LAST, FIRST),
                category("city", *TOWNS),
                integer("credit", 0, 500, nulls=0.15),
            ),
        ),
        Entity(
            "product",
            "product",
            "products",
            120,
            (
                key("product_id"),
                label("product name", ADJECTIVES, GOODS, phrase="name"),
                category("material", "Glass", "Metal", "Plastic", "Wood"),
                real("price", 5, 300),
                integer("stock", 0, 120, nulls=0.1),
            ),
        ),
        Entity(
            "order",
            "order",
            "orders",
            400,
            (
                key("order_id"),
                link("customer_id", "customer"),
                date("order_date", 2019, 2024),
                category("status", "Open", "Paid", "Returned", "Shipped"),
                category("channel", "Phone", "Shop", "Web"),
            ),
        ),
        Entity(
            "order line",
            "order line",
            "order lines",
            1700,
            (
                key("line_id"),
                link("order_id", "order"),
                link("product_id", "product"),
                integer("quantity", 1, 40),
                real("discount", 0, 30, nulls=0.3),
            ),
        ),
    ),
)
