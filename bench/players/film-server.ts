// An HTTP server for tests: a film of playlists and byte ranges, and ways to misbehave.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const segmentSeconds = 2;
const initializationBytes = 100;
const soundBitsPerSecond = 64_000;

export interface FilmOptions {
  bitsPerSecond: readonly number[];
  segments: number;
  sound?: boolean;
}

/** Answers a request for media in place of the server; false leaves it to the server. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse, count: number) => boolean;

export interface FilmServer {
  url: string;
  /** Requests for media so far: path and Range. */
  requests: { path: string; range: string | undefined }[];
  /** Breaks every connection and refuses new ones. */
  kill(): void;
}

/** `misbehave` is asked at each request for media, with how many there were before. */
export async function openFilmServer(film: FilmOptions, misbehave: Misbehaviour = () => false): Promise<FilmServer> {
  const files = filmFiles(film);
  const requests: FilmServer["requests"] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "");
    const file = files.get(path);
    if (!file) return void response.writeHead(404).end();
    if (path.endsWith(".mp4")) {
      if (misbehave(request, response, requests.length)) return;
      requests.push({ path, range: request.headers.range });
    }
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (!match) return void response.writeHead(200, { "content-length": file.length }).end(file);
    const [first, last] = [Number(match[1]), Number(match[2])];
    if (last >= file.length) return void response.writeHead(416).end();
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${file.length}`, "content-length": last - first + 1 });
    response.end(file.subarray(first, last + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/film/master.m3u8`,
    requests,
    kill: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function filmFiles({ bitsPerSecond, segments, sound = false }: FilmOptions): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const audio = sound ? ',AUDIO="a"' : "";
  let master = "#EXTM3U\n#EXT-X-VERSION:7\n";
  if (sound) master += '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="sound.m3u8"\n';
  const addTrack = (name: string, bits: number) => {
    const bytes = (bits * segmentSeconds) / 8;
    let text = `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:${segmentSeconds}\n`;
    text += `#EXT-X-MAP:URI="${name}.mp4",BYTERANGE="${initializationBytes}@0"\n`;
    for (let index = 0; index < segments; index++) {
      const offset = index === 0 ? `@${initializationBytes}` : "";
      text += `#EXTINF:${segmentSeconds},\n#EXT-X-BYTERANGE:${bytes}${offset}\n${name}.mp4\n`;
    }
    files.set(`/film/${name}.m3u8`, Buffer.from(`${text}#EXT-X-ENDLIST\n`));
    files.set(`/film/${name}.mp4`, Buffer.alloc(initializationBytes + segments * bytes, name));
  };
  bitsPerSecond.forEach((bits, rung) => {
    master += `#EXT-X-STREAM-INF:BANDWIDTH=${bits},RESOLUTION=320x180${audio}\nv${rung}.m3u8\n`;
    addTrack(`v${rung}`, bits);
  });
  if (sound) addTrack("sound", soundBitsPerSecond);
  files.set("/film/master.m3u8", Buffer.from(master));
  return files;
}
