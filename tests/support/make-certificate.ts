// A self-signed certificate for a test, as PEM files.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export interface CertificateFiles {
  cert: string;
  key: string;
}

/** Writes NAME.cert.pem and NAME.key.pem for the DNS names; the first is the subject's. */
export function makeCertificate(folder: string, name: string, dnsNames: readonly string[]): CertificateFiles {
  const files = { cert: join(folder, `${name}.cert.pem`), key: join(folder, `${name}.key.pem`) };
  const names = dnsNames.map((dnsName) => `DNS:${dnsName}`).join(",");
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", files.key];
  const subject = ["-subj", `/CN=${dnsNames[0]}`, "-addext", `subjectAltName=${names}`];
  execFileSync("openssl", ["req", "-x509", "-days", "2", ...key, "-out", files.cert, ...subject], { stdio: "ignore" });
  return files;
}
