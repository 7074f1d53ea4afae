"""Grammars that a canvas is held to: a `Grammar` becomes a `CompiledGrammar`, and that a `GrammarConstraint`.

- `grammar.py`: `Grammar`, what users hold; made by a front end, asked about texts, and no tokenizer in sight.
- `tables/compiled.py`: `CompiledGrammar`, a grammar made ready for a vocabulary; kept in memory and on disk.
- `search/constraint.py`: `GrammarConstraint`, a compiled grammar on one canvas: what may be committed, and a way to
  complete it. `attach.py` makes one of a grammar, a vocabulary and a canvas's ids, all that the engine calls.

The rooms that a grammar goes through; `rules` imports none of the others, `tables` only that, `search` only these:

- `frontends/`: what people write (Lark, a pattern, choices, a JSON Schema, tools) -> `Rules`; texts in `data/`.
- `rules.py`, `regex.py`: what every front end produces, productions over terminals, and terminals as trees of regular
  expressions. Everything behind it knows only those.
- `tables/`: rules x vocabulary: a scanner from bytes to lexemes, what each token does to it, productions as arrays.
- `search/`: tables x canvas (`canvas.py`: given tokens, gaps between them): a *lattice* of all ways to read it, a
  *chart* of what derives which stretch of that, a *sketch* of a sentence over what is given and its *placement*, token
  by token; *repair* of what does not fit; *solve*, which makes one search of these; *masks* with their *strides*, and
  *refusals*. What numba compiles is in `search/loops/`, under the name of the file that drives it.
- `explain/`: why a text is refused, where fixed text leaves its grammar, how much room is wanting.

A new front end is a copy of `frontends/choices.py`: a function from what people write to `Rules`, which says what it
refuses; and a class method of `Grammar` beside `from_choices`. A new language is a file `data/NAME.lark`.
"""
