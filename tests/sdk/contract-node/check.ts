// Sends, reads and lists with a client that openapi-typescript and openapi-fetch made from the API's description, errors
// included.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const { API_URL: baseUrl = "", API_KEY: key = "" } = process.env;
const clientWith = (key: string) => createClient<paths>({ baseUrl, headers: { authorization: `Bearer ${key}` } });
const client = clientWith(key);
const customer = "+447700900123";
const hello = (name = "hello"): components["schemas"]["SendMessage"] => ({
  to: customer,
  from: "support",
  template: { name, values: { "1": "Ava" } },
});

const problem = (answer: { error?: components["schemas"]["Problem"]; response: Response }, status: number) => {
  assert.equal(answer.response.status, status);
  assert.equal(answer.error?.status, status);
  return answer.error;
};

const send = (body: components["schemas"]["SendMessage"], key?: string) =>
  client.POST("/v1/messages", { body, params: { header: { "Idempotency-Key": key } } });

const sent = await send(hello(), "typescript-1");
assert.equal(sent.response.status, 202);
assert.deepEqual([sent.data?.status, sent.data?.sender, sent.data?.from], ["queued", "support", "+14155238886"]);
const id = sent.data?.id ?? "";
const again = await send(hello(), "typescript-1");
assert.deepEqual([again.data?.id, again.response.headers.get("idempotency-replayed")], [id, "true"]);

const read = await client.GET("/v1/messages/{id}", { params: { path: { id } } });
assert.ok(read.data && "status" in read.data, "it was sent, not received");
assert.deepEqual(read.data.timeline?.map((step) => step.status), ["queued"]);
assert.deepEqual(read.data.template?.values, { "1": "Ava" });
const listed = await client.GET("/v1/messages", { params: { query: { status: "queued", to: customer, limit: 200 } } });
assert.ok(listed.data?.items.some((message) => message.id === id));
const canceled = await client.POST("/v1/messages/{id}/cancel", { params: { path: { id } } });
assert.deepEqual([canceled.data?.status, canceled.data?.reason?.code], ["canceled", "canceled"]);

const unknown = problem(await send(hello("other")), 422);
assert.deepEqual(unknown?.errors?.map((e) => [e.pointer, e.code]), [["/template/name", "template_unknown"]]);
const used = problem(await send(hello("other"), "typescript-1"), 422);
assert.ok(used?.type.endsWith("idempotency-key-reused"));
const nothing = { id: "msg_00000000000000000000000000000000" };
problem(await client.GET("/v1/messages/{id}", { params: { path: nothing } }), 404);
problem(await client.GET("/v1/messages", { params: { query: { limit: 500 } } }), 400);
problem(await clientWith("wrong").GET("/v1/messages"), 401);
