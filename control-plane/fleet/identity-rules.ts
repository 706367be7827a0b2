// What an appliance may say of itself.
import { ApplianceRole, type ApplianceIdentity } from "../../fill-protocol/generated/millrace/fleet/v1/fleet.js";

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const urlMaxLength = 500;

/** Whether `id` may name an appliance, a boot, a site or a cluster: up to 64 letters, digits, dots, dashes, underscores. */
export function isFleetId(id: string): boolean {
  return idPattern.test(id);
}

/** Every mistake in `identity`, for a person; empty when it can join the fleet. */
export function mistakesInIdentity(identity: ApplianceIdentity): string[] {
  const mistakes: string[] = [];
  for (const key of ["applianceId", "siteId", "clusterId"] as const) {
    if (!isFleetId(identity[key])) mistakes.push(`${key} must be up to 64 letters, digits, dots, dashes and underscores`);
  }
  if (identity.role !== ApplianceRole.APPLIANCE_ROLE_EDGE && identity.role !== ApplianceRole.APPLIANCE_ROLE_STORAGE) {
    mistakes.push("role must be edge or storage");
  }
  if (!isHttpUrl(identity.dataUrl) || !identity.dataUrl.endsWith("/")) {
    mistakes.push('dataUrl must be an http or https URL that ends with a slash, such as "http://10.0.0.1:8080/"');
  }
  if (identity.adminUrl !== "" && !isHttpUrl(identity.adminUrl)) mistakes.push("adminUrl must be empty or an http or https URL");
  if (identity.chunkBytes < 1) mistakes.push("chunkBytes must be 1 or more");
  if (identity.capacityBytes > BigInt(Number.MAX_SAFE_INTEGER)) mistakes.push("capacityBytes must be below 2^53");
  if (identity.softwareVersion.length > 64) mistakes.push("softwareVersion must be 64 characters at most");
  return mistakes;
}

function isHttpUrl(text: string): boolean {
  if (text.length > urlMaxLength || !URL.canParse(text)) return false;
  const url = new URL(text);
  return (url.protocol === "http:" || url.protocol === "https:") && url.search === "" && url.hash === "" && url.username === "";
}
