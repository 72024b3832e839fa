// What an application usually does with an inbound message: check the signature with the official SDK, record the
// message's id in Redis so that it is handled once, and answer. The message itself is not kept.
//
//   PORT, REDIS_SOCKET, TWILIO_AUTH_TOKEN, PUBLIC_BASE_URL, PROCESSES

import cluster from "node:cluster";
import express from "express";
import { Redis } from "ioredis";
import twilio from "twilio";

const WEEK = 7 * 24 * 60 * 60;

if (cluster.isPrimary) {
  for (let n = 0; n < Number(process.env.PROCESSES); n += 1) cluster.fork();
  cluster.on("exit", (worker, code) => {
    console.error(`process ${worker.process.pid} ended with ${code}`);
    process.exit(1);
  });
} else {
  const redis = new Redis({ path: process.env.REDIS_SOCKET });
  const app = express();
  app.use(express.urlencoded({ extended: false }));
  app.post("/twilio/inbound", async (request, response) => {
    const signature = request.header("X-Twilio-Signature") ?? "";
    const url = `${process.env.PUBLIC_BASE_URL}/twilio/inbound`;
    if (!twilio.validateRequest(process.env.TWILIO_AUTH_TOKEN, signature, url, request.body)) {
      response.status(403).send("invalid signature");
      return;
    }
    await redis.set(`twilio:inbound:${request.body.MessageSid}`, "1", "EX", WEEK, "NX");
    response.type("text/xml").send("<Response></Response>");
  });
  app.listen(Number(process.env.PORT), "127.0.0.1");
}
