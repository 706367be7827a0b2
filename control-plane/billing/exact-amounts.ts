// Arithmetic of whole minor units: every division says how it rounds.

/** `amount × numerator / denominator`, halves away from zero, so that a charge and its reversal round alike. `denominator` > 0. */
export function scaleAmount(amountMinor: bigint, numerator: bigint, denominator: bigint): bigint {
  const product = amountMinor * numerator;
  const half = denominator / 2n;
  // Twice the remainder against the denominator, without fractions.
  const quotient = product / denominator;
  const remainder = product % denominator;
  const magnitude = remainder < 0n ? -remainder : remainder;
  const roundsUp = denominator % 2n === 0n ? magnitude >= half && magnitude > 0n : magnitude > half;
  if (!roundsUp) return quotient;
  return product < 0n ? quotient - 1n : quotient + 1n;
}

/** The part of an amount for `fromUnixMs`–`toUnixMs` that falls into what is left of it at `nowUnixMs`. */
export function unusedPartOf(
  { amountMinor, fromUnixMs, toUnixMs }: { amountMinor: bigint; fromUnixMs: number; toUnixMs: number },
  nowUnixMs: number,
): bigint {
  const wholeMs = toUnixMs - fromUnixMs;
  const leftMs = Math.min(wholeMs, Math.max(0, toUnixMs - nowUnixMs));
  return wholeMs <= 0 ? 0n : scaleAmount(amountMinor, BigInt(leftMs), BigInt(wholeMs));
}
