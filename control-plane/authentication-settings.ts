// The settings of who may call: keys of appliances, secrets of services.
import { z } from "zod";

export const secretSetting = z.string().min(32, "Expected a secret of 32 characters or more, such as the output of: openssl rand -hex 32");

export const authenticationSettings = z
  .strictObject({
    /** Whether appliances, operators and players must show who they are. Login's own methods ask for it always. */
    required: z.boolean().default(false),
    /** Appliances' keys are derived from it: millrace control-plane appliance-key. */
    applianceSecret: secretSetting.optional(),
    /** Programs of ours that call, such as gateways; who shows a secret is believed about the player's address. */
    services: z
      .array(z.strictObject({ name: z.string().min(1).max(64), secret: secretSetting }))
      .max(100)
      .default([]),
  })
  .refine(({ required, applianceSecret }) => !required || applianceSecret !== undefined, "required needs an applianceSecret")
  .prefault({});
