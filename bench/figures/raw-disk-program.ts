// A program of its own: reads or writes a disk without the page cache, as fast as it goes, and prints what it did as JSON.
//
//   node raw-disk-program.js read FILE PIECE-BYTES STRIDE-BYTES DEPTH SECONDS
//   node raw-disk-program.js write FILE PIECE-BYTES COUNT DEPTH PIECES-PER-SYNC
//
// It is a program since the size of the pool that does the reads is read at its start (UV_THREADPOOL_SIZE).
import { closeSync, constants, fdatasyncSync, fstatSync, openSync, read, readSync, rmSync, write } from "node:fs";
import { promisify } from "node:util";

const pageBytes = 4096;
const readPiece = promisify(read);
const writePiece = promisify(write);

/** The system takes only memory that begins at a page (or a sector) for direct reads; Node does not tell where its memory is, so each place is tried. */
function firstPageIn(memory: SharedArrayBuffer, descriptor: number): number {
  for (const place of [0, pageBytes - 16, ...Array.from({ length: pageBytes / 16 }, (_, at) => at * 16)]) {
    try {
      readSync(descriptor, new Uint8Array(memory, place, pageBytes), 0, pageBytes, 0);
      return place;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
    }
  }
  throw new Error("this file system has no direct reads");
}

async function measureReads(path: string, [pieceBytes, strideBytes, depth, seconds]: readonly number[]): Promise<object> {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  const memory = new SharedArrayBuffer(depth! * pieceBytes! + pageBytes);
  const base = firstPageIn(memory, descriptor);
  const pieces = Math.floor(fstatSync(descriptor).size / strideBytes!);
  const startedAtMs = performance.now();
  const endMs = startedAtMs + seconds! * 1000;
  let bytes = 0;
  await Promise.all(
    Array.from({ length: depth! }, async (_, lane) => {
      const into = new Uint8Array(memory, base + lane * pieceBytes!, pieceBytes!);
      while (performance.now() < endMs) {
        const { bytesRead } = await readPiece(descriptor, into, 0, pieceBytes!, Math.floor(Math.random() * pieces) * strideBytes!);
        bytes += bytesRead;
      }
    }),
  );
  return { bytes, seconds: (performance.now() - startedAtMs) / 1000 };
}

async function measureWrites(path: string, [pieceBytes, count, depth, piecesPerSync]: readonly number[]): Promise<object> {
  // Buffered, with fdatasync after each batch: what a program can do that must know when its bytes are on the disk.
  const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC);
  const from = new Uint8Array(pieceBytes!).map((_, at) => at * 31);
  const startedAtMs = performance.now();
  for (let done = 0; done < count!; done += piecesPerSync!) {
    let next = done;
    const end = Math.min(count!, done + piecesPerSync!);
    const lane = async () => {
      while (next < end) await writePiece(descriptor, from, 0, pieceBytes!, next++ * pieceBytes!);
    };
    await Promise.all(Array.from({ length: depth! }, lane));
    fdatasyncSync(descriptor);
  }
  const seconds = (performance.now() - startedAtMs) / 1000;
  closeSync(descriptor);
  rmSync(path);
  return { bytes: count! * pieceBytes!, seconds };
}

const [what, path, ...numbers] = process.argv.slice(2);
const measure = what === "read" ? measureReads : measureWrites;
measure(path!, numbers.map(Number)).then(
  (measured) => process.stdout.write(`${JSON.stringify(measured)}\n`),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  },
);
