// The console's table of services: the breaker of each in the gateway, and the copies of the control plane behind them.
import { element, pageElement, setText } from "./element.js";
import type { GatewayState } from "./gateway-answers.js";

const breakerWords: Readonly<Record<string, readonly [words: string, colour: string]>> = {
  closed: ["closed", "good"],
  "half-open": ["half open: one call tries", "warn"],
  open: ["open: not asked for now", "bad"],
};

/** @param state undefined while the gateway is away. */
export function renderServices(state: GatewayState | undefined): void {
  pageElement("services", HTMLElement).hidden = state === undefined;
  setText(pageElement("services-words", HTMLElement), state ? wordsOf(state) : "The gateway does not answer.");
  if (!state) return;
  const rows = state.services.map(({ service, breaker, running, callsAtOnce }) => {
    const [words, colour] = breakerWords[breaker] ?? [breaker, "idle"];
    return element(
      "tr",
      { attributes: { "data-service": service, "data-breaker": breaker } },
      element("td", {}, service),
      element("td", {}, element("span", { class: `state ${colour}` }, words)),
      element("td", { class: "number" }, `${running} of ${callsAtOnce}`),
    );
  });
  pageElement("service-rows", HTMLElement).replaceChildren(...rows);
}

function wordsOf({ copies }: GatewayState): string {
  const all = Object.entries(copies).filter(([, count]) => count > 0);
  const total = all.reduce((sum, [, count]) => sum + count, 0);
  return `Control plane: ${total === 1 ? "one copy" : `${total} copies`} (${all.map(([name, count]) => `${count} ${name}`).join(", ")}).`;
}
