"""JSON Schema as a grammar: `schema.rules_from_schema` is the way in."""
