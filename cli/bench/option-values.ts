// Checks what was typed after an option of the bench.
import { InvalidArgumentError } from "commander";
import { parseByteSize } from "../../runtime/byte-size.js";

export function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}

export function integer(text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError("Expected a whole number from 1 on.");
  return Number(text);
}

export function byteSize(text: string): number {
  const bytes = parseByteSize(text);
  if (bytes === undefined || bytes < 1) throw new InvalidArgumentError("Expected an amount of bytes such as 2GiB.");
  return bytes;
}

export function percent(text: string): number {
  const match = /^(\d{1,2}(?:\.\d+)?)%$/.exec(text);
  if (match === null) throw new InvalidArgumentError("Expected a percentage below 100, such as 50%.");
  return Number(match[1]) / 100;
}
