// The servers that the bench can start, in the order they are run.
import { OperatingError } from "../../runtime/operating-error.js";
import { appliancePeer } from "./appliance-peer.js";
import { floorPeer } from "./floor-peer.js";
import { nginxPeer } from "./nginx-peer.js";
import type { Peer } from "./peer.js";
import { trafficserverPeer } from "./trafficserver-peer.js";
import { varnishPeer } from "./varnish-peer.js";

export const peers: readonly Peer[] = [nginxPeer, varnishPeer, trafficserverPeer, floorPeer, appliancePeer];

/** @throws OperatingError "unknown-peer". */
export function findPeer(name: string): Peer {
  const peer = peers.find((peer) => peer.name === name);
  if (peer === undefined) {
    throw new OperatingError("unknown-peer", `Cannot start "${name}": there are ${peers.map((peer) => peer.name).join(", ")}`);
  }
  return peer;
}
