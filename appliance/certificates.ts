// The certificates of the data port, read and held against their keys before anyone relies on them.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { messageOf, OperatingError } from "../runtime/operating-error.js";

interface CertificateFiles {
  cert: string;
  key: string;
}

export interface ServedCertificate extends CertificateFiles {
  /** DNS names of the certificate, "*.example.net" among them. */
  names: readonly string[];
}

/** The first is for clients that name no server, or one that no certificate has. @throws OperatingError "certificate-unusable". */
export function readCertificates(tls: CertificateFiles & { others: readonly CertificateFiles[] }): readonly ServedCertificate[] {
  return [tls, ...tls.others].map(readCertificate);
}

function readCertificate({ cert, key }: CertificateFiles): ServedCertificate {
  try {
    const certificate = new X509Certificate(readFileSync(cert));
    if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(key)))) throw new Error(`${key} is the key of another certificate`);
    const names = (certificate.subjectAltName ?? "").split(", ").filter((name) => name.startsWith("DNS:"));
    return { cert, key, names: names.map((name) => name.slice("DNS:".length)) };
  } catch (error) {
    throw new OperatingError("certificate-unusable", `Cannot use certificate ${cert}: ${messageOf(error)}`, { source: cert, cause: error });
  }
}
