// The Vercel AI SDK with four providers: answers, streams, tools over several steps and two turns, objects.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';

const { WEEBILL_URL: url, WEEBILL_KEY: apiKey, WEEBILL_MODEL: name, WEEBILL_FREE: free } = process.env;
const HELLO = 'Say hello. [[say Hello there, wee bill.]]';
const ASK = 'How is the weather in Paris? [[call get_weather {"city": "Paris"}]]';
const WEATHER = 'sunny in Paris, 21 degrees';
const AGAIN = 'And what did it say? [[say It said: {result}]]';
const PERSON = 'Who was it? [[say {"name": "Ada", "age": 36}]]';

const MODELS = {
  openai_chat: () => createOpenAI({ baseURL: `${url}/v1`, apiKey }).chat(name),
  openai_responses: () => createOpenAI({ baseURL: `${url}/v1`, apiKey }).responses(name),
  compatible: () =>
    createOpenAICompatible({ name: 'weebill', baseURL: `${url}/v1`, apiKey, supportsStructuredOutputs: true })(name),
  anthropic: () => createAnthropic({ baseURL: `${url}/v1`, apiKey })(name),
  google: () => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey })(name),
};
const tools = {
  get_weather: tool({
    description: 'The weather in a city.',
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      if (city !== 'Paris') throw new Error(city);
      return WEATHER;
    },
  }),
};
const options = { maxRetries: 0, stopWhen: stepCountIs(4) };

function heard(text, ...wanted) {
  if (!text) throw new Error('no text');
  if (free !== '1' && !wanted.every((each) => text.includes(each))) throw new Error(text);
}

const STEPS = {
  async text(model) {
    const { text } = await generateText({ model, system: 'Be brief.', prompt: HELLO, ...options });
    heard(text, 'Hello there, wee bill.');
  },
  async stream(model) {
    const errors = [];
    const { textStream } = streamText({ model, prompt: HELLO, onError: ({ error }) => errors.push(error), ...options });
    let text = '';
    for await (const piece of textStream) text += piece;
    if (errors.length) throw errors[0];
    heard(text, 'Hello there, wee bill.');
  },
  async tools(model) {
    const messages = [{ role: 'user', content: ASK }];
    const errors = [];
    const first = streamText({ model, messages, tools, onError: ({ error }) => errors.push(error), ...options });
    let text = '';
    for await (const piece of first.textStream) text += piece;
    if (errors.length) throw errors[0];
    heard(text, WEATHER);
    messages.push(...(await first.response).messages, { role: 'user', content: AGAIN });
    heard((await generateText({ model, messages, tools, ...options })).text, 'It said:', WEATHER);
  },
  async object(model) {
    const schema = z.object({ name: z.string(), age: z.number() });
    const { object } = await generateObject({ model, prompt: PERSON, schema, maxRetries: 0 });
    if (object.name !== 'Ada' || object.age !== 36) throw new Error(JSON.stringify(object));
  },
};

let failed = false;
for (const [vendor, make] of Object.entries(MODELS)) {
  for (const [step, run] of Object.entries(STEPS)) {
    if (free === '1' && !['text', 'stream'].includes(step)) continue;
    let problem = '';
    try {
      await run(make());
    } catch (error) {
      failed = true;
      problem = `${error}: ${error.responseBody ?? ''}`.slice(0, 600);
    }
    console.log(JSON.stringify({ name: `${vendor}_${step}`, problem }));
  }
}
process.exit(failed ? 1 : 0);
