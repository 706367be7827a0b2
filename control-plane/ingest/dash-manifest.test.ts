import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OperatingError } from "../../runtime/operating-error.js";
import { parseDashManifest, parseIsoDuration } from "./dash-manifest.js";

function mpd(inside: string, attributes = 'type="static" mediaPresentationDuration="PT10S"'): string {
  return `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" ${attributes}><Period><AdaptationSet>${inside}</AdaptationSet></Period></MPD>`;
}

function pathsOf(text: string): string[] {
  return parseDashManifest(text, "x.mpd").references.map(({ path }) => path);
}

function refuses(text: string, reason: RegExp) {
  assert.throws(
    () => parseDashManifest(text, "x.mpd"),
    (error) => error instanceof OperatingError && error.code === "package-invalid" && reason.test(error.message),
  );
}

test("parseDashManifest() finds file, initialization and index of a SegmentBase", () => {
  const text = mpd(
    '<Representation><BaseURL>v.mp4</BaseURL><SegmentBase indexRange="840-1239"><Initialization range="0-839"/></SegmentBase></Representation>',
  );
  assert.deepEqual(parseDashManifest(text, "sub/x.mpd"), {
    durationSeconds: 10,
    tracks: [{ path: "sub/v.mp4", attributes: {} }],
    references: [
      { path: "sub/v.mp4", span: { firstByte: 0, lastByte: 839 } },
      { path: "sub/v.mp4", span: { firstByte: 840, lastByte: 1239 }, isIndex: true },
    ],
  });
});

test("parseDashManifest() follows BaseURLs inwards, folders and files, whatever the namespace prefix", () => {
  const text =
    '<d:MPD xmlns:d="urn:mpeg:dash:schema:mpd:2011"><d:BaseURL>./</d:BaseURL><d:Period duration="PT4S"><d:BaseURL>media/</d:BaseURL><d:AdaptationSet>' +
    "<d:Representation><d:BaseURL>a%20b.mp4</d:BaseURL></d:Representation></d:AdaptationSet></d:Period></d:MPD>";
  assert.deepEqual(parseDashManifest(text, "x.mpd"), {
    durationSeconds: 4,
    tracks: [{ path: "media/a b.mp4", attributes: {} }],
    references: [{ path: "media/a b.mp4", span: undefined }],
  });
});

test("parseDashManifest() finds the segments of a SegmentList", () => {
  const text = mpd(
    '<Representation><BaseURL>v.mp4</BaseURL><SegmentList><Initialization sourceURL="i.mp4"/><SegmentURL mediaRange="5-9"/><SegmentURL media="w.mp4"/></SegmentList></Representation>',
  );
  assert.deepEqual(parseDashManifest(text, "x.mpd").references, [
    { path: "i.mp4", span: undefined },
    { path: "v.mp4", span: { firstByte: 5, lastByte: 9 } },
    { path: "w.mp4", span: undefined },
  ]);
});

test("parseDashManifest() counts the segments of a SegmentTemplate by duration, inherited from the AdaptationSet", () => {
  const text = mpd(
    '<SegmentTemplate initialization="$RepresentationID$/i.mp4" media="$RepresentationID$/$Number%03d$.m4s" startNumber="7" timescale="1000" duration="4000"/>' +
      '<Representation id="lo"/><Representation id="hi"><SegmentTemplate duration="5000"/></Representation>',
  );
  assert.deepEqual(pathsOf(text), ["lo/i.mp4", "lo/007.m4s", "lo/008.m4s", "lo/009.m4s", "hi/i.mp4", "hi/007.m4s", "hi/008.m4s"]);
});

test("parseDashManifest() writes out a SegmentTimeline with gaps, repeats and a run to the end", () => {
  const runs = '<S t="0" d="2"/><S d="1" r="1"/><S t="6" d="2" r="-1"/>';
  const text = mpd(
    `<Representation bandwidth="9"><SegmentTemplate media="$Bandwidth$-$Time$$$.m4s"><SegmentTimeline>${runs}</SegmentTimeline></SegmentTemplate></Representation>`,
  );
  assert.deepEqual(pathsOf(text), ["9-0$.m4s", "9-2$.m4s", "9-3$.m4s", "9-6$.m4s", "9-8$.m4s"]);
});

test("parseDashManifest() refuses broken XML, live streams, parts from elsewhere and ranges of nonsense", () => {
  refuses("hello", /not XML/);
  refuses("<MPD><Period></MPD>", /not XML/);
  refuses('<!DOCTYPE MPD [<!ENTITY a "b">]><MPD><Period>&a;</Period></MPD>', /not XML/);
  refuses(`<MPD>${"<a>".repeat(100)}${"</a>".repeat(100)}</MPD>`, /not XML: more than 64/);
  refuses("<html/>", /its root is <html>/);
  refuses(mpd("", 'type="dynamic"'), /live/);
  refuses(mpd(""), /names no media/);
  refuses(mpd("<Representation/>"), /without a file/);
  refuses(mpd('<Representation><SegmentBase indexRange="1-2"/></Representation>'), /neither a URL nor a BaseURL/);
  refuses(mpd('<Representation xlink:href="http://x/"><BaseURL>v.mp4</BaseURL></Representation>'), /xlink:href/);
  refuses(mpd('<Representation><BaseURL>v.mp4</BaseURL><SegmentBase indexRange="9-2"/></Representation>'), /"9-2" for a byte range/);
  refuses(mpd("<Representation><BaseURL>../v.mp4</BaseURL></Representation>"), /outside of the package/);
  refuses(mpd("<Representation><BaseURL>https://cdn/v.mp4</BaseURL></Representation>"), /another server/);
  refuses(
    mpd('<Representation id="../../etc"><SegmentTemplate media="$RepresentationID$/passwd" duration="10"/></Representation>'),
    /outside of the package/,
  );
});

test("parseDashManifest() refuses templates without an end, and more segments than there can be", () => {
  const template = (attributes: string, inside = "") =>
    `<Representation><SegmentTemplate media="$Number$" ${attributes}>${inside}</SegmentTemplate></Representation>`;
  refuses(mpd(template('duration="1"'), ""), /how many segments/);
  refuses(mpd(template("")), /how many segments/);
  refuses(mpd(template('duration="1" timescale="10000000"')), /more than 1000000 segments/);
  refuses(mpd(template("", '<SegmentTimeline><S d="1" r="2000000"/></SegmentTimeline>')), /more than 1000000 segments/);
  refuses(mpd(template("", '<SegmentTimeline><S d="1" r="-1"/></SegmentTimeline>'), ""), /without end/);
  refuses(mpd(template("", '<SegmentTimeline><S d="0"/></SegmentTimeline>')), /nonsense/);
});

test("parseDashManifest() answers any text with a manifest or an OperatingError", () => {
  const part = fc.constantFrom(
    "<Representation>",
    "</Representation>",
    "<BaseURL>v.mp4</BaseURL>",
    '<SegmentTemplate media="$Number$" duration="2"/>',
    "<SegmentBase/>",
    "&",
    "]]>",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(part, fc.string())), (parts) => {
      try {
        parseDashManifest(mpd(parts.join("")), "x.mpd");
      } catch (error) {
        assert.ok(error instanceof OperatingError, String(error));
      }
    }),
  );
});

test("parseIsoDuration() reads days to fractions of seconds, and no years", () => {
  assert.equal(parseIsoDuration("PT1H2M3.5S"), 3723.5);
  assert.equal(parseIsoDuration("P1DT0S"), 86400);
  for (const text of [undefined, "", "P", "P1Y", "1H", "PT-1S"]) assert.equal(parseIsoDuration(text), undefined, text);
});
