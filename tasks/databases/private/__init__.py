"""Databases of which a task marks tables or columns as private: no query, prompt or record may have them."""
