import assert from "node:assert/strict";
import { test } from "node:test";
import { generatedObjects } from "../workloads/object-files.js";
import { defaultFlags, type WorkloadFlags } from "../workloads/workload-flags.js";
import { planOf } from "../workloads/workload-plan.js";
import { RequestChooser, type Viewer } from "./request-chooser.js";

function planWith(flags: Partial<WorkloadFlags>, objects: number, workers = 1) {
  return planOf(
    { ...defaultFlags, ...flags },
    {
      baseUrl: "http://127.0.0.1/",
      caPem: null,
      insecure: false,
      headers: {},
      objects: generatedObjects(objects, 2_500_000),
      replay: null,
      workers,
    },
  );
}

const newViewer = (): Viewer => ({ object: null, offset: 0 });

test("RequestChooser gives whole aligned ranges inside the object", () => {
  const chooser = new RequestChooser(planWith({ range: "1MiB" }, 4), 0);
  const firsts = new Set<number>();
  for (let i = 0; i < 200; i++) {
    const choice = chooser.next(newViewer())!;
    firsts.add(choice.first);
    assert.equal(choice.bytes, 2 ** 20);
  }
  assert.deepEqual([...firsts].sort(), [0, 2 ** 20]);
});

test("RequestChooser walks an object to its end as a player does, with a short last range", () => {
  const chooser = new RequestChooser(planWith({ range: "1MiB", walk: "sequential" }, 4), 0);
  const viewer = newViewer();
  const ranges = [0, 1, 2, 3].map(() => {
    const { first, bytes } = chooser.next(viewer)!;
    return [first, bytes];
  });
  assert.deepEqual(ranges, [
    [0, 2 ** 20],
    [2 ** 20, 2 ** 20],
    [2 ** 21, 2_500_000 - 2 ** 21],
    [0, 2 ** 20],
  ]);
});

test("RequestChooser asks for each object once over all workers, then for nothing", () => {
  const plan = planWith({ pick: "once", range: "whole", connections: 3 }, 10, 3);
  const names: string[] = [];
  for (let worker = 0; worker < 3; worker++) {
    const chooser = new RequestChooser(plan, worker);
    for (let choice = chooser.next(newViewer()); choice !== null; choice = chooser.next(newViewer())) names.push(choice.object.name);
  }
  assert.deepEqual(names.sort(), plan.objects.map(({ name }) => name).sort());
});

test("RequestChooser sends a crowd's share to one object", () => {
  const chooser = new RequestChooser(planWith({ crowdAt: 0.5, crowdShare: 0.9 }, 1000), 0);
  const shareOfFirst = () => {
    let first = 0;
    for (let i = 0; i < 5000; i++) if (chooser.next(newViewer())!.object.contentNumber === 0) first++;
    return first / 5000;
  };
  assert.ok(shareOfFirst() < 0.02);
  chooser.crowded = true;
  assert.ok(Math.abs(shareOfFirst() - 0.9) < 0.03);
});

test("RequestChooser repeats itself with the same seed and not with another", () => {
  const sequence = (seed: number) => {
    const chooser = new RequestChooser(planWith({ seed }, 50), 0);
    return Array.from({ length: 20 }, () => {
      const { object, first } = chooser.next(newViewer())!;
      return `${object.name}@${first}`;
    }).join();
  };
  assert.equal(sequence(5), sequence(5));
  assert.notEqual(sequence(5), sequence(6));
});
