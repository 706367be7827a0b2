// Opens the shared state that a URL names.
import type { Clock } from "../../runtime/clock.js";
import { MemorySharedState } from "./memory-shared-state.js";
import { openRedisSharedState } from "./redis-shared-state.js";
import type { SharedState } from "./shared-state.js";

/** "memory:" for one copy; redis://… or rediss://… (TLS) for several. @throws OperatingError "shared-state-unavailable". */
export async function openSharedState(url: string, clock: Clock): Promise<SharedState> {
  return url === "memory:" ? new MemorySharedState(clock) : await openRedisSharedState(url);
}

/** Whether `url` is one that `openSharedState` may open. */
export function isSharedStateUrl(url: string): boolean {
  return url === "memory:" || (/^rediss?:\/\/./.test(url) && URL.canParse(url));
}
