"""A clinic: departments, doctors, patients and visits."""

from tasks.pocket.domains.words import FIRST, LAST, PLACES, TOWNS
from tasks.pocket.schema import Domain, Entity, category, date, integer, key, label, link, real

CLINIC = Domain(
    "clinic",
    (
        Entity(
            "department",
            "department",
            "departments",
            50,
            (
                key("department_id"),
                label("title", PLACES, ("Surgery", "Therapy", "Imaging", "Care")),
                integer("floor", 0, 9),
                integer("budget", 100, 900, nulls=0.1),
            ),
        ),
        Entity(
            "doctor",
            "doctor",
            "doctors",
            150,
            (
                key("doctor_id"),
                label("name", FIRST, LAST),
                category("specialty", "Cardiology", "Neurology", "Oncology", "Pediatrics", "Urology"),
                integer("salary", 50, 190),
                date("hired_on", 2005, 2023, "hiring date"),
                link("department_id", "department"),
            ),
        ),
        Entity(
            "patient",
            "patient",
            "patients",
            300,
            (
                key("patient_id"),
                label("patient name", LAST, FIRST, phrase="name"),
                category("city", *TOWNS),
                date("born_on", 1935, 2015, "birth date"),
                category("insurance", "Public", "Private", "Student", nulls=0.2),
            ),
        ),
        Entity(
            "visit",
            "visit",
            "visits",
            600,
            (
                key("visit_id"),
                link("doctor_id", "doctor"),
                link("patient_id", "patient"),
                date("visit_date", 2017, 2024),
                category("diagnosis", "Asthma", "Flu", "Fracture", "Migraine", "Allergy", "Burn"),
                real("fee", 20, 400, nulls=0.1),
            ),
        ),
    ),
)
