// How mail leaves: by SMTP, or into files where there is no mail server.
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { messageOf, OperatingError } from "../../runtime/operating-error.js";
import { redactedUrl } from "../store/redacted-url.js";

export interface Mail {
  mailId: string;
  recipient: string;
  subject: string;
  body: string;
}

export interface MailSender {
  /** @throws OperatingError "mail-failed". */
  send(mail: Mail): Promise<void>;
  close(): void;
}

const connectMaxMs = 5000;
const silenceMaxMs = 10_000;

/** Whether `url` is one that `openMailSender` may open. */
export function isMailUrl(url: string): boolean {
  return /^files:.+$/.test(url) || (/^smtps?:\/\/./.test(url) && URL.canParse(url));
}

/** "smtp://user:password@host:587" (STARTTLS where offered), "smtps://…:465" (TLS), "files:./var/mail" (one .eml each). */
export function openMailSender(url: string, from: string): MailSender {
  return url.startsWith("files:") ? new FileMailSender(url.slice("files:".length), from) : new SmtpMailSender(url, from);
}

class SmtpMailSender implements MailSender {
  readonly #transport;
  readonly #from: string;
  readonly #url: string;

  constructor(url: string, from: string) {
    const { hostname, port, username, password, protocol } = new URL(url);
    this.#transport = createTransport({
      host: hostname.replace(/^\[|\]$/g, ""),
      secure: protocol === "smtps:",
      port: port === "" ? (protocol === "smtps:" ? 465 : 587) : Number(port),
      ...(username !== "" && { auth: { user: decodeURIComponent(username), pass: decodeURIComponent(password) } }),
      connectionTimeout: connectMaxMs,
      greetingTimeout: connectMaxMs,
      socketTimeout: silenceMaxMs,
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    this.#from = from;
    this.#url = redactedUrl(url);
  }

  async send({ mailId, recipient, subject, body }: Mail): Promise<void> {
    const messageId = `<${mailId}@millrace>`;
    try {
      // As an object, the address is not parsed for others in it.
      await this.#transport.sendMail({ from: this.#from, to: { name: "", address: recipient }, subject, text: body, messageId });
    } catch (error) {
      throw new OperatingError("mail-failed", `Cannot send mail by ${this.#url}: ${messageOf(error)}`, { retryable: true, cause: error });
    }
  }

  close(): void {
    this.#transport.close();
  }
}

class FileMailSender implements MailSender {
  readonly #folder: string;
  readonly #transport = createTransport({ streamTransport: true, buffer: true });
  readonly #from: string;

  constructor(folder: string, from: string) {
    this.#folder = folder;
    this.#from = from;
  }

  async send({ mailId, recipient, subject, body }: Mail): Promise<void> {
    try {
      const to = { name: "", address: recipient };
      const { message } = await this.#transport.sendMail({ from: this.#from, to, subject, text: body, messageId: `<${mailId}@millrace>` });
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const file = join(this.#folder, `${mailId}.eml`);
      // Whole or not there, for who watches the folder. It opens an account, so it is for the owner's eyes.
      await writeFile(`${file}.part`, message as unknown as Buffer, { mode: 0o600 });
      await rename(`${file}.part`, file);
    } catch (error) {
      throw new OperatingError("mail-failed", `Cannot write mail to ${this.#folder}: ${messageOf(error)}`, {
        retryable: true,
        cause: error,
      });
    }
  }

  close(): void {}
}
