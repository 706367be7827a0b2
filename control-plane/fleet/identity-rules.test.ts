import assert from "node:assert/strict";
import { test } from "node:test";
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { mistakesInIdentity } from "./identity-rules.js";

const good: ApplianceIdentity = {
  applianceId: "0b8f9a9e-4a43-4a0c-9d3a-0a8f3f0f4f55",
  siteId: "isp-1",
  clusterId: "isp-1-a",
  role: ApplianceRole.APPLIANCE_ROLE_EDGE,
  dataUrl: "https://[2001:db8::1]:8443/",
  adminUrl: "",
  capacityBytes: 1n,
  chunkBytes: 1,
  softwareVersion: "0.1.0",
};

test("mistakesInIdentity() accepts an appliance in order", () => {
  assert.deepEqual(mistakesInIdentity(good), []);
  assert.deepEqual(mistakesInIdentity({ ...good, adminUrl: "http://10.0.0.1:8081" }), []);
});

test("mistakesInIdentity() names each thing that is wrong", () => {
  const wrong: [Partial<ApplianceIdentity>, RegExp][] = [
    [{ applianceId: "" }, /^applianceId/],
    [{ siteId: "a b" }, /^siteId/],
    [{ clusterId: "x".repeat(65) }, /^clusterId/],
    [{ role: ApplianceRole.APPLIANCE_ROLE_UNSPECIFIED }, /^role/],
    [{ dataUrl: "http://10.0.0.1:8080" }, /^dataUrl/],
    [{ dataUrl: "javascript:alert(1)/" }, /^dataUrl/],
    [{ dataUrl: "http://10.0.0.1/?x=/" }, /^dataUrl/],
    [{ dataUrl: `http://10.0.0.1/${"x".repeat(500)}/` }, /^dataUrl/],
    [{ adminUrl: "ftp://10.0.0.1" }, /^adminUrl/],
    [{ chunkBytes: 0 }, /^chunkBytes/],
    [{ capacityBytes: 2n ** 53n }, /^capacityBytes/],
    [{ softwareVersion: "x".repeat(65) }, /^softwareVersion/],
  ];
  for (const [change, message] of wrong) {
    const mistakes = mistakesInIdentity({ ...good, ...change });
    assert.equal(mistakes.length, 1, JSON.stringify(mistakes));
    assert.match(mistakes[0]!, message);
  }
});
