// The turn-up checks from the server's side: can a new box be reached as players will reach it, and is it fit to serve?
import { connect as connectTls } from "node:tls";
import { DiskState } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";
import { messageOf } from "../../runtime/operating-error.js";
import type { Appliance } from "./appliance.js";

const answerMs = 3000;
/** Tokens expire by the box's clock. */
const clockAheadMaxMs = 5000;
/** A certificate should outlive the next holiday. */
const certificateDaysMin = 14;

export interface TurnUpCheck {
  name: string;
  passed: boolean;
  /** For a person. */
  found: string;
}

export interface ApplianceFacts {
  appliance: Appliance;
  /** Undefined when it does not tell. */
  clockAheadMs: number | undefined;
  /** Prefixes that its site announces. */
  prefixes: number;
}

/** Takes a few seconds at most. Never rejects: what cannot be checked has not passed. */
export async function checkAppliance(facts: ApplianceFacts): Promise<TurnUpCheck[]> {
  const { dataUrl } = facts.appliance.identity;
  return [...(await Promise.all([checkPort(dataUrl), checkCertificate(dataUrl)])).flat(), ...checkFacts(facts)];
}

/** What is known without asking the box. Pure. */
export function checkFacts({ appliance, clockAheadMs, prefixes }: ApplianceFacts): TurnUpCheck[] {
  const { identity, disks, headroom } = appliance;
  const bad = disks.filter(({ state }) => state !== DiskState.DISK_STATE_ONLINE && state !== DiskState.DISK_STATE_RETIRED);
  const clock =
    clockAheadMs === undefined
      ? "the box does not tell its time"
      : `${Math.abs(Math.round(clockAheadMs))} ms ${clockAheadMs < 0 ? "behind" : "ahead"}`;
  const limits = headroom
    ? `network ${headroom.nicFreePermille / 10} %, disks ${headroom.diskFreePermille / 10} %, processors ${headroom.cpuFreePermille / 10} % free`
    : "not told yet";
  return [
    { name: "heartbeat", passed: appliance.state !== "offline" && appliance.totals !== undefined, found: appliance.state },
    { name: "clock", passed: clockAheadMs !== undefined && Math.abs(clockAheadMs) <= clockAheadMaxMs, found: clock },
    {
      name: "disks",
      passed: disks.length > 0 && bad.length === 0,
      found: bad.length === 0 ? `${disks.length} online` : `${bad.map(({ path }) => path).join(", ")}: not online`,
    },
    { name: "headroom", passed: appliance.full === undefined, found: limits },
    { name: "routes", passed: prefixes > 0, found: `site ${identity.siteId} announces ${prefixes} prefixes` },
  ];
}

/** Any answer will do: a box without films says 404, one with tokens 403. */
async function checkPort(dataUrl: string): Promise<TurnUpCheck[]> {
  try {
    const response = await fetch(dataUrl, { method: "HEAD", signal: AbortSignal.timeout(answerMs), redirect: "manual" });
    return [{ name: "port", passed: response.status < 500, found: `${dataUrl} answers ${response.status}` }];
  } catch (error) {
    const cause = error instanceof Error && error.cause ? messageOf(error.cause) : messageOf(error);
    return [{ name: "port", passed: false, found: `${dataUrl}: ${cause}` }];
  }
}

async function checkCertificate(dataUrl: string): Promise<TurnUpCheck[]> {
  const { protocol, hostname, port } = new URL(dataUrl);
  if (protocol !== "https:") return [{ name: "tls", passed: true, found: "plain HTTP" }];
  return new Promise((resolve) => {
    const done = (passed: boolean, found: string) => {
      socket.destroy();
      resolve([{ name: "tls", passed, found }]);
    };
    const host = hostname.replace(/^\[|\]$/g, "");
    const socket = connectTls(
      { host, port: Number(port) || 443, ...(/[a-z]/i.test(host) && { servername: host }), timeout: answerMs },
      () => {
        const until = new Date(socket.getPeerCertificate().valid_to);
        const daysLeft = Math.floor((until.getTime() - Date.now()) / 86_400_000);
        done(daysLeft >= certificateDaysMin, `${socket.getProtocol() ?? "TLS"}, certificate for ${daysLeft} days more`);
      },
    );
    socket.on("error", (error) => done(false, messageOf(error)));
    socket.on("timeout", () => done(false, `no answer in ${answerMs} ms`));
  });
}
