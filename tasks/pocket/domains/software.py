"""Software projects, developers, tickets and build runs."""

from tasks.pocket.domains.words import ADJECTIVES, COUNTRIES, FIRST, LAST, words
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link

TOOLS = words("Broker Compiler Engine Gateway Kernel Parser Proxy Router Scanner Server")

SOFTWARE = Domain(
    "software",
    (
        Entity(
            "project",
            "project",
            "projects",
            80,
            (
                key("project_id"),
                label("title", ADJECTIVES, TOOLS),
                category("language", "Go", "Java", "Python", "Ruby", "Rust"),
                integer("stars", 0, 5000, "number of stars"),
                date("created", 2008, 2022, "creation date"),
            ),
        ),
        Entity(
            "developer",
            "developer",
            "developers",
            130,
            (
                key("developer_id"),
                label("name", FIRST, LAST),
                category("country", *COUNTRIES),
                category("group", "Backend", "Data", "Mobile", "Security", nulls=0.2),
                integer("level", 1, 9),
            ),
        ),
        Entity(
            "ticket",
            "ticket",
            "tickets",
            500,
            (
                key("ticket_id"),
                link("project_id", "project"),
                link("developer_id", "developer"),
                category("severity", "Critical", "Major", "Minor", "Trivial"),
                date("opened_on", 2018, 2024, "opening date"),
                integer("hours", 1, 80, "number of hours", nulls=0.15),
            ),
        ),
        Entity(
            "build run",
            "build run",
            "build runs",
            500,
            (
                key("run_id"),
                link("project_id", "project"),
                category("outcome", "Failed", "Passed", "Skipped"),
                integer("minutes", 1, 120, "number of minutes"),
                date("started on", 2020, 2024, "starting date"),
            ),
        ),
    ),
)
