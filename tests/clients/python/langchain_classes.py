"""LangChain's three vendors' classes: answers, streams, tools over two turns, and structured output in each way."""

from functools import partial

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from steps import AGAIN, AGAIN_SAID, ASK, FREE, HELLO, HELLO_SAID, KEY, MODEL, PERSON, URL, WEATHER, heard, run, weather


class Person(BaseModel):
    """A person."""

    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return weather(city)


MODELS = {
    "openai": lambda: ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, stream_usage=True),
    "openai_responses": lambda: ChatOpenAI(
        model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, use_responses_api=True
    ),
    "anthropic": lambda: ChatAnthropic(model=MODEL, base_url=URL, api_key=KEY, max_retries=0, max_tokens=1024),
    "google": lambda: ChatGoogleGenerativeAI(model=MODEL, base_url=URL, api_key=KEY, max_retries=1),
}


def named(name, function):
    function.__name__ = name
    return function


def chat(make):
    heard(make().invoke([("system", "Be brief."), ("human", HELLO)]).text, HELLO_SAID)


def stream(make):
    heard("".join(piece.text for piece in make().stream(HELLO)), HELLO_SAID)


def tools(make):
    llm = make().bind_tools([get_weather])
    history = [HumanMessage(ASK)]
    whole = None
    for piece in llm.stream(history):
        whole = piece if whole is None else whole + piece
    history.append(whole)
    assert whole.tool_calls, whole
    history += [get_weather.invoke(call) for call in whole.tool_calls]
    answer = llm.invoke(history)
    heard(answer.text, WEATHER)
    history += [answer, HumanMessage(AGAIN)]
    heard(llm.invoke(history).text, *AGAIN_SAID)


def structured(make, method):
    assert make().with_structured_output(Person, method=method).invoke(PERSON) == Person(name="Ada", age=36)


def steps():
    for vendor, make in MODELS.items():
        yield named(f"{vendor}_chat", partial(chat, make))
        yield named(f"{vendor}_stream", partial(stream, make))
        yield named(f"{vendor}_tools", partial(tools, make))
        for method in ("function_calling", "json_schema"):
            yield named(f"{vendor}_{method}", partial(structured, make, method))


run(*(step for step in steps() if not FREE or step.__name__.endswith(("_chat", "_stream"))))
