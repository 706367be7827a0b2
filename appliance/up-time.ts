// Milliseconds since the system was started: never goes back, and is the same for all threads, whose performance.now() is not.

export function upMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}
