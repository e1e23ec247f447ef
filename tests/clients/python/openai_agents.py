"""The OpenAI Agents SDK: a tool, a session of two turns, streamed and not, in both of OpenAI's APIs."""

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
from pydantic import BaseModel
from steps import AGAIN, AGAIN_SAID, ASK, FREE, HELLO, HELLO_SAID, KEY, MODEL, PERSON, URL, WEATHER, heard, run, weather

set_tracing_disabled(True)


class Person(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return weather(city)


def agent(kind, **options):
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    return Agent(name="A", instructions="Be brief.", model=kind(model=MODEL, openai_client=client), **options)


async def chat(kind):
    heard((await Runner.run(agent(kind), HELLO)).final_output, HELLO_SAID)


async def tools(kind):
    asked = agent(kind, tools=[get_weather])
    first = await Runner.run(asked, ASK)
    heard(first.final_output, WEATHER)
    second = await Runner.run(asked, [*first.to_input_list(), {"role": "user", "content": AGAIN}])
    heard(second.final_output, *AGAIN_SAID)


async def tools_stream(kind):
    asked = agent(kind, tools=[get_weather])
    first = Runner.run_streamed(asked, ASK)
    async for _ in first.stream_events():
        pass
    heard(first.final_output, WEATHER)
    second = Runner.run_streamed(asked, [*first.to_input_list(), {"role": "user", "content": AGAIN}])
    async for _ in second.stream_events():
        pass
    heard(second.final_output, *AGAIN_SAID)


async def structured(kind):
    answer = await Runner.run(agent(kind, output_type=Person), PERSON)
    assert answer.final_output == Person(name="Ada", age=36), answer.final_output


def named(name, do, kind):
    async def step():
        await do(kind)

    step.__name__ = name
    return step


APIS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}
STEPS = (chat,) if FREE else (chat, tools, tools_stream, structured)
run(*(named(f"{api}_{do.__name__}", do, kind) for api, kind in APIS.items() for do in STEPS))
