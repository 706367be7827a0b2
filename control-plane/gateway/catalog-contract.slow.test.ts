// The contract of every method of the catalog, and of what playback takes from it, over gRPC and over JSON: right, wrong, unauthorised, too large,
// too late, twice.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import {
  codeOf,
  makeAccount,
  openLoginControlPlane,
  openLoginGateway,
  signIn,
  type LoginControlPlane,
} from "../../tests/support/login-client.js";
import { temporaryFolder } from "../../tests/support/temporary-folder.js";
import { waitUntil } from "../../tests/support/wait-until.js";
import { ApplianceRole, ApplianceState, FleetServiceClient } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { applianceKey } from "../caller.js";
import { detailsOfJson, titleDetailsBody } from "../catalog/details-json.js";
import { kindNumberOf, titleKinds } from "../catalog/title-details.js";
import { ControlPlaneClient, type CallFacts } from "../control-plane-client.js";
import { TrackKind, type CatalogServiceService, type Encode } from "../protocol/generated/millrace/catalog/v1/catalog.js";
import { openStore } from "../store/database.js";

const applianceSecret = "appliances 0123456789abcdef 0123456789";
const serviceSecret = "a partner 0123456789abcdef 0123456789";
const settings = `authentication: { required: true, applianceSecret: "${applianceSecret}", services: [{ name: partner, secret: "${serviceSecret}" }] }`;

type Method = keyof typeof CatalogServiceService;
type Body = Record<string, unknown>;

interface Contract {
  /** "POST /api/catalog/put-titles": what the gateway calls it. */
  route: string;
  right: Body;
  /** From the JSON's fields to the message. */
  message(body: Body): unknown;
  /** Requests that are refused, with the code; where JSON's own checks come first, theirs stands behind a slash. */
  wrong: [change: Body, code: string][];
  /** For operators and services. */
  staff?: true;
  /** What the answer of the right request must hold. */
  holds: RegExp;
}

const film = { titleId: "film", kind: "film", name: "Der Film", maturityAge: 12 };
const object = { path: "pub/a.m3u8", sizeBytes: 10, etag: '"a"', chunkBytes: 4 };
const putMessage = ({ titles }: Body) => ({ titles: (titles as unknown[]).map((title) => detailsOfJson(titleDetailsBody.parse(title))) });
const putWrong = (change: Body, code: string): [Body, string] => [{ titles: [{ ...film, ...change }] }, code];
const pageWrong: [Body, string][] = [
  [{ pageToken: "x" }, "page-token-invalid"],
  [{ pageToken: "A".repeat(500) }, "page-token-invalid"],
  [{ pageSize: 501 }, "invalid-argument"],
];

const contracts: Record<Method, Contract> = {
  publishTitle: {
    route: "POST /api/catalog/publish-title",
    staff: true,
    right: { titleId: "pub", name: "Published", durationSeconds: 5, hlsPath: "pub/a.m3u8", dashPath: "", objects: [object] },
    message: ({ objects, ...title }) => ({
      title: { ...title, sizeBytes: 0n, objectCount: 0, publishedAtUnixMs: 0n },
      objects: (objects as (typeof object)[]).map((each) => ({ ...each, sizeBytes: BigInt(each.sizeBytes) })),
    }),
    wrong: [
      [{ titleId: "Pub" }, "invalid-argument"],
      [{ name: "" }, "invalid-argument"],
      [{ hlsPath: "other" }, "invalid-argument"],
      [{ objects: [] }, "invalid-argument"],
      [{ objects: [{ ...object, path: "../a" }] }, "invalid-argument"],
      [{ titleId: "series" }, "title-kind-fixed"],
    ],
    holds: /Published/,
  },
  listTitles: {
    route: "GET /api/titles",
    right: { pageSize: 10, pageToken: "" },
    message: (body) => body,
    wrong: pageWrong,
    holds: /pub\/a.m3u8/,
  },
  getTitle: {
    route: "GET /api/catalog/objects",
    right: { titleId: "pub" },
    message: (body) => body,
    wrong: [
      [{ titleId: "nothing" }, "title-unknown"],
      [{ titleId: "A" }, "invalid-argument"],
    ],
    holds: /pub\/a.m3u8/,
  },
  putTitleDetails: {
    route: "POST /api/catalog/put-titles",
    staff: true,
    right: { titles: [{ ...film, windows: [{ countries: ["DE"], from: "2026-01-01T00:00:00Z" }] }] },
    message: putMessage,
    wrong: [
      [{ titles: [] }, "invalid-argument"],
      putWrong({ titleId: "Film" }, "invalid-argument"),
      putWrong({ name: " " }, "invalid-argument"),
      putWrong({ name: "a\u0000b" }, "invalid-argument"),
      putWrong({ maturityAge: 19 }, "invalid-argument"),
      putWrong({ parentId: "series" }, "invalid-argument"),
      putWrong({ kind: "season", parentId: "nothing" }, "parent-unknown"),
      putWrong({ kind: "season", parentId: "" }, "invalid-argument"),
      putWrong({ titleId: "series" }, "title-kind-fixed"),
      putWrong({ windows: [{ countries: ["de"] }] }, "invalid-argument"),
      putWrong({ windows: [{ from: "2026-01-02T00:00:00Z", until: "2026-01-01T00:00:00Z" }] }, "invalid-argument"),
      putWrong({ artwork: [{ purpose: "poster", url: "javascript:alert(1)" }] }, "invalid-argument"),
      putWrong({ artwork: [{ purpose: "poster", url: "../a.jpg" }] }, "invalid-argument"),
    ],
    holds: /changed/,
  },
  getTitleDetails: {
    route: "GET /api/catalog/title",
    right: { titleId: "film" },
    message: (body) => body,
    wrong: [
      [{ titleId: "nothing" }, "title-unknown"],
      [{ titleId: "" }, "invalid-argument"],
    ],
    holds: /Der Film/,
  },
  listTitleDetails: {
    route: "GET /api/catalog/titles",
    right: { pageSize: 10, pageToken: "", parentId: "series" },
    message: (body) => body,
    wrong: [...pageWrong, [{ parentId: "A B" }, "invalid-argument"]],
    holds: /season-1/,
  },
  searchTitles: {
    route: "GET /api/catalog/search",
    right: { query: "der flim", pageSize: 5, pageToken: "", country: "", kinds: "film" },
    message: ({ kinds, ...body }) => ({
      ...body,
      kinds: String(kinds)
        .split(",")
        .map((kind) => titleKinds.indexOf(kind as "film") + 1 || 99),
    }),
    wrong: [
      [{ pageToken: "x" }, "page-token-invalid"],
      [{ pageSize: 101 }, "invalid-argument"],
      [{ country: "Germany" }, "invalid-argument"],
      [{ kinds: "opera" }, "invalid-argument"],
      [{ query: "x".repeat(201) }, "invalid-argument"],
    ],
    holds: /Der Film/,
  },
};

let controlPlane: LoginControlPlane;
let gateway: { url: string; close(): Promise<void> };
let partner: ControlPlaneClient;
let fleet: FleetServiceClient;
let admin: CallFacts;
let child: CallFacts;
let adult: CallFacts;

const grpc = (client: ControlPlaneClient, method: Method, message: unknown, facts: CallFacts = {}) =>
  (client[method] as unknown as (request: unknown, facts: CallFacts) => Promise<unknown>)(message, facts);
const textOf = (answer: unknown) => JSON.stringify(answer, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));

async function json(route: string, body: Body | string, facts: CallFacts = {}) {
  const [verb = "", path = ""] = route.split(" ");
  const query = verb === "GET" && typeof body !== "string" ? `?${new URLSearchParams(body as Record<string, string>).toString()}` : "";
  const response = await fetch(gateway.url + path + query, {
    method: verb,
    headers: { ...(facts.authorization && { Authorization: facts.authorization }) },
    ...(verb === "POST" && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const answer = (await response.json()) as { error?: { code: string; message: string } };
  return { status: response.status, code: answer.error?.code, answer };
}

before(async () => {
  const database = `sqlite:${temporaryFolder()}/control-plane.db`;
  controlPlane = await openLoginControlPlane({ database, settings });
  gateway = await openLoginGateway(controlPlane.url);
  partner = new ControlPlaneClient(controlPlane.url, { deadlineMs: 10_000, serviceSecret });
  const { accountId } = await makeAccount(controlPlane, "admin@example.org");
  const store = await openStore(database);
  await store.updateTable("account").set({ roles: '["admin"]' }).where("account_id", "=", accountId).execute();
  await store.destroy();
  admin = (await signIn(controlPlane, "admin@example.org")).facts;
  await makeAccount(controlPlane, "family@example.org");
  adult = (await signIn(controlPlane, "family@example.org")).facts;
  const { profile } = await controlPlane.client.createProfile(
    { name: "Kid", isKids: true, maturityMaxAge: 7 },
    { ...adult, idempotencyKey: "kid" },
  );
  const { accessToken } = await controlPlane.client.chooseProfile({ profileId: profile!.profileId }, adult);
  child = { authorization: `Bearer ${accessToken}` };

  fleet = new FleetServiceClient(controlPlane.url.slice("grpc://".length), credentials.createInsecure());
  await registerBox();
  await put([
    film,
    { titleId: "series", kind: "series", name: "Eine Serie" },
    { titleId: "season-1", kind: "season", parentId: "series", number: 1, name: "Staffel 1" },
  ]);
  await grpc(controlPlane.client, "publishTitle", contracts.publishTitle.message(contracts.publishTitle.right), admin);
  await waitUntil("the search has loaded", () =>
    controlPlane.client.searchTitles({ query: "x", pageSize: 0, pageToken: "", country: "", kinds: [] }),
  );
});
after(async () => {
  fleet.close();
  partner.close();
  await gateway.close();
  await controlPlane.close();
});

const put = (titles: object[]) => partner.putTitleDetails({ titles: titles.map((title) => detailsOfJson(titleDetailsBody.parse(title))) });

async function registerBox(): Promise<void> {
  const metadata = new Metadata();
  metadata.set("authorization", `Appliance box:${applianceKey(applianceSecret, "box")}`);
  const call = (send: (callback: (error: ServiceError | null) => void) => void) =>
    new Promise<void>((resolve, reject) => send((error) => (error ? reject(error) : resolve())));
  const identity = {
    applianceId: "box",
    siteId: "near",
    clusterId: "near-a",
    role: ApplianceRole.APPLIANCE_ROLE_EDGE,
    dataUrl: "http://box:80/",
    adminUrl: "",
    capacityBytes: 1_000_000n,
    chunkBytes: 100,
    softwareVersion: "0",
  };
  await call((callback) => fleet.register({ identity, bootId: "boot" }, metadata, callback));
  const heartbeat = {
    applianceId: "box",
    bootId: "boot",
    state: ApplianceState.APPLIANCE_STATE_LIVE,
    totals: { requests: 1n, bytesSent: 2n, bytesFilled: 3n, heldBytes: 4n },
    disks: [],
    requestHeadroom: 10,
    fillHeadroom: 10,
    manifest: undefined,
    holdingsSequence: 0n,
    headroom: undefined,
    sentAtUnixMs: 0n,
  };
  await call((callback) => fleet.heartbeat(heartbeat, metadata, callback));
}

for (const method of Object.keys(contracts) as Method[]) {
  const { route, right, message, wrong, staff, holds } = contracts[method];
  const facts = () => (staff ? admin : {});

  test(`${method}: the right request is answered, and the second the same`, async () => {
    for (let time = 0; time < 2; time++) {
      assert.match(textOf(await grpc(controlPlane.client, method, message(right), facts())), holds);
      const { status, answer } = await json(route, right, facts());
      assert.equal(status, 200, JSON.stringify(answer));
      assert.match(JSON.stringify(answer), holds);
    }
  });

  test(`${method}: wrong requests are refused with the reason`, async () => {
    for (const [change, code] of wrong) {
      const body = { ...right, ...change };
      assert.equal(await codeOf(grpc(controlPlane.client, method, message(body), facts())), code, `gRPC ${JSON.stringify(change)}`);
      const answer = await json(route, body, facts());
      assert.equal(answer.code, code, `JSON ${JSON.stringify(change)}`);
      assert.ok(answer.status >= 400 && answer.status < 500);
    }
    if (route.startsWith("GET")) return;
    assert.equal((await json(route, "{", facts())).code, "json-malformed");
    assert.equal((await json(route, { ...right, surplus: 1 }, facts())).code, "body-malformed");
  });

  test(`${method}: who may not call is told so`, async () => {
    if (!staff) return void assert.ok(await grpc(controlPlane.client, method, message(right), { authorization: "Bearer x.y.z" }));
    assert.equal(await codeOf(grpc(controlPlane.client, method, message(right))), "unauthenticated");
    assert.equal(await codeOf(grpc(controlPlane.client, method, message(right), adult)), "forbidden");
    assert.equal((await json(route, right)).status, 401);
    assert.equal((await json(route, right, adult)).status, 403);
    assert.ok(await grpc(partner, method, message(right)), "a service may");
  });

  test(`${method}: a request that is too large is refused, one that is too late changes nothing, and the next one is answered`, async () => {
    const huge = method === "putTitleDetails" ? { titles: [{ ...film, synopsis: "x".repeat(5000) }] } : right;
    if (method === "putTitleDetails") {
      const many = { titles: Array.from({ length: 501 }, (_, number) => ({ ...film, titleId: `t-${number}` })) };
      assert.equal(await codeOf(grpc(controlPlane.client, method, message(many), admin)), "invalid-argument");
      assert.equal(await codeOf(grpc(controlPlane.client, method, message(huge), admin)), "invalid-argument");
    }
    if (route.startsWith("POST")) assert.deepEqual((await json(route, "x".repeat(20_000), facts())).status, 413);
    const late = new ControlPlaneClient(controlPlane.url, { deadlineMs: -1 });
    const lateBody = method === "putTitleDetails" ? { titles: [{ ...film, name: "Too late" }] } : right;
    assert.equal(await codeOf(grpc(late, method, message(lateBody), facts())), "control-plane-away");
    late.close();
    assert.doesNotMatch(textOf(await controlPlane.client.getTitleDetails({ titleId: "film" })), /Too late/);
    assert.ok(await grpc(controlPlane.client, method, message(right), facts()));
  });
}

const encode = (codec: string, height: number): Encode => ({
  kind: TrackKind.TRACK_KIND_VIDEO,
  codecs: [codec],
  width: 0,
  height,
  bitsPerSecond: height * 1000,
  container: "mp4",
  path: `${codec}/${height}.mp4`,
  language: "",
  inHls: true,
  inDash: false,
});
async function publish(titleId: string, encodes: Encode[] = []) {
  const title = {
    titleId,
    name: titleId,
    durationSeconds: 5,
    hlsPath: `${titleId}/m.m3u8`,
    dashPath: "",
    sizeBytes: 0n,
    objectCount: 0,
    publishedAtUnixMs: 0n,
  };
  const objects = [{ path: `${titleId}/m.m3u8`, sizeBytes: 10n, etag: '"a"', chunkBytes: 4 }];
  await partner.publishTitle({ title, objects, media: { encodes, audioLanguages: [], subtitleLanguages: [] } });
}
const day = 86_400_000;

test("playback refuses with the precise reason: age, country, too early, too late, nothing that the device plays", async () => {
  const now = controlPlane.clock.unixMs();
  const at = (unixMs: number) => new Date(unixMs).toISOString();
  const rules: [titleId: string, rules: object][] = [
    ["p-adult", { maturityAge: 16 }],
    ["p-unrated", {}],
    ["p-german", { maturityAge: 0, windows: [{ countries: ["DE"] }] }],
    ["p-early", { maturityAge: 0, windows: [{ from: at(now + day) }] }],
    ["p-late", { maturityAge: 0, windows: [{ until: at(now - day) }] }],
    ["p-free", { maturityAge: 0 }],
  ];
  for (const [titleId, rest] of rules) {
    await publish(titleId, [encode("avc1.640028", 1080), encode("hvc1.2.4.L150", 2160)]);
    await put([{ titleId, kind: "film", name: titleId, ...rest }]);
  }
  const refusals: [titleId: string, facts: CallFacts, device: object | undefined, code: string, status: number, why: RegExp][] = [
    ["p-adult", child, undefined, "title-over-age", 403, /for 16 years and older, and the profile is for 7/],
    ["p-unrated", child, undefined, "title-over-age", 403, /for 18 years/],
    ["p-german", adult, undefined, "title-country-unknown", 451, /some countries only/],
    ["p-early", adult, undefined, "title-not-yet", 403, /available from \d{4}-/],
    ["p-late", adult, undefined, "title-no-longer", 410, /available until \d{4}-/],
    ["p-free", adult, { codecs: ["vp09"] }, "no-encode-playable", 409, /codecs: avc1.640028, hvc1/],
    ["p-free", adult, { heightMax: 720 }, "no-encode-playable", 409, /up to 720 lines, and it begins at 1080/],
    ["p-free", adult, { codecs: ["<script>"] }, "invalid-argument", 400, /device.codecs/],
  ];
  for (const [titleId, facts, device, code, status, why] of refusals) {
    const answer = await json("POST /api/playback", { titleId, ...(device && { device }) }, facts);
    assert.deepEqual([answer.code, answer.status], [code, status], titleId);
    assert.match(answer.answer.error!.message, why);
  }
  assert.equal((await json("POST /api/playback", { titleId: "p-free" }, child)).status, 200);
  assert.equal((await json("POST /api/playback", { titleId: "p-free" })).status, 401);
});

test("playback answers with the encodes that the device plays, best first", async () => {
  await publish("p-encodes", [encode("avc1.640028", 540), encode("avc1.640028", 1080), encode("hvc1.2.4.L150", 2160)]);
  const play = async (device?: object) => {
    const { status, answer } = await json("POST /api/playback", { titleId: "p-encodes", ...(device && { device }) }, adult);
    assert.equal(status, 200, JSON.stringify(answer));
    return (answer as unknown as { encodes: { height: number }[] }).encodes.map(({ height }) => height);
  };
  assert.deepEqual(await play(), [2160, 1080, 540]);
  assert.deepEqual(await play({ codecs: ["avc1", "mp4a"] }), [1080, 540]);
  assert.deepEqual(await play({ codecs: ["avc3"], heightMax: 720 }), [540]);
});

test("playback believes a service about the country, and nobody else", async () => {
  await publish("p-here");
  await put([{ titleId: "p-here", kind: "film", name: "Here", windows: [{ countries: ["DE"] }] }]);
  const play = (client: ControlPlaneClient, country: string, facts?: CallFacts) =>
    client.startPlayback({ titleId: "p-here", clientAddress: "127.0.0.1", country }, facts);
  assert.equal((await play(partner, "DE")).titleId, "p-here");
  assert.equal(await codeOf(play(partner, "FR")), "title-not-in-country");
  assert.equal(await codeOf(play(partner, "germany")), "invalid-argument");
  assert.equal(await codeOf(play(controlPlane.client, "DE", adult)), "title-country-unknown");
});

test("a child's search shows nothing that its profile may not see, whatever it asks for", async () => {
  await put([{ titleId: "scary", kind: "film", name: "Xanadu horror", maturityAge: 18 }]);
  const search = (facts: CallFacts) =>
    controlPlane.client.searchTitles(
      { query: "xanadu", pageSize: 0, pageToken: "", country: "", maturityMaxAge: 18, kinds: [kindNumberOf("film")] },
      facts,
    );
  assert.equal((await search(adult)).hitsTotal, 1);
  assert.equal((await search(child)).hitsTotal, 0);
});
