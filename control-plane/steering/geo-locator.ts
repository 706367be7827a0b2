// Where a client is, from a GeoIP database in MaxMind's format that the operator brings along.
import { readFileSync } from "node:fs";
import { LRUCache } from "lru-cache";
import { Reader, type CityResponse } from "mmdb-lib";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import type { Location } from "./site-order.js";

/** Addresses whose place is kept: a tree is walked and a record is decoded otherwise, some microseconds. */
const placesKeptMax = 100_000;
const nowhere = "nowhere";

export interface GeoLocator {
  locate(address: string): Location | undefined;
  /** ISO 3166-1 alpha-2. */
  countryOf(address: string): string | undefined;
}

/** @throws OperatingError "geo-database-unusable". */
export function openGeoLocator(file: string): GeoLocator {
  let reader: Reader<CityResponse>;
  try {
    reader = new Reader<CityResponse>(readFileSync(file));
  } catch (error) {
    throw new OperatingError("geo-database-unusable", `Cannot read GeoIP database ${file}: ${messageOf(error)}`, {
      source: file,
      cause: error,
    });
  }
  const places = new LRUCache<string, Location | typeof nowhere>({ max: placesKeptMax });
  return {
    locate: (address) => {
      let place = places.get(address);
      if (place === undefined) {
        place = locationIn(reader, address) ?? nowhere;
        places.set(address, place);
      }
      return place === nowhere ? undefined : place;
    },
    countryOf: (address) => countryIn(reader, address),
  };
}

function locationIn(reader: Reader<CityResponse>, address: string): Location | undefined {
  try {
    const { latitude, longitude } = reader.get(address)?.location ?? {};
    return typeof latitude === "number" && typeof longitude === "number" ? { latitude, longitude } : undefined;
  } catch {
    // An IPv6 address in a database of IPv4, or a record that is broken: the place is not known.
    return undefined;
  }
}

function countryIn(reader: Reader<CityResponse>, address: string): string | undefined {
  try {
    return reader.get(address)?.country?.iso_code;
  } catch {
    return undefined;
  }
}
