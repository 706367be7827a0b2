// The figures of serving can be had, and nothing stays behind of hostile clients; see 63-bench-figures.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { measureFigure, medianOf } from "./support/measure-figure.js";
import { requireProgram } from "./support/require-program.js";

test("figure workers: two against one, by throughput and by cost", async (t) => {
  if (!requireProgram(t, "wrk")) return;
  const figure = await measureFigure(t, "workers");
  assert.ok(medianOf(figure, "small: two ÷ one by cost") > 0);
  assert.ok(medianOf(figure, "HTTPS 512 KiB: two ÷ one by cost") > 0);
});

test("figure steady-state: heap after each tenth, and what a request allocates", async (t) => {
  if (!requireProgram(t, "wrk")) return;
  const figure = await measureFigure(t, "steady-state");
  assert.ok(medianOf(figure, "heap of the worker after each tenth") > 0);
});

test("figure hostile-clients: no frame, no response and no socket stays behind", async (t) => {
  const figure = await measureFigure(t, "hostile-clients");
  for (const what of ["frames pinned", "responses under way", "sockets"]) assert.equal(medianOf(figure, `HTTP: ${what} at the end`), 0);
  assert.equal(medianOf(figure, "connections churned that failed"), 0);
});

test("figure connections: memory of idle ones, and their spread over workers", async (t) => {
  const figure = await measureFigure(t, "connections");
  assert.ok(medianOf(figure, "HTTPS: memory per connection") < 1_000_000);
  assert.ok(medianOf(figure, "200 connections over 2 workers: largest share ÷ even share") < 2);
});
