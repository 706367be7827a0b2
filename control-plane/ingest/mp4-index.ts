// Reads the head of a fragmented MP4 file in which one sidx box indexes every segment: what playlists are written from.
import { open, type FileHandle } from "node:fs/promises";

/** The moov and sidx of hours of video take kilobytes; more than this is not a head. */
const maxHeadBoxBytes = 16 * 2 ** 20;
/** ftyp, moov, sidx and a few free boxes come before the first moof. */
const maxHeadBoxes = 64;

export interface Mp4Segment {
  /** First byte in the file. */
  offset: number;
  sizeBytes: number;
  durationSeconds: number;
}

export interface Mp4Index {
  sizeBytes: number;
  /** The initialization segment is the bytes 0 to `initBytes` - 1. */
  initBytes: number;
  /** The sidx box, last byte included. */
  indexFirstByte: number;
  indexLastByte: number;
  segments: Mp4Segment[];
  /** RFC 6381 name of the first video track ("avc1.64001F"); undefined where there is no H.264 track. */
  videoCodec: string | undefined;
}

/** The index of the MP4 file at `path`; undefined when it is not a fragmented MP4 with a sidx in front. */
export async function readMp4Index(path: string): Promise<Mp4Index | undefined> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    let videoCodec: string | undefined;
    let at = 0;
    for (let boxes = 0; boxes < maxHeadBoxes; boxes++) {
      const header = await readBytes(file, at, 16);
      const box = header && boxAt(header, 0, size - at);
      if (!box) return undefined;
      if (box.type === "moov" && box.sizeBytes <= maxHeadBoxBytes) {
        const moov = await readBytes(file, at, box.sizeBytes);
        videoCodec = moov && avcCodecOf(moov);
      }
      if (box.type === "sidx") {
        const segments = await readSegments(file, at, at + box.sizeBytes - 1);
        if (!segments) return undefined;
        return {
          sizeBytes: size,
          initBytes: at,
          indexFirstByte: at,
          indexLastByte: at + box.sizeBytes - 1,
          segments,
          videoCodec,
        };
      }
      if (box.type === "moof" || box.type === "mdat") return undefined;
      at += box.sizeBytes;
    }
    return undefined;
  } finally {
    await file.close();
  }
}

/** The segments that the sidx in bytes `first` to `last` of `file` names; undefined when those bytes are not one sidx. */
export async function readSegments(file: FileHandle, first: number, last: number): Promise<Mp4Segment[] | undefined> {
  const sizeBytes = last - first + 1;
  if (sizeBytes < 12 || sizeBytes > maxHeadBoxBytes) return undefined;
  const bytes = await readBytes(file, first, sizeBytes);
  return bytes && parseSegments(bytes, first);
}

/**
 * The segments that `sidx`, a whole box that starts at byte `at` of its file, names. Undefined when it is not a sidx.
 *
 * ```
 * 0     4      8        12            16         20        (version 0: 4 bytes each, version 1: 8)
 * size  'sidx' version  reference_ID  timescale  earliest_presentation_time  first_offset
 * reserved:2  reference_count:2  then 12 bytes each:  type:1 bit + size:31   duration:4   SAP:4
 * ```
 * ISO/IEC 14496-12 8.16.3. Offsets count from the first byte after the box.
 */
export function parseSegments(sidx: Buffer, at: number): Mp4Segment[] | undefined {
  if (sidx.length < 32 || sidx.readUInt32BE(0) !== sidx.length || sidx.toString("latin1", 4, 8) !== "sidx") return undefined;
  const wide = sidx[8] === 1;
  const timescale = sidx.readUInt32BE(16);
  const countAt = wide ? 38 : 30;
  if (timescale === 0 || sidx.length < countAt + 2) return undefined;
  const firstOffset = wide ? Number(sidx.readBigUInt64BE(28)) : sidx.readUInt32BE(24);
  const count = sidx.readUInt16BE(countAt);
  if (sidx.length < countAt + 2 + count * 12) return undefined;
  const segments: Mp4Segment[] = [];
  let offset = at + sidx.length + firstOffset;
  for (let number = 0; number < count; number++) {
    const reference = countAt + 2 + number * 12;
    const sizeBytes = sidx.readUInt32BE(reference) & 0x7fffffff;
    segments.push({ offset, sizeBytes, durationSeconds: sidx.readUInt32BE(reference + 4) / timescale });
    offset += sizeBytes;
  }
  return segments;
}

interface Box {
  type: string;
  sizeBytes: number;
  headerBytes: number;
}

/** The box whose header is at `at` of `bytes`; undefined when it does not fit into the `leftBytes` that are left. */
function boxAt(bytes: Buffer, at: number, leftBytes: number): Box | undefined {
  if (leftBytes < 8 || bytes.length < at + 8) return undefined;
  const size = bytes.readUInt32BE(at);
  const type = bytes.toString("latin1", at + 4, at + 8);
  const wide = size === 1 && bytes.length >= at + 16;
  // A size of 0 means "to the end of what is around it", a size of 1 that 64 bits of size follow the type.
  const sizeBytes = size === 0 ? leftBytes : wide ? Number(bytes.readBigUInt64BE(at + 8)) : size;
  const headerBytes = wide ? 16 : 8;
  return sizeBytes < headerBytes || sizeBytes > leftBytes ? undefined : { type, sizeBytes, headerBytes };
}

/** How many bytes of each box on the way to avcC come before the boxes inside it. */
const insideOffset: Readonly<Record<string, number>> = { moov: 0, trak: 0, mdia: 0, minf: 0, stbl: 0, stsd: 8, avc1: 78, avc3: 78 };

/** "avc1." and the profile, compatibility and level bytes of the first avcC in `bytes` (RFC 6381 3.3). */
function avcCodecOf(bytes: Buffer, from = 0, to = bytes.length): string | undefined {
  for (let at = from; at < to;) {
    const box = boxAt(bytes, at, to - at);
    if (!box) return undefined;
    const inside = at + box.headerBytes;
    if (box.type === "avcC" && box.sizeBytes >= box.headerBytes + 4)
      return `avc1.${bytes
        .subarray(inside + 1, inside + 4)
        .toString("hex")
        .toUpperCase()}`;
    const skip = insideOffset[box.type];
    const found = skip === undefined ? undefined : avcCodecOf(bytes, inside + skip, at + box.sizeBytes);
    if (found) return found;
    at += box.sizeBytes;
  }
  return undefined;
}

/** At most `length` bytes of `file` from `at`; undefined when there are none. */
async function readBytes(file: FileHandle, at: number, length: number): Promise<Buffer | undefined> {
  const bytes = Buffer.alloc(length);
  const { bytesRead } = await file.read(bytes, 0, length, at);
  return bytesRead === 0 ? undefined : bytes.subarray(0, bytesRead);
}
