// The figures that can be measured.
import type { FigureMaker } from "./figure-maker.js";
import { storageCold } from "./storage-cold.js";

export const figureMakers: readonly FigureMaker[] = [storageCold];
