// Makes the certificate that all servers of a run share: ECDSA P-256, which is what a video CDN would use.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";

const run = promisify(execFile);

/** A self-signed certificate for 127.0.0.1 and localhost in `folder`, valid for a week. @throws OperatingError "no-certificate". */
export async function makeCertificate(folder: string): Promise<{ cert: string; key: string; pem: string }> {
  const cert = join(folder, "bench-cert.pem");
  const key = join(folder, "bench-key.pem");
  try {
    await run("openssl", [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "7",
      "-keyout",
      key,
      "-out",
      cert,
      "-subj",
      "/CN=millrace bench",
      "-addext",
      "subjectAltName=IP:127.0.0.1,DNS:localhost",
    ]);
  } catch (error) {
    throw new OperatingError("no-certificate", `Cannot make a certificate with openssl: ${messageOf(error)}`, { cause: error });
  }
  return { cert, key, pem: await readFile(cert, "utf8") };
}
