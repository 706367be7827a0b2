// `millrace bench files`: the objects of a workload in a folder.
import { Command } from "commander";
import { defaultFlags } from "../../bench/workloads/workload-flags.js";
import { formatByteSize } from "../../runtime/byte-size.js";
import { flagOption, typedFlags } from "./load-options.js";

/** `millrace bench files`. */
export function benchFilesCommand(): Command {
  const command = new Command("files")
    .summary("make the objects of a workload, for a server to serve")
    .description("Make the objects of a workload in a folder, for a server to serve, with the catalog that a run asks for.")
    .argument("<folder>", "where to make them");
  for (const key of ["objects", "objectSize", "trace", "traceRequests", "traceObjectMax"] as const) command.addOption(flagOption(key));
  return command.action(async (folder: string, _options: unknown, self: Command) => {
    const [{ generatedObjects, writeObjectFiles }, { bytesOf, readReplayOf }] = await Promise.all([
      import("../../bench/workloads/object-files.js"),
      import("../../bench/workloads/workload-plan.js"),
    ]);
    const flags = { ...defaultFlags, ...typedFlags(self) };
    const replay = await readReplayOf(flags);
    const objects = replay?.objects ?? generatedObjects(flags.objects, bytesOf("objectSize", flags.objectSize));
    await writeObjectFiles(folder, objects);
    const bytes = objects.reduce((sum, object) => sum + object.bytes, 0);
    process.stdout.write(`${objects.length} objects (${formatByteSize(bytes)}) and catalog.json are in ${folder}\n`);
  });
}
