"""Types that pydantic knows: which compile, why the others do not, and whether what is written validates."""

import copy
import dataclasses
import enum
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from re import Pattern
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional
from uuid import UUID

import pytest

from dllm import Grammar, GrammarError, RequestOutput
from dllm.outputs import Stats
from dllm.trace import Trace
from tests.references.json_sampler import TextSampler

pydantic = pytest.importorskip("pydantic")
typing = pytest.importorskip("typing_extensions")

Field = pydantic.Field


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


class Movie(typing.TypedDict, total=False):
    title: str
    year: int


@dataclasses.dataclass
class Size:
    width: int
    unit: Literal["mm", "cm"] = "mm"


@pydantic.dataclasses.dataclass
class Weight:
    grams: Annotated[int, Field(gt=0)]


class Node(pydantic.BaseModel):
    value: int
    next: Optional["Node"] = None


class Address(pydantic.BaseModel):
    street: str
    zip: str = Field(pattern=r"^\d{5}$")


class Person(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: str = Field(min_length=1, json_schema_extra={"x-order": 1})
    home: Address | None = None
    friends: list["Person"] = Field(default_factory=list)


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


class Aliased(pydantic.BaseModel):
    full_name: str = Field(alias="fullName")
    born: int = Field(validation_alias=pydantic.AliasChoices("yearOfBirth", "born"))


class Square(pydantic.BaseModel):
    side: int

    @pydantic.computed_field
    @property
    def area(self) -> int:
        return self.side**2


class Picky(pydantic.BaseModel):
    even: int

    @pydantic.field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd")
        return value


class Tree(pydantic.RootModel[dict[str, "Tree"]]):
    pass


Name = NewType("Name", str)


class Own:
    pass


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": type(None),
    "Any": Any,
    "bounded int": Annotated[int, Field(ge=0, lt=150)],
    "bounded float": Annotated[float, Field(gt=0, le=1)],
    "PositiveInt": pydantic.PositiveInt,
    "NonNegativeFloat": pydantic.NonNegativeFloat,
    "multiple_of=0.5": Annotated[float, Field(multiple_of=0.5)],
    "multiple_of=5": Annotated[int, Field(multiple_of=5)],
    "StrictInt": pydantic.StrictInt,
    "constr(max_length=500)": pydantic.constr(max_length=500),
    "constr(pattern)": pydantic.constr(pattern="^[A-Z]{2}-[0-9]+$"),
    "to_lower": pydantic.constr(to_lower=True),
    "bytes": bytes,
    "SecretStr": pydantic.SecretStr,
    "Literal": Literal["a", 1, None, True],
    "Enum": Color,
    "IntEnum": Level,
    "list[int]": list[int],
    "conlist": pydantic.conlist(int, min_length=2, max_length=4),
    "Sequence": Sequence[str],
    "deque": deque[int],
    "tuple": tuple[int, str],
    "tuple[int, ...]": tuple[int, ...],
    "dict[str, int]": dict[str, int],
    "Mapping": Mapping[str, bool],
    "dict[Literal, int]": dict[Literal["a", "b"], int],
    "dict[int, str]": dict[int, str],
    "dict[constr, int]": dict[Annotated[str, Field(pattern="^[a-z]+$")], int],
    "int | None": int | None,
    "a union": int | str | list[int],
    "NewType": Name,
    "NamedTuple": Point,
    "TypedDict": Movie,
    "dataclass": Size,
    "pydantic dataclass": Weight,
    "nested model": Person,
    "recursive model": Node,
    "RootModel": Tree,
    "tagged union": Annotated[Cat | Dog, Field(discriminator="kind")],
    "aliases": Aliased,
    "computed field": Square,
    "TypeAdapter": pydantic.TypeAdapter(list[Level]),
    "Decimal": Decimal,
    "date": date,
    "datetime": datetime,
    "AwareDatetime": pydantic.AwareDatetime,
    "time": time,
    "timedelta": timedelta,
    "UUID": UUID,
    "IPv4Address": IPv4Address,
    "IPv6Address": IPv6Address,
    "HttpUrl": pydantic.HttpUrl,
    "AnyUrl": pydantic.AnyUrl,
    "Path": Path,
    "Json": pydantic.Json[int],
    "Pattern": Pattern[str],
    "IPv4Interface": IPv4Interface,
    "IPv4Network": IPv4Network,
    "IPv6Network": IPv6Network,
    "ByteSize": pydantic.ByteSize,
    "set": set[int],
    "set of an enum": set[Color],
    "frozenset": frozenset[str],
    "a validator": Picky,
    "Decimal of 5 digits": Annotated[Decimal, Field(max_digits=5, decimal_places=2)],
    "multiple_of=0.01": Annotated[float, Field(multiple_of=0.01)],
    "PastDate": pydantic.PastDate,
    "NaiveDatetime": pydantic.NaiveDatetime,
    "UUID4": pydantic.UUID4,
    "complex": complex,
    "Base64Bytes": pydantic.Base64Bytes,
    "Callable": Callable[[int], int],
    "type[int]": type[int],
    "a class of one's own": Own,
}

REFUSED = {
    **dict.fromkeys(("set", "frozenset"), "uniqueItems=true is not supported"),
    **dict.fromkeys(("Callable", "a class of one's own"), "pydantic has no JSON schema for"),
}
"""What does not compile, or is not ready to be asked about texts, and why. What is missing here must compile."""

WEAKER = {
    "StrictInt": "8.0 is an integer in JSON Schema",
    "dict[int, str]": "nothing is said of the keys",
    "dict[constr, int]": "nothing is said of keys that do not match",
    "Decimal": "any string",
    "Decimal of 5 digits": "any string, any number",
    "Json": "what a string encodes is not looked into",
    **dict.fromkeys(("IPv4Interface", "IPv4Network", "IPv6Network", "UUID4", "complex"), "any string"),
    "ByteSize": "any word is a unit",
    "PastDate": "any date",
    "HttpUrl": "any scheme",
    "NaiveDatetime": "the format date-time has an offset",
    "type[int]": "no JSON text is a class",
    "a validator": "what code checks",
}
"""Where pydantic refuses values that are valid under the JSON Schema which it gives, and what that fails to say."""


@pytest.mark.parametrize("name", TYPES)
def test_a_type_compiles_and_what_is_written_validates_or_it_is_known_why_not(name):
    if name in REFUSED:
        with pytest.raises(GrammarError, match=REFUSED[name]):
            Grammar.from_json_schema(TYPES[name]).accepts("")
        return
    grammar = Grammar.from_json_schema(TYPES[name])
    tally, refused = grammar.rules.tally, 0
    sampler = TextSampler(grammar.rules if tally is None else tally.loose)  # which has longer texts too
    for seed in range(25):
        text = sampler.text(seed, 20)
        if not grammar.accepts(text):
            assert tally is not None
            continue
        try:
            grammar.parser(text)
        except ValueError:
            refused += 1
    assert (refused > 0) == (name in WEAKER)


@pytest.mark.parametrize(
    ("given", "text", "value"),
    [
        (Person, '{"name": "Ana", "friends": [{"name": "Bo"}]}', Person(name="Ana", friends=[Person(name="Bo")])),
        (Movie, '{"title": "M", "year": 1931}', {"title": "M", "year": 1931}),
        (Size, '{"width": 3}', Size(3)),
        (list[Level], "[1, 2]", [Level.LOW, Level.HIGH]),
        (int | None, "null", None),
        (Annotated[Cat | Dog, Field(discriminator="kind")], '{"kind": "cat", "lives": 9}', Cat(kind="cat", lives=9)),
        (pydantic.TypeAdapter(Point), "[1, 2]", Point(1, 2.0)),
        (date, '"2024-02-29"', date(2024, 2, 29)),
        (tuple[UUID, timedelta], '["00000000-0000-0000-0000-000000000001", "PT1H"]', (UUID(int=1), timedelta(hours=1))),
        ({"type": "array"}, "[1, {}]", [1, {}]),
        ('{"type": "array"}', "[1, {}]", [1, {}]),
        (True, "1.0", 1.0),
    ],
)
def test_the_parsed_value_is_one_of_the_type(given, text, value):
    grammar = Grammar.from_json_schema(given)
    assert grammar.accepts(text)
    found = output(grammar, text).parsed
    assert found == value and type(found) is type(value)


def output(grammar: Grammar | None, text: str) -> RequestOutput:
    return RequestOutput(
        text=text,
        token_ids=[],
        prompt_token_ids=[],
        finish_reason="stop",
        stats=Stats(),
        trace=Trace(prompt_length=0, mask_token_id=0),
        parser=None if grammar is None else grammar.parser,
    )


def test_nothing_is_parsed_where_the_grammar_is_not_of_json():
    assert output(None, "[1]").parsed is None
    for grammar in (Grammar.from_regex(".*"), Grammar.from_choices(["[1]"]), Grammar.builtin("arithmetic")):
        assert output(grammar, "[1]").parsed is None
    assert output(Grammar.builtin("json"), "[1]").parsed == [1]


def test_values_that_only_code_refuses_are_an_error_that_says_so():
    found = output(Grammar.from_json_schema(Picky), '{"even": 3}')
    with pytest.raises(GrammarError, match=r"cannot be read(.|\n)*odd") as error:
        _ = found.parsed
    assert isinstance(error.value.__cause__, pydantic.ValidationError)
    digits = "1" * 5000
    with pytest.raises(GrammarError, match="cannot be read"):
        _ = output(Grammar.from_json_schema({}), digits).parsed


def test_outputs_are_compared_shown_copied_and_pickled_without_their_parsers():
    grammar = Grammar.from_json_schema(Person)
    found, plain = output(grammar, '{"name": "Ana"}'), output(None, '{"name": "Ana"}')
    assert found == plain and repr(found) == repr(plain) and found.to_dict() == plain.to_dict()
    assert copy.deepcopy(found).parsed == Person(name="Ana")
    there = pickle.loads(pickle.dumps(found))
    assert there == found
    with pytest.raises(GrammarError, match=r"the type Person was left behind .* model_validate_json"):
        _ = there.parsed
    assert pickle.loads(pickle.dumps(output(Grammar.from_json_schema({}), "[1]"))).parsed == [1]


def test_a_model_has_a_say_in_its_schema():
    class Told(pydantic.BaseModel):
        x: int

        @classmethod
        def model_json_schema(cls, **_: Any) -> dict[str, Any]:
            return {"const": {"x": 1}}

    grammar = Grammar.from_json_schema(Told)
    assert grammar.accepts('{"x": 1}') and not grammar.accepts('{"x": 2}')


ALONE = """
import sys
if {missing}:
    sys.modules["pydantic"] = None
from dllm import Grammar, GrammarError
Grammar.from_json_schema({{"type": "integer"}})
Grammar.from_tools([{{"name": "go"}}])
assert sys.modules.get("pydantic") is None
try:
    print(Grammar.from_json_schema(list[int]).accepts("[1]"))
except GrammarError as error:
    print(error)
"""


@pytest.mark.parametrize(("missing", "said"), [(False, "True"), (True, "pip install 'pydantic>=2'")])
def test_pydantic_is_imported_only_for_its_types(missing, said):
    told = subprocess.run(
        [sys.executable, "-c", ALONE.format(missing=missing)], capture_output=True, text=True, check=False
    )
    assert said in told.stdout, told.stderr
    assert not missing or told.stdout.startswith("list[int] is a type")


@pytest.mark.parametrize("given", [None, 3, Person(name="x"), [int], {1, 2}])
def test_what_is_no_type_and_no_schema_is_refused(given):
    with pytest.raises(GrammarError, match="a JSON schema is a dict, a bool, a str of JSON, a type such as list"):
        Grammar.from_json_schema(given)
