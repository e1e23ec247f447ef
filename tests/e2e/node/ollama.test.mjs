// Node's `ollama` SDK, unchanged, against the compact model. WEEBILL_URL and WEEBILL_KEY say where it is.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ollama } from "ollama";

const { WEEBILL_URL, WEEBILL_KEY } = process.env;
const client = new Ollama({ host: WEEBILL_URL, headers: { Authorization: `Bearer ${WEEBILL_KEY}` } });
const messages = [{ role: "user", content: "What is the capital of France?" }];
const options = { temperature: 0, num_predict: 32 };

test("ollama: lists", async () => {
  assert.ok((await client.list()).models.some((each) => each.model === "mini"));
  assert.deepEqual((await client.ps()).models.map((each) => each.model), ["smollm2:135m"]);
  assert.ok((await client.show({ model: "mini:latest" })).capabilities.includes("completion"));
});

test("ollama: chat", async () => {
  const answer = await client.chat({ model: "mini", messages, options });
  assert.match(answer.message.content, /Paris/);
  assert.equal(answer.done_reason, "stop");
});

test("ollama: streaming", async () => {
  let text = "", last = null;
  for await (const piece of await client.chat({ model: "mini", messages, options, stream: true })) {
    text += piece.message.content;
    last = piece;
  }
  assert.match(text, /Paris/);
  assert.ok(last.done && last.eval_count > 0 && last.eval_duration > 0);
});

test("ollama: JSON schema", async () => {
  const format = {
    type: "object", properties: { city: { type: "string", maxLength: 20 } }, required: ["city"], additionalProperties: false,
  };
  const answer = await client.chat({ model: "mini", messages, options, format });
  assert.equal(typeof JSON.parse(answer.message.content).city, "string");
});

test("ollama: errors", async () => {
  const failing = async (status, asking) => await assert.rejects(asking, (error) => error.status_code === status);
  await failing(404, () => client.chat({ model: "none", messages }));
  await failing(404, () => client.generate({ model: "none", prompt: "Hi", stream: true }));
  await failing(501, () => client.push({ model: "mini" }));
  await failing(404, () => client.delete({ model: "none" }));
  await failing(401, () => new Ollama({ host: WEEBILL_URL }).list());
});
