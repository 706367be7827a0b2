// The settings of billing: its payment provider, and when it tries again.
import { z } from "zod";
import { durationSetting } from "../../runtime/settings-file.js";

const provider = z.discriminatedUnion("kind", [
  z.strictObject({
    /** `millrace payment-sandbox`: money that is not real. */
    kind: z.literal("sandbox"),
    url: z.url({ protocol: /^https?$/ }),
    /** Signs its webhooks. */
    webhookSecret: z.string().min(16),
  }),
  z.strictObject({
    kind: z.literal("stripe"),
    secretKey: z.string().min(1),
    webhookSecret: z.string().min(1),
    /** Another server than Stripe's own, such as a stand-in. */
    url: z.url({ protocol: /^https?$/ }).optional(),
  }),
]);

export const billingSettings = z
  .strictObject({
    /** Without one there are no subscriptions. */
    provider: provider.optional(),
    /** Whether playback needs a subscription. */
    required: z.boolean().default(false),
    /** Days from each failed attempt to collect to the next; after the last one the subscription ends. */
    retryDays: z.array(z.number().min(0.001).max(90)).max(20).default([1, 3, 5, 7]),
    /** How often renewals and attempts that are due are looked for. */
    every: durationSetting().default(10_000),
  })
  .refine(({ provider, required }) => provider !== undefined || !required, { path: ["required"], message: "Billing needs a provider" })
  .prefault({});

export type BillingSettings = z.output<typeof billingSettings>;
