import assert from "node:assert/strict";
import { test } from "node:test";
import { clientAddressOf, TrustedProxies } from "./client-address.js";

const trusted = new TrustedProxies(["10.0.0.0/8", "fd00::/8"]);

test("clientAddressOf() believes X-Forwarded-For of a trusted proxy only", () => {
  assert.equal(clientAddressOf("203.0.113.7", "198.51.100.1", trusted), "203.0.113.7");
  assert.equal(clientAddressOf("10.0.0.1", "198.51.100.1", trusted), "198.51.100.1");
  assert.equal(clientAddressOf("10.0.0.1", "", trusted), "10.0.0.1");
  assert.equal(clientAddressOf("::ffff:10.0.0.1", "198.51.100.1", trusted), "198.51.100.1");
  assert.equal(clientAddressOf("203.0.113.7", "198.51.100.1", new TrustedProxies([])), "203.0.113.7");
});

test("clientAddressOf() takes the last hop that is not a trusted proxy, not what the client wrote before it", () => {
  assert.equal(clientAddressOf("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.2", trusted), "198.51.100.1");
  assert.equal(clientAddressOf("10.0.0.1", "10.0.0.3, 10.0.0.2", trusted), "10.0.0.3");
  assert.equal(clientAddressOf("fd00::1", "[2001:db8::1]:4711", trusted), "2001:db8::1");
  assert.equal(clientAddressOf("10.0.0.1", "198.51.100.1:4711", trusted), "198.51.100.1");
});

test("clientAddressOf() stops at noise", () => {
  assert.equal(clientAddressOf("10.0.0.1", "unknown", trusted), "10.0.0.1");
  assert.equal(clientAddressOf("10.0.0.1", "198.51.100.1, <script>", trusted), "10.0.0.1");
  assert.equal(clientAddressOf("10.0.0.1", "198.51.100.1,,10.0.0.2", trusted), "10.0.0.2");
});
