import { boolean, index, int, mysqlEnum, mysqlTable, timestamp, varchar } from "drizzle-orm/mysql-core";

import { timestamps } from "./helper";

const purposes = ["signin", "email-verification", "password-reset", "password-change"] as const;

export const otps = mysqlTable(
  "otps",
  {
    id: int("id").primaryKey().autoincrement(),
    email: varchar("email", { length: 255 }).notNull(),
    otpHashCode: varchar("otp_hash_code", { length: 255 }).notNull(),
    nextResendAllowedAt: timestamp("next_resend_allowed_at", { mode: "date" }).notNull(),
    type: mysqlEnum("type", purposes).notNull(),
    expiresAt: timestamp("expires_at", { mode: "date" }).notNull(),
    isUsed: boolean("is_used").default(false).notNull(),
    usedAt: timestamp("used_at", { mode: "date" }),
    attempts: int("attempts").default(0).notNull(),
    maxAttempts: int("max_attempts").default(5).notNull(),
    ...timestamps,
  },
  (t) => [
    index("email_type_idx").on(t.email, t.type),
    index("expires_at_idx").on(t.expiresAt),
    index("is_used_idx").on(t.isUsed),
  ],
);
