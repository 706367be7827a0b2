// What the mails say.

interface MailText {
  subject: string;
  body: string;
}

export function verifyMail(token: string, publicUrl: string | undefined): MailText {
  return {
    subject: "Confirm your mail address",
    body: `Someone, probably you, has signed up with this mail address.

To make the account, ${useToken(token, publicUrl, "verify-email")}

It is good for a day. If it was not you, do nothing: without this there is no account.
`,
  };
}

export function signUpKnownMail(): MailText {
  return {
    subject: "You have an account already",
    body: `Someone, probably you, has signed up with this mail address, which has an account already. Nothing has changed.

Sign in with your password, or ask for a new one if you have forgotten it. If it was not you, there is nothing to do.
`,
  };
}

export function passwordResetMail(token: string, publicUrl: string | undefined): MailText {
  return {
    subject: "Set a new password",
    body: `Someone, probably you, has asked for a new password for the account with this mail address.

To set it, ${useToken(token, publicUrl, "reset-password")}

It is good for an hour and ends the account's sessions on all devices. If it was not you, do nothing: the password stays as it is.
`,
  };
}

export function passwordResetUnknownMail(): MailText {
  return {
    subject: "There is no account with this mail address",
    body: `Someone, probably you, has asked for a new password for an account with this mail address, but there is none.

Perhaps you signed up with another address. If it was not you, there is nothing to do.
`,
  };
}

function useToken(token: string, publicUrl: string | undefined, page: string): string {
  // Behind the #, so that it is in no server's log.
  if (publicUrl !== undefined) return `open ${new URL(page, publicUrl).href}#token=${token}\nor use the token ${token}`;
  return `use the token ${token}`;
}
