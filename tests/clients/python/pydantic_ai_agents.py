"""Pydantic AI: a tool, two turns, a typed output, streamed and not, in four APIs."""

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider
from steps import AGAIN, AGAIN_SAID, ASK, FREE, HELLO, HELLO_SAID, KEY, MODEL, PERSON, URL, WEATHER, heard, run, weather


class Person(BaseModel):
    name: str
    age: int


def openai():
    return OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0))


MODELS = {
    "chat": lambda: OpenAIChatModel(MODEL, provider=openai()),
    "responses": lambda: OpenAIResponsesModel(MODEL, provider=openai()),
    "anthropic": lambda: AnthropicModel(
        MODEL, provider=AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0))
    ),
    "google": lambda: GoogleModel(MODEL, provider=GoogleProvider(api_key=KEY, base_url=URL)),
}


def with_tool(make):
    agent = Agent(make(), instructions="Be brief.", retries=0)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return weather(city)

    return agent


async def chat(make):
    heard((await Agent(make(), instructions="Be brief.").run(HELLO)).output, HELLO_SAID)


async def tools(make):
    agent = with_tool(make)
    first = await agent.run(ASK)
    heard(first.output, WEATHER)
    second = await agent.run(AGAIN, message_history=first.all_messages())
    heard(second.output, *AGAIN_SAID)


async def tools_stream(make):
    agent = with_tool(make)
    async with agent.run_stream(ASK) as first:
        heard(await first.get_output(), WEATHER)
    async with agent.run_stream(AGAIN, message_history=first.all_messages()) as second:
        heard(await second.get_output(), *AGAIN_SAID)


async def output_tool(make):
    answer = await Agent(make(), output_type=Person, retries=0).run(PERSON)
    assert answer.output == Person(name="Ada", age=36), answer.output


async def output_native(make):
    answer = await Agent(make(), output_type=NativeOutput(Person), retries=0).run(PERSON)
    assert answer.output == Person(name="Ada", age=36), answer.output


def named(name, do, make):
    async def step():
        await do(make)

    step.__name__ = name
    return step


STEPS = (chat,) if FREE else (chat, tools, tools_stream, output_tool, output_native)
# What it knows of each Claude says whether there is a native output.
LEFT_OUT = {("anthropic", output_native)}
run(
    *(
        named(f"{api}_{do.__name__}", do, make)
        for api, make in MODELS.items()
        for do in STEPS
        if (api, do) not in LEFT_OUT
    )
)
