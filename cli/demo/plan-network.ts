// The demo's network on paper: which processes there are, on which ports, with which settings.

/** Where each process of the demo would like to listen. */
export const usualPorts = {
  gateway: 8000,
  controlPlane: 7000,
  controlPlaneAdmin: 7001,
  origin: 9000,
  storage: 8070,
  storageAdmin: 8071,
  edge1: 8080,
  edge1Admin: 8081,
  edge2: 8090,
  edge2Admin: 8091,
} as const;

export type DemoPorts = Record<keyof typeof usualPorts, number>;

/** Small, so that the film is many chunks and every tier has something to do. */
export const demoChunk = "256KiB";
const host = "127.0.0.1";

/** The edges of the demo; each is a site of its own, as in two ISPs. */
export const demoEdges = [
  { name: "edge-1", site: "isp-1", ports: ["edge1", "edge1Admin"] },
  { name: "edge-2", site: "isp-2", ports: ["edge2", "edge2Admin"] },
] as const;

/** Settings of each process, as their YAML files will have them. */
export function planNetwork(ports: DemoPorts, stateFolder: string) {
  const controlPlaneUrl = `grpc://${host}:${ports.controlPlane}`;
  const originUrl = `http://${host}:${ports.origin}/`;
  const appliance = (name: string, site: string, role: "edge" | "storage", port: number, adminPort: number, upstreams: string[]) => ({
    listen: { host, port },
    admin: { host, port: adminPort },
    workers: 1,
    ram: "64MiB",
    chunk: demoChunk,
    index: `${stateFolder}/${name}/index`,
    disks: [1, 2].map((disk) => ({ path: `${stateFolder}/${name}/disk${disk}`, size: "128MiB" })),
    upstreams: upstreams.map((url) => ({ url })),
    controlPlane: { url: controlPlaneUrl },
    site: { id: site, cluster: `${site}-a`, role },
    drain: { deadline: "3s" },
  });
  const [edge1, edge2] = demoEdges;
  const edgeUpstreams = [`appliance://${host}:${ports.storage}`, originUrl];
  return {
    controlPlane: {
      listen: { host, port: ports.controlPlane },
      admin: { host, port: ports.controlPlaneAdmin },
      database: `sqlite:${stateFolder}/control-plane.db`,
      sites: [
        { id: edge1.site, prefixes: ["127.0.0.0/8", "::1/128"], rank: 10 },
        { id: edge2.site, prefixes: ["0.0.0.0/0", "::/0"], rank: 20 },
        { id: "exchange-1", rank: 30 },
      ],
      // Who drains a box of the demo wants to see players move.
      steering: { contentSteeringTtl: "2s" },
    },
    gateway: { listen: { host, port: ports.gateway }, controlPlane: { url: controlPlaneUrl } },
    appliances: {
      storage: appliance("storage", "exchange-1", "storage", ports.storage, ports.storageAdmin, [originUrl]),
      [edge1.name]: appliance(edge1.name, edge1.site, "edge", ports.edge1, ports.edge1Admin, edgeUpstreams),
      [edge2.name]: appliance(edge2.name, edge2.site, "edge", ports.edge2, ports.edge2Admin, edgeUpstreams),
    },
    controlPlaneUrl,
    originUrl,
    gatewayUrl: `http://${host}:${ports.gateway}/`,
  };
}
