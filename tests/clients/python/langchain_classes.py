"""LangChain's three vendors' classes: answers, streams, tools over two turns, and structured output in each way."""

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from steps import AGAIN, AGAIN_SAID, ASK, FREE, HELLO, HELLO_SAID, KEY, MODEL, PERSON, URL, WEATHER
from steps import heard, run, weather


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
METHODS = {
    "openai": ("function_calling", "json_schema"),
    "openai_responses": ("function_calling", "json_schema"),
    "anthropic": ("function_calling", "json_schema"),
    "google": ("function_calling", "json_schema"),
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


steps = []
for vendor, make in MODELS.items():
    steps.append(named(f"{vendor}_chat", lambda make=make: chat(make)))
    steps.append(named(f"{vendor}_stream", lambda make=make: stream(make)))
    if not FREE:
        steps.append(named(f"{vendor}_tools", lambda make=make: tools(make)))
        for method in METHODS[vendor]:
            steps.append(named(f"{vendor}_{method}", lambda make=make, method=method: structured(make, method)))
run(*steps)
