// A process that waits for a word, then writes, replaces, evicts and drops chunks without end, until it is killed. argv: folder, seed.
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { keptName } from "../../appliance/fill/manifest-keeper.js";
import { PurgeSweeper } from "../../appliance/fill/purge-sweeper.js";
import { objectKeyOf } from "../../appliance/object.js";
import { chunksOf, defaultChunkBytes, objectOf, openStorage } from "./storage.js";
import { openRandom } from "./random.js";

const [folder, seed] = process.argv.slice(2) as [string, string];
const random = openRandom(Number(seed));
// Started ahead of its turn: loading the program takes longer than a round.
await once(process, "message");
const storage = await openStorage({ folder });
const sweeper = new PurgeSweeper({ index: storage.index, store: storage.store, onHeldChanged: () => {}, log: pino({ level: "silent" }) });
// The parent counts the time to the kill from here.
process.send!("open");
for (;;) {
  const path = `film-${random.below(20)}.mp4`;
  const known = storage.index.findObject(path);
  const action = random.below(20);
  // What is kept is told apart as the manifest's keeper does it, and so is what was asked for.
  if (known) storage.hits.note(objectKeyOf(known).readInt32LE(0), random.pick(chunksOf(known)));
  if (action === 5 && known) {
    const others = storage.kept.list().filter(([keptPath]) => keptPath !== path);
    const isKept = !storage.kept.has(known) && others.length < 5;
    storage.kept.replace([...others.map(([keptPath, etag]) => ({ path: keptPath, etag })), ...(isKept ? [known] : [])]);
    await storage.index.putMeta(keptName, storage.kept.list());
    storage.store.setKept(objectKeyOf(known), isKept);
  } else if (action === 4) {
    await storage.index.purge(random.below(4) === 0 ? "prefix" : "object", random.below(4) === 0 ? path.slice(0, 6) : path);
    if (random.below(2) === 0) sweeper.sweep();
  } else if (action === 0) {
    storage.store.freeSlots(await storage.index.removeObject(path));
  } else if (action <= 2 || !known) {
    const generation = storage.index.generationOf(path);
    // Objects of some bytes, of one chunk and of many come and go, so extents are cut anew all the time.
    const version = objectOf(path, random.below(1e6));
    const sizeBytes = random.pick([
      1 + random.below(3000),
      1 + random.below(defaultChunkBytes),
      version.sizeBytes,
      version.sizeBytes,
      version.sizeBytes,
    ]);
    const object = { ...version, sizeBytes, ...(generation > 0 && { generation }) };
    storage.store.freeSlots(await storage.index.putObject(object, Buffer.from("digests")));
  } else if (action === 3) {
    const chunk = random.pick(chunksOf(known));
    const key = objectKeyOf(known);
    const place = storage.index.findChunk(key, chunk);
    if (place) await storage.store.dropChunk(key, chunk, place);
  } else {
    for (const chunk of chunksOf(known)) storage.put(known, chunk);
    // Some rounds wait until all is stored, others pile up.
    if (random.below(3) === 0) await storage.store.flush();
  }
  await turn();
}
