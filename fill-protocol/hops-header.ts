// The one header that appliances add to the requests they fill with.

/** Counts the appliances that a request has come through, so that a ring of upstreams ends. */
export const hopsHeader = "millrace-hops";
