// Uses the official, unmodified Node SDK against a sandbox, as an application would.
//
// SANDBOX_URL, ACCOUNT_SID, AUTH_TOKEN, SENDER (+1…), SENDER_SID and SERVICE_SID name the account. It is new, and the
// customer has not written yet.

import assert from "node:assert/strict";
import http from "node:http";
import { once } from "node:events";
import twilio from "twilio";

const { SANDBOX_URL, ACCOUNT_SID, AUTH_TOKEN, SENDER, SENDER_SID, SERVICE_SID } = process.env;
const customer = "whatsapp:+447700900123";
const from = `whatsapp:${SENDER}`;

const client = twilio(ACCOUNT_SID, AUTH_TOKEN);
for (const domain of ["api", "accounts", "content", "iam", "messaging"]) {
  client[domain].baseUrl = SANDBOX_URL;
}

const control = async (path, body) => {
  const response = await fetch(`${SANDBOX_URL}/sandbox/${path}`, { method: "POST", body: JSON.stringify(body) });
  const answer = await response.text();
  assert.ok(response.ok, answer);
  return JSON.parse(answer);
};

const until = async (what, look) => {
  const deadline = Date.now() + 20_000;
  while (Date.now() < deadline) {
    const seen = await look();
    if (seen) return seen;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail(`not in time: ${what}`);
};

// A receiver that records what arrives.
const arrived = [];
const receiver = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const params = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
    arrived.push({ url: request.url, signature: request.headers["x-twilio-signature"], params });
    response.writeHead(204).end();
  });
});
receiver.listen(0, "127.0.0.1");
await once(receiver, "listening");
const receiverUrl = `http://127.0.0.1:${receiver.address().port}`;

async function accounts() {
  const account = await client.api.v2010.accounts(ACCOUNT_SID).fetch();
  assert.equal(account.status, "active");
  const key = await client.newKeys.create({ friendlyName: "check" });
  assert.equal(key.secret.length, 32);
  const limited = twilio(key.sid, key.secret, { accountSid: ACCOUNT_SID });
  limited.api.baseUrl = SANDBOX_URL;
  await limited.messages.list({ limit: 1 });
  await assert.rejects(limited.api.v2010.accounts(ACCOUNT_SID).fetch(), { status: 401, code: 20003 });
  const keys = await client.iam.v1.getApiKeys.list({ accountSid: ACCOUNT_SID });
  assert.ok(keys.some((listed) => listed.sid === key.sid));
  assert.equal(await client.keys(key.sid).remove(), true);
  const secondary = await client.accounts.v1.secondaryAuthToken().create();
  assert.equal(secondary.secondaryAuthToken.length, 32);
  await client.accounts.v1.secondaryAuthToken().remove();
}

async function messages() {
  await control(`customers/${encodeURIComponent(customer)}/reply`, { to: SENDER, body: "Hello" });
  const statusCallback = `${receiverUrl}/status?attempt=1`;
  const message = await client.messages.create({ to: customer, from, body: "Hello ✓", statusCallback });
  assert.equal(message.status, "queued");
  assert.ok(message.dateCreated instanceof Date && !Number.isNaN(message.dateCreated.getTime()));
  const delivered = await until("delivered", async () => {
    const fetched = await client.messages(message.sid).fetch();
    return fetched.status === "delivered" && fetched;
  });
  assert.equal(delivered.body, "Hello ✓");

  await until("two status callbacks", () => arrived.length >= 2);
  for (const { url, signature, params } of arrived) {
    assert.equal(params.MessageSid, message.sid);
    assert.ok(twilio.validateRequest(AUTH_TOKEN, signature, receiverUrl + url, params), JSON.stringify(params));
    assert.ok(!twilio.validateRequest(AUTH_TOKEN, signature, receiverUrl + url, { ...params, MessageStatus: "read" }));
  }

  for (let sent = 0; sent < 4; sent += 1) {
    await client.messages.create({ to: customer, messagingServiceSid: SERVICE_SID, body: `number ${sent}` });
  }
  const listed = await client.messages.list({ to: customer, pageSize: 2 });
  assert.equal(listed.length, 5);
  assert.equal(listed[0].body, "number 3");
  assert.equal(listed[4].sid, message.sid);
  assert.equal((await client.messages(message.sid).update({ body: "" })).body, "");
  assert.equal(await client.messages(message.sid).remove(), true);
  await assert.rejects(client.messages(message.sid).fetch(), { status: 404, code: 20404 });
  await assert.rejects(client.messages.create({ to: customer, from }), { status: 400, code: 21619 });
}

// The SDK passes JSON bodies through, so their fields are named as in JSON.
async function contents() {
  const created = [];
  for (const name of ["order_shipped", "order_lost", "order_found"]) {
    created.push(
      await client.content.v1.contents.create({
        friendly_name: name,
        language: "en",
        variables: { 1: "Ava" },
        types: { "twilio/text": { body: "Hi {{1}}, this is about your order" } },
      }),
    );
  }
  const [content] = created;
  const submission = await client.content.v1
    .contents(content.sid)
    .approvalCreate.create({ name: "order_shipped", category: "UTILITY" });
  assert.equal(submission.status, "received");
  await until("approved", async () => {
    const approval = await client.content.v1.contents(content.sid).approvalFetch().fetch();
    return approval.whatsapp.status === "approved";
  });
  const change = { types: { "twilio/text": { body: "Something else" } } };
  await assert.rejects(client.content.v1.contents(content.sid).update(change), { status: 400, code: 92009 });
  const listed = await client.content.v2.contentAndApprovals.list({ contentName: "^order_", pageSize: 2 });
  assert.deepEqual(listed.map((row) => row.sid).sort(), created.map((row) => row.sid).sort());
  const approved = await client.content.v2.contentAndApprovals.list({ channelEligibility: ["whatsapp:approved"] });
  assert.deepEqual(approved.map((row) => row.sid), [content.sid]);
  assert.equal((await client.content.v1.contents(content.sid).fetch()).types["twilio/text"].body.slice(0, 2), "Hi");

  const message = await client.messages.create({
    to: "whatsapp:+447700900199",
    from,
    contentSid: content.sid,
    contentVariables: JSON.stringify({ 1: "Noor" }),
  });
  assert.match(message.sid, /^MM/);
  assert.equal(message.body, "Hi Noor, this is about your order");
  assert.equal(await client.content.v1.contents(created[2].sid).remove(), true);
}

async function services() {
  const service = await client.messaging.v1.services.create({
    friendlyName: "check",
    inboundRequestUrl: "https://example.com",
  });
  assert.equal(service.inboundRequestUrl, "https://example.com/");
  const members = await client.messaging.v1.services(SERVICE_SID).channelSenders.list();
  assert.deepEqual(members.map((member) => member.sender), [from]);
  const changed = await client.messaging.v1.services(service.sid).update({ statusCallback: "https://example.com/s" });
  assert.equal(changed.statusCallback, "https://example.com/s");
  assert.equal((await client.messaging.v1.services.list({ pageSize: 1 })).length, 2);
  assert.equal(await client.messaging.v1.services(service.sid).remove(), true);
}

async function senders() {
  const listed = await client.messaging.v2.channelsSenders.list({ channel: "whatsapp" });
  assert.deepEqual(listed.map((sender) => sender.sid), [SENDER_SID]);
  const changed = await client.messaging.v2.channelsSenders(SENDER_SID).update({
    webhook: { callback_url: "https://example.com/in", callback_method: "POST" },
  });
  assert.equal(changed.status, "ONLINE:UPDATING");
  const online = await until("online", async () => {
    const sender = await client.messaging.v2.channelsSenders(SENDER_SID).fetch();
    return sender.status === "ONLINE" && sender;
  });
  assert.equal(online.properties.quality_rating ?? online.properties.qualityRating, "HIGH");
}

for (const part of [accounts, messages, contents, services, senders]) {
  await part();
  console.log(`${part.name}: ok`);
}
receiver.close();
