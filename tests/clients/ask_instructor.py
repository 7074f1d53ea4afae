"""instructor, in those of its modes that OpenAI's interface has. It has no completions, so nothing is filled in."""

import common as c
import instructor
import openai
import pydantic
from instructor.v2.core.errors import InstructorRetryException

plain = openai.OpenAI(base_url=f"{c.URL}/v1", api_key=c.KEY, max_retries=0, timeout=600)


class Anything(pydantic.BaseModel):
    """An object."""


def client(mode):
    return instructor.from_openai(plain, mode=mode)


def chat():
    found = client(instructor.Mode.TOOLS).chat.completions.create(model="tiny", messages=c.CHAT, response_model=None)
    c.same(found.choices[0].message.content, c.ANA)


def stream():
    for mode in (instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA):
        *_, last = client(mode).chat.completions.create_partial(model="tiny", messages=c.CHAT, response_model=c.Person)
        c.same(last.model_dump(), c.PERSON.model_dump())


def structured():
    asked = {"model": "tiny", "messages": c.CHAT, "response_model": c.Person, "max_retries": 1}
    for mode in (instructor.Mode.JSON_SCHEMA, instructor.Mode.TOOLS_STRICT):
        c.same(client(mode).chat.completions.create(**asked).model_dump(), c.PERSON.model_dump())
    # this one asks for any object, with the schema in a message, which is more than `tiny` understands
    asked["response_model"] = Anything
    assert isinstance(client(instructor.Mode.JSON).chat.completions.create(**asked), Anything)


def tool():
    asked = {"model": "tiny", "messages": c.CHAT, "response_model": c.Person, "max_retries": 1}
    found, raw = client(instructor.Mode.TOOLS).chat.completions.create_with_completion(**asked)
    c.same(found.model_dump(), c.PERSON.model_dump())
    c.same(raw.choices[0].message.tool_calls[0].function.name, "Person")


class Elder(pydantic.BaseModel):
    """Somebody who is older than the one in the text."""

    age: int
    name: str

    @pydantic.field_validator("age")
    @classmethod
    def old(cls, age):
        assert age > 100, "too young"
        return age


def errors():
    asked = {"messages": c.CHAT, "response_model": c.Person, "max_retries": 1}
    with c.refused(InstructorRetryException, "gpt-9", "tiny"):
        client(instructor.Mode.TOOLS).chat.completions.create(model="gpt-9", **asked)
    with c.refused(InstructorRetryException, "temperature"):
        client(instructor.Mode.TOOLS).chat.completions.create(model="tiny", temperature=-1, **asked)
    # what no grammar knows is asked again, with the answer and the error as messages
    with c.refused(InstructorRetryException, "too young"):
        asked = {"messages": c.CHAT, "response_model": Elder, "max_retries": 2}
        client(instructor.Mode.TOOLS).chat.completions.create(model="tiny", **asked)


if __name__ == "__main__":
    c.run(globals())
