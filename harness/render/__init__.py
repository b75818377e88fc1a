"""How results look to a person: one module for each kind of result, drawn with rich."""
