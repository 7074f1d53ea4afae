"""llama-index's OpenAILike."""

import common as c
import openai
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

PLACE = {"model": "tiny", "api_base": f"{c.URL}/v1", "api_key": c.KEY, "max_retries": 0, "timeout": 600}
PLACE |= {"context_window": 512, "temperature": 0.0}
TALKS = [ChatMessage(role="user", content=c.TALK)]


def chats(**more):
    return OpenAILike(**{**PLACE, "is_chat_model": True, "is_function_calling_model": True, **more})


def chat():
    c.same(chats().chat(TALKS).message.content, c.ANA)
    c.same(OpenAILike(**PLACE, is_chat_model=False).complete(c.REVERSE).text, c.REVERSED)


def stream():
    slow = {"extra_body": c.SLOWLY}
    c.whole([piece.delta for piece in chats(additional_kwargs=slow).stream_chat(TALKS)], c.ANA)
    pieces = OpenAILike(**PLACE, is_chat_model=False, additional_kwargs=slow).stream_complete(c.REVERSE)
    c.whole([piece.delta for piece in pieces], c.REVERSED)


def structured():
    asked = PromptTemplate("{talk}")
    c.same(chats().structured_predict(c.Person, asked, talk=c.TALK), c.PERSON)
    c.same(chats(should_use_structured_outputs=True).structured_predict(c.Person, asked, talk=c.TALK), c.PERSON)


def save(age: int, name: str) -> str:
    """Save a person."""
    return f"{name} is {age}"


def tool():
    known = FunctionTool.from_defaults(save)
    model = chats()
    found = model.chat_with_tools([known], user_msg=c.TALK, tool_required=True)
    (call,) = model.get_tool_calls_from_response(found)
    c.same((call.tool_name, call.tool_kwargs), ("save", c.PERSON.model_dump()))
    c.same(str(model.predict_and_call([known], user_msg=c.TALK, tool_required=True)), "Ana is 31")


def fim():
    model = OpenAILike(**PLACE, is_chat_model=False, max_tokens=4)
    c.same(model.complete(c.FRONT, suffix=c.BACK).text, c.MIDDLE)


def errors():
    with c.refused(openai.NotFoundError, "gpt-9", "tiny"):
        chats(model="gpt-9").chat(TALKS)
    with c.refused(openai.BadRequestError, "presence_penalty"):
        chats(additional_kwargs={"presence_penalty": 0.5}).chat(TALKS)
    with c.refused(openai.AuthenticationError, "key"):
        chats(api_key="wrong").chat(TALKS)


if __name__ == "__main__":
    c.run(globals())
