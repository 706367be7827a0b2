import assert from "node:assert/strict";
import { test } from "node:test";
import { Metadata, status, type ServiceError } from "@grpc/grpc-js";
import { OperatingError } from "../runtime/operating-error.js";
import { callStatusOf, operatingErrorOf } from "./call-errors.js";

const received = (answer: ReturnType<typeof callStatusOf>): ServiceError =>
  Object.assign(new Error(answer.details), {
    code: answer.code,
    details: answer.details ?? "",
    metadata: answer.metadata ?? new Metadata(),
  });

test("operatingErrorOf() gives back the error that callStatusOf() was given", () => {
  const sent = new OperatingError("title-unknown", "Cannot find title x: no such title", { source: "x", retryable: true });
  const answer = callStatusOf(sent);
  assert.equal(answer.code, status.NOT_FOUND);
  const error = operatingErrorOf(received(answer), "grpc://h:1");
  assert.deepEqual(
    [error.code, error.message, error.source, error.retryable],
    ["title-unknown", "Cannot find title x: no such title", "x", true],
  );
});

test("callStatusOf() does not tell the caller about errors of the program", () => {
  const answer = callStatusOf(new TypeError("secret.value is undefined"));
  assert.equal(answer.code, status.INTERNAL);
  assert.doesNotMatch(answer.details ?? "", /secret/);
  assert.equal(operatingErrorOf(received(answer), "grpc://h:1").code, "control-plane-failed");
});

test("operatingErrorOf() tells a control plane that is away from one that answers, and reads no foreign details", () => {
  const bare = (code: status, metadata = new Metadata()) =>
    operatingErrorOf(Object.assign(new Error("x"), { code, details: "x", metadata }), "grpc://h:1");
  assert.equal(bare(status.UNAVAILABLE).code, "control-plane-away");
  assert.equal(bare(status.DEADLINE_EXCEEDED).code, "control-plane-away");
  assert.ok(bare(status.UNAVAILABLE).retryable);
  assert.equal(bare(status.UNIMPLEMENTED).code, "control-plane-failed");
  const noise = new Metadata();
  noise.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
  assert.equal(bare(status.UNAVAILABLE, noise).code, "control-plane-away");
});
