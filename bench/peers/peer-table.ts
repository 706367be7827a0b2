// The servers that the bench can start.
import { OperatingError } from "../../runtime/operating-error.js";
import { appliancePeer } from "./appliance-peer.js";
import { floorPeer } from "./floor-peer.js";
import { nginxPeer } from "./nginx-peer.js";
import type { Peer } from "./peer.js";
import { peerNames, type PeerName } from "./peer-names.js";
import { trafficserverPeer } from "./trafficserver-peer.js";
import { varnishPeer } from "./varnish-peer.js";

const peers: Readonly<Record<PeerName, Peer>> = {
  nginx: nginxPeer,
  varnish: varnishPeer,
  trafficserver: trafficserverPeer,
  floor: floorPeer,
  appliance: appliancePeer,
};

/** @throws OperatingError "unknown-peer". */
export function findPeer(name: string): Peer {
  const known = peerNames.find((peer) => peer === name);
  if (known === undefined) throw new OperatingError("unknown-peer", `Cannot start "${name}": there are ${peerNames.join(", ")}`);
  return peers[known];
}
