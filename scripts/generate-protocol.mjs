// Makes the TypeScript of both protocols anew from their .proto files: `npm run generate`.
import { rmSync } from "node:fs";
import { run } from "./run.mjs";

for (const home of ["fill-protocol", "control-plane/protocol"]) {
  rmSync(`${home}/generated`, { recursive: true, force: true });
  await run("buf", ["generate", "--template", `${home}/buf.gen.yaml`]);
}
