"""Fill the holes of a JSON document so that it is valid under a schema: `python examples/infill_json.py`."""

from dllm import LLM, Grammar, Hole, SamplingParams

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z][a-z]+$"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "city": {"enum": ["Rome", "Oslo", "Paris"]},
    },
    "required": ["name", "age", "city"],
    "additionalProperties": False,
}


def main() -> None:
    llm = LLM("tiny")  # or a folder, or a Hub id
    document = ['{"name": "', Hole(1), '", "age": ', Hole(2), ', "city": "', Hole(min=1, max=4), '"}']
    free = llm.infill(document)
    held = llm.infill(document, SamplingParams(grammar=Grammar.from_json_schema(SCHEMA)))
    print("document           ", '{"name": "<mask:1>", "age": <mask:2>, "city": "<mask:1-4>"}')
    print("without a grammar  ", free.text)
    print("under the schema   ", held.text)
    print("read as JSON       ", held.parsed)
    print(f"{held.stats.tokens} tokens in the holes, {held.stats.witness_tokens} that the model had not proposed")


if __name__ == "__main__":
    main()
