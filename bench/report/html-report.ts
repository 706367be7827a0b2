export function renderHtmlReport(_results: readonly unknown[]): string {
  return "";
}
