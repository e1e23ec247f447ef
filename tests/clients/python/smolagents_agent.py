"""smolagents: an agent that calls a tool and gives its final answer by another."""

import json

from smolagents import OpenAIServerModel, ToolCallingAgent, tool
from steps import ASK, FREE, HELLO, HELLO_SAID, KEY, MODEL, URL, WEATHER, heard, run, weather


@tool
def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: which one
    """
    return weather(city)


model = OpenAIServerModel(model_id=MODEL, api_base=f"{URL}/v1", api_key=KEY, client_kwargs={"max_retries": 0})


def chat():
    heard(model.generate([{"role": "user", "content": [{"type": "text", "text": HELLO}]}]).content, HELLO_SAID)


def tools(stream=False):
    agent = ToolCallingAgent(tools=[get_weather], model=model, max_steps=3, verbosity_level=0, stream_outputs=stream)
    answer = json.dumps({"answer": WEATHER})
    heard(agent.run(f"{ASK} [[call final_answer {answer}]]"), WEATHER)


def tools_stream():
    tools(stream=True)


run(chat, *([] if FREE else (tools, tools_stream)))
