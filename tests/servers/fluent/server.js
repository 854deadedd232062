// Takes Fluent Forward at four ports that follow each other, and appends each entry to a file, once it is complete:
//
//   node server.js FIRST_PORT FILE KEY USER PASSWORD CERTIFICATE PRIVATE_KEY
//
// The first asks for nothing, the second for the shared key, the third also for the user and the password, and the fourth
// speaks TLS and asks for the shared key.
"use strict";

const { appendFileSync, readFileSync } = require("node:fs");
const { EventTime, FluentServer } = require("@fluent-org/logger");

const [first, file, sharedKey, user, password, certificate, privateKey] = process.argv.slice(2);

function keep(tag, time, record) {
  const exact = time instanceof EventTime;
  const entry = { tag, seconds: exact ? time.epoch : time, nanoseconds: exact ? time.nano : null, record };
  appendFileSync(file, JSON.stringify(entry, (_, value) => (typeof value === "bigint" ? value.toString() : value)) + "\n");
}

const key = { serverHostname: "logchute", sharedKey, authorize: false, userDict: {} };
const variants = [
  {},
  { security: key },
  { security: { ...key, authorize: true, userDict: { [user]: password } } },
  { security: key, tlsOptions: { cert: readFileSync(certificate), key: readFileSync(privateKey) } },
];

// Between two turns, so that what was acknowledged is in the file.
process.on("SIGTERM", () => process.exit(0));

const started = variants.map((options, index) => {
  const listenOptions = { host: "127.0.0.1", port: Number(first) + index };
  const server = new FluentServer({ ...options, listenOptions });
  server.on("entry", keep);
  return server.listen();
});

Promise.all(started).then(
  () => console.log("all four listen"),
  (fault) => {
    console.error(fault);
    process.exit(1);
  },
);
