"""The official JSON-Schema-Test-Suite (drafts 4 to 2020-12), judged by our grammars, and the ratchet of what they do.

`python -m tests.support.schema_suite` prints each rejection and refusal; with `--write` it records them as the new
mark.
"""

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dllm.errors import GrammarError
from dllm.grammars.explain.recogniser import Recogniser
from dllm.grammars.frontends.json_schema.schema import rules_from_schema
from tests.references.json_sampler import spellings

DATA = Path(__file__).parents[1] / "data"
RATCHET = DATA / "json_schema_ratchet.json"
OLDER = {
    "draft4": "http://json-schema.org/draft-04/schema#",
    "draft6": "http://json-schema.org/draft-06/schema#",
    "draft7": "http://json-schema.org/draft-07/schema#",
    "draft2019-09": "https://json-schema.org/draft/2019-09/schema",
}
ANNOTATED = {"draft7/optional/content": 4}
"""Files with tests of what may assert, and is an annotation here, as it is in later drafts; and how many those are."""

Groups = list[dict[str, Any]]
Counts = dict[str, Any]


def _suite() -> dict[str, Groups]:
    """The files by name, those of older drafts as `draft7/name`; there, each schema says of which draft it is."""
    folder = DATA / "json_schema_suite"
    found: dict[str, Groups] = json.loads((folder / "draft2020-12.json").read_text())
    for draft, uri in OLDER.items():
        for name, groups in json.loads(gzip.decompress((folder / f"{draft}.json.gz").read_bytes())).items():
            for group in groups:
                if isinstance(group["schema"], dict):
                    group["schema"] = {"$schema": uri, **group["schema"]}
            found[f"{draft}/{name}"] = groups
    return found


SUITE = _suite()


def judged(name: str) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """(verdict, why, group, test) for every test of a file of the suite."""
    for group in SUITE[name]:
        recogniser, why = None, ""
        try:
            recogniser = Recogniser(rules_from_schema(group["schema"]))
        except GrammarError as error:
            why = str(error)
        for test in group["tests"]:
            if recogniser is None and "no value is valid" not in why:
                yield "refused", why, group, test
                continue
            found = {recogniser is not None and recogniser.accepts(text) for text in spellings(test["data"])}
            if found == {test["valid"]}:
                yield "pass", "", group, test
            elif test["valid"]:
                yield "rejected", reason(name, group["schema"], test["data"]), group, test
            else:
                yield "wrongly_accepted", "", group, test


def reason(name: str, schema: Any, data: Any) -> str:
    """Which of the reasons listed in docs/json-schema.md explains that valid `data` is rejected."""
    text = json.dumps(data)
    if isinstance(data, dict) and data == schema.get("const") and [*data] != [*schema["const"]]:
        return "order"
    if isinstance(data, float) and re.search(r"e|[0-9]{16}", text):
        return "number"
    if isinstance(data, str) and "pattern" in schema and not re.search(schema["pattern"], data):
        return "pattern"
    asserted = name.rpartition("/")[2] == "format"
    leap = schema.get("format") in ("time", "date-time") and ":60" in text
    address = schema.get("format") == "email" and re.search(r'^"|@\[', str(data))
    host = schema.get("format") in ("hostname", "uri", "iri") and re.search(r"--|\[|\.\.", str(data))
    beyond = schema.get("format") in ("idn-email", "idn-hostname") and re.search(r"--|[^ -~]", str(data))
    return "format" if asserted or leap or address or host or beyond else "UNLISTED"


def counts(name: str) -> Counts:
    """How many tests of a file have each verdict; rejections by reason."""
    verdicts = Counter((verdict, why if verdict == "rejected" else "") for verdict, why, _, _ in judged(name))
    found: Counts = {key: verdicts[key, ""] for key in ("pass", "refused", "wrongly_accepted")}
    found["rejected"] = {why: number for (verdict, why), number in sorted(verdicts.items()) if verdict == "rejected"}
    return found


def worse(found: Counts, mark: Counts) -> bool:
    """Whether `found` falls behind `mark`: fewer passes, more refusals, more rejections for some reason."""
    rejected = any(number > mark["rejected"].get(why, 0) for why, number in found["rejected"].items())
    return rejected or found["pass"] < mark["pass"] or found["refused"] > mark["refused"]


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        lines = [f"  {json.dumps(name)}: {json.dumps(counts(name), sort_keys=True)}" for name in SUITE]
        RATCHET.write_text("{\n" + ",\n".join(lines) + "\n}\n")
        return
    for name in SUITE:
        for verdict, why, group, test in judged(name):
            if verdict != "pass":
                print(f"{verdict}: {name}: {group['description']}: {test['description']}: {why[:200]}")
    totals = Counter(verdict for name in SUITE for verdict, _, _, _ in judged(name))
    print(dict(totals))


if __name__ == "__main__":
    main()
