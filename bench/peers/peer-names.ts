// The names of the servers that the bench can start, in the order they are run. Imports nothing, for the command line's help.

export const peerNames = ["nginx", "varnish", "trafficserver", "floor", "appliance"] as const;
export type PeerName = (typeof peerNames)[number];
