"""JSON Schema as a grammar: `schema.rules_from_schema` is the way in.

By type, a file each: `words` (null, true, false), `numbers`, `strings`, `arrays`, `objects`. Such a file reads the
keywords that speak of its type (KEYWORDS, at its end), and has the type's form: what schemas ask of such a value, how
two forms meet, whether any value is left, and its productions. `types` puts them side by side, with `type`, `const` and
`enum`; `combinations` has the keywords that combine schemas of one value.

What they share, in the order of imports:

    drafts        which version of JSON Schema `$schema` names
    notes         what was read past because it asserts nothing
    tidy          productions without what is of no use
    layout        white space between lexemes
    productions   where forms put productions and terminals
    forms         what a form is, and how unions of them are narrowed
    reading       what a keyword is; one schema as those who read it see it; what is said of wrong values
    spelling      how JSON spells a string            formats   the values of `format`
    counts        lengths of strings, by marks        multiples the digits of multiples of a number
    keys          the keys of an object that no keyword names, by classes
    complements   a union of forms without another: what `not`, `if` and `oneOf` leave
    unevaluated   the keywords about what no other one tells
    keywords      the table of all keywords; notes what is none
    references    where `$ref` leads, and by which draft a schema is read
    demands       the schemas of one document: by name, as forms, and whether a value is possible
    schema        the door

From a schema to rules: `demands` names each schema by its text and folds its keywords over the forms of all types, each
narrowing what the one before leaves; then every form that is possible gives its productions, and asks for those of the
values inside it by the names of their schemas.

A document is read in two ways: narrowly, which is what becomes a grammar, and widely (`Context.wide`), which is what is
taken away under a negation. The complement of a form is again a union of forms: one for each of the simple demands of
which a form is made. What it asks of values inside is the negation of a demand, again by name (`Context.negation`).

To add a keyword that speaks of arrays, say:

1. in `arrays`, write `_name(schema, found)`: check the value by `schema`, which has the errors, and return `found`
   narrowed by the `ArrayForm` that the keyword asks for, or by several, of which a value must have one;
2. if no `ArrayForm` says it, give that class a field, and see to it in `meet`, `possible`, `complement` and `bodies`;
3. add it to KEYWORDS there, with `holds` if there are schemas in its value, and the drafts that have it;
4. name it in the table of docs/json-schema.md, and under *rejected* there if it leaves out valid texts;
5. `python -m tests.support.schema_suite --write` records what the official suite gains by it.
"""
