// The figures that can be measured.
import type { FigureMaker } from "./figure-maker.js";
import { connections } from "./connections.js";
import { hostileClients } from "./hostile-clients.js";
import { largeIndex } from "./large-index.js";
import { spread } from "./spread.js";
import { storageCold } from "./storage-cold.js";
import { steadyState } from "./steady-state.js";
import { storageWrite } from "./storage-write.js";
import { workers } from "./workers.js";

export const figureMakers: readonly FigureMaker[] = [
  storageCold,
  storageWrite,
  largeIndex,
  spread,
  workers,
  steadyState,
  hostileClients,
  connections,
];
