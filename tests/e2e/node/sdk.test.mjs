// Node's `openai` SDK, unchanged, against the compact model. WEEBILL_URL and WEEBILL_KEY say where it is.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const { WEEBILL_URL, WEEBILL_KEY } = process.env;
const client = new OpenAI({ baseURL: `${WEEBILL_URL}/v1`, apiKey: WEEBILL_KEY, maxRetries: 0, timeout: 60_000 });
const capital = [{ role: "user", content: "What is the capital of France?" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 40 }, unit: { enum: ["celsius", "fahrenheit"] } },
      required: ["city", "unit"],
      additionalProperties: false,
    },
  },
};

test("chat", async () => {
  const answer = await client.chat.completions.create({ model: "mini", messages: capital, temperature: 0 });
  assert.match(answer.choices[0].message.content, /Paris/);
  assert.equal(answer.model, "mini");
  assert.ok(answer._request_id.startsWith("req_"));
});

test("streaming", async () => {
  const stream = await client.chat.completions.create({
    model: "mini", messages: capital, temperature: 0, stream: true, stream_options: { include_usage: true },
  });
  let text = "", usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.match(text, /Paris/);
  assert.ok(usage.completion_tokens > 0);
});

test("tools", async () => {
  const answer = await client.chat.completions.create({
    model: "mini", messages: [{ role: "user", content: "Weather in Sydney?" }], tools: [weather], tool_choice: "required",
  });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ["city", "unit"]);
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

test("JSON schema, valid every time", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" }, tags: { type: "array", items: { type: "string" } } },
    required: ["name", "age", "tags"],
    additionalProperties: false,
  };
  for (const seed of [1, 2, 3, 4, 5]) {
    const answer = await client.chat.completions.create({
      model: "mini", seed, messages: [{ role: "user", content: "Ann is 31 and likes birds and tea." }],
      response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } },
    });
    const person = JSON.parse(answer.choices[0].message.content);
    assert.equal(typeof person.name, "string");
    assert.ok(Number.isInteger(person.age));
    assert.ok(person.tags.every((tag) => typeof tag === "string"));
  }
});

test("two choices", async () => {
  const answer = await client.chat.completions.create({ model: "mini", messages: capital, n: 2, max_tokens: 8 });
  assert.deepEqual(answer.choices.map((choice) => choice.index), [0, 1]);
});

test("leaving a stream", async () => {
  const stream = await client.chat.completions.create({
    model: "mini", messages: [{ role: "user", content: "Tell a very long story." }], max_tokens: 2000, stream: true,
  });
  let seen = 0;
  for await (const _ of stream) if (++seen === 5) break;
  assert.equal(seen, 5);
  const after = await client.chat.completions.create({ model: "mini", messages: capital, max_tokens: 4 });
  assert.ok(after.choices[0].message.content);
});

test("errors are the SDK's own", async () => {
  const stranger = client.withOptions({ apiKey: "sk-wb-wrong" });
  await assert.rejects(stranger.models.list(), (error) => error instanceof OpenAI.AuthenticationError);
  await assert.rejects(
    client.chat.completions.create({ model: "nope", messages: capital }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.param === "model",
  );
  await assert.rejects(
    client.chat.completions.create({ model: "mini", messages: [{ role: "user", content: "word ".repeat(9000) }] }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === "context_length_exceeded",
  );
});

test("a rating of an answer", async () => {
  const answer = await client.chat.completions.create({ model: "mini", messages: capital, max_tokens: 4 });
  const body = { request_id: answer._request_id, score: 0.25, comment: "From Node's SDK." };
  const told = await client.post("/feedback", { body });
  assert.deepEqual([told.status, told.request_id, told.score], ["accepted", answer._request_id, 0.25]);
  await assert.rejects(
    client.post("/feedback", { body: { ...body, score: 2 } }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "score",
  );
});

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.deepEqual(names.sort(), ["mini", "smollm2:135m"]);
});
